"""The outcome side's preparation: outcomes in, rows out.

For each person and window column, F(τ) is what the person did within the window that begins at tick τ, capped. It is
constant between the cuts t − X + 1 and t + 1 of the outcomes, so a person's columns together are a few pieces of time,
each with a vector; a non-zero piece becomes one row per node of its cover. Only the touch period is covered, or the
agreed instants where there are such, since the exposure side looks up nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cleanroom._kernels import row_keys
from cleanroom.agreement.model import Agreement, Measure
from cleanroom.attribution.clock import TickClock
from cleanroom.attribution.exposure import instant_ticks
from cleanroom.attribution.rows import KEY_BYTES, MEMBER_DOMAIN, TREE_DOMAIN, Rows, key_order
from cleanroom.attribution.runs import changes, distinct, expand, person_starts
from cleanroom.attribution.tree import cover, cover_sizes, tree_of
from cleanroom.errors import CleanroomError, DataError
from cleanroom.plan import FamilyKind, Plan

__all__ = ["OutcomeSummary", "Outcomes", "prepare_rows", "row_counts"]

_SLICE_EVENTS: Final = 1 << 16
"""Events worked on at once (whole persons): keeps the pieces of a slice within a few tens of megabytes."""
_INT64_LIMIT: Final = 1 << 63


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
class _Window:
    """Columns that look at the same outcomes: an event and a window."""

    event: int
    ticks: int
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """Disjoint pieces of time of some persons, each with its vector."""

    person: NDArray[np.uint8] = field(repr=False)  # (k, 16)
    first: NDArray[np.int64] = field(repr=False)  # (k,) ticks
    last: NDArray[np.int64] = field(repr=False)  # (k,) half-open
    vector: NDArray[np.int64] = field(repr=False)  # (k, m), never all zero


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some rows, whose vectors many of them share."""

    keys: NDArray[np.uint8] = field(repr=False)  # (n, 16)
    piece: NDArray[np.int64] = field(repr=False)  # (n,) index into vector
    vector: NDArray[np.int64] = field(repr=False)  # (k, m)


@dataclass(slots=True, kw_only=True)
class _Tally:
    outcomes: int = 0
    people: int = 0
    members: int = 0
    pieces: int = 0


def prepare_rows(
    agreement: Agreement, plan: Plan, batches: Iterable[Outcomes], members: Iterable[NDArray[np.uint8]]
) -> tuple[Rows, OutcomeSummary]:
    """Turns outcomes into rows.

    Args:
        agreement: decides clock, tree, touch period or instants, and the bound.
        plan: of the same agreement.
        batches: filtered outcomes; a person is in one batch only.
        members: (k, 16) uint8 arrays of distinct persons, read only where a metric is "matched".

    Returns:
        The rows and the local counts.

    Raises:
        DataError: more rows than `protocol.max_rows.outcome`.
    """
    bound = agreement.protocol.max_rows_outcome
    tree = tree_of(agreement)
    tally = _Tally()
    total = 0
    parts: list[_Part] = []
    for person in _members(plan, members):
        tally.members += len(person)
        total += len(person)
        if total <= bound:
            root = np.zeros(len(person), dtype=np.int64)
            keys = row_keys(np.ascontiguousarray(person), MEMBER_DOMAIN, root.astype(np.uint8), root)
            known = np.array([value.measure is Measure.MATCHED for value in plan.row_values], dtype=np.int64)
            parts.append(_Part(keys=keys, piece=root, vector=known.reshape(1, -1)))
    for pieces in _pieces(agreement, plan, batches, tally):
        total += int(cover_sizes(pieces.first, pieces.last, tree).sum())
        if total <= bound:
            piece, level, node = cover(pieces.first, pieces.last, tree)
            keys = row_keys(pieces.person[piece], TREE_DOMAIN, level, node)
            parts.append(_Part(keys=keys, piece=piece, vector=pieces.vector))
    if total > bound:
        raise DataError(
            f"outcome rows: at most {bound} agreed (protocol.max_rows.outcome), {total} needed; "
            "agree on a larger bound, another tree, a shorter touch period or fewer windows"
        )
    summary = OutcomeSummary(
        outcomes=tally.outcomes,
        people=tally.people,
        members=tally.members,
        pieces=tally.pieces,
        rows=total,
        bound=bound,
    )
    return _assemble(parts, len(plan.row_values)), summary


