"""Joins in buckets: the same sums, sizes of public parameters alone, and nothing that two buckets share."""

from __future__ import annotations

import weakref
from dataclasses import replace
from math import comb, log2
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.errors import DataError
from cleanroom.protocols import cuckoo, private_join
from cleanroom.protocols.buckets import BUCKET_ROWS, BucketOverflowError, Division, Partition, overflow_bits
from cleanroom.protocols.join_rows import Lookups, Rows
from cleanroom.protocols.oprf_kkrt import weak_point_bits
from cleanroom.protocols.private_join import JoinParameters, Oprf
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Progress, Send
from tests.protocols import test_leaks
from tests.protocols.test_private_join import OVERLAPS, PARAMETERS, SESSION, random_keys, run_join
from tests.protocols.test_traffic import sent

LARGEST = 1 << 24
"""What an agreement allows."""
SMALL = replace(PARAMETERS, bucket_rows=32)  # 64 × 128 rows: four buckets


@pytest.mark.parametrize("oprf", Oprf)
@pytest.mark.parametrize(("own", "other", "common"), OVERLAPS)
def test_the_shares_of_all_buckets_add_up_to_the_plain_join(own: int, other: int, common: int, oprf: Oprf) -> None:
    parameters = replace(SMALL, oprf=oprf)
    run, expected = run_join(parameters=parameters, own=own, other=other, common=common, seed=own + other + common)
    assert parameters.division.count == 4
    assert np.array_equal(run.first.shares + run.second.shares, expected)


