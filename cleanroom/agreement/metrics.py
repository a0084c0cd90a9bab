"""`[[metrics]]` and `[release]`: what is counted, with which caps, and how it may be shown."""

from __future__ import annotations

from fractions import Fraction

from cleanroom.agreement.durations import read_ticks
from cleanroom.agreement.model import (
    Exposure,
    Measure,
    Metric,
    Noise,
    Outcome,
    PartyEntry,
    Period,
    ReleaseRules,
    TimeRules,
)
from cleanroom.agreement.sections import MAX_PEOPLE_THRESHOLD
from cleanroom.agreement.table import Table, table_of
from cleanroom.errors import AgreementError

__all__ = ["read_metrics", "read_release"]

MAX_METRICS = 256  # columns travel with every row
MAX_CAP = 2**62  # the modulus of the shares is 2^64; the overflow check says what a run can hold
LEAST_EPSILON = 1e-6  # below it noise drowns any figure, and its bound leaves double precision
MOST_EPSILON = 1000.0


def read_metrics(tables: Table, time: TimeRules, exposure: Exposure, outcome: Outcome) -> tuple[Metric, ...]:
    """Reads the declared metrics in their order.

    Args:
        tables: the top table.
        time: for the length of a tick.
        exposure: for the credit rule.
        outcome: for the event names and the money unit.
    """
    metrics: list[Metric] = []
    for position, item in enumerate(tables.items("metrics"), start=1):
        metric = _metric(_table(position, item), time, exposure, outcome)
        if any(metric.name == earlier.name for earlier in metrics):
            raise AgreementError(f"metrics[{position}].name: {metric.name!r} is there twice")
        metrics.append(metric)
    if len(metrics) > MAX_METRICS:
        raise AgreementError(f"metrics: expected at most {MAX_METRICS}, found {len(metrics)}")
    return tuple(metrics)


def read_release(table: Table, parties: tuple[PartyEntry, PartyEntry], groups: int) -> ReleaseRules:
    """Reads `[release]`; the largest `min_people` counts, recipients come in the parties' order.

    Args:
        table: the section.
        parties: for their names and thresholds.
        groups: how many groups are declared.
    """
    noise = Noise(table.text("noise"))
    epsilon = 0.0
    delta = 0.0
    if noise is not Noise.NONE:
        epsilon = float(table.number("epsilon"))
        if not LEAST_EPSILON <= epsilon <= MOST_EPSILON:
            raise table.fault("epsilon", f"expected a number from {LEAST_EPSILON:g} to {MOST_EPSILON:g}")
    if noise is Noise.GAUSSIAN:
        delta = float(table.number("delta"))
        if not 0 < delta < 0.1:
            raise table.fault("delta", "expected a number above 0 and below 0.1, such as 1e-6")
    thresholds = [table.integer("min_people", least=1, most=MAX_PEOPLE_THRESHOLD)]
    thresholds += [entry.min_people for entry in parties if entry.min_people is not None]
    recipients = table.texts("recipients", at_least=1)
    names = [entry.name for entry in parties]
    for recipient in recipients:
        if recipient not in names:
            raise table.fault("recipients", f"{recipient!r} is not one of the parties {', '.join(names)}")
    suppress = table.optional_text("differences") == "suppress"
    if suppress and noise is not Noise.NONE:
        raise table.fault("differences", 'goes with noise = "none" only: noise hides differences as it hides figures')
    return ReleaseRules(
        noise=noise,
        epsilon=epsilon,
        delta=delta,
        min_people=max(thresholds),
        # More than all groups is no cap, and would only be paid for with noise.
        max_groups_per_person=min(groups, _count(table, "max_groups_per_person")),
        max_windows=_count(table, "max_windows"),
        recipients=tuple(name for name in names if name in recipients),
        suppress_differences=suppress,
    )


