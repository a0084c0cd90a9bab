"""The time trees that no other tree beats on both sides at once.

The rows of each side are sums over neighbouring levels (`node_counts.py`), so the trees are the paths of a graph of
sizes, and of two trees that end in the same size the one with more rows on both sides can be dropped: what comes above
adds the same to both. That searches every chain of the sizes, of any depth, and keeps the trade between the sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.attribution.node_counts import NodeCounts

__all__ = ["MAX_LEVELS", "Choice", "unbeaten_trees"]

MAX_LEVELS: Final = 24
"""Levels of a tree that is looked for; a tree of two ticks a node longer than a year of minutes has 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A tree, and the rows that each of two sides needs under it."""

    tree: tuple[int, ...]
    exposure: float
    outcome: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Front:
    """The unbeaten trees that end in one size: k of them, in ascending order of the exposure side's rows."""

    exposure: NDArray[np.float64] = field(repr=False)  # (k,)
    outcome: NDArray[np.float64] = field(repr=False)  # (k,) descending
    size: NDArray[np.int64] = field(repr=False)  # (k,) where the tree below ends; 0 for none
    place: NDArray[np.int64] = field(repr=False)  # (k,) which of those it is
    depth: NDArray[np.int64] = field(repr=False)  # (k,) levels

    @staticmethod
    def of(parts: list[_Front]) -> _Front:
        """Of all these trees the unbeaten ones."""
        columns = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("exposure", "outcome", "size", "place", "depth")
        ]
        order = np.lexsort((columns[4], columns[1], columns[0]))
        columns = [column[order] for column in columns]
        best = np.minimum.accumulate(columns[1])
        kept = np.append(True, best[1:] < best[:-1])
        exposure, outcome, size, place, depth = (column[kept] for column in columns)
        return _Front(exposure=exposure, outcome=outcome, size=size, place=place, depth=depth)

    def under(self, size: int, exposure: float, outcome: float) -> _Front:
        """The trees that one level on top of these makes, which adds so many rows; `size` is that of these trees."""
        low = self.depth < MAX_LEVELS
        return _Front(
            exposure=self.exposure[low] + exposure,
            outcome=self.outcome[low] + outcome,
            size=np.full(int(low.sum()), size, dtype=np.int64),
            place=np.flatnonzero(low),
            depth=self.depth[low] + 1,
        )


def unbeaten_trees(exposure: NodeCounts, outcome: NodeCounts) -> list[Choice]:
    """Finds the trees that no other beats or equals on both sides.

    Args:
        exposure: the exposure side's counts, or a model of them.
        outcome: the outcome side's, of the same sizes.

    Returns:
        From the fewest rows of the exposure side to the fewest of the outcome side; among equals the fewest levels.
    """
    one = np.ones(1)
    none = np.zeros(1, dtype=np.int64)
    root = _Front(
        exposure=one * exposure.rows((1,)), outcome=one * outcome.rows((1,)), size=none, place=none, depth=none + 1
    )
    fronts = {1: root}
    for size in sorted(outcome.nodes):
        if size == 1 or not outcome.nodes[size]:
            continue  # no piece holds such a node: the level would only cost lookups
        below = [
            front.under(lower, exposure.added(lower, size), outcome.added(lower, size))
            for lower, front in fronts.items()
            if size % lower == 0
        ]
        fronts[size] = _Front.of(below)
    ends = _Front.of([_ending(size, front) for size, front in fronts.items()])
    return [
        Choice(tree=_path(fronts, int(size), int(place)), exposure=float(few), outcome=float(many))
        for size, place, few, many in zip(ends.size, ends.place, ends.exposure, ends.outcome, strict=True)
    ]


def _ending(size: int, front: _Front) -> _Front:
    """The same trees, as what a tree that ends in `size` leads to."""
    count = len(front.exposure)
    return _Front(
        exposure=front.exposure,
        outcome=front.outcome,
        size=np.full(count, size, dtype=np.int64),
        place=np.arange(count),
        depth=front.depth,
    )


def _path(fronts: dict[int, _Front], size: int, place: int) -> tuple[int, ...]:
    sizes: list[int] = []
    while size:
        sizes.append(size)
        front = fronts[size]
        size, place = int(front.size[place]), int(front.place[place])
    return tuple(reversed(sizes))
