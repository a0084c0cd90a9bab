"""What somebody who wants more than was agreed would try on the ledger: averaging, subtracting, clocks, other names."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from cleanroom.agreement.lift import Denominator, Design
from cleanroom.agreement.model import Agreement, Measure, Noise
from cleanroom.errors import BudgetError
from cleanroom.ledger import Ledger, Limit
from cleanroom.plan import plan_of
from cleanroom.release.accounting import PrivacyCost, privacy_cost
from tests.cleanroom.lift import arms
from tests.cleanroom.release.worlds import BUYERS, MATCHED, ORDERS, SALES, make_agreement
from tests.cleanroom.test_ledger import NOW, OTHER, OWN, PEER, limit, partner_of, run_of, session, world

GROUPS = ("spring", "summer", "autumn")


def grouped(groups: tuple[str, ...], mark: int, noise: Noise = Noise.GAUSSIAN) -> tuple[Agreement, PrivacyCost]:
    """An agreement over the same time for other groups."""
    agreement = make_agreement(metrics=(BUYERS, SALES), noise=noise, epsilon=1.0, agreement_hash=bytes([mark]) * 32)
    agreement = replace(agreement, exposure=replace(agreement.exposure, groups=groups))
    return agreement, privacy_cost(agreement, plan_of(agreement))


# --- averaging


def test_data_that_go_back_to_what_they_were_get_the_release_of_that_time(tmp_path: Path) -> None:
    """A, B, A: two fresh draws of noise and two charges; the third is the first again."""
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        for number, root in ((1, OWN), (2, OTHER)):
            assert ledger.stored(agreement, partner, own_root=root, peer_root=PEER) is None
            ledger.charge(agreement, cost, partner, run=run_of(number, own=root), now=NOW)
            ledger.store(agreement, partner, run=run_of(number, own=root), files={"release.csv": root}, now=NOW)
        again = ledger.stored(agreement, partner, own_root=OWN, peer_root=PEER)
        assert again is not None and again.session_id == session(1)
        assert ledger.spent_with(partner.fingerprint, now=NOW).epsilon == Decimal(2)


def test_a_partner_that_denies_its_stored_release_gets_no_free_draw(tmp_path: Path) -> None:
    """`check` lets a likely repeat through; if the partner then wants it executed, `charge` judges the limit."""
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("1"))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        ledger.store(agreement, partner, run=run_of(1), files={}, now=NOW)
        ledger.check(agreement, cost, partner, own_root=OWN, now=NOW)
        with pytest.raises(BudgetError, match=r"release\.epsilon: 1\.0 of 1 is spent"):
            ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW)
        assert ledger.spent_with(partner.fingerprint, now=NOW).epsilon == Decimal(1)


# --- subtracting


def test_with_noise_another_set_of_groups_is_charged_and_composed(tmp_path: Path) -> None:
    first, cost = grouped(GROUPS, 1)
    second, again = grouped(GROUPS[:2], 2)
    partner = partner_of(first)
    with Ledger(tmp_path) as ledger:
        ledger.charge(first, cost, partner, run=run_of(1), now=NOW)
        ledger.charge(second, again, partner, run=run_of(2), now=NOW)
        spent = ledger.spent_with(partner.fingerprint, now=NOW)
        assert (spent.epsilon, spent.runs) == (Decimal(2), 2)
        assert cost.rho is not None and again.rho is not None
        assert spent.rho == pytest.approx(cost.rho + again.rho)


@pytest.mark.parametrize("groups", [GROUPS, GROUPS[:2], ("winter",), (*GROUPS, "winter")])
def test_without_noise_no_second_set_of_groups_is_opened_over_the_same_time(
    tmp_path: Path, groups: tuple[str, ...]
) -> None:
    """Whatever they are: who is in them, and so by how many people they differ, is not for the ledger to know."""
    first, cost = grouped(GROUPS, 1, Noise.NONE)
    second, again = grouped(groups, 2, Noise.NONE)
    partner = partner_of(first)
    with Ledger(tmp_path) as ledger:
        ledger.charge(first, cost, partner, run=run_of(1), now=NOW)
        with pytest.raises(BudgetError, match="overlapping period"):
            ledger.check(second, again, partner, own_root=OWN, now=NOW)
        with pytest.raises(BudgetError, match="overlapping period"):
            ledger.charge(second, again, partner, run=run_of(2), now=NOW)


MARCH, APRIL, MAY = (datetime(2025, month, 1, tzinfo=UTC) for month in (3, 4, 5))


def over(start: datetime, end: datetime, mark: int, *, matched: bool = False) -> tuple[Agreement, PrivacyCost]:
    metrics = (BUYERS, MATCHED) if matched else (BUYERS, ORDERS)
    agreement = make_agreement(
        metrics=metrics, noise=Noise.NONE, start=start, end=end, agreement_hash=bytes([mark]) * 32
    )
    return agreement, privacy_cost(agreement, plan_of(agreement))


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_matched_people_have_no_period_so_exact_counts_of_two_months_are_not_both_opened(
    tmp_path: Path, first: bool, second: bool
) -> None:
    """The outcome side's people are the same in March and April: two groups that differ by one tell of that one."""
    march, cost = over(MARCH, APRIL, 1, matched=first)
    april, again = over(APRIL, MAY, 2, matched=second)
    partner = partner_of(march)
    with Ledger(tmp_path) as ledger:
        ledger.charge(march, cost, partner, run=run_of(1), now=NOW)
        with pytest.raises(BudgetError, match="matched people are counted over all time"):
            ledger.charge(april, again, partner, run=run_of(2), now=NOW)
        ledger.charge(march, cost, partner, run=run_of(3), now=NOW)  # the same inputs: nothing new


