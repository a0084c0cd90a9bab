"""Quantiles against printed tables and the distribution's own definition; Fieller against the inequality it solves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cleanroom.lift.intervals import fieller, t_quantile


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [  # NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2
        (0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 5, 2.571), (0.975, 10, 2.228), (0.975, 30, 2.042),
        (0.975, 100, 1.984), (0.9, 7, 1.415), (0.95, 12, 1.782), (0.995, 4, 4.604), (0.999, 3, 10.215),
        (0.975, math.inf, 1.960), (0.5, 3, 0.0),
    ],
)  # fmt: skip
def test_quantiles_are_those_of_the_tables(probability: float, freedom: float, expected: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(expected, abs=5.1e-4)


@pytest.mark.parametrize("freedom", [1.0, 1.7, 4.0, 33.3, 999.0, 1000.0, 5e4])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.9995])
def test_the_density_up_to_a_quantile_is_its_probability(freedom: float, probability: float) -> None:
    t = t_quantile(probability, freedom)
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    x = np.linspace(0, t, 400_001)
    density = scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    assert 0.5 + float(np.trapezoid(density, x)) == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize("covariance", [0.0, 0.6, -0.6])
def test_the_ends_of_a_ratio_are_where_the_difference_is_just_allowed(covariance: float) -> None:
    numerator, denominator, variances, t = 12.0, 10.0, (2.0, 1.5), 1.96
    found = fieller(numerator, denominator, variances=variances, covariance=covariance, t=t)
    assert found.low is not None and found.high is not None
    assert found.low < numerator / denominator < found.high
    for theta in (found.low, found.high):
        variance = variances[0] - 2 * theta * covariance + theta**2 * variances[1]
        assert (numerator - theta * denominator) ** 2 == pytest.approx(t * t * variance)


@pytest.mark.parametrize("denominator", [1.9, 0.0, -10.0])
def test_a_ratio_to_what_may_be_zero_has_no_ends(denominator: float) -> None:
    found = fieller(12.0, denominator, variances=(2.0, 1.0), t=1.96)
    assert (found.low, found.high) == (None, None)
