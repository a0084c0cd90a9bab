"""The outcome side's data: read, checked, normalised, lines merged into events, in the order that attribution needs.

Lines with the same (person, event, event id) are one outcome: earliest time, summed value (convention 5). Merging
comes before the period filter, so that an order whose first line lies outside the horizon is outside with all its
lines. Lines without an event id are each an outcome. A row without a valid identifier is counted and dropped first, but
its time must still be one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Agreement, Measure
from cleanroom.data.binding import Binding
from cleanroom.data.columns import Field, Units, amounts_of, labels_of, texts_of, times_of
from cleanroom.data.rows import (
    ReadProgress,
    Words,
    check_invalid,
    check_names,
    differs,
    identifier_of,
    keys_of,
    micros,
    signed_of,
    signed_word,
    words_of,
    zone_of,
)
from cleanroom.data.source import Stretch, stretches
from cleanroom.data.spill import MEMORY_BYTES, Spill
from cleanroom.data.summary import FilterSummary
from cleanroom.data.zones import WallClock
from cleanroom.errors import DataError
from cleanroom.match_keys.people import MALFORMED, NULL, VALID, PersonKeys
from cleanroom.texts import Texts

__all__ = ["OutcomeBatch", "OutcomeData", "read_outcome"]

# person (2), event, event id (2), time, value. An event id is a digest; zero stands for none.
_WORDS: Final = 7


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OutcomeBatch:
    """Outcomes of whole people, sorted by (person, event, time, event id, value).

    person: n × 16 bytes; time_us: microseconds UTC; event: position in the agreement's list; value: integer units,
    0 without a value column; event_key: 63 bits of the event id's digest, or -1 where there is none.
    """

    person: NDArray[np.uint8] = field(repr=False)
    time_us: NDArray[np.int64] = field(repr=False)
    event: NDArray[np.int32] = field(repr=False)
    value: NDArray[np.int64] = field(repr=False)
    event_key: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.time_us)


class OutcomeData:
    """Prepared outcomes, everybody whom the source names, and what became of the rows."""

    def __init__(self, outcomes: Spill, members: Spill, summary: FilterSummary) -> None:
        self._outcomes = outcomes
        self._members = members
        self.summary = summary

    def __repr__(self) -> str:
        return f"OutcomeData({self.summary}, people={self.people})"

    @property
    def people(self) -> int:
        """How many distinct people `members` yields."""
        return self._members.rows

    def batches(self) -> Iterator[OutcomeBatch]:
        """Yields all outcomes, people in the order of their keys, about a million at a time; may be called again."""
        for rows in self._outcomes.parts():
            has_id = (rows[:, 3] | rows[:, 4]) != 0
            yield OutcomeBatch(
                person=keys_of(rows),
                time_us=signed_of(rows[:, 5]),
                event=rows[:, 2].astype(np.int32),
                value=rows[:, 6].astype(np.int64),
                event_key=np.where(has_id, (rows[:, 3] >> np.uint64(1)).astype(np.int64), -1),
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
    memory_bytes: int = MEMORY_BYTES,
) -> OutcomeData:
    """Reads the outcome side's source.

    Args:
        agreement: decides events, money, the horizon, the match key.
        binding: where the rows are.
        progress: told ("read", rows so far) after every stretch.
        memory_bytes: what is held in memory before an encrypted scratch file is used, up to three times.

    Raises:
        DataError: the first thing that does not fit: file, row and column, and what was expected.
        AgreementError: the match rule or the precision is not one that exists.
    """
    reader = _Reader(agreement, binding)
    lines = Spill(_WORDS, memory_bytes=memory_bytes)
    others = Spill(2, memory_bytes=memory_bytes)
    for stretch in stretches(binding, reader.names):
        words, bystanders = reader.read(stretch)
        lines.append(words)
        others.append(bystanders)
        if progress is not None:
            progress("read", reader.rows)
    outcomes = Spill(_WORDS, memory_bytes=memory_bytes)
    people = Spill(2, memory_bytes=memory_bytes)
    start, end = micros(agreement.time.start), micros(agreement.time.end)
    out_of_period = 0
    for unordered in lines.parts():
        merged = _merge(unordered, binding)
        names = merged[:, :2]
        people.append(names[differs(names)])
        time = signed_of(merged[:, 5])
        inside = (time >= start) & (time < end)
        out_of_period += len(merged) - int(np.count_nonzero(inside))
        outcomes.append(merged if inside.all() else merged[inside])
    summary = FilterSummary(
        rows=reader.rows,
        null_identifiers=reader.null,
        malformed_identifiers=reader.malformed,
        other_event=reader.other_event,
        out_of_scope=0,
        out_of_period=out_of_period,
        duplicates=lines.rows - out_of_period - outcomes.rows,
        kept=outcomes.rows,
    )
    lines.close()
    check_invalid(agreement, binding, summary)
    return OutcomeData(outcomes, _union(people, others, memory_bytes), summary)


class _Reader:
    """Turns stretches into lines (n × 7 words) and people whose row is of another event (n × 2), and counts."""

    def __init__(self, agreement: Agreement, binding: Binding) -> None:
        outcome = agreement.outcome
        self._identifier = identifier_of(agreement)
        summed = {metric.event for metric in agreement.metrics if metric.measure is Measure.SUM}
        needed = [self._identifier, "time", "event"]
        optional = ["event_id"]
        if outcome.value is not None:
            (needed if summed else optional).append(outcome.value)
        check_names(binding, tuple(needed), tuple(optional), ("event",))
        self.names = tuple(dict.fromkeys([*needed, *(name for name in optional if name in binding.columns)]))
        self._value = outcome.value if outcome.value in self.names else None
        self._events = outcome.events
        # One flag an event, and one for -1, any other event.
        self._summed = np.array([event in summed for event in outcome.events] + [False], dtype=np.bool_)
        self._units = Units.of(outcome.precision)
        self._person_keys = PersonKeys(agreement.match.identifiers[0])
        self._clock = WallClock(zone_of(agreement, binding))
        self.rows = self.null = self.malformed = self.other_event = 0

    def read(self, stretch: Stretch) -> tuple[Words, Words]:
        fields = stretch.fields
        people = self._person_keys(texts_of(fields[self._identifier]))
        time = times_of(fields["time"], self._clock)
        event = labels_of(fields["event"], self._events)
        self.rows += stretch.rows
        self.null += int(np.count_nonzero(people.status == NULL))
        self.malformed += int(np.count_nonzero(people.status == MALFORMED))
        valid = people.status == VALID
        kept = valid & (event >= 0)
        other = valid & (event < 0)
        self.other_event += int(np.count_nonzero(other))
        words = np.zeros((stretch.rows, _WORDS), dtype=np.uint64)
        words[:, :2] = words_of(people.keys)
        words[:, 2] = event
        if "event_id" in fields:
            words[:, 3:5] = _event_ids(fields["event_id"])
        words[:, 5] = signed_word(time)
        if self._value is not None:
            words[:, 6] = amounts_of(fields[self._value], self._units, self._summed[event], kept)
        if kept.all():
            return words, np.empty((0, 2), dtype=np.uint64)
        bystanders = _kernels.sort_rows(words_of(people.keys[other]))
        return words[kept], bystanders[differs(bystanders)]


def _event_ids(column: Field) -> Words:
    """Digests of event ids as n × 2 words; zero where there is none."""
    texts = Texts.of(texts_of(column))
    keys, _ = _kernels.text_keys(texts.offsets, texts.data, texts.valid, tag="event_id")
    return words_of(keys)


def _merge(lines: Words, binding: Binding) -> Words:
    """Merges lines with one event id; returns outcomes in their final order."""
    try:
        return _kernels.merge_lines(lines)
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
    for ordered in others.sorted_parts():
        union.append(np.ascontiguousarray(ordered[differs(ordered)]))
    others.close()
    return union
