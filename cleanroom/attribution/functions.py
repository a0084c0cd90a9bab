"""Row values as functions of time: what a person did, as seen from a tick τ.

A window value is the capped count or sum over [τ, τ + X), or [τ − X, τ) for the time before; an outcome at t is active
for τ in [t − X + 1, t + 1), or [t + 1, t + X + 1). A suffix value is the sum over all t >= τ after the sliding clip of
convention 9: an outcome counts for no more than what the X ticks that end with it leave of the cap, so that no window
of X ticks holds more than the cap. Clipped or not, only sums of a tick matter: the order of events within one changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Measure, Period
from cleanroom.attribution.clock import TickClock
from cleanroom.attribution.credit import breakpoints
from cleanroom.attribution.runs import changes, distinct, expand
from cleanroom.attribution.touched import instant_ticks
from cleanroom.plan import FamilyKind, Plan, RowValue

__all__ = ["Done", "Frame", "places_of", "values_at"]

_INT64_LIMIT: Final = 1 << 63

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where in time the exposure side can look: [start, end), or only at `points`."""

    clock: TickClock
    start: int
    touch_end: int  # windows are looked up before it
    end: int  # credit and its gates before this
    instants: Ints | None = field(repr=False)  # ticks of touches, where they are agreed
    points: Ints | None = field(repr=False)  # instants and the breakpoints of credit

    @staticmethod
    def of(agreement: Agreement, plan: Plan) -> Frame:
        """The frame of an agreement."""
        clock = TickClock.of(agreement.time)
        start, touch_end = clock.span(agreement.exposure.start, agreement.exposure.end)
        windows = {family.window_ticks or 0 for family in plan.families if family.kind is FamilyKind.CREDIT}
        instants = instant_ticks(agreement, clock)
        points = instants
        if instants is not None and windows:
            points = distinct(np.concatenate([instants, breakpoints(agreement, instants, windows, clock.horizon)]))
        return Frame(
            clock=clock,
            start=start,
            touch_end=touch_end,
            end=min(touch_end + max(windows, default=0), clock.horizon),
            instants=instants,
            points=points,
        )

    @property
    def horizon(self) -> int:
        """Ticks in all."""
        return self.clock.horizon

    @property
    def stride(self) -> int:
        """(person, tick) as one ascending number is person * stride + tick."""
        return self.horizon + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Outcomes of some persons, sorted by (owner, event, …): (n,) each; label is (n, labels), None where unused."""

    owner: Ints = field(repr=False)
    tick: Ints = field(repr=False)
    event: Ints = field(repr=False)
    value: Ints = field(repr=False)
    label: NDArray[np.int16] | None = field(repr=False)
    event_key: Ints | None = field(repr=False)


def places_of(agreement: Agreement, plan: Plan, frame: Frame, done: Done) -> Ints:
    """Where any value of a person may begin to differ (or with points: may be other than zero), ascending.

    Returns:
        (k,) int64: person * stride + tick, distinct.
    """
    found = [np.zeros(0, dtype=np.int64)]
    shapes = dict.fromkeys(
        (agreement.outcome.events.index(value.event), value.window_ticks or 0, period, _touch_only(plan, value))
        for value in plan.row_values
        if value.event is not None
        for period in _periods(value)
    )
    for event, window, period, touch_only in shapes:
        chosen = done.event == event
        owner, tick = done.owner[chosen], done.tick[chosen]
        if period is None:
            # all that lies before the person's last outcome
            last = np.full(int(done.owner.max(initial=-1)) + 1, -1, dtype=np.int64)
            np.maximum.at(last, owner, tick)
            people = np.flatnonzero(last >= 0)
            low, high = np.zeros(len(people), dtype=np.int64), last[people] + 1
            owner = people if frame.points is not None else owner
        elif period is Period.BEFORE:
            low, high = tick + 1, tick + window + 1
        else:
            low, high = tick - window + 1, tick + 1
        if frame.points is not None and frame.instants is not None:
            found.append(_points_between(frame.instants if touch_only else frame.points, frame, owner, low, high))
        elif period is None:
            inside = tick >= frame.start
            base = owner[inside] * frame.stride
            found += [base + frame.start, (base + tick[inside] + 1)[tick[inside] + 1 < frame.end]]
        else:
            end = frame.touch_end if touch_only else frame.end
            inside = (high > frame.start) & (low < end)
            base = owner[inside] * frame.stride
            found += [base + np.maximum(low[inside], frame.start), (base + high[inside])[high[inside] < end]]
    if frame.points is None and frame.end > frame.touch_end:
        found.append(distinct(done.owner) * frame.stride + frame.touch_end)  # windows end here, suffix sums go on
    return distinct(np.concatenate(found))


def values_at(agreement: Agreement, plan: Plan, frame: Frame, done: Done, places: Ints) -> Ints:
    """Every row value at every place.

    Args:
        agreement: for the events and labels.
        plan: for the values.
        frame: where in time.
        done: the outcomes.
        places: of `places_of`.

    Returns:
        (k, row values) int64.
    """
    vector = np.zeros((len(places), len(plan.row_values)), dtype=np.int64)
    late = places % frame.stride >= frame.touch_end
    sources: dict[tuple[str | None, tuple[str, str] | None], list[int]] = {}
    for index, value in enumerate(plan.row_values):
        if value.event is not None:
            sources.setdefault((value.event, value.label), []).append(index)
    firsts = _Firsts(done)
    for (event, label), indices in sources.items():
        chosen = np.flatnonzero(done.event == agreement.outcome.events.index(str(event)))
        column = None
        if label is not None and done.label is not None:
            column = [one.column for one in agreement.labels_in_use].index(label[0])
            position = agreement.labels_in_use[column].values.index(label[1])
            chosen = chosen[done.label[chosen, column] == position]
        at = done.owner[chosen] * frame.stride + done.tick[chosen]
        if (at[1:] < at[:-1]).any():  # a date can go back where a zone's clocks do, and labels come one by one
            order = np.argsort(at, kind="stable")
            at, chosen = at[order], chosen[order]
        source = _Source(frame, at, done.value[chosen], firsts.of(column)[chosen], places)
        for index in indices:
            value = plan.row_values[index]
            figure = source.figure(value)
            if _touch_only(plan, value) and frame.points is None:
                figure = np.where(late, 0, figure)
            vector[:, index] = figure
    return vector


def _periods(value: RowValue) -> tuple[Period | None, ...]:
    """Where a value looks: None for all that is to come."""
    if value.suffix:
        return (None,)
    return (Period.AFTER, Period.BEFORE) if value.change else (value.period,)


def _touch_only(plan: Plan, value: RowValue) -> bool:
    """Whether it is looked up at touches alone, not at the breakpoints of credit."""
    return plan.families[value.family].kind is FamilyKind.WINDOW


def _points_between(points: Ints, frame: Frame, owner: Ints, low: Ints, high: Ints) -> Ints:
    first = np.searchsorted(points, low, side="left")
    count = np.maximum(np.searchsorted(points, high, side="left") - first, 0)
    return distinct(np.repeat(owner * frame.stride, count) + points[expand(first, count)])


class _Firsts:
    """Which rows begin an event: an event whose lines have several labels comes as several rows, and counts once.

    Counted by a label it counts once for each value of that label.
    """

    def __init__(self, done: Done) -> None:
        self._done = done
        self._known: dict[int | None, Ints] = {}

    def of(self, column: int | None) -> Ints:
        """1 for every row that counts, 0 for the others, by the label at `column` or by none."""
        if column not in self._known:
            self._known[column] = self._count(column)
        return self._known[column]

    def _count(self, column: int | None) -> Ints:
        done = self._done
        ones = np.ones(len(done.owner), dtype=np.int64)
        if done.label is None or done.event_key is None:
            return ones
        named = np.flatnonzero(done.event_key >= 0)
        by = [done.event_key[named], done.event[named], done.owner[named]]
        if column is not None:
            by.insert(0, done.label[named, column].astype(np.int64))
        order = np.lexsort(by)
        ones[named[order[~changes(*(key[order] for key in by))]]] = 0
        return ones


class _Source:
    """The outcomes that some values look at, as seen from every place.

    Looking places up is what costs, so it is done once for all values that look at the same stretch of time.
    """

    def __init__(self, frame: Frame, at: Ints, money: Ints, counts: Ints, places: Ints) -> None:
        self._at, self._money, self._counts, self._places = at, money, counts, places
        self._stride = frame.stride
        self._base = places - places % frame.stride
        self._limit = self._base + frame.horizon  # outcomes of the same person end here, windows too
        self._here: Ints | None = None
        self._windows: dict[tuple[int, Period], Ints] = {}
        self._to_come: tuple[Ints, Ints] | None = None

    def figure(self, value: RowValue) -> Ints:
        """One value at every place."""
        if value.suffix:
            return self._suffix(value)
        figures = {period: self._window(value, period) for period in _periods(value) if period is not None}
        figure = figures[Period.AFTER] - figures[Period.BEFORE] if value.change else figures[value.period]
        return figure * figure if value.squared else figure

    def _window(self, value: RowValue, period: Period) -> Ints:
        window = value.window_ticks or 0
        if self._here is None:
            self._here = np.searchsorted(self._at, self._places, side="left")
        low = high = self._here
        if (window, period) not in self._windows:
            if period is Period.AFTER:
                other = np.minimum(self._places + window, self._limit)
            else:
                other = np.maximum(self._places - window, self._base)
            self._windows[window, period] = np.searchsorted(self._at, other, side="left")
        if period is Period.AFTER:
            high = self._windows[window, period]
        else:
            low = self._windows[window, period]
        total = _totals(self._money if value.measure is Measure.SUM else self._counts, value.cap)
        figure: Ints = np.minimum(total[high] - total[low], value.cap).astype(np.int64, copy=False)
        return figure

    def _suffix(self, value: RowValue) -> Ints:
        amounts = self._money if value.measure is Measure.SUM else self._counts
        at, clipped = _clipped(self._at, amounts, value.cap, value.window_ticks or 0, self._stride)
        if self._to_come is None:  # the ticks with an outcome are the same for every value
            low = np.searchsorted(at, self._places, side="left")
            self._to_come = low, np.searchsorted(at, self._limit, side="left")
        low, high = self._to_come
        total = np.concatenate([np.zeros(1, dtype=clipped.dtype), np.cumsum(clipped)])
        figure: Ints = (total[high] - total[low]).astype(np.int64, copy=False)
        return figure


def _totals(value: Ints, cap: int) -> NDArray[Any]:
    """Running totals from 0; values over the cap count as the cap, which changes no capped sum.

    The totals are Python integers where 64 bits might not hold them.
    """
    clipped = np.minimum(value, cap)
    wide = int(clipped.max(initial=0)) * len(clipped) >= _INT64_LIMIT
    total: NDArray[Any] = np.zeros(len(value) + 1, dtype=np.object_ if wide else np.int64)
    total[1:] = np.cumsum(clipped.astype(total.dtype, copy=False))
    return total


def _clipped(at: Ints, value: Ints, cap: int, window: int, stride: int) -> tuple[Ints, NDArray[Any]]:
    """Sums of each (person, tick) after the sliding clip: no window of that many ticks holds more than the cap.

    Args:
        at: (n,) person * stride + tick, ascending.
        value: (n,) >= 0.
        cap: of a window, in integer units.
        window: X, in ticks.
        stride: of `at`.

    Returns:
        The distinct `at` and what each keeps.
    """
    first = np.flatnonzero(changes(at)) if len(at) else np.zeros(0, dtype=np.int64)
    total = _totals(value, cap)
    sums = np.minimum(total[np.append(first[1:], len(at))] - total[first], cap)
    at = at[first]
    base = at - at % stride
    low = np.searchsorted(at, np.maximum(at - window + 1, base), side="left")
    running = np.concatenate([np.zeros(1, dtype=total.dtype), np.cumsum(sums.astype(total.dtype))])
    over = running[1:] - running[low] > cap
    if not over.any():
        return at, sums
    owner = at // stride
    clipped = np.isin(owner, owner[over])  # the others' windows hold what they hold
    places = np.flatnonzero(clipped)
    kept = sums.astype(np.object_) if total.dtype == np.object_ else sums.copy()
    rank = np.full(len(at) + 1, 0, dtype=np.int64)
    rank[places] = np.arange(len(places))
    so_far = [0]
    for amount, begin in zip(sums[places].tolist(), rank[low[places]].tolist(), strict=True):
        so_far.append(so_far[-1] + min(amount, cap - (so_far[-1] - so_far[begin])))
    kept[places] = np.diff(np.array(so_far, dtype=kept.dtype))
    return at, kept
