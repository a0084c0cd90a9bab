"""The time tree: a chain of divisors over ticks that turns "τ lies in this piece" into an equality of keys.

Node (level, k) is the ticks [k·size, (k + 1)·size) of its level. The outcome side covers each piece [a, b) by disjoint
nodes, the exposure side looks up every ancestor of τ: exactly one of them is in the cover if a ≤ τ < b, none otherwise.
The sizes come from the agreement alone.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement
from cleanroom.attribution.runs import expand

__all__ = ["cover", "tree_of"]


def tree_of(agreement: Agreement) -> tuple[int, ...]:
    """The sizes that both sides use: the agreed tree, or single ticks where touches only happen at listed instants."""
    return agreement.time.tree if agreement.exposure.instants is None else (1,)


def cover(
    first: NDArray[np.int64], last: NDArray[np.int64], tree: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Covers pieces by the fewest disjoint nodes.

    Args:
        first: (k,) int64 >= 0, where each piece begins.
        last: (k,) int64 >= first, where it ends (half-open).
        tree: sizes of the levels.

    Returns:
        Of each node: its piece's index, its level, its number; level by level.
    """
    pieces: list[NDArray[np.int64]] = []
    levels: list[NDArray[np.uint8]] = []
    nodes: list[NDArray[np.int64]] = []
    for level, ratio in enumerate(_ratios(tree)):
        left, right, inner_first, inner_last = _cut(first, last, ratio)
        for start, length in ((first, left), (last - right, right)):
            node = expand(start, length)
            pieces.append(np.repeat(np.arange(len(length)), length))
            levels.append(np.full(len(node), level, dtype=np.uint8))
            nodes.append(node)
        first, last = inner_first, inner_last
    return np.concatenate(pieces), np.concatenate(levels), np.concatenate(nodes)


def _ratios(tree: tuple[int, ...]) -> list[int | None]:
    """Children a node of the next level has; None at the top."""
    return [*(upper // lower for lower, upper in pairwise(tree)), None]


def _cut(
    first: NDArray[np.int64], last: NDArray[np.int64], ratio: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What of [first, last) stays at this level on the left and on the right, and the rest in nodes of the next."""
    if ratio is None:
        return last - first, np.zeros_like(first), last, last
    inner_first, inner_last = -(-first // ratio), last // ratio
    fits = inner_first < inner_last
    left = np.where(fits, inner_first * ratio - first, last - first)
    right = np.where(fits, last - inner_last * ratio, 0)
    return left, right, np.where(fits, inner_first, 0), np.where(fits, inner_last, 0)
