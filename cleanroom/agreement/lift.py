"""The optional table `[lift]`: which groups are compared with which, by what design, and for which metrics.

What the designs estimate, and on what assumptions: docs/explanation/lift.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Final

from cleanroom.agreement.table import Table, table_of

if TYPE_CHECKING:
    from cleanroom.agreement.model import Exposure, Metric

__all__ = ["Comparison", "Denominator", "Design", "Lift", "lift_document", "lift_lines", "read_lift"]

MAX_COMPARISONS: Final = 1000
DEFAULT_CONFIDENCE: Final = Decimal("0.95")
LEAST_CONFIDENCE: Final = Decimal("0.5")
MOST_CONFIDENCE: Final = Decimal("0.999")


class Design(Enum):
    """What makes the arms comparable."""

    RANDOMISED = "randomised"
    """People were assigned to the arms by lot."""
    PRE_PERIOD = "pre_period"
    """The arms would have changed alike from before to after: difference in differences."""


class Denominator(Enum):
    """Whose average is compared."""

    ASSIGNED = "assigned"
    """Everybody assigned, known to the outcome side or not; arms are scaled by the share that the lot gave them."""
    MATCHED = "matched"
    """People of the arm whom the outcome side knows; their number is released with noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two arms: groups whose people are told apart from those of the other arm by the design alone."""

    name: str
    test: tuple[str, ...]  # groups
    control: tuple[str, ...]
    test_share: Decimal | None  # of the people assigned, by design; None where arms are compared by matched people


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """The comparisons of a release."""

    design: Design
    denominator: Denominator
    metrics: tuple[str, ...]  # names of declared window metrics
    confidence: Decimal
    comparisons: tuple[Comparison, ...]


def read_lift(table: Table, exposure: Exposure, metrics: Sequence[Metric]) -> Lift:
    """Reads `[lift]`.

    Args:
        table: the table.
        exposure: for the groups.
        metrics: the declared ones.

    Raises:
        AgreementError: naming the key.
    """
    if exposure.frequency is not None:
        raise table.fault("design", "arms are whole groups: leave exposure.frequency out")
    design = Design(table.text("design"))
    denominator = Denominator.ASSIGNED if design is Design.RANDOMISED else Denominator.MATCHED
    if table.has("denominator"):
        denominator = Denominator(table.text("denominator"))
    if design is Design.PRE_PERIOD and denominator is not Denominator.MATCHED:
        raise table.fault("denominator", "pre_period compares matched people: nobody assigned the arms")
    confidence = table.number("confidence") if table.has("confidence") else DEFAULT_CONFIDENCE
    if not LEAST_CONFIDENCE <= confidence <= MOST_CONFIDENCE:
        raise table.fault("confidence", f"expected a share from {LEAST_CONFIDENCE} to {MOST_CONFIDENCE}")
    return Lift(
        design=design,
        denominator=denominator,
        metrics=_metrics(table, design, metrics),
        confidence=confidence,
        comparisons=_comparisons(table, denominator, exposure),
    )


def _metrics(table: Table, design: Design, declared: Sequence[Metric]) -> tuple[str, ...]:
    known = {metric.name: metric for metric in declared}
    names = table.texts("metrics", at_least=1)
    for name in names:
        metric = known.get(name)
        if metric is None:
            raise table.fault("metrics", f"{name!r} is not the name of one of the metrics")
        if metric.window_ticks is None or metric.credit:
            raise table.fault("metrics", f"{name!r} is not a window metric: lift compares what people did in a window")
        if design is Design.PRE_PERIOD and metric.period.value != "after":
            raise table.fault("metrics", f"{name!r} looks before the touch; pre_period adds that side by itself")
    return names


def _comparisons(table: Table, denominator: Denominator, exposure: Exposure) -> tuple[Comparison, ...]:
    found: list[Comparison] = []
    items = table.items("comparisons")
    if len(items) > MAX_COMPARISONS:
        raise table.fault("comparisons", f"expected at most {MAX_COMPARISONS}, found {len(items)}")
    for position, item in enumerate(items, start=1):
        where = f"{table.key('comparisons')}[{position}]"
        entry = Table(where, "lift.comparisons", table_of(where, item))
        name = entry.text("name")
        if any(name == earlier.name for earlier in found):
            raise entry.fault("name", f"{name!r} is there twice")
        arms = {arm: entry.texts(arm, at_least=1) for arm in ("test", "control")}
        for arm, groups in arms.items():
            unknown = next((group for group in groups if group not in exposure.groups), None)
            if unknown is not None:
                raise entry.fault(arm, f"{unknown!r} is not in exposure.groups")
        both = next((group for group in arms["control"] if group in arms["test"]), None)
        if both is not None:
            raise entry.fault("control", f"{both!r} is in the test arm too")
        found.append(Comparison(name=name, **arms, test_share=_share(entry, denominator)))
    return tuple(found)


def _share(entry: Table, denominator: Denominator) -> Decimal | None:
    if denominator is Denominator.MATCHED:
        if entry.has("test_share"):
            raise entry.fault("test_share", 'goes with denominator = "assigned" only')
        return None
    if not entry.has("test_share"):
        raise entry.fault("test_share", "is missing: expected the share of the assigned who are in the test arm")
    share = entry.number("test_share")
    if not 0 < share < 1:
        raise entry.fault("test_share", "expected a share above 0 and below 1")
    return share


def lift_document(lift: Lift) -> dict[str, object]:
    """What the canonical bytes hold of the table."""
    return {
        "design": lift.design.value,
        "denominator": lift.denominator.value,
        "metrics": list(lift.metrics),
        "confidence": f"{lift.confidence.normalize():f}",
        "comparisons": [
            {
                "name": one.name,
                "test": list(one.test),
                "control": list(one.control),
                "test_share": None if one.test_share is None else f"{one.test_share.normalize():f}",
            }
            for one in lift.comparisons
        ],
    }


_DESIGNS: Final = {
    Design.RANDOMISED: "people were assigned to the arms by lot, and both arms have touches at their assignment",
    Design.PRE_PERIOD: "without the campaign both arms would have changed alike from before the touch to after it",
}
_DENOMINATORS: Final = {
    Denominator.ASSIGNED: "arms are scaled by the agreed share of people in the test arm, whoever is matched",
    Denominator.MATCHED: "averages are of matched people: whom the outcome side knows must not depend on the arm",
}


def lift_lines(lift: Lift) -> tuple[str, ...]:
    """The table in words: what both owners claim, and what is compared."""
    return (
        f"lift of {', '.join(lift.metrics)}, with intervals of {float(lift.confidence) * 100:.4g} %",
        f"assumed: {_DESIGNS[lift.design]}",
        _DENOMINATORS[lift.denominator],
        *(_words(one) for one in lift.comparisons),
    )


def _words(one: Comparison) -> str:
    share = "" if one.test_share is None else f", {float(one.test_share) * 100:.4g} % in test"
    return f"{one.name}: {' and '.join(one.test)} against {' and '.join(one.control)}{share}"
