"""The outcome side's preparation: outcomes in, rows out.

Each row value is a step function of time (`functions.py`), so a person's values together are a few pieces of time, each
with a vector; a non-zero piece becomes one row per node of its cover. Only that time is covered at which the exposure
side can look: the touch period, with credit as long as a touch can earn, or the agreed instants and their breakpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cleanroom._kernels import cover_sizes, rows_of_pieces, split_in_order
from cleanroom.agreement.model import Agreement, Measure, Role
from cleanroom.attribution.functions import Done, StepFunctions
from cleanroom.attribution.node_counts import NodeCounts, count_whole
from cleanroom.attribution.packing import Packing
from cleanroom.attribution.rows import KEY_BYTES, MEMBER_DOMAIN, TREE_DOMAIN, Rows
from cleanroom.attribution.runs import slices, whole_people
from cleanroom.attribution.tree import tree_of
from cleanroom.errors import CleanroomError, DataError
from cleanroom.plan import FamilyKind, Plan

__all__ = ["OutcomeSummary", "Outcomes", "keep_rows", "prepare_rows", "row_counts"]

_SLICE_WORDS: Final = 1 << 17
"""Events worked on at once (whole persons) times their values: keeps the pieces of a slice within megabytes."""
_LEAST_SLICE: Final = 1 << 10
_MOST_WORDS: Final = 1 << 15
"""Words of rows made at once: a quarter of a megabyte stays in a near cache."""


class Outcomes(Protocol):
    """A batch of outcomes: whole persons, sorted by (person, event, time), filtered by event and horizon."""

    @property
    def person(self) -> NDArray[np.uint8]:
        """(n, 16) uint8."""

    @property
    def time_us(self) -> NDArray[np.int64]:
        """(n,) int64, microseconds since the epoch, UTC."""

    @property
    def event(self) -> NDArray[np.int32]:
        """(n,) int32, positions in `outcome.events`."""

    @property
    def value(self) -> NDArray[np.int64]:
        """(n,) int64 >= 0, in units of `outcome.precision`."""

    @property
    def label(self) -> NDArray[np.int16]:
        """(n, labels in use) int16, positions among a label's values, -1 for none; read where a metric asks for it.

        An event whose lines have different labels comes as several rows with one `event_key`, one for each combination.
        """

    @property
    def event_key(self) -> NDArray[np.int64]:
        """(n,) int64, rows of one person and event with the same key are one event; -1 is an event of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSummary:
    """Local counts of the outcome side; they are never sent."""

    outcomes: int  # that reached the preparation
    people: int  # with at least one of them
    members: int  # whom the file names at all; 0 where no metric asks
    pieces: int  # constant, non-zero pieces of time
    rows: int  # distinct keys
    bound: int  # the agreed maximum of keys


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """Disjoint pieces of time of some persons, each with its values; a member is one tick of a domain of its own."""

    domain: int
    person: NDArray[np.uint8] = field(repr=False)  # (n, 16)
    owner: NDArray[np.int64] = field(repr=False)  # (k,) index into person
    first: NDArray[np.int64] = field(repr=False)  # (k,) ticks
    last: NDArray[np.int64] = field(repr=False)  # (k,) half-open
    words: NDArray[np.uint64] = field(repr=False)  # (k, w), row values, packed, never all zero


@dataclass(slots=True, kw_only=True)
class _Tally:
    outcomes: int = 0
    people: int = 0
    members: int = 0
    pieces: int = 0


