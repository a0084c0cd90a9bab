"""Which metrics tell which part of the story: the funnel's stages, windows of one kind, money, people who bought."""

from __future__ import annotations

from collections.abc import Mapping

from cleanroom.agreement.model import Measure
from cleanroom.report.run_files import ReportedMetric, RunFiles

__all__ = [
    "REFUND",
    "by_window",
    "events",
    "final_event",
    "funnel_stages",
    "kinds",
    "largest_groups",
    "matched",
    "money",
]

REFUND = "refund"
"""The event that takes money back; what it sums is taken from what was sold."""

Kind = tuple[str, Measure]
"""An event and a measure."""


def matched(run: RunFiles) -> ReportedMetric | None:
    """The metric of matched people, if it was asked for."""
    return next((metric for metric in run.declared if metric.measure is Measure.MATCHED), None)


def events(run: RunFiles) -> tuple[str, ...]:
    """The events that metrics of the funnel count, in the agreement's order."""
    counted = {metric.event for metric in run.declared if metric.plain}
    return tuple(event for event in run.scope.outcome_events if event in counted)


def by_window(run: RunFiles, event: str, measure: Measure) -> dict[int, ReportedMetric]:
    """The plain metrics of an event and a measure by window, the shortest first."""
    found: dict[int, ReportedMetric] = {}
    for metric in run.declared:
        if metric.plain and metric.event == event and metric.measure is measure and metric.window_ticks is not None:
            found.setdefault(metric.window_ticks, metric)
    return dict(sorted(found.items()))


def kinds(run: RunFiles) -> dict[Kind, dict[int, ReportedMetric]]:
    """All plain metrics with a window, by event and measure."""
    found = {(event, measure): by_window(run, event, measure) for event in events(run) for measure in Measure}
    return {kind: metrics for kind, metrics in found.items() if metrics}


def funnel_stages(run: RunFiles) -> tuple[ReportedMetric, ...]:
    """The metrics of the funnel, in its order: matched people, then for each event its people, or else its events.

    All at one window where there is one that most of the events were asked for at, the longest of these; an event that
    was not asked for at that window is shown at its own longest one.
    """
    first = matched(run)
    found: list[Mapping[int, ReportedMetric]] = []
    for event in events(run):
        people = by_window(run, event, Measure.PEOPLE)
        found.append(people or by_window(run, event, Measure.EVENTS))
    found = [metrics for metrics in found if metrics]
    windows = {ticks for metrics in found for ticks in metrics}
    common = max(windows, key=lambda ticks: (sum(ticks in metrics for metrics in found), ticks), default=0)
    stages = [metrics.get(common, metrics[max(metrics)]) for metrics in found]
    return (*(() if first is None else (first,)), *stages)


def money(run: RunFiles) -> dict[int, ReportedMetric]:
    """The sums of money that were earned, by window; empty if none were asked for."""
    for event in events(run):
        sums = by_window(run, event, Measure.SUM)
        if sums and event != REFUND:
            return sums
    return {}


def final_event(run: RunFiles) -> str | None:
    """The event that the campaign is for: the one that earns money, or else the last one."""
    sums = money(run)
    if sums:
        return next(iter(sums.values())).event
    left = [event for event in events(run) if event != REFUND]
    return left[-1] if left else None


def largest_groups(run: RunFiles, metric: ReportedMetric, most: int) -> tuple[str, ...]:
    """At most `most` of the groups: those with the largest figures, in the agreement's order."""
    if len(run.groups) <= most:
        return run.groups

    def size(group: str) -> tuple[bool, float]:
        value = run.cells[group, metric.name].value
        return value is not None, value or 0.0

    chosen = set(sorted(run.groups, key=size, reverse=True)[:most])
    return tuple(group for group in run.groups if group in chosen)
