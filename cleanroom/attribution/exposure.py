"""The exposure side's preparation: touches in, lookups out.

Each family of weights gives impulses, integer weights of a group at a tick: 1 at a person's anchor for windows, signed
ones at breakpoints for credit, 1 at the start of the longest interval with credit for a credit's gate. Impulses are
looked up under every node of the tree above their tick; those of one person that share a node become one key with
several targets, equal targets add up, and what adds up to zero is left out. Members are looked up under a root key of
their own, so that "known to the outcome side" is no column of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cleanroom._kernels import anchors, lookups_of, merge_impulses, sort_lookups
from cleanroom.agreement.model import Agreement, Role
from cleanroom.attribution.credit import Credit, Impulses
from cleanroom.attribution.node_counts import NodeCounts, count_looked_up
from cleanroom.attribution.rows import KEY_BYTES, MEMBER_DOMAIN, TREE_DOMAIN, Lookups
from cleanroom.attribution.runs import distinct
from cleanroom.attribution.touched import Tally, Touched, Touches, touched
from cleanroom.attribution.tree import tree_of
from cleanroom.errors import CleanroomError, DataError
from cleanroom.plan import FamilyKind, Plan
from cleanroom.protocols.wire import chunks

__all__ = [
    "LAST_TOUCH",
    "ExposureSummary",
    "event_positions",
    "keep_lookups",
    "lookup_counts",
    "prepare_lookups",
]

LAST_TOUCH: Final = "last_touch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureSummary:
    """Local counts of the exposure side; they are never sent."""

    touches: int  # that reached the preparation
    off_instant: int  # of them dropped, their tick is that of no agreed instant
    people: int
    memberships: int  # (person, group) pairs that count
    capped_memberships: int  # dropped by max_groups_per_person
    capped_people: int
    bandless_memberships: int  # that count, with fewer touches than the first frequency band begins at
    over_windows: int  # touches that earn nothing by max_windows, under the credit window that drops most
    over_touches: int  # touches that earn nothing by max_touches, likewise
    lookups: int  # distinct keys
    bound: int  # the agreed maximum of keys


def prepare_lookups(
    agreement: Agreement, plan: Plan, batches: Iterable[Touches], *, group_cap_key: bytes
) -> tuple[Lookups, ExposureSummary]:
    """Turns touches into lookups, all in memory and ascending by key; arguments and errors as of `keep_lookups`.

    Returns:
        The lookups and the local counts.

    Raises:
        CleanroomError: a person is in two batches.
    """
    held: list[Lookups] = []
    bound = agreement.protocol.max_rows_exposure
    summary = keep_lookups(agreement, plan, batches, group_cap_key=group_cap_key, keep=held.append, at_once=bound + 1)
    try:
        keys, indptr, target, weight = sort_lookups(
            np.concatenate([np.zeros((0, KEY_BYTES), dtype=np.uint8), *(part.keys for part in held)]),
            np.concatenate([np.zeros(0, dtype=np.int64), *(np.diff(part.indptr) for part in held)]),
            np.concatenate([np.zeros(0, dtype=np.int32), *(part.target for part in held)]),
            np.concatenate([np.zeros(0, dtype=np.int64), *(part.weight for part in held)]),
        )
    except ValueError:
        raise CleanroomError("one person's touches reached the preparation in two batches") from None
    return Lookups(keys=keys, indptr=indptr, target=target, weight=weight), summary


def keep_lookups(
    agreement: Agreement,
    plan: Plan,
    batches: Iterable[Touches],
    *,
    group_cap_key: bytes,
    keep: Callable[[Lookups], None],
    at_once: int,
) -> ExposureSummary:
    """Turns touches into lookups, some at a time.

    Args:
        agreement: decides clock, tree, anchor, credit, cap on groups and the bound.
        plan: of the same agreement.
        batches: filtered touches; a person is in one batch only, which who puts the lookups in order finds out.
        group_cap_key: 32 secret bytes that decide which groups of a person over the cap are kept.
        keep: takes lookups, in no order; never more than the bound in all.
        at_once: the most keys that are handed over at a time.

    Returns:
        The local counts.

    Raises:
        DataError: more keys than `protocol.max_rows.exposure`.
    """
    bound = agreement.protocol.max_rows_exposure
    tally = Tally()
    total = 0
    for touches in touched(agreement, batches, group_cap_key, tally):
        for part in _parts(agreement, plan, touches, tally):
            total += len(part)
            if total <= bound:
                for low, high in chunks(len(part), at_once):
                    keep(_between(part, low, high))
    if total > bound:
        raise DataError(
            f"exposure lookups: at most {bound} agreed (protocol.max_rows.exposure), {total} needed; "
            "agree on a larger bound, a smaller tree or fewer groups"
        )
    return ExposureSummary(
        touches=tally.touches,
        off_instant=tally.off_instant,
        people=tally.people,
        memberships=tally.memberships,
        capped_memberships=tally.capped_memberships,
        capped_people=tally.capped_people,
        bandless_memberships=tally.bandless_memberships,
        over_windows=max(tally.over_windows.values(), default=0),
        over_touches=max(tally.over_touches.values(), default=0),
        lookups=total,
        bound=bound,
    )


def lookup_counts(
    agreement: Agreement, plan: Plan, batches: Iterable[Touches], *, group_cap_key: bytes, sizes: Sequence[int]
) -> NodeCounts:
    """Counts the nodes that would be looked up at every size, in one pass and without making keys.

    Args:
        agreement: as for `prepare_lookups`; the other arguments too.
        plan: of the same agreement.
        batches: filtered touches.
        group_cap_key: 32 secret bytes.
        sizes: of nodes, in ticks.

    Returns:
        The counts, member lookups as the roots.
    """
    members, nodes = 0, dict.fromkeys(sizes, 0)
    for touches in touched(agreement, batches, group_cap_key, Tally()):
        members += len(distinct(_members(plan, touches).owner)) if plan.has(FamilyKind.MEMBER) else 0
        for impulses in _impulses(agreement, plan, touches, Tally()):
            merged = _merged(impulses, 1)
            found = count_looked_up(merged.owner, merged.tick, merged.group, merged.weight, sizes)
            for size, count in found.items():
                nodes[size] += count
    return NodeCounts(role=Role.EXPOSURE, roots=members, nodes=nodes)


def event_positions(agreement: Agreement, via: tuple[str, ...] | None) -> tuple[int, ...] | None:
    """The positions in `exposure.events` of the events that a family looks at; None for all."""
    return None if via is None else tuple(agreement.exposure.events.index(event) for event in via)


def _parts(agreement: Agreement, plan: Plan, touches: Touched, tally: Tally) -> Iterator[Lookups]:
    """The lookups of some persons, in no order: members, then a level of the tree at a time."""
    if plan.has(FamilyKind.MEMBER):
        yield _lookups(touches, _members(plan, touches), MEMBER_DOMAIN, 0, 1)
    tree = tree_of(agreement)
    for impulses in _impulses(agreement, plan, touches, tally):
        for level, size in enumerate(tree):
            yield _lookups(touches, impulses, TREE_DOMAIN, level, size)


def _lookups(touches: Touched, impulses: Impulses, domain: int, level: int, size: int) -> Lookups:
    """The lookups of weights at nodes of `size` ticks."""
    keys, indptr, target, weight = lookups_of(
        touches.person, impulses.owner, impulses.tick, impulses.group, impulses.weight, domain, level, size
    )
    return Lookups(keys=keys, indptr=indptr, target=target, weight=weight)


def _members(plan: Plan, touches: Touched) -> Impulses:
    """Weight 1 for every membership, at no time: at tick 0; the family of members is the plan's first."""
    owner, _, target = anchors(
        touches.owner, touches.tick, touches.event, touches.group, plan.groups, [(0, None)], False
    )
    return Impulses(owner=owner, tick=np.zeros_like(owner), group=target, weight=np.ones_like(owner))


