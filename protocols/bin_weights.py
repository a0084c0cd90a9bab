"""The weights of a grouped sum, and their padding: every bin gets the same public number of them.

Without it the time that the exposure side's arithmetic takes would tell how many weights there are. Weights of zero are
spread over the targets as real ones are. All of it is never held at once: it is made for some blocks of bins at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.rlwe import DEGREE
from cleanroom.protocols.seeds import keystream

__all__ = ["Entries", "PaddedWeights", "Weights", "blocks_at_once"]

_SPREAD_KEY: Final = bytes(32)
"""Of the public stream that says which targets weights of zero have: spread, as real ones are."""
_SLICE_ENTRIES: Final = 1 << 20
"""Weights, padded ones too, that are sorted at once (or those of one block): some tens of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """One bucket's non-zero weights: rows, each in a bin of its own, with sparse weights (compressed sparse rows).

    Those of row i are at indptr[i] to indptr[i + 1]; equal targets of a row add up and count as rows of their own.

    Attributes:
        bins: rows int64, distinct, in any order, in [0, n_bins).
        indptr: rows + 1 int64, from 0 to nnz.
        targets: nnz int32, class position × groups + group.
        weights: nnz int64.
    """

    bins: NDArray[np.int64] = field(repr=False)
    indptr: NDArray[np.int64] = field(repr=False)
    targets: NDArray[np.int32] = field(repr=False)
    weights: NDArray[np.int64] = field(repr=False)

    @staticmethod
    def of_entries(bins: NDArray[np.int64], targets: NDArray[np.int32], weights: NDArray[np.int64]) -> Weights:
        """Gathers weights that name their bin each, in any order: arrays of equal length."""
        order = np.argsort(bins, kind="stable")
        rows, counts = np.unique(bins, return_counts=True)
        indptr = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
        return Weights(bins=rows, indptr=indptr, targets=targets[order], weights=weights[order])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries:
    """Weights of some blocks with their bins, ascending: as many in each bin, those of zero included."""

    bins: NDArray[np.int64] = field(repr=False)
    targets: NDArray[np.int32] = field(repr=False)
    weights: NDArray[np.int64] = field(repr=False)

    def by_target(self, targets: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The order that sorts by target and keeps bins ascending, and where each target's begin and end there."""
        # NumPy sorts 16 bits by radix: in a time of their number alone, and several times faster
        keys = self.targets.astype(np.uint16) if targets <= 1 << 16 else self.targets
        edges = np.zeros(targets + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.targets, minlength=targets), out=edges[1:])
        return np.argsort(keys, kind="stable"), edges


def blocks_at_once(width: int) -> int:
    """How many blocks of bins with `width` weights each are to be made at a time."""
    return max(1, _SLICE_ENTRIES // (DEGREE * max(1, width)))


class PaddedWeights:
    """One bucket's weights, padded bin by bin and made some blocks at a time.

    Args:
        weights: the bucket's.
        n_bins: the bucket's bins.
        width: how many weights every bin gets, at least as many as any row has.
        targets: how many there are.
    """

    def __init__(self, weights: Weights, *, n_bins: int, width: int, targets: int) -> None:
        self._weights, self._n_bins, self._width = weights, n_bins, width
        self._order = np.argsort(weights.bins)
        self._bins = weights.bins[self._order]
        drawn = np.frombuffer(keystream(_SPREAD_KEY, 4 * DEGREE * self._width), dtype="<u4")
        self._spread = (drawn % np.uint32(targets)).astype(np.int32)
        self._made: tuple[int, int] | None = None
        self._entries: Entries | None = None

    def of_blocks(self, start: int, stop: int) -> Entries:
        """The weights of blocks start to stop; those asked for last are kept, for a block may come in many payloads."""
        if self._entries is None or self._made != (start, stop):
            self._made, self._entries = (start, stop), self._make(start * DEGREE, min(stop * DEGREE, self._n_bins))
        return self._entries

    def _make(self, low: int, high: int) -> Entries:
        count = (high - low) * self._width
        first, last = np.searchsorted(self._bins, [low, high]).tolist()
        rows = self._order[first:last]
        begin = self._weights.indptr[rows]
        held = self._weights.indptr[rows + 1] - begin
        source = _expand(begin, held)
        place = _expand((self._bins[first:last] - low) * self._width, held)
        targets, weights = np.resize(self._spread, count), np.zeros(count, dtype=np.int64)
        targets[place] = self._weights.targets[source]
        weights[place] = self._weights.weights[source]
        bins = np.repeat(np.arange(low, high, dtype=np.int64), self._width)
        return Entries(bins=bins, targets=targets, weights=weights)


def _expand(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """start, start + 1, … for `length` numbers of every run, one run after the other."""
    before = np.cumsum(length) - length
    return np.repeat(start - before, length) + np.arange(int(length.sum()), dtype=np.int64)
