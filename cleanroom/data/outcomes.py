"""The outcome side's data: read, checked, normalised, lines merged into events, in the order that attribution needs.

Lines with the same (person, event, event id) are one outcome: earliest time, summed value (convention 5). Merging
comes before the period filter, so that an order whose first line lies outside the horizon is outside with all its
lines. Lines without an event id are each an outcome. A row without a valid identifier is counted and dropped first, but
its time must still be one. Lines of one outcome with different labels stay apart, as parts that share the outcome's
time and event id. Where there are several identifiers, or accounts, lines are merged an account, and each
outcome then stands under every identifier that the account holds: downstream, a person is a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Agreement, Measure
from cleanroom.attribution.clock import microseconds
from cleanroom.attribution.runs import expand
from cleanroom.data.accounts import ACCOUNT, Accounts, RowAccounts, append_held, sole_holders
from cleanroom.data.binding import Binding
from cleanroom.data.columns import Field, Units, amounts_of, integers_of, labels_of, of_texts, times_of
from cleanroom.data.fates import Fate, PendingRows, counts_of, fate_of
from cleanroom.data.rows import (
    ReadProgress,
    RowCount,
    Words,
    by_people,
    check_invalid,
    check_names,
    column_of,
    differs,
    keys_of,
    signed_word,
    zone_of,
)
from cleanroom.data.source import Stretch, stretches
from cleanroom.data.spill import MEMORY_BYTES, Spill
from cleanroom.data.summary import FilterSummary
from cleanroom.data.zones import WallClock
from cleanroom.errors import DataError
from cleanroom.match_keys.people import VALID
from cleanroom.texts import Texts

__all__ = ["OutcomeBatch", "OutcomeData", "read_outcome"]

# person (2), event, event id (2; zero stands for none), time, value
_WORDS: Final = 7
# With labels the event's word has its low bits, and above them each label's position among the values, plus one.
_EVENT_BITS: Final = 16
_LABEL_BITS: Final = 12


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OutcomeBatch:
    """Outcomes of whole people, sorted by (person, labels, event, time, event id, value).

    person: n × 16 bytes; time_us: microseconds UTC; event: position in the agreement's list; value: integer units,
    0 without a value column; event_key: 63 bits mixed from the event id, or -1 where there is none; label: n × labels
    in use, the position among the label's values or -1. An outcome whose lines have different labels is several rows.
    """

    person: NDArray[np.uint8] = field(repr=False)
    time_us: NDArray[np.int64] = field(repr=False)
    event: NDArray[np.int32] = field(repr=False)
    value: NDArray[np.int64] = field(repr=False)
    event_key: NDArray[np.int64] = field(repr=False)
    label: NDArray[np.int16] = field(repr=False)

    def __len__(self) -> int:
        return len(self.time_us)


class OutcomeData:
    """Prepared outcomes, everybody whom the source names, and what became of the rows."""

    def __init__(self, outcomes: Spill, members: Spill, summary: FilterSummary, labels: int) -> None:
        self._outcomes = outcomes
        self._members = members
        self._labels = labels
        self.summary = summary

    def __repr__(self) -> str:
        return f"OutcomeData({self.summary}, people={self.people})"

    @property
    def people(self) -> int:
        """How many distinct people `members` yields."""
        return self._members.rows

    def batches(self) -> Iterator[OutcomeBatch]:
        """Yields all outcomes, people in the order of their keys, each in one batch; may be called again."""
        for part in self._outcomes.parts():
            for rows in by_people(part):
                person, what, event_key, time, value = _kernels.outcome_columns(rows)
                event, label = _unpacked(what, self._labels)
                yield OutcomeBatch(
                    person=person, time_us=time, event=event, value=value, event_key=event_key, label=label
                )

    def members(self) -> Iterator[NDArray[np.uint8]]:
        """Yields k × 16 bytes: all people with a valid identifier, whatever their rows' event and period, in order."""
        for rows in self._members.parts():
            yield keys_of(rows)

    def close(self) -> None:
        """Forgets outcomes and people."""
        self._outcomes.close()
        self._members.close()


