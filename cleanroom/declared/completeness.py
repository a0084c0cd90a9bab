"""Whether a side's data are all there: rows read against the rows that its upstream says it delivered.

The owner's manifest says for every date and event how many rows there should be. A deviation lies outside a band where
it is larger than both of its bounds, a fraction of the expected rows and an absolute number, so that neither a small
day nor a large one alarms alone. Only the verdict leaves the side (`exchange`); dates and numbers stay at home.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.completeness import Band, Completeness, Verdict
from cleanroom.agreement.model import Agreement, Resolution, Role
from cleanroom.attribution.clock import TickClock
from cleanroom.data.binding import Binding
from cleanroom.data.columns import Field, Units, amounts_of, labels_of, times_of
from cleanroom.data.source import stretches
from cleanroom.data.zones import WallClock
from cleanroom.errors import DataError

__all__ = ["COLUMNS", "Census", "CheckedCompleteness", "Deviation", "check_completeness"]

COLUMNS: Final = ("date", "event", "rows")
"""Of a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A date and event outside the warning band. Local: never sent."""

    date: date
    event: str
    expected: int
    read: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCompleteness:
    """The worst verdict over all dates and events, and where it comes from."""

    verdict: Verdict
    expected: int = field(repr=False)
    read: int = field(repr=False)
    deviations: tuple[Deviation, ...] = field(repr=False)


class Census:
    """Counts the rows of a source, by date in the agreed zone and by declared event, before any other filter."""

    def __init__(self, agreement: Agreement, role: Role) -> None:
        exposure = role is Role.EXPOSURE
        self.events = agreement.exposure.events if exposure else agreement.outcome.events
        start, end = (
            (agreement.exposure.start, agreement.exposure.end)
            if exposure
            else (agreement.time.start, agreement.time.end)
        )
        self._clock = TickClock.of(replace(agreement.time, resolution=Resolution.DAY))
        self._first, stop = self._clock.span(start, end)
        self._zone = agreement.time.zone
        self.first_date = start.astimezone(ZoneInfo(self._zone)).date()
        self.rows: NDArray[np.int64] = np.zeros((stop - self._first, len(self.events)), dtype=np.int64)

    def add(self, time_us: NDArray[np.int64], event: NDArray[np.int32]) -> None:
        """Counts n rows.

        Args:
            time_us: microseconds UTC.
            event: positions in the declared events, negative for others.
        """
        _count(self.rows, self._days(time_us), event, np.ones(len(event), dtype=np.int64))

    def expected(self, manifest: Binding) -> NDArray[np.int64]:
        """Reads a manifest: dates × events, 0 where it has no line.

        Raises:
            DataError: it cannot be read, a line is malformed, or a date and event come twice.
        """
        found = np.full_like(self.rows, -1)
        clock = WallClock(self._zone)
        for stretch in stretches(manifest, COLUMNS):
            day = self._days(times_of(stretch.fields["date"], clock))
            event = labels_of(stretch.fields["event"], self.events)
            counted = np.ones(stretch.rows, dtype=np.bool_)
            rows = _row_counts(stretch.fields["rows"], counted)
            inside = (day >= 0) & (day < len(found)) & (event >= 0)
            code = day * len(self.events) + event
            seen = np.zeros(stretch.rows, dtype=np.bool_)
            seen[inside] = found.reshape(-1)[code[inside]] >= 0
            _, place = np.unique(code[inside], return_index=True)
            again = np.ones(int(np.count_nonzero(inside)), dtype=np.bool_)
            again[place] = False
            seen[np.flatnonzero(inside)[again]] = True
            stretch.fields["date"].first_fault(seen, "expected one line a date and event, found a second")
            found.reshape(-1)[code[inside]] = rows[inside]
        return np.maximum(found, 0)

    def _days(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._clock.ticks(time_us) - self._first


def check_completeness(rules: Completeness, census: Census, manifest: Binding) -> CheckedCompleteness:
    """Compares what was read with what should have been.

    Args:
        rules: the agreed bands.
        census: of all rows that were read.
        manifest: the columns date, event and rows.

    Raises:
        DataError: the manifest cannot be read.
    """
    expected = census.expected(manifest)
    deviations: list[Deviation] = []
    for day, event in np.argwhere(expected != census.rows).tolist():
        should, has = int(expected[day, event]), int(census.rows[day, event])
        verdict = _verdict(rules, should, has)
        if verdict is not Verdict.COMPLETE:
            deviations.append(
                Deviation(
                    date=census.first_date + timedelta(days=day),
                    event=census.events[event],
                    expected=should,
                    read=has,
                    verdict=verdict,
                )
            )
    worst = max((entry.verdict for entry in deviations), key=list(Verdict).index, default=Verdict.COMPLETE)
    return CheckedCompleteness(
        verdict=worst, expected=int(expected.sum()), read=int(census.rows.sum()), deviations=tuple(deviations)
    )


def _row_counts(column: Field, counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    try:
        return amounts_of(column, Units(0), counted, counted)
    except DataError as error:
        where, _, _ = str(error).rpartition(": ")  # the reader speaks of amounts
        raise DataError(f"{where}: expected a whole number of rows") from None


def _verdict(rules: Completeness, expected: int, read: int) -> Verdict:
    for band, verdict in ((rules.failure, Verdict.FAILURE), (rules.warning, Verdict.WARNING)):
        if _outside(band, expected, read):
            return verdict
    return Verdict.COMPLETE


def _outside(band: Band, expected: int, read: int) -> bool:
    """Whether a deviation is larger than both bounds; rows that nobody expected are larger than any fraction."""
    deviation = abs(expected - read)
    return deviation > band.rows and deviation > Fraction(band.fraction) * expected


def _count(table: NDArray[np.int64], day: NDArray[np.int64], event: NDArray[np.int32], rows: NDArray[np.int64]) -> None:
    inside = (day >= 0) & (day < len(table)) & (event >= 0)
    code = day[inside] * table.shape[1] + event[inside]
    table += np.bincount(code, weights=rows[inside], minlength=table.size).astype(np.int64).reshape(table.shape)
