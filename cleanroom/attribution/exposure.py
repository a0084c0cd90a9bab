"""The exposure side's preparation: touches in, lookups out.

For each person and group the anchor is one touch, the first or the latest; its weight is 1 at the anchor's tick, which
is looked up under every node of the tree above it. Lookups of one person that share a node become one key with several
targets. Members are looked up under a root key of their own, so that "known to the outcome side" is no column of time.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cleanroom._kernels import row_keys
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.clock import TickClock, microseconds
from cleanroom.attribution.rows import KEY_BYTES, MEMBER_DOMAIN, TREE_DOMAIN, Lookups, key_order
from cleanroom.attribution.runs import changes, distinct, expand, person_starts
from cleanroom.attribution.tree import tree_of
from cleanroom.errors import CleanroomError, DataError
from cleanroom.plan import FamilyKind, Plan

__all__ = [
    "ExposureSummary",
    "Touches",
    "group_mark",
    "instant_ticks",
    "lookup_counts",
    "prepare_lookups",
]

LAST_TOUCH: Final = "last_touch"


class Touches(Protocol):
    """A batch of touches: whole persons, sorted by (person, time, group), filtered by event, scope and period."""

    @property
    def person(self) -> NDArray[np.uint8]:
        """(n, 16) uint8."""

    @property
    def time_us(self) -> NDArray[np.int64]:
        """(n,) int64, microseconds since the epoch, UTC."""

    @property
    def group(self) -> NDArray[np.int32]:
        """(n,) int32, positions in `exposure.groups`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureSummary:
    """Local counts of the exposure side; they are never sent."""

    touches: int  # that reached the preparation
    off_instant: int  # of them dropped, their tick is that of no agreed instant
    people: int
    memberships: int  # (person, group) pairs that count
    capped_memberships: int  # dropped by max_groups_per_person
    capped_people: int
    lookups: int  # distinct keys
    bound: int  # the agreed maximum of keys


@dataclass(frozen=True, slots=True, kw_only=True)
class _Anchors:
    """The anchors of some persons, sorted by (person, group)."""

    person: NDArray[np.uint8] = field(repr=False)  # (p, 16)
    owner: NDArray[np.int64] = field(repr=False)  # (k,) index into person
    group: NDArray[np.int64] = field(repr=False)  # (k,)
    tick: NDArray[np.int64] = field(repr=False)  # (k,)


@dataclass(slots=True, kw_only=True)
class _Tally:
    touches: int = 0
    off_instant: int = 0
    people: int = 0
    memberships: int = 0
    capped_memberships: int = 0
    capped_people: int = 0


def prepare_lookups(
    agreement: Agreement, plan: Plan, batches: Iterable[Touches], *, group_cap_key: bytes
) -> tuple[Lookups, ExposureSummary]:
    """Turns touches into lookups.

    Args:
        agreement: decides clock, tree, anchor, cap on groups and the bound.
        plan: of the same agreement.
        batches: filtered touches; a person is in one batch only.
        group_cap_key: 32 secret bytes that decide which groups of a person over the cap are kept.

    Returns:
        The lookups and the local counts.

    Raises:
        DataError: more keys than `protocol.max_rows.exposure`.
    """
    bound = agreement.protocol.max_rows_exposure
    tally = _Tally()
    total = 0
    parts: list[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]] = []
    for anchors in _anchors(agreement, batches, group_cap_key, tally):
        for keys, per_key, target in _lookups(plan, tree_of(agreement), anchors):
            total += len(keys)
            if total <= bound:
                parts.append((keys, per_key, target))
    if total > bound:
        raise DataError(
            f"exposure lookups: at most {bound} agreed (protocol.max_rows.exposure), {total} needed; "
            "agree on a larger bound, a smaller tree or fewer groups"
        )
    summary = ExposureSummary(
        touches=tally.touches,
        off_instant=tally.off_instant,
        people=tally.people,
        memberships=tally.memberships,
        capped_memberships=tally.capped_memberships,
        capped_people=tally.capped_people,
        lookups=total,
        bound=bound,
    )
    return _assemble(parts), summary


