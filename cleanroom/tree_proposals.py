"""Time trees for two owners to choose from, before they sign: what each would cost, and the cheapest by a cost model.

The model: a run costs so many seconds for each of a side's rows, up to the power of two that its bound is padded to
(`forecast.row_seconds`). This side's rows are counted on its own data. The partner's are not known here, so they are
taken from the agreement alone: as many as its bound under the agreement's tree, and under another tree more or fewer as
a single touch or outcome would need:

- a touch is looked up once a level;
- an outcome makes a piece of time of every step between windows, at any place, and with credit one of half the time in
  which a touch can earn. A piece of l ticks holds (l − s + 1) / s whole nodes of size s <= l on average.

Every chain of the sizes of `tree_sizes` is searched. What is found here is for the owners to read; a run never asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from cleanroom.agreement.model import Agreement, Period, Role, padded_rows
from cleanroom.agreement.sections import MAX_ROWS
from cleanroom.attribution.functions import Frame
from cleanroom.attribution.node_counts import NodeCounts, tree_sizes
from cleanroom.attribution.tree import tree_of
from cleanroom.attribution.tree_search import Choice, unbeaten_trees
from cleanroom.forecast import forecast, row_seconds
from cleanroom.plan import FamilyKind, Plan

__all__ = ["TreeCost", "compared_trees", "counted_sizes", "has_tree", "modelled_partner"]

PROPOSALS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeCost:
    """What a tree needs on this side, and what a run with it would cost.

    `partner_rows` and what builds on it, `run_seconds` and `run_bytes`, rest on the model of the partner's side; the
    latter two are None where a bound, this side's or else the partner's, is more than any agreement allows.
    """

    tree: tuple[int, ...]
    proposal: int | None  # its place among the proposed trees, from 1; None for one that is only compared
    rows: int  # of this side, exactly
    fits: bool  # within this side's agreed bound
    bound: int  # the power of two that these rows are padded to
    seconds: float  # that this side's bound adds to a run on a core of 2021: what two owners add up
    partner_rows: int
    run_seconds: float | None
    run_bytes: int | None


def has_tree(agreement: Agreement, plan: Plan) -> bool:
    """Whether the tree makes a difference: touches at any time, and a metric that looks at time."""
    timed = any(family.kind is not FamilyKind.MEMBER for family in plan.families)
    return timed and agreement.exposure.instants is None


def counted_sizes(agreement: Agreement, plan: Plan, asked: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The sizes of nodes to count on this side's data, from the agreement and the trees that are asked for."""
    own = tree_of(agreement)
    if not has_tree(agreement, plan):
        return tree_sizes(0, [own])
    frame = Frame.of(agreement, plan)
    return tree_sizes(frame.end - frame.start, [own, *asked])


def modelled_partner(agreement: Agreement, plan: Plan, *, role: Role, sizes: Sequence[int]) -> NodeCounts:
    """The counts of a side whose data are not at hand, from the agreement alone; see the module.

    Args:
        agreement: with a tree that makes a difference.
        plan: of the same agreement.
        role: the side that is modelled.
        sizes: of nodes; the agreement's tree is made of them.
    """
    roots = 1.0 if plan.has(FamilyKind.MEMBER) else 0.0
    if role is Role.EXPOSURE:
        bound, nodes = agreement.protocol.max_rows_exposure, dict.fromkeys(sizes, 1.0)
    else:
        bound, lengths = agreement.protocol.max_rows_outcome, _lengths(agreement, plan)
        nodes = {size: sum(max(0.0, length - size + 1) / size for length in lengths) for size in sizes}
    single = NodeCounts(role=role, roots=roots, nodes=nodes)
    times = bound / single.rows(tree_of(agreement))
    return NodeCounts(role=role, roots=times * roots, nodes={size: times * count for size, count in nodes.items()})


