"""A two-party data clean room: a private join whose only output is a noised, thresholded table."""

from __future__ import annotations

from cleanroom.errors import AgreementError, BudgetError, CleanroomError, DataError, PeerError, UsageError

__version__ = "0.1.0"

__all__ = [
    "AgreementError",
    "BudgetError",
    "CleanroomError",
    "DataError",
    "PeerError",
    "UsageError",
    "__version__",
]