@pytest.mark.parametrize(("rows_exposure", "rows_outcome", "count"), [(600, 150, 3), (8, 600, 5), (600, 1, 3)])
def test_sides_of_unequal_size_and_numbers_of_buckets_that_are_no_powers_of_two(
    rows_exposure: int, rows_outcome: int, count: int
) -> None:
    parameters = replace(
        PARAMETERS,
        oprf=Oprf.KKRT,
        rows_exposure=rows_exposure,
        rows_outcome=rows_outcome,
        bucket_rows=-(-max(rows_exposure, rows_outcome) // count),
    )
    common = min(rows_exposure, rows_outcome)
    run, expected = run_join(parameters=parameters, own=rows_exposure, other=rows_outcome, common=common, seed=count)
    assert parameters.division.count == count and expected.any()
    assert np.array_equal(run.first.shares + run.second.shares, expected)


def test_sums_of_buckets_near_the_bound_wrap_as_integers_mod_2_64() -> None:
    parameters = replace(SMALL, oprf=Oprf.KKRT)
    run, expected = run_join(parameters=parameters, own=64, other=128, common=64, seed=9, large=True)
    assert np.array_equal(run.first.shares + run.second.shares, expected)


@pytest.mark.parametrize("oprf", Oprf)
def test_sizes_work_and_progress_of_buckets_follow_from_public_parameters(
    oprf: Oprf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where all rows of one side fall into one bucket or there are none: no count of a bucket shows."""
    monkeypatch.setattr(test_leaks, "PARAMETERS", replace(test_leaks.PARAMETERS, bucket_rows=test_leaks.ROWS // 3))
    assert test_leaks.PARAMETERS.division.count in (3, 4)
    assert len({test_leaks.work_of(monkeypatch, *sizes, oprf) for sizes in test_leaks.SIZES}) == 1
    with monkeypatch.context() as patch:
        patch.setattr(Partition, "numbers", lambda self, keys: np.full(len(keys), 1, dtype=np.int64))
        crowded = test_leaks.work_of(monkeypatch, *test_leaks.SIZES[1], oprf)
    spread = test_leaks.work_of(monkeypatch, *test_leaks.SIZES[1], oprf)
    assert crowded[0] == spread[0]


@pytest.mark.parametrize("oprf", Oprf)
@pytest.mark.parametrize(("rows_exposure", "rows_outcome"), [(96, 40), (8, 96)])
def test_buckets_send_what_their_parameters_say(rows_exposure: int, rows_outcome: int, oprf: Oprf) -> None:
    parameters = replace(PARAMETERS, oprf=oprf, rows_exposure=rows_exposure, rows_outcome=rows_outcome, bucket_rows=32)
    run, _ = run_join(parameters=parameters, own=1, other=1, common=1, seed=1)
    stated = private_join.traffic(parameters)
    by_step = {step: sent(run, step) for step in stated}
    assert by_step == stated
    assert [step for _, step, _ in run.frames].count("bins.attempt") == 3
    transfers = 2 + 3 * (oprf is Oprf.VOLE)  # those of a vector OLE serve its bucket alone
    assert [step for _, step, _ in run.frames].count("ot.tree_sums") == transfers
    assert [step for _, step, _ in run.frames].count("grouped_sum.seed") == 1


def test_one_bucket_is_the_join_without_buckets() -> None:
    frames = [
        run_join(parameters=replace(PARAMETERS, bucket_rows=rows), own=40, other=90, common=20, seed=4)[0].frames
        for rows in (128, BUCKET_ROWS)
    ]
    assert frames[0] == frames[1]


# What two buckets must not share


def labels_of(oprf: Oprf, monkeypatch: pytest.MonkeyPatch) -> dict[bytes, list[tuple[Any, ...]]]:
    monkeypatch.setattr(test_leaks, "PARAMETERS", replace(test_leaks.PARAMETERS, bucket_rows=test_leaks.ROWS // 3))
    return test_leaks.observe(monkeypatch, common=test_leaks.ROWS // 2, oprf=oprf).labels


@pytest.mark.parametrize("oprf", Oprf)
def test_streams_of_bins_oprf_and_hint_are_opened_anew_in_every_bucket(
    oprf: Oprf, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labels_of(oprf, monkeypatch)
    count = test_leaks.PARAMETERS.division.count
    for own in labels.values():
        assert len(set(own)) == len(own)
        named = [dict(label) for label in own]
        for step in ("bins", "oprf", "hint"):
            found = [label for label in named if label["step"] == step]
            by_bucket = [
                {tuple(sorted((key, value) for key, value in label.items() if key != "bucket")) for label in found
                 if label.get("bucket", 0) == bucket}
                for bucket in range(count)
            ]  # fmt: skip
            assert all(each == by_bucket[0] for each in by_bucket)


@pytest.mark.parametrize("step", ["bins", "hint", "oprf"])
def test_a_bucket_that_takes_the_labels_of_another_is_refused(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal labels are equal targets, masks or keys: the registry of streams ends such a run."""
    real = Streams.key

    def forgetful(self: Streams, **label: Any) -> bytes:
        if label["step"] == step:
            label["bucket"] = 0
        return real(self, **label)

    monkeypatch.setattr(Streams, "key", forgetful)
    with pytest.raises(AssertionError, match=f"random stream {step}/.* opened twice"):
        run_join(parameters=replace(SMALL, oprf=Oprf.KKRT), own=64, other=128, common=10, seed=2)


@pytest.mark.parametrize("oprf", Oprf)
def test_every_bucket_has_bins_queries_targets_and_masks_of_its_own(
    oprf: Oprf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for the same row: two buckets that met in a bin seed, a query or a mask would show double matches."""
    seeds, targets, masks, queries, tables = [], [], [], [], []
    real_hint, real_queries = private_join.hint.sender, cuckoo.queries

    def spied(**arguments: Any) -> Any:
        made = yield from real_hint(**arguments)
        targets.append(made[0])
        masks.append(made[1])
        seeds.append(arguments["bin_seed"])
        return made

    def asked(table: Any, keys: Any, key: bytes) -> Any:
        queries.append(real_queries(table, keys, key))
        tables.append(table)
        return queries[-1]

    monkeypatch.setattr(private_join.hint, "sender", spied)
    monkeypatch.setattr(cuckoo, "queries", asked)
    run_join(parameters=replace(SMALL, oprf=oprf), own=64, other=128, common=40, seed=6)
    assert len(set(seeds)) == len(seeds) == 4
    for words in (np.concatenate(targets), np.concatenate(masks).reshape(-1)):
        assert len(np.unique(words)) == len(words)
    flat = np.concatenate(queries)
    assert len(np.unique(flat, axis=0)) == len(flat)
    assert sum(int((table.row >= 0).sum()) for table in tables) == 64


def test_each_side_works_ahead_of_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome side's rows are ready before the bins arrive, the next bucket's bins before a hint does."""
    done: list[str] = []

    def noted(module: Any, function: str) -> None:
        real = getattr(module, function)

        def call(*arguments: Any, **named: Any) -> Any:
            done.append(function)
            return real(*arguments, **named)

        monkeypatch.setattr(module, function, call)

    for module, function in ((private_join.hint, "prepare"), (cuckoo, "place"), (cuckoo, "queries")):
        noted(module, function)
    noted(private_join.hint, "receiver")
    noted(private_join, "expect")
    run_join(parameters=replace(SMALL, oprf=Oprf.KKRT), own=64, other=128, common=40, seed=8)
    exposure = [name for name in done if name in ("place", "queries", "receiver")]
    outcome = [name for name in done if name in ("prepare", "expect")]
    assert exposure == ["place", "queries", *3 * ["place", "queries", "receiver"], "receiver"]
    assert outcome == 4 * ["prepare", "expect"]


def test_the_weights_of_one_bucket_alone_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that waits has its keys: with many weights a row, those of two buckets would pass the memory of one."""
    real = Lookups._chosen
    taken: list[weakref.ref[NDArray[np.int64]]] = []

    def chosen(self: Lookups, rows: NDArray[np.int64]) -> Lookups:
        assert all(weights() is None for weights in taken)
        found = real(self, rows)
        taken.append(weakref.ref(found.weight))
        return found

    monkeypatch.setattr(Lookups, "_chosen", chosen)
    run, expected = run_join(parameters=replace(SMALL, oprf=Oprf.KKRT), own=64, other=128, common=40, seed=8)
    assert np.array_equal(run.first.shares + run.second.shares, expected)
    assert len(taken) == 2 * 4, "once for the keys, once for the weights"


def test_a_row_is_hashed_by_its_key_under_the_session() -> None:
    keys = random_keys(np.random.default_rng(1), 4096)
    numbers = [
        Partition(session_id=session, buckets=count, rows=4096, capacity=4096).numbers(keys)
        for session, count in ((SESSION, 16), (bytes(32), 16), (SESSION, 5))
    ]
    assert not np.array_equal(numbers[0], numbers[1])
    for found, count in zip(numbers, (16, 16, 5), strict=True):
        expected = 4096 / count
        deviation = np.abs(np.bincount(found, minlength=count) - expected).max() / expected**0.5
        assert len(np.bincount(found)) == count and deviation < 5
    positions = cuckoo.positions(keys, cuckoo.bin_seed(session_id=SESSION), 1 << 31)[:, 0]
    assert not np.array_equal(numbers[0], positions * 16 >> 31)  # independent of the bins


# Capacities


def powers(most: int) -> list[int]:
    return [1 << power for power in range(most.bit_length())]


def test_no_bucket_overflows_more_often_than_once_in_2_40_runs() -> None:
    """Both sides, all buckets, all bounds of an agreement, and eight times beyond them."""
    for rows_exposure in powers(8 * LARGEST):
        for rows_outcome in powers(8 * LARGEST):
            division = Division.of(rows_exposure=rows_exposure, rows_outcome=rows_outcome)
            bits = [
                overflow_bits(rows=rows, buckets=division.count, capacity=capacity)
                for rows, capacity in ((rows_exposure, division.exposure), (rows_outcome, division.outcome))
            ]
            assert min(bits) > 41  # two sides


@pytest.mark.parametrize(("rows", "count", "capacity"), [(200, 4, 90), (1000, 10, 160), (60, 2, 55), (500, 5, 400)])
def test_the_bound_is_above_the_exact_tail_and_near_it(rows: int, count: int, capacity: int) -> None:
    above = sum(comb(rows, more) * (count - 1) ** (rows - more) for more in range(capacity + 1, rows + 1))
    exact = rows * log2(count) - log2(above) - log2(count)
    bound = overflow_bits(rows=rows, buckets=count, capacity=capacity)
    assert exact - 8 < bound < exact
    assert overflow_bits(rows=rows, buckets=count, capacity=rows // count - 1) == 0


def test_a_mutation_of_the_capacity_fails_the_bound() -> None:
    """Nine deviations are too few for a small mean, and four for any."""
    assert overflow_bits(rows=16 * 16, buckets=16, capacity=16 + 36) < 41
    assert overflow_bits(rows=LARGEST, buckets=16, capacity=(1 << 20) + (4 << 10)) < 41


def test_tables_are_never_sized_for_less_than_the_bins_demand() -> None:
    for rows_exposure, rows_outcome in ((1, LARGEST), (1 << 10, LARGEST), (LARGEST, 1), (LARGEST, LARGEST)):
        parameters = replace(PARAMETERS, rows_exposure=rows_exposure, rows_outcome=rows_outcome)
        assert parameters.division.count == 16
        assert parameters.n_bins >= 1301 and parameters.n_bins * 100 >= 127 * parameters.division.exposure
        assert parameters.division.outcome >= min(rows_outcome, 1024)
    assert Division.of(rows_exposure=LARGEST, rows_outcome=LARGEST) == Division(
        count=16, exposure=(1 << 20) + (9 << 10), outcome=(1 << 20) + (9 << 10)
    )
    assert Division.of(rows_exposure=BUCKET_ROWS, rows_outcome=BUCKET_ROWS).count == 1


def test_points_of_all_buckets_keep_their_distance_in_kkrt() -> None:
    division = Division.of(rows_exposure=LARGEST, rows_outcome=LARGEST)
    assert weak_point_bits(3 * division.count * division.outcome) > 40


def overfull() -> JoinParameters:
    return replace(PARAMETERS, rows_exposure=4096, rows_outcome=4096, bucket_rows=1024)


@pytest.mark.parametrize("crowded", [0, 3])
def test_an_overflow_ends_the_run_before_anything_is_sent(crowded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = overfull()
    rows = parameters.division.exposure + 1
    assert rows < 4096
    keys = random_keys(np.random.default_rng(2), rows)
    monkeypatch.setattr(Partition, "numbers", lambda self, keys: np.full(len(keys), crowded, dtype=np.int64))
    streams = Streams(seed=bytes(32), session_id=SESSION)
    values = np.ones((rows, 3), dtype=np.int64)
    sides = (
        private_join.exposure(parameters=parameters, lookups=one_weight_a_row(keys), streams=streams),
        private_join.outcome(parameters=parameters, rows=Rows(keys=keys, values=values), streams=streams),
    )
    for side in sides:
        assert isinstance(next(side), Progress)
        with pytest.raises(BucketOverflowError, match="nothing was sent; run again"):
            next(side)


def test_a_full_bucket_is_no_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = overfull()
    keys = random_keys(np.random.default_rng(2), parameters.division.exposure)
    monkeypatch.setattr(Partition, "numbers", lambda self, keys: np.zeros(len(keys), dtype=np.int64))
    protocol = private_join.exposure(
        parameters=parameters,
        lookups=one_weight_a_row(keys),
        streams=Streams(seed=bytes(32), session_id=SESSION),
    )
    events = [next(protocol) for _ in range(3)]
    assert events[:2] == [Progress("bins", 0, 4096), Progress("bins.bucket", 0, 4)] and isinstance(events[2], Send)


def one_weight_a_row(keys: NDArray[np.uint8]) -> Lookups:
    return Lookups(
        keys=keys,
        indptr=np.arange(len(keys) + 1, dtype=np.int64),
        target=np.zeros(len(keys), dtype=np.int32),
        weight=np.ones(len(keys), dtype=np.int64),
    )


def test_weights_over_the_bounds_stop_buckets_before_their_first_message() -> None:
    protocol = private_join.exposure(
        parameters=SMALL,
        lookups=Lookups(
            keys=np.zeros((1, 16), dtype=np.uint8),
            indptr=np.array([0, 1], dtype=np.int64),
            target=np.zeros(1, dtype=np.int32),
            weight=np.full(1, SMALL.weight_bound + 1, dtype=np.int64),
        ),
        streams=Streams(seed=bytes(32), session_id=SESSION),
    )
    with pytest.raises(DataError, match="larger"):
        next(protocol)


def test_more_rows_than_the_bound_are_refused() -> None:
    keys = random_keys(np.random.default_rng(3), 5)
    partition = Partition(session_id=SESSION, buckets=2, rows=4, capacity=4)
    with pytest.raises(ValueError, match="public bound"):
        list(Rows(keys=keys, values=np.ones((5, 1), dtype=np.int64)).divided(partition))
