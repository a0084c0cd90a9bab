"""Estimates for everybody from a release about a sample, as `[sampling]` declares it.

A side whose data hold a share p of its people gives figures about these people. If each person is in the sample or not
by a draw of their own, v / p estimates the figure about everybody. Its variance has two parts: that of the noise, over
p², and that of the draw, Σ y² (1 − p) / p² estimated from the sample (Horvitz and Thompson, JASA 1952, for independent
draws). A count of people has Σ y² = v; of other figures Σ y² is not known but at most cap · v, which is used: the
interval is then too wide rather than too narrow. Two samples are taken as independent of each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from cleanroom.agreement.durations import tick_length
from cleanroom.agreement.model import Agreement, Period
from cleanroom.agreement.sampling import sampled_fraction

if TYPE_CHECKING:
    from cleanroom.plan import Column  # the plan imports the agreement, whose checks import this module

__all__ = ["Estimate", "column_fraction", "estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure about everybody, in the unit of the released one."""

    value: float
    std_error: float


def column_fraction(agreement: Agreement, column: Column) -> Decimal | None:
    """The share of people that a column's figures are about: both sides' shares over all the time that it looks at.

    Returns:
        None where periods of different shares meet: then no single number scales the figures.
    """
    exposure, time = agreement.exposure, agreement.time
    reach = tick_length(time.resolution) * (column.window_ticks or 0)
    before = column.period is Period.BEFORE or column.change
    start = max(time.start, exposure.start - reach) if before else exposure.start
    end = exposure.end if column.period is Period.BEFORE else min(time.end, exposure.end + reach)
    if column.event is None:
        start, end = time.start, time.end  # members: anybody whom the data name
    spans: tuple[tuple[str, datetime, datetime], ...] = (
        (agreement.exposure_party.name, exposure.start, exposure.end),
        (agreement.outcome_party.name, start, end),
    )
    product = Decimal(1)
    for party, first, last in spans:
        fraction = sampled_fraction(agreement.sampling, party, first, last)
        if fraction is None:
            return None
        product *= fraction
    return product


def estimate(value: float, std_error: float, *, fraction: float, cap: float) -> Estimate:
    """Scales a released figure up to everybody.

    Args:
        value: as released.
        std_error: the noise's.
        fraction: of the people whom it is about, above 0 and up to 1.
        cap: the most that one person adds, in the unit of the value; 1 for people.
    """
    drawn = max(value, 0.0) * cap * (1.0 - fraction)
    return Estimate(value / fraction, math.sqrt(std_error * std_error + drawn) / fraction)
