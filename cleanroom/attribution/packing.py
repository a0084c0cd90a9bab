"""How the values of an outcome row are packed into words, for rows that are kept: each in the bits that it can need.

The bits follow from the agreement alone, never from the data: rows of one agreement are of one length whatever they
say, so that what is done with them takes as long. A value of zero is zero bits and nothing else is, so that a row that
is not all zeros has words that are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.clock import TickClock
from cleanroom.errors import CleanroomError
from cleanroom.plan import Plan, RowValue

__all__ = ["OUT_OF_BOUNDS", "Packing"]

OUT_OF_BOUNDS: Final = "a row value is not what the agreement's caps allow"

_MOST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """The form of rows with given bounds on their values."""

    bounds: tuple[tuple[int, int], ...]
    """Of every value the least and the most that it can be; zero is within them."""

    @staticmethod
    def of(agreement: Agreement, plan: Plan) -> Packing:
        """That of an agreement's rows.

        Args:
            agreement: says how long a suffix value's time is.
            plan: of the same agreement.
        """
        horizon = TickClock.of(agreement.time).horizon
        return Packing(bounds=tuple(_bounds(value, horizon) for value in plan.row_values))

    @staticmethod
    def whole(columns: int) -> Packing:
        """That of values that can be anything: each is a word."""
        return Packing(bounds=((-_MOST - 1, _MOST),) * columns)

    @property
    def words(self) -> int:
        """How many words the values of a row take."""
        return _kernels.packed_words(self.bounds)

    def packed(self, values: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Packs rows of values.

        Args:
            values: n × columns.

        Returns:
            n × words.

        Raises:
            CleanroomError: a value is outside of its bounds.
        """
        try:
            return _kernels.pack_values(np.ascontiguousarray(values), self.bounds)
        except _kernels.BoundsError:
            raise CleanroomError(OUT_OF_BOUNDS) from None

    def unpacked(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """And back: n × words to n × columns."""
        return _kernels.unpack_values(np.ascontiguousarray(words), self.bounds)


def _bounds(value: RowValue, horizon: int) -> tuple[int, int]:
    """What a value can be; `RowValue` says what it is.

    A clipped sum holds the cap at most in any window, so a suffix holds it as often as windows cover the horizon.
    """
    most = value.cap
    if value.suffix:
        most *= -(-horizon // max(1, value.window_ticks or 1))
    if value.squared:
        return 0, min(most**2, _MOST)
    return -most if value.change else 0, min(most, _MOST)
