"""Ticks: the whole numbers in which the agreement measures time.

A 1d tick is a calendar date in the agreed zone, counted from the date of `time.start`: it has 23 or 25 hours where the
clocks change, and a date that a zone skipped is a tick in which nothing happens. 1h and 1m ticks are elapsed UTC time
from `time.start`. Every comparison of times is made on ticks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Resolution, TimeRules
from cleanroom.errors import AgreementError

__all__ = ["TickClock", "microseconds"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND_US
_ELAPSED_US: Final = {Resolution.HOUR: 3_600 * _SECOND_US, Resolution.MINUTE: 60 * _SECOND_US}
_SCAN_US: Final = 6 * 3_600 * _SECOND_US
"""Step of the search for changes of a zone's offset; no zone of the IANA database changes twice within it."""


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickClock:
    """Turns times into ticks.

    `horizon` is the number of ticks in [time.start, time.end); a last one that is cut short counts. Inside, a tick is
    `(time_us + offset of its segment) // length - origin`: one segment for elapsed time, one a change of the zone's
    clocks for dates.
    """

    horizon: int
    length_us: int
    origin: int
    segment_start_us: NDArray[np.int64] = field(repr=False, compare=False)
    segment_offset_us: NDArray[np.int64] = field(repr=False, compare=False)

    @classmethod
    def of(cls, time: TimeRules) -> TickClock:
        """Builds the clock of an agreement.

        Raises:
            AgreementError: the zone is not in the time zone database of this machine.
        """
        start, end = microseconds(time.start), microseconds(time.end)
        if time.resolution is Resolution.DAY:
            length = _DAY_US
            starts, offsets = _segments(time.zone, start, end)
        else:
            length = _ELAPSED_US[time.resolution]
            starts, offsets = [start], [-start]
        # a zone may repeat a part of the day before midnight, so that dates go back: the extremes are over segments
        ends = [*starts[1:], end]
        firsts = [(at + offset) // length for at, offset in zip(starts, offsets, strict=True)]
        lasts = [(at - 1 + offset) // length for at, offset in zip(ends, offsets, strict=True)]
        return cls(
            horizon=max(lasts) - min(firsts) + 1,
            length_us=length,
            origin=min(firsts),
            segment_start_us=np.array(starts, dtype=np.int64),
            segment_offset_us=np.array(offsets, dtype=np.int64),
        )

    def ticks(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ticks of times inside [time.start, time.end).

        Args:
            time_us: (n,) int64, microseconds since the epoch, UTC.

        Returns:
            (n,) int64, in [0, horizon).
        """
        offset = self.segment_offset_us
        if len(offset) > 1:
            offset = offset[np.maximum(np.searchsorted(self.segment_start_us, time_us, side="right") - 1, 0)]
        ticks: NDArray[np.int64] = time_us + (offset - self.origin * self.length_us)
        ticks //= self.length_us
        return ticks

    def span(self, start: datetime, end: datetime) -> tuple[int, int]:
        """The half-open range of ticks that a period [start, end) inside the horizon touches."""
        first, last = microseconds(start), microseconds(end) - 1
        inside = self.segment_start_us[(self.segment_start_us > first) & (self.segment_start_us <= last)]
        edges = self.ticks(np.concatenate([np.array([first, last], dtype=np.int64), inside, inside - 1]))
        return int(edges.min()), int(edges.max()) + 1


def _segments(zone_name: str, start: int, end: int) -> tuple[list[int], list[int]]:
    """Cuts [start, end) where the zone's offset from UTC changes: starts and offsets in microseconds."""
    try:
        zone = ZoneInfo(zone_name)
    except (KeyError, ValueError, OSError) as reason:
        raise AgreementError(
            f"time.zone: no zone of that name in this machine's time zone database: {zone_name!r}"
        ) from reason

    def offset(at_us: int) -> int:
        shift = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).utcoffset()
        return 0 if shift is None else shift // timedelta(microseconds=1)

    starts, offsets = [start], [offset(start)]
    at = start
    while at < end - 1:
        ahead = min(at + _SCAN_US, end - 1)
        if offset(ahead) != offsets[-1]:
            low, high = at, ahead  # offset(low) is the old one, offset(high) the new one
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            starts.append(high)
            offsets.append(offset(high))
            at = high
        else:
            at = ahead
    return starts, offsets