def row_counts(
    agreement: Agreement,
    plan: Plan,
    batches: Iterable[Outcomes],
    members: Iterable[NDArray[np.uint8]],
    *,
    trees: Sequence[tuple[int, ...]],
) -> dict[tuple[int, ...], int]:
    """Counts the rows that each tree would need, in one pass and without making them; arguments as above.

    Returns:
        tree -> rows, member rows included.
    """
    known = sum(len(person) for person in _members(plan, members))
    counts = dict.fromkeys(trees, known)
    for pieces in _pieces(agreement, plan, batches, _Tally()):
        for tree in counts:
            counts[tree] += int(cover_sizes(pieces.first, pieces.last, tree).sum())
    return counts


def _members(plan: Plan, members: Iterable[NDArray[np.uint8]]) -> Iterable[NDArray[np.uint8]]:
    return members if plan.has(FamilyKind.MEMBER) else ()


def _pieces(agreement: Agreement, plan: Plan, batches: Iterable[Outcomes], tally: _Tally) -> Iterator[_Pieces]:
    clock = TickClock.of(agreement.time)
    period = clock.span(agreement.exposure.start, agreement.exposure.end)
    instants = instant_ticks(agreement, clock)
    windows = _windows(agreement, plan)
    for batch in batches:
        tick = clock.ticks(batch.time_us)
        if ((tick < 0) | (tick >= clock.horizon)).any():
            raise CleanroomError("outcomes outside the horizon reached the preparation")
        starts = person_starts(batch.person)
        tally.outcomes += len(tick)
        tally.people += int(starts.sum())
        edges = np.append(np.flatnonzero(starts), len(tick))
        for low, high in _slices(edges):
            pieces = _slice_pieces(
                plan, windows, clock.horizon, period, instants,
                batch.person[low:high], tick[low:high], batch.event[low:high], batch.value[low:high],
            )  # fmt: skip
            tally.pieces += len(pieces.first)
            yield pieces


def _windows(agreement: Agreement, plan: Plan) -> list[_Window]:
    columns: dict[tuple[int, int], list[int]] = {}
    for index, column in enumerate(plan.row_values):
        if column.event is not None and column.window_ticks is not None:
            event = agreement.outcome.events.index(column.event)
            columns.setdefault((event, column.window_ticks), []).append(index)
    return [_Window(event=event, ticks=ticks, columns=tuple(of)) for (event, ticks), of in columns.items()]


