"""Capacity: sums stay below 2^63 and answers decode; warnings name their keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import opendp.prelude as dp
import pytest

from cleanroom.agreement import agreement_warnings, checks
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.credit import Credit
from cleanroom.attribution.touched import Tally, Touched
from cleanroom.errors import AgreementError
from cleanroom.plan import plan_of
from tests.cleanroom.agreement.samples import Desk

NONE = ('"gaussian"', '"none"')


def test_the_overflow_check_is_exact_at_the_border(desk: Desk) -> None:
    rows = 16384  # the smaller side
    most = (2**63 - 1) // rows
    assert desk.load(NONE, ("cap = 40", f"cap = {most}")).metrics[1].cap == most
    with pytest.raises(AgreementError, match=r"metrics\[orders_15d\]\.cap: protocol\.max_rows times the cap"):
        desk.load(NONE, ("cap = 40", f"cap = {most + 1}"))


def test_the_overflow_check_counts_the_noise(desk: Desk) -> None:
    cap = (2**63 - 1) // 16384
    for noise in ('"gaussian"', '"laplace"'):
        with pytest.raises(AgreementError, match=r"metrics\[orders_15d\]\.cap"):
            desk.load(('"gaussian"', noise), ("cap = 40", f"cap = {cap}"))


def test_the_overflow_check_names_money(desk: Desk) -> None:
    with pytest.raises(AgreementError, match=r"metrics\[gmv_30d\]\.cap: protocol\.max_rows times the cap"):
        desk.load(('"2000.00"', '"46116860184273879.00"'))


def test_too_little_slack_is_refused_and_names_the_metric(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, int]] = []

    def slack(bits: float) -> Callable[..., float]:
        def answer(**arguments: int) -> float:
            asked.append(arguments)
            return bits

        return answer

    monkeypatch.setattr(checks, "slack_bits", slack(1.9))
    with pytest.raises(AgreementError, match=r"metrics\[buyers_15d\]: 15 cells over .* leave 1\.9 bits"):
        desk.load()
    monkeypatch.setattr(checks, "slack_bits", slack(2.0))
    assert desk.load().name == "complete-journey-2017"
    # three groups times four metrics and the gate of gmv_30d
    assert asked == [{"rows": 16384, "weight_bound": 1, "outputs": 15}] * 2


def test_the_noise_bound_covers_the_accountant(desk: Desk) -> None:
    """OpenDP's own map of the release at the bound: no more than the agreed epsilon, so the bound is never too low."""
    agreement = desk.load()
    columns = len(plan_of(agreement).columns)
    scale = checks.noise_bound(agreement, columns=columns, cap=1000) / 1000
    dp.enable_features("contrib")
    one = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float), scale=scale)
    epsilon, _ = dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(one), 1e-6).map(math.sqrt(2 * columns))
    assert 0.5 < epsilon <= 2.0


def test_the_noise_bound_of_laplace_is_its_deviation(desk: Desk) -> None:
    agreement = desk.load(('"gaussian"', '"laplace"'))
    assert checks.noise_bound(agreement, columns=5, cap=100) == math.ceil(math.sqrt(2) * 100 * 2 * 5 / 2.0)
    assert checks.noise_bound(desk.load(NONE), columns=5, cap=100) == 0


