"""Who a row is about where several identifiers, or a side's own account numbers, tie rows together.

A row belongs to an account: the one that the binding's `person` column gives, or the first valid identifier of the row
in the agreed order. An account holds of each identifier the one in its latest row that has one, so at most one a type.
The exposure side looks up the first that an account holds; the outcome side answers under all of them (convention 12
of the attribution page).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Agreement
from cleanroom.data.binding import Binding
from cleanroom.data.columns import Field, distinct_texts_of, of_texts
from cleanroom.data.rows import Words, differs, keys_of
from cleanroom.data.source import Stretch
from cleanroom.data.spill import Spill
from cleanroom.errors import DataError
from cleanroom.match_keys.people import MALFORMED, NULL, VALID, PersonKeys
from cleanroom.texts import Texts

__all__ = [
    "ACCOUNT",
    "Accounts",
    "RowAccounts",
    "append_held",
    "first_held",
    "held_by",
    "holder_mark",
    "identifier_columns",
    "sole_holders",
    "text_keys_of",
]

ACCOUNT: Final = "person"
"""The standard name of a side's own account column; it is never sent."""


def identifier_columns(agreement: Agreement, binding: Binding) -> tuple[str, ...]:
    """The agreed identifiers that this side's source has, in the agreed order.

    Raises:
        DataError: it has none of them.
    """
    agreed = tuple(identifier.type for identifier in agreement.match.identifiers)
    bound = tuple(name for name in agreed if name in binding.columns)
    if not bound:
        expected = f"columns.{agreed[0]}" if len(agreed) == 1 else f"columns: one of {', '.join(agreed)}"
        raise DataError(f"{binding.name}: {expected}: expected the name of a column, found nothing")
    return bound


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RowAccounts:
    """Whose n rows are.

    account: n × 2 words, zero where a row is nobody's; held: n × 2k words, the row's key under each of the k
    identifiers, zero where it has none; by_identifier: k × n, the status of each; status: n, VALID where a row has a
    valid identifier, else MALFORMED where one is malformed, else NULL.
    """

    account: Words = field(repr=False)
    held: Words = field(repr=False)
    by_identifier: NDArray[np.uint8] = field(repr=False)
    status: NDArray[np.uint8] = field(repr=False)


class Accounts:
    """Reads whose rows are, a stretch at a time."""

    def __init__(self, agreement: Agreement, binding: Binding) -> None:
        """Raises:
        DataError: the binding has none of the agreed identifiers.
        AgreementError: a match rule is not one that exists.
        """
        self.identifiers = identifier_columns(agreement, binding)
        rules = {identifier.type: identifier for identifier in agreement.match.identifiers}
        self._keys = {name: PersonKeys(rules[name]) for name in self.identifiers}
        self.named = ACCOUNT in binding.columns
        self.names = (*self.identifiers, *((ACCOUNT,) if self.named else ()))

    @property
    def linked(self) -> bool:
        """Whether a row's key is not known from the row alone."""
        return self.named or len(self.identifiers) > 1

    def read(self, stretch: Stretch) -> RowAccounts:
        """Digests the identifiers of a stretch."""
        if not self.linked:
            (name,) = self.identifiers
            keys, statuses = self._digested(stretch, name)
            return RowAccounts(account=keys, held=keys, by_identifier=statuses[None], status=statuses)
        rows = stretch.rows
        held = np.zeros((rows, 2 * len(self.identifiers)), dtype=np.uint64)
        account = np.zeros((rows, 2), dtype=np.uint64)
        by_identifier = np.empty((len(self.identifiers), rows), dtype=np.uint8)
        status = np.full(rows, NULL, dtype=np.uint8)
        for place, name in enumerate(self.identifiers):
            keys, statuses = self._digested(stretch, name)
            by_identifier[place] = statuses
            held[:, 2 * place : 2 * place + 2] = keys
            first = (statuses == VALID) & (status != VALID)
            account[first] = keys[first]
            status[first] = VALID
            status[(statuses == MALFORMED) & (status == NULL)] = MALFORMED
        if self.named:
            own = text_keys_of(stretch.fields[ACCOUNT], ACCOUNT)
            known = own.any(axis=1)
            account[known] = own[known]
        return RowAccounts(account=account, held=held, by_identifier=by_identifier, status=status)

    def _digested(self, stretch: Stretch, name: str) -> tuple[Words, NDArray[np.uint8]]:
        """Keys under one identifier, n × 2 words, and the status of each."""
        texts, rows = distinct_texts_of(stretch.fields[name])
        people = self._keys[name](texts)
        return (people.words, people.status) if rows is None else (people.words[rows], people.status[rows])


