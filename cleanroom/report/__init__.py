"""The report: what a finished run released, for people who read pages and not tables of numbers."""

from cleanroom.report.lifts import lift_of
from cleanroom.report.page import render_report, write_report
from cleanroom.report.run_files import RunFiles

__all__ = ["RunFiles", "lift_of", "render_report", "write_report"]
