"""Many runs at once: a release whose every comparison is a run of its own, through the release's own noise.

People are made up by arm, their columns computed from clear data as the plan defines them, noised by both sides, and
estimated from the released figures alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.lift import Comparison, Denominator, Design, Lift
from cleanroom.agreement.model import Agreement, Measure, Metric, Noise
from cleanroom.lift import Cell, LiftColumn, LiftRow, lift_rows, lift_terms
from cleanroom.plan import Column, Plan, plan_of
from cleanroom.release.accounting import figure_error
from cleanroom.release.noise import draw_noise
from cleanroom.release.terms import ReleaseTerms, terms_of
from tests.cleanroom.release.worlds import make_agreement

RUNS = 1000
ORDERS_CAP = 5
SALES_CAP = 20_000
METRICS = {
    Measure.PEOPLE: Metric(
        name="buyers", measure=Measure.PEOPLE, event="order", window_ticks=15, window="15d", cap=None
    ),
    Measure.EVENTS: Metric(
        name="orders", measure=Measure.EVENTS, event="order", window_ticks=15, window="15d", cap=ORDERS_CAP
    ),
    Measure.SUM: Metric(name="sales", measure=Measure.SUM, event="order", window_ticks=15, window="15d", cap=SALES_CAP),
}
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An arm's people in every run: runs × people; those who are not matched are zero in all."""

    after: Ints
    before: Ints
    matched: NDArray[np.bool_]


def agreement_of(
    measure: Measure,
    *,
    design: Design = Design.RANDOMISED,
    denominator: Denominator = Denominator.ASSIGNED,
    noise: Noise = Noise.GAUSSIAN,
    epsilon: float = 2.0,
    share: Decimal = Decimal("0.5"),
    runs: int = RUNS,
) -> Agreement:
    """One metric, and a comparison for each run."""
    agreement = make_agreement(
        metrics=(METRICS[measure],), groups=2 * runs, noise=noise, epsilon=epsilon, max_groups_per_person=1
    )
    assigned = denominator is Denominator.ASSIGNED
    comparisons = tuple(
        Comparison(
            name=f"run {run}",
            test=(f"c{2 * run}",),
            control=(f"c{2 * run + 1}",),
            test_share=share if assigned else None,
        )
        for run in range(runs)
    )
    lift = Lift(
        design=design,
        denominator=denominator,
        metrics=(METRICS[measure].name,),
        confidence=Decimal("0.95"),
        comparisons=comparisons,
    )
    return replace(agreement, lift=lift)


def released(
    agreement: Agreement,
    test: Seen,
    control: Seen,
    *,
    seed: int | None = None,
    forget_noise: bool = False,
    forget_squares: bool = False,
) -> tuple[LiftRow, ...]:
    """Every run's row: columns of the clear data, both sides' noise, the estimates.

    Args:
        agreement: of `agreement_of`.
        test, control: the people.
        seed: draws the noise from the same distributions with NumPy, so that a test repeats; None for the release's
            own draws, which nobody can seed.
        forget_noise: let the estimates take figures for exact.
        forget_squares: let them find zeros for squares.
    """
    plan, terms = plan_of(agreement), terms_of(agreement, plan_of(agreement))
    clear = np.stack([figures(plan, test), figures(plan, control)], axis=1).reshape(-1, len(plan.columns))
    if seed is None:
        noise = draw_noise(terms) + draw_noise(terms)
    else:
        first, second = (seeded_noise(terms, np.random.default_rng([seed, side])) for side in (0, 1))
        noise = first + second
    values = clear + noise
    if forget_squares:
        values[:, [column.squared for column in plan.columns]] = 0
    return rows_of(agreement, plan, values, error=0.0 if forget_noise else 1.0)


def seeded_noise(terms: ReleaseTerms, rng: np.random.Generator) -> Ints:
    """One side's noise, groups × columns: a rounded normal, or the difference of two geometric draws."""
    shape, scales = (terms.groups, terms.columns), np.array(terms.scales)
    if terms.noise is Noise.NONE:
        return np.zeros(shape, dtype=np.int64)
    if terms.noise is Noise.GAUSSIAN:
        return np.asarray(np.rint(rng.normal(size=shape) * scales), dtype=np.int64)
    chance = -np.expm1(-1 / scales)
    return np.asarray(rng.geometric(chance, shape) - rng.geometric(chance, shape), dtype=np.int64)


def rows_of(agreement: Agreement, plan: Plan, values: Ints, *, error: float = 1.0) -> tuple[LiftRow, ...]:
    """The rows of released values, groups × columns; `error` times the noise is what the estimates know of."""
    lift, terms = lift_terms(agreement), terms_of(agreement, plan)
    assert lift is not None
    columns = {
        column.name: LiftColumn(cap=column.cap, std_error=error * figure_error(terms.noise, scale), unit=1.0)
        for column, scale in zip(plan.columns, terms.scales, strict=True)
    }
    cells = {
        (group, column.name): Cell(units=int(values[g, j]))
        for g, group in enumerate(plan.group_labels)
        for j, column in enumerate(plan.columns)
    }
    return lift_rows(lift, columns, cells)


def figures(plan: Plan, seen: Seen) -> Ints:
    """runs × columns."""
    return np.stack([_column(column, seen) for column in plan.columns], axis=1)


def _column(column: Column, seen: Seen) -> Ints:
    if column.measure is Measure.MATCHED:
        return np.asarray(seen.matched.sum(axis=1), dtype=np.int64)
    after, before = seen.after, seen.before
    if column.measure is Measure.PEOPLE:
        after, before = np.minimum(after, 1), np.minimum(before, 1)
    value = after - before if column.change else after
    return np.asarray((value**2 if column.squared else value).sum(axis=1), dtype=np.int64)


def coverage(rows: tuple[LiftRow, ...], truth: Callable[[LiftRow, int], float], name: str = "incremental") -> float:
    """The share of the runs whose interval holds the truth; an interval without an end holds what is beyond it."""
    inside = 0
    for run, row in enumerate(rows):
        low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
        value = truth(row, run)
        inside += (low is None or low <= value) and (high is None or value <= high)
    return inside / len(rows)
