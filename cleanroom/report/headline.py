"""The head of a run: what it is about, and its main numbers in plain words."""

from __future__ import annotations

from cleanroom.agreement.model import Measure, Noise
from cleanroom.report import stages
from cleanroom.report.blocks import Block, Card, Cards, Fact, Facts, Paragraph, Section
from cleanroom.report.costs import Costs
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.texts import Text, both, say
from cleanroom.report.words import (
    amount,
    currency,
    error_of,
    event_name,
    metric_title,
    ratio,
    spent,
    status_text,
    window_text,
)

__all__ = ["headline"]

_CARDS = 6


def headline(run: RunFiles, costs: Costs | None) -> Section:
    """The section of facts and of the largest groups."""
    main = _main(run)
    groups = [
        group for group in stages.largest_groups(run, main, _CARDS) if run.cells[group, main.name].units is not None
    ]
    groups = groups or list(run.groups[:1])
    blocks: list[Block] = [
        Facts(
            boxes=True,
            facts=(
                Fact(name=say("head.exposure"), value=both(run.parties[0])),
                Fact(name=say("head.outcome"), value=both(run.parties[1])),
                Fact(name=say("head.touches"), value=_period(run)),
                Fact(name=say("head.threshold"), value=say("head.people", n=run.min_people)),
                Fact(name=say("head.spent"), value=spent(run)),
            ),
        ),
        Paragraph(text=say("head.exact" if run.noise is Noise.NONE else "head.error", metric=metric_title(run, main))),
        Cards(cards=tuple(_card(run, main, group, costs) for group in groups)),
    ]
    if len(groups) < len(run.groups):
        blocks.append(Paragraph(text=say("head.more", shown=len(groups), all=len(run.groups)), style="note"))
    return Section(name="headline", title=say("head.title"), blocks=tuple(blocks))


def _main(run: RunFiles) -> ReportedMetric:
    """Money at the longest window, or else the last stage, or else what there is."""
    sums = stages.money(run)
    if sums:
        return sums[max(sums)]
    found = stages.funnel_stages(run)
    return found[-1] if found else run.declared[0]


def _card(run: RunFiles, main: ReportedMetric, group: str, costs: Costs | None) -> Card:
    cell = run.cells[group, main.name]
    if cell.units is None:
        return Card(title=both(group), value=status_text(cell), error=None, lines=())
    lines: list[Text] = []
    for stage in stages.funnel_stages(run):
        found = run.cells[group, stage.name]
        if stage.measure is Measure.SUM or stage.name == main.name or found.value is None:
            continue
        shown = _rounded(run, found.value)
        error = error_of(run, found.std_error) or both("")
        if stage.measure is Measure.MATCHED:
            lines.append(say("head.matched", n=shown, error=error))
        elif stage.event == stages.final_event(run) and stage.measure is Measure.PEOPLE:
            lines.append(
                say(
                    "head.buyers",
                    window=window_text(run, stage),
                    n=shown,
                    event=event_name(stage.event or ""),
                    error=error,
                    share=_share(run, group, stage),
                )
            )
    roi = None if costs is None else costs.latest_roi(group)
    if roi is not None:
        lines.append(roi)
    value = both(amount(run, main, cell))
    if main.measure is Measure.SUM:
        value = say("money.amount", amount=f"{round(cell.value or 0):,}", money=currency(run))
    return Card(title=both(group), value=value, error=error_of(run, cell.std_error), lines=tuple(lines))


def _share(run: RunFiles, group: str, stage: ReportedMetric) -> Text:
    first = stages.matched(run)
    found = None if first is None else ratio(run.cells[group, stage.name], run.cells[group, first.name])
    return both("") if found is None else say("head.share", share=f"{100 * found[0]:.0f}")


def _rounded(run: RunFiles, value: float) -> Text:
    shown = f"{round(value):,}"
    return both(shown) if run.noise is Noise.NONE else say("head.about", n=shown)


def _period(run: RunFiles) -> Text:
    start, end = run.scope.touches
    last = (
        end.date() if (end.hour, end.minute, end.second) != (0, 0, 0) else end.date().fromordinal(end.toordinal() - 1)
    )
    return both(f"{start.date().isoformat()} – {last.isoformat()}")
