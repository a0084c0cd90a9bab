"""Which groups a side's own list of facts finds eligible under the agreed rules."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom.agreement.eligibility import EligibilityRule, RuleTest
from cleanroom.agreement.model import Agreement
from cleanroom.data.binding import Binding
from cleanroom.data.columns import Field, labels_of, texts_of
from cleanroom.data.source import stretches

__all__ = ["eligible_groups", "facts_columns"]


def eligible_groups(agreement: Agreement, party: str, facts: Binding) -> NDArray[np.bool_]:
    """Applies this side's rules to its list of facts, a line a group.

    Args:
        agreement: for the rules and the declared groups.
        party: this side's name.
        facts: the list, with the columns `facts_columns`.

    Returns:
        One verdict a declared group, in their order; a group that the list does not name fails.

    Raises:
        DataError: the list cannot be read, a group is there twice, or a fact is not of the form that its rule needs.
    """
    rules = [rule for rule in agreement.eligibility if rule.party == party]
    name, groups = agreement.exposure.group_by, agreement.exposure.groups
    eligible = np.zeros(len(groups), dtype=np.bool_)
    seen = np.zeros(len(groups), dtype=np.bool_)
    for stretch in stretches(facts, facts_columns(agreement, party)):
        group = labels_of(stretch.fields[name], groups)
        passed = np.ones(stretch.rows, dtype=np.bool_)
        for rule in rules:
            passed &= _passes(rule, stretch.fields[rule.fact], group >= 0)
        for row in np.flatnonzero(group >= 0).tolist():
            if seen[group[row]]:
                raise stretch.fields[name].fault("expected one line a group, found a second", row)
            seen[group[row]] = True
            eligible[group[row]] = passed[row]
    return eligible


def facts_columns(agreement: Agreement, party: str) -> tuple[str, ...]:
    """The columns of this side's list of facts: the one that names the group, then one for each fact of its rules."""
    facts = [rule.fact for rule in agreement.eligibility if rule.party == party]
    return tuple(dict.fromkeys((agreement.exposure.group_by, *facts)))


def _passes(rule: EligibilityRule, column: Field, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    values = [None if value is None else value.strip() for value in _texts(column).to_pylist()]
    if rule.test in (RuleTest.IS, RuleTest.ONE_OF):
        accepted = set(rule.values)
        return np.array(
            [value is not None and not accepted.isdisjoint(_spellings(value)) for value in values], dtype=np.bool_
        )
    bound = rule.bound if rule.bound is not None else Decimal(0)
    found = np.zeros(len(values), dtype=np.bool_)
    for row, value in enumerate(values):
        if not counted[row] or not value:
            continue  # a fact that nobody stated fails its rule
        number = _number(value)
        if number is None:
            raise column.fault("expected a number", row)
        found[row] = number >= bound if rule.test is RuleTest.AT_LEAST else number <= bound
    return found


def _spellings(value: str) -> tuple[str, ...]:
    """A fact as it is written, and a truth value in lower case as well: text files hold True, TRUE or true."""
    lower = value.lower()
    return (value, lower) if lower in ("true", "false") else (value,)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _texts(column: Field) -> pa.StringArray:
    """The column as text; booleans as true and false, numbers in decimal."""
    kind = column.values.type
    if pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.values.cast(pa.string())
    return texts_of(column)
