"""Covers by nodes: disjoint, complete, met exactly once by the ancestors of every tick, and no larger than needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom import _kernels
from cleanroom.agreement.model import Measure
from cleanroom.attribution.tree import cover, tree_of
from tests.cleanroom.attribution.world import make_agreement, metric

trees = st.lists(st.sampled_from([2, 3, 4, 8, 24]), max_size=4).map(
    lambda ratios: tuple(int(np.prod(ratios[:level], dtype=np.int64)) for level in range(len(ratios) + 1))
)
pieces = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 120)), min_size=1, max_size=5)


def fewest(first: int, last: int, tree: tuple[int, ...]) -> int:
    """The smallest number of aligned nodes that make up [first, last), by trying all."""

    @cache
    def best(at: int) -> int:
        if at == last:
            return 0
        return 1 + min(best(at + size) for size in tree if at % size == 0 and at + size <= last)

    return best(first)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(trees, pieces)
def test_a_cover_is_exact_and_as_small_as_can_be(tree: tuple[int, ...], wanted: list[tuple[int, int]]) -> None:
    first = np.array([start for start, _ in wanted], dtype=np.int64)
    last = np.array([start + length for start, length in wanted], dtype=np.int64)
    piece, level, node = cover(first, last, tree)
    sizes = _kernels.cover_sizes(first, last, list(tree))
    for index, (start, length) in enumerate(wanted):
        mine = [(int(i), int(k)) for p, i, k in zip(piece, level, node, strict=True) if p == index]
        ticks = sorted(tick for i, k in mine for tick in range(k * tree[i], (k + 1) * tree[i]))
        assert ticks == list(range(start, start + length))
        assert len(mine) == fewest(start, start + length, tree) == sizes[index]


def test_instants_leave_no_choice() -> None:
    agreement = make_agreement(metrics=(metric(Measure.PEOPLE),), tree=(1, 2, 4))
    assert tree_of(agreement) == (1, 2, 4)
    fixed = replace(agreement, exposure=replace(agreement.exposure, instants=(datetime(2017, 5, 8, tzinfo=UTC),)))
    assert tree_of(fixed) == (1,)
