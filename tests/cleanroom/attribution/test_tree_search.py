"""The search for trees finds what trying every chain finds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from cleanroom.agreement.model import Role
from cleanroom.attribution import tree_search
from cleanroom.attribution.node_counts import NodeCounts
from cleanroom.attribution.tree_search import Choice, unbeaten_trees


def chains(sizes: list[int], below: tuple[int, ...] = (1,)) -> Iterator[tuple[int, ...]]:
    """Every chain of divisors."""
    yield below
    for size in sizes:
        if size > below[-1] and size % below[-1] == 0:
            yield from chains(sizes, (*below, size))


def random_counts(rng: random.Random, sizes: list[int]) -> tuple[NodeCounts, NodeCounts]:
    """Touches and pieces at random: real counts, so that fewer nodes fit the larger they are."""
    touches = [(rng.randrange(20), rng.randrange(100)) for _ in range(rng.randrange(60))]
    pieces = [(first, first + rng.randint(1, 60)) for first in (rng.randrange(100) for _ in range(rng.randrange(40)))]
    looked_up = {size: float(len({(who, tick // size) for who, tick in touches})) for size in sizes}
    whole = {size: float(sum(max(0, last // size - -(-first // size)) for first, last in pieces)) for size in sizes}
    return (
        NodeCounts(role=Role.EXPOSURE, roots=rng.randrange(3), nodes=looked_up),
        NodeCounts(role=Role.OUTCOME, roots=rng.randrange(3), nodes=whole),
    )


def beats(one: Choice, other: Choice) -> bool:
    return one.exposure <= other.exposure and one.outcome <= other.outcome


def test_the_unbeaten_trees_are_those_of_all_chains() -> None:
    kinds = set()
    for seed in range(60):
        rng = random.Random(seed)
        sizes = sorted({1, *rng.sample([2, 3, 4, 5, 6, 8, 9, 12, 16, 18, 24, 32, 36, 48], rng.randint(0, 9))})
        exposure, outcome = random_counts(rng, sizes)
        found = unbeaten_trees(exposure, outcome)
        every = [Choice(tree=tree, exposure=exposure.rows(tree), outcome=outcome.rows(tree)) for tree in chains(sizes)]
        for choice in found:
            assert (choice.exposure, choice.outcome) == (exposure.rows(choice.tree), outcome.rows(choice.tree)), seed
            assert choice in every
        for choice in every:
            assert any(beats(one, choice) for one in found), (seed, choice)
        for one in found:
            assert not any(beats(other, one) for other in found if other is not one), seed
            equal = [each for each in every if (each.exposure, each.outcome) == (one.exposure, one.outcome)]
            assert len(one.tree) == min(len(each.tree) for each in equal), seed
        kinds.add(len(found))
    assert len(kinds) > 4


def test_no_tree_is_deeper_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [1 << level for level in range(9)]
    exposure = NodeCounts(role=Role.EXPOSURE, roots=0, nodes=dict.fromkeys(sizes, 1.0))
    outcome = NodeCounts(role=Role.OUTCOME, roots=0, nodes={size: 100 * (1000 - size) / size for size in sizes})
    assert len(unbeaten_trees(exposure, outcome)[-1].tree) == 9
    monkeypatch.setattr(tree_search, "MAX_LEVELS", 4)
    assert max(len(choice.tree) for choice in unbeaten_trees(exposure, outcome)) == 4
