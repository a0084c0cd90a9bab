"""Row values in as few bits as the agreement's caps allow: every value comes back, zeros alone are zeros."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanroom.agreement.model import Measure, Metric, Period
from cleanroom.attribution import outcome
from cleanroom.attribution.packing import Packing
from cleanroom.errors import CleanroomError
from cleanroom.plan import Plan, plan_of
from tests.cleanroom.attribution.world import make_agreement, metric, outcome_batches, random_world

LEAST, MOST = -(1 << 63), (1 << 63) - 1
BOUND = st.integers(0, 63).map(lambda bits: (1 << bits) - 1)


@st.composite
def bounded(draw: st.DrawFn) -> tuple[tuple[tuple[int, int], ...], list[list[int]]]:
    """Bounds, of a bit as of all, and rows of values within them, often at their ends or zero."""
    bounds = draw(st.lists(st.tuples(st.one_of(st.just(0), BOUND.map(lambda most: -most - 1)), BOUND), min_size=1))
    value = [st.one_of(st.sampled_from([0, *ends]), st.integers(*ends)) for ends in bounds]
    return tuple(bounds), draw(st.lists(st.tuples(*value).map(list), max_size=5))


@given(bounded())
def test_values_come_back_and_zeros_alone_are_zeros(
    drawn: tuple[tuple[tuple[int, int], ...], list[list[int]]],
) -> None:
    bounds, rows = drawn
    packing = Packing(bounds=bounds)
    values = np.array(rows, dtype=np.int64).reshape(-1, len(bounds))
    words = packing.packed(values)
    bits = [max(1, most.bit_length(), (-least - 1).bit_length() + 1 if least else 0,
                most.bit_length() + 1 if least else 0) for least, most in bounds]  # fmt: skip
    assert words.shape == (len(rows), packing.words) and packing.words == -(-sum(bits) // 64)
    assert np.array_equal(packing.unpacked(words), values)
    assert np.array_equal(words.any(axis=1), values.any(axis=1))


@given(bounded(), st.integers(0), st.sampled_from([-1, 1]))
def test_a_value_outside_of_its_bounds_is_refused_without_it(
    drawn: tuple[tuple[tuple[int, int], ...], list[list[int]]], place: int, side: int
) -> None:
    bounds, _ = drawn
    place %= len(bounds)
    outside = bounds[place][side > 0] + side
    if not LEAST <= outside <= MOST:
        return
    values = np.zeros((3, len(bounds)), dtype=np.int64)
    values[1, place] = outside
    with pytest.raises(CleanroomError, match=r"^a row value is not what the agreement's caps allow$"):
        Packing(bounds=bounds).packed(values)


def test_whole_words_are_the_values() -> None:
    values = np.random.default_rng(1).integers(LEAST, MOST, size=(9, 3), endpoint=True)
    assert np.array_equal(Packing.whole(3).packed(values), values.view(np.uint64))


def bounds_of(*metrics: Metric) -> tuple[tuple[int, int], ...]:
    agreement = make_agreement(metrics=metrics)
    return Packing.of(agreement, plan_of(agreement)).bounds


def test_bounds_follow_from_caps_alone() -> None:
    four = bounds_of(
        metric(Measure.PEOPLE),
        metric(Measure.EVENTS, cap=40),
        metric(Measure.SUM, cap=200_000),
        metric(Measure.SUM, cap=50_000),
    )
    assert four == ((0, 1), (0, 40), (0, 200_000), (0, 50_000)) and Packing(bounds=four).words == 1
    assert bounds_of(replace(metric(Measure.EVENTS, cap=9), period=Period.BEFORE))[0] == (0, 9)
    assert bounds_of(metric(Measure.MATCHED, event=None, ticks=None)) == ((0, 1),)


def test_bounds_of_changes_squares_and_suffixes() -> None:
    agreement = make_agreement(metrics=(metric(Measure.SUM, cap=100, ticks=7),))
    plan = plan_of(agreement)
    value = plan.row_values[0]
    kinds = {
        (-100, 100): replace(value, change=True),
        (0, 10_000): replace(value, change=True, squared=True),
        (0, 100 * 53): replace(value, suffix=True),  # a year of 365 days is 53 weeks at most
        (0, MOST): replace(value, squared=True, cap=1 << 40),
    }
    packing = Packing.of(agreement, replace(plan, row_values=tuple(kinds.values())))
    assert packing.bounds == tuple(kinds)


def test_a_value_above_its_bound_stops_the_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would if a value and its bound were not made of the same cap."""
    world = random_world(3)
    plan: Plan = plan_of(world.agreement)
    batches = outcome_batches(world.agreement, world.events)
    assert len(outcome.prepare_rows(world.agreement, plan, batches, [])[0]) > 0
    monkeypatch.setattr("cleanroom.attribution.packing._bounds", lambda value, horizon: (0, 0))
    with pytest.raises(CleanroomError, match="what the agreement's caps allow"):
        outcome.prepare_rows(world.agreement, plan, batches, [])