def prepare_rows(
    agreement: Agreement, plan: Plan, batches: Iterable[Outcomes], members: Iterable[NDArray[np.uint8]]
) -> tuple[Rows, OutcomeSummary]:
    """Turns outcomes into rows, all in memory and ascending by key; arguments and errors as of `keep_rows`.

    Returns:
        The rows and the local counts.

    Raises:
        CleanroomError: a person is in two batches.
    """
    packing = Packing.of(agreement, plan)
    held = [np.zeros((0, KEY_BYTES // 8 + packing.words), dtype=np.uint64)]
    bound = agreement.protocol.max_rows_outcome
    summary = keep_rows(agreement, plan, batches, members, keep=held.append, at_once=bound + 1)
    try:
        keys, words = split_in_order(held)
    except ValueError:
        raise CleanroomError("one person reached the preparation twice") from None
    held.clear()
    return Rows(keys=keys, values=packing.unpacked(words)), summary


def keep_rows(
    agreement: Agreement,
    plan: Plan,
    batches: Iterable[Outcomes],
    members: Iterable[NDArray[np.uint8]],
    *,
    keep: Callable[[NDArray[np.uint64]], None],
    at_once: int,
) -> OutcomeSummary:
    """Turns outcomes into rows, some at a time.

    Args:
        agreement: decides clock, tree, touch period or instants, and the bound.
        plan: of the same agreement.
        batches: filtered outcomes; a person is in one batch only, which who puts the rows in order finds out.
        members: (k, 16) uint8 arrays of distinct persons, read only where a metric is "matched".
        keep: takes rows as two words of a key and then their values, packed as `Packing.of` has it, in no order; never
            more than the bound in all.
        at_once: the most rows that are handed over at a time, but those of one piece of time stay together.

    Returns:
        The local counts.

    Raises:
        DataError: more rows than `protocol.max_rows.outcome`.
    """
    bound, packing = agreement.protocol.max_rows_outcome, Packing.of(agreement, plan)
    tree = list(tree_of(agreement))
    tally = _Tally()
    total = 0
    most = min(at_once, max(_LEAST_SLICE, _MOST_WORDS // (KEY_BYTES // 8 + packing.words)))

    def hand_over(pieces: _Pieces) -> None:
        nonlocal total
        sizes = cover_sizes(pieces.first, pieces.last, tree)
        ends = np.cumsum(sizes)
        total += int(sizes.sum())
        if total > bound:
            return
        for low, high in slices(ends, most):
            part = slice(low, high)
            rows = rows_of_pieces(
                pieces.person,
                pieces.owner[part],
                pieces.domain,
                pieces.first[part],
                pieces.last[part],
                pieces.words[part],
                tree,
                sizes[part],
            )
            keep(rows)

    for person in _members(plan, members):
        tally.members += len(person)
        hand_over(_known(plan, packing, person))
    for pieces in _pieces(agreement, plan, batches, tally):
        hand_over(pieces)
    if total > bound:
        raise DataError(
            f"outcome rows: at most {bound} agreed (protocol.max_rows.outcome), {total} needed; "
            "agree on a larger bound, another tree, a shorter touch period or fewer windows"
        )
    return OutcomeSummary(
        outcomes=tally.outcomes,
        people=tally.people,
        members=tally.members,
        pieces=tally.pieces,
        rows=total,
        bound=bound,
    )


def row_counts(
    agreement: Agreement,
    plan: Plan,
    batches: Iterable[Outcomes],
    members: Iterable[NDArray[np.uint8]],
    *,
    sizes: Sequence[int],
) -> NodeCounts:
    """Counts the nodes of every size inside pieces, in one pass and without making rows.

    Args:
        agreement: as for `prepare_rows`; the other arguments too.
        plan: of the same agreement.
        batches: filtered outcomes.
        members: distinct persons.
        sizes: of nodes, in ticks.

    Returns:
        The counts, member rows as the roots.
    """
    known, nodes = sum(len(person) for person in _members(plan, members)), dict.fromkeys(sizes, 0)
    for pieces in _pieces(agreement, plan, batches, _Tally()):
        for size, count in count_whole(pieces.first, pieces.last, sizes).items():
            nodes[size] += count
    return NodeCounts(role=Role.OUTCOME, roots=known, nodes=nodes)


def _members(plan: Plan, members: Iterable[NDArray[np.uint8]]) -> Iterable[NDArray[np.uint8]]:
    return members if plan.has(FamilyKind.MEMBER) else ()


def _known(plan: Plan, packing: Packing, person: NDArray[np.uint8]) -> _Pieces:
    """Members, who have the value 1 of their own family: a root key is a node of its domain's first level."""
    start = np.zeros(len(person), dtype=np.int64)
    known = np.array([value.measure is Measure.MATCHED for value in plan.row_values], dtype=np.int64)
    return _Pieces(
        domain=MEMBER_DOMAIN,
        person=person,
        owner=np.arange(len(person)),
        first=start,
        last=start + 1,
        words=packing.packed(np.tile(known, (len(person), 1))),
    )


def _pieces(agreement: Agreement, plan: Plan, batches: Iterable[Outcomes], tally: _Tally) -> Iterator[_Pieces]:
    functions = StepFunctions.of(agreement, plan)
    clock, labelled = functions.frame.clock, functions.labelled
    most = max(_LEAST_SLICE, _SLICE_WORDS // len(plan.row_values))
    for batch in batches:
        tick = clock.ticks(batch.time_us)
        if len(tick) and not (tick.min() >= 0 and tick.max() < clock.horizon):
            raise CleanroomError("outcomes outside the horizon reached the preparation")
        tally.outcomes += len(tick)
        for part in whole_people(batch.person, most):
            done = Done(
                tick=tick[part],
                event=batch.event[part],
                value=batch.value[part],
                label=batch.label[part] if labelled else None,
                event_key=batch.event_key[part] if labelled else None,
            )
            person = batch.person[part]
            people, owner, first, last, words = functions.pieces(person, done)
            tally.people += people
            tally.pieces += len(first)
            yield _Pieces(domain=TREE_DOMAIN, person=person, owner=owner, first=first, last=last, words=words)