def read_outcome(
    agreement: Agreement,
    binding: Binding,
    *,
    progress: ReadProgress | None = None,
    count: RowCount | None = None,
    choice_key: bytes,
    memory_bytes: int = MEMORY_BYTES,
) -> OutcomeData:
    """Reads the outcome side's source.

    Args:
        agreement: decides events, money, the horizon, the match key.
        binding: where the rows are.
        progress: told ("read", rows so far) after every stretch.
        count: told of every row's time and event.
        choice_key: 32 secret bytes; of accounts that hold one identifier they decide which keeps it.
        memory_bytes: what is held in memory before an encrypted scratch file is used, up to three times.

    Raises:
        DataError: the first thing that does not fit: file, row and column, and what was expected.
        AgreementError: the match rule or the precision is not one that exists.
    """
    reader = _Reader(agreement, binding, count)
    accounts = reader.accounts
    lines = Spill(_WORDS, memory_bytes=memory_bytes)
    others = Spill(2, memory_bytes=memory_bytes)
    pending = PendingRows(_WORDS, time_word=5, identifiers=len(accounts.identifiers), memory_bytes=memory_bytes)
    rows = 0
    fates = np.zeros(len(Fate), dtype=np.int64)
    for stretch in stretches(binding, reader.names):
        words, people, fate = reader.read(stretch)
        rows += stretch.rows
        if accounts.linked:
            fates += counts_of(pending.append(words, people, fate))
        else:
            fate = fate_of(fate, people.status)
            fates += counts_of(fate)
            _sort_out(words, fate, lines, others)
        if progress is not None:
            progress("read", rows)
    holders = Spill(4, memory_bytes=memory_bytes)
    for part in pending.settled():
        append_held(holders, part.account, part.held)
        fates += counts_of(part.fate)
        lines.append(part.words[part.fate == Fate.KEPT])
    pending.close()
    outcomes = Spill(_WORDS, memory_bytes=memory_bytes)
    people_seen = Spill(2, memory_bytes=memory_bytes)
    period = np.array([microseconds(agreement.time.start), microseconds(agreement.time.end)], dtype=np.int64)
    start, end = signed_word(period).tolist()
    out_of_period = 0
    for unordered in lines.runs():
        merged = _merge(unordered, binding)
        if reader.labels:
            _share_times(merged)
        seen, inside = _kernels.people_within(merged, start, end)
        people_seen.append(seen)
        out_of_period += len(merged) - int(np.count_nonzero(inside))
        outcomes.append(merged if inside.all() else merged[inside])
    summary = FilterSummary(
        rows=rows,
        null_identifiers=int(fates[Fate.NULL]),
        malformed_identifiers=int(fates[Fate.MALFORMED]),
        other_event=int(fates[Fate.OTHER_EVENT]),
        out_of_scope=0,
        out_of_period=out_of_period,
        duplicates=lines.rows - out_of_period - outcomes.rows,
        kept=outcomes.rows,
        other_labels=reader.other_labels,
    )
    lines.close()
    check_invalid(agreement, binding, summary)
    if accounts.linked:
        people_seen.close()
        return _under_identifiers(outcomes, holders, choice_key, summary, len(reader.labels), memory_bytes)
    return OutcomeData(outcomes, _union(people_seen, others, memory_bytes), summary, len(reader.labels))


def _sort_out(words: Words, fate: NDArray[np.int64], lines: Spill, others: Spill) -> None:
    """Appends the lines that are kept, and the people whose row is of another event."""
    kept = fate == Fate.KEPT
    if kept.all():
        lines.append(words)
        return
    lines.append(words[kept])
    others.append(_kernels.sort_rows([np.ascontiguousarray(words[fate == Fate.OTHER_EVENT, :2])], unique=True))


def _under_identifiers(
    outcomes: Spill, holders: Spill, choice_key: bytes, summary: FilterSummary, labels: int, memory_bytes: int
) -> OutcomeData:
    """Outcomes of accounts under every identifier that the accounts hold; both spills are used up."""
    members = Spill(2, memory_bytes=memory_bytes)
    # (account, 0, key, …) before (account, event + 1, event id, time, value), so that one sort brings them together
    together = Spill(_WORDS, memory_bytes=memory_bytes)
    shared = 0
    for ordered in holders.sorted_parts():
        kept, gone = sole_holders(ordered, choice_key)
        shared += gone
        members.append(np.ascontiguousarray(kept[:, :2]))
        rows = np.zeros((len(kept), _WORDS), dtype=np.uint64)
        rows[:, :2], rows[:, 3:5] = kept[:, 2:], kept[:, :2]
        together.append(rows)
    holders.close()
    for rows in outcomes.parts():
        rows = rows.copy()
        rows[:, 2] += np.uint64(1)
        together.append(rows)
    outcomes.close()
    keyed = Spill(_WORDS, memory_bytes=memory_bytes)
    for ordered in together.sorted_parts():
        keyed.append(_spread(ordered))
    together.close()
    final = Spill(_WORDS, memory_bytes=memory_bytes)
    for pieces in keyed.runs():
        # nothing is left to merge: an event id comes once an account, and a key has one account; this puts in order
        final.append(_kernels.merge_lines(pieces))
    keyed.close()
    return OutcomeData(final, members, replace(summary, shared_identifiers=shared), labels)


def _spread(rows: Words) -> Words:
    """Sorted rows of whole accounts, keys first: each outcome once under each key."""
    owner = np.cumsum(differs(rows[:, :2])) - 1
    is_key = rows[:, 2] == 0
    keys, outcomes = rows[is_key], rows[~is_key]
    count = np.bincount(owner[is_key], minlength=int(owner.max(initial=-1)) + 1)
    first = np.cumsum(count) - count
    times = count[owner[~is_key]]
    spread = np.repeat(outcomes, times, axis=0)
    spread[:, :2] = keys[expand(first[owner[~is_key]], times), 3:5]
    spread[:, 2] -= np.uint64(1)
    return spread


