"""Row values over time, tick by tick by their definition, against the pieces that the kernel's walk finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

import cleanroom.plan as plan_module
from cleanroom import _kernels
from cleanroom.agreement.model import Measure, Period
from cleanroom.attribution.functions import Done, StepFunctions
from cleanroom.errors import CleanroomError
from cleanroom.plan import FamilyKind, Plan, RowValue, plan_of
from tests.cleanroom.attribution.funnel import Funnel, outcome_batches, random_funnel, squares
from tests.cleanroom.attribution.world import person, us


@pytest.fixture(autouse=True)
def squared_columns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every window metric brings its change and the squares of it."""
    monkeypatch.setattr(plan_module, "_SOURCES", (*plan_module._SOURCES, squares))
    yield


@dataclass(frozen=True)
class Part:
    """An outcome, or what of it has the same labels."""

    tick: int
    event: int
    value: int
    key: object
    labels: tuple[int, ...]


def figure(funnel: Funnel, value: RowValue, parts: list[Part], tick: int) -> int:
    """One value of a person as seen from a tick."""
    if value.event is None:
        return 0
    mine = looked_at(funnel, value, parts)
    if value.label is not None:
        names = [label.column for label in funnel.agreement.labels_in_use]
        place = names.index(value.label[0])
        position = funnel.agreement.labels_in_use[place].values.index(value.label[1])
        mine = [part for part in mine if part.labels[place] == position]
    if value.measure is Measure.SUM:
        amounts = [(part.tick, part.value) for part in mine]
    else:
        amounts = [(tick, 1) for tick in {part.key: part.tick for part in mine}.values()]
    window = value.window_ticks or 0
    if value.suffix:
        counted: list[tuple[int, int]] = []
        for at, amount in sorted(amounts):
            held = sum(earlier for when, earlier in counted if at - window < when <= at)
            counted.append((at, min(amount, value.cap - held)))
        return sum(amount for at, amount in counted if at >= tick)
    after = min(sum(amount for at, amount in amounts if tick <= at < tick + window), value.cap)
    before = min(sum(amount for at, amount in amounts if tick - window <= at < tick), value.cap)
    found = after - before if value.change else before if value.period is Period.BEFORE else after
    return found * found if value.squared else found


def looked_at(funnel: Funnel, value: RowValue, parts: list[Part]) -> list[Part]:
    return [part for part in parts if funnel.agreement.outcome.events[part.event] == value.event]


def open_at(value: RowValue, ticks: list[int], tick: int) -> bool:
    """Whether an outcome of the value's event lies where it looks from a tick."""
    window = value.window_ticks or 0
    low, high = tick if value.period is Period.AFTER else tick - window, tick + window
    if value.change:
        low = tick - window
    elif value.period is Period.BEFORE:
        high = tick
    return any(at >= tick if value.suffix else low <= at < high for at in ticks)


def by_definition(funnel: Funnel, plan: Plan, functions: StepFunctions, parts: list[Part]) -> list[tuple[int, ...]]:
    """(first, last, *vector) of one person."""
    frame = functions.frame
    touch_only = [plan.families[value.family].kind is FamilyKind.WINDOW for value in plan.row_values]
    found: list[tuple[int, ...]] = []
    if frame.points is None or frame.instants is None:
        for tick in range(frame.start, frame.end):
            vector = tuple(
                0 if only and tick >= frame.touch_end else figure(funnel, value, parts, tick)
                for value, only in zip(plan.row_values, touch_only, strict=True)
            )
            if found and found[-1][1] == tick and found[-1][2:] == vector:
                found[-1] = (found[-1][0], tick + 1, *vector)
            else:
                found.append((tick, tick + 1, *vector))
    else:
        for tick in frame.points.tolist():
            here = [
                value
                for value, only in zip(plan.row_values, touch_only, strict=True)
                if value.event is not None and (not only or tick in frame.instants)
            ]
            if any(open_at(value, [part.tick for part in looked_at(funnel, value, parts)], tick) for value in here):
                vector = tuple(figure(funnel, value, parts, tick) for value in plan.row_values)
                found.append((tick, tick + 1, *vector))
    return [row for row in found if any(row[2:])]


