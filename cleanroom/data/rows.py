"""What both sides' readers share: the bound columns, people, and the words that rows are sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.runs import whole_people
from cleanroom.data.binding import Binding, Constant
from cleanroom.data.summary import FilterSummary
from cleanroom.errors import DataError
from cleanroom.match_keys.rules import RULES

__all__ = [
    "BATCH_ROWS",
    "ReadProgress",
    "RowCount",
    "Words",
    "by_people",
    "check_invalid",
    "check_names",
    "column_of",
    "differs",
    "keys_of",
    "signed_word",
    "words_of",
    "zone_of",
]

ReadProgress = Callable[[str, int], None]
"""(step, rows so far): called after every stretch of rows."""

RowCount = Callable[[NDArray[np.int64], NDArray[np.int32]], None]
"""(times in microseconds UTC, positions of events): told of every row that is read, before any filter."""

Words = NDArray[np.uint64]

BATCH_ROWS: Final = 1 << 15
"""Rows of a batch for attribution, about: their columns are taken where the last batch's were."""

_SIGN: Final = np.uint64(1 << 63)


def check_names(
    binding: Binding, needed: tuple[str, ...], optional: tuple[str, ...], constants: tuple[str, ...]
) -> None:
    """Checks the names of a binding's columns against what the agreement gives this side to bind.

    Columns of identifiers that the agreement does not match on may be bound as well.

    Raises:
        DataError: a needed name is missing, a name is unknown, or a constant stands where rows differ.
    """
    known = {*needed, *optional, *RULES}
    for name, bound in binding.columns.items():
        if name not in known:
            expected = ", ".join([*needed, *optional, "time_zone"])
            raise DataError(f"{binding.name}: columns: expected {expected}; found the unknown name {name!r}")
        if isinstance(bound, Constant) and name not in constants:
            raise DataError(f"{binding.name}: columns.{name}: expected the name of a column, found a quoted constant")
    for name in needed:
        if name not in binding.columns:
            raise DataError(f"{binding.name}: columns.{name}: expected the name of a column, found nothing")


def check_invalid(agreement: Agreement, binding: Binding, summary: FilterSummary) -> None:
    """Stops where too large a share of identifiers is null or malformed.

    Raises:
        DataError: the share is above the agreement's `max_invalid`.
    """
    invalid = summary.invalid_identifiers
    if invalid > agreement.match.max_invalid * summary.rows:
        names = " and ".join(identifier.type for identifier in agreement.match.identifiers)
        raise DataError(
            f"{binding.name}: columns.{names}: expected at most a share of {agreement.match.max_invalid} of null or "
            f"malformed identifiers, found {invalid} in {summary.rows} rows"
        )


def zone_of(agreement: Agreement, binding: Binding) -> str:
    """The zone that naive times are read in."""
    return binding.time_zone or agreement.time.zone


def column_of(words: Words) -> Words:
    """A word of n rows as a column, n × 1."""
    return words.reshape(-1, 1)


def words_of(keys: NDArray[np.uint8]) -> Words:
    """Keys n × 16 bytes as n × 2 words whose order is that of the bytes."""
    return np.ascontiguousarray(keys).view(">u8").astype(np.uint64)


def keys_of(words: Words) -> NDArray[np.uint8]:
    """The inverse of `words_of`; of n rows of more words the first two."""
    return _kernels.leading_keys(np.ascontiguousarray(words))


def signed_word(values: NDArray[np.int64]) -> Words:
    """Signed integers as words of the same order."""
    return values.view(np.uint64) ^ _SIGN


def by_people(rows: Words) -> Iterator[Words]:
    """Cuts n × w rows that begin with their person, in order, into stretches of whole people."""
    for part in whole_people(rows, BATCH_ROWS):
        yield rows[part]


def differs(rows: Words) -> NDArray[np.bool_]:
    """Which of n rows differ from the row before; the first one does."""
    return _kernels.row_changes(np.ascontiguousarray(rows))
