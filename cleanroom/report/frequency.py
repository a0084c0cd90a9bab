"""Reach and frequency: how many people were touched how often, and how many of them bought."""

from __future__ import annotations

from cleanroom.agreement.model import Measure
from cleanroom.report import charts, stages
from cleanroom.report.blocks import Block, Chart, Entry, Head, Paragraph, Row, Section, Table
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.texts import both, say
from cleanroom.report.words import entry, event_name, metric_title, ratio, ratio_entry

__all__ = ["frequency"]


def frequency(run: RunFiles, place: str) -> Section | None:
    """The section; None where groups are not split into bands, or reach or buyers were not asked for."""
    reach, buyers = stages.matched(run), _buyers(run)
    if not run.scope.bands or reach is None or buyers is None:
        return None
    declared = list(dict.fromkeys(group.rpartition("/")[0] for group in run.groups))
    shown = declared[: charts.MOST_LINES]
    series = []
    for group in shown:
        found = [
            ratio(run.cells[f"{group}/{band}", buyers.name], run.cells[f"{group}/{band}", reach.name])
            for band in run.scope.bands
        ]
        series.append(
            charts.Series(
                name=both(group),
                values=[None if one is None else 100 * one[0] for one in found],
                std_errors=[0.0 if one is None else 100 * one[1] for one in found],
            )
        )
    figure = charts.lines(
        run,
        [both(band) for band in run.scope.bands],
        series,
        across=say("frequency.times"),
        unit=say("frequency.rate", event=event_name(buyers.event or "")),
    )
    blocks: list[Block] = [
        Paragraph(text=say("frequency.intro")),
        Chart(id=f"{place}-frequency", label=say("frequency.label"), figure=figure),
    ]
    if len(shown) < len(declared):
        blocks.append(Paragraph(text=say("chart.some", shown=len(shown), all=len(declared)), style="note"))
    blocks += [_table(run, declared, reach, buyers), Paragraph(text=say("frequency.caution"), style="note")]
    return Section(name="frequency", title=say("frequency.title"), blocks=tuple(blocks))


def _table(run: RunFiles, declared: list[str], reach: ReportedMetric, buyers: ReportedMetric) -> Table:
    heads = [Head(text=both(run.scope.group_by), number=False), Head(text=say("frequency.times"))]
    heads += [Head(text=metric_title(run, reach)), Head(text=metric_title(run, buyers))]
    heads.append(Head(text=say("funnel.share", stage=say("metric.matched"))))
    rows = []
    for group in declared:
        for band in run.scope.bands:
            first, second = (run.cells[f"{group}/{band}", metric.name] for metric in (reach, buyers))
            entries = (
                Entry(text=both(band)),
                entry(run, reach, first),
                entry(run, buyers, second),
                ratio_entry(run, ratio(second, first), percent=True),
            )
            rows.append(Row(name=both(group), entries=entries))
    return Table(heads=tuple(heads), rows=tuple(rows))


def _buyers(run: RunFiles) -> ReportedMetric | None:
    event = stages.final_event(run)
    people = {} if event is None else stages.by_window(run, event, Measure.PEOPLE)
    return people[max(people)] if people else None
