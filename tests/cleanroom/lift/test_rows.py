"""Rows of lift: without noise a plain computation on a data frame; and what becomes of figures that are not there."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from cleanroom.agreement.lift import Comparison, Denominator, Design
from cleanroom.agreement.model import Measure, Noise
from cleanroom.lift import Cell, LiftColumn, LiftColumns, LiftRow, LiftStatus, LiftTerms, lift_rows
from cleanroom.lift.intervals import t_quantile
from tests.cleanroom.lift.arms import Seen, agreement_of, released

PEOPLE = {"test": 900, "control": 500}


def frame(seed: int = 0) -> pd.DataFrame:
    """Everybody's orders after and before, by arm."""
    rng = np.random.default_rng(seed)
    arms = [arm for arm, count in PEOPLE.items() for _ in range(count)]
    rate = np.where(np.array(arms) == "test", 0.4, 0.3)
    return pd.DataFrame(
        {"arm": arms, "after": rng.poisson(rate).clip(max=5), "before": rng.poisson(0.3, len(arms)).clip(max=5)}
    )


def row_of(people: pd.DataFrame, measure: Measure, design: Design, denominator: Denominator) -> LiftRow:
    agreement = agreement_of(
        measure, design=design, denominator=denominator, noise=Noise.NONE, share=Decimal("0.6"), runs=1
    )
    test, control = (
        Seen(
            after=arm["after"].to_numpy()[None],
            before=arm["before"].to_numpy()[None],
            matched=np.ones((1, len(arm)), dtype=np.bool_),
        )
        for arm in (people[people["arm"] == name] for name in PEOPLE)
    )
    (row,) = released(agreement, test, control)
    return row


def welch(test: pd.Series[float], control: pd.Series[float]) -> tuple[float, float, float]:
    """The difference of two averages, its error and its degrees of freedom, as every textbook has them."""
    a, b = test.var() / len(test), control.var() / len(control)
    freedom = (a + b) ** 2 / (a**2 / (len(test) - 1) + b**2 / (len(control) - 1))
    return float(test.mean() - control.mean()), math.sqrt(a + b), float(freedom)


@pytest.mark.parametrize("measure", [Measure.PEOPLE, Measure.EVENTS])
@pytest.mark.parametrize("design", list(Design))
def test_without_noise_averages_are_those_of_the_data(measure: Measure, design: Design) -> None:
    people = frame()
    row = row_of(people, measure, design, Denominator.MATCHED)
    after, before = people["after"], people["before"]
    if measure is Measure.PEOPLE:
        after, before = after.clip(upper=1), before.clip(upper=1)
    compared = (after - before if design is Design.PRE_PERIOD else after).astype(float)
    test, control = compared[people["arm"] == "test"], compared[people["arm"] == "control"]
    difference, error, freedom = welch(test, control)
    reach = t_quantile(0.975, freedom) * error
    assert row.status is LiftStatus.ESTIMATED
    assert (row.test_people, row.control_people) == (900.0, 500.0)
    assert row.incremental == pytest.approx(900 * difference, rel=1e-12)
    assert row.std_error == pytest.approx(900 * error, rel=1e-12)
    assert (row.sampling_error, row.noise_error) == (row.std_error, 0.0)
    assert row.incremental_low == pytest.approx(900 * (difference - reach), rel=1e-12)
    assert row.incremental_high == pytest.approx(900 * (difference + reach), rel=1e-12)
    assert row.per_1000 == pytest.approx(1000 * difference, rel=1e-12)
    assert row.per_1000_low == pytest.approx(1000 * (difference - reach), rel=1e-12)
    total = float(after[people["arm"] == "test"].sum())
    expected = total - 900 * difference
    assert row.test_total == total
    assert row.expected_total == pytest.approx(expected, rel=1e-12)
    assert row.relative == pytest.approx(total / expected - 1, rel=1e-12)
    if design is Design.PRE_PERIOD:  # of these very people: the ends are those of what was added
        assert row.incremental_low is not None and row.incremental_high is not None
        assert row.relative_low == pytest.approx(total / (total - row.incremental_low) - 1, rel=1e-9)
        assert row.relative_high == pytest.approx(total / (total - row.incremental_high) - 1, rel=1e-9)


