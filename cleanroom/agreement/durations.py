"""Spans of time as the agreement writes them ("15d"), in whole ticks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from cleanroom.agreement.model import Resolution
from cleanroom.agreement.table import Table

__all__ = ["MAX_TICKS", "read_ticks", "tick_length", "tree_fault"]

MAX_TICKS = 2**31  # of a horizon: 4,000 years of minutes; tick numbers stay far inside 64 bits

_SPAN = re.compile("([1-9][0-9]{0,9})([dhm])")
_MINUTES = {"d": 1440, "h": 60, "m": 1}
_TICK_MINUTES = {Resolution.DAY: 1440, Resolution.HOUR: 60, Resolution.MINUTE: 1}


def read_ticks(table: Table, key: str, resolution: Resolution) -> int:
    """Reads a span such as "15d" that is a whole number of ticks.

    Raises:
        AgreementError: it is missing, of another form, no whole number of ticks, or too long.
    """
    text = table.text(key)
    match = _SPAN.fullmatch(text)
    if match is None:
        raise table.fault(key, f"expected a number and d, h or m, such as '15d', found {text!r}")
    ticks, rest = divmod(int(match[1]) * _MINUTES[match[2]], _TICK_MINUTES[resolution])
    if rest:
        raise table.fault(key, f"{text!r} is not a whole number of ticks of {resolution.value}")
    if ticks > MAX_TICKS:
        raise table.fault(key, f"expected at most {MAX_TICKS} ticks of {resolution.value}")
    return ticks


def tick_length(resolution: Resolution) -> timedelta:
    """The elapsed time of a tick; at 1d a tick is a calendar date and this is its usual length."""
    return timedelta(minutes=_TICK_MINUTES[resolution])


def tree_fault(tree: Sequence[int]) -> str | None:
    """Says why sizes of nodes, 1 to `MAX_TICKS` each, make no time tree; None if they do."""
    if not tree or tree[0] != 1:
        return "expected a chain that begins with 1, such as [1,6,24]"
    for below, above in pairwise(tree):
        if above <= below or above % below:
            return f"expected a chain of divisors, found {above} after {below}"
    return None
