"""What a report says in words: names of metrics and runs, numbers with their errors, what may be added up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from cleanroom.agreement.model import Measure, Noise
from cleanroom.release.accounting import WITHIN
from cleanroom.report.run_files import Cell, ReportedMetric, RunFiles

__all__ = [
    "adding_up",
    "cap_text",
    "cell_text",
    "count_label",
    "error_text",
    "metric_title",
    "ratio",
    "run_titles",
    "spent",
]

CLEAR_OF_ZERO: Final = 3.0
"""A ratio is stated only where its divisor is at least this many standard errors away from zero."""

_COUNTS: Final = {
    "rows": "rows read",
    "null_identifiers": "without an identifier",
    "malformed_identifiers": "with a malformed identifier",
    "other_event": "of another kind of event",
    "out_of_scope": "of a group that the agreement does not name",
    "out_of_period": "outside the agreed period",
    "duplicates": "equal touches, or further lines of one event (amounts added up)",
    "kept": "kept",
    "expected": "rows that the manifest says",
    "read": "rows that were read of them",
    "warnings": "dates and events with a warning",
    "failures": "dates and events with a failure",
    "other_labels": "values of labels that the agreement does not declare",
    "shared_identifiers": "identifiers of an account that another account keeps",
    "touches": "touches prepared",
    "off_instant": "touches at no agreed instant, dropped",
    "people": "people",
    "memberships": "memberships of people in groups, kept",
    "capped_memberships": "memberships dropped by the cap on groups per person",
    "capped_people": "people in more groups than the cap",
    "bandless_memberships": "memberships with fewer touches than the first frequency band",
    "lookups": "prepared rows (lookups)",
    "outcomes": "outcomes prepared",
    "members": "people whom the data name at all",
    "pieces": "pieces of time with an outcome in their window",
    "bound": "agreed maximum of prepared rows, padded",
}


def metric_title(run: RunFiles, metric: ReportedMetric) -> str:
    """A metric in a few words."""
    if metric.measure is Measure.MATCHED:
        return "matched people"
    within = f"within {run.window(metric)}"
    if metric.measure is Measure.PEOPLE:
        return f"people with {_article(metric.event or '')} {within}"
    if metric.measure is Measure.EVENTS:
        return f"{metric.event} events {within}"
    return f"sum over {metric.event} {within}" + (f", {run.currency}" if run.currency else "")


def run_titles(runs: Sequence[RunFiles]) -> list[str]:
    """A short name for each run, distinct: the agreement's name, with parties and session where that is not enough."""
    titles = [run.name for run in runs]
    if len(set(titles)) < len(titles):
        titles = [f"{run.name} ({' and '.join(run.parties)})" for run in runs]
    if len(set(titles)) < len(titles):
        titles = [f"{title}, {run.session[:8]}" for title, run in zip(titles, runs, strict=True)]
    return titles


def cell_text(run: RunFiles, metric: ReportedMetric, cell: Cell) -> str:
    """A released figure, exact; a suppressed one as its status."""
    if cell.units is None:
        return cell.status.value.replace("_", " ")
    if metric.measure is Measure.SUM and run.precision is not None:
        return f"{cell.units * run.precision:,f}"
    return f"{cell.units:,}"


def error_text(run: RunFiles, cell: Cell) -> str:
    """What 19 figures of 20 are at most off by, in whole units, rounded up; empty where figures are exact."""
    if run.noise is Noise.NONE:
        return ""
    return f"± {math.ceil(WITHIN[run.noise] * cell.std_error):,}"


def cap_text(run: RunFiles, metric: ReportedMetric) -> str:
    """The most that one person adds to one group."""
    if metric.of_people:
        return "1"
    if metric.measure is Measure.SUM:
        return f"{metric.cap * (run.precision or Decimal(1)):,f}" + (f" {run.currency}" if run.currency else "")
    return f"{metric.cap:,}"


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


def spent(run: RunFiles) -> str:
    """What the release cost each person."""
    if run.epsilon is None:
        return "no noise, threshold only"
    return f"ε = {run.epsilon:g}" + (f", δ = {_short(run.delta)}" if run.delta else "")


def adding_up(run: RunFiles, metric: ReportedMetric) -> tuple[bool, str]:
    """Whether a metric may be added over the groups, and why."""
    if run.max_groups_per_person == 1 or len(run.groups) == 1:
        return True, "a person counts in one group only"
    if metric.of_people:
        return False, "a person who is in several groups counts in each: people are not deduplicated over groups"
    if metric.measure is Measure.EVENTS:
        return False, "an event inside the windows of two of a person's groups counts in both"
    return False, "an amount inside the windows of two of a person's groups counts in both"


def count_label(name: str) -> str:
    """A count of local.json in words."""
    return _COUNTS.get(name, name.replace("_", " "))


def _short(number: float) -> str:
    return f"{number:g}".replace("e-0", "e-")


def _article(event: str) -> str:
    return f"{'an' if event[:1].lower() in 'aeiou' else 'a'} {event}"
