"""The whole join: the opened shares equal the plain join, and nothing on the wire depends on the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.errors import PeerError
from cleanroom.protocols import cuckoo
from cleanroom.protocols.join_rows import Lookups, Rows
from cleanroom.protocols.private_join import JoinOutput, JoinParameters, Oprf, exposure, outcome
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Expect
from tests.harness import Run, run_pair

SESSION = bytes(range(32))
PARAMETERS = JoinParameters(
    rows_exposure=64, rows_outcome=128, groups=3, class_positions=(0, 1, 1), weight_bound=4, targets_per_row=6
)
OVERLAPS = [(0, 0, 0), (0, 128, 0), (64, 0, 0), (64, 128, 0), (64, 64, 64), (64, 128, 64), (1, 128, 1), (50, 70, 20)]
"""Rows of either side within those bounds, and common ones."""


def random_keys(generator: np.random.Generator, count: int) -> NDArray[np.uint8]:
    return generator.integers(0, 256, (count, 16), dtype=np.uint8)


def run_join(
    *,
    parameters: JoinParameters,
    own: int,
    other: int,
    common: int,
    seed: int,
    large: bool = False,
) -> tuple[Run[JoinOutput, JoinOutput], NDArray[np.uint64]]:
    """Joins `own` with `other` rows of which `common` are shared; returns the run and the plain join."""
    generator = np.random.default_rng(seed)
    shared = random_keys(generator, common)
    keys = np.concatenate([shared, random_keys(generator, own - common)])
    other_keys = np.concatenate([shared, random_keys(generator, other - common)])[::-1].copy()
    targets = parameters.groups * (max(parameters.class_positions) + 1)
    dense = generator.integers(-parameters.weight_bound, parameters.weight_bound + 1, (own, targets))
    dense[generator.random((own, targets)) < 0.5] = 0
    rows, columns = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=own))]).astype(np.int64)
    high = 1 << 62 if large else 1000
    values = generator.integers(0, high, (other, parameters.columns), dtype=np.int64)
    run = run_pair(
        exposure(
            parameters=parameters,
            lookups=Lookups(
                keys=keys,
                indptr=indptr,
                target=columns.astype(np.int32),
                weight=dense[rows, columns].astype(np.int64),
            ),
            streams=Streams(seed=bytes([1]) * 32, session_id=SESSION),
        ),
        outcome(
            parameters=parameters,
            rows=Rows(keys=other_keys, values=values),
            streams=Streams(seed=bytes([2]) * 32, session_id=SESSION),
        ),
    )
    expected = np.zeros((parameters.groups, parameters.columns), dtype=np.uint64)
    for row in range(common):
        match = other - 1 - row  # the other side's rows are reversed
        for j, position in enumerate(parameters.class_positions):
            weights = dense[row, position * parameters.groups : (position + 1) * parameters.groups]
            expected[:, j] += weights.astype(np.int64).view(np.uint64) * values[match, j].astype(np.uint64)
    return run, expected


@pytest.mark.parametrize("oprf", Oprf)
@pytest.mark.parametrize(("own", "other", "common"), OVERLAPS)
def test_the_shares_add_up_to_the_plain_join(own: int, other: int, common: int, oprf: Oprf) -> None:
    parameters = replace(PARAMETERS, oprf=oprf)
    run, expected = run_join(parameters=parameters, own=own, other=other, common=common, seed=own + other + common)
    assert np.array_equal(run.first.shares + run.second.shares, expected)


def test_sums_near_the_bound_wrap_as_integers_mod_2_64() -> None:
    run, expected = run_join(parameters=PARAMETERS, own=64, other=128, common=64, seed=9, large=True)
    assert np.array_equal(run.first.shares + run.second.shares, expected)


@pytest.mark.parametrize("oprf", Oprf)
def test_what_the_wire_shows_is_the_same_for_no_half_and_full_overlap(oprf: Oprf) -> None:
    parameters = replace(PARAMETERS, oprf=oprf)
    lengths = [
        run_join(parameters=parameters, own=own, other=other, common=common, seed=5)[0].lengths()
        for own, other, common in ((64, 64, 0), (64, 64, 32), (64, 64, 64), (3, 128, 0), (0, 0, 0))
    ]
    assert all(each == lengths[0] for each in lengths)


def test_all_profiles_share_the_same_sums() -> None:
    """The sums are equal; the shares, drawn from other masks' decodings, need not be."""
    runs = [
        run_join(parameters=replace(PARAMETERS, oprf=oprf), own=64, other=128, common=40, seed=7)[0] for oprf in Oprf
    ]
    sums = [run.first.shares + run.second.shares for run in runs]
    assert sums[0].any() and all(np.array_equal(each, sums[0]) for each in sums)
    steps = [{step for _, step, _ in run.frames if step.startswith("oprf.")} for run in runs]
    assert steps == [{"oprf.blinded", "oprf.evaluated"}, {"oprf.correction"}, {"oprf.masked"}]


def test_one_side_of_the_shares_is_random() -> None:
    """Neither side's shares alone hold a small number, not even where the sum is zero."""
    run, expected = run_join(parameters=PARAMETERS, own=64, other=128, common=0, seed=3)
    assert not expected.any()
    for shares in (run.first.shares, run.second.shares):
        assert (shares > 1 << 40).all()
        assert len(np.unique(shares)) == shares.size


@pytest.mark.parametrize("attempt", [cuckoo.MAX_ATTEMPTS, (1 << 32) - 1])
def test_an_attempt_over_the_bound_is_the_peers_fault(attempt: int) -> None:
    """The number is the peer's to choose; a large one would let it look for bins that suit it."""
    party = outcome(
        parameters=PARAMETERS,
        rows=Rows(keys=np.zeros((0, 16), dtype=np.uint8), values=np.zeros((0, 3), dtype=np.int64)),
        streams=Streams(seed=bytes(32), session_id=SESSION),
    )
    assert isinstance(next(party), Expect)
    with pytest.raises(PeerError, match="at most 8 attempts"):
        party.send(attempt.to_bytes(4, "little"))


def test_repr_of_the_output_hides_the_shares() -> None:
    run, _ = run_join(parameters=PARAMETERS, own=4, other=4, common=2, seed=1)
    assert repr(run.first) == "JoinOutput()"
