"""A party's own data: bound by a private file, read as a stream, checked, normalised, and put in order."""

from __future__ import annotations

from cleanroom.data.binding import Binding, ColumnName, Constant, load_binding
from cleanroom.data.outcomes import OutcomeBatch, OutcomeData, read_outcome
from cleanroom.data.quality import IdentifierQuality, identifier_quality
from cleanroom.data.summary import FilterSummary
from cleanroom.data.touches import ExposureData, TouchBatch, read_exposure

__all__ = [
    "Binding",
    "ColumnName",
    "Constant",
    "ExposureData",
    "FilterSummary",
    "IdentifierQuality",
    "OutcomeBatch",
    "OutcomeData",
    "TouchBatch",
    "identifier_quality",
    "load_binding",
    "read_exposure",
    "read_outcome",
]
