"""Power before a run: the least lift that an interval will probably tell from zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from cleanroom.agreement.lift import Denominator, Design

__all__ = ["Base", "Planned", "detectable_lift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What people do without a campaign: averages over all people of an arm, integer units."""

    mean: float  # of a person's figure
    square: float  # of its square


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A comparison before its run; the noise is that of each arm's totals, as variances in integer units."""

    design: Design
    denominator: Denominator
    confidence: float
    test_people: float  # whom the denominator counts
    control_people: float
    total_noise: tuple[float, float]  # test, control: of what is compared
    people_noise: tuple[float, float] = (0.0, 0.0)


def detectable_lift(planned: Planned, base: Base, *, power: float = 0.8) -> float:
    """The least relative lift whose interval leaves zero out with probability `power`.

    The control arm behaves as the base, the test arm's figures are those of 1 + R as many people. For pre_period both
    windows of a person are taken as unrelated, which overstates the least lift where habits last.

    Args:
        planned: sizes and noise.
        base: what the control arm does; its mean is above zero.
        power: the probability.

    Returns:
        R, as a fraction: 0.1 is +10 %.
    """
    people, other = planned.test_people, planned.control_people
    ratio = people / other
    variance = base.square if planned.denominator is Denominator.ASSIGNED else base.square - base.mean**2
    windows = 2 if planned.design is Design.PRE_PERIOD else 1
    still = windows * variance * (people + ratio**2 * other)
    still += planned.total_noise[0] + ratio**2 * planned.total_noise[1]
    growing = people * base.square  # what the variance grows by with R
    if planned.denominator is Denominator.MATCHED:
        mean = 0.0 if planned.design is Design.PRE_PERIOD else base.mean
        still += mean**2 * (planned.people_noise[0] + ratio**2 * planned.people_noise[1])
        growing = people * max(0.0, base.square - 2 * base.mean**2)
    normal = NormalDist()
    distance = (normal.inv_cdf((1 + planned.confidence) / 2) + normal.inv_cdf(power)) ** 2
    # (people · mean · R)² = distance · (still + growing · R)
    square, linear = (people * base.mean) ** 2, distance * growing
    return (linear + math.sqrt(linear**2 + 4 * square * distance * still)) / (2 * square)
