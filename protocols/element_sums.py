"""The costly part of a grouped sum's answers: Σ over blocks b of w_b(X)·a_b for every target, the cheaper of two ways.

Both give the same residues. `dense` transforms the weights of every pair of block and target, `sparse` adds a window
of a_b for every weight (kernels/src/rlwe/weigh.rs). Which is cheaper is a function of public sizes alone, and so is
the work of either: `dense` has one transform for each pair, `sparse` one window for each padded weight, whosever it
is, and one pass over every target's sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols.bin_weights import PaddedWeights, blocks_at_once
from cleanroom.protocols.rlwe import DEGREE, PRIME_BYTES, PRIMES
from cleanroom.protocols.wire import chunks

__all__ = ["TILE_BLOCKS", "ElementSums", "Load", "Way"]

TILE_BLOCKS: Final = 16
"""Blocks of public elements that a kernel works on together."""
_DENSE_TILES: Final = 4
"""Tiles of a dense call: its sums are transformed back once a call."""
_DENSE_ROWS: Final = 320
"""Polynomials that a dense call sums into: 20 MB, and with few rows a target some tenths of a second."""
_SPARSE_BOUND: Final = 1 << 30
"""The largest |weight| of the sparse kernel."""

_MICROSECONDS: Final = {
    "element": 200.0,  # a block
    "row": 55.0,  # one of a dense call's polynomials for a block, and for a target's sum, transformed
    "pair": 55.0,  # a block under a target
    "product": 6.0,  # a row of a pair
    "entry": 5.0,  # a padded weight, sparse
    "visit": 35.0,  # a target in a tile, sparse
}
"""On one core of an Intel Xeon at 2.6 GHz with AVX-512. Only their ratios choose the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One of the two ways to the sums of a bucket, and what it costs.

    Attributes:
        sparse: weight by weight; otherwise by transforms.
        blocks: the most that a kernel's call takes.
        targets: the most that it takes.
        microseconds: an estimate for the whole bucket, one core.
    """

    sparse: bool
    blocks: int
    targets: int
    microseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The public sizes that the work depends on.

    Attributes:
        targets: sums to make.
        rows: bound on the weights of one target.
        weight_bound: bound on |weight|.
        entries_per_bin: weights of every bin, padded ones too.
    """

    targets: int
    rows: int
    weight_bound: int
    entries_per_bin: int

    def total(self, blocks: int) -> int:
        """Bounds Σ |weight| of one target in some blocks."""
        return self.weight_bound * min(self.rows, blocks * DEGREE * self.entries_per_bin)

    def way(self, n_bins: int) -> Way:
        """Chooses the way for a bucket of `n_bins` bins."""
        ways = [self._dense(n_bins)]
        if self.weight_bound <= _SPARSE_BOUND:
            ways.append(self._sparse(n_bins))
        return min(ways, key=lambda way: way.microseconds)

    def _dense(self, n_bins: int) -> Way:
        blocks, cost = -(-n_bins // DEGREE), _MICROSECONDS
        span = min(_DENSE_TILES * TILE_BLOCKS, blocks_at_once(self.entries_per_bin))
        rows = _rows(self.total(min(blocks, span)))
        targets = max(1, _DENSE_ROWS // rows)
        spent = blocks * -(-self.targets // targets) * (cost["element"] + rows * cost["row"])
        spent += blocks * self.targets * (cost["pair"] + rows * cost["product"])
        spent += -(-blocks // span) * self.targets * rows * cost["row"]
        return Way(sparse=False, blocks=span, targets=targets, microseconds=spent)

    def _sparse(self, n_bins: int) -> Way:
        blocks, cost = -(-n_bins // DEGREE), _MICROSECONDS
        span = min(TILE_BLOCKS, blocks_at_once(self.entries_per_bin))
        spent = blocks * cost["element"] + n_bins * self.entries_per_bin * cost["entry"]
        spent += -(-blocks // span) * self.targets * cost["visit"]
        return Way(sparse=True, blocks=span, targets=self.targets, microseconds=spent)


def _rows(total: int) -> int:
    """Polynomials of a dense call for each block: one for the first prime, digits for each of the others."""
    bits = 8 * PRIME_BYTES
    return 1 + (len(PRIMES) - 1) * -(-bits // max(1, bits - 1 - total.bit_length()))


class ElementSums:
    """The sums of all targets over all buckets, modulo the ciphertext's primes: targets × 3 × 8192 coefficients."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.rings: NDArray[np.uint64] = np.zeros((load.targets, len(PRIMES), DEGREE), dtype=np.uint64)

    def add(
        self, *, seed: bytes, padded: PaddedWeights, way: Way, blocks: tuple[int, int], offset: int
    ) -> Iterator[float]:
        """Adds some blocks of a bucket.

        Args:
            seed: of the public elements.
            padded: the bucket's weights.
            way: what `Load.way` chose for the bucket.
            blocks: first and last + 1 of the bucket.
            offset: blocks before the bucket.

        Yields:
            After each call of a kernel, the share of the work that is done.
        """
        targets = self._load.targets
        for start, stop in chunks(blocks[1] - blocks[0], way.blocks):
            first, last = blocks[0] + start, blocks[0] + stop
            entries = padded.of_blocks(first, last)
            order, indptr = entries.by_target(targets)
            bins, values = entries.bins[order] + offset * DEGREE, entries.weights[order]
            for left, right in chunks(targets, way.targets):
                arguments = (seed, offset + first, last - first, indptr[left : right + 1], bins, values)
                if way.sparse:
                    _kernels.rlwe_weigh_sparse(self.rings[left:right], *arguments, self._load.weight_bound)
                else:
                    _kernels.rlwe_weigh_dense(self.rings[left:right], *arguments, self._load.total(last - first))
                yield (start + (stop - start) * right / targets) / (blocks[1] - blocks[0])
