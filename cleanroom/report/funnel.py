"""The funnel: matched people, then stage by stage what they did, and how much of each stage reaches the next."""

from __future__ import annotations

from collections.abc import Mapping

from cleanroom.agreement.model import Noise
from cleanroom.report import charts, stages
from cleanroom.report.blocks import Block, Chart, Entry, Head, Paragraph, Row, Section, Table
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.texts import Text, both, joined, say
from cleanroom.report.words import entry, event_name, metric_title, ratio, ratio_entry, window_text

__all__ = ["funnel"]


def funnel(run: RunFiles, place: str, estimates: Mapping[tuple[str, str], float]) -> Section | None:
    """The section; None where fewer than two stages were asked for.

    Args:
        run: the run.
        place: what ids in the page begin with.
        estimates: consistent estimates by (group, metric).
    """
    found = stages.funnel_stages(run)
    if len(found) < 2:
        return None
    shown = stages.largest_groups(run, found[0], charts.MOST_BARS)
    intro = say("funnel.intro", stages=joined([metric_title(run, stage) for stage in found], zh=" → ", en=" → "))
    blocks: list[Block] = [Paragraph(text=intro)]
    if run.noise is not Noise.NONE:
        blocks.append(Paragraph(text=say("funnel.noise"), style="note"))
    blocks.append(
        Chart(
            id=f"{place}-funnel",
            label=say("funnel.label"),
            figure=charts.bars(run, charts.names(shown), [_series(run, stage, shown) for stage in found]),
        )
    )
    if len(shown) < len(run.groups):
        blocks.append(Paragraph(text=say("chart.some", shown=len(shown), all=len(run.groups)), style="note"))
    blocks.append(_table(run, found, estimates))
    if any((group, stage.name) in estimates for group in run.groups for stage in found):
        blocks.append(Paragraph(text=say("funnel.estimate"), style="note"))
    return Section(name="funnel", title=say("funnel.title"), blocks=tuple(blocks))


def _series(run: RunFiles, stage: ReportedMetric, groups: tuple[str, ...]) -> charts.Series:
    cells = [run.cells[group, stage.name] for group in groups]
    return charts.Series(
        name=metric_title(run, stage),
        values=[cell.value for cell in cells],
        std_errors=[cell.std_error for cell in cells],
    )


def _table(run: RunFiles, found: tuple[ReportedMetric, ...], estimates: Mapping[tuple[str, str], float]) -> Table:
    heads = [Head(text=both(run.scope.group_by), number=False)]
    for position, stage in enumerate(found):
        heads.append(Head(text=_short(stage), under=_within(run, stage)))
        if position:
            before = found[position - 1]
            key = "funnel.share" if stage.of_people and before.of_people else "funnel.each"
            heads.append(Head(text=say(key, stage=_short(before))))
    rows = []
    for group in run.groups:
        entries: list[Entry] = []
        for position, stage in enumerate(found):
            cell = run.cells[group, stage.name]
            estimate = estimates.get((group, stage.name))
            under = None if estimate is None else say("funnel.estimated", n=f"{round(estimate):,}")
            entries.append(entry(run, stage, cell, under=under))
            if position:
                before = found[position - 1]
                share = ratio(cell, run.cells[group, before.name])
                entries.append(ratio_entry(run, share, percent=stage.of_people and before.of_people))
        rows.append(Row(name=both(group), entries=tuple(entries)))
    return Table(heads=tuple(heads), rows=tuple(rows))


def _within(run: RunFiles, stage: ReportedMetric) -> Text | None:
    return None if stage.event is None else say("funnel.within", window=window_text(run, stage))


def _short(stage: ReportedMetric) -> Text:
    return say("metric.matched") if stage.event is None else event_name(stage.event)
