"""The report: what a finished run released, for people who read pages and not tables of numbers."""

from cleanroom.report.costs import Costs
from cleanroom.report.lifts import lift_of
from cleanroom.report.page import render_report, write_report
from cleanroom.report.run_files import RunFiles
from cleanroom.report.spend import Spend, read_spend

__all__ = ["Costs", "RunFiles", "Spend", "lift_of", "read_spend", "render_report", "write_report"]
