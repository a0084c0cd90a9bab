"""Several runs side by side: what may be compared, and a table and a chart for every metric that all of them have.

People are never added up over runs: a person whom two partners know is in both.
"""

from __future__ import annotations

from collections.abc import Sequence

from cleanroom.agreement.model import Measure
from cleanroom.report import charts, stages
from cleanroom.report.blocks import Block, Chart, Entry, Head, Paragraph, Row, Section, Table, nothing
from cleanroom.report.run_files import RunFiles
from cleanroom.report.texts import Text, both, joined, say
from cleanroom.report.words import entry, metric_title, run_titles, spent

__all__ = ["beside", "partners", "shared_metrics"]

_MOST_RUNS = 7  # colours


def beside(runs: Sequence[RunFiles]) -> list[Section]:
    """The sections, for two runs or more."""
    titles = run_titles(runs)
    blocks: list[Block] = [Paragraph(text=caution, style="strong") for caution in _cautions(runs, titles)]
    blocks.append(_what(runs, titles))
    sections = [Section(name="beside", title=say("beside.title", n=len(runs)), blocks=tuple(blocks))]
    shared = shared_metrics(runs)
    if not shared:
        nothing_shared = Paragraph(text=say("beside.nothing"))
        return [*sections, Section(name="shared", title=say("beside.metrics"), blocks=(nothing_shared,))]
    found: list[Block] = []
    for position, name in enumerate(shared):
        found += _metric(runs, titles, name, f"both-{position}")
    return [*sections, Section(name="shared", title=say("beside.metrics"), blocks=tuple(found))]


def partners(runs: Sequence[RunFiles]) -> set[tuple[str, ...]]:
    """The distinct pairs of certificates that made the runs."""
    return {tuple(run.certificates.values()) for run in runs}


def shared_metrics(runs: Sequence[RunFiles]) -> tuple[str, ...]:
    """Names of the metrics that every run counts alike: measure, event, window, label, touches, credit, money, cap."""
    kinds = [{metric.name: _kind(run, metric.name) for metric in run.declared} for run in runs]
    return tuple(name for name, kind in kinds[0].items() if all(other.get(name) == kind for other in kinds))


def _kind(run: RunFiles, name: str) -> object:
    metric = next(metric for metric in run.declared if metric.name == name)
    money = (run.currency, run.precision) if metric.measure is Measure.SUM else None
    cut = (metric.credit, metric.label, metric.via, metric.before)
    return (metric.measure, metric.event, run.window(metric), metric.cap, money, cut)


def _cautions(runs: Sequence[RunFiles], titles: Sequence[str]) -> list[Text]:
    found = []
    pairs = partners(runs)
    if len(pairs) == len(runs):
        found.append(say("beside.across"))
    else:
        made: dict[tuple[str, ...], list[str]] = {}
        for run, title in zip(runs, titles, strict=True):
            made.setdefault(tuple(run.certificates.values()), []).append(title)
        for same in made.values():
            if len(same) > 1:
                found.append(say("beside.same_partner", n=len(same), runs=joined([both(title) for title in same])))
        if len(pairs) > 1:
            found.append(say("beside.across"))
    if len({run.definition for run in runs}) > 1:
        found.append(say("beside.definitions"))
    samples = {tuple((metric.name, metric.sampling) for metric in run.declared) for run in runs}
    shares = {metric.sampling for run in runs for metric in run.declared}
    if len(samples) > 1 and shares != {1.0}:
        found.append(say("beside.sampling"))
    if len({run.scope.touches for run in runs}) > 1:
        found.append(say("beside.touches"))
    return found


def _what(runs: Sequence[RunFiles], titles: Sequence[str]) -> Table:
    heads = [Head(text=both(""), number=False), *(Head(text=both(title), number=False) for title in titles)]
    facts: list[tuple[Text, list[Text]]] = [
        (say("beside.parties"), [both(" / ".join(run.parties)) for run in runs]),
        (say("beside.purpose"), [both(run.purpose) for run in runs]),
        (say("head.touches"), [both(" – ".join(day.date().isoformat() for day in run.scope.touches)) for run in runs]),
        (say("beside.groups"), [both(f"{len(run.groups):,}") for run in runs]),
        (say("head.threshold"), [say("head.people", n=run.min_people) for run in runs]),
        (say("head.spent"), [spent(run) for run in runs]),
        (say("signed.definition"), [both(f"{run.definition[:16]}…") for run in runs]),
        (say("signed.agreement"), [both(f"{run.agreement_hash[:16]}…") for run in runs]),
    ]
    rows = [
        Row(name=name, entries=tuple(Entry(text=value, number=False) for value in values)) for name, values in facts
    ]
    return Table(heads=tuple(heads), rows=tuple(rows))


def _metric(runs: Sequence[RunFiles], titles: Sequence[str], name: str, place: str) -> list[Block]:
    metrics = [next(metric for metric in run.declared if metric.name == name) for run in runs]
    groups = tuple(dict.fromkeys(group for run in runs for group in run.groups))
    shown = groups[: charts.MOST_BARS]
    if len(groups) > charts.MOST_BARS:
        shown = stages.largest_groups(runs[0], metrics[0], charts.MOST_BARS)
    series = []
    for run, run_title in list(zip(runs, titles, strict=True))[:_MOST_RUNS]:
        cells = [run.cells.get((group, name)) for group in shown]
        series.append(
            charts.Series(
                name=both(run_title),
                values=[None if cell is None else cell.value for cell in cells],
                std_errors=[0.0 if cell is None else cell.std_error for cell in cells],
            )
        )
    title = say("beside.metric", name=name, metric=metric_title(runs[0], metrics[0]))
    found: list[Block] = [
        Chart(id=place, label=title, figure=charts.bars(runs[0], charts.names(shown), series)),
    ]
    if len(shown) < len(groups):
        found.append(Paragraph(text=say("chart.some", shown=len(shown), all=len(groups)), style="note"))
    heads = [Head(text=both(runs[0].scope.group_by), number=False), *(Head(text=both(one)) for one in titles)]
    rows = []
    for group in groups:
        entries = []
        for run, metric in zip(runs, metrics, strict=True):
            cell = run.cells.get((group, name))
            entries.append(nothing() if cell is None else entry(run, metric, cell, under=_share(metric.sampling)))
        rows.append(Row(name=both(group), entries=tuple(entries)))
    return [*found, Table(heads=tuple(heads), rows=tuple(rows), title=title)]


def _share(sampling: float | None) -> Text | None:
    if sampling == 1:
        return None
    return say("figures.mixed") if sampling is None else say("beside.share", share=f"{100 * sampling:g}")
