"""Rows of any tree, counted from sizes of nodes: equal to what preparation makes, in every kind of world."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from cleanroom.agreement.model import Agreement, Measure, Role
from cleanroom.attribution import exposure, node_counts, outcome
from cleanroom.attribution.node_counts import NodeCounts, count_looked_up, count_whole, tree_sizes
from cleanroom.plan import plan_of
from tests.cleanroom.attribution import funnel as funnels
from tests.cleanroom.attribution.funnel import Funnel, random_funnel
from tests.cleanroom.attribution.mutants import mutated
from tests.cleanroom.attribution.world import KEY, make_agreement, metric, outcome_batches, persons, touch_batches


def random_chains(rng: random.Random, number: int) -> list[tuple[int, ...]]:
    found = [(1,), (1, 6, 24)]
    for _ in range(number):
        chain = [1]
        for _ in range(rng.randrange(5)):
            chain.append(chain[-1] * rng.choice([2, 2, 3, 4, 5, 7, 24]))
        found.append(tuple(chain))
    return list(dict.fromkeys(found))


def under(world: Funnel, tree: tuple[int, ...]) -> Funnel:
    """The same world with another tree."""
    return replace(world, agreement=replace(world.agreement, time=replace(world.agreement.time, tree=tree)))


def counted(world: Funnel, sizes: tuple[int, ...]) -> tuple[NodeCounts, NodeCounts]:
    agreement, plan = world.agreement, plan_of(world.agreement)
    return (
        exposure.lookup_counts(agreement, plan, funnels.touch_batches(world, [2]), group_cap_key=KEY, sizes=sizes),
        outcome.row_counts(agreement, plan, funnels.outcome_batches(world, [2]), [persons(world.known)], sizes=sizes),
    )


def wrong_trees(seeds: range) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(seed, tree) of worlds in which rows are not counted as they are made."""
    for seed in seeds:
        world = random_funnel(seed)
        if world.agreement.exposure.instants is not None:
            continue
        trees = random_chains(random.Random(seed), 4)
        lookups, rows = counted(world, tree_sizes(0, trees))
        for tree in trees:
            made = funnels.prepared(under(world, tree), plan_of(world.agreement))
            if (lookups.rows(tree), rows.rows(tree)) != (len(made[0]), len(made[1])):
                yield seed, tree


def test_rows_of_every_tree_are_those_that_preparation_makes() -> None:
    assert not list(wrong_trees(range(150)))


@pytest.mark.parametrize(
    ("original", "wrong"),
    [
        ("-whole * (above // below - 1)", "-whole * (above // below)"),
        ("held[node[rank[start[alive]]]] = True", "held[node[rank[start]]] = True"),
        ("changes(owner, group, tick // size)", "changes(owner, group, tick)"),
        ("last[:long] // size + -first[:long] // size", "last[:long] // size - first[:long] // size"),
        ('np.searchsorted(longest, -size, side="right")', "len(longest)"),
        ('(longest, -size, side="right")', '(longest, -size, side="left")'),
    ],
)
def test_what_would_be_counted_wrongly_is_noticed(original: str, wrong: str) -> None:
    with mutated(node_counts, original, wrong):
        assert any(True for _ in wrong_trees(range(100)))


def test_with_instants_single_ticks_are_counted() -> None:
    seen = 0
    for seed in range(80):
        world = random_funnel(seed)
        if world.agreement.exposure.instants is None:
            continue
        made = funnels.prepared(world, plan_of(world.agreement))
        assert [each.rows((1,)) for each in counted(world, (1,))] == [len(made[0]), len(made[1])], seed
        seen += bool(len(made[0]) and len(made[1]))
    assert seen > 5


def test_nothing_is_counted_where_there_is_nothing() -> None:
    agreement: Agreement = make_agreement(
        metrics=(metric(Measure.PEOPLE), metric(Measure.MATCHED, event=None, ticks=None))
    )
    plan = plan_of(agreement)
    none = exposure.lookup_counts(agreement, plan, touch_batches(agreement, []), group_cap_key=KEY, sizes=(1, 4))
    assert (none.role, none.roots, none.nodes) == (Role.EXPOSURE, 0, {1: 0, 4: 0})
    empty = outcome.row_counts(agreement, plan, outcome_batches(agreement, []), [], sizes=(1, 4))
    assert (empty.role, empty.roots, empty.nodes) == (Role.OUTCOME, 0, {1: 0, 4: 0})
    nothing = np.zeros(0, dtype=np.int64)
    assert count_looked_up(nothing, nothing, nothing, nothing, (1, 9)) == {1: 0, 9: 0}
    assert count_whole(nothing, nothing, (1, 9)) == {1: 0, 9: 0}


@pytest.mark.parametrize("span", [0, 1, 2, 60, 365, 2160, 129_600])
def test_sizes_are_smooth_fill_the_span_and_hold_what_is_asked_for(span: int) -> None:
    sizes = tree_sizes(span, [(1, 11, 110)])
    assert sizes[0] == 1 and {11, 110} <= set(sizes) and list(sizes) == sorted(set(sizes))
    for size in set(sizes) - {11, 110}:
        rest = size
        for prime in (2, 3):
            while rest % prime == 0:
                rest //= prime
        assert rest in (1, 5, 7) and (size <= span or size == 1)
    assert all(number in sizes for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 24, 28, 48) if number <= span)
    assert len(sizes) < 300
