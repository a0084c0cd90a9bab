"""One person's largest contribution to a release, by way of the real preparation of both sides.

The join is linear: the table with a person is the table without, plus what the rows of that person make. So two
neighbouring inputs, one person added or removed on either side, are any table and that table plus this contribution.
The person is touched in every group at the first possible moment and does, in every event and in every window, more
than any cap allows; what the caps of the preparation leave of it is the contribution. Where people are matched on
several identifiers, the outcome side's person stands under each, and for each somebody else is touched as above.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Measure
from cleanroom.attribution import prepare_lookups, prepare_rows
from cleanroom.attribution.clock import microseconds
from cleanroom.data.outcomes import OutcomeBatch
from cleanroom.data.touches import TouchBatch
from cleanroom.plan import Plan

__all__ = ["contribution", "unreached"]

_MOST_EVENTS: Final = 4096
"""Events of one kind that the person has at most; a larger cap is not reached: see `unreached`."""


def contribution(agreement: Agreement, plan: Plan) -> NDArray[np.int64]:
    """What one person who does as much as possible adds to the table.

    Args:
        agreement: with its caps and its limit on groups.
        plan: its plan.

    Returns:
        groups × columns, in integer units.
    """
    person = np.frombuffer(hashlib.sha256(b"a person of the privacy audit").digest()[:16], dtype=np.uint8)
    first = agreement.exposure.start if agreement.exposure.instants is None else agreement.exposure.instants[0]
    moment = microseconds(first)
    groups = len(agreement.exposure.groups)
    touches = TouchBatch(
        person=np.tile(person, (groups, 1)),
        time_us=np.full(groups, moment, dtype=np.int64),
        event=np.zeros(groups, dtype=np.int32),
        group=np.arange(groups, dtype=np.int32),
    )
    counts = [_events(plan, event) for event in agreement.outcome.events]
    most = max([value.cap for value in plan.row_values if value.measure is Measure.SUM], default=0)
    outcomes = OutcomeBatch(
        person=np.tile(person, (sum(counts), 1)),
        time_us=np.full(sum(counts), moment, dtype=np.int64),
        event=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        value=np.full(sum(counts), most + 1, dtype=np.int64),
        event_key=np.arange(sum(counts), dtype=np.int64),
        label=np.zeros((sum(counts), len(agreement.labels_in_use)), dtype=np.int16),
    )
    lookups, _ = prepare_lookups(agreement, plan, [touches], group_cap_key=hashlib.sha256(b"group cap").digest())
    rows, _ = prepare_rows(agreement, plan, [outcomes], [person.reshape(1, -1)])
    values = {key.tobytes(): row for key, row in zip(rows.keys, rows.values, strict=True)}
    cells = np.zeros((plan.groups, len(plan.row_values)), dtype=np.int64)
    family = np.array(plan.class_positions)
    for number, key in enumerate(lookups.keys):
        row = values.get(key.tobytes())
        if row is None:
            continue
        for at in range(lookups.indptr[number], lookups.indptr[number + 1]):
            position, group = divmod(int(lookups.target[at]), plan.groups)
            cells[group] += np.where(family == position, lookups.weight[at] * row, 0)
    return plan.combined(cells.view(np.uint64)).view(np.int64) * len(agreement.match.identifiers)


def unreached(agreement: Agreement, plan: Plan) -> tuple[str, ...]:
    """Says what the person does not exhaust, so that it goes unaudited: caps too large to pass, several windows."""
    notes = [
        f"{event}: the person has {_MOST_EVENTS} of these events and passes no cap above {_MOST_EVENTS - 1}; "
        "that larger ones are kept to is not shown"
        for event in agreement.outcome.events
        if _largest_cap(plan, event) >= _MOST_EVENTS
    ]
    windows = agreement.release.max_windows
    if windows > 1 and any(column.additive for column in plan.columns):
        notes.append(f"credit: the person earns in one window; that {windows} keep to their caps is not shown")
    return tuple(notes)


def _events(plan: Plan, event: str) -> int:
    """How many events of a kind pass every cap on them."""
    return min(_MOST_EVENTS, _largest_cap(plan, event) + 1)


def _largest_cap(plan: Plan, event: str) -> int:
    caps = [value.cap for value in plan.row_values if value.event == event and value.measure is Measure.EVENTS]
    return max(caps, default=1)
