"""The benchmark of the join: its runs are real, and a wrong sum does not pass as a fast one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import join, pair, peers, workload
from benchmarks.pair import ROLES, PairFigures, check_shares, run_pair
from benchmarks.sizes import parse_size
from benchmarks.workload import (
    PROFILES,
    Shape,
    expected_sums,
    exposure_rows,
    exposure_source,
    outcome_rows,
    outcome_source,
)
from cleanroom.kept import KeptLookups, KeptRows
from cleanroom.protocols import private_join
from cleanroom.protocols.seeds import Streams
from tests.harness import run_pair as run_protocols

SMALL = Shape(rows=1 << 10, groups=3, columns=4)
STEPS = {"bins", "oprf", "hint", "base_ot", "equality", "mux", "grouped_sum"}


@pytest.fixture(scope="module", params=PROFILES)
def figures(request: pytest.FixtureRequest) -> PairFigures:
    return run_pair(SMALL, profile=request.param)


def test_a_run_accounts_for_its_time_and_bytes(figures: PairFigures) -> None:
    for role in ROLES:
        assert set(figures.steps[role]) >= STEPS
        seconds = sum(cost["work"] + cost["wait"] + cost["send"] for cost in figures.steps[role].values())
        assert 0.5 * figures.wall < seconds <= figures.wall + 0.1
        assert figures.cpu[role] > 0
        assert figures.memory_peak_mib[role] >= figures.memory_before_mib[role] > 0
    sent = {role: sum(cost["sent"] for cost in figures.steps[role].values()) for role in ROLES}
    received = {role: sum(cost["received"] for cost in figures.steps[role].values()) for role in ROLES}
    assert sent == {role: received[peer] for role, peer in zip(ROLES, reversed(ROLES), strict=True)}
    assert figures.frame_bytes == sum(sent.values()) > 32 * SMALL.rows
    assert f"{SMALL.rows}" in join.totals_row(figures)
    assert all(step in join.steps_table(figures) for step in STEPS)


def test_a_wrong_sum_is_refused() -> None:
    sums = expected_sums(SMALL).reshape(-1)
    share = np.random.default_rng(1).integers(1 << 63, size=len(sums), dtype=np.uint64)
    check_shares(SMALL, [share.tolist(), (sums - share).tolist()])
    share[-1] += np.uint64(1)
    with pytest.raises(AssertionError, match="opened sums"):
        check_shares(SMALL, [share.tolist(), (sums - share + np.uint64(2)).tolist()])


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("families", [1, 2])
def test_the_expected_sums_are_those_of_a_join_in_the_clear(overlap: float, families: int) -> None:
    bound = 720720 if families > 1 else 1
    shape = Shape(
        rows=64, groups=3, columns=4, overlap=overlap, families=families, groups_per_row=families, weight_bound=bound
    )
    left, right = exposure_rows(shape, 0), outcome_rows(shape, 0)
    at = {key.tobytes(): index for index, key in enumerate(left.keys)}
    assert len(at) == shape.rows
    assert np.diff(left.indptr).max() == shape.parameters("kkrt").targets_per_row
    assert len(np.unique(np.repeat(np.arange(64), np.diff(left.indptr)) * 100 + left.target)) == len(left.target)
    assert 0 < abs(left.weight).max() <= bound and (left.weight != 0).all()
    sums = [[0] * shape.columns for _ in range(shape.groups)]
    matches = 0
    for key, values in zip(right.keys, right.values.tolist(), strict=True):
        row = at.get(key.tobytes())
        matches += row is not None
        for place in range(left.indptr[row], left.indptr[row + 1]) if row is not None else ():
            family, group = divmod(int(left.target[place]), shape.groups)
            for column in range(family, shape.columns, families):
                sums[group][column] += int(left.weight[place]) * values[column]
    assert matches == int(shape.rows * overlap)
    assert np.array_equal(np.array(sums, dtype=object) % (1 << 64), expected_sums(shape).astype(object))


def test_a_run_in_buckets_is_made_by_stretches_and_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = replace(SMALL, rows=3000, bucket_rows=1 << 10)
    monkeypatch.setattr(workload, "STRETCH_ROWS", 1 << 10)
    left, right = exposure_source(shape), outcome_source(shape)
    assert isinstance(left, KeptLookups) and isinstance(right, KeptRows)
    assert shape.buckets == 3 == shape.stretches and len(left) == len(right) == 3000
    run = run_protocols(
        private_join.exposure(
            parameters=shape.parameters("kkrt"),
            lookups=left,
            streams=Streams(seed=bytes([1]) * 32, session_id=bytes(32)),
        ),
        private_join.outcome(
            parameters=shape.parameters("kkrt"),
            rows=right,
            streams=Streams(seed=bytes([2]) * 32, session_id=bytes(32)),
        ),
    )
    check_shares(shape, [each.shares.reshape(-1).tolist() for each in (run.first, run.second)])


def test_a_side_that_fails_is_told_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "Task", lambda **fields: pair_task(**{**fields, "role": "neither"}))
    with pytest.raises(RuntimeError, match="neither"):
        run_pair(SMALL, profile=PROFILES[0])


pair_task = pair.Task


def test_missing_peers_are_skipped_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEERS_DIR", raising=False)
    for peer in peers.PEERS:
        found = peers.installed(peer)
        assert isinstance(found, str) and "skipped" in found and "\n" not in found


def test_sizes_are_read_as_people_write_them() -> None:
    assert [parse_size(text) for text in ("4096", "2^12", "2**12")] == [4096] * 3
    for text in ("0", "-4", "0^3", "2^", "many"):
        with pytest.raises(ValueError):
            parse_size(text)
