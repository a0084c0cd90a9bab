"""Estimates from a declared sample: intervals cover the truth, and figures of mixed periods are not scaled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from cleanroom.agreement.checks import agreement_warnings
from cleanroom.agreement.model import Agreement
from cleanroom.agreement.sampling import SampledPeriod, sampled_fraction
from cleanroom.plan import plan_of
from cleanroom.sampling import column_fraction, estimate
from tests.cleanroom.release.test_document import CERTIFICATES
from tests.cleanroom.release.worlds import BUYERS, MATCHED, make_agreement


def at(month: int, day: int = 1) -> datetime:
    return datetime(2017, month, day, tzinfo=UTC)


def period(party: str, start: datetime, end: datetime, fraction: str) -> SampledPeriod:
    return SampledPeriod(party=party, start=start, end=end, fraction=Decimal(fraction))


def test_what_no_period_names_is_whole_and_different_shares_do_not_mix() -> None:
    periods = (period("media", at(3), at(5), "0.5"), period("media", at(5), at(6), "0.5"))
    for start, end, expected in [
        (at(3), at(6), "0.5"),
        (at(4), at(5), "0.5"),
        (at(6), at(7), "1"),
        (at(1), at(3), "1"),
        (at(2), at(4), None),
        (at(5), at(7), None),
        (at(1), at(8), None),
    ]:
        assert sampled_fraction(periods, "media", start, end) == (None if expected is None else Decimal(expected))
        assert sampled_fraction(periods, "shop", start, end) == 1
    gap = (period("media", at(3), at(4), "0.5"), period("media", at(5), at(6), "0.5"))
    assert sampled_fraction(gap, "media", at(3), at(6)) is None
    steps = (period("media", at(3), at(4), "0.5"), period("media", at(4), at(5), "0.4"))
    assert sampled_fraction(steps, "media", at(3), at(5)) is None


def sampled(*periods: SampledPeriod) -> Agreement:
    base = make_agreement(metrics=(MATCHED, BUYERS))
    entries = [replace(entry, certificate_pem=CERTIFICATES[entry.name]) for entry in base.parties]
    base = replace(base, parties=(entries[0], entries[1]))
    time = replace(base.time, start=at(1), end=at(12))
    exposure = replace(base.exposure, start=at(3), end=at(4), instants=None)
    return replace(base, time=time, exposure=exposure, sampling=periods)


def test_a_column_is_about_all_the_time_that_it_looks_at() -> None:
    """A window reaches past the touch period, into a period of another share."""
    agreement = sampled(period("media", at(2), at(6), "0.5"), period("shop", at(2), at(4, 5), "0.8"))
    found = {column.name: column_fraction(agreement, column) for column in plan_of(agreement).columns}
    assert found[BUYERS.name] is None  # orders of fifteen days after the touch period
    agreement = sampled(period("media", at(2), at(6), "0.5"), period("shop", at(1), at(12), "0.8"))
    found = {column.name: column_fraction(agreement, column) for column in plan_of(agreement).columns}
    assert found[BUYERS.name] == Decimal("0.40") == found[MATCHED.name]


def test_mixed_periods_are_a_warning() -> None:
    agreement = sampled(period("media", at(3, 10), at(6), "0.5"))
    assert any(BUYERS.name in line and "sampling.periods" in line for line in agreement_warnings(agreement))
    agreement = sampled(period("media", at(3), at(6), "0.5"))
    assert not any("sampling.periods" in line for line in agreement_warnings(agreement))


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_intervals_of_a_count_cover_the_truth(fraction: float) -> None:
    """1,000 samples of 4,000 people with noise of 12 people: 95 % of the intervals hold the true count."""
    chooser = np.random.default_rng(5)
    people, noise = 4000, 12.0
    counts = chooser.binomial(people, fraction, 1000) + chooser.normal(0, noise, 1000)
    found = [estimate(float(count), noise, fraction=fraction, cap=1.0) for count in counts]
    covered = np.mean([abs(one.value - people) <= 1.96 * one.std_error for one in found])
    assert 0.93 <= covered <= 0.97
    assert abs(np.mean([one.value for one in found]) / people - 1) < 0.01


def test_intervals_of_sums_are_too_wide_rather_than_too_narrow() -> None:
    chooser = np.random.default_rng(6)
    amounts = np.minimum(chooser.lognormal(3, 1, 3000), 200.0)
    covered = []
    for _ in range(1000):
        total = float(amounts[chooser.random(len(amounts)) < 0.5].sum())
        found = estimate(total, 0.0, fraction=0.5, cap=200.0)
        covered.append(abs(found.value - amounts.sum()) <= 1.96 * found.std_error)
    assert np.mean(covered) >= 0.97


def test_everybody_is_left_as_released() -> None:
    assert estimate(120.0, 3.0, fraction=1.0, cap=1.0).value == 120.0
    assert estimate(120.0, 3.0, fraction=1.0, cap=1.0).std_error == 3.0
    assert estimate(-5.0, 3.0, fraction=0.5, cap=1.0).std_error == 6.0
