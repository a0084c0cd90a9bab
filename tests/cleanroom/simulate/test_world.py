"""A world is its parameters: the same values whatever the blocks, and the shares that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from cleanroom.errors import UsageError
from cleanroom.simulate import Dirt, Parameters, World
from cleanroom.simulate.exposures import CONTROL, TARGETED, TEST
from cleanroom.simulate.parameters import DAY
from tests.cleanroom.simulate.worlds import digest, tables

SMALL = Parameters(people=400, seed=1)
GOLDEN = {
    "media/touches.parquet": "7f98b9b6a24f60aaaeb1d1083e6e273bd5dddbdf7dbed1c039e7f8f914d0f7aa",
    "shop/outcomes.parquet": "e7611d2af2dbdc7193f4591420c77de0c52926b4bced88179b6e2f8b67b1106e",
    "truth/assignments.parquet": "dc95fba0e81d710884fe70a75afdf9ff8c70791e5b3b7a0ff90c5e151dd57c6c",
    "truth/people.parquet": "7ee38bba33793528f317f44f934b56d4334ce8cd144239f7495c91a29a59f754",
}
"""Of version 1 of worlds: a change here is another version."""


def test_golden_digests_of_a_small_world() -> None:
    assert {name: digest(table) for name, table in tables(SMALL, 400).items()} == GOLDEN


@pytest.mark.parametrize("block", [1, 7, 64, 399, 1 << 14])
def test_blocks_change_no_value(block: int) -> None:
    whole, parts = tables(SMALL, 400), tables(SMALL, block)
    for name, table in whole.items():
        assert table.equals(parts[name]), name


def test_blocks_can_be_made_by_threads_in_any_order() -> None:
    world = World(replace(SMALL, people=2000))
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda first: World(world.parameters).block(first, first + 100), range(1900, -1, -100)))
    whole = world.block(0, 2000)
    seconds = np.concatenate([block.touches.seconds for block in reversed(blocks)])
    assert np.array_equal(seconds, whole.touches.seconds)
    fen = np.concatenate([block.outcomes.fen for block in reversed(blocks)])
    assert np.array_equal(fen, whole.outcomes.fen)


CHANGES: list[Callable[[Parameters], Parameters]] = [
    lambda p: replace(p, seed=2),
    lambda p: replace(p, days=60),
    lambda p: replace(p, campaigns=3),
    lambda p: replace(p, effect=Decimal("0.1")),
    lambda p: replace(p, overlap=Decimal("0.6")),
    lambda p: replace(p, dirt=Dirt(shared=Decimal("0.5"))),
]


@pytest.mark.parametrize("change", CHANGES)
def test_parameters_change_the_world(change: Callable[[Parameters], Parameters]) -> None:
    whole, other = tables(SMALL, 400), tables(change(SMALL), 400)
    assert any(not table.equals(other[name]) for name, table in whole.items())


def test_sides_and_arms_have_the_shares_that_were_asked_for() -> None:
    parameters = Parameters(people=60_000, seed=9, overlap=Decimal("0.3"), control=Decimal("0.2"))
    block = World(parameters).block(0, 60_000)
    crowd, assigned = block.crowd, block.assigned
    assert abs(crowd.both.mean() - 0.3) < 0.01
    assert abs((crowd.media & ~crowd.shop).mean() - 0.35) < 0.01
    assert not (~crowd.media & ~crowd.shop).any()
    randomised = assigned.arm != TARGETED
    assert abs((assigned.arm[randomised] == CONTROL).mean() - 0.2) < 0.01
    assert set(assigned.campaign[~randomised]) == {4}
    assert crowd.media[assigned.row].all()
    # Randomised: arms are alike before. Targeted: those reached are not like the others.
    test = assigned.arm == TEST
    activity = crowd.activity[assigned.row]
    assert abs(activity[test].mean() - activity[assigned.arm == CONTROL].mean()) < 0.03
    assert activity[~randomised].mean() > crowd.activity[crowd.media].mean() + 0.2


def test_events_are_in_order_and_inside_the_world() -> None:
    parameters = Parameters(people=5000, seed=11, days=30)
    block = World(parameters).block(0, 5000)
    for rows in (block.touches, block.outcomes):
        key = (rows.row << 40) | (rows.seconds << 8) | rows.event
        assert (np.diff(key) >= 0).all()
        assert rows.seconds.min() >= 0
        assert rows.seconds.max() < 30 * DAY
    caused = block.caused
    same_day = caused.at // DAY
    assert (same_day[0] == same_day[3]).all()
    assert (np.diff(caused.at, axis=0) > 0).all()
    exposed = block.assigned.arm != CONTROL
    known = block.crowd.shop[block.assigned.row]
    assert (caused.at[0] > block.assigned.first[known]).all()
    assert not caused.happened[~exposed[known]].any()
    first = {}
    touches = block.touches
    seen = touches.event == 1
    for row, campaign, second in zip(
        touches.row[seen].tolist(), touches.campaign[seen].tolist(), touches.seconds[seen].tolist(), strict=True
    ):
        first.setdefault((row, campaign), second)
    for row, campaign, second in zip(
        block.assigned.row[exposed].tolist(),
        block.assigned.campaign[exposed].tolist(),
        block.assigned.first[exposed].tolist(),
        strict=True,
    ):
        assert first[row, campaign] == second


def test_a_sample_keeps_people_whole_in_its_period() -> None:
    parameters = Parameters(people=4000, seed=5)
    begin, end = (day * DAY for day in parameters.sampling_days)
    full = World(parameters).block(0, 4000).touches
    half = World(replace(parameters, sample=Decimal("0.5"))).block(0, 4000).touches

    def rows_of(inside: bool, rows: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        period = (seconds >= begin) & (seconds < end)
        return np.bincount(rows[period == inside], minlength=4000)

    in_full, in_half = (rows_of(True, touches.row, touches.seconds) for touches in (full, half))
    kept = in_half > 0
    assert abs(kept.sum() / (in_full > 0).sum() - 0.5) < 0.03
    assert np.abs(in_half[kept] - in_full[kept]).mean() < 0.05  # alike but for rows that are delivered twice
    out_full, out_half = (rows_of(False, touches.row, touches.seconds) for touches in (full, half))
    assert np.abs(out_full - out_half).mean() < 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": 0},
        {"people": 50_000_001},
        {"seed": -1},
        {"days": 11},
        {"campaigns": 0},
        {"campaigns": 61},
        {"notes": 5},
        {"tags": 201},
        {"effect": Decimal("0.51")},
        {"overlap": Decimal("1.1")},
        {"control": 0.5},
        {"sample": Decimal("NaN")},
        {"match": "name"},
        {"dirt": Dirt(malformed=Decimal("0.5"), placeholder=Decimal("0.5"), shared=Decimal("0.1"))},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}: expected"):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_the_largest_world_can_be_asked_for_its_last_people() -> None:
    parameters = Parameters(people=50_000_000, seed=2**64 - 1, campaigns=60, days=730)
    block = World(parameters).block(49_999_900, 50_000_000)
    assert len(block.touches) > 100
    assert block.outcomes.slot.max() < 2**40
