"""The exposure side's data: read, checked, normalised, filtered, in the order that attribution needs.

Filters apply in the order event, scope, period (convention 4); equal (person, time, event, group) are one touch. A row
without a valid identifier is counted and dropped before them, but its time must still be one. Where the binding names
accounts, a row is its account's, and it is the account that must have an identifier: a second pass gives every row the
key that its account is looked up under.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.clock import microseconds
from cleanroom.data.accounts import ACCOUNT, Accounts, first_held
from cleanroom.data.binding import Binding
from cleanroom.data.columns import labels_of, times_of
from cleanroom.data.fates import Fate, PendingRows, counts_of, fate_of
from cleanroom.data.rows import (
    ReadProgress,
    RowCount,
    by_people,
    check_invalid,
    check_names,
    column_of,
    signed_word,
    zone_of,
)
from cleanroom.data.source import stretches
from cleanroom.data.spill import MEMORY_BYTES, Spill
from cleanroom.data.summary import FilterSummary
from cleanroom.data.zones import WallClock

__all__ = ["ExposureData", "TouchBatch", "read_exposure"]

# person (2), time, group and event in one word
_WORDS: Final = 4
_HALF: Final = np.uint64(32)


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
        """Yields all touches, people in the order of their keys, each in one batch; may be called again."""
        for part in self._touches.parts():
            for rows in by_people(part):
                person, time, event, group = _kernels.touch_columns(rows)
                yield TouchBatch(person=person, time_us=time, event=event, group=group)

    def close(self) -> None:
        """Forgets the touches."""
        self._touches.close()


def read_exposure(
    agreement: Agreement,
    binding: Binding,
    *,
    progress: ReadProgress | None = None,
    count: RowCount | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> ExposureData:
    """Reads the exposure side's source.

    Args:
        agreement: decides events, groups, the touch period, the match key.
        binding: where the rows are.
        progress: told ("read", rows so far) after every stretch.
        count: told of every row's time and event.
        memory_bytes: what is held in memory before an encrypted scratch file is used, twice.

    Raises:
        DataError: the first thing that does not fit: file, row and column, and what was expected.
        AgreementError: the match rule is not one that exists.
    """
    accounts = Accounts(agreement, binding)
    group_by = agreement.exposure.group_by
    names = tuple(dict.fromkeys((*accounts.names, "time", "event", group_by)))
    check_names(binding, names, (ACCOUNT,), ("event", group_by))
    clock = WallClock(zone_of(agreement, binding))
    start, end = microseconds(agreement.exposure.start), microseconds(agreement.exposure.end)
    found = Spill(_WORDS, memory_bytes=memory_bytes)
    pending = PendingRows(_WORDS, time_word=2, identifiers=len(accounts.identifiers), memory_bytes=memory_bytes)
    fates = np.zeros(len(Fate), dtype=np.int64)
    rows = 0
    for stretch in stretches(binding, names):
        people = accounts.read(stretch)
        time = times_of(stretch.fields["time"], clock)
        event = labels_of(stretch.fields["event"], agreement.exposure.events)
        group = labels_of(stretch.fields[group_by], agreement.exposure.groups)
        rows += stretch.rows
        if count is not None:
            count(time, event)
        fate = np.full(stretch.rows, Fate.KEPT, dtype=np.int64)
        for dropped, why in (
            ((time < start) | (time >= end), Fate.OUT_OF_PERIOD),
            (group < 0, Fate.OUT_OF_SCOPE),
            (event < 0, Fate.OTHER_EVENT),  # the first filter has the last word
        ):
            fate[dropped] = why
        both = group.astype(np.uint64) << _HALF | event.astype(np.uint64)
        words = _kernels.side_by_side([people.account, column_of(signed_word(time)), column_of(both)])
        if accounts.named:
            fates += counts_of(pending.append(words, people, fate))
        else:
            fate = fate_of(fate, people.status)
            fates += counts_of(fate)
            kept = fate == Fate.KEPT
            found.append(words if kept.all() else words[kept])
        if progress is not None:
            progress("read", rows)
    for part in pending.settled():
        fates += counts_of(part.fate)
        key = first_held(part.held)[part.owner]
        found.append(np.concatenate([key, part.words[:, 2:]], axis=1)[part.fate == Fate.KEPT])
    pending.close()
    touches = Spill(_WORDS, memory_bytes=memory_bytes)
    for ordered in found.sorted_parts(unique=True):
        touches.append(ordered)
    summary = FilterSummary(
        rows=rows,
        null_identifiers=int(fates[Fate.NULL]),
        malformed_identifiers=int(fates[Fate.MALFORMED]),
        other_event=int(fates[Fate.OTHER_EVENT]),
        out_of_scope=int(fates[Fate.OUT_OF_SCOPE]),
        out_of_period=int(fates[Fate.OUT_OF_PERIOD]),
        duplicates=found.rows - touches.rows,
        kept=touches.rows,
    )
    found.close()
    check_invalid(agreement, binding, summary)
    return ExposureData(touches, summary)
