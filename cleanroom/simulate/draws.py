"""Random numbers by address: what is drawn depends on the seed, the name of the stream and the index, on nothing else.

A generator with a state would tie a value to everything that was drawn before it, and so to the size of a block. Here
a draw is two rounds of the SplitMix64 finaliser (Steele, Lea, Flood, OOPSLA 2014; constants of Stafford's mix 13) over
the index, keyed with SHA-256 of seed and stream. All arithmetic is on integers, so every machine gets the same values.
It is for simulation, not for secrets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "Ints", "Table", "Words", "probability_of"]

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_LABEL: Final = b"cleanroom/simulate/v1"
_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_CERTAIN: Final = 1 << 63
"""Probabilities are integers of 63 bits: this one is 1."""
_30, _27, _31, _32, _1 = (np.uint64(bits) for bits in (30, 27, 31, 32, 1))


class Table:
    """A distribution over 0 … k − 1, from integer weights."""

    def __init__(self, weights: Sequence[int]) -> None:
        """Args:
        weights: k integers, not negative, not all zero.
        """
        total, so_far, edges = sum(weights), 0, []
        for weight in weights:
            so_far += weight
            edges.append(_CERTAIN * so_far // total)
        self.weights = tuple(weights)
        self._edges: Words = np.array(edges, dtype=np.uint64)

    def of(self, words: Words) -> Ints:
        """The outcomes of n draws."""
        return np.searchsorted(self._edges, words >> _1, side="right").astype(np.int64)


class Draws:
    """All randomness of one world."""

    def __init__(self, seed: int) -> None:
        """Args:
        seed: any integer.
        """
        self._seed = str(seed).encode()
        self._keys: dict[str, tuple[np.uint64, np.uint64]] = {}

    def words(self, stream: str, index: Ints) -> Words:
        """64 bits for each index (any shape, not negative) of a stream."""
        first, second = self._key(stream)
        words = np.array(index, dtype=np.int64).view(np.uint64)  # a copy, worked on in place
        words += _1
        words *= _GAMMA
        words += first
        _mix(words)
        words += second
        _mix(words)
        return words

    def below(self, stream: str, index: Ints, bound: int | Ints) -> Ints:
        """An integer from 0 to bound − 1 for each index; bounds from 1 to 2^31, one for all or one each."""
        words = self.words(stream, index) >> _32
        words *= np.uint64(bound) if isinstance(bound, int) else bound.view(np.uint64)
        return (words >> _32).view(np.int64)

    def chance(self, stream: str, index: Ints, probability: int | Words) -> NDArray[np.bool_]:
        """Whether it happens, for each index; probabilities as `probability_of` gives them."""
        limit = np.uint64(probability) if isinstance(probability, int) else probability
        happens: NDArray[np.bool_] = self.words(stream, index) >> _1 < limit
        return happens

    def pick(self, stream: str, index: Ints, table: Table) -> Ints:
        """An outcome of the table for each index."""
        return table.of(self.words(stream, index))

    def _key(self, stream: str) -> tuple[np.uint64, np.uint64]:
        found = self._keys.get(stream)
        if found is None:
            digest = hashlib.sha256(_LABEL + b"\0" + self._seed + b"\0" + stream.encode()).digest()
            first, second = (int.from_bytes(digest[at : at + 8], "little") for at in (0, 8))
            found = self._keys[stream] = (np.uint64(first), np.uint64(second))
        return found


def probability_of(share: Decimal) -> int:
    """A probability from 0 to 1 as an integer of 63 bits, rounded down."""
    return int(share * _CERTAIN)


def _mix(words: NDArray[Any]) -> None:  # of uint64; numpy's in-place operators lose the type
    words ^= words >> _30
    words *= _FIRST
    words ^= words >> _27
    words *= _SECOND
    words ^= words >> _31
