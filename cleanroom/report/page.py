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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cleanroom.errors import DataError, UsageError
from cleanroom.report.beside import beside
from cleanroom.report.blocks import Paragraph, Section
from cleanroom.report.costs import Costs
from cleanroom.report.credit import credit
from cleanroom.report.crosstab import crosstab
from cleanroom.report.estimates import consistent_people
from cleanroom.report.figures import all_figures
from cleanroom.report.frequency import frequency
from cleanroom.report.funnel import funnel
from cleanroom.report.growth import growth, roi
from cleanroom.report.headline import headline
from cleanroom.report.lift import lift
from cleanroom.report.quality import own_data, quality, suppressed
from cleanroom.report.run_files import Cell, Own, RunFiles
from cleanroom.report.spend import Spend
from cleanroom.report.standing import adding, privacy, reading, signatures
from cleanroom.report.texts import LANGUAGES, Text, both, say
from cleanroom.report.words import run_titles

__all__ = ["MAX_FIGURES", "MAX_GROUPS", "render_report", "write_report"]

MAX_GROUPS: Final = 500
MAX_FIGURES: Final = 20_000
"""Groups, and groups × metrics, of a run that the page shows; the files beside it hold all."""

_TEMPLATE: Final = "report.html.j2"
_STYLE: Final = "report.css"
_SCRIPT: Final = "report.js"
_HAN: Final = ("\u4e00", "\u9fff")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One run on the page, or what several have in common."""

    place: str  # what ids begin with
    title: Text
    lead: str
    sections: tuple[Section, ...]


def render_report(
    runs: Sequence[RunFiles], *, language: str | None = None, spend: Mapping[str, Spend] | None = None
) -> str:
    """Writes the report of one or several finished runs.

    Args:
        runs: at least one; the two sides' folders of one run count as that run, with both accounts.
        language: what the page shows at first, `zh` or `en`; absent: Chinese if a run's money is CNY or its name or
            purpose is written in Chinese. The page holds both.
        spend: by session, what the groups of a run cost.

    Returns:
        A self-contained HTML page.

    Raises:
        UsageError: there is no run, or no such language.
        DataError: two folders claim the same session with different releases.
    """
    if not runs:
        raise UsageError("a report needs at least one finished run")
    if language is not None and language not in LANGUAGES:
        raise UsageError(f"the languages of a report are {' and '.join(LANGUAGES)}")
    parts = _parts(runs, spend or {})
    charts = [chart for part in parts for section in part.sections for chart in section.charts]
    plotly, script = _plotly(), _source(_SCRIPT)
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            parts=parts,
            title=", ".join(dict.fromkeys(run.name for run in runs)),
            language=language or _language(runs),
            no_script=say("page.no_script"),
            figures=_embedded([{"id": chart.id, **chart.figure} for chart in charts]),
            style=Markup(_source(_STYLE)),  # a file of this package, no data in it
            plotly=Markup(plotly),  # plotly's own script, no data in it
            script=Markup(script),  # a file of this package, no data in it
            policy=_policy(plotly, script),
        )
    )


def write_report(
    path: Path, runs: Sequence[RunFiles], *, language: str | None = None, spend: Mapping[str, Spend] | None = None
) -> None:
    """Writes the report to a new file, whole or not at all.

    Args:
        path: the file.
        runs: as `render_report`.
        language: as `render_report`.
        spend: as `render_report`.

    Raises:
        UsageError: the file exists or cannot be written.
        DataError: as `render_report`.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"--out {path}: the file exists, and is never overwritten")
    page = render_report(runs, language=language, spend=spend).encode()
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


def _parts(runs: Sequence[RunFiles], spend: Mapping[str, Spend]) -> list[_Part]:
    by_session: dict[str, list[RunFiles]] = {}
    for run in runs:
        by_session.setdefault(run.session, []).append(run)
    for session, same in by_session.items():
        if any(_released(run) != _released(same[0]) for run in same[1:]):
            raise DataError(f"two folders hold different releases of session {session[:16]}")
    distinct = [same[0] for same in by_session.values()]
    titles = run_titles(distinct)
    parts = []
    if len(distinct) > 1:
        shown = [_bounded(run) for run in distinct]
        parts.append(_Part(place="both", title=both(" · ".join(titles)), lead="", sections=tuple(beside(shown))))
    for position, (run, title) in enumerate(zip(distinct, titles, strict=True)):
        owns = {own.party: own for same in by_session[run.session] if (own := same.own) is not None}
        known = spend.get(run.session)
        place = f"run-{position}"
        sections = _sections(run, place, None if known is None else Costs(run, known), tuple(owns.values()))
        parts.append(_Part(place=place, title=both(title), lead=run.purpose, sections=sections))
    return parts


def _sections(run: RunFiles, place: str, costs: Costs | None, owns: tuple[Own, ...]) -> tuple[Section, ...]:
    """The page's order: what a reader asks first comes first."""
    every, run = run, _bounded(run)
    estimates = consistent_people(run)
    head = headline(run, costs)
    if run.groups != every.groups:
        cut = Paragraph(
            text=say("page.cut", shown=f"{len(run.groups):,}", all=f"{len(every.groups):,}"), style="strong"
        )
        head = replace(head, blocks=(cut, *head.blocks))
    found = [
        head,
        funnel(run, place, estimates),
        roi(run, place, costs),
        *growth(run, place, estimates),
        credit(run, place),
        lift(run, place),
        frequency(run, place),
        crosstab(run),
        suppressed(run),
        quality(run),
        all_figures(run),
        adding(run),
        privacy(run),
        *(own_data(own) for own in owns),
        signatures(run),
        reading(run),
    ]
    return tuple(section for section in found if section is not None)


def _bounded(run: RunFiles) -> RunFiles:
    """A run with no more groups than a page can show."""
    most = max(1, min(MAX_GROUPS, MAX_FIGURES // len(run.metrics)))
    return run if len(run.groups) <= most else replace(run, groups=run.groups[:most])


def _language(runs: Sequence[RunFiles]) -> str:
    low, high = _HAN
    han = any(low <= character <= high for run in runs for character in run.name + run.purpose)
    return "zh" if han or any(run.currency == "CNY" for run in runs) else "en"


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
    return environment
