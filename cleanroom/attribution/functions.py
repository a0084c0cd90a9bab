"""Row values as functions of time: what a person did, as seen from a tick τ.

A window value is the capped count or sum over [τ, τ + X), or [τ − X, τ) for the time before; an outcome at t is active
for τ in [t − X + 1, t + 1), or [t + 1, t + X + 1). A suffix value is the sum over all t >= τ after the sliding clip of
convention 9: an outcome counts for no more than what the X ticks that end with it leave of the cap, so that no window
of X ticks holds more than the cap. Clipped or not, only sums of a tick matter: the order of events within one changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom._kernels import BoundsError, step_pieces
from cleanroom.agreement.model import Agreement, Measure, Period
from cleanroom.attribution.clock import TickClock
from cleanroom.attribution.credit import breakpoints
from cleanroom.attribution.packing import OUT_OF_BOUNDS, Packing
from cleanroom.attribution.runs import distinct
from cleanroom.attribution.touched import instant_ticks
from cleanroom.errors import CleanroomError
from cleanroom.plan import FamilyKind, Plan, RowValue

__all__ = ["Done", "Frame", "StepFunctions"]

_NO_CAP: Final = (1 << 63) - 1
"""Of a suffix value: its outcomes are clipped, their sum is not."""

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Outcomes of whole persons, sorted by (person, event, …): (n,) each; label is (n, labels), None where unused."""

    tick: Ints = field(repr=False)
    event: NDArray[np.int32] = field(repr=False)
    value: Ints = field(repr=False)
    label: NDArray[np.int16] | None = field(repr=False)
    event_key: Ints | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepFunctions:
    """All row values of a plan, as `step_pieces` takes them: tables of int64, each row one thing of its kind."""

    frame: Frame
    packing: Packing  # of row values
    labelled: bool  # whether outcomes come in parts with labels
    sources: Ints = field(repr=False)  # (s, 3): event, column of a label or -1, position among its values
    totals: Ints = field(repr=False)  # (t, 4): source, whether of values (or of outcomes), cap, window of the clip or 0
    cursors: Ints = field(repr=False)  # (c, 2): source, offset
    figures: Ints = field(repr=False)  # (f, 9): column, total, four cursors, cap, whether squared, whether touches only
    looks: Ints = field(repr=False)  # (l, 3): two cursors, whether touches only

    @staticmethod
    def of(agreement: Agreement, plan: Plan) -> StepFunctions:
        """Those of an agreement's plan."""
        return _Builder(agreement, plan).build()

    def pieces(self, person: NDArray[np.uint8], done: Done) -> tuple[int, Ints, Ints, Ints, Words]:
        """The pieces of time on which all values of a person stay the same; at points, each is one tick.

        Args:
            person: (n, 16) uint8, whose outcome each is; a person's lie together.
            done: n outcomes.

        Returns:
            How many people there are; and of k pieces: the first row of the person, ascending; the first tick; the tick
            past the last; and the row values, packed, never all zero.

        Raises:
            CleanroomError: a value needs more than 63 bits, or is outside of its bounds.
        """
        frame = self.frame
        points = None
        if frame.points is not None and frame.instants is not None:
            points = frame.points, np.isin(frame.points, frame.instants)
        labels = None
        if self.labelled and done.label is not None and done.event_key is not None:
            labels = np.ascontiguousarray(done.label), np.ascontiguousarray(done.event_key)
        try:
            return step_pieces(
                np.ascontiguousarray(person),
                np.ascontiguousarray(done.tick),
                np.ascontiguousarray(done.event),
                np.ascontiguousarray(done.value),
                labels,
                (self.sources, self.totals, self.cursors, self.figures, self.looks),
                (frame.start, frame.touch_end, frame.end),
                points,
                self.packing.bounds,
            )
        except OverflowError:
            raise CleanroomError("a row value needs more than 63 bits") from None
        except BoundsError:
            raise CleanroomError(OUT_OF_BOUNDS) from None


class _Rows:
    """A table in the making, whose rows are distinct."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._places: dict[tuple[int, ...], int] = {}

    def place(self, *row: int) -> int:
        """Where a row is."""
        return self._places.setdefault(row, len(self._places))

    def table(self) -> Ints:
        return np.array(list(self._places), dtype=np.int64).reshape(-1, self._width)


class _Builder:
    """Row values as totals between cursors; what several values share is there once."""

    def __init__(self, agreement: Agreement, plan: Plan) -> None:
        self._agreement = agreement
        self._plan = plan
        self._frame = Frame.of(agreement, plan)
        self._sources, self._totals, self._cursors = _Rows(3), _Rows(4), _Rows(2)
        self._figures, self._looks = _Rows(9), _Rows(3)

    def build(self) -> StepFunctions:
        for column, value in enumerate(self._plan.row_values):
            if value.event is not None:
                self._add(column, value)
        return StepFunctions(
            frame=self._frame,
            packing=Packing.of(self._agreement, self._plan),
            labelled=bool(self._agreement.labels_in_use),
            sources=self._sources.table(),
            totals=self._totals.table(),
            cursors=self._cursors.table(),
            figures=self._figures.table(),
            looks=self._looks.table(),
        )

    def _add(self, column: int, value: RowValue) -> None:
        event = self._agreement.outcome.events.index(str(value.event))
        touch_only = self._plan.families[value.family].kind is FamilyKind.WINDOW
        window = value.window_ticks or 0
        source = self._sources.place(event, *self._label(value))
        clip = (value.cap, window) if value.suffix else (_NO_CAP, 0)  # a capped sum is the same of capped amounts
        total = self._totals.place(source, value.measure is Measure.SUM, *clip)
        spans = self._spans(source, value)
        nothing = (spans[0][1], spans[0][1])
        minus = spans[1] if value.change else nothing
        cap = _NO_CAP if value.suffix else value.cap
        self._figures.place(column, total, *spans[0], *minus, cap, value.squared, touch_only)
        if self._frame.points is not None:
            # whatever the label: at such a point all values are looked at
            for span in self._spans(self._sources.place(event, -1, 0), value):
                self._looks.place(*span, touch_only)

    def _label(self, value: RowValue) -> tuple[int, int]:
        if value.label is None:
            return -1, 0
        labels = self._agreement.labels_in_use
        column = [label.column for label in labels].index(value.label[0])
        return column, labels[column].values.index(value.label[1])

    def _spans(self, source: int, value: RowValue) -> list[tuple[int, int]]:
        """The cursors between which the outcomes are that a value looks at: after a tick, before it, or both."""
        window, now = value.window_ticks or 0, self._cursors.place(source, 1)
        if value.suffix:
            return [(self._cursors.place(source, -self._frame.horizon), now)]  # that one has passed all of them
        after = self._cursors.place(source, 1 - window), now
        if value.change:
            return [after, (now, self._cursors.place(source, window + 1))]
        return [after] if value.period is Period.AFTER else [(now, self._cursors.place(source, window + 1))]