def _impulses(agreement: Agreement, plan: Plan, touches: Touched, tally: Tally) -> Iterator[Impulses]:
    """The weights of all families of the tree, whole persons at a time, with targets for groups."""
    parts = _anchors(agreement, plan, touches) if plan.has(FamilyKind.WINDOW) else []
    if plan.has(FamilyKind.CREDIT):
        parts.append(Credit.of(agreement, plan).impulses(touches, tally))
    if parts:
        yield parts[0] if len(parts) == 1 else _joined(parts)


def _anchors(agreement: Agreement, plan: Plan, touches: Touched) -> list[Impulses]:
    """Weight 1 at the first or the last touch of each membership among a family's events, for all window families."""
    families = [
        (position * plan.groups, event_positions(agreement, family.via))
        for position, family in enumerate(plan.families)
        if family.kind is FamilyKind.WINDOW
    ]
    latest = agreement.exposure.anchor == LAST_TOUCH
    owner, tick, target = anchors(
        touches.owner, touches.tick, touches.event, touches.group, plan.groups, families, latest
    )
    return [Impulses(owner=owner, tick=tick, group=target, weight=np.ones_like(owner))]


def _joined(parts: list[Impulses]) -> Impulses:
    return Impulses(
        owner=np.concatenate([part.owner for part in parts]),
        tick=np.concatenate([part.tick for part in parts]),
        group=np.concatenate([part.group for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
    )


def _merged(impulses: Impulses, size: int) -> Impulses:
    """Sums the weights of each (owner, node of `size` ticks, group), sorted so; sums of zero are left out."""
    people = int(impulses.owner.max(initial=-1)) + 1
    owner, node, group, weight = merge_impulses(
        impulses.owner, impulses.tick, impulses.group, impulses.weight, size, people
    )
    return Impulses(owner=owner, tick=node, group=group, weight=weight)


def _between(lookups: Lookups, low: int, high: int) -> Lookups:
    indptr = lookups.indptr[low : high + 1]
    entries = slice(int(indptr[0]), int(indptr[-1]))
    return Lookups(
        keys=lookups.keys[low:high],
        indptr=indptr - indptr[0],
        target=lookups.target[entries],
        weight=lookups.weight[entries],
    )
