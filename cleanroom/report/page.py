"""The page: one HTML file with everything in it, made of values by templates that escape whatever they print.

The page loads nothing: its policy (CSP) allows the two scripts that it holds, by their hashes, and no request at all.
The same runs give the same bytes under the same version of plotly.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cleanroom.errors import DataError, UsageError
from cleanroom.release.accounting import WITHIN
from cleanroom.report import figures, words
from cleanroom.report.run_files import Cell, Own, ReportedMetric, RunFiles

__all__ = ["render_report", "write_report"]

_TEMPLATE: Final = "report.html.j2"
_STYLE: Final = "report.css"
_SCRIPT: Final = "report.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chart:
    """A figure with the id of its place in the page."""

    id: str
    title: str
    figure: figures.Figure = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """One run on the page; both sides' own accounts where both folders were given."""

    title: str
    run: RunFiles
    owns: tuple[Own, ...]
    funnel: _Chart | None
    curves: tuple[_Chart, ...]

    @property
    def charts(self) -> tuple[_Chart, ...]:
        return (() if self.funnel is None else (self.funnel,)) + self.curves

    @property
    def stages(self) -> tuple[ReportedMetric, ...]:
        return figures.funnel_stages(self.run)

    @property
    def suppressed(self) -> list[tuple[str, list[ReportedMetric]]]:
        """Groups with suppressed figures, and which metrics those are."""
        found = []
        for group in self.run.groups:
            missing = [metric for metric in self.run.declared if self.run.cells[group, metric.name].units is None]
            if missing:
                found.append((group, missing))
        return found


def render_report(runs: Sequence[RunFiles]) -> str:
    """Writes the report of one or several finished runs.

    Args:
        runs: at least one; the two sides' folders of one run count as that run, with both accounts.

    Returns:
        A self-contained HTML page.

    Raises:
        UsageError: there is no run.
        DataError: two folders claim the same session with different releases.
    """
    if not runs:
        raise UsageError("a report needs at least one finished run")
    sections = _sections(runs)
    distinct = [section.run for section in sections]
    shared = figures.comparison_metrics(distinct) if len(distinct) > 1 else ()
    comparisons = tuple(
        _Chart(id=f"both-{position}", title=name, figure=figures.comparison(distinct, name))
        for position, name in enumerate(shared)
    )
    charts = [*comparisons, *(chart for section in sections for chart in section.charts)]
    plotly, script = _plotly(), _source(_SCRIPT)
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            sections=sections,
            shared=[next(metric for metric in distinct[0].declared if metric.name == name) for name in shared],
            comparisons=comparisons,
            figures=_embedded([{"id": chart.id, **chart.figure} for chart in charts]),
            style=Markup(_source(_STYLE)),  # a file of this package, no data in it
            plotly=Markup(plotly),  # plotly's own script, no data in it
            script=Markup(script),  # a file of this package, no data in it
            policy=_policy(plotly, script),
            words=words,
        )
    )


def write_report(path: Path, runs: Sequence[RunFiles]) -> None:
    """Writes the report to a new file, whole or not at all.

    Raises:
        UsageError: the file exists or cannot be written.
        DataError: as `render_report`.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"--out {path}: the file exists, and is never overwritten")
    page = render_report(runs).encode()
    partial = path.with_name(f".{path.name}.partial-{secrets.token_hex(8)}")
    try:
        with partial.open("xb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # unlike a rename, this fails if the name was taken meanwhile
    except FileExistsError:
        raise UsageError(f"--out {path}: the file exists, and is never overwritten") from None
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _sections(runs: Sequence[RunFiles]) -> list[_Section]:
    by_session: dict[str, list[RunFiles]] = {}
    for run in runs:
        by_session.setdefault(run.session, []).append(run)
    for session, same in by_session.items():
        if any(_released(run) != _released(same[0]) for run in same[1:]):
            raise DataError(f"two folders hold different releases of session {session[:16]}")
    distinct = [same[0] for same in by_session.values()]
    sections = []
    for position, (run, title) in enumerate(zip(distinct, words.run_titles(distinct), strict=True)):
        owns = {own.party: own for same in by_session[run.session] if (own := same.own) is not None}
        funnel = figures.funnel(run)
        sections.append(
            _Section(
                title=title,
                run=run,
                owns=tuple(owns.values()),
                funnel=None if funnel is None else _Chart(id=f"run-{position}-funnel", title="Funnel", figure=funnel),
                curves=tuple(
                    _Chart(id=f"run-{position}-curve-{number}", title=name, figure=figure)
                    for number, (name, figure) in enumerate(figures.curves(run))
                ),
            )
        )
    return sections


def _released(run: RunFiles) -> tuple[str, dict[tuple[str, str], Cell]]:
    return run.agreement_hash, dict(run.cells)


def _embedded(value: object) -> Markup:
    """JSON that can stand in a script element: no "<" can end the element or begin a comment."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)  # ASCII only
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _policy(*scripts: str) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # on demand: five megabytes that only a report needs

    script: str = get_plotlyjs()
    return script


def _source(name: str) -> str:
    source, _, _ = _loader().get_source(_environment(), name)
    return source


def _loader() -> PackageLoader:
    return PackageLoader("cleanroom.report", "templates")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=_loader(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["title_of"] = lambda metric, run: words.metric_title(run, metric)
    environment.globals.update(within=WITHIN, spent=words.spent, all_groups=_all_groups)
    return environment


def _all_groups(sections: Sequence[_Section]) -> list[str]:
    return list(dict.fromkeys(group for section in sections for group in section.run.groups))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
