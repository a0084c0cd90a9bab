"""The demonstration's tables for a terminal: what was released, and how far it is from the truth."""

from __future__ import annotations

from rich.table import Table

from cleanroom.agreement import Measure
from cleanroom.demo.check import MAX_DEVIATION, CheckedCell
from cleanroom.demo.demonstration import Demo
from cleanroom.report.words import entry, error_of

__all__ = ["check_table", "funnel_table", "verdict"]


def funnel_table(demo: Demo) -> Table:
    """The released figures: a row a campaign, the error of a column in its heading."""
    run = demo.release
    table = Table(title="Released: each figure with what it is off by at most, 19 times of 20", title_justify="left")
    table.add_column("campaign")
    for metric in run.declared:
        unit = f" {run.currency}" if metric.measure is Measure.SUM and run.currency else ""
        error = error_of(run, run.cells[run.groups[0], metric.name].std_error)
        table.add_column(f"{_heading(metric.name)}{unit}\n{error.en if error else ''}", justify="right")
    for group in run.groups:
        table.add_row(group, *(entry(run, metric, run.cells[group, metric.name]).text.en for metric in run.declared))
    return table


def check_table(demo: Demo) -> Table:
    """How far each figure is from the plain join, in standard errors, and what the caps cost beside it."""
    run, cells = demo.release, {(cell.group, cell.metric): cell for cell in demo.check.cells}
    table = Table(
        title=f"Self-check: standard errors from the plain join under the agreed caps (at most {MAX_DEVIATION:g}); "
        "below, the share of the uncapped answer that the caps cost",
        title_justify="left",
    )
    table.add_column("campaign")
    for metric in run.declared:
        table.add_column(_heading(metric.name), justify="right")
    for group in run.groups:
        table.add_row(group, *(_checked(cells[group, metric.name]) for metric in run.declared))
    return table


def verdict(demo: Demo) -> str:
    """The self-check in one sentence."""
    check = demo.check
    released = sum(cell.released is not None for cell in check.cells)
    return (
        f"self-check: {check.exact} of {released} released figures are exactly the plain join plus the noise that both "
        f"sides recorded; with the noise, the furthest is {abs(check.worst.deviation):.1f} standard errors away"
    )


def _heading(metric: str) -> str:
    """A metric's name in two lines, so that a row fits a terminal of 80 columns."""
    return "\n".join(metric.rsplit("_", 1)) if "_" in metric else f"{metric}\n"


def _checked(cell: CheckedCell) -> str:
    style = "red" if abs(cell.deviation) > MAX_DEVIATION else "green"
    shown = "suppressed" if cell.released is None else f"{cell.deviation:+.1f} σ"
    return f"[{style}]{shown}[/]\n[dim]{100 * cell.caps_cost:.1f} %[/]"
