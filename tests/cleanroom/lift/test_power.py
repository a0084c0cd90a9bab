"""A lift of the promised size is seen as often as promised in 1,000 runs; and what `agreement check` says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cleanroom.agreement.lift import Comparison, Denominator, Design
from cleanroom.agreement.model import Agreement, Measure, Noise
from cleanroom.cli.agreement import command
from cleanroom.lift import Base, Planned, detectable_lift
from cleanroom.plan import plan_of
from cleanroom.power import POWER, detectable_lifts
from cleanroom.release.accounting import privacy_cost
from tests.cleanroom.agreement.samples import Desk, new_desk
from tests.cleanroom.agreement.test_lift import ALL, agreed
from tests.cleanroom.lift.arms import Seen, agreement_of, released
from tests.cleanroom.lift.test_coverage import SHARE, amounts

SIZE, RATE = 2000, 0.1


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return new_desk(tmp_path)


def arm(rng: np.random.Generator, measure: Measure, people: int, rate: float) -> Seen:
    shape = (1000, people)
    after, before = (amounts(rng, measure, shape) * (rng.random(shape) < share) for share in (rate, RATE))
    return Seen(after=after, before=before, matched=np.ones(shape, dtype=np.bool_))


@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.LAPLACE])
@pytest.mark.parametrize("measure", [Measure.PEOPLE, Measure.EVENTS, Measure.SUM])
@pytest.mark.parametrize(
    ("design", "denominator"),
    [
        (Design.RANDOMISED, Denominator.ASSIGNED),
        (Design.RANDOMISED, Denominator.MATCHED),
        (Design.PRE_PERIOD, Denominator.MATCHED),
    ],
)
def test_the_promised_lift_is_seen_as_often_as_promised(
    design: Design, denominator: Denominator, measure: Measure, noise: Noise
) -> None:
    agreement = agreement_of(
        measure, design=design, denominator=denominator, noise=noise, epsilon=8.0, share=Decimal(str(SHARE))
    )
    plan = plan_of(agreement)
    (what,) = (column for column in plan.columns if column.declared)
    errors = {column.name: error**2 for column, error in zip(plan.columns, _errors(agreement), strict=True)}
    compared = errors[f"lift_{what.name}_change" if design is Design.PRE_PERIOD else what.name]
    drawn = amounts(np.random.default_rng(1), measure, (1, 1_000_000)).astype(float)
    assigned = denominator is Denominator.ASSIGNED
    other = round(SIZE * (1 - SHARE) / SHARE) if assigned else SIZE
    people = errors.get("lift_matched", 0.0)
    least = detectable_lift(
        Planned(
            design=design,
            denominator=denominator,
            confidence=0.95,
            test_people=SIZE,
            control_people=other,
            total_noise=(compared, compared),
            people_noise=(people, people),
        ),
        Base(mean=RATE * drawn.mean(), square=RATE * (drawn**2).mean()),
        power=POWER,
    )
    assert 0.05 < least < 9
    rng = np.random.default_rng(2)
    rows = released(agreement, arm(rng, measure, SIZE, RATE * (1 + least)), arm(rng, measure, other, RATE), seed=2)
    seen = sum(row.incremental_low is not None and row.incremental_low > 0 for row in rows) / len(rows)
    assert POWER - 0.06 < seen < POWER + 0.06


def _errors(agreement: Agreement) -> tuple[float, ...]:
    return privacy_cost(agreement, plan_of(agreement)).std_errors


def test_more_people_less_noise_and_fewer_metrics_see_smaller_lifts(desk: Desk) -> None:
    agreement = agreed(desk, ALL)
    plan = plan_of(agreement)
    found = detectable_lifts(agreement, plan)
    assert [(one.metric, one.people) for one in found] == [
        (name, people) for name in ("buyers_15d", "orders_15d", "gmv_30d") for people in (10_000, 100_000, 1_000_000)
    ]
    by_size = [one.relative for one in found if one.metric == "gmv_30d"]
    assert by_size == sorted(by_size, reverse=True) and by_size[2] > 0
    quiet = replace(agreement, release=replace(agreement.release, epsilon=8.0))
    pairs = list(zip(detectable_lifts(quiet, plan), found, strict=True))
    assert all(one.relative < other.relative for one, other in pairs)
    alone = agreed(desk)
    (buyers,) = detectable_lifts(alone, plan_of(alone), people=(10_000,))
    assert buyers.relative < found[0].relative
    assert detectable_lifts(desk.load(), plan_of(desk.load())) == ()


def test_without_noise_the_least_lift_is_that_of_the_textbook(desk: Desk) -> None:
    exact = replace(agreed(desk), release=replace(agreed(desk).release, noise=Noise.NONE))
    (one,) = detectable_lifts(exact, plan_of(exact), people=(1_000_000,), rate=0.05)
    assert one.relative == pytest.approx((1.959964 + 0.841621) * np.sqrt(2 / (1_000_000 * 0.05)), rel=0.02)


def test_the_comparison_that_sees_least_counts(desk: Desk) -> None:
    agreement = agreed(desk)
    assert agreement.lift is not None
    worse = Comparison(name="c2", test=("1",), control=("3",), test_share=Decimal("0.95"))
    both = replace(agreement, lift=replace(agreement.lift, comparisons=(*agreement.lift.comparisons, worse)))
    alone = replace(agreement, lift=replace(agreement.lift, comparisons=(worse,)))
    plan = plan_of(agreement)
    assert detectable_lifts(both, plan) == detectable_lifts(alone, plan) != detectable_lifts(agreement, plan)


def test_check_and_show_say_it(desk: Desk) -> None:
    agreed(desk, others=(("valid_until = 2027-12-31", "valid_until = 2035-12-31"),))
    told = CliRunner().invoke(command, ["check", str(desk.path), "--people", "5000", "--rate", "0.1", "--json"])
    assert told.exit_code == 0, told.output
    (found,) = json.loads(told.stdout)["detectable_lift"]
    assert (found["metric"], found["people"], found["rate"], found["power"]) == ("buyers_15d", 5000, 0.1, 0.8)
    assert 0.1 < found["relative"] < 0.5
    shown = CliRunner().invoke(command, ["show", str(desk.path)])
    assert "with 100,000 people in the test arm, 5 % of whom" in " ".join(shown.stdout.split())
