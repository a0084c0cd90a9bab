"""What each group cost: the exposure side's own list (`[spend]` of its binding), read on its machine and never sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from cleanroom.data.binding import Binding
from cleanroom.data.columns import Units, amounts_of, labels_of, times_of
from cleanroom.data.source import has_column, stretches
from cleanroom.data.zones import WallClock
from cleanroom.errors import DataError
from cleanroom.report.run_files import RunFiles

__all__ = ["Spend", "read_spend"]

_PLACES: Final = 4  # decimals of a line's amount
_MICROS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What was spent on the groups of one release."""

    by_group: Mapping[str, Decimal] = field(repr=False)  # the groups that the list names, in units of the currency
    dated: bool  # whether days outside the touch period were left out
    other_lines: int  # of groups that the release does not have
    outside_lines: int  # of days outside the touch period


def read_spend(binding: Binding, run: RunFiles) -> Spend:
    """Adds up the list's lines by group; where it has a `date` column, those of the release's touch period only.

    Args:
        binding: with a section `[spend]`; the columns are `spend`, that which the release is grouped by, and
            optionally `date`.
        run: for its groups and its touch period.

    Raises:
        DataError: the binding has no such section, or the list cannot be read.
    """
    groups = _spent_groups(run)
    names: tuple[str, ...] = (run.scope.group_by, "spend")
    listed = binding.listed("spend", names)
    if listed is None:
        raise DataError(f'{binding.name}: expected a section [spend] with path = "FILE"')
    dated = has_column(listed, "date")
    if dated:
        names = (*names, "date")
        listed = binding.listed("spend", names) or listed
    zone = ZoneInfo(run.scope.zone)
    clock = WallClock(run.scope.zone)
    start, end = run.scope.touches
    first = datetime.combine(start.astimezone(zone).date(), time.min, zone)
    totals = np.zeros(len(groups), dtype=object)  # Python's integers: sums of any size are exact
    named: set[int] = set()
    other = outside = 0
    for stretch in stretches(listed, names):
        group = labels_of(stretch.fields[run.scope.group_by], groups)
        counted = group >= 0
        other += int(np.count_nonzero(~counted))
        if dated:
            day = times_of(stretch.fields["date"], clock)
            inside = (day >= int(first.timestamp()) * _MICROS) & (day < int(end.timestamp() * _MICROS))
            outside += int(np.count_nonzero(counted & ~inside))
            counted &= inside
        amounts = amounts_of(stretch.fields["spend"], Units(_PLACES), counted, counted)
        named.update(group[group >= 0].tolist())
        for place, units in zip(group[counted].tolist(), amounts[counted].tolist(), strict=True):
            totals[place] += units
    scale = Decimal(1).scaleb(-_PLACES)
    by_group = {label: (int(totals[place]) * scale) for place, label in enumerate(groups) if place in named}
    return Spend(by_group=by_group, dated=dated, other_lines=other, outside_lines=outside)


def _spent_groups(run: RunFiles) -> tuple[str, ...]:
    """The declared groups; with bands of frequency no group of the release is one that money was spent on."""
    if run.scope.bands:
        raise DataError("[spend]: groups that are split into frequency bands have no spend of their own")
    return run.groups