def _slices(edges: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cuts rows at edges of persons into slices of about `_SLICE_EVENTS`; `edges` ends with the number of rows."""
    low, end = 0, int(edges[-1])
    while low < end:
        high = int(edges[np.searchsorted(edges, min(low + _SLICE_EVENTS, end), side="left")])
        yield low, high
        low = high


def _slice_pieces(
    plan: Plan,
    windows: list[_Window],
    horizon: int,
    period: tuple[int, int],
    instants: NDArray[np.int64] | None,
    person: NDArray[np.uint8],
    tick: NDArray[np.int64],
    event: NDArray[np.int32],
    value: NDArray[np.int64],
) -> _Pieces:
    starts = person_starts(person)
    owner = np.cumsum(starts) - 1
    stride = horizon + 1  # (person, tick) as one ascending number: person * stride + tick
    code = owner * stride + tick
    if instants is None:
        places = _cut_places(windows, period, stride, owner, tick, event)
    else:
        places = _instant_places(windows, instants, stride, owner, tick, event)
    vector = _vectors(plan, windows, horizon, places, code, event, value)
    holder, first = places // stride, places % stride
    if instants is None:
        fresh = changes(holder, *vector.T)
        holder, first, vector = holder[fresh], first[fresh], vector[fresh]
        last = np.full(len(first), period[1], dtype=np.int64)
        follows = holder[1:] == holder[:-1]
        last[:-1][follows] = first[1:][follows]
    else:
        last = first + 1
    live = vector.any(axis=1)
    return _Pieces(person=person[starts][holder[live]], first=first[live], last=last[live], vector=vector[live])


def _cut_places(
    windows: list[_Window],
    period: tuple[int, int],
    stride: int,
    owner: NDArray[np.int64],
    tick: NDArray[np.int64],
    event: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Where in the period any column may change: an outcome at t is active for τ in [t − X + 1, t + 1)."""
    cuts = [np.zeros(0, dtype=np.int64)]
    for window in windows:
        chosen = (event == window.event) & (tick >= period[0]) & (tick - window.ticks + 1 < period[1])
        base, at = owner[chosen] * stride, tick[chosen]
        cuts.append(base + np.maximum(at - window.ticks + 1, period[0]))
        ends = at + 1 < period[1]
        cuts.append((base + at + 1)[ends])
    return distinct(np.concatenate(cuts))


def _instant_places(
    windows: list[_Window],
    instants: NDArray[np.int64],
    stride: int,
    owner: NDArray[np.int64],
    tick: NDArray[np.int64],
    event: NDArray[np.int32],
) -> NDArray[np.int64]:
    """The instants at which any column may be non-zero: those in [t − X + 1, t + 1) of an outcome."""
    places = [np.zeros(0, dtype=np.int64)]
    for window in windows:
        chosen = event == window.event
        base, at = owner[chosen] * stride, tick[chosen]
        low = np.searchsorted(instants, at - window.ticks + 1, side="left")
        count = np.searchsorted(instants, at, side="right") - low
        places.append(distinct(np.repeat(base, count) + instants[expand(low, count)]))
    return distinct(np.concatenate(places))


def _vectors(
    plan: Plan,
    windows: list[_Window],
    horizon: int,
    places: NDArray[np.int64],
    code: NDArray[np.int64],
    event: NDArray[np.int32],
    value: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Every column at every place: what lies in [τ, τ + X), capped."""
    vector = np.zeros((len(places), len(plan.row_values)), dtype=np.int64)
    stride = horizon + 1
    limit = places - places % stride + horizon  # outcomes of the same person end here, windows too
    for chosen_event in {window.event for window in windows}:
        chosen = event == chosen_event
        at, money = code[chosen], value[chosen]
        if (at[1:] < at[:-1]).any():  # a date can go back where a zone's clocks do
            order = np.argsort(at, kind="stable")
            at, money = at[order], money[order]
        low = np.searchsorted(at, places, side="left")
        for window in windows:
            if window.event != chosen_event:
                continue
            high = np.searchsorted(at, np.minimum(places + window.ticks, limit), side="left")
            for index in window.columns:
                column = plan.row_values[index]
                if column.measure is Measure.SUM:
                    total = _totals(money, column.cap)
                    found = np.minimum(total[high] - total[low], column.cap)
                else:
                    found = np.minimum(high - low, column.cap)
                vector[:, index] = found
    return vector


def _totals(value: NDArray[np.int64], cap: int) -> NDArray[np.int64]:
    """Running totals from 0; values over the cap count as the cap, which changes no capped sum.

    The totals are Python integers where 64 bits might not hold them.
    """
    clipped = np.minimum(value, cap)
    wide = int(clipped.max(initial=0)) * len(clipped) >= _INT64_LIMIT
    total: NDArray[np.int64] = np.zeros(len(value) + 1, dtype=np.object_ if wide else np.int64)
    total[1:] = np.cumsum(clipped.astype(total.dtype))
    return total


def _assemble(parts: list[_Part], columns: int) -> Rows:
    keys = np.concatenate([np.zeros((0, KEY_BYTES), dtype=np.uint8), *(part.keys for part in parts)])
    order = key_order(keys)
    keys = keys[order]
    if not person_starts(keys).all():
        raise CleanroomError("one person reached the preparation twice")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    values = np.empty((len(keys), columns), dtype=np.int64)
    done = 0
    for part in parts:
        values[rank[done : done + len(part.keys)]] = part.vector[part.piece]
        done += len(part.keys)
    return Rows(keys=keys, values=values)
