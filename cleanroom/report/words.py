"""What a report says of metrics and figures: names, numbers with their errors, what may be added up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from cleanroom.agreement.model import Measure, Noise
from cleanroom.release.accounting import WITHIN
from cleanroom.release.table import Status
from cleanroom.report.blocks import Entry
from cleanroom.report.run_files import Cell, ReportedMetric, RunFiles
from cleanroom.report.texts import Text, both, joined, say

__all__ = [
    "adding_up",
    "amount",
    "cap_text",
    "count_label",
    "entry",
    "error_of",
    "event_name",
    "metric_title",
    "ratio",
    "ratio_entry",
    "run_titles",
    "spent",
    "status_text",
    "window_text",
    "within",
]

CLEAR_OF_ZERO: Final = 3.0
"""A ratio is stated only where its divisor is at least this many standard errors away from zero."""


def event_name(event: str) -> Text:
    """An event in both languages where it is one of the usual ones."""
    try:
        return say(f"event.{event}")
    except KeyError:
        return both(event)


def window_text(run: RunFiles, metric: ReportedMetric) -> Text:
    """A metric's window, such as 15 days."""
    length, _, unit = (run.window(metric) or "").partition(" ")
    return say(f"window.{unit}", n=length)


def metric_title(run: RunFiles, metric: ReportedMetric) -> Text:
    """A metric in a few words."""
    if metric.measure is Measure.MATCHED:
        title = say("metric.matched")
    else:
        key = f"metric.{metric.measure.value}" + ("_before" if metric.before else "")
        title = say(key, event=event_name(metric.event or ""), window=window_text(run, metric), money=currency(run))
    if metric.credit:
        title = say("metric.credited", metric=title)
    if metric.via is not None:
        title = say("metric.via", metric=title, events=joined([event_name(event) for event in metric.via]))
    if metric.label is not None:
        title = say("metric.labelled", metric=title, column=metric.label[0], value=metric.label[1])
    return title


def currency(run: RunFiles) -> Text:
    """The unit of money."""
    if run.currency == "CNY":
        return say("money.CNY")
    return both(run.currency or "")


def run_titles(runs: Sequence[RunFiles]) -> list[str]:
    """A short name for each run, distinct: the agreement's name, with parties and session where that is not enough."""
    titles = [run.name for run in runs]
    if len(set(titles)) < len(titles):
        titles = [f"{run.name} ({' / '.join(run.parties)})" for run in runs]
    if len(set(titles)) < len(titles):
        titles = [f"{title}, {run.session[:8]}" for title, run in zip(titles, runs, strict=True)]
    return titles


def amount(run: RunFiles, metric: ReportedMetric, cell: Cell) -> str:
    """A released figure, exact."""
    if cell.units is None:
        raise ValueError("not released")
    if metric.credit:  # shares of an outcome, rounded
        return f"{cell.value or 0.0:,.2f}"
    if metric.measure is Measure.SUM and run.precision is not None:
        return f"{cell.units * run.precision:,f}"
    return f"{cell.units:,}"


def within(run: RunFiles, std_error: float) -> float:
    """What 19 figures of 20 are at most off by."""
    return WITHIN[run.noise] * std_error


def error_of(run: RunFiles, std_error: float) -> Text | None:
    """The same in whole units, rounded up; None where figures are exact."""
    return None if run.noise is Noise.NONE else both(f"± {math.ceil(within(run, std_error)):,}")


def status_text(cell: Cell) -> Text:
    """Why there is no figure."""
    return say("status.not_eligible") if cell.status is Status.NOT_ELIGIBLE else say("status.suppressed")


def entry(
    run: RunFiles, metric: ReportedMetric, cell: Cell, *, under: Text | None = None, shade: int | None = None
) -> Entry:
    """A figure with its error, or why there is none."""
    if cell.units is None:
        return Entry(text=status_text(cell), style="suppressed")
    return Entry(text=both(amount(run, metric, cell)), error=error_of(run, cell.std_error), under=under, shade=shade)


def cap_text(run: RunFiles, metric: ReportedMetric) -> Text:
    """The most that one person adds to one group."""
    if metric.of_people:
        return both("1")
    if metric.measure is Measure.SUM:
        return say("money.amount", amount=f"{metric.cap * (run.precision or Decimal(1)):,f}", money=currency(run))
    return both(f"{metric.cap:,}")


def ratio(part: Cell, whole: Cell) -> tuple[float, float] | None:
    """A quotient of two released figures and its standard error.

    The error is the delta method's for two figures whose noise is independent, as every cell's is.

    Returns:
        (quotient, standard error), or None where a figure is suppressed or the divisor is not clear of zero.
    """
    if part.value is None or whole.value is None or whole.value <= 0 or whole.value < CLEAR_OF_ZERO * whole.std_error:
        return None
    quotient = part.value / whole.value
    return quotient, math.hypot(part.std_error, quotient * whole.std_error) / whole.value


def ratio_entry(run: RunFiles, found: tuple[float, float] | None, *, percent: bool) -> Entry:
    """A quotient with its error."""
    if found is None:
        return Entry(text=both("–"))
    value, std_error = found
    scale, places, unit = (100, 1, " %") if percent else (1, 2, "")
    error = None
    if std_error and run.noise is not Noise.NONE:
        error = both(f"± {scale * within(run, std_error):,.{places}f}{unit}")
    return Entry(text=both(f"{scale * value:,.{places}f}{unit}"), error=error)


def spent(run: RunFiles) -> Text:
    """What the release cost each person."""
    if run.epsilon is None:
        return say("privacy.thresholds_only")
    return both(f"ε = {run.epsilon:g}" + (f", δ = {_short(run.delta)}" if run.delta else ""))


def adding_up(run: RunFiles, metric: ReportedMetric) -> tuple[bool, Text]:
    """Whether a metric may be added over the groups, and why."""
    if metric.additive:
        return True, say("adding.credit")
    if run.max_groups_per_person == 1 and not run.scope.bands:
        return True, say("adding.one_group")
    if len(run.groups) == 1:
        return True, say("adding.one_group")
    if metric.of_people:
        return False, say("adding.people")
    return False, say("adding.events" if metric.measure is Measure.EVENTS else "adding.sums")


def count_label(name: str) -> Text:
    """A count of local.json in words."""
    try:
        return say(f"count.{name}")
    except KeyError:
        return both(name.replace("_", " "))


def _short(number: float) -> str:
    return f"{number:g}".replace("e-0", "e-")