class _Reader:
    """Turns stretches into lines, n × 7 words."""

    def __init__(self, agreement: Agreement, binding: Binding, count: RowCount | None) -> None:
        self._count = count
        outcome = agreement.outcome
        self.accounts = Accounts(agreement, binding)
        summed = {metric.event for metric in agreement.metrics if metric.measure is Measure.SUM}
        self.labels = agreement.labels_in_use
        self.other_labels = 0
        needed = [*self.accounts.identifiers, "time", "event", *(label.column for label in self.labels)]
        optional = [ACCOUNT, "event_id"]
        if outcome.value is not None:
            (needed if summed else optional).append(outcome.value)
        unused = {label.column for label in outcome.labels} - set(needed)  # no metric asks for them: not read
        check_names(binding, tuple(needed), (*optional, *sorted(unused)), ("event",))
        self.names = tuple(dict.fromkeys([*needed, *(name for name in optional if name in binding.columns)]))
        self._value = outcome.value if outcome.value in self.names else None
        self._events = outcome.events
        # One flag an event, and one for -1, any other event.
        self._summed = np.array([event in summed for event in outcome.events] + [False], dtype=np.bool_)
        self._units = Units.of(outcome.precision)
        self._clock = WallClock(zone_of(agreement, binding))

    def read(self, stretch: Stretch) -> tuple[Words, RowAccounts, NDArray[np.int64]]:
        """Lines of all rows, whose they are, and KEPT or OTHER_EVENT for each."""
        fields = stretch.fields
        people = self.accounts.read(stretch)
        time = times_of(fields["time"], self._clock)
        event = labels_of(fields["event"], self._events)
        if self._count is not None:
            self._count(time, event)
        fate = np.where(event >= 0, Fate.KEPT, Fate.OTHER_EVENT)
        # an account's other rows may name it where this row does not
        counted = (people.account.any(axis=1) if self.accounts.named else people.status == VALID) & (event >= 0)
        what = event.astype(np.uint64)
        for position, label in enumerate(self.labels):
            code = labels_of(fields[label.column], label.values) + 1
            self.other_labels += int(np.count_nonzero(counted & (code == 0)))
            what |= code.astype(np.uint64) << np.uint64(_EVENT_BITS + _LABEL_BITS * position)
        named = _event_ids(fields["event_id"]) if "event_id" in fields else np.zeros((stretch.rows, 2), np.uint64)
        amount = np.zeros(stretch.rows, dtype=np.int64)
        if self._value is not None:
            amount = amounts_of(fields[self._value], self._units, self._summed[event], counted)
        columns = (column_of(what), named, column_of(signed_word(time)), column_of(amount.view(np.uint64)))
        words = _kernels.side_by_side([people.account, *columns])
        return words, people, fate


def _unpacked(word: Words, labels: int) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Events, n entries, and labels, n × labels, of the word that holds both."""
    shifts = _EVENT_BITS + _LABEL_BITS * np.arange(labels, dtype=np.uint64)
    codes = (word[:, None] >> shifts) & np.uint64((1 << _LABEL_BITS) - 1)
    events = word & np.uint64((1 << _EVENT_BITS) - 1) if labels else word
    return events.astype(np.int32), codes.astype(np.int16) - np.int16(1)


def _share_times(merged: Words) -> None:
    """Gives all parts of an outcome, which differ in their labels alone, its earliest time."""
    named = np.flatnonzero((merged[:, 3] | merged[:, 4]) != 0)
    if len(named) == 0:
        return
    event = merged[named, 2] & np.uint64((1 << _EVENT_BITS) - 1)
    keys = np.stack([merged[named, 0], merged[named, 1], event, merged[named, 3], merged[named, 4]], axis=1)
    order = np.lexsort(keys.T[::-1])
    starts = np.flatnonzero(differs(keys[order]))
    earliest = np.minimum.reduceat(merged[named[order], 5], starts)
    merged[named[order], 5] = np.repeat(earliest, np.diff(np.append(starts, len(named))))


def _event_ids(column: Field) -> Words:
    """What stands for event ids, n × 2 words; zero where there is none.

    Raises:
        DataError: the column is neither text nor whole numbers.
    """
    numbers = integers_of(column)
    if numbers is not None:
        return _kernels.number_ids(*numbers)

    def ids_of(values: pa.StringArray) -> Words:
        texts = Texts.of(values)
        return _kernels.text_ids(texts.offsets, texts.data, texts.valid)

    return of_texts(column, ids_of)


def _merge(pieces: list[Words], binding: Binding) -> Words:
    """Merges lines with one event id; returns outcomes in their final order."""
    try:
        return _kernels.merge_lines([np.ascontiguousarray(rows) for rows in pieces])
    except ValueError:
        expected = "expected the lines of one event to add up to less than 2^63 units"
        raise DataError(f"{binding.name}: columns.event_id: {expected}") from None


def _union(people: Spill, others: Spill, memory_bytes: int) -> Spill:
    """Distinct people of both, in order; `people` are distinct and in order already."""
    if others.rows == 0:
        return people
    for rows in people.parts():
        others.append(rows)
    people.close()
    union = Spill(2, memory_bytes=memory_bytes)
    for ordered in others.sorted_parts(unique=True):
        union.append(ordered)
    others.close()
    return union
