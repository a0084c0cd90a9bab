"""Lift: what a campaign added, estimated from the figures of a release alone.

`lift_terms` says which columns an agreement needs for it, `lift_rows` estimates, `detectable_lift` says beforehand how
small a lift can be seen. Nothing here reads data, and nothing but released figures goes in.
"""

from __future__ import annotations

from cleanroom.lift.power import Base, Planned, detectable_lift
from cleanroom.lift.rows import Cell, LiftColumn, LiftRow, LiftStatus, lift_rows
from cleanroom.lift.terms import LiftColumns, LiftTerms, lift_terms, read_terms, terms_document

__all__ = [
    "Base",
    "Cell",
    "LiftColumn",
    "LiftColumns",
    "LiftRow",
    "LiftStatus",
    "LiftTerms",
    "Planned",
    "detectable_lift",
    "lift_rows",
    "lift_terms",
    "read_terms",
    "terms_document",
]
