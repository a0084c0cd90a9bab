"""What becomes of the rows that are read, and the rows whose fate waits until all rows of their account are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.data.accounts import RowAccounts, held_by
from cleanroom.data.rows import Words, differs
from cleanroom.data.spill import Spill
from cleanroom.match_keys.people import VALID

__all__ = ["Fate", "PendingRows", "SettledRows", "counts_of", "fate_of"]


class Fate(IntEnum):
    """What becomes of a row."""

    KEPT = 0
    NULL = 1
    MALFORMED = 2
    OTHER_EVENT = 3
    OUT_OF_SCOPE = 4
    OUT_OF_PERIOD = 5


_UNNAMED: Final = np.array([Fate.KEPT, Fate.NULL, Fate.MALFORMED])
"""The fate of a row that nothing names, by its status."""


def fate_of(
    fate: NDArray[np.int64], status: NDArray[np.uint8], *, named: bool | NDArray[np.bool_] = False
) -> NDArray[np.int64]:
    """The fate of rows: filters decide only where they, or their accounts, have an identifier.

    Args:
        fate: n, what the filters say.
        status: n, of the rows' own identifiers.
        named: which rows have an identifier by their account.
    """
    if not (status != VALID).any():
        return fate
    return np.where(named | (status == VALID), fate, _UNNAMED[status])


def counts_of(fate: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows have each fate."""
    return np.bincount(fate, minlength=len(Fate))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SettledRows:
    """All rows of some accounts: words n × w in the order of their accounts, and what is known of each now.

    owner: n, position in `account`; account: a × 2 words; held: a × 2k words, what each holds under every identifier;
    fate: n.
    """

    words: Words = field(repr=False)
    owner: NDArray[np.int64] = field(repr=False)
    account: Words = field(repr=False)
    held: Words = field(repr=False)
    fate: NDArray[np.int64] = field(repr=False)


class PendingRows:
    """Rows of accounts, each of `words` words that begin with the account and have the row's time at `time_word`."""

    def __init__(self, words: int, *, time_word: int, identifiers: int, memory_bytes: int) -> None:
        self._words = words
        self._time_word = time_word
        self._spill = Spill(words + 1 + 2 * identifiers, memory_bytes=memory_bytes)

    def append(self, words: Words, people: RowAccounts, fate: NDArray[np.int64]) -> NDArray[np.int64]:
        """Holds the rows that are an account's; returns the fates of the others."""
        known = people.account.any(axis=1)
        marks = (fate << 8 | people.status).astype(np.uint64)[:, None]
        self._spill.append(np.concatenate([words, marks, people.held], axis=1)[known])
        return fate_of(fate, people.status)[~known]

    def settled(self) -> Iterator[SettledRows]:
        """Yields the rows again, whole accounts at a time."""
        for rows in self._spill.parts():
            rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
            starts = differs(rows[:, :2])
            owner = np.cumsum(starts) - 1
            held = held_by(owner, rows[:, self._time_word], rows[:, self._words + 1 :])
            marks = rows[:, self._words]
            fate, status = (marks >> np.uint64(8)).astype(np.int64), (marks & np.uint64(0xFF)).astype(np.uint8)
            yield SettledRows(
                words=rows[:, : self._words],
                owner=owner,
                account=rows[starts, :2],
                held=held,
                fate=fate_of(fate, status, named=np.asarray(held.any(axis=1))[owner]),
            )

    def close(self) -> None:
        """Forgets the rows."""
        self._spill.close()
