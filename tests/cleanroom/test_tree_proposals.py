"""Proposed trees: cheap on both sides by exact counts, from one side's data and the agreement; a run knows none."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from cleanroom import forecast, tree_proposals
from cleanroom.agreement.model import Agreement, Measure, Metric, Profile, Resolution, Role, padded_rows
from cleanroom.agreement.sections import MAX_ROWS
from cleanroom.attribution import lookup_counts, prepare_lookups, prepare_rows, row_counts
from cleanroom.attribution.node_counts import NodeCounts
from cleanroom.attribution.tree import tree_of
from cleanroom.attribution.tree_search import unbeaten_trees
from cleanroom.execute import Executed, execute
from cleanroom.forecast import row_seconds
from cleanroom.plan import plan_of
from cleanroom.tree_proposals import TreeCost, compared_trees, counted_sizes, has_tree, modelled_partner
from tests.cleanroom.attribution.world import (
    KEY,
    Event,
    Touch,
    make_agreement,
    metric,
    outcome_batches,
    person,
    persons,
    touch_batches,
    us,
)
from tests.cleanroom.whole_run import NO_NOISE, NONCES, SEEDS, Told, agreement_of, inputs
from tests.harness import Run, run_pair
from tests.test_layout import MODULES, imports, name_of

TICKS_A_DAY = {Resolution.DAY: 1, Resolution.HOUR: 24, Resolution.MINUTE: 1440}
TREES = {Resolution.DAY: (1,), Resolution.HOUR: (1, 6, 24), Resolution.MINUTE: (1, 10, 60, 360, 1440)}
START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def reference_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_scale", lambda: 1.0)


def window_metrics(days: tuple[int, ...], per_day: int) -> tuple[Metric, ...]:
    return tuple(
        metric(measure, ticks=per_day * length, cap=cap)
        for length in days
        for measure, cap in ((Measure.PEOPLE, None), (Measure.EVENTS, 20), (Measure.SUM, 10**6))
    )


def campaign(
    resolution: Resolution,
    *,
    days: tuple[int, ...] = (7, 15, 30),
    touch_days: int = 60,
    profile: Profile = Profile.KKRT,
) -> Agreement:
    agreement = make_agreement(
        metrics=window_metrics(days, TICKS_A_DAY[resolution]), start=START,
        end=START + timedelta(days=touch_days + max(days)), touch_end=START + timedelta(days=touch_days),
        resolution=resolution, tree=TREES[resolution], groups=tuple("123456"),
        rows_exposure=1 << 20, rows_outcome=1 << 20,
    )  # fmt: skip
    return replace(agreement, protocol=replace(agreement.protocol, profile=profile))


def people(agreement: Agreement, *, touched: int, buying: int, orders: int) -> tuple[list[Touch], list[Event]]:
    rng = random.Random(5)
    low, high, end = us(agreement.time.start), us(agreement.exposure.end), us(agreement.time.end)
    touches = [
        (person(who), rng.randrange(low, high), rng.randrange(6))
        for who in range(touched)
        for _ in range(rng.randint(1, 4))
    ]
    events = [
        (person(who + touched // 2), 0, rng.randrange(low, end), 100)
        for who in range(buying)
        for _ in range(rng.randint(1, orders))
    ]
    return touches, events


def counts(
    agreement: Agreement, touches: list[Touch], events: list[Event], asked: tuple[tuple[int, ...], ...] = ()
) -> dict[Role, NodeCounts]:
    plan = plan_of(agreement)
    sizes = counted_sizes(agreement, plan, asked)
    return {
        Role.EXPOSURE: lookup_counts(
            agreement, plan, touch_batches(agreement, touches), group_cap_key=KEY, sizes=sizes
        ),
        Role.OUTCOME: row_counts(agreement, plan, outcome_batches(agreement, events), [], sizes=sizes),
    }


def bounded(agreement: Agreement, found: dict[Role, NodeCounts]) -> Agreement:
    """The agreement with the bounds that its own tree needs, as two owners write them first."""
    rows = {role: max(1, round(side.rows(tree_of(agreement)))) for role, side in found.items()}
    choice = replace(agreement.protocol, max_rows_exposure=rows[Role.EXPOSURE], max_rows_outcome=rows[Role.OUTCOME])
    return replace(agreement, protocol=choice)


def chosen(agreement: Agreement, found: dict[Role, NodeCounts]) -> tuple[int, ...]:
    """What the owners come to: both sides' seconds added up, over both sides' proposals."""
    plan = plan_of(agreement)
    listed = [entry.tree for side in found.values() for entry in compared_trees(agreement, plan, side)]
    tables = [
        {entry.tree: entry.seconds for entry in compared_trees(agreement, plan, side, asked=listed)}
        for side in found.values()
    ]
    return min(dict.fromkeys(listed), key=lambda tree: sum(table[tree] for table in tables))


def work(agreement: Agreement, found: dict[Role, NodeCounts], tree: tuple[int, ...]) -> float:
    price = row_seconds(agreement, plan_of(agreement))
    return sum(price[role] * side.rows(tree) for role, side in found.items())


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("orders", [1, 6, 40])
def test_hours_over_sixty_days_cost_at_most_six_times_days(profile: Profile, orders: int) -> None:
    rows, seconds = {}, {}
    for resolution in (Resolution.DAY, Resolution.HOUR):
        agreement = campaign(resolution, profile=profile)
        found = counts(agreement, *people(agreement, touched=1500, buying=450, orders=orders))
        agreement = bounded(agreement, found)
        tree = chosen(agreement, found)
        rows[resolution] = sum(side.rows(tree) for side in found.values())
        seconds[resolution] = work(agreement, found, tree)
    assert rows[Resolution.HOUR] <= 6 * rows[Resolution.DAY]
    assert seconds[Resolution.HOUR] <= 6 * seconds[Resolution.DAY]


@pytest.mark.parametrize("resolution", list(Resolution))
@pytest.mark.parametrize("orders", [1, 20])
def test_the_owners_choice_is_near_the_best_of_all_trees(resolution: Resolution, orders: int) -> None:
    agreement = campaign(resolution)
    found = counts(agreement, *people(agreement, touched=1000, buying=300, orders=orders))
    agreement = bounded(agreement, found)
    every = [choice.tree for choice in unbeaten_trees(found[Role.EXPOSURE], found[Role.OUTCOME])]
    best = min(work(agreement, found, tree) for tree in every)
    assert best <= work(agreement, found, tree_of(agreement))
    # the sums that the owners add up are those of bounds, and a bound is up to twice the rows
    assert work(agreement, found, chosen(agreement, found)) <= 1.35 * best
    for side in found.values():
        first = next(entry for entry in compared_trees(agreement, plan_of(agreement), side) if entry.proposal == 1)
        assert work(agreement, found, first.tree) <= 1.6 * best  # one side alone


def table_of(agreement: Agreement, side: NodeCounts, *asked: tuple[int, ...]) -> tuple[TreeCost, ...]:
    return compared_trees(agreement, plan_of(agreement), side, asked=asked)


def test_every_line_says_what_preparation_makes_and_what_the_bound_costs() -> None:
    agreement = campaign(Resolution.HOUR, days=(7,), touch_days=20)
    touches, events = people(agreement, touched=200, buying=80, orders=3)
    asked = (1, 11, 33)
    found = counts(agreement, touches, events, (asked,))
    agreement = bounded(agreement, found)
    price = row_seconds(agreement, plan_of(agreement))
    for role, side in found.items():
        table = table_of(agreement, side, asked, (1, 6, 24))
        assert table[0].tree == (1, 6, 24) and table[-1].tree == asked
        proposals = [entry.proposal for entry in table if entry.proposal is not None]
        assert sorted(proposals) == [1, 2, 3]
        levels = [len(entry.tree) for entry in table if entry.proposal is not None]
        assert len(set(levels)) == 3
        assert len({entry.tree for entry in table}) == len(table)
        for entry in table:
            changed = replace(agreement, time=replace(agreement.time, tree=entry.tree))
            changed = replace(
                changed, protocol=replace(changed.protocol, max_rows_exposure=1 << 30, max_rows_outcome=1 << 30)
            )
            plan = plan_of(changed)
            if role is Role.EXPOSURE:
                made = len(prepare_lookups(changed, plan, touch_batches(changed, touches), group_cap_key=KEY)[0])
                agreed = agreement.protocol.max_rows_exposure
            else:
                made = len(prepare_rows(changed, plan, outcome_batches(changed, events), [])[0])
                agreed = agreement.protocol.max_rows_outcome
            assert entry.rows == made and entry.bound == padded_rows(made) and entry.fits == (made <= agreed)
            assert entry.seconds == pytest.approx(entry.bound * price[role])
            mine = {role: entry.bound, role.other: padded_rows(entry.partner_rows)}
            choice = replace(
                agreement.protocol, max_rows_exposure=mine[Role.EXPOSURE], max_rows_outcome=mine[Role.OUTCOME]
            )
            run = forecast.forecast(replace(agreement, protocol=choice), plan_of(agreement), role=role)
            assert (entry.run_seconds, entry.run_bytes) == (run.seconds, run.sent.bytes + run.received.bytes)


@pytest.mark.parametrize("resolution", [Resolution.HOUR, Resolution.MINUTE])
@pytest.mark.parametrize("orders", [3, 30])
def test_proposals_are_in_the_order_of_their_modelled_cost(resolution: Resolution, orders: int) -> None:
    agreement = campaign(resolution)
    found = counts(agreement, *people(agreement, touched=500, buying=150, orders=orders))
    agreement = bounded(agreement, found)
    plan = plan_of(agreement)
    price = row_seconds(agreement, plan)
    for role, side in found.items():
        table = [entry for entry in compared_trees(agreement, plan, side) if entry.proposal is not None]
        other = modelled_partner(agreement, plan, role=role.other, sizes=tuple(side.nodes))
        cost = {
            entry.proposal: entry.bound * price[role] + other.rows(entry.tree) * price[role.other] for entry in table
        }
        assert [cost[place] for place in (1, 2, 3)] == sorted(cost.values())
        sides = (side, other) if role is Role.EXPOSURE else (other, side)
        every = [choice.tree for choice in unbeaten_trees(*sides)]
        least = min(
            padded_rows(round(side.rows(tree))) * price[role] + other.rows(tree) * price[role.other] for tree in every
        )
        assert cost[1] == pytest.approx(least)


@pytest.mark.parametrize(("days", "touch_days"), [((7,), 20), ((7, 15, 30), 60), ((1, 2, 3, 5, 8, 13, 21), 15)])
def test_the_modelled_outcome_is_one_that_lies_anywhere(days: tuple[int, ...], touch_days: int) -> None:
    """The expectation over every place of an outcome equals the formula, but for pieces that the touch period cuts."""
    agreement = campaign(Resolution.DAY, days=days, touch_days=touch_days)
    plan = plan_of(agreement)
    agreement = replace(
        agreement, protocol=replace(agreement.protocol, max_rows_outcome=max(min(days[-1], touch_days), 1))
    )
    sizes = counted_sizes(agreement, plan, ())
    model = modelled_partner(agreement, plan, role=Role.OUTCOME, sizes=sizes)
    edges = [0, *days]
    lengths = [min(high - low, touch_days) for low, high in pairwise(edges)]
    single = model.nodes[1] / sum(lengths)
    for size in sizes:
        whole = 0
        for offset in range(size):
            for length in lengths:
                whole += max(0, (offset + length) // size - -(-offset // size))
        assert model.nodes[size] == pytest.approx(single * whole / size)
    assert model.rows(tree_of(agreement)) == pytest.approx(agreement.protocol.max_rows_outcome)
    exposure = modelled_partner(agreement, plan, role=Role.EXPOSURE, sizes=sizes)
    for tree in ((1,), (1, 2), (1, 2, 4)):
        assert exposure.rows(tree) == pytest.approx(len(tree) * agreement.protocol.max_rows_exposure)


def test_credit_makes_the_partner_s_pieces_long() -> None:
    agreement = campaign(Resolution.DAY, days=(7,))
    credited = replace(
        agreement,
        exposure=replace(agreement.exposure, credit="last_touch"),
        metrics=tuple(replace(item, credit=item.measure is not Measure.PEOPLE) for item in agreement.metrics),
    )
    deep, flat = ((1, 4, 16), (1,))
    ratio = {}
    for each in (agreement, credited):
        plan = plan_of(each)
        model = modelled_partner(each, plan, role=Role.OUTCOME, sizes=counted_sizes(each, plan, (deep,)))
        ratio[each.exposure.credit] = model.rows(deep) / model.rows(flat)
    assert ratio["last_touch"] < 0.5 * (ratio[None] or 1)


def test_own_data_decides_the_proposals() -> None:
    """Sparse outcomes make long pieces, dense ones short ones: other trees are worth having."""
    agreement = campaign(Resolution.HOUR)
    proposals = []
    for orders in (1, 60):
        found = counts(agreement, *people(agreement, touched=300, buying=100, orders=orders))
        table = table_of(bounded(agreement, found), found[Role.OUTCOME])
        proposals.append([entry.tree for entry in table if entry.proposal == 1])
    assert proposals[0] != proposals[1]


@pytest.mark.parametrize("resolution", list(Resolution))
def test_no_data_need_no_rows_and_the_model_still_chooses(resolution: Resolution) -> None:
    agreement = campaign(resolution)
    for side in counts(agreement, [], []).values():
        table = table_of(agreement, side)
        assert all((entry.rows, entry.bound, entry.fits) == (0, 1, True) for entry in table)
        assert any(entry.proposal == 1 for entry in table)


def test_there_is_nothing_to_choose_without_time_or_with_instants() -> None:
    agreement = campaign(Resolution.HOUR)
    instants = replace(agreement, exposure=replace(agreement.exposure, instants=(START,)))
    members = replace(agreement, metrics=(metric(Measure.MATCHED, event=None, ticks=None),))
    touches, events = people(agreement, touched=20, buying=20, orders=2)
    assert has_tree(agreement, plan_of(agreement))
    for each in (instants, members):
        assert not has_tree(each, plan_of(each))
        for side in counts(each, touches, events).values():
            (only,) = table_of(each, side, (1, 2))
            assert only.tree == tree_of(each) and only.proposal is None


def test_a_tree_beyond_any_agreement_s_bound_is_listed_but_not_proposed() -> None:
    agreement = campaign(Resolution.MINUTE)
    sizes = counted_sizes(agreement, plan_of(agreement), ())
    huge = NodeCounts(role=Role.OUTCOME, roots=0, nodes={size: 1e10 / size for size in sizes})
    table = table_of(agreement, huge, (1,))
    flat = table[-1]
    assert (flat.tree, flat.run_seconds, flat.run_bytes, flat.fits) == ((1,), None, None, False)
    few = NodeCounts(role=Role.OUTCOME, roots=0, nodes={size: 4e7 / size for size in sizes})
    assert all(entry.rows <= MAX_ROWS for entry in table_of(agreement, few) if entry.proposal is not None)
    assert few.nodes[1] > MAX_ROWS
    # with a partner to whom every level is dear, a few rows too many would be the cheapest
    dear = replace(agreement, protocol=replace(agreement.protocol, max_rows_exposure=1 << 24))
    flat_time = replace(dear, time=replace(dear.time, tree=(1,)))
    over = NodeCounts(role=Role.OUTCOME, roots=0, nodes={size: 2e7 / size**1.1 for size in sizes})
    first = next(entry for entry in table_of(flat_time, over) if entry.proposal == 1)
    assert over.nodes[1] > MAX_ROWS >= first.rows and len(first.tree) == 2


def test_the_span_of_touches_bounds_the_sizes() -> None:
    short = campaign(Resolution.HOUR, days=(30,), touch_days=2)
    assert max(counted_sizes(short, plan_of(short), ())) <= 48
    assert 1440 in counted_sizes(campaign(Resolution.HOUR), plan_of(short), ((1, 1440),))


def run_of(agreement: Agreement, touches: list[Touch], events: list[Event]) -> Run[Executed, Executed]:
    """A whole run with fixed seeds, and fixed commitments to the inputs, which tell data apart."""
    plan, told = plan_of(agreement), Told()
    lookups, _ = prepare_lookups(agreement, plan, touch_batches(agreement, touches), group_cap_key=KEY)
    known = [persons(sorted({event[0] for event in events}))]
    rows, _ = prepare_rows(agreement, plan, outcome_batches(agreement, events), known)
    first, second = (
        inputs(role, agreement, data, told=told, noise=noise, seed=seed, nonce=nonce)
        for role, data, noise, seed, nonce in zip(Role, (lookups, rows), NO_NOISE, SEEDS, NONCES, strict=True)
    )
    return run_pair(execute(first), execute(second), None, (first.transcript, second.transcript))


def test_no_byte_of_a_session_depends_on_what_is_proposed() -> None:
    agreement = agreement_of()
    choice = replace(agreement.protocol, profile=Profile.KKRT, max_rows_exposure=512, max_rows_outcome=4096)
    end = agreement.time.start + timedelta(days=60)
    agreement = replace(
        agreement,
        protocol=choice,
        time=replace(agreement.time, end=end),
        exposure=replace(agreement.exposure, end=end),
    )
    low, high = us(agreement.exposure.start), us(agreement.exposure.end)
    rng = random.Random(2)
    touches = [(person(who), rng.randrange(low, high), who % 2) for who in range(40)]
    runs, proposals = [], []
    for orders in (1, 30):
        events = [(person(who), 0, rng.randrange(low, high), 1) for who in range(20, 60) for _ in range(orders)]
        runs.append(run_of(agreement, touches, events))
        side = counts(agreement, touches, events)[Role.OUTCOME]
        proposals.append([entry.tree for entry in table_of(agreement, side)])
        assert run_of(agreement, touches, events).frames == runs[-1].frames  # having proposed changes nothing
    assert proposals[0] != proposals[1]
    # which figures are suppressed is part of the release; all else has the same lengths, and begins with the same bytes
    lengths = [[length for length in run.lengths() if not length[1].startswith("release.")] for run in runs]
    assert lengths[0] == lengths[1] and len(lengths[0]) > 20
    begin = [[frame for frame in run.frames if frame[1] in ("session.hello", "session.nonce")] for run in runs]
    assert begin[0] == begin[1] and len(begin[0]) == 4


def test_a_run_cannot_reach_what_proposes() -> None:
    known: dict[str, Path] = {name_of(path): path for path in MODULES}
    seen, wanted = set(), ["cleanroom.execute", "cleanroom.node", "cleanroom.prepare", "cleanroom.audit.replay"]
    while wanted:
        name = wanted.pop()
        if name not in seen and name in known:
            seen.add(name)
            wanted += imports(known[name])
    assert tree_proposals.__name__ not in seen and "cleanroom.attribution.tree_search" not in seen
    assert "cleanroom.attribution.tree" in seen