def _table(position: int, item: object) -> Table:
    content = table_of(f"metrics[{position}]", item)
    name = content.get("name")
    # People look for a metric by its name; the position serves while there is none.
    shown = name if isinstance(name, str) and name.isprintable() and len(name) <= 64 else position
    return Table(f"metrics[{shown}]", "metrics", content)


def _metric(table: Table, time: TimeRules, exposure: Exposure, outcome: Outcome) -> Metric:
    name = table.text("name")
    if name.startswith("gate_"):
        raise table.fault("name", "names that begin with gate_ are kept for the automatic gates")
    measure = Measure(table.text("measure"))
    if measure is Measure.MATCHED:
        for key in ("event", "window", "attribution", "cap", "by", "via", "period"):
            if table.has(key):
                raise table.fault(key, 'does not go with measure = "matched"')
        return Metric(name=name, measure=measure, event=None, window_ticks=None, window=None, cap=None)
    event = table.text("event")
    if event not in outcome.events:
        raise table.fault("event", f"{event!r} is not in outcome.events ({', '.join(outcome.events)})")
    if measure is Measure.SUM and outcome.value is None:
        raise table.fault("measure", "a sum needs outcome.value, the money column")
    credit = table.optional_text("attribution") == "credit"
    if credit:
        _check_credit(table, measure, exposure)
    period = Period(table.optional_text("period") or Period.AFTER.value)
    if credit and period is Period.BEFORE:
        raise table.fault("period", "credit is earned after touches only; before goes with window metrics")
    return Metric(
        name=name,
        measure=measure,
        event=event,
        window_ticks=read_ticks(table, "window", time.resolution),
        window=table.text("window"),
        cap=_cap(table, measure, outcome),
        credit=credit,
        by=_by(table, outcome),
        via=_via(table, exposure),
        period=period,
    )


def _check_credit(table: Table, measure: Measure, exposure: Exposure) -> None:
    if measure is Measure.PEOPLE:
        raise table.fault("attribution", "people cannot be credited: a count of people is not linear")
    if exposure.credit is None:
        raise table.fault("attribution", "credit needs exposure.credit, the rule")
    if exposure.credit == "time_decay" and exposure.credit_step_ticks is None:
        raise table.fault("attribution", "time_decay needs exposure.credit_step, such as '1d'")


def _by(table: Table, outcome: Outcome) -> str | None:
    column = table.optional_text("by")
    if column is not None and outcome.label(column) is None:
        known = ", ".join(label.column for label in outcome.labels) or "none are declared"
        raise table.fault("by", f"{column!r} is not the column of one of outcome.labels ({known})")
    return column


def _via(table: Table, exposure: Exposure) -> tuple[str, ...] | None:
    """The events in the order of `exposure.events`; None where they are all of them."""
    if not table.has("via"):
        return None
    named = table.texts("via", at_least=1)
    for event in named:
        if event not in exposure.events:
            raise table.fault("via", f"{event!r} is not in exposure.events ({', '.join(exposure.events)})")
    return None if len(named) == len(exposure.events) else tuple(event for event in exposure.events if event in named)


def _cap(table: Table, measure: Measure, outcome: Outcome) -> int | None:
    if measure is Measure.PEOPLE:
        if table.has("cap"):
            raise table.fault("cap", 'does not go with measure = "people": a person counts once')
        return None
    if not table.has("cap"):
        raise table.fault("cap", f'is missing: measure = "{measure.value}" needs a cap per person and group')
    if measure is Measure.EVENTS:
        return table.integer("cap", least=1, most=MAX_CAP)
    units = Fraction(table.amount("cap")) / Fraction(outcome.precision or 1)
    if units.denominator != 1:
        raise table.fault("cap", f"expected a multiple of outcome.precision, {outcome.precision}")
    if not 1 <= units <= MAX_CAP:
        raise table.fault("cap", "expected an amount above 0 that fits 62 bits of units")
    return int(units)


def _count(table: Table, name: str) -> int:
    return table.integer(name, least=1, most=2**31) if table.has(name) else 1
