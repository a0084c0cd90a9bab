"""The charts of a report as Plotly figures in plain JSON values; drawn in the browser by the inlined plotly.js.

The truth is inside 19 error bars of 20; exact figures have none. Suppressed cells are left out.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

from cleanroom.agreement.model import Measure, Noise
from cleanroom.release.accounting import WITHIN
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.words import metric_title, run_titles

__all__ = ["comparison", "comparison_metrics", "curves", "funnel", "funnel_stages"]

SHOWN_GROUPS: Final = 12
"""Lines beyond this many groups start hidden, and the legend brings them back."""

# Okabe and Ito's colours, told apart by the colour-blind and in grey; without yellow, too pale for a line.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "x")
_DASHES: Final = ("solid", "dash", "dot")
_BAR_PIXELS: Final = 11
_FRAME_PIXELS: Final = 130

Figure = dict[str, Any]  # JSON: {"data": [...], "layout": {...}}


def funnel_stages(run: RunFiles) -> tuple[ReportedMetric, ...]:
    """The metrics of the funnel, in its order.

    Matched people come first; then for each event, in the order of the metrics, its people and its events. Of several
    windows the longest at which both were asked for is taken, or else the longest at which either was.
    """
    stages = [metric for metric in run.declared if metric.measure is Measure.MATCHED][:1]
    for event in dict.fromkeys(metric.event for metric in run.declared if metric.event is not None):
        people = _by_window(run, event, Measure.PEOPLE)
        events = _by_window(run, event, Measure.EVENTS)
        both = people.keys() & events.keys()
        for found in (people, events):
            if found:
                stages.append(found[max(both or found.keys())])
    return tuple(stages)


def funnel(run: RunFiles) -> Figure | None:
    """Bars for each group, a bar a stage; None where fewer than two stages were asked for."""
    stages = funnel_stages(run)
    if len(stages) < 2:
        return None
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": _label(metric_title(run, stage)),
            "marker": {"color": _COLOURS[position % len(_COLOURS)]},
            "y": [_label(group) for group in run.groups],
            "x": [run.cells[group, stage.name].value for group in run.groups],
            "error_x": _error(run, [run.cells[group, stage.name].std_error for group in run.groups]),
            "hovertemplate": "%{y}: %{x:,}<extra>%{fullData.name}</extra>",
        }
        for position, stage in enumerate(stages)
    ]
    layout = _layout(height=_FRAME_PIXELS + _BAR_PIXELS * (len(stages) + 1) * len(run.groups))
    layout["yaxis"] = {"type": "category", "autorange": "reversed", "automargin": True, "title": {"text": "group"}}
    layout["xaxis"] = {"rangemode": "tozero", "automargin": True, "tickformat": ",", "gridcolor": "#e4e7eb"}
    return {"data": data, "layout": layout}


def curves(run: RunFiles) -> list[tuple[str, Figure]]:
    """A chart for every (event, measure) that was asked for at several windows, with its title."""
    found: list[tuple[str, Figure]] = []
    for event in dict.fromkeys(metric.event for metric in run.declared if metric.event is not None):
        for measure in (Measure.PEOPLE, Measure.EVENTS, Measure.SUM):
            windows = _by_window(run, event, measure)
            if len(windows) > 1:
                metrics = [windows[ticks] for ticks in sorted(windows)]
                found.append((_curve_title(run, metrics[0]), _curve(run, metrics)))
    return found


def comparison_metrics(runs: Sequence[RunFiles]) -> tuple[str, ...]:
    """Names of the metrics that every one of the runs released alike: same measure, window and money."""
    kinds = [
        {metric.name: (metric.measure, run.window(metric), _money(run, metric)) for metric in run.declared}
        for run in runs
    ]
    return tuple(name for name, kind in kinds[0].items() if all(other.get(name) == kind for other in kinds))


def comparison(runs: Sequence[RunFiles], name: str) -> Figure:
    """Bars for each group, a bar a run, of a metric that all runs share."""
    groups = tuple(dict.fromkeys(group for run in runs for group in run.groups))
    data = []
    for position, (run, title) in enumerate(zip(runs, run_titles(runs), strict=True)):
        cells = [run.cells[group, name] for group in groups if group in run.groups]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": _label(title),
                "marker": {"color": _COLOURS[position % len(_COLOURS)]},
                "y": [_label(group) for group in groups if group in run.groups],
                "x": [cell.value for cell in cells],
                "error_x": _error(run, [cell.std_error for cell in cells]),
                "hovertemplate": "%{y}: %{x:,}<extra>%{fullData.name}</extra>",
            }
        )
    layout = _layout(height=_FRAME_PIXELS + _BAR_PIXELS * (len(runs) + 1) * len(groups))
    layout["yaxis"] = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [_label(group) for group in groups],
        "autorange": "reversed",
        "automargin": True,
    }
    layout["xaxis"] = {"rangemode": "tozero", "automargin": True, "tickformat": ",", "gridcolor": "#e4e7eb"}
    return {"data": data, "layout": layout}


def _curve(run: RunFiles, metrics: Sequence[ReportedMetric]) -> Figure:
    data = []
    for position, group in enumerate(run.groups):
        cells = [run.cells[group, metric.name] for metric in metrics]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": _label(group),
                "visible": True if position < SHOWN_GROUPS else "legendonly",
                "line": {
                    "color": _COLOURS[position % len(_COLOURS)],
                    "dash": _DASHES[position // len(_COLOURS) % len(_DASHES)],
                },
                "marker": {"symbol": _SYMBOLS[position % len(_SYMBOLS)], "size": 8},
                "x": [metric.window_ticks for metric in metrics],
                "y": [cell.value for cell in cells],
                "error_y": _error(run, [cell.std_error for cell in cells]),
                "hovertemplate": "%{y:,}<extra>%{fullData.name}</extra>",
            }
        )
    layout = _layout(height=460 + 12 * min(len(run.groups), 40))
    layout["xaxis"] = {
        "title": {"text": "window after the touch"},
        "tickvals": [metric.window_ticks for metric in metrics],
        "ticktext": [run.window(metric) for metric in metrics],
        "automargin": True,
        "gridcolor": "#e4e7eb",
    }
    layout["yaxis"] = {"rangemode": "tozero", "tickformat": ",", "automargin": True, "gridcolor": "#e4e7eb"}
    layout["legend"] = {**layout["legend"], "title": {"text": "group"}}
    return {"data": data, "layout": layout}


def _curve_title(run: RunFiles, metric: ReportedMetric) -> str:
    if metric.measure is Measure.PEOPLE:
        return f"People with at least one {metric.event}"
    if metric.measure is Measure.EVENTS:
        return f"Events of kind {metric.event}"
    return f"Sum over {metric.event}" + (f", {run.currency}" if run.currency else "")


def _by_window(run: RunFiles, event: str, measure: Measure) -> dict[int, ReportedMetric]:
    found: dict[int, ReportedMetric] = {}
    for metric in run.declared:
        if metric.event == event and metric.measure is measure and metric.window_ticks is not None:
            found.setdefault(metric.window_ticks, metric)
    return found


def _money(run: RunFiles, metric: ReportedMetric) -> str | None:
    return run.currency if metric.measure is Measure.SUM else None


def _error(run: RunFiles, std_errors: Sequence[float]) -> Figure:
    return {
        "type": "data",
        "visible": run.noise is not Noise.NONE,
        "array": [round(WITHIN[run.noise] * std_error, 2) for std_error in std_errors],
        "thickness": 1.2,
        "width": 3,
        "color": "#333333",
    }


def _layout(*, height: int) -> Figure:
    return {
        "height": height,
        "barmode": "group",
        "bargap": 0.25,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1f2933"},
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
    }


def _label(text: str) -> str:
    """Plotly reads a little HTML in its texts; a label means what it says."""
    return html.escape(text, quote=False)
