"""How many rows a side needs under any time tree, from one number for every size of node.

Under a tree s_0 = 1 | s_1 | … the exposure side looks up, for each size, the distinct nodes that its impulses fall in.
The outcome side covers a piece of time by the largest nodes that fit: of the whole nodes of size s_i inside it those
that a node of s_{i+1} inside it holds are left out, s_{i+1} / s_i for each. So with n(s), the nodes of size s that are
looked up, or that lie whole inside pieces,

    lookups(tree) = Σ n(s_i)          rows(tree) = n(1) − Σ n(s_i) · (s_i / s_{i−1} − 1)

both exactly. Counting n(s) for some sizes once gives the rows of every chain of them, without making any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Role
from cleanroom.attribution.runs import changes

__all__ = ["NodeCounts", "count_looked_up", "count_whole", "tree_sizes"]

Ints = NDArray[np.int64]

_ONCE: Final = (1, 5, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCounts:
    """One side's counts: `roots` are the rows outside of the tree, `nodes` says n(s) for each size s counted."""

    role: Role
    roots: float
    nodes: Mapping[int, float] = field(repr=False)

    def added(self, below: int, above: int) -> float:
        """What a level of nodes of size `above` adds to the rows of a tree whose largest size is `below`."""
        whole = self.nodes[above]
        return whole if self.role is Role.EXPOSURE else -whole * (above // below - 1)

    def rows(self, tree: tuple[int, ...]) -> float:
        """The rows that a tree of counted sizes needs; a whole number where the counts are."""
        return self.roots + self.nodes[1] + sum(self.added(*levels) for levels in pairwise(tree))


def tree_sizes(span: int, trees: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The sizes of nodes worth counting: 2^a·3^b, also five or seven times that, and those of given trees.

    Between any number and its double there is one with a divisor of every kind that time has: halves, hours, weeks.

    Args:
        span: ticks; no size is longer.
        trees: whose sizes are there too, whatever their length.

    Returns:
        Distinct sizes, ascending, 1 among them.
    """
    found = {1, *(size for tree in trees for size in tree)}
    for once in _ONCE:
        threes = once
        while threes <= span:
            size = threes
            while size <= span:
                found.add(size)
                size *= 2
            threes *= 3
    return tuple(sorted(found))


def count_looked_up(owner: Ints, tick: Ints, group: Ints, weight: Ints, sizes: Iterable[int]) -> dict[int, int]:
    """Counts the nodes in which some group's weights do not add up to zero.

    Args:
        owner: (n,) int64, ascending; whole persons.
        tick: (n,) int64 >= 0, ascending within an owner.
        group: (n,) int64, distinct within an owner and tick.
        weight: (n,) int64, none zero.
        sizes: of nodes.

    Returns:
        size -> distinct (owner, node).
    """
    fresh = changes(owner, tick)
    first = np.flatnonzero(fresh) if len(owner) else owner
    holder, place = owner[first], tick[first]
    if (weight > 0).all():
        return {size: int(changes(holder, place // size).sum()) for size in sizes}
    rank = np.cumsum(fresh) - 1  # of each weight's (owner, tick)
    order = np.lexsort((tick, group, owner))
    owner, tick, group, weight, rank = (column[order] for column in (owner, tick, group, weight, rank))
    counts: dict[int, int] = {}
    for size in sizes:
        node = np.cumsum(changes(holder, place // size)) - 1  # of each (owner, tick)
        start = np.flatnonzero(changes(owner, group, tick // size))
        alive = np.add.reduceat(weight, start) != 0
        held = np.zeros(int(node[-1]) + 1, dtype=np.bool_)
        held[node[rank[start[alive]]]] = True
        counts[size] = int(held.sum())
    return counts


def count_whole(first: Ints, last: Ints, sizes: Iterable[int]) -> dict[int, int]:
    """Counts the nodes that lie whole inside disjoint pieces of time.

    Args:
        first: (k,) int64 >= 0, where each piece begins.
        last: (k,) int64 > first, where it ends (half-open).
        sizes: of nodes.

    Returns:
        size -> nodes.
    """
    length = last - first
    order = np.argsort(-length, kind="stable")
    first, last, longest = first[order], last[order], -length[order]
    counts: dict[int, int] = {}
    for size in sizes:
        long = int(np.searchsorted(longest, -size, side="right"))  # a shorter piece holds no such node
        counts[size] = int((last[:long] // size + -first[:long] // size).sum())
    return counts
