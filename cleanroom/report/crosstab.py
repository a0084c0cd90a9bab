"""Groups of the exposure side by labels of the outcome side: a table in which large figures are dark."""

from __future__ import annotations

from dataclasses import replace

from cleanroom.agreement.model import Noise
from cleanroom.report.blocks import SHADES, Block, Head, Paragraph, Row, Section, Table
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.texts import both, say
from cleanroom.report.words import entry, metric_title

__all__ = ["crosstab"]


def crosstab(run: RunFiles) -> Section | None:
    """The section, a table for each metric that is broken down; None where none is."""
    kinds: dict[tuple[str, str], list[ReportedMetric]] = {}
    for metric in run.declared:
        if metric.label is not None:
            kinds.setdefault((metric.name.rpartition("[")[0], metric.label[0]), []).append(metric)
    if not kinds:
        return None
    blocks: list[Block] = [Paragraph(text=say("crosstab.intro"))]
    if run.noise is not Noise.NONE:
        blocks.append(Paragraph(text=say("crosstab.noise"), style="note"))
    blocks += [_table(run, name, column, metrics) for (name, column), metrics in kinds.items()]
    return Section(name="crosstab", title=say("crosstab.title"), blocks=tuple(blocks))


def _table(run: RunFiles, name: str, column: str, metrics: list[ReportedMetric]) -> Table:
    values = [run.cells[group, metric.name].value for group in run.groups for metric in metrics]
    largest = max((value for value in values if value is not None), default=0.0)
    heads = [Head(text=both(run.scope.group_by), number=False)]
    heads += [Head(text=both(metric.label[1])) for metric in metrics if metric.label is not None]
    rows = [
        Row(
            name=both(group),
            entries=tuple(
                entry(run, metric, cell, shade=_shade(cell.value, largest))
                for metric in metrics
                for cell in (run.cells[group, metric.name],)
            ),
        )
        for group in run.groups
    ]
    title = say("crosstab.table", name=name, metric=metric_title(run, _whole(metrics[0])), column=column)
    return Table(heads=tuple(heads), rows=tuple(rows), title=title)


def _shade(value: float | None, largest: float) -> int | None:
    if value is None or largest <= 0:
        return None
    return min(SHADES - 1, max(0, int(SHADES * value / largest)))


def _whole(metric: ReportedMetric) -> ReportedMetric:
    """The metric as it would be without its label."""
    return replace(metric, label=None)