def test_no_warning_without_reason(desk: Desk) -> None:
    assert agreement_warnings(desk.load()) == ()
    assert agreement_warnings(desk.load(("min_people = 50", "min_people = 2"))) == ()
    until = desk.media.certificate.not_after.date()
    assert agreement_warnings(desk.load(("valid_until = 2027-12-31", f"valid_until = {until}"))) == ()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ([("2017-12-01", "2017-12-02")], None),
        ([("2017-12-01", "2017-12-03")], None),
        ([("2017-12-01", "2017-12-04")], "gmv_30d"),
        ([("2017-12-01", "2017-12-18")], "gmv_30d"),
        ([("2017-12-01", "2017-12-19")], "buyers_15d, orders_15d, gmv_30d"),
        ([("end = 2017-12-01T00:00:00Z\n", "")], "buyers_15d, orders_15d, gmv_30d"),
        ([('["mail"]', '["mail"]\ninstants = [2017-05-08T00:00:00Z]'), ("2017-12-01", "2017-12-31")], None),
        ([('"1d"', '"1h"'), ("2017-12-01T00", "2017-12-02T00")], None),
        ([('"1d"', '"1h"'), ("2017-12-01T00", "2017-12-02T01")], None),
        ([('"1d"', '"1h"'), ("2017-12-01T00", "2017-12-02T02")], "gmv_30d"),
    ],
)
def test_windows_past_the_end(desk: Desk, changes: list[tuple[str, str]], names: str | None) -> None:
    """The last touch of a period that ends on the 3rd is on the 2nd: thirty dates, its own included, reach the 31st."""
    found = agreement_warnings(desk.load(*changes))
    expected = (
        ()
        if names is None
        else (f"exposure.end: windows that begin at the last touches pass time.end and are cut: {names}",)
    )
    assert found == expected


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ([("start = 2017-01-01T00:00:00Z", "start = 2017-01-01T08:00:00Z")], "time.start: is not midnight in UTC"),
        ([("end = 2018-01-01T00:00:00Z", "end = 2018-01-01T12:00:00Z")], "time.end: is not midnight in UTC"),
        ([NONE, ("min_people = 50", "min_people = 9")], "release.min_people: 9 without noise"),
        ([NONE], "release.differences: exact counts of nested windows"),
        ([("epsilon = 2.0", "epsilon = 8.5")], "release.epsilon: 8.5 hides"),
        ([("delta = 1e-6", "delta = 0.001")], "release.delta: 0.001 is large"),
        ([("valid_until = 2027-12-31", "valid_until = 2099-12-31")], "parties.media.certificate: expires before"),
    ],
)
def test_other_warnings(desk: Desk, changes: list[tuple[str, str]], key: str) -> None:
    assert agreement_warnings(desk.load(*changes))[0].startswith(key)


def test_midnight_is_midnight_of_the_zone(desk: Desk) -> None:
    shanghai = ('"1d"', '"1d"\nzone = "Asia/Shanghai"')
    found = agreement_warnings(desk.load(shanghai))
    assert [line.split(":")[0] for line in found] == ["time.start", "time.end"]
    moved = [
        ("start = 2017-01-01T00:00:00Z", "start = 2017-01-01T00:00:00+08:00"),
        ("end = 2018-01-01T00:00:00Z", "end = 2018-01-01T00:00:00+08:00"),
    ]
    assert agreement_warnings(desk.load(shanghai, *moved)) == ()


def beyond_windows(agreement: Agreement, days: int, most: int) -> int:
    """Of one touch on each of so many days, how many earn nothing inside the first `most` disjoint windows."""
    agreement = replace(agreement, release=replace(agreement.release, max_windows=most))
    same, tally = np.zeros(days, dtype=np.int64), Tally()
    person = np.zeros((1, 16), dtype=np.uint8)
    touches = Touched(person=person, owner=same, tick=np.arange(days), event=same, group=same)
    Credit.of(agreement, plan_of(agreement)).impulses(touches, tally)
    assert set(tally.over_windows) == {15}
    return tally.over_windows[15]


@pytest.mark.parametrize(("days", "enough"), [(1, None), (2, 2), (16, 2), (17, 3)])
def test_one_window_of_credit_is_warned_about(desk: Desk, days: int, enough: int | None) -> None:
    """Touches of that many days can all earn within so many windows of 15 days: a plain count says so."""
    agreement = desk.load()
    start = agreement.time.start + timedelta(days=3)
    exposure = replace(agreement.exposure, credit="linear", start=start, end=start + timedelta(days=days))
    credited = replace(agreement.metrics[1], credit=True)
    assert credited.window_ticks == 15
    agreement = replace(agreement, exposure=exposure, metrics=(agreement.metrics[0], credited))
    found = [warning for warning in agreement_warnings(agreement) if warning.startswith("release.max_windows")]
    assert len(found) == (enough is not None)
    if enough is None:
        assert beyond_windows(agreement, days, 1) == 0
        return
    assert f"; {enough} would let every touch earn" in found[0]
    assert beyond_windows(agreement, days, enough) == 0
    assert beyond_windows(agreement, days, enough - 1) > 0
    enlarged = replace(agreement, release=replace(agreement.release, max_windows=2))
    assert not any(warning.startswith("release.max_windows") for warning in agreement_warnings(enlarged))
    plain = replace(agreement, metrics=agreement.metrics[:1])
    assert not any(warning.startswith("release.max_windows") for warning in agreement_warnings(plain))
