"""The time tree: the nodes that cover a piece of time, and the nodes that a tick looks up."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ancestors", "cover"]


def ancestors(tick: int, tree: Sequence[int]) -> list[tuple[int, int]]:
    """(level, node) of every level, for tree[level] ticks a node."""
    return [(level, tick // size) for level, size in enumerate(tree)]


def cover(first: int, last: int, tree: Sequence[int]) -> list[tuple[int, int]]:
    """(level, node) of the fewest disjoint nodes that make up the ticks [first, last), in the order of time."""
    nodes = []
    while first < last:
        level = max(n for n, size in enumerate(tree) if first % size == 0 and first + size <= last)
        nodes.append((level, first // tree[level]))
        first += tree[level]
    return nodes