@pytest.mark.parametrize("measure", [Measure.PEOPLE, Measure.EVENTS])
def test_without_noise_totals_are_those_of_the_data(measure: Measure) -> None:
    people = frame()
    row = row_of(people, measure, Design.RANDOMISED, Denominator.ASSIGNED)
    value = people["after"].clip(upper=1 if measure is Measure.PEOPLE else 5).astype(float)
    test, control = value[people["arm"] == "test"], value[people["arm"] == "control"]
    k = 0.6 / 0.4
    assert row.incremental == pytest.approx(test.sum() - k * control.sum(), rel=1e-12)
    assert row.std_error == pytest.approx(math.sqrt((test**2).sum() + k * k * (control**2).sum()), rel=1e-12)
    assert row.relative == pytest.approx(test.sum() / (k * control.sum()) - 1, rel=1e-12)
    assert (row.test_people, row.per_1000) == (None, None)  # nobody asked for matched people


ARMS = Comparison(name="c1", test=("a", "b"), control=("z",), test_share=Decimal("0.5"))
SALES = LiftColumns(metric="sales", compared="sales", squares="sq", people="known")
TERMS = LiftTerms(
    design=Design.RANDOMISED,
    denominator=Denominator.ASSIGNED,
    confidence=0.9,
    columns=(SALES,),
    comparisons=(ARMS,),
)
MATCHED_TERMS = replace(TERMS, denominator=Denominator.MATCHED, comparisons=(replace(ARMS, test_share=None),))
COLUMNS = {
    "sales": LiftColumn(cap=500, std_error=0.0, unit=0.01),
    "sq": LiftColumn(cap=500, std_error=0.0, unit=1.0),
    "known": LiftColumn(cap=1, std_error=0.0, unit=1.0),
}
CELLS = {
    (group, name): Cell(units=units)
    for group, figures in {"a": (4000, 1_000_000, 300), "b": (2000, 400_000, 200), "z": (5000, 900_000, 500)}.items()
    for name, units in zip(("sales", "sq", "known"), figures, strict=True)
}


def test_an_arm_of_several_groups_is_their_sum_in_units_of_the_currency() -> None:
    (row,) = lift_rows(TERMS, COLUMNS, CELLS)
    assert (row.comparison, row.metric, row.confidence) == ("c1", "sales", 0.9)
    assert (row.test_people, row.control_people) == (500.0, 500.0)
    assert row.test_total == pytest.approx(60.0)
    assert row.expected_total == pytest.approx(50.0)
    assert row.incremental == pytest.approx(10.0)
    assert row.std_error == pytest.approx(math.sqrt(2_300_000) / 100)
    assert row.per_1000 == pytest.approx(20.0)
    assert row.relative == pytest.approx(0.2)
    assert row.relative_low is not None and row.relative_low >= -1


@pytest.mark.parametrize("terms", [TERMS, MATCHED_TERMS])
@pytest.mark.parametrize(
    ("place", "status", "note"),
    [
        (("b", "sales"), "suppressed", "the test arm's group b has no released sales"),
        (("z", "sq"), "suppressed", "the control arm's group z has no released sq"),
        (("z", "sales"), "not_eligible", "the control arm's group z is not eligible"),
    ],
)
def test_without_one_of_its_figures_there_is_no_estimate(
    terms: LiftTerms, place: tuple[str, str], status: str, note: str
) -> None:
    (row,) = lift_rows(terms, COLUMNS, {**CELLS, place: Cell(units=None, status=status)})
    assert (row.status, row.note) == (LiftStatus(status), note)
    assert row.incremental is None and row.relative is None and row.per_1000 is None and row.std_error is None