def compared_trees(
    agreement: Agreement, plan: Plan, own: NodeCounts, *, asked: Sequence[tuple[int, ...]] = ()
) -> tuple[TreeCost, ...]:
    """Puts trees side by side.

    Args:
        agreement: signed or not.
        plan: of the same agreement.
        own: this side's counts at `counted_sizes`.
        asked: trees to be listed whatever they cost.

    Returns:
        The agreement's tree, then up to three proposals, each with another number of levels, from the cheapest on, then
        the trees that were asked for; a tree once.

    Raises:
        AgreementError: the run's cost cannot be worked out.
    """
    current = tree_of(agreement)
    if not has_tree(agreement, plan):
        partner = _bounds(agreement)[own.role.other]
        return (_cost(agreement, plan, own, current, partner, proposal=None),)
    other = modelled_partner(agreement, plan, role=own.role.other, sizes=tuple(own.nodes))
    price = row_seconds(agreement, plan)

    def expected(choice: Choice) -> tuple[bool, float, int]:
        mine, theirs = choice.exposure, choice.outcome
        if own.role is Role.OUTCOME:
            mine, theirs = theirs, mine
        return (
            mine > MAX_ROWS,
            padded_rows(round(mine)) * price[own.role] + theirs * price[own.role.other],
            len(choice.tree),
        )

    found = unbeaten_trees(own, other) if own.role is Role.EXPOSURE else unbeaten_trees(other, own)
    best: dict[int, tuple[int, ...]] = {}
    for choice in sorted(found, key=expected):
        best.setdefault(len(choice.tree), choice.tree)
    proposed = list(best.values())[:PROPOSALS]
    return tuple(
        _cost(
            agreement, plan, own, tree, round(other.rows(tree)),
            proposal=proposed.index(tree) + 1 if tree in proposed else None,
        )
        for tree in dict.fromkeys([current, *proposed, *asked])
    )  # fmt: skip


def _cost(
    agreement: Agreement, plan: Plan, own: NodeCounts, tree: tuple[int, ...], partner: int, *, proposal: int | None
) -> TreeCost:
    rows = round(own.rows(tree))
    bound = padded_rows(rows)
    both = {own.role: bound, own.role.other: padded_rows(partner)}
    run = None
    if max(both.values()) <= MAX_ROWS:
        choice = replace(agreement.protocol, max_rows_exposure=both[Role.EXPOSURE], max_rows_outcome=both[Role.OUTCOME])
        run = forecast(replace(agreement, protocol=choice), plan, role=own.role)
    return TreeCost(
        tree=tree,
        proposal=proposal,
        rows=rows,
        fits=rows <= _bounds(agreement)[own.role],
        bound=bound,
        seconds=bound * row_seconds(agreement, plan)[own.role],
        partner_rows=partner,
        run_seconds=None if run is None else run.seconds,
        run_bytes=None if run is None else run.sent.bytes + run.received.bytes,
    )


def _lengths(agreement: Agreement, plan: Plan) -> list[int]:
    """Lengths of the pieces that one outcome makes, an event after the other: no longer than touches can lie."""
    frame = Frame.of(agreement, plan)
    touched, earning = frame.touch_end - frame.start, frame.end - frame.start
    found: list[int] = []
    for event in {value.event for value in plan.row_values if value.event is not None}:
        values = [value for value in plan.row_values if value.event == event]
        if any(value.suffix for value in values):
            found.append(max(1, earning // 2))
        for period in Period:
            windows = {
                value.window_ticks or 0
                for value in values
                if not value.suffix and (value.period is period or value.change)
            }
            found += [max(1, min(upper - lower, touched)) for lower, upper in pairwise(sorted({0, *windows}))]
    return found


def _bounds(agreement: Agreement) -> dict[Role, int]:
    return {
        Role.EXPOSURE: agreement.protocol.max_rows_exposure,
        Role.OUTCOME: agreement.protocol.max_rows_outcome,
    }
