"""What became of every row that was read: the filtered-row summary, the party's own."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FilterSummary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSummary:
    """Counts of rows; each row that was read is in exactly one of the others, the last two apart.

    Filters apply in the order of the fields. `duplicates` are equal touches, or lines merged into an outcome with the
    same event id. `out_of_scope` is 0 on the outcome side. `shared_identifiers` counts identifiers that an account of
    the outcome side holds and another account keeps. `other_labels` counts, of the rows of agreed events, the values of
    labels in use that the agreement does not declare: such a row counts, but by that label it belongs to none.
    """

    rows: int
    null_identifiers: int
    malformed_identifiers: int
    other_event: int
    out_of_scope: int
    out_of_period: int
    duplicates: int
    kept: int
    shared_identifiers: int = 0
    other_labels: int = 0

    @property
    def invalid_identifiers(self) -> int:
        """Null and malformed together: what `max_invalid` bounds."""
        return self.null_identifiers + self.malformed_identifiers
