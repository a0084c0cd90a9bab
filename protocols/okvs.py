"""Oblivious key-value store: one table that gives every programmed key its value and says nothing about which keys.

Functionality: encode n points (key → w words) into a table; decode any key. A programmed key gives its value, any other
key a sum of table entries.

Security model: the table of values that look random to the reader is itself uniform, whatever the keys were: the values
of a solvable linear system are uniform, so its solutions are, provided that every column which no row decides is filled
from a stream (a zero there would show that no key covers it). The table's size depends on n and w alone.

What each party learns: the reader learns the values of the keys that it asks, nothing about the number or identity of
others. Rounds: one message (the table is sent by `hint`). Bytes: 8w · (⌈1.1 n⌉ + 255).

Source: Bienstock, Patel, Seo, Yeo, "Near-Optimal Oblivious Key-Value Stores for Efficient PSI, PSU and Volume-Hiding
Multi-Maps" (RB-OKVS), ePrint 2023/903: a random band of coefficients a key.

Failure: the paper fits lambda = 0.2751 w - 19.830 for expansion 10 % (quoted from public implementations of it), which
asks for w = 218 at lambda = 40; we take w = 256, which by that fit gives 50 bits. `failure_bits` bounds it from below
for any size: with starts uniform the backlog of the elimination is an M/D/1 queue of load 1/1.1, whose tail loses
0.2708 bits a column; a key is lost where the backlog reaches the band. It gives 46 bits at 3 · 2^20 points and 42 at
3 · 2^24. Failures counted at narrow bands (10^3 and 10^4 points, 40 to 56 columns) fall at that rate and lie 6 bits
below the bound.

Departures: the number of first columns is ⌈1.1 n⌉ and 255 columns follow them, so that the load is exactly 1/1.1 also
in small tables and tiny ones need no special case; coefficients and first column come from SHA-256 under a fresh seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels

__all__ = ["BAND", "SEED_BYTES", "Shape", "decode", "encode", "failure_bits", "shape_of"]

BAND: Final = 256
"""Coefficients a key: four words."""
EXPANSION_TENTHS: Final = 11
"""First columns a point, in tenths."""
DECAY_BITS: Final = 0.2707
"""Bits that the backlog's tail loses a column at load 1/1.1: x / ln 2 with (e^x - 1) / 1.1 = x."""
SLACK_BITS: Final = 1.4
"""What random dependencies near a full band add: log2 of the sum over k >= 0 of 2^(0.27 k - k)."""
SEED_BYTES: Final = 16

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The public size of a table."""

    starts: int
    """How many columns a band may begin at."""
    band: int
    """Columns that a band covers."""
    words: int
    """64-bit words of a value."""

    @property
    def columns(self) -> int:
        """Rows of the table: one value each."""
        return self.starts + self.band - 1

    @property
    def size(self) -> int:
        """Bytes of the table."""
        return 8 * self.words * self.columns


def shape_of(n_points: int, words: int) -> Shape:
    """Returns the table's shape for a public number of points.

    Args:
        n_points: points of an encoding, at least 1.
        words: 64-bit words of a value, at least 1.

    Raises:
        ValueError: an argument is below 1.
    """
    if n_points < 1 or words < 1:
        raise ValueError("a table holds at least one point of one word")
    return Shape(starts=-(-n_points * EXPANSION_TENTHS // 10), band=BAND, words=words)


def failure_bits(n_points: int, band: int = BAND) -> float:
    """Bounds the probability that encoding fails: at most 2 to the minus this.

    Args:
        n_points: points of an encoding.
        band: coefficients a key.
    """
    return DECAY_BITS * band - math.log2(n_points) - SLACK_BITS


def encode(keys: NDArray[np.uint8], values: Words, *, seed: bytes, fill_key: bytes, shape: Shape) -> Words | None:
    """Encodes points.

    Args:
        keys: n × L bytes, distinct; n at most what the shape was made for.
        values: n × w words.
        seed: 16 bytes, public, fresh for every attempt.
        fill_key: 32 bytes; its key stream fills every column that no row decides.
        shape: from `shape_of`.

    Returns:
        columns × w words, or None if this seed gives no solution.

    Raises:
        ValueError: an argument is malformed.
    """
    if values.shape[1:] != (shape.words,):
        raise ValueError(f"values of {shape.words} words expected")
    return _kernels.okvs_encode(keys, values, seed, fill_key, shape.starts, shape.band)


def decode(keys: NDArray[np.uint8], table: Words, *, seed: bytes, shape: Shape) -> Words:
    """Decodes keys.

    Args:
        keys: n × L bytes.
        table: columns × w words.
        seed: the encoder's.
        shape: the encoder's.

    Returns:
        n × w words.

    Raises:
        ValueError: an argument is malformed.
    """
    if table.shape != (shape.columns, shape.words):
        raise ValueError(f"a table of {shape.columns} × {shape.words} words expected")
    return _kernels.okvs_decode(keys, table, seed, shape.starts, shape.band)
