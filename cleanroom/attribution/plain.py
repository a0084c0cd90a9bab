"""The plain join: every metric straight from both sides' clear data, as the conventions say it.

No tree, no pieces, no rows, no breakpoints: a person's touches beside the same person's outcomes, one at a time. It is
what a run without noise must equal, number for number; the demonstration and the tests compare with it. It holds the
touched people's data in memory as Python objects and knows both sides' data, so it has no place in a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Measure, Period
from cleanroom.attribution.clock import TickClock
from cleanroom.attribution.exposure import LAST_TOUCH
from cleanroom.attribution.outcome import Outcomes
from cleanroom.attribution.touched import Touches, group_mark, instant_ticks
from cleanroom.plan import Column, Plan

__all__ = ["plain_join"]

_NEVER = 1 << 62
"""A cap or a bound that nothing reaches."""


@dataclass(frozen=True, slots=True, order=True)
class _Touch:
    """One touch: sorted by exact time, then by the position of its group."""

    time_us: int = field(repr=False)
    group: int = field(repr=False)
    event: int = field(repr=False)
    tick: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Part:
    """An outcome, or the part of one whose lines have the same labels."""

    tick: int = field(repr=False)
    key: object = field(repr=False)  # equal for the parts of one outcome
    value: int = field(repr=False)
    labels: tuple[int, ...] = field(repr=False)


def plain_join(
    agreement: Agreement,
    plan: Plan,
    touches: Iterable[Touches],
    outcomes: Iterable[Outcomes],
    members: Iterable[NDArray[np.uint8]] = (),
    *,
    group_cap_key: bytes | None = None,
    capped: bool = True,
) -> NDArray[np.int64]:
    """Computes what the private join computes.

    Args:
        agreement: decides clock, anchor, credit, groups and caps.
        plan: of the same agreement.
        touches: filtered touches, as `prepare_lookups` takes them.
        outcomes: filtered outcomes, as `prepare_rows` takes them.
        members: distinct persons whom the outcome side knows; needed where a metric is "matched".
        group_cap_key: 32 bytes of the exposure side; needed where a person has more groups than the agreed cap.
        capped: False for the truth without caps on values, on groups per person and on touches that earn credit.

    Returns:
        (groups, columns) int64; credit in fractions of the column's unit.

    Raises:
        ValueError: a person has more groups than the cap and there is no `group_cap_key`.
    """
    clock = TickClock.of(agreement.time)
    people = _touches(agreement, clock, touches)
    known = {person for batch in members for person in _persons(batch) if person in people}
    done = _outcomes(agreement, clock, outcomes, people.keys())
    result = [[0] * len(plan.columns) for _ in plan.group_labels]
    for person, own in people.items():
        kept = _within_cap(agreement, person, own, group_cap_key) if capped else own
        person_view = _Person(agreement, clock.horizon, kept, done[person], capped)
        for index, column in enumerate(plan.columns):
            for group, figure in person_view.figures(plan, column, person in known).items():
                released = person_view.released(group)
                if released is not None:
                    result[released][index] += figure
    return np.array(result, dtype=np.int64).reshape(plan.groups, len(plan.columns))


class _Person:
    """One person's touches and outcomes, and what they add to each group."""

    def __init__(
        self, agreement: Agreement, horizon: int, touches: list[_Touch], done: dict[int, list[_Part]], capped: bool
    ) -> None:
        self._agreement = agreement
        self._horizon = horizon
        self._touches = touches
        self._done = done
        self._capped = capped
        self._earning: dict[int, list[_Touch]] = {}

    def released(self, group: int) -> int | None:
        """The group of the release that a membership counts in, by how many touches it has."""
        bounds = self._agreement.exposure.frequency
        if bounds is None:
            return group
        count = sum(touch.group == group for touch in self._touches)
        band = sum(bound <= count for bound in bounds) - 1
        return None if band < 0 else group * len(bounds) + band

    def figures(self, plan: Plan, column: Column, known: bool) -> dict[int, int]:
        """group -> what the person adds to a column."""
        if column.measure is Measure.MATCHED:
            return {touch.group: int(known) for touch in self._touches}
        parts = self._parts(column)
        if not column.credit:
            return {group: self._window(column, parts, anchor) for group, anchor in self._anchors(column).items()}
        if column.measure is Measure.PEOPLE:
            spans = [plan.row_values[index].window_ticks or 0 for index in column.values]
            return self._behind_credit(column, parts, spans)
        return self._credit(column, parts)

    def _parts(self, column: Column) -> list[_Part]:
        """The outcomes that a column looks at."""
        parts = self._done.get(self._agreement.outcome.events.index(str(column.event)), [])
        if column.label is None:
            return parts
        labels = self._agreement.labels_in_use
        place = [label.column for label in labels].index(column.label[0])
        value = labels[place].values.index(column.label[1])
        return [part for part in parts if part.labels[place] == value]

    def _via(self, column: Column) -> set[int]:
        events = self._agreement.exposure.events
        return {events.index(event) for event in (events if column.via is None else column.via)}

    def _anchors(self, column: Column) -> dict[int, int]:
        """group -> tick of the first or the last touch by the column's events."""
        anchors: dict[int, int] = {}
        via = self._via(column)
        for touch in self._touches:
            if touch.event in via and (self._agreement.exposure.anchor == LAST_TOUCH or touch.group not in anchors):
                anchors[touch.group] = touch.tick
        return anchors

    def _window(self, column: Column, parts: list[_Part], anchor: int) -> int:
        window = column.window_ticks or 0
        after = self._measure(column, [part for part in parts if anchor <= part.tick < anchor + window])
        before = self._measure(column, [part for part in parts if anchor - window <= part.tick < anchor])
        figure = after - before if column.change else before if column.period is Period.BEFORE else after
        return figure**2 if column.squared else figure

    def _measure(self, column: Column, inside: list[_Part]) -> int:
        if column.measure is Measure.PEOPLE:
            return int(bool(inside))
        figure = sum(amount for _, amount in _amounts(column, inside))
        return min(figure, column.cap) if self._capped else figure

    def _credit(self, column: Column, parts: list[_Part]) -> dict[int, int]:
        """Each outcome, clipped so that no window holds more than the cap, times each group's credit for it."""
        window = column.window_ticks or 0
        found: dict[int, int] = defaultdict(int)
        counted: list[tuple[int, int]] = []
        for tick, amount in sorted(_amounts(column, parts)):
            held = sum(earlier for at, earlier in counted if tick - window < at <= tick)
            amount = min(amount, column.cap - held) if self._capped else amount
            counted.append((tick, amount))
            for group, credit in self._shares(tick, window, self._via(column)).items():
                found[group] += credit * amount
        return found

    def _behind_credit(self, column: Column, parts: list[_Part], spans: list[int]) -> dict[int, int]:
        """group -> 1 if an outcome lies in the largest span that the longest interval with credit begins with."""
        window = column.window_ticks or 0
        runs: dict[int, tuple[int, int]] = {}  # group -> length, start; of the running interval
        best: dict[int, tuple[int, int]] = {}
        ticks = [touch.tick for touch in self._touches]
        for tick in range(min(ticks, default=0), min(max(ticks, default=0) + window, self._horizon)):
            earning = self._shares(tick, window, self._via(column))
            runs = {group: (runs[group][0] + 1, runs[group][1]) if group in runs else (1, tick) for group in earning}
            for group, run in runs.items():
                if group not in best or run[0] > best[group][0]:
                    best[group] = run
        found = {}
        for group, (length, start) in best.items():
            span = max((span for span in spans if span <= length), default=0)
            found[group] = int(any(start <= part.tick < start + span for part in parts))
        return found

    def _shares(self, tick: int, window: int, via: set[int]) -> dict[int, int]:
        """group -> the credit of an outcome at a tick that falls to touches of some events; above 0."""
        eligible = [touch for touch in self._earners(window) if touch.tick <= tick < touch.tick + window]
        top = min((self._rank(touch) for touch in eligible), default=0)
        sharing = [touch for touch in eligible if self._rank(touch) == top]
        found: dict[int, int] = defaultdict(int)
        for touch, credit in zip(sharing, self._split(tick, window, sharing), strict=True):
            if credit and touch.event in via:
                found[touch.group] += credit
        return found

    def _rank(self, touch: _Touch) -> int:
        classes = self._agreement.exposure.priority or ()
        name = self._agreement.exposure.events[touch.event]
        return next((rank for rank, members in enumerate(classes) if name in members), len(classes))

    def _split(self, tick: int, window: int, sharing: list[_Touch]) -> list[int]:
        """The unit in shares by the agreed rule, floored; the last touch gets the rest."""
        exposure, count = self._agreement.exposure, len(sharing)
        if count == 0:
            return []
        if exposure.credit == "last_touch":
            weights = [0] * (count - 1) + [1]
        elif exposure.credit == "first_touch":
            weights = [1] + [0] * (count - 1)
        elif exposure.credit == "position" and count > 2:
            weights = [2 * (count - 2)] + [1] * (count - 2) + [2 * (count - 2)]
        elif exposure.credit == "time_decay":
            step = exposure.credit_step_ticks or 1
            weights = [2 ** ((window - 1) // step - (tick - touch.tick) // step) for touch in sharing]
        else:
            weights = [1] * count
        shares = [exposure.credit_unit * weight // sum(weights) for weight in weights]
        shares[-1] += exposure.credit_unit - sum(shares)
        return shares

    def _earners(self, window: int) -> list[_Touch]:
        """The touches that may earn credit: inside the first disjoint windows, then the first and the latest ones."""
        if window not in self._earning:
            in_order = sorted(self._touches, key=lambda touch: (touch.tick, touch))
            most = self._agreement.release.max_windows if self._capped else _NEVER
            used, end, kept = 0, -1, []
            for touch in in_order:
                if touch.tick + window > end:  # the present windows do not cover all that it would earn in
                    if used == most:
                        break
                    used, end = used + 1, max(touch.tick, end) + window
                kept.append(touch)
            limit = self._agreement.exposure.max_touches if self._capped else None
            if limit is not None and len(kept) > limit:
                kept = [kept[0], *kept[len(kept) - limit + 1 :]]
            self._earning[window] = kept
        return self._earning[window]


def _amounts(column: Column, parts: list[_Part]) -> list[tuple[int, int]]:
    """(tick, amount): values where a column sums, else 1 for every outcome however many parts it has."""
    if column.measure is Measure.SUM:
        return [(part.tick, part.value) for part in parts]
    return [(tick, 1) for tick in {part.key: part.tick for part in parts}.values()]


def _within_cap(agreement: Agreement, person: bytes, own: list[_Touch], key: bytes | None) -> list[_Touch]:
    """The touches in the groups that a person keeps."""
    labels = agreement.exposure.groups
    groups = {touch.group for touch in own}
    limit = agreement.release.max_groups_per_person
    if len(groups) <= limit:
        return own
    if key is None:
        raise ValueError("group_cap_key: needed, a person has more groups than the agreed cap")
    marks = {group_mark(key, person, labels[group]): group for group in groups}
    kept = {marks[mark] for mark in sorted(marks)[:limit]}
    return [touch for touch in own if touch.group in kept]


def _touches(agreement: Agreement, clock: TickClock, touches: Iterable[Touches]) -> dict[bytes, list[_Touch]]:
    """person -> touches on agreed instants, in order."""
    instants = instant_ticks(agreement, clock)
    allowed = None if instants is None else set(instants.tolist())
    found: dict[bytes, list[_Touch]] = defaultdict(list)
    for batch in touches:
        rows = zip(
            _persons(batch.person),
            batch.time_us.tolist(),
            batch.group.tolist(),
            batch.event.tolist(),
            clock.ticks(batch.time_us).tolist(),
            strict=True,
        )
        for person, time_us, group, event, tick in rows:
            if allowed is None or tick in allowed:
                found[person].append(_Touch(time_us, group, event, tick))
    return {person: sorted(own) for person, own in found.items()}


def _outcomes(
    agreement: Agreement, clock: TickClock, outcomes: Iterable[Outcomes], wanted: Iterable[bytes]
) -> dict[bytes, dict[int, list[_Part]]]:
    """person -> event -> outcomes, of the wanted people."""
    rows: dict[bytes, dict[int, list[_Part]]] = {person: defaultdict(list) for person in wanted}
    labelled = bool(agreement.labels_in_use)
    for batch in outcomes:
        ticks = clock.ticks(batch.time_us).tolist()
        events, values = batch.event.tolist(), batch.value.tolist()
        keys = batch.event_key.tolist() if labelled else [-1] * len(ticks)
        labels = batch.label.tolist() if labelled else [()] * len(ticks)
        rows_of = zip(_persons(batch.person), events, ticks, values, keys, labels, strict=True)
        for person, event, tick, value, key, label in rows_of:
            if person in rows:
                name = object() if key < 0 else key
                rows[person][event].append(_Part(tick, name, value, tuple(label)))
    return rows


def _persons(person: NDArray[np.uint8]) -> list[bytes]:
    flat = person.tobytes()
    return [flat[at : at + 16] for at in range(0, len(flat), 16)]