def lookup_counts(
    agreement: Agreement,
    plan: Plan,
    batches: Iterable[Touches],
    *,
    group_cap_key: bytes,
    trees: Sequence[tuple[int, ...]],
) -> dict[tuple[int, ...], int]:
    """Counts the keys that each tree would need, in one pass and without making them; arguments as above.

    Returns:
        tree -> keys, member lookups included.
    """
    counts = dict.fromkeys(trees, 0)
    for anchors in _anchors(agreement, batches, group_cap_key, _Tally()):
        for tree in counts:
            if plan.has(FamilyKind.MEMBER):
                counts[tree] += len(anchors.person)
            if plan.has(FamilyKind.WINDOW):
                order = np.lexsort((anchors.tick, anchors.owner))
                owner, tick = anchors.owner[order], anchors.tick[order]
                counts[tree] += sum(int(changes(owner, tick // size).sum()) for size in tree)
    return counts


def group_mark(key: bytes, person: bytes, label: str) -> bytes:
    """HMAC-SHA-256(key, person ‖ label): under the cap, a person keeps the groups with the smallest marks.

    Args:
        key: 32 secret bytes of the exposure side; an auditor who is given them repeats the choice.
        person: 16 bytes.
        label: the group as the agreement writes it, UTF-8.

    Returns:
        32 bytes.
    """
    return hmac.digest(key, person + label.encode(), "sha256")


def instant_ticks(agreement: Agreement, clock: TickClock) -> NDArray[np.int64] | None:
    """The distinct ticks of the agreed instants inside the touch period, ascending; None where none are agreed."""
    instants = agreement.exposure.instants
    if instants is None:
        return None
    inside = [microseconds(at) for at in instants if agreement.exposure.start <= at < agreement.exposure.end]
    return distinct(clock.ticks(np.array(inside, dtype=np.int64)))


def _anchors(
    agreement: Agreement, batches: Iterable[Touches], group_cap_key: bytes, tally: _Tally
) -> Iterator[_Anchors]:
    exposure = agreement.exposure
    clock = TickClock.of(agreement.time)
    first_tick, last_tick = clock.span(exposure.start, exposure.end)
    instants = instant_ticks(agreement, clock)
    groups = len(exposure.groups)
    for batch in batches:
        person, group, tick = batch.person, batch.group.astype(np.int64), clock.ticks(batch.time_us)
        if ((tick < first_tick) | (tick >= last_tick) | (group < 0) | (group >= groups)).any():
            raise CleanroomError("touches outside the agreed period or groups reached the preparation")
        tally.touches += len(tick)
        if instants is not None:
            on = np.isin(tick, instants)
            person, group, tick = person[on], group[on], tick[on]
            tally.off_instant += len(on) - len(tick)
        starts = person_starts(person)
        owner = np.cumsum(starts) - 1
        # the batch is in time order within a person, and unique() returns the first place of each value
        code = owner * groups + group
        if exposure.anchor == LAST_TOUCH:
            pairs, place = np.unique(code[::-1], return_index=True)
            place = len(code) - 1 - place
        else:
            pairs, place = np.unique(code, return_index=True)
        found = _Anchors(person=person[starts], owner=pairs // groups, group=pairs % groups, tick=tick[place])
        kept = _cap_groups(agreement, found, group_cap_key, tally)
        tally.people += len(kept.person)
        tally.memberships += len(kept.owner)
        yield kept


def _cap_groups(agreement: Agreement, anchors: _Anchors, key: bytes, tally: _Tally) -> _Anchors:
    limit = agreement.release.max_groups_per_person
    held = np.bincount(anchors.owner, minlength=len(anchors.person))
    over = np.flatnonzero(held > limit)
    if len(over) == 0:
        return anchors
    labels = agreement.exposure.groups
    places = np.flatnonzero(held[anchors.owner] > limit)
    people = {index: anchors.person[index].tobytes() for index in over.tolist()}
    pairs = zip(anchors.owner[places].tolist(), anchors.group[places].tolist(), strict=True)
    marks = b"".join(group_mark(key, people[owner], labels[group]) for owner, group in pairs)
    words = np.frombuffer(marks, dtype=">u8").reshape(-1, 4)
    ranked = places[np.lexsort((*words.T[::-1], anchors.owner[places]))]
    # ranked holds each of these people's memberships together: all after the first `limit` of them go
    first = np.flatnonzero(changes(anchors.owner[ranked]))
    within = np.arange(len(ranked)) - np.repeat(first, held[over])
    keep = np.ones(len(anchors.owner), dtype=np.bool_)
    keep[ranked[within >= limit]] = False
    tally.capped_people += len(over)
    tally.capped_memberships += int((~keep).sum())
    return _Anchors(
        person=anchors.person, owner=anchors.owner[keep], group=anchors.group[keep], tick=anchors.tick[keep]
    )


def _lookups(
    plan: Plan, tree: tuple[int, ...], anchors: _Anchors
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]]:
    """(keys, number of targets a key, targets in the order of the keys) of one batch, a class and level at a time."""
    for position, family in enumerate(plan.families):
        target = position * plan.groups + anchors.group
        if family.kind is FamilyKind.MEMBER:
            nothing = np.zeros(len(anchors.person), dtype=np.int64)
            keys = row_keys(anchors.person, MEMBER_DOMAIN, nothing.astype(np.uint8), nothing)
            yield keys, np.bincount(anchors.owner, minlength=len(anchors.person)), target
            continue
        for level, size in enumerate(tree):
            node = anchors.tick // size
            # anchors are in the order of (person, group), and the sort is stable: a key's targets ascend
            order = np.lexsort((node, anchors.owner))
            owner, node = anchors.owner[order], node[order]
            marks = changes(owner, node)
            first = np.flatnonzero(marks)
            keys = row_keys(
                anchors.person[owner[first]],
                TREE_DOMAIN,
                np.full(len(first), level, dtype=np.uint8),
                node[first],
            )
            yield keys, np.diff(np.append(first, len(owner))), target[order]


def _assemble(parts: list[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]]) -> Lookups:
    keys = np.concatenate([np.zeros((0, KEY_BYTES), dtype=np.uint8), *(part[0] for part in parts)])
    per_key = np.concatenate([np.zeros(0, dtype=np.int64), *(part[1] for part in parts)])
    target = np.concatenate([np.zeros(0, dtype=np.int64), *(part[2] for part in parts)])
    order = key_order(keys)
    keys = keys[order]
    if not person_starts(keys).all():
        raise CleanroomError("one person's touches reached the preparation in two batches")
    first = (np.cumsum(per_key) - per_key)[order]
    per_key = per_key[order]
    return Lookups(
        keys=keys,
        indptr=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(per_key)]),
        target=target[expand(first, per_key)].astype(np.int32),
        weight=np.ones(len(target), dtype=np.int64),
    )
