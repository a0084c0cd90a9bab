"""Charts as Plotly figures in plain JSON values; drawn in the browser by the inlined plotly.js.

The truth is inside 19 error bars of 20; exact figures have none. Suppressed cells are left out. Colours that follow the
page's light or dark dress are written `var(--ink)`; texts in both languages are {"zh": ..., "en": ...}: the page's
script puts in what is shown.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cleanroom.agreement.model import Noise
from cleanroom.report.blocks import Figure
from cleanroom.report.run_files import RunFiles
from cleanroom.report.texts import Text, both
from cleanroom.report.words import within

__all__ = ["MOST_BARS", "MOST_LINES", "Series", "bars", "intervals", "lines", "names"]

MOST_BARS: Final = 12
"""Groups of a bar chart; the others are in the table."""
MOST_LINES: Final = 8
"""Lines of a chart; the others are in the table."""

# Okabe and Ito's colours, told apart by the colour-blind and in grey; without yellow, too pale for a line.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "var(--soft)")
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "x")
_DASHES: Final = ("solid", "dash", "dot")
_LABEL_CHARACTERS: Final = 18
_BAR_PIXELS: Final = 12
_FRAME_PIXELS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The marks of one colour: a value and a standard error at each place; None where there is none."""

    name: Text
    values: Sequence[float | None]
    std_errors: Sequence[float]
    at: Sequence[float] | None = None  # of lines: the windows that they stand at; the places in turn if absent


def bars(run: RunFiles, places: Sequence[Text], series: Sequence[Series], *, unit: Text | None = None) -> Figure:
    """Bars from left to right, a place under the other, a bar for each of the series."""
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": _words(one.name),
            "marker": {"color": _COLOURS[position % len(_COLOURS)]},
            "y": list(range(len(one.values))),
            "x": list(one.values),
            "error_x": _errors(run, one.std_errors),
            "customdata": [_words(place) for place in places],
            "hovertemplate": "%{customdata}<br>%{x:,.4~r}<extra>%{fullData.name}</extra>",
        }
        for position, one in enumerate(series)
    ]
    layout = _layout(height=_FRAME_PIXELS + _BAR_PIXELS * (len(series) + 1) * len(places))
    layout["yaxis"] = _rows(places)
    layout["xaxis"] = _axis(unit)
    layout["showlegend"] = len(series) > 1
    return {"data": data, "layout": layout}


def intervals(places: Sequence[Text], ends: Sequence[tuple[float, float, float]], *, unit: Text) -> Figure:
    """A dot for each place between the ends of its interval, which need not be equally far: (low, value, high)."""
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "marker": {"color": _COLOURS[0], "size": 9},
            "x": [round(value, 4) for _, value, _ in ends],
            "y": list(range(len(places))),
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [round(high - value, 4) for _, value, high in ends],
                "arrayminus": [round(value - low, 4) for low, value, _ in ends],
                "thickness": 2,
                "width": 4,
                "color": "var(--ink)",
            },
            "customdata": [_words(place) for place in places],
            "hovertemplate": "%{customdata}<br>%{x:,.4~r}<extra></extra>",
        }
    ]
    layout = _layout(height=_FRAME_PIXELS + 3 * _BAR_PIXELS * len(places))
    layout["yaxis"] = _rows(places)
    layout["xaxis"] = {**_axis(unit), "rangemode": "normal", "zeroline": True, "zerolinewidth": 2}
    layout["showlegend"] = False
    return {"data": data, "layout": layout}


def lines(
    run: RunFiles,
    places: Sequence[Text],
    series: Sequence[Series],
    *,
    across: Text,
    unit: Text,
    level: float | None = None,
) -> Figure:
    """Lines over places from left to right, at the positions of each series; `level` draws a line across."""
    data: list[dict[str, Any]] = [  # JSON of Plotly's
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": _words(one.name),
            "line": {
                "color": _COLOURS[position % len(_COLOURS)],
                "dash": _DASHES[position // len(_COLOURS) % len(_DASHES)],
            },
            "marker": {"symbol": _SYMBOLS[position % len(_SYMBOLS)], "size": 8},
            "x": _positions(one),
            "y": list(one.values),
            "error_y": _errors(run, one.std_errors),
            "hovertemplate": "%{y:,.4~r}<extra>%{fullData.name}</extra>",
        }
        for position, one in enumerate(series)
    ]
    layout = _layout(height=400 + 20 * len(series))
    layout["xaxis"] = {
        "title": {"text": _words(across)},
        "tickvals": _positions(series[0]) if series else list(range(len(places))),
        "ticktext": [_words(place) for place in places],
        "automargin": True,
        "zeroline": False,
        "gridcolor": "var(--line)",
        "fixedrange": True,
    }
    layout["yaxis"] = _axis(unit)
    layout["showlegend"] = True
    if level is not None:
        mark = {"color": "var(--ink)", "width": 1, "dash": "dash"}
        layout["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level, "line": mark}]
    return {"data": data, "layout": layout}


def _rows(places: Sequence[Text]) -> Figure:
    """The axis of places under each other, the first on top."""
    return {
        "tickvals": list(range(len(places))),
        "ticktext": [_short(place) for place in places],
        "range": [len(places) - 0.5, -0.5],
        "automargin": True,
        "zeroline": False,
        "showgrid": False,
        "fixedrange": True,
    }


def _positions(series: Series) -> list[float]:
    """Where marks stand from left to right: windows by their logarithm, so that the short ones keep apart."""
    if series.at is None:
        return [float(place) for place in range(len(series.values))]
    return [round(math.log(place), 4) for place in series.at]


def _axis(unit: Text | None) -> Figure:
    axis: Figure = {
        "rangemode": "tozero",
        "tickformat": ",",
        "automargin": True,
        "gridcolor": "var(--line)",
        "zerolinecolor": "var(--soft)",
        "nticks": 6,
        "fixedrange": True,
    }
    if unit is not None:
        axis["title"] = {"text": _words(unit)}
    return axis


def _errors(run: RunFiles, std_errors: Sequence[float]) -> Figure:
    return {
        "type": "data",
        "visible": run.noise is not Noise.NONE and any(std_errors),
        "array": [round(within(run, std_error), 4) for std_error in std_errors],
        "thickness": 1.4,
        "width": 3,
        "color": "var(--ink)",
    }


def _layout(*, height: int) -> Figure:
    return {
        "height": height,
        "barmode": "group",
        "bargap": 0.25,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--ink)"},
        "margin": {"l": 8, "r": 14, "t": 8, "b": 8},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "hoverlabel": {"namelength": -1},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
    }


def _words(text: Text) -> str | dict[str, str]:
    """Plotly reads a little HTML in its texts; a label means what it says."""
    zh, en = html.escape(text.zh, quote=False), html.escape(text.en, quote=False)
    return zh if zh == en else {"zh": zh, "en": en}


def _short(text: Text) -> str | dict[str, str]:
    """A label that leaves room for the bars on a phone."""
    return _words(Text(_cut(text.zh), _cut(text.en)))


def _cut(text: str) -> str:
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"


def names(groups: Sequence[str]) -> list[Text]:
    """Groups as labels."""
    return [both(group) for group in groups]
