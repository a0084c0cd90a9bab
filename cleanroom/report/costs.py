"""Costs of released figures: cost of a person or an event at each stage, ROI(T+x) with its interval. All local.

What was spent is exact, so all of the uncertainty is the figure's. ROI is linear in the figure: its interval is the
figure's, divided. A cost is the spend over a count that lies in [n − e, n + e] 19 times of 20, so it lies between
spend / (n + e) and spend / (n − e); where the count is not clear of zero, no upper end can be stated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cleanroom.agreement.model import Measure, Noise
from cleanroom.report import charts, stages
from cleanroom.report.blocks import Block, Chart, Entry, Figure, Head, Paragraph, Row, Table, nothing
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.spend import Spend
from cleanroom.report.texts import Text, both, say
from cleanroom.report.words import currency, event_name, metric_title, status_text, window_text, within

__all__ = ["Cost", "Costs", "Roi"]

_THOUSAND: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Roi:
    """Sales within a window over what was spent."""

    group: str
    metric: str
    window: str
    net: bool  # less refunds
    value: float
    std_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one of a stage's people or events cost, and between which costs the truth lies 19 times of 20."""

    group: str
    metric: str
    value: float
    low: float
    high: float | None  # None: the count is not clear of zero


class Costs:
    """The costs of one run."""

    def __init__(self, run: RunFiles, spend: Spend) -> None:
        self._run = run
        self._spend = spend
        self.groups = tuple(group for group in run.groups if spend.by_group.get(group, Decimal(0)) > 0)

    def roi(self, group: str, metric: ReportedMetric, *, net: bool = False) -> Roi | None:
        """ROI of a group at a metric's window; None where something that it needs is not there."""
        run = self._run
        cell = run.cells[group, metric.name]
        if group not in self.groups or cell.value is None:
            return None
        value, std_error = cell.value, cell.std_error
        if net:
            refund = self._refunds().get(metric.window_ticks or 0)
            back = None if refund is None else run.cells[group, refund.name]
            if back is None or back.value is None:
                return None
            value, std_error = value - back.value, math.hypot(std_error, back.std_error)
        spent = float(self._spend.by_group[group])
        return Roi(
            group=group,
            metric=metric.name,
            window=run.window(metric) or "",
            net=net,
            value=value / spent,
            std_error=std_error / spent,
        )

    def cost(self, group: str, metric: ReportedMetric) -> Cost | None:
        """The cost of one person or event; of matched people, of a thousand."""
        cell = self._run.cells[group, metric.name]
        if group not in self.groups or cell.value is None or cell.value <= 0:
            return None
        spent = float(self._spend.by_group[group]) * (_THOUSAND if metric.measure is Measure.MATCHED else 1)
        off = within(self._run, cell.std_error)
        return Cost(
            group=group,
            metric=metric.name,
            value=spent / cell.value,
            low=spent / (cell.value + off),
            high=spent / (cell.value - off) if cell.value > off else None,
        )

    def all(self) -> dict[str, list[Roi] | list[Cost]]:
        """Every figure, for a program to read."""
        sums = list(stages.money(self._run).values())
        rois = [self.roi(group, metric, net=net) for group in self.groups for metric in sums for net in (False, True)]
        found = [self.cost(group, metric) for group in self.groups for metric in self._counted()]
        return {
            "roi": [one for one in rois if one is not None],
            "cost": [one for one in found if one is not None],
        }

    def latest_roi(self, group: str) -> Text | None:
        """The ROI at the longest window in words."""
        sums = stages.money(self._run)
        found = self.roi(group, sums[max(sums)]) if sums else None
        if found is None:
            return None
        window = window_text(self._run, sums[max(sums)])
        return say("roi.card", window=window, value=f"{found.value:,.2f}", error=self._error(found) or both(""))

    def blocks(self, place: str) -> tuple[Block, ...]:
        """The curve and the tables."""
        run, sums = self._run, list(stages.money(self._run).values())
        blocks: list[Block] = [Paragraph(text=say("roi.intro"))]
        shown = stages.largest_groups(run, sums[-1], charts.MOST_LINES)
        shown = tuple(group for group in shown if group in self.groups)
        blocks.append(Chart(id=place, label=say("roi.label"), figure=self._curve(shown, sums)))
        if len(shown) < len(self.groups):
            blocks.append(Paragraph(text=say("chart.some", shown=len(shown), all=len(run.groups)), style="note"))
        blocks.append(self._roi_table(sums, net=False))
        if self._refunds():
            blocks.append(self._roi_table(sums, net=True))
        if self._counted():
            blocks.append(self._cost_table())
        blocks.append(Paragraph(text=say("roi.own"), style="note"))
        blocks.append(Paragraph(text=say("roi.dated" if self._spend.dated else "roi.undated"), style="note"))
        missing = [group for group in run.groups if group not in self.groups]
        if missing:
            blocks.append(Paragraph(text=say("roi.missing", n=len(missing), all=len(run.groups)), style="note"))
        return tuple(blocks)

    def _curve(self, shown: tuple[str, ...], sums: list[ReportedMetric]) -> Figure:
        series = []
        for group in shown:
            found = [self.roi(group, metric) for metric in sums]
            series.append(
                charts.Series(
                    name=both(group),
                    values=[None if one is None else one.value for one in found],
                    std_errors=[0.0 if one is None else one.std_error for one in found],
                    at=[float(metric.window_ticks or 0) for metric in sums],
                )
            )
        places = [window_text(self._run, metric) for metric in sums]
        return charts.lines(self._run, places, series, across=say("chart.window"), unit=both("ROI"), level=1.0)

    def _roi_table(self, sums: list[ReportedMetric], *, net: bool) -> Table:
        run = self._run
        heads = [Head(text=both(run.scope.group_by), number=False), Head(text=say("roi.spend", money=currency(run)))]
        heads += [Head(text=say("roi.at", window=window_text(run, metric)), under=both(metric.name)) for metric in sums]
        rows = []
        for group in run.groups:
            entries = [self._spent(group)]
            for metric in sums:
                found = self.roi(group, metric, net=net)
                if found is not None:
                    entries.append(Entry(text=both(f"{found.value:,.2f}"), error=self._error(found)))
                elif run.cells[group, metric.name].units is None:
                    entries.append(Entry(text=status_text(run.cells[group, metric.name]), style="suppressed"))
                else:
                    entries.append(nothing())
            rows.append(Row(name=both(group), entries=tuple(entries)))
        title = say("roi.net" if net else "roi.gross")
        return Table(heads=tuple(heads), rows=tuple(rows), title=title)

    def _cost_table(self) -> Table:
        run, counted = self._run, self._counted()
        heads = [Head(text=both(run.scope.group_by), number=False), Head(text=say("roi.spend", money=currency(run)))]
        for metric in counted:
            each = say("roi.cpm") if metric.event is None else say("roi.cpa", event=event_name(metric.event))
            heads.append(Head(text=each, under=metric_title(run, metric)))
        rows = [
            Row(
                name=both(group),
                entries=(self._spent(group), *(self._cost_entry(group, metric) for metric in counted)),
            )
            for group in run.groups
        ]
        return Table(heads=tuple(heads), rows=tuple(rows), title=say("roi.costs", money=currency(run)))

    def _cost_entry(self, group: str, metric: ReportedMetric) -> Entry:
        found = self.cost(group, metric)
        if found is None:
            return nothing()
        if self._run.noise is Noise.NONE:
            return Entry(text=both(f"{found.value:,.2f}"))
        high = "…" if found.high is None else f"{found.high:,.2f}"
        return Entry(text=both(f"{found.value:,.2f}"), error=both(f"{found.low:,.2f} – {high}"))

    def _spent(self, group: str) -> Entry:
        spent = self._spend.by_group.get(group)
        return nothing() if spent is None else Entry(text=both(f"{spent:,.2f}"))

    def _error(self, found: Roi) -> Text | None:
        if self._run.noise is Noise.NONE:
            return None
        return both(f"± {within(self._run, found.std_error):,.2f}")

    def _counted(self) -> list[ReportedMetric]:
        """The stages whose cost is stated: the funnel's, without what was given back."""
        found = stages.funnel_stages(self._run)
        return [metric for metric in found if metric.event != stages.REFUND and metric.measure is not Measure.SUM]

    def _refunds(self) -> Mapping[int, ReportedMetric]:
        return stages.by_window(self._run, stages.REFUND, Measure.SUM)
