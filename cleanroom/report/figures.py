"""All released figures: a table for each event and measure, its windows side by side."""

from __future__ import annotations

from cleanroom.agreement.model import Measure, Noise
from cleanroom.report.blocks import Block, Head, Paragraph, Row, Section, Table
from cleanroom.report.run_files import Cell, ReportedMetric, RunFiles
from cleanroom.report.texts import Text, both, say
from cleanroom.report.words import entry, metric_title, within
from cleanroom.sampling import estimate

__all__ = ["all_figures"]


def all_figures(run: RunFiles) -> Section:
    """The section."""
    kinds: dict[object, list[ReportedMetric]] = {}
    for metric in run.declared:
        label = None if metric.label is None else metric.label[0]
        kind = (metric.event, metric.measure, metric.credit, metric.via, metric.before, label)
        kinds.setdefault(kind, []).append(metric)
    exact = run.noise is Noise.NONE
    blocks: list[Block] = [Paragraph(text=say("figures.exact" if exact else "figures.noised"))]
    if any(metric.sampling != 1 for metric in run.declared):
        blocks.append(Paragraph(text=say("figures.sampled"), style="strong"))
    blocks += [_table(run, metrics) for metrics in kinds.values()]
    return Section(name="figures", title=say("figures.title"), blocks=tuple(blocks))


def _table(run: RunFiles, metrics: list[ReportedMetric]) -> Table:
    heads = [Head(text=both(run.scope.group_by), number=False)]
    heads += [Head(text=both(metric.name), under=metric_title(run, metric)) for metric in metrics]
    rows = [
        Row(
            name=both(group),
            entries=tuple(
                entry(run, metric, cell, under=_everybody(run, metric, cell))
                for metric in metrics
                for cell in (run.cells[group, metric.name],)
            ),
        )
        for group in run.groups
    ]
    return Table(heads=tuple(heads), rows=tuple(rows))


def _everybody(run: RunFiles, metric: ReportedMetric, cell: Cell) -> Text | None:
    """An estimate for everybody where the figure is about a sample; a mixed sample has none."""
    if cell.value is None or metric.sampling == 1:
        return None
    if metric.sampling is None:
        return say("figures.mixed")
    unit = float(run.precision or 1) if metric.measure is Measure.SUM else 1.0
    cap = 1.0 if metric.of_people else metric.cap * unit
    found = estimate(cell.value, cell.std_error, fraction=metric.sampling, cap=cap)
    off = within(run, found.std_error) if run.noise is not Noise.NONE else 1.96 * found.std_error
    return say("figures.everybody", n=f"{round(found.value):,}", off=f"{round(off):,}")
