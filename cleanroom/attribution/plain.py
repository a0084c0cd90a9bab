"""The plain join: every metric straight from both sides' clear data, as the conventions say it.

No tree, no pieces, no rows: a person's touches beside the same person's outcomes. It is what a run without noise must
equal, number for number; the demonstration and the tests compare with it. It holds the touched people's data in memory
as Python objects and knows both sides' data, so it has no place in a run.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Measure
from cleanroom.attribution.clock import TickClock
from cleanroom.attribution.exposure import LAST_TOUCH, Touches, group_mark, instant_ticks
from cleanroom.attribution.outcome import Outcomes
from cleanroom.plan import Column, Plan

__all__ = ["plain_join"]


def plain_join(
    agreement: Agreement,
    plan: Plan,
    touches: Iterable[Touches],
    outcomes: Iterable[Outcomes],
    members: Iterable[NDArray[np.uint8]] = (),
    *,
    group_cap_key: bytes | None = None,
    capped: bool = True,
) -> NDArray[np.int64]:
    """Computes what the private join computes.

    Args:
        agreement: decides clock, anchor, groups and caps.
        plan: of the same agreement.
        touches: filtered touches, as `prepare_lookups` takes them.
        outcomes: filtered outcomes, as `prepare_rows` takes them.
        members: distinct persons whom the outcome side knows; needed where a metric is "matched".
        group_cap_key: 32 bytes of the exposure side; needed where a person has more groups than the agreed cap.
        capped: False for the truth without caps on values and on groups per person.

    Returns:
        (groups, columns) int64.

    Raises:
        ValueError: a person has more groups than the cap and there is no `group_cap_key`.
    """
    clock = TickClock.of(agreement.time)
    anchors = _anchors(agreement, clock, touches)
    labels = agreement.exposure.groups
    limit = agreement.release.max_groups_per_person if capped else len(labels)
    for person, ticks in anchors.items():
        if len(ticks) > limit:
            if group_cap_key is None:
                raise ValueError("group_cap_key: needed, a person has more groups than the agreed cap")
            marks = {group_mark(group_cap_key, person, labels[group]): group for group in ticks}
            kept = [marks[mark] for mark in sorted(marks)[:limit]]
            anchors[person] = {group: ticks[group] for group in kept}
    known = {person for batch in members for person in _persons(batch) if person in anchors}
    done = _outcomes(clock, outcomes, anchors.keys())
    events = agreement.outcome.events
    result = [[0] * len(plan.columns) for _ in labels]
    for person, ticks in anchors.items():
        for index, column in enumerate(plan.columns):
            if column.measure is Measure.MATCHED:
                for group in ticks:
                    result[group][index] += person in known
                continue
            times, totals = done[person].get(events.index(str(column.event)), ([], [0]))
            for group, tick in ticks.items():
                result[group][index] += _measure(column, times, totals, tick, capped)
    return np.array(result, dtype=np.int64).reshape(len(labels), len(plan.columns))


def _measure(column: Column, times: list[int], totals: list[int], tick: int, capped: bool) -> int:
    """One person's figure for an anchor at `tick`: outcomes at t count where tick <= t < tick + window."""
    low, high = bisect_left(times, tick), bisect_left(times, tick + (column.window_ticks or 0))
    if column.measure is Measure.PEOPLE:
        return int(high > low)
    figure = totals[high] - totals[low] if column.measure is Measure.SUM else high - low
    return min(figure, column.cap) if capped else figure


def _anchors(agreement: Agreement, clock: TickClock, touches: Iterable[Touches]) -> dict[bytes, dict[int, int]]:
    """person -> group -> tick of the first or the latest touch."""
    instants = instant_ticks(agreement, clock)
    allowed = None if instants is None else set(instants.tolist())
    found: dict[bytes, dict[int, int]] = defaultdict(dict)
    for batch in touches:
        rows = zip(
            _persons(batch.person),
            batch.time_us.tolist(),
            batch.group.tolist(),
            clock.ticks(batch.time_us).tolist(),
            strict=True,
        )
        for person, _, group, tick in sorted(rows):
            if allowed is None or tick in allowed:
                if agreement.exposure.anchor == LAST_TOUCH:
                    found[person][group] = tick
                else:
                    found[person].setdefault(group, tick)
    return found


def _outcomes(
    clock: TickClock, outcomes: Iterable[Outcomes], wanted: Iterable[bytes]
) -> dict[bytes, dict[int, tuple[list[int], list[int]]]]:
    """person -> event -> (ticks ascending, running totals of the values from 0), of the wanted people."""
    rows: dict[bytes, dict[int, list[tuple[int, int]]]] = {person: defaultdict(list) for person in wanted}
    for batch in outcomes:
        ticks = clock.ticks(batch.time_us).tolist()
        events, values = batch.event.tolist(), batch.value.tolist()
        for person, event, tick, value in zip(_persons(batch.person), events, ticks, values, strict=True):
            if person in rows:
                rows[person][event].append((tick, value))
    done: dict[bytes, dict[int, tuple[list[int], list[int]]]] = {}
    for person, by_event in rows.items():
        done[person] = {}
        for event, pairs in by_event.items():
            pairs.sort()
            done[person][event] = (
                [tick for tick, _ in pairs],
                list(accumulate((value for _, value in pairs), initial=0)),
            )
    return done


def _persons(person: NDArray[np.uint8]) -> list[bytes]:
    flat = person.tobytes()
    return [flat[at : at + 16] for at in range(0, len(flat), 16)]
