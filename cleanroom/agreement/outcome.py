"""`[outcome]` and `[[outcome.labels]]`: which outcomes count, in what money, and what they may be broken down by."""

from __future__ import annotations

import re
from decimal import Decimal

from cleanroom.agreement.model import Label, Outcome
from cleanroom.agreement.schema import IDENTIFIER_RULES
from cleanroom.agreement.table import Table, table_of

__all__ = ["read_outcome_rules"]

MAX_DECIMALS = 9  # of a money unit
MAX_LABELS = 4  # while rows are read their event and labels share a word: 16 bits and 12 a label
MAX_LABEL_VALUES = 1000
MAX_LABELLED_EVENTS = 60_000

_STANDARD_NAMES = ("time", "event", "event_id", "person", "time_zone")


def read_outcome_rules(table: Table) -> Outcome:
    """Reads `[outcome]`."""
    value = table.optional_text("value")
    currency = table.optional_text("currency")
    if currency is not None and not re.fullmatch("[A-Z]{3}", currency):
        raise table.fault("currency", "expected three capital letters, such as CNY")
    precision: Decimal | None = None
    if value is not None:
        precision = table.amount("precision") if table.has("precision") else Decimal("0.01")
        if precision not in {Decimal(10) ** -digits for digits in range(MAX_DECIMALS + 1)}:
            raise table.fault("precision", f"expected 1, 0.1, 0.01 … with at most {MAX_DECIMALS} decimals")
        precision = Decimal(1).scaleb(precision.normalize().as_tuple().exponent)  # type: ignore[arg-type]  # finite
    for name in ("currency", "precision"):
        if value is None and table.has(name):
            raise table.fault(name, "needs outcome.value, the money column that it speaks of")
    events, labels = table.texts("events", at_least=1), _labels(table, value)
    if labels and len(events) > MAX_LABELLED_EVENTS:
        raise table.fault("events", f"expected at most {MAX_LABELLED_EVENTS} events beside labels")
    return Outcome(events=events, value=value, currency=currency, precision=precision, labels=labels)


def _labels(table: Table, value: str | None) -> tuple[Label, ...]:
    """Reads `[[outcome.labels]]`; their columns stand beside the standard names of a binding."""
    taken = {*IDENTIFIER_RULES, *_STANDARD_NAMES, value}
    labels: list[Label] = []
    for position, item in enumerate(table.list_of("labels"), start=1):
        where = f"{table.key('labels')}[{position}]"
        entry = Table(where, "outcome.labels", table_of(where, item))
        column = entry.text("column")
        if column in taken:
            raise entry.fault("column", f"{column!r} is the name of another column; choose one of its own")
        taken.add(column)
        values = entry.texts("values", at_least=1)
        if len(values) > MAX_LABEL_VALUES:
            raise entry.fault("values", f"expected at most {MAX_LABEL_VALUES} values, found {len(values)}")
        labels.append(Label(column=column, values=values))
    if len(labels) > MAX_LABELS:
        raise table.fault("labels", f"expected at most {MAX_LABELS} labels, found {len(labels)}")
    return tuple(labels)
