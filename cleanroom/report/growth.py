"""What grows with the window: ROI(T+x), or sales where no spend is known, and the people of each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cleanroom.agreement.model import Measure, Noise
from cleanroom.report import charts, stages
from cleanroom.report.blocks import Block, Chart, Entry, Head, Paragraph, Row, Section, Table
from cleanroom.report.costs import Costs
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.texts import Text, both, say
from cleanroom.report.words import currency, entry, event_name, window_text

__all__ = ["growth", "roi"]


def roi(run: RunFiles, place: str, costs: Costs | None) -> Section | None:
    """Sales over the windows, divided by what was spent where that is known; None without a metric of money."""
    sums = stages.money(run)
    if not sums:
        return None
    if costs is None or not costs.groups:
        metrics = list(sums.values())
        blocks: list[Block] = [Paragraph(text=say("roi.no_spend"))]
        if len(metrics) > 1:
            blocks += _curve(run, f"{place}-roi", metrics, currency(run), say("roi.sales_label"))
        blocks.append(_table(run, metrics, {}))
        return Section(name="roi", title=say("roi.sales"), blocks=tuple(blocks))
    return Section(name="roi", title=say("roi.title"), blocks=costs.blocks(f"{place}-roi"), own=True)


def growth(run: RunFiles, place: str, estimates: Mapping[tuple[str, str], float]) -> list[Section]:
    """A section for the people who came to the end of the funnel, where there are several windows to compare."""
    event = stages.final_event(run)
    metrics = [] if event is None else list(stages.by_window(run, event, Measure.PEOPLE).values())
    if event is None or len(metrics) < 2:
        return []
    blocks: list[Block] = [Paragraph(text=say("growth.intro"))]
    if run.noise is not Noise.NONE:
        blocks.append(Paragraph(text=say("growth.noise"), style="note"))
    blocks += _curve(run, f"{place}-people", metrics, say("growth.people"), say("growth.label"))
    blocks.append(_table(run, metrics, estimates))
    return [Section(name="growth", title=say("growth.title", event=event_name(event)), blocks=tuple(blocks))]


def _curve(
    run: RunFiles, name: str, metrics: Sequence[ReportedMetric], unit: Text, label: Text
) -> list[Chart | Paragraph]:
    shown = stages.largest_groups(run, metrics[-1], charts.MOST_LINES)
    ticks = [float(metric.window_ticks or 0) for metric in metrics]
    series = [
        charts.Series(
            name=both(group),
            values=[run.cells[group, metric.name].value for metric in metrics],
            std_errors=[run.cells[group, metric.name].std_error for metric in metrics],
            at=ticks,
        )
        for group in shown
    ]
    figure = charts.lines(
        run, [window_text(run, metric) for metric in metrics], series, across=say("chart.window"), unit=unit
    )
    found: list[Chart | Paragraph] = [Chart(id=name, label=label, figure=figure)]
    if len(shown) < len(run.groups):
        found.append(Paragraph(text=say("chart.some", shown=len(shown), all=len(run.groups)), style="note"))
    return found


def _table(run: RunFiles, metrics: Sequence[ReportedMetric], estimates: Mapping[tuple[str, str], float]) -> Table:
    heads = [Head(text=both(run.scope.group_by), number=False)]
    heads += [Head(text=window_text(run, metric), under=both(metric.name)) for metric in metrics]
    rows = []
    for group in run.groups:
        entries: list[Entry] = []
        for metric in metrics:
            estimate = estimates.get((group, metric.name))
            under = None if estimate is None else say("funnel.estimated", n=f"{round(estimate):,}")
            entries.append(entry(run, metric, run.cells[group, metric.name], under=under))
        rows.append(Row(name=both(group), entries=tuple(entries)))
    return Table(heads=tuple(heads), rows=tuple(rows))