def test_the_matched_people_that_a_lift_adds_have_no_period_either(tmp_path: Path) -> None:
    compared = arms.agreement_of(
        Measure.EVENTS, design=Design.PRE_PERIOD, denominator=Denominator.MATCHED, noise=Noise.NONE, runs=2
    )
    assert all(metric.measure is not Measure.MATCHED for metric in compared.metrics)
    later, cost = over(compared.time.end, compared.time.end + timedelta(days=31), 2)
    with Ledger(tmp_path) as ledger:
        own = privacy_cost(compared, plan_of(compared))
        ledger.charge(compared, own, partner_of(compared), run=run_of(1), now=NOW)
        with pytest.raises(BudgetError, match="matched people are counted over all time"):
            ledger.charge(later, cost, partner_of(compared), run=run_of(2), now=NOW)


def test_with_noise_matched_people_of_two_months_are_charged_twice(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for number, (start, end) in enumerate(((MARCH, APRIL), (APRIL, MAY)), start=1):
            agreement = make_agreement(metrics=(MATCHED,), epsilon=1.0, start=start, end=end)
            cost = privacy_cost(agreement, plan_of(agreement))
            ledger.charge(agreement, cost, partner_of(agreement), run=run_of(number), now=NOW)
        assert ledger.spending(now=NOW)[0].epsilon == Decimal(2)


def test_overlaps_are_judged_against_every_earlier_run(tmp_path: Path) -> None:
    """[1, 3) and [5, 7) leave room for [3, 5) and for nothing that reaches into them by a microsecond."""
    days = [datetime(2025, 3, day, tzinfo=UTC) for day in (1, 3, 5, 7)]
    step = timedelta(microseconds=1)
    partner = partner_of(over(MARCH, APRIL, 1)[0])
    with Ledger(tmp_path) as ledger:
        for number, (start, end) in enumerate([(days[0], days[1]), (days[2], days[3])], start=1):
            agreement, cost = over(start, end, number)
            ledger.charge(agreement, cost, partner, run=run_of(number), now=NOW)
        for start, end in (
            (days[1] - step, days[2]),
            (days[1], days[2] + step),
            (days[0] - step, days[3] + step),
            (days[0], days[1]),
        ):
            agreement, cost = over(start, end, 9)
            with pytest.raises(BudgetError, match="overlapping period"):
                ledger.charge(agreement, cost, partner, run=run_of(9), now=NOW)
        agreement, cost = over(days[1], days[2], 8)
        ledger.charge(agreement, cost, partner, run=run_of(8), now=NOW)


# --- periods and composition


def test_a_charge_counts_to_the_last_microsecond_of_the_period(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    period = timedelta(days=30)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("1", days=30))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        with pytest.raises(BudgetError):
            ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW + period - timedelta(microseconds=1))
        ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW + period)


def independent_epsilon(rho: float, delta: float) -> float:
    """Canonne, Kamath, Steinke (ePrint 2020/1177), corollary 13, by plain search over the order."""

    def delta_at(epsilon: float) -> float:
        orders = (1 + 10 ** (step / 400) for step in range(-1600, 1600))
        return min(
            math.exp((order - 1) * (order * rho - epsilon) + order * math.log1p(-1 / order)) / (order - 1)
            for order in orders
            if (order - 1) * (order * rho - epsilon) < 600
        )

    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_at(middle) > delta else (low, middle)
    return high


def test_laplace_and_gaussian_runs_compose_as_an_independent_formula_says(tmp_path: Path) -> None:
    """Laplace: epsilon²/2. Gaussian: the columns' squared sensitivities over twice their variances."""
    delta = 1e-6
    laplace, cost = world(epsilon=0.3)
    noised, more = grouped(GROUPS, 2)
    plan = plan_of(noised)
    moved = min(noised.release.max_groups_per_person, plan.groups)
    expected = 0.3**2 / 2
    for column, scale in zip(plan.columns, more.scales, strict=True):
        expected += moved * column.bound**2 / (2 * scale**2)
    with Ledger(tmp_path) as ledger:
        partner = partner_of(laplace)
        ledger.set_limit(partner.fingerprint, limit("100", delta=str(delta)))
        ledger.charge(laplace, cost, partner, run=run_of(1), now=NOW)
        ledger.charge(noised, more, partner, run=run_of(2), now=NOW)
        spent = ledger.spent_with(partner.fingerprint, now=NOW)
    assert spent.rho == pytest.approx(expected, rel=1e-9)
    assert spent.composed == pytest.approx(independent_epsilon(expected, delta), rel=1e-3)
    assert (spent.epsilon, spent.delta) == (Decimal("1.3"), Decimal("0.000001"))


# --- other names: the documented limits


def test_another_certificate_of_the_same_partner_is_another_partner(tmp_path: Path) -> None:
    """LIMITATIONS says so; whoever renews a certificate sets the limit for the new one."""
    agreement, cost = world(epsilon=1.0)
    old = partner_of(agreement)
    renewed = replace(old, fingerprint=b"r" * 32)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(old.fingerprint, limit("1"))
        ledger.charge(agreement, cost, old, run=run_of(1), now=NOW)
        ledger.charge(agreement, cost, renewed, run=run_of(2), now=NOW)
        spent = ledger.spent_with(renewed.fingerprint, now=NOW)
        assert (spent.epsilon, spent.limit) == (Decimal(1), None)


def test_a_second_identity_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    one_limit = Limit(epsilon=Decimal(1), delta=Decimal(0), period=timedelta(days=365))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with Ledger(tmp_path / name) as ledger:
            ledger.set_limit(partner_of(agreement).fingerprint, one_limit)
            ledger.charge(agreement, cost, partner_of(agreement), run=run_of(1), now=NOW)
            assert ledger.spending(now=NOW)[0].epsilon == Decimal(1)
