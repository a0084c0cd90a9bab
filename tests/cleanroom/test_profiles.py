"""All profiles are one functionality: the same data give the same figures, openings and verdicts on each."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise, Profile
from cleanroom.execute import Executed
from tests.cleanroom.whole_run import COLUMNS, GROUPS, lookups, rows, whole_run
from tests.harness import Run

OVERLAPS = {"none": range(60, 120), "half": range(30, 90), "full": range(60)}


def recorded_noise(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What both sides' private files would hold: up to 40 a cell, so that the noise decides gates."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(-40, 40, (2, GROUPS, COLUMNS))
    return first, second


@cache
def run(profile: Profile, noise: Noise, overlap: str, seed: int = 0) -> Run[Executed, Executed]:
    more: dict[str, Any] = {} if noise is Noise.NONE else {"noises": recorded_noise(seed)}
    people = OVERLAPS[overlap]
    return whole_run(profile=profile, noise=noise, exposure=lookups(range(60)), outcome=rows(people), **more)


def opened(finished: Run[Executed, Executed]) -> tuple[list[list[int]], list[list[bool]]]:
    assert finished.first.opening is not None and finished.second.opening is not None
    assert np.array_equal(finished.first.opening.values, finished.second.opening.values)
    return finished.first.opening.values.tolist(), finished.first.opening.passed.tolist()


def shares(finished: Run[Executed, Executed]) -> tuple[list[int], list[int]]:
    """The cells that were opened and, of each, the sum of both sides' opened shares."""
    opening = finished.first.opening
    assert opening is not None and opening.exposure is not None and opening.outcome is not None
    assert np.array_equal(opening.exposure.cells, opening.outcome.cells)
    return opening.exposure.cells.tolist(), (opening.exposure.shares + opening.outcome.shares).tolist()


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_without_noise_all_profiles_release_the_same_numbers(overlap: str) -> None:
    found = {profile: opened(run(profile, Noise.NONE, overlap)) for profile in Profile}
    plain = {"none": [[0] * 3] * 2, "half": [[30, 30, 45], [0, 0, 0]], "full": [[60, 60, 90], [20, 20, 30]]}
    assert len(found) == 3
    for values, passed in found.values():
        assert values == plain[overlap]
        assert [row[0] for row in passed] == [row[0] > 0 for row in plain[overlap]]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.LAPLACE])
def test_with_recorded_noise_the_opened_shares_add_up_to_the_same_on_all_profiles(noise: Noise, seed: int) -> None:
    runs = {profile: run(profile, noise, "half", seed) for profile in Profile}
    assert len({str(shares(finished)) for finished in runs.values()}) == 1
    assert len({str(opened(finished)) for finished in runs.values()}) == 1
    cells, _ = shares(runs[Profile.VOLE])
    assert 0 < len(cells) <= GROUPS * COLUMNS
    # the shares themselves are fresh on each: their sums are all that is common
    own = {str(finished.first.opening.exposure.shares) for finished in runs.values()}  # type: ignore[union-attr]
    assert len(own) == len(Profile)


def test_each_profile_speaks_its_own_protocol() -> None:
    """A run of one profile is not that of another under another name."""
    before_the_hint = {}
    for profile in Profile:
        steps = [step for _, step, _ in run(profile, Noise.NONE, "half").frames]
        before_the_hint[profile] = tuple(steps[steps.index("bins.attempt") : steps.index("hint.seed")])
    assert len(set(before_the_hint.values())) == len(Profile)
