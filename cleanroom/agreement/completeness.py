"""The optional table `[completeness]`: how far the rows that a side read may be from those delivered to it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

from cleanroom.agreement.table import Table

__all__ = [
    "Band",
    "Completeness",
    "OnFailure",
    "Verdict",
    "completeness_document",
    "completeness_lines",
    "read_completeness",
]

MAX_BAND_ROWS: Final = 2**40


class Verdict(Enum):
    """What a side says of its own data, from good to bad."""

    COMPLETE = "complete"
    WARNING = "warning"
    FAILURE = "failure"


class OnFailure(Enum):
    """What a failed check does to the run."""

    STOP = "stop"
    MARK = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Bounds of a deviation; it lies outside where it is larger than both."""

    fraction: Decimal  # of the expected rows, 0 to 1
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Whose rows are compared with a manifest, date by date and event by event, and what may come of it."""

    parties: tuple[str, ...]
    warning: Band
    failure: Band
    on_failure: OnFailure


def read_completeness(table: Table, parties: tuple[str, ...]) -> Completeness:
    """Reads `[completeness]`.

    Args:
        table: the table.
        parties: the names of the agreement's parties.

    Raises:
        AgreementError: naming the key.
    """
    warning, failure = (
        _band(Table(table.key(name), "completeness.BAND", table.table(name))) for name in ("warning", "failure")
    )
    if failure.fraction < warning.fraction or failure.rows < warning.rows:
        raise table.fault("failure", "expected bounds that are not below those of the warning")
    named = table.texts("parties", at_least=1) if table.has("parties") else parties
    for name in named:
        if name not in parties:
            raise table.fault("parties", f"{name!r} is not one of the parties {', '.join(parties)}")
    return Completeness(
        parties=tuple(name for name in parties if name in named),
        warning=warning,
        failure=failure,
        on_failure=OnFailure(table.optional_text("on_failure") or OnFailure.STOP.value),
    )


def completeness_document(rules: Completeness) -> dict[str, object]:
    """What the canonical bytes hold of the table."""
    bands = {"warning": rules.warning, "failure": rules.failure}
    return {
        "parties": list(rules.parties),
        **{name: {"fraction": f"{band.fraction.normalize():f}", "rows": band.rows} for name, band in bands.items()},
        "on_failure": rules.on_failure.value,
    }


def completeness_lines(rules: Completeness) -> tuple[str, ...]:
    """The table in words."""
    after = {
        OnFailure.STOP: "a failure stops the run before anything is computed",
        OnFailure.MARK: "a failure marks the release",
    }
    return (
        f"the rows of {' and '.join(rules.parties)} are compared with the owner's manifest, by date and event",
        f"a warning from {_words(rules.warning)}; a failure from {_words(rules.failure)}; {after[rules.on_failure]}",
        "the other side learns the verdict (complete, warning or failure), signed, and no number",
    )


def _words(band: Band) -> str:
    return f"more than {float(band.fraction) * 100:.4g} % and {band.rows} rows off"


def _band(table: Table) -> Band:
    fraction = table.number("fraction")
    if not 0 <= fraction <= 1:
        raise table.fault("fraction", "expected a share from 0 to 1")
    return Band(fraction=fraction, rows=table.integer("rows", least=0, most=MAX_BAND_ROWS))
