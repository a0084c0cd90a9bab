"""Texts by the thousand: fixed patterns filled with digits, as bytes in a matrix, then as an Arrow array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom.simulate.draws import Ints

__all__ = ["Texts", "digits"]

_HEX: Final = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_FILL: Final = ord("#")


class Texts:
    """n texts of at most `width` bytes each, none at first (null)."""

    def __init__(self, count: int, width: int) -> None:
        """Args:
        count: n.
        width: of the longest pattern that will be written.
        """
        self._bytes = np.zeros((count, width), dtype=np.uint8)
        self._length = np.zeros(count, dtype=np.int32)
        self._valid = np.zeros(count, dtype=np.bool_)

    def write(
        self, rows: NDArray[np.bool_], pattern: str, filling: NDArray[np.uint8] | None = None, *, upper: bool = False
    ) -> None:
        """Writes a pattern into some rows.

        Args:
            rows: which of the n.
            pattern: ASCII; each # takes the next of the row's digits.
            filling: n × k ASCII digits, k at least the number of #.
            upper: letters of the result in upper case.
        """
        shape = np.frombuffer(pattern.encode(), dtype=np.uint8)
        where = np.nonzero(rows)[0]
        text = np.tile(shape, (len(where), 1))
        if filling is not None:
            gaps = np.nonzero(shape == _FILL)[0]
            text[:, gaps] = filling[where, : len(gaps)]
        if upper:
            text -= ((text >= ord("a")) & (text <= ord("z"))).astype(np.uint8) * np.uint8(32)
        self._bytes[where, : len(shape)] = text
        self._length[where] = len(shape)
        self._valid[where] = True

    def write_each(self, rows: NDArray[np.bool_], values: Sequence[str]) -> None:
        """Writes a text of its own, of equal length, into each of some rows, in their order."""
        where = np.nonzero(rows)[0]
        if len(where) == 0:
            return
        text = np.frombuffer("".join(values).encode(), dtype=np.uint8).reshape(len(where), -1)
        self._bytes[where, : text.shape[1]] = text
        self._length[where] = text.shape[1]
        self._valid[where] = True

    def array(self) -> pa.StringArray:
        """The texts as an Arrow array."""
        length = np.where(self._valid, self._length, 0)
        offsets = np.zeros(len(length) + 1, dtype=np.int32)
        np.cumsum(length, out=offsets[1:])
        used = self._bytes[:, : int(length.max(initial=0))]
        data = used[np.arange(used.shape[1]) < length[:, None]]
        valid = np.packbits(self._valid, bitorder="little")
        return pa.StringArray.from_buffers(
            len(length), pa.py_buffer(offsets), pa.py_buffer(data), pa.py_buffer(valid), -1, 0
        )


def digits(numbers: Ints, count: int, *, base: int = 10) -> NDArray[np.uint8]:
    """The last `count` digits of n numbers that are not negative, as n × count ASCII bytes, most significant first."""
    found = np.empty((len(numbers), count), dtype=np.uint8)
    rest = numbers
    for place in range(count - 1, -1, -1):
        left = rest // base  # by a constant: far faster than divmod
        found[:, place] = _HEX[rest - left * base]
        rest = left
    return found
