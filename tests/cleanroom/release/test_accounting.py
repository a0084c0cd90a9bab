"""The release's cost against an independent calculation, and the errors that it announces."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest

from cleanroom.agreement.model import Noise
from cleanroom.errors import AgreementError
from cleanroom.plan import plan_of
from cleanroom.release.accounting import _release_map, column_sensitivities, expected_errors, privacy_cost
from tests.cleanroom.release.worlds import BUYERS, MATCHED, ORDERS, SALES, make_agreement


def _zcdp_epsilon(rho: float, delta: float) -> float:
    """Canonne, Kamath, Steinke, Corollary 13: the best epsilon over alpha of a rho-zCDP mechanism."""
    best = math.inf
    for step in range(1, 200_000):
        alpha = 1.0 + step / 1000.0
        loss = rho * alpha + (math.log(1 / (alpha * delta)) + (alpha - 1) * math.log1p(-1 / alpha)) / (alpha - 1)
        best = min(best, loss)
    return best


def test_a_person_is_hidden_under_all_identifiers() -> None:
    """An outcome side's person can add their cap once under each identifier."""
    agreement = make_agreement()
    match = replace(agreement.match, identifiers=agreement.match.identifiers * 3)
    one, three = (plan_of(each) for each in (agreement, replace(agreement, match=match)))
    for norm in (1, 2):
        assert column_sensitivities(three, norm=norm) == pytest.approx(
            [3 * bound for bound in column_sensitivities(one, norm=norm)]
        )
    costs = [privacy_cost(make_agreement(), plan) for plan in (one, three)]
    assert costs[1].multiplier == costs[0].multiplier
    assert costs[1].std_errors == pytest.approx([3 * error for error in costs[0].std_errors])


def test_the_hidden_gate_is_paid_for() -> None:
    agreement = make_agreement()
    plan = plan_of(agreement)
    cost = privacy_cost(agreement, plan)
    assert [column.declared for column in plan.columns] == [True] * 5 + [False]  # people at 7d, added for sales_7
    assert cost.opened_columns == 6
    asked = make_agreement(metrics=(MATCHED, BUYERS, ORDERS, SALES))
    assert privacy_cost(asked, plan_of(asked)).multiplier < cost.multiplier


def test_gaussian_cost_agrees_with_a_calculation_by_hand() -> None:
    agreement = make_agreement()
    cost = privacy_cost(agreement, plan_of(agreement))
    rho = 6 * 2 / (2 * cost.multiplier**2)  # six columns, two groups a person, in caps
    assert _zcdp_epsilon(rho, 1e-6) == pytest.approx(2.0, abs=2e-3)
    tighter = 6 * 2 / (2 * (cost.multiplier - 0.002) ** 2)
    assert _zcdp_epsilon(tighter, 1e-6) > 2.0


def test_laplace_cost_is_the_sum_of_the_columns() -> None:
    agreement = make_agreement(noise=Noise.LAPLACE, epsilon=1.5, max_groups_per_person=3)
    cost = privacy_cost(agreement, plan_of(agreement))
    assert cost.delta == 0.0
    assert cost.multiplier == pytest.approx(6 * 3 / 1.5, abs=2e-3)
    assert 6 * 3 / cost.multiplier <= 1.5


@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.LAPLACE])
@pytest.mark.parametrize("epsilon", [0.1, 2.0, 20.0])
def test_opendp_accepts_the_scales_and_refuses_a_step_less(noise: Noise, epsilon: float) -> None:
    agreement = make_agreement(noise=noise, epsilon=epsilon)
    cost = privacy_cost(agreement, plan_of(agreement))
    reaches = tuple((column.cap, 2) for column in plan_of(agreement).columns)
    delta = 1e-6 if noise is Noise.GAUSSIAN else 0.0
    thousandths = round(cost.multiplier * 1000)
    assert _release_map(noise, delta, reaches, thousandths) <= epsilon
    assert _release_map(noise, delta, reaches, thousandths - 1) > epsilon


def test_noise_is_in_proportion_to_the_caps() -> None:
    agreement = make_agreement()
    plan = plan_of(agreement)
    cost = privacy_cost(agreement, plan)
    for column, scale in zip(plan.columns, cost.scales, strict=True):
        assert scale == pytest.approx(cost.multiplier * column.cap)
    assert cost.std_errors[3] == pytest.approx(math.sqrt(2) * cost.scales[3])


def test_a_person_counts_in_no_more_groups_than_there_are() -> None:
    few = make_agreement(groups=1, max_groups_per_person=9)
    assert privacy_cost(few, plan_of(few)).groups_per_person == 1
    many = make_agreement(groups=9, max_groups_per_person=9)
    assert privacy_cost(many, plan_of(many)).multiplier > 2.9 * privacy_cost(few, plan_of(few)).multiplier


def test_sensitivities_in_both_norms() -> None:
    plan = plan_of(make_agreement(groups=4, max_groups_per_person=4))
    assert column_sensitivities(plan, norm=1) == (4, 4, 160, 800_000, 360_000, 4)
    assert column_sensitivities(plan, norm=2) == pytest.approx((2, 2, 80, 400_000, 180_000, 2))
    assert all(
        value >= exact
        for value, exact in zip(
            column_sensitivities(plan, norm=2), (math.sqrt(4) * c.cap for c in plan.columns), strict=True
        )
    )


def test_no_noise_costs_nothing_that_could_be_stated() -> None:
    agreement = make_agreement(noise=Noise.NONE)
    cost = privacy_cost(agreement, plan_of(agreement))
    assert (cost.epsilon, cost.delta, cost.multiplier) == (None, None, 0.0)
    assert set(cost.scales) == set(cost.std_errors) == {0.0}
    assert expected_errors(agreement, plan_of(agreement))[0].text.endswith("is exact")


def test_expected_errors_are_in_released_units() -> None:
    agreement = make_agreement()
    plan = plan_of(agreement)
    cost = privacy_cost(agreement, plan)
    errors = expected_errors(agreement, plan)
    assert [error.metric for error in errors] == ["matched", "buyers", "orders", "sales", "sales_7"]
    assert float(errors[3].std_error) == pytest.approx(cost.std_errors[3] / 100)
    assert errors[1].within == Decimal(math.ceil(1.96 * cost.std_errors[1]))
    assert f"within about ± {errors[1].within} of the truth, 19 times of 20" in errors[1].text
    assert " CNY of the truth" in errors[3].text


def test_an_epsilon_that_no_noise_can_give_is_refused() -> None:
    agreement = make_agreement(noise=Noise.LAPLACE, epsilon=1e-12)
    with pytest.raises(AgreementError, match=r"release\.epsilon"):
        privacy_cost(agreement, plan_of(agreement))


def test_five_and_nine_metrics_cost_about_what_the_design_measured() -> None:
    names = [f"buyers_{days}" for days in range(1, 10)]

    def multiplier(count: int) -> float:
        metrics = tuple(
            replace(BUYERS, name=name, window_ticks=k + 1, window=f"{k + 1}d") for k, name in enumerate(names[:count])
        )
        agreement = make_agreement(metrics=metrics)
        return privacy_cost(agreement, plan_of(agreement)).multiplier

    assert multiplier(9) == pytest.approx(10.1, abs=0.3)
    assert multiplier(9) / multiplier(5) == pytest.approx(3 / math.sqrt(5), rel=1e-3)
