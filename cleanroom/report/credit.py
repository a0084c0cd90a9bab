"""Credit by group: shares of orders and sales that add up, beside reach and buyers that do not."""

from __future__ import annotations

import math

from cleanroom.report import charts, stages
from cleanroom.report.blocks import Block, Chart, Head, Paragraph, Row, Section, Table, nothing
from cleanroom.report.run_files import Cell, ReportedMetric, RunFiles
from cleanroom.report.texts import both, say
from cleanroom.report.words import entry, metric_title

__all__ = ["credit"]


def credit(run: RunFiles, place: str) -> Section | None:
    """The section; None where no credit was asked for."""
    credited = [metric for metric in run.declared if metric.additive]
    if not credited:
        return None
    shown = stages.largest_groups(run, credited[-1], charts.MOST_BARS)
    blocks: list[Block] = [Paragraph(text=say("credit.intro", rule=_rule(run)))]
    for position, metric in enumerate(credited):
        cells = [run.cells[group, metric.name] for group in shown]
        series = charts.Series(
            name=metric_title(run, metric),
            values=[cell.value for cell in cells],
            std_errors=[cell.std_error for cell in cells],
        )
        figure = charts.bars(run, charts.names(shown), [series], unit=metric_title(run, metric))
        blocks.append(Chart(id=f"{place}-credit-{position}", label=say("credit.label"), figure=figure))
    if len(shown) < len(run.groups):
        blocks.append(Paragraph(text=say("chart.some", shown=len(shown), all=len(run.groups)), style="note"))
    beside = [metric for metric in (stages.matched(run), *_buyers(run)) if metric is not None]
    blocks.append(_table(run, credited, beside))
    blocks.append(Paragraph(text=say("credit.total"), style="note"))
    return Section(name="credit", title=say("credit.title"), blocks=tuple(blocks))


def _table(run: RunFiles, credited: list[ReportedMetric], beside: list[ReportedMetric]) -> Table:
    heads = [Head(text=both(run.scope.group_by), number=False)]
    heads += [Head(text=metric_title(run, metric), under=say("credit.adds")) for metric in credited]
    heads += [Head(text=metric_title(run, metric), under=say("credit.does_not_add")) for metric in beside]
    rows = [
        Row(
            name=both(group),
            entries=tuple(entry(run, metric, run.cells[group, metric.name]) for metric in (*credited, *beside)),
        )
        for group in run.groups
    ]
    totals = [entry(run, metric, _total(run, metric)) for metric in credited]
    rows.append(Row(name=say("credit.sum"), entries=(*totals, *(nothing() for _ in beside)), style="total"))
    return Table(heads=tuple(heads), rows=tuple(rows))


def _total(run: RunFiles, metric: ReportedMetric) -> Cell:
    """The sum over the groups that were released, whose noise is independent."""
    cells = [run.cells[group, metric.name] for group in run.groups]
    shown = [cell for cell in cells if cell.units is not None and cell.value is not None]
    return Cell(
        value=math.fsum(cell.value or 0.0 for cell in shown) if shown else None,
        units=sum(cell.units or 0 for cell in shown) if shown else None,
        std_error=math.sqrt(math.fsum(cell.std_error**2 for cell in shown)),
        status=cells[0].status,
    )


def _buyers(run: RunFiles) -> list[ReportedMetric]:
    event = stages.final_event(run)
    return [stage for stage in stages.funnel_stages(run) if stage.event is not None and stage.event == event]


def _rule(run: RunFiles) -> object:
    return say(f"credit.{run.scope.credit or 'last_touch'}")
