"""The exposure side's data: read, checked, normalised, filtered, in the order that attribution needs.

Filters apply in the order event, scope, period (convention 4); equal (person, time, event, group) are one touch. A row
without a valid identifier is counted and dropped before them, but its time must still be one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement
from cleanroom.data.binding import Binding
from cleanroom.data.columns import labels_of, texts_of, times_of
from cleanroom.data.rows import (
    ReadProgress,
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
from cleanroom.data.source import stretches
from cleanroom.data.spill import MEMORY_BYTES, Spill
from cleanroom.data.summary import FilterSummary
from cleanroom.data.zones import WallClock
from cleanroom.match_keys.people import MALFORMED, NULL, VALID, PersonKeys

__all__ = ["ExposureData", "TouchBatch", "read_exposure"]

# person (2), time, group and event in one word
_WORDS: Final = 4
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TouchBatch:
    """Touches of whole people, sorted by (person, time, group).

    person: n × 16 bytes; time_us: microseconds UTC; event and group: positions in the agreement's lists.
    """

    person: NDArray[np.uint8] = field(repr=False)
    time_us: NDArray[np.int64] = field(repr=False)
    event: NDArray[np.int32] = field(repr=False)
    group: NDArray[np.int32] = field(repr=False)

    def __len__(self) -> int:
        return len(self.time_us)


class ExposureData:
    """Prepared touches, and what became of the rows that they were read from."""

    def __init__(self, touches: Spill, summary: FilterSummary) -> None:
        self._touches = touches
        self.summary = summary

    def __repr__(self) -> str:
        return f"ExposureData({self.summary})"

    def batches(self) -> Iterator[TouchBatch]:
        """Yields all touches, people in the order of their keys, about a million at a time; may be called again."""
        for rows in self._touches.parts():
            yield TouchBatch(
                person=keys_of(rows),
                time_us=signed_of(rows[:, 2]),
                event=(rows[:, 3] & _LOW).astype(np.int32),
                group=(rows[:, 3] >> _HALF).astype(np.int32),
            )

    def close(self) -> None:
        """Forgets the touches."""
        self._touches.close()


def read_exposure(
    agreement: Agreement,
    binding: Binding,
    *,
    progress: ReadProgress | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> ExposureData:
    """Reads the exposure side's source.

    Args:
        agreement: decides events, groups, the touch period, the match key.
        binding: where the rows are.
        progress: told ("read", rows so far) after every stretch.
        memory_bytes: what is held in memory before an encrypted scratch file is used, twice.

    Raises:
        DataError: the first thing that does not fit: file, row and column, and what was expected.
        AgreementError: the match rule is not one that exists.
    """
    identifier, group_by = identifier_of(agreement), agreement.exposure.group_by
    names = tuple(dict.fromkeys((identifier, "time", "event", group_by)))
    check_names(binding, names, (), ("event", group_by))
    person_keys = PersonKeys(agreement.match.identifiers[0])
    clock = WallClock(zone_of(agreement, binding))
    start, end = micros(agreement.exposure.start), micros(agreement.exposure.end)
    found = Spill(_WORDS, memory_bytes=memory_bytes)
    rows = null = malformed = other_event = out_of_scope = out_of_period = 0
    for stretch in stretches(binding, names):
        people = person_keys(texts_of(stretch.fields[identifier]))
        time = times_of(stretch.fields["time"], clock)
        event = labels_of(stretch.fields["event"], agreement.exposure.events)
        group = labels_of(stretch.fields[group_by], agreement.exposure.groups)
        rows += stretch.rows
        null += int(np.count_nonzero(people.status == NULL))
        malformed += int(np.count_nonzero(people.status == MALFORMED))
        kept = people.status == VALID
        other_event += int(np.count_nonzero(kept & (event < 0)))
        kept &= event >= 0
        out_of_scope += int(np.count_nonzero(kept & (group < 0)))
        kept &= group >= 0
        inside = (time >= start) & (time < end)
        out_of_period += int(np.count_nonzero(kept & ~inside))
        kept &= inside
        words = np.empty((stretch.rows, _WORDS), dtype=np.uint64)
        words[:, :2] = words_of(people.keys)
        words[:, 2] = signed_word(time)
        words[:, 3] = group.astype(np.uint64) << _HALF | event.astype(np.uint64)
        found.append(words if kept.all() else words[kept])
        if progress is not None:
            progress("read", rows)
    touches = Spill(_WORDS, memory_bytes=memory_bytes)
    for ordered in found.sorted_parts():
        touches.append(ordered[differs(ordered)])
    summary = FilterSummary(
        rows=rows,
        null_identifiers=null,
        malformed_identifiers=malformed,
        other_event=other_event,
        out_of_scope=out_of_scope,
        out_of_period=out_of_period,
        duplicates=found.rows - touches.rows,
        kept=touches.rows,
    )
    found.close()
    check_invalid(agreement, binding, summary)
    return ExposureData(touches, summary)
