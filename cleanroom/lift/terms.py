"""Which columns of a release a lift is computed from; release.json carries this, so that no agreement is needed later.

- randomised, people: the metric alone, as ones are their own squares;
- randomised, events and sums: the metric and its square;
- pre_period: the metric (for the relative lift), its change from before the touch to after it, and the change's square;
- where averages are of matched people: their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cleanroom.agreement.lift import Comparison, Denominator, Design, Lift
from cleanroom.agreement.model import Agreement, Measure, Metric

__all__ = [
    "MATCHED_COLUMN",
    "LiftColumns",
    "LiftTerms",
    "change_column",
    "lift_terms",
    "read_terms",
    "square_column",
    "terms_document",
]

MATCHED_COLUMN: Final = "lift_matched"
"""The number of matched people, where the agreement asks for no metric of it."""
Json = Mapping[str, Any]  # a parsed JSON object: its values are of any JSON type


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftColumns:
    """The columns behind the lift of one metric (of one label's value, where it is broken down)."""

    metric: str
    compared: str  # the column whose averages are compared: the metric, or its change
    squares: str  # of what is compared; for people in a randomised design the same column
    people: str | None  # matched people; None where nobody needs them


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftTerms:
    """What to compare in a release, and how."""

    design: Design
    denominator: Denominator
    confidence: float
    columns: tuple[LiftColumns, ...]
    comparisons: tuple[Comparison, ...]


def change_column(name: str) -> str:
    """The column of a metric's change from before the touch to after it."""
    return f"lift_{name}_change"


def square_column(name: str) -> str:
    """The column of a metric's squares."""
    return f"lift_{name}_squared"


def lift_terms(agreement: Agreement) -> LiftTerms | None:
    """The terms of an agreement; None where it asks for no lift."""
    lift = agreement.lift
    if lift is None:
        return None
    matched = next((metric.name for metric in agreement.metrics if metric.measure is Measure.MATCHED), None)
    people = matched if lift.denominator is Denominator.ASSIGNED else matched or MATCHED_COLUMN
    columns = tuple(
        _columns(lift, metric, name, people)
        for metric in compared_metrics(agreement, lift)
        for name in _names(agreement, metric)
    )
    return LiftTerms(
        design=lift.design,
        denominator=lift.denominator,
        confidence=float(lift.confidence),
        columns=columns,
        comparisons=lift.comparisons,
    )


def compared_metrics(agreement: Agreement, lift: Lift) -> tuple[Metric, ...]:
    """The metrics of a lift, in its order."""
    by_name = {metric.name: metric for metric in agreement.metrics}
    return tuple(by_name[name] for name in lift.metrics)


def _names(agreement: Agreement, metric: Metric) -> Sequence[str]:
    label = None if metric.by is None else agreement.outcome.label(metric.by)
    if label is None:
        return [metric.name]
    return [f"{metric.name}[{label.column}={value}]" for value in label.values]


def _columns(lift: Lift, metric: Metric, name: str, people: str | None) -> LiftColumns:
    compared = change_column(name) if lift.design is Design.PRE_PERIOD else name
    ones = lift.design is Design.RANDOMISED and metric.measure is Measure.PEOPLE
    return LiftColumns(metric=name, compared=compared, squares=compared if ones else square_column(name), people=people)


def terms_document(terms: LiftTerms) -> dict[str, object]:
    """The terms as release.json holds them, under `parameters.lift`."""
    return {
        "design": terms.design.value,
        "denominator": terms.denominator.value,
        "confidence": terms.confidence,
        "columns": [
            {"metric": one.metric, "compared": one.compared, "squares": one.squares, "people": one.people}
            for one in terms.columns
        ],
        "comparisons": [
            {
                "name": one.name,
                "test": list(one.test),
                "control": list(one.control),
                "test_share": None if one.test_share is None else str(one.test_share),
            }
            for one in terms.comparisons
        ],
    }


def read_terms(document: Json) -> LiftTerms:
    """Reads `parameters.lift` back.

    Raises:
        ValueError: or KeyError, TypeError, ArithmeticError: it is not of the documented form.
    """
    design, denominator = Design(document["design"]), Denominator(document["denominator"])
    confidence = float(document["confidence"])
    if not 0 < confidence < 1:
        raise ValueError("a confidence expected")
    columns = tuple(
        LiftColumns(
            metric=_text(entry["metric"]),
            compared=_text(entry["compared"]),
            squares=_text(entry["squares"]),
            people=None if entry["people"] is None else _text(entry["people"]),
        )
        for entry in document["columns"]
    )
    comparisons = tuple(_comparison(entry, denominator) for entry in document["comparisons"])
    if denominator is Denominator.MATCHED and any(one.people is None for one in columns):
        raise ValueError("a column of matched people expected")
    return LiftTerms(
        design=design, denominator=denominator, confidence=confidence, columns=columns, comparisons=comparisons
    )


def _comparison(entry: Json, denominator: Denominator) -> Comparison:
    share = None if entry["test_share"] is None else Decimal(_text(entry["test_share"]))
    if (share is None) is not (denominator is Denominator.MATCHED) or (share is not None and not 0 < share < 1):
        raise ValueError("a share of the test arm expected")
    arms = {arm: tuple(_text(group) for group in entry[arm]) for arm in ("test", "control")}
    if not all(arms.values()):
        raise ValueError("groups expected")
    return Comparison(name=_text(entry["name"]), **arms, test_share=share)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text expected")
    return value
