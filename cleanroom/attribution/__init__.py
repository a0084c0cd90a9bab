"""Attribution as local preparation: touches become lookups, outcomes become rows, and the join only adds numbers."""

from cleanroom.attribution.clock import TickClock
from cleanroom.attribution.exposure import ExposureSummary, keep_lookups, lookup_counts, prepare_lookups
from cleanroom.attribution.outcome import OutcomeSummary, keep_rows, prepare_rows, row_counts
from cleanroom.attribution.plain import plain_join
from cleanroom.attribution.rows import Lookups, Rows

__all__ = [
    "ExposureSummary",
    "Lookups",
    "OutcomeSummary",
    "Rows",
    "TickClock",
    "keep_lookups",
    "keep_rows",
    "lookup_counts",
    "plain_join",
    "prepare_lookups",
    "prepare_rows",
    "row_counts",
]
