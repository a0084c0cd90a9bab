"""`[exposure]`: which touches count, how they are grouped, and how they earn credit."""

from __future__ import annotations

import itertools
from datetime import datetime

from cleanroom.agreement.durations import read_ticks
from cleanroom.agreement.model import Exposure, TimeRules
from cleanroom.agreement.table import Table

__all__ = ["default_max_touches", "read_exposure_rules"]

MAX_SHARING_TOUCHES = 16  # shares of 1 .. 16 touches are whole in the credit unit, lcm(1 .. 16)
MAX_BANDS = 64
MAX_COUNT = 2**31

_SHARED = ("linear", "position", "time_decay")


def default_max_touches(credit: str | None) -> int | None:
    """How many touches of a person may earn credit where the agreement does not say; None for all."""
    return MAX_SHARING_TOUCHES if credit in _SHARED else None


def read_exposure_rules(table: Table, time: TimeRules) -> Exposure:
    """Reads `[exposure]`; the touch period and the instants lie inside `[time]`."""
    start = table.instant("start") if table.has("start") else time.start
    end = table.instant("end") if table.has("end") else time.end
    if not time.start <= start < time.end:
        raise table.fault("start", "lies outside [time.start, time.end)")
    if not start < end <= time.end:
        raise table.fault("end", "expected a time after exposure.start and not after time.end")
    instants: tuple[datetime, ...] | None = None
    if table.has("instants"):
        instants = tuple(sorted(table.instants("instants")))
        if not instants:
            raise table.fault("instants", "expected at least one time, found an empty list")
        if len(set(instants)) < len(instants):
            raise table.fault("instants", "the same time is there twice")
        if not start <= instants[0] <= instants[-1] < end:
            raise table.fault("instants", "a time lies outside [exposure.start, exposure.end)")
    events = table.texts("events", at_least=1)
    credit = table.optional_text("credit")
    return Exposure(
        events=events,
        start=start,
        end=end,
        instants=instants,
        group_by=table.text("group_by"),
        groups=table.texts("groups", at_least=1),
        anchor=table.optional_text("anchor") or "first_touch",
        credit=credit,
        credit_step_ticks=_credit_step(table, credit, time),
        max_touches=_max_touches(table, credit),
        priority=_priority(table, credit, events),
        frequency=_frequency(table),
    )


def _credit_step(table: Table, credit: str | None, time: TimeRules) -> int | None:
    """Only time_decay has steps; a credit metric asks for one, so that older texts without any stay valid."""
    if not table.has("credit_step"):
        return None
    if credit != "time_decay":
        raise table.fault("credit_step", 'goes with credit = "time_decay" only')
    return read_ticks(table, "credit_step", time.resolution)


def _max_touches(table: Table, credit: str | None) -> int | None:
    if not table.has("max_touches"):
        return default_max_touches(credit)
    if credit is None:
        raise table.fault("max_touches", "needs exposure.credit, the rule that it bounds")
    return table.integer("max_touches", least=1, most=MAX_SHARING_TOUCHES if credit in _SHARED else MAX_COUNT)


def _priority(table: Table, credit: str | None, events: tuple[str, ...]) -> tuple[tuple[str, ...], ...] | None:
    if not table.has("priority"):
        return None
    if credit is None:
        raise table.fault("priority", "needs exposure.credit, the rule that it refines")
    classes = table.text_lists("priority")
    seen: set[str] = set()
    for event in (event for members in classes for event in members):
        if event not in events:
            raise table.fault("priority", f"{event!r} is not in exposure.events ({', '.join(events)})")
        if event in seen:
            raise table.fault("priority", f"{event!r} is there twice")
        seen.add(event)
    return classes


def _frequency(table: Table) -> tuple[int, ...] | None:
    if not table.has("frequency"):
        return None
    bounds = table.integers("frequency", least=1, most=MAX_COUNT)
    if not bounds or len(bounds) > MAX_BANDS or any(high <= low for low, high in itertools.pairwise(bounds)):
        raise table.fault("frequency", f"expected 1 to {MAX_BANDS} ascending lower bounds, such as [1, 2, 4, 10]")
    return bounds
