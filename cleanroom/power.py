"""How small a lift an agreement can show, from the agreement and assumed sizes alone; nobody's data is asked."""

from __future__ import annotations

from dataclasses import dataclass

from cleanroom.agreement.lift import Comparison, Denominator
from cleanroom.agreement.model import Agreement, Measure
from cleanroom.lift import LiftColumns, LiftTerms, lift_terms
from cleanroom.lift.power import Base, Planned, detectable_lift
from cleanroom.plan import Column, Plan
from cleanroom.release.accounting import privacy_cost

__all__ = ["ASSUMED_PEOPLE", "ASSUMED_RATE", "POWER", "DetectableLift", "detectable_lifts"]

ASSUMED_PEOPLE = (10_000, 100_000, 1_000_000)
ASSUMED_RATE = 0.05
POWER = 0.8
_EVENTS = (1.5, 3.0)  # of somebody who has any: the average, and that of the square
_SPENT = 1 / 8  # of the cap, by somebody who buys, on average
_SPREAD = 2.0  # the average square of what is spent, over the square of the average


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectableLift:
    """The least lift of a metric that an interval tells from zero with probability `POWER`."""

    metric: str
    people: int  # in the test arm
    rate: float  # share of them with an outcome, without the campaign
    relative: float  # 0.1 is +10 %

    @property
    def text(self) -> str:
        """A sentence for people."""
        return (
            f"lift of {self.metric}: with {self.people:,} people in the test arm, {self.rate * 100:.3g} % of whom "
            f"would have an outcome anyway, at least {self.relative * 100:+.2g} % is seen {POWER * 10:.0f} times of 10"
        )


def detectable_lifts(
    agreement: Agreement, plan: Plan, *, people: tuple[int, ...] = ASSUMED_PEOPLE, rate: float = ASSUMED_RATE
) -> tuple[DetectableLift, ...]:
    """Says how small a lift can be seen, for the comparison of an agreement that can see least.

    Assumed of somebody with an outcome: 1.5 events (3 on average when squared; never more than the cap allows), an
    eighth of the cap spent with a standard deviation of as much.

    Args:
        agreement: the agreement.
        plan: its plan.
        people: in the test arm, one answer for each; assigned or matched, as the denominator counts.
        rate: the share of them who have an outcome without the campaign, in (0, 1].

    Returns:
        Metrics in the agreement's order, in each the sizes; empty without a lift.
    """
    terms = lift_terms(agreement)
    if terms is None:
        return ()
    cost = privacy_cost(agreement, plan)
    noise = {column.name: error**2 for column, error in zip(plan.columns, cost.std_errors, strict=True)}
    columns = {column.name: column for column in plan.columns}
    return tuple(
        DetectableLift(
            metric=what.metric,
            people=size,
            rate=rate,
            relative=max(
                detectable_lift(_planned(terms, one, what, noise, size), _base(columns[what.metric], rate), power=POWER)
                for one in terms.comparisons
            ),
        )
        for what in terms.columns
        for size in people
    )


def _planned(terms: LiftTerms, one: Comparison, what: LiftColumns, noise: dict[str, float], people: int) -> Planned:
    share = 0.5 if one.test_share is None else float(one.test_share)
    groups = (len(one.test), len(one.control))
    averaged = terms.denominator is Denominator.MATCHED and what.people is not None
    of_people = noise[what.people] if averaged and what.people is not None else 0.0
    return Planned(
        design=terms.design,
        denominator=terms.denominator,
        confidence=terms.confidence,
        test_people=people,
        control_people=people * (1 - share) / share,
        total_noise=(groups[0] * noise[what.compared], groups[1] * noise[what.compared]),
        people_noise=(groups[0] * of_people, groups[1] * of_people),
    )


def _base(column: Column, rate: float) -> Base:
    if column.measure is Measure.PEOPLE:
        return Base(mean=rate, square=rate)
    if column.measure is Measure.EVENTS:
        mean = min(_EVENTS[0], float(column.cap))
        return Base(mean=rate * mean, square=rate * min(_EVENTS[1], mean * column.cap))
    spent = column.cap * _SPENT
    return Base(mean=rate * spent, square=rate * _SPREAD * spent**2)
