"""Lookups and rows joined by equal keys give what the conventions say, on random worlds full of edges."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Measure, Resolution
from cleanroom.attribution import clock, exposure, functions, outcome, plain, runs, touched
from cleanroom.attribution.packing import Packing
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.errors import CleanroomError, DataError
from cleanroom.kept import KeptLookups, KeptRows
from cleanroom.plan import Plan, plan_of
from tests.cleanroom.attribution.mutants import mutated
from tests.cleanroom.attribution.world import (
    KEY,
    World,
    brute,
    make_agreement,
    metric,
    outcome_batches,
    person,
    persons,
    random_world,
    touch_batches,
    us,
)


def join(lookups: Lookups, found: Rows, plan: Plan) -> NDArray[np.int64]:
    """The ideal functionality, key by key."""
    at = {key.tobytes(): index for index, key in enumerate(found.keys)}
    result = np.zeros((plan.groups, len(plan.columns)), dtype=np.int64)
    for index, key in enumerate(lookups.keys):
        row = at.get(key.tobytes())
        if row is None:
            continue
        for place in range(int(lookups.indptr[index]), int(lookups.indptr[index + 1])):
            position, group = divmod(int(lookups.target[place]), plan.groups)
            for column in range(len(plan.columns)):
                if plan.class_positions[column] == position:
                    result[group, column] += lookups.weight[place] * found.values[row, column]
    return result


def prepared(world: World) -> tuple[Plan, Lookups, Rows]:
    agreement = world.agreement
    plan = plan_of(agreement)
    lookups, _ = exposure.prepare_lookups(
        agreement, plan, touch_batches(agreement, world.touches, world.rng), group_cap_key=KEY
    )
    members = [persons(world.known[:1]), persons(world.known[1:])]
    found, _ = outcome.prepare_rows(agreement, plan, outcome_batches(agreement, world.events, world.rng), members)
    return plan, lookups, found


def expected(world: World) -> list[list[int]]:
    plan = plan_of(world.agreement)
    columns = [metric(c.measure, event=c.event, ticks=c.window_ticks, cap=c.cap) for c in plan.columns]
    return brute(world.agreement, columns, world.touches, world.events, set(world.known))


def check_worlds(seeds: range) -> None:
    for seed in seeds:
        world = random_world(seed)
        plan, lookups, found = prepared(world)
        assert join(lookups, found, plan).tolist() == expected(world), seed


def test_the_join_is_what_the_conventions_say() -> None:
    check_worlds(range(600))


@pytest.mark.slow
def test_the_join_is_what_the_conventions_say_on_many_worlds() -> None:
    check_worlds(range(1000, 21000))


def test_the_plain_join_is_what_the_conventions_say() -> None:
    for seed in range(600):
        world = random_world(seed)
        agreement = world.agreement
        result = plain.plain_join(
            agreement,
            plan_of(agreement),
            touch_batches(agreement, world.touches, world.rng),
            outcome_batches(agreement, world.events, world.rng),
            [persons(world.known)],
            group_cap_key=KEY,
        )
        assert result.tolist() == expected(world), seed


def test_keys_are_distinct_and_sorted_and_carry_something() -> None:
    for seed in range(150):
        _, lookups, found = prepared(random_world(seed))
        for keys in (lookups.keys, found.keys):
            listed = [key.tobytes() for key in keys]
            assert listed == sorted(set(listed)), seed
        assert found.values.any(axis=1).all() and (found.values >= 0).all(), seed
        assert (np.diff(lookups.indptr) > 0).all() and (lookups.weight == 1).all(), seed
        for low, high in zip(lookups.indptr[:-1], lookups.indptr[1:], strict=True):
            assert (np.diff(lookups.target[low:high]) > 0).all(), seed


def test_the_result_does_not_depend_on_how_the_people_are_batched() -> None:
    for seed in range(60):
        world = random_world(seed)
        _, lookups, found = prepared(world)
        again = World(
            agreement=world.agreement, touches=world.touches[::-1], events=world.events[::-1], known=world.known[::-1],
            rng=random.Random(seed + 1),
        )  # fmt: skip
        _, lookups2, found2 = prepared(again)
        for one, two in [
            (lookups.keys, lookups2.keys), (lookups.indptr, lookups2.indptr), (lookups.target, lookups2.target),
            (found.keys, found2.keys), (found.values, found2.values),
        ]:  # fmt: skip
            assert np.array_equal(one, two), seed


# Each of these is one character of thought away from the truth. (module, what stands there, what might have stood)
MUTATIONS: list[tuple[ModuleType, str, str]] = [
    (functions, "self._cursors.place(source, 1 - window), now", "self._cursors.place(source, -window), now"),
    (functions, "self._cursors.place(source, 1 - window), now", "self._cursors.place(source, 2 - window), now"),
    (functions, "self._cursors.place(source, 1)", "self._cursors.place(source, 0)"),
    (functions, "self._cursors.place(source, 1)", "self._cursors.place(source, 2)"),
    (functions, "(frame.start, frame.touch_end, frame.end)", "(frame.start, frame.touch_end, frame.end - 1)"),
    (functions, "(frame.start, frame.touch_end, frame.end)", "(frame.start + 1, frame.touch_end, frame.end)"),
    (functions, "place(event, *self._label(value))", "place(0, *self._label(value))"),
    (functions, "else value.cap", "else value.cap + 1"),
    (functions, "else (_NO_CAP, 0)", "else (1, 0)"),
    (runs, "yield slice(start, end)", "yield slice(start, end - 1)"),
    (exposure, "exposure.anchor == LAST_TOUCH", "exposure.anchor != LAST_TOUCH"),
    (exposure, "(0, None)], False", "(0, ())], False"),
    (touched, "max_groups_per_person,", "max_groups_per_person + 1,"),
    (touched, "                instants,", "                None,"),
    (touched, "exposure.start <= at < agreement.exposure.end", "exposure.start < at < agreement.exposure.end"),
    (exposure, "(position * plan.groups, event", "(position, event"),
    (exposure, "domain, level, size", "domain, level, 1"),
    (clock, "return int(edges.min()), int(edges.max()) + 1", "return int(edges.min()), int(edges.max())"),
    (clock, "horizon=max(lasts) - min(firsts) + 1", "horizon=max(lasts) - min(firsts)"),
]


@pytest.mark.parametrize(("module", "right", "wrong"), MUTATIONS)
def test_a_slip_by_one_is_seen(module: ModuleType, right: str, wrong: str) -> None:
    with (
        mutated(module, right, wrong),
        pytest.raises((AssertionError, CleanroomError, ValueError, IndexError, OverflowError)),
    ):
        check_worlds(range(600))


def test_a_window_may_hold_more_than_64_bits_before_its_cap() -> None:
    world = crowded_world(events=9, value=2**62 - 1, cap=2**62)
    plan, lookups, found = prepared(world)
    assert join(lookups, found, plan).tolist() == expected(world) == [[2**62, 1]]


def crowded_world(*, events: int, value: int, cap: int) -> World:
    """One person, touched on the first day, with all outcomes on the next ones."""
    agreement = make_agreement(metrics=(metric(Measure.SUM, ticks=30, cap=cap),))
    start = us(agreement.time.start)
    return World(
        agreement=agreement,
        touches=[(person(1), start, 0)],
        events=[(person(1), 0, start + day * 86_400_000_000, value) for day in range(events)],
        known=[person(1)],
        rng=random.Random(1),
    )


def test_too_many_keys_are_a_local_error_and_a_count_equal_to_the_bound_fits() -> None:
    world = crowded_world(events=9, value=5, cap=20)
    _, lookups, found = prepared(world)
    for count, side in ((len(lookups), "exposure"), (len(found), "outcome")):
        fits = {"rows_exposure": len(lookups), "rows_outcome": len(found)}
        agreement = make_agreement(metrics=world.agreement.metrics, **fits)
        prepared(replace(world, agreement=agreement))
        fits[f"rows_{side}"] = count - 1
        agreement = make_agreement(metrics=world.agreement.metrics, **fits)
        with pytest.raises(DataError, match=rf"{side} .*max_rows\.{side}.* {count} needed"):
            prepared(replace(world, agreement=agreement))


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_rows_that_are_handed_over_some_at_a_time_are_those_of_one_go(at_once: int) -> None:
    most = [0, 0]
    for seed in range(30):
        world = random_world(seed)
        agreement, plan = world.agreement, plan_of(world.agreement)
        touches, events = touch_batches(agreement, world.touches), outcome_batches(agreement, world.events)
        known = [persons(world.known[:1]), persons(world.known[1:])]
        lookups, mine = exposure.prepare_lookups(agreement, plan, touches, group_cap_key=KEY)
        found, theirs = outcome.prepare_rows(agreement, plan, events, known)
        most_weights = plan.targets_per_row(agreement.release.max_groups_per_person)
        kept_lookups = KeptLookups(most_weights, weight_bound=plan.unit)
        kept_rows = KeptRows(Packing.of(agreement, plan))
        assert mine == exposure.keep_lookups(
            agreement, plan, touches, group_cap_key=KEY, keep=kept_lookups.append, at_once=at_once
        )
        assert theirs == outcome.keep_rows(agreement, plan, events, known, keep=kept_rows.take, at_once=at_once)
        again, others = kept_lookups.held(), kept_rows.held()
        for name in ("keys", "indptr", "target", "weight"):
            assert np.array_equal(getattr(again, name), getattr(lookups, name))
        assert np.array_equal(others.keys, found.keys) and np.array_equal(others.values, found.values)
        most = [max(most[0], len(lookups)), max(most[1], len(found))]
    assert min(most) > 20


def test_what_the_data_side_must_not_hand_over_is_refused() -> None:
    world = crowded_world(events=2, value=5, cap=20)
    agreement, plan = world.agreement, plan_of(world.agreement)
    touches, events = touch_batches(agreement, world.touches), outcome_batches(agreement, world.events)
    late = make_agreement(metrics=agreement.metrics, start=agreement.time.start + timedelta(days=1))
    with pytest.raises(CleanroomError, match="outside the agreed period"):
        exposure.prepare_lookups(late, plan, touches, group_cap_key=KEY)
    with pytest.raises(CleanroomError, match="outside the horizon"):
        outcome.prepare_rows(late, plan, events, [])
    with pytest.raises(CleanroomError, match="two batches"):
        exposure.prepare_lookups(agreement, plan, touches * 2, group_cap_key=KEY)
    with pytest.raises(CleanroomError, match="twice"):
        outcome.prepare_rows(agreement, plan, events * 2, [])


def test_the_local_counts_are_those_of_the_conventions() -> None:
    agreement = make_agreement(
        metrics=(metric(Measure.PEOPLE, ticks=7), metric(Measure.MATCHED, event=None, ticks=None)),
        groups=("a", "b", "c"), max_groups=2, instants=(datetime(2017, 1, 3, tzinfo=UTC),),
    )  # fmt: skip
    day = us(datetime(2017, 1, 3, tzinfo=UTC))
    hour = 3_600_000_000
    touches = [(person(1), day + group * hour, group) for group in range(3)]
    touches += [(person(2), day, 0), (person(2), day + 24 * hour, 1), (person(3), day - 1, 0)]
    events = [(person(1), 0, day + 30 * hour, 7), (person(1), 0, day - 30 * hour, 7)]
    plan = plan_of(agreement)
    lookups, mine = exposure.prepare_lookups(agreement, plan, touch_batches(agreement, touches), group_cap_key=KEY)
    assert (mine.touches, mine.off_instant, mine.people, mine.memberships) == (6, 2, 2, 3)
    assert (mine.capped_memberships, mine.capped_people, mine.lookups) == (1, 1, 4) and len(lookups) == 4
    known = [persons([person(1), person(9)])]
    found, theirs = outcome.prepare_rows(agreement, plan, outcome_batches(agreement, events), known)
    assert (theirs.outcomes, theirs.people, theirs.members, theirs.pieces, theirs.rows) == (2, 1, 2, 1, 3)
    assert sorted(found.values.tolist()) == [[0, 1], [0, 1], [1, 0]]


def test_the_plain_join_without_caps_is_the_truth_and_asks_for_the_key_where_it_matters() -> None:
    agreement = make_agreement(metrics=(metric(Measure.SUM, ticks=7, cap=10),), groups=("a", "b"), max_groups=1)
    day = us(datetime(2017, 1, 3, tzinfo=UTC))
    touches = touch_batches(agreement, [(person(1), day, 0), (person(1), day, 1)])
    events = outcome_batches(agreement, [(person(1), 0, day, 25)])
    plan = plan_of(agreement)
    assert plain.plain_join(agreement, plan, touches, events, capped=False).tolist() == [[25, 1], [25, 1]]
    with pytest.raises(ValueError, match="group_cap_key"):
        plain.plain_join(agreement, plan, touches, events)
    capped = plain.plain_join(agreement, plan, touches, events, group_cap_key=KEY)
    assert sorted(capped.tolist()) == [[0, 0], [10, 1]]


def test_instants_need_one_lookup_a_touch_whatever_the_tree() -> None:
    day = datetime(2017, 5, 8, tzinfo=UTC)
    for resolution, length in ((Resolution.DAY, (1, 2, 4)), (Resolution.MINUTE, (1, 10, 60, 360, 1440))):
        agreement = make_agreement(
            metrics=(metric(Measure.PEOPLE, ticks=15),), resolution=resolution, tree=length, instants=(day,)
        )
        world = World(
            agreement=agreement, touches=[(person(1), us(day), 0)], known=[], rng=random.Random(1),
            events=[(person(1), 0, us(day) + 60_000_000 * minute, 1) for minute in range(10)],
        )  # fmt: skip
        plan, lookups, found = prepared(world)
        assert (len(lookups), len(found)) == (1, 1)
        assert join(lookups, found, plan).tolist() == [[1]]
