"""The lift of a finished run, from its release.json."""

from __future__ import annotations

from cleanroom.agreement.model import Measure
from cleanroom.lift import Cell, LiftColumn, LiftRow, lift_rows
from cleanroom.release.accounting import figure_error
from cleanroom.report.run_files import ReportedMetric, RunFiles

__all__ = ["lift_of"]


def lift_of(run: RunFiles) -> tuple[LiftRow, ...]:
    """Estimates every comparison that the agreement asks for.

    Args:
        run: with what release.json says; nothing else is needed.

    Returns:
        Comparisons in the agreement's order, in each the metrics in theirs; empty where the agreement compares nothing.
    """
    if run.lift is None:
        return ()
    columns = {metric.name: _column(run, metric) for metric in run.metrics}
    cells = {place: Cell(units=cell.units, status=cell.status.value) for place, cell in run.cells.items()}
    return lift_rows(run.lift, columns, cells)


def _column(run: RunFiles, metric: ReportedMetric) -> LiftColumn:
    return LiftColumn(
        cap=metric.cap,
        std_error=figure_error(run.noise, metric.noise_scale),
        unit=float(run.precision or 1) if metric.measure is Measure.SUM else 1.0,
        sampling=metric.sampling,
    )
