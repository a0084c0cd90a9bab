"""The released table: one row per declared (group, metric), and its CSV and Parquet bytes.

There are no totals over groups and nothing about filtered or unmatched rows. A suppressed row has no value. Money is
in units of the currency, exact in the CSV text and in `units` of release.json; Parquet holds the nearest double. Shared
credit is shown rounded (money to its precision, events to hundredths); its `units` are exact, in fractions of the
column's unit, and add up over groups.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from enum import Enum
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.agreement.model import Agreement, Measure
from cleanroom.plan import Column, Plan, Purpose
from cleanroom.release.opening import Opening
from cleanroom.release.terms import ReleaseTerms

__all__ = [
    "COLUMNS",
    "ReleaseRow",
    "Status",
    "csv_bytes",
    "gate_rows",
    "parquet_bytes",
    "release_rows",
    "support_rows",
    "value_text",
]

COLUMNS: Final = ("group", "metric", "value", "std_error", "status")
_COUNT_DIGITS: Final = Decimal("0.01")
_EXACT: Final = Context(prec=60)  # a credit of 63 bits divided by its unit, with digits to round on


class Status(Enum):
    """What became of a declared (group, metric)."""

    RELEASED = "released"
    SUPPRESSED = "suppressed"
    NOT_ELIGIBLE = "not_eligible"
    """The group does not fulfil the agreed rules (`[eligibility]`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRow:
    """One row of the table."""

    group: str
    metric: str
    units: int | None = field(repr=False)  # the value in integer units; None unless released
    value: str | None = field(repr=False)  # the value as text, in released units; None unless released
    std_error: str  # of the value, in released units; "0" with noise none
    status: Status


def release_rows(agreement: Agreement, plan: Plan, terms: ReleaseTerms, opening: Opening) -> tuple[ReleaseRow, ...]:
    """Builds the rows of the declared metrics: groups in the agreement's order, in each the metrics in theirs."""
    return _rows(agreement, plan, terms, opening, Purpose.METRIC)


def gate_rows(agreement: Agreement, plan: Plan, terms: ReleaseTerms, opening: Opening) -> tuple[ReleaseRow, ...]:
    """Builds the rows of the automatic gates, which only release.json carries.

    With noise "none" their values are never opened: a gate that passed is a row without a value.
    """
    return _rows(agreement, plan, terms, opening, Purpose.GATE)


def support_rows(agreement: Agreement, plan: Plan, terms: ReleaseTerms, opening: Opening) -> tuple[ReleaseRow, ...]:
    """Builds the rows of automatic columns that are opened like metrics; only release.json carries them."""
    return _rows(agreement, plan, terms, opening, Purpose.SUPPORT)


def _rows(
    agreement: Agreement, plan: Plan, terms: ReleaseTerms, opening: Opening, purpose: Purpose
) -> tuple[ReleaseRow, ...]:
    rows: list[ReleaseRow] = []
    places = iter(range(terms.groups))
    for group, eligible in zip(agreement.exposure.released_groups, terms.chosen, strict=True):
        g = next(places) if eligible else None
        for j, column in enumerate(plan.columns):
            if column.purpose is not purpose:
                continue
            money = (agreement.outcome.precision or Decimal(1)) if column.measure is Measure.SUM else None
            if money is not None and column.squared:
                money *= money
            passed = g is not None and bool(opening.passed[g, j])
            units = int(opening.values[g, j]) if passed and opening.opened[g, j] else None
            verdict = Status.RELEASED if passed else Status.SUPPRESSED
            rows.append(
                ReleaseRow(
                    group=group,
                    metric=column.name,
                    units=units,
                    value=None if units is None else value_text(column, units, money),
                    std_error=_error_text(terms.std_errors[j] / column.unit, money),
                    status=Status.NOT_ELIGIBLE if g is None else verdict,
                )
            )
    return tuple(rows)


def csv_bytes(rows: tuple[ReleaseRow, ...]) -> bytes:
    """Returns the table as UTF-8 CSV with a header, lines ended by a line feed, empty values for suppressed rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([row.group, row.metric, row.value or "", row.std_error, row.status.value])
    return text.getvalue().encode()


def parquet_bytes(rows: tuple[ReleaseRow, ...]) -> bytes:
    """Returns the table as Parquet: text, text, double (null where suppressed), double, text."""
    table = pa.table(
        {
            "group": pa.array([row.group for row in rows], pa.string()),
            "metric": pa.array([row.metric for row in rows], pa.string()),
            "value": pa.array([None if row.value is None else float(row.value) for row in rows], pa.float64()),
            "std_error": pa.array([float(row.std_error) for row in rows], pa.float64()),
            "status": pa.array([row.status.value for row in rows], pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", version="2.6")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def value_text(column: Column, units: int, money: Decimal | None) -> str:
    """A figure as the table shows it.

    Credit is divided by its fixed-point unit and rounded half to even: money to its precision, events to hundredths.

    Args:
        column: for its unit.
        units: the opened integer.
        money: the precision of a sum; None for counts.
    """
    if column.unit == 1:
        return str(units) if money is None else f"{Decimal(units) * money:f}"
    exact = _EXACT.divide(Decimal(units), Decimal(column.unit))
    step = _COUNT_DIGITS if money is None else Decimal(1)
    rounded = exact.quantize(step, rounding=ROUND_HALF_EVEN, context=_EXACT)
    rounded = abs(rounded) if rounded.is_zero() else rounded  # no minus before a zero
    return f"{rounded:f}" if money is None else f"{rounded * money:f}"


def _error_text(std_error: float, unit: Decimal | None) -> str:
    """Rounds an error up: counts to hundredths, money to its precision."""
    if std_error == 0.0:
        return "0"
    exact = Decimal(std_error)
    if unit is None:
        return f"{exact.quantize(_COUNT_DIGITS, rounding=ROUND_CEILING):f}"
    return f"{exact.quantize(Decimal(1), rounding=ROUND_CEILING) * unit:f}"