def test_matched_people_that_are_not_there_matter_to_averages_alone() -> None:
    cells = {**CELLS, ("a", "known"): Cell(units=None, status="suppressed")}
    (totals,) = lift_rows(TERMS, COLUMNS, cells)
    (averages,) = lift_rows(MATCHED_TERMS, COLUMNS, cells)
    assert totals.status is LiftStatus.ESTIMATED and totals.incremental == pytest.approx(10.0)
    assert (totals.test_people, totals.per_1000) == (None, None)
    assert averages.status is LiftStatus.SUPPRESSED


@pytest.mark.parametrize("few", [-30, 0, 1, 120])
def test_people_that_noise_drowns_give_no_average(few: int) -> None:
    noisy = {**COLUMNS, "known": replace(COLUMNS["known"], std_error=30.0)}
    (row,) = lift_rows(MATCHED_TERMS, noisy, {**CELLS, ("z", "known"): Cell(units=few)})
    assert row.status is LiftStatus.TOO_FEW and "control arm" in row.note
    assert row.incremental is None
    (row,) = lift_rows(TERMS, noisy, {**CELLS, ("z", "known"): Cell(units=few)})
    assert row.status is LiftStatus.ESTIMATED


def test_noise_that_takes_squares_below_zero_makes_no_error_smaller_than_the_noise() -> None:
    noisy = {name: replace(column, std_error=1000.0) for name, column in COLUMNS.items() if name != "known"}
    noisy["known"] = COLUMNS["known"]
    cells = {**CELLS, **{(group, "sq"): Cell(units=-(10**9)) for group in ("a", "b", "z")}}
    for terms in (TERMS, MATCHED_TERMS):
        (row,) = lift_rows(terms, noisy, cells)
        assert row.sampling_error is not None and row.std_error is not None and row.noise_error is not None
        assert row.sampling_error >= 0
        assert row.std_error >= row.noise_error >= 10 * math.sqrt(3) * 0.99


def test_nothing_to_compare_with_has_no_relative_lift() -> None:
    (row,) = lift_rows(TERMS, COLUMNS, {**CELLS, ("z", "sales"): Cell(units=0)})
    assert row.incremental == pytest.approx(60.0)
    assert (row.relative, row.relative_low, row.relative_high) == (None, None, None)


def test_a_sample_scales_totals_and_widens_averages() -> None:
    half = {name: replace(column, sampling=0.5) for name, column in COLUMNS.items()}
    for terms in (TERMS, MATCHED_TERMS):
        (whole,), (sampled,) = lift_rows(terms, COLUMNS, CELLS), lift_rows(terms, half, CELLS)
        assert sampled.incremental == pytest.approx(2 * (whole.incremental or 0))
        assert sampled.test_total == pytest.approx(2 * (whole.test_total or 0))
        assert (sampled.relative, sampled.per_1000) == (whole.relative, whole.per_1000)
        assert (sampled.std_error or 0) >= 2 * (whole.std_error or 0)
        if terms is MATCHED_TERMS:  # 500 people found stand for 1,000, give or take
            extra = (10.0 / 500) ** 2 * 500 * 0.5
            assert sampled.std_error == pytest.approx(2 * math.sqrt((whole.std_error or 0) ** 2 + extra))


def test_periods_of_different_sampling_have_no_totals_and_say_so() -> None:
    mixed = {name: replace(column, sampling=None) for name, column in COLUMNS.items()}
    (row,) = lift_rows(TERMS, mixed, CELLS)
    assert "sampling" in row.note
    assert (row.incremental, row.incremental_low, row.test_total, row.std_error) == (None, None, None, None)
    assert row.relative == pytest.approx(0.2)


def test_a_missing_column_is_no_silent_zero() -> None:
    with pytest.raises(KeyError):
        lift_rows(TERMS, COLUMNS, {place: cell for place, cell in CELLS.items() if place != ("z", "sq")})