def check(funnel: Funnel) -> tuple[int, bool]:
    """Compares one funnel; returns how many pieces there are, and whether they are points."""
    plan = plan_of(funnel.agreement)
    functions = StepFunctions.of(funnel.agreement, plan)
    pieces = 0
    for batch in outcome_batches(funnel):
        tick = functions.frame.clock.ticks(batch.time_us)
        done = Done(tick=tick, event=batch.event, value=batch.value, label=batch.label, event_key=batch.event_key)
        people, owner, first, last, words = functions.pieces(batch.person, done)
        vector = functions.packing.unpacked(words)
        rows = zip(owner.tolist(), first.tolist(), last.tolist(), vector.tolist(), strict=True)
        mine = [(batch.person[row].tobytes(), start, end, *values) for row, start, end, values in rows]
        everybody: dict[bytes, list[Part]] = {}
        for row, who in enumerate(batch.person):
            key = int(batch.event_key[row])
            named = (int(batch.event[row]), key) if key >= 0 and functions.labelled else -1 - row
            everybody.setdefault(who.tobytes(), []).append(
                Part(
                    tick=int(tick[row]),
                    event=int(batch.event[row]),
                    value=int(batch.value[row]),
                    key=named,
                    labels=tuple(batch.label[row].tolist()),
                )
            )
        theirs = [
            (who, *row) for who, parts in everybody.items() for row in by_definition(funnel, plan, functions, parts)
        ]
        assert mine == theirs
        assert people == len(everybody) and type(people) is int  # it is written as JSON
        pieces += len(mine)
    return pieces, functions.frame.points is not None


def test_pieces_are_those_of_the_definition() -> None:
    found = [check(random_funnel(seed)) for seed in range(300)]
    assert sum(pieces > 0 for pieces, at_points in found if at_points) > 30
    assert sum(pieces > 1 for pieces, at_points in found if not at_points) > 100


def test_a_person_may_have_more_outcomes_than_a_task() -> None:
    funnel = next(one for one in map(random_funnel, range(99)) if one.parts and not one.agreement.labels_in_use)
    start, end = us(funnel.agreement.time.start), us(funnel.agreement.time.end)
    moments = np.random.default_rng(1).integers(start, end, 9000).tolist()
    parts = [(person(1 if at % 8 else at), 0, at, 3, -1, ()) for at in moments]
    wide = replace(funnel, parts=parts, agreement=replace(funnel.agreement, metrics=funnel.agreement.metrics[:1]))
    pieces, _ = check(wide)
    assert pieces > 0


def test_a_square_that_no_row_can_hold_is_an_error() -> None:
    funnel = next(
        one for one in map(random_funnel, range(999))
        if one.parts and any(value.squared for value in plan_of(one.agreement).row_values)
    )  # fmt: skip
    functions = StepFunctions.of(funnel.agreement, plan_of(funnel.agreement))
    figures = functions.figures.copy()
    figures[:, 6] = 1 << 60  # the cap
    totals = functions.totals.copy()
    totals[:, 1:3] = 1, 1 << 60
    wide = replace(functions, figures=figures, totals=totals)
    (batch, *_) = outcome_batches(funnel)
    tick = functions.frame.clock.ticks(batch.time_us)
    value = np.full(len(tick), 1 << 60, dtype=np.int64)
    done = Done(tick=tick, event=batch.event, value=value, label=batch.label, event_key=batch.event_key)
    with pytest.raises(CleanroomError, match="63 bits"):
        wide.pieces(batch.person, done)


def test_a_sum_that_no_row_can_hold_is_an_error() -> None:
    """What has no cap of its own, as values for credit, is no smaller than it is."""
    horizon, largest = 1000, (1 << 63) - 1

    def of_total(*amounts: int) -> list[int]:
        table = [np.array(rows, dtype=np.int64) for rows in (
            [[0, -1, 0]], [[0, 1, 1 << 62, 5]], [[0, 1], [0, -horizon]], [[0, 0, 1, 0, 0, 0, largest, 0, 0]]
        )]  # fmt: skip
        sources, totals, cursors, figures = table
        count = len(amounts)
        *_, words = _kernels.step_pieces(
            np.zeros((count, 16), dtype=np.uint8),
            np.arange(1, count + 1, dtype=np.int64) * 10,
            np.zeros(count, dtype=np.int32),
            np.array(amounts, dtype=np.int64),
            None,
            (sources, totals, cursors, figures, np.zeros((0, 3), dtype=np.int64)),
            (0, horizon, horizon),
            None,
            [(0, largest)],
        )
        return [int(value) for value in words[:, 0]]

    assert of_total(1 << 62, (1 << 62) - 1) == [largest, (1 << 62) - 1]
    with pytest.raises(OverflowError, match="63 bits"):
        of_total(1 << 62, 1 << 62)
