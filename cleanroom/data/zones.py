"""Wall-clock times to UTC.

A naive time that happens twice (clocks go back) is the earlier of the two; one that never happens (clocks go forward)
is read with the offset before the change, as PEP 495 does with fold=0.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

__all__ = ["WallClock"]

# Every zone changes its offset on a quarter of an hour of its wall clock, so one lookup serves a whole slot.
_SLOT_US: Final = 15 * 60 * 1_000_000
_EPOCH: Final = datetime(1970, 1, 1)
_SECOND: Final = timedelta(seconds=1)


class WallClock:
    """A zone's wall clock, with the offsets it was asked for so far."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._fixed = zone in ("UTC", "Etc/UTC", "Z")
        self._offsets: dict[int, int] = {}

    def to_utc(self, wall_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Converts microseconds on the wall clock since 1970-01-01T00:00 to microseconds UTC, n entries each.

        The years must be those of `datetime`, 1 to 9999.
        """
        if self._fixed or len(wall_us) == 0:
            return wall_us
        slots, where = np.unique(wall_us // _SLOT_US, return_inverse=True)
        offsets = np.array([self._offset_us(int(slot)) for slot in slots], dtype=np.int64)
        return wall_us - offsets[where]

    def _offset_us(self, slot: int) -> int:
        offset = self._offsets.get(slot)
        if offset is None:
            wall = (_EPOCH + timedelta(microseconds=slot * _SLOT_US)).replace(tzinfo=self._zone)
            shift = wall.utcoffset() or timedelta()
            offset = self._offsets[slot] = shift // _SECOND * 1_000_000
        return offset