def held_by(owner: NDArray[np.int64], time: Words, held: Words) -> Words:
    """The identifiers that accounts hold: of each type the one in the latest row that has one.

    Args:
        owner: n, which account a row belongs to, from 0 without gaps.
        time: n words that sort as the rows' times.
        held: n × 2k words, zero for none; of rows at one time the largest counts.

    Returns:
        accounts × 2k words.
    """
    accounts = int(owner.max(initial=-1)) + 1
    found = np.zeros((accounts, held.shape[1]), dtype=np.uint64)
    for at in range(0, held.shape[1], 2):
        has = np.flatnonzero(held[:, at] | held[:, at + 1])
        order = has[np.lexsort((held[has, at + 1], held[has, at], time[has], owner[has]))]
        last = np.append(owner[order][1:] != owner[order][:-1], True)[: len(order)]
        found[owner[order[last]], at : at + 2] = held[order[last], at : at + 2]
    return found


def first_held(held: Words) -> Words:
    """The first identifier of each account, n × 2 words; zero for an account that holds none."""
    found = np.zeros((len(held), 2), dtype=np.uint64)
    for at in range(held.shape[1] - 2, -1, -2):
        has = (held[:, at] | held[:, at + 1]) != 0
        found[has] = held[has, at : at + 2]
    return found


def sole_holders(rows: Words, choice_key: bytes) -> tuple[Words, int]:
    """Leaves each identifier to one account.

    Args:
        rows: n × 4 words (key, account), sorted; all accounts of a key.
        choice_key: 32 secret bytes: of the accounts that hold a key the one with the smallest mark keeps it.

    Returns:
        The rows that stay, in order, and how many went.
    """
    rows = rows[differs(rows)]
    starts = np.flatnonzero(differs(rows[:, :2]))
    holders = np.diff(np.append(starts, len(rows)))
    keep = np.zeros(len(rows), dtype=np.bool_)
    keep[starts[holders == 1]] = True
    for start, count in zip(starts[holders > 1].tolist(), holders[holders > 1].tolist(), strict=True):
        keys, accounts = keys_of(rows[start : start + count]), keys_of(rows[start : start + count, 2:])
        marks = [
            holder_mark(choice_key, key.tobytes(), account.tobytes())
            for key, account in zip(keys, accounts, strict=True)
        ]
        keep[start + marks.index(min(marks))] = True
    return rows[keep], int(len(rows) - np.count_nonzero(keep))


def holder_mark(choice_key: bytes, key: bytes, account: bytes) -> bytes:
    """HMAC-SHA-256(choice key, key ‖ account), 32 bytes; an auditor who is given the key repeats the choice."""
    return hmac.digest(choice_key, key + account, "sha256")


def append_held(spill: Spill, account: Words, held: Words) -> None:
    """Appends a row (key, account) for each identifier that n accounts hold."""
    for at in range(0, held.shape[1], 2):
        has = (held[:, at] | held[:, at + 1]) != 0
        spill.append(np.concatenate([held[has, at : at + 2], account[has]], axis=1))


def text_keys_of(column: Field, tag: str) -> Words:
    """Digests of a column's texts under a tag as n × 2 words; zero where there is none.

    Raises:
        DataError: the column is not text.
    """

    def keys_of_texts(values: pa.StringArray) -> Words:
        texts = Texts.of(values)
        return _kernels.text_keys(texts.offsets, texts.data, texts.valid, tag=tag)[0]

    return of_texts(column, keys_of_texts)
