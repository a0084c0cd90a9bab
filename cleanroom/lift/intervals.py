"""Intervals: quantiles of Student's t, and Fieller's interval of a ratio.

Sources: Abramowitz and Stegun, 26.5.8 and 26.7.1 to 26.7.5 (the distribution and its expansion in 1/ν); Fieller, "Some
problems in interval estimation" (JRSS B 16, 1954).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

__all__ = ["Interval", "fieller", "t_quantile"]

_EXPANDED_FROM: Final = 1000.0
"""Degrees of freedom from which four terms of the expansion are exact to 1e-12."""
_ROUNDS: Final = 500
_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval; None stands for an end that nothing bounds."""

    low: float | None
    high: float | None


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t.

    Args:
        probability: in [0.5, 1).
        freedom: at least 1; may be infinite.
    """
    z = NormalDist().inv_cdf(probability)
    if math.isinf(freedom):
        return z
    t = _expanded(z, freedom)
    if freedom >= _EXPANDED_FROM:
        return t
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    for _ in range(60):  # Newton; from the left of the tail it converges from one side
        density = scale * (1 + t * t / freedom) ** (-(freedom + 1) / 2)
        # In the tail the logarithm of the upper probability is nearly straight, so steps are taken on it.
        upper = _upper_tail(t, freedom)
        step = math.log(upper / (1 - probability)) * upper / density
        t += step
        if abs(step) <= 1e-13 * max(1.0, abs(t)):
            break
    return t


def fieller(
    numerator: float, denominator: float, *, variances: tuple[float, float], covariance: float = 0.0, t: float
) -> Interval:
    """Fieller's interval of a ratio of two figures with normal errors: all θ that (n − θd)² ≤ t²·Var(n − θd) allows.

    Unlike the delta method it stays honest where the denominator is not clearly apart from zero: it then has no ends.

    Args:
        numerator, denominator: the figures.
        variances: of both.
        covariance: of the two.
        t: the quantile.
    """
    x, z = variances
    square = denominator**2 - t * t * z
    if denominator <= 0 or square <= 0:
        return Interval(low=None, high=None)
    middle = numerator * denominator - t * t * covariance
    root = math.sqrt(max(0.0, middle**2 - square * (numerator**2 - t * t * x)))
    return Interval(low=(middle - root) / square, high=(middle + root) / square)


def _expanded(z: float, freedom: float) -> float:
    """A&S 26.7.5."""
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4


def _upper_tail(t: float, freedom: float) -> float:
    """The probability beyond t."""
    half = _beta_share(freedom / (freedom + t * t), freedom / 2, 0.5) / 2
    return half if t >= 0 else 1 - half


def _beta_share(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (A&S 26.5.8, Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _ROUNDS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            change = c * d
            fraction *= change
        if abs(change - 1) < 1e-15:
            break
    return front * fraction / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
