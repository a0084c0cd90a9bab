"""The random-band system with integers as rows: solved column by column, one row at a time.

A value of w words is one integer, word 0 lowest; so is a column of the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.slow.streams import keystream

__all__ = ["Shape", "band_of", "decode", "encode", "shape_of", "solve", "table_bytes"]

_BAND: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The public size of a table: first columns, columns of a band, 64-bit words of a value."""

    starts: int
    band: int
    words: int

    @property
    def columns(self) -> int:
        """Columns in all."""
        return self.starts + self.band - 1


def shape_of(points: int, words: int) -> Shape:
    """The shape for a number of points."""
    return Shape(starts=-(-11 * points // 10), band=_BAND, words=words)


def band_of(key: bytes, seed: bytes, shape: Shape) -> tuple[int, int]:
    """Returns a key's first column and its coefficients, bit i for column first + i."""
    first, coefficients = (hashlib.sha256(b"okvs/v1" + bytes([tag]) + seed + key).digest() for tag in (0, 1))
    start = int.from_bytes(first[:8], "little") * shape.starts >> 64
    return start, int.from_bytes(coefficients, "little") & ((1 << shape.band) - 1)


def encode(
    keys: Sequence[bytes], values: Sequence[int], *, seed: bytes, fill_key: bytes, shape: Shape
) -> list[int] | None:
    """The table, with the fill's stream in the columns that no row decides; None if there is none under this seed."""
    size = 8 * shape.words
    fill = keystream(fill_key, size * shape.columns)
    table = [int.from_bytes(fill[at : at + size], "little") for at in range(0, len(fill), size)]
    return solve(keys, values, seed=seed, fill=table, shape=shape)


def solve(
    keys: Sequence[bytes], values: Sequence[int], *, seed: bytes, fill: Sequence[int], shape: Shape
) -> list[int] | None:
    """Solves the system with `fill` in the columns that no row decides."""
    table = list(fill)
    claimed: dict[int, tuple[int, int]] = {}
    rows = [(*band_of(key, seed, shape), value) for key, value in zip(keys, values, strict=True)]
    for start, coefficients, value in sorted(rows, key=lambda row: row[0]):
        band = coefficients << start
        while band:
            column = (band & -band).bit_length() - 1
            if column not in claimed:
                claimed[column] = (band, value)
                break
            band, value = band ^ claimed[column][0], value ^ claimed[column][1]
        if not band:
            return None
    for column in sorted(claimed, reverse=True):
        band, value = claimed[column]
        table[column] = value ^ _product(band ^ (1 << column), table)
    return table


def decode(keys: Sequence[bytes], table: Sequence[int], *, seed: bytes, shape: Shape) -> list[int]:
    """The value of each key."""
    bands = (band_of(key, seed, shape) for key in keys)
    return [_product(coefficients << start, table) for start, coefficients in bands]


def table_bytes(table: Sequence[int], shape: Shape) -> bytes:
    """The table as it is sent."""
    return b"".join(column.to_bytes(8 * shape.words, "little") for column in table)


def _product(band: int, table: Sequence[int]) -> int:
    total = 0
    while band:
        lowest = band & -band
        total ^= table[lowest.bit_length() - 1]
        band ^= lowest
    return total
