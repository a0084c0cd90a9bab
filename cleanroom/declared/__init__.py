"""What each side declares about its own data before the join: whether it is complete, which groups are eligible."""

from __future__ import annotations

from cleanroom.declared.completeness import Census, CheckedCompleteness, Deviation, check_completeness
from cleanroom.declared.eligibility import eligible_groups, facts_columns
from cleanroom.declared.exchange import (
    DECLARATION_PURPOSE,
    MESSAGES,
    Declaration,
    Declarations,
    asked,
    bound_root,
    check_declarations,
    check_may_go_on,
    declare,
    incomplete,
    stops,
    volume,
)
from cleanroom.declared.own import Declared, OwnCheck

__all__ = [
    "DECLARATION_PURPOSE",
    "MESSAGES",
    "Census",
    "CheckedCompleteness",
    "Declaration",
    "Declarations",
    "Declared",
    "Deviation",
    "OwnCheck",
    "asked",
    "bound_root",
    "check_completeness",
    "check_declarations",
    "check_may_go_on",
    "declare",
    "eligible_groups",
    "facts_columns",
    "incomplete",
    "stops",
    "volume",
]
