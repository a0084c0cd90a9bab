"""How good a side's identifiers are, type by type: counts for the owner's own eyes, made by `data check`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement
from cleanroom.data.accounts import Accounts
from cleanroom.data.binding import Binding
from cleanroom.data.rows import ReadProgress, Words, differs, words_of
from cleanroom.data.source import stretches
from cleanroom.data.spill import MEMORY_BYTES, Spill
from cleanroom.match_keys.people import MALFORMED, NULL
from cleanroom.match_keys.placeholders import placeholder_keys

__all__ = ["IdentifierQuality", "identifier_quality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierQuality:
    """Counts of one identifier over all rows of a source, filtered ones included.

    `null`, `malformed` and the rest are rows; placeholders are among the rest. `distinct` are different values,
    `repeated` those of them in more than one row, `shared` those that belong to more than one account. `commonest`
    is the number of rows that have the most frequent value: many of one value are a default that is on no list.
    """

    identifier: str
    rows: int
    null: int
    malformed: int
    placeholder: int
    distinct: int
    repeated: int
    shared: int
    commonest: int


def identifier_quality(
    agreement: Agreement,
    binding: Binding,
    *,
    progress: ReadProgress | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> tuple[IdentifierQuality, ...]:
    """Counts a source's identifiers, in the agreed order; those that the source does not have are left out.

    Args:
        agreement: decides the identifiers and their rules.
        binding: where the rows are.
        progress: told ("identifiers", rows so far) after every stretch.
        memory_bytes: what is held in memory before an encrypted scratch file is used.

    Raises:
        DataError: a column is missing or is not text.
    """
    accounts = Accounts(agreement, binding)
    rules = {identifier.type: identifier for identifier in agreement.match.identifiers}
    placeholders = [_as_words(placeholder_keys(rules[name])) for name in accounts.identifiers]
    spills = [Spill(4, memory_bytes=memory_bytes) for _ in accounts.identifiers]
    null, malformed, placeholder = (np.zeros(len(spills), dtype=np.int64) for _ in range(3))
    rows = 0
    for stretch in stretches(binding, accounts.names):
        people = accounts.read(stretch)
        rows += stretch.rows
        for place, spill in enumerate(spills):
            keys = people.held[:, 2 * place : 2 * place + 2]
            status = people.by_identifier[place]
            null[place] += np.count_nonzero(status == NULL)
            malformed[place] += np.count_nonzero(status == MALFORMED)
            placeholder[place] += np.count_nonzero(_among(keys, placeholders[place]))
            has = keys.any(axis=1)
            spill.append(np.concatenate([keys[has], people.account[has]], axis=1))
        if progress is not None:
            progress("identifiers", rows)
    found = []
    for place, (name, spill) in enumerate(zip(accounts.identifiers, spills, strict=True)):
        distinct = repeated = shared = commonest = 0
        for ordered in spill.sorted_parts():
            starts = np.flatnonzero(differs(ordered[:, :2]))
            count = np.diff(np.append(starts, len(ordered)))
            holders = np.add.reduceat(differs(ordered).astype(np.int64), starts)
            distinct += len(starts)
            repeated += int(np.count_nonzero(count > 1))
            shared += int(np.count_nonzero(holders > 1))
            commonest = max(commonest, int(count.max()))
        spill.close()
        found.append(
            IdentifierQuality(
                identifier=name,
                rows=rows,
                null=int(null[place]),
                malformed=int(malformed[place]),
                placeholder=int(placeholder[place]),
                distinct=distinct,
                repeated=repeated,
                shared=shared,
                commonest=commonest,
            )
        )
    return tuple(found)


def _as_words(keys: frozenset[bytes]) -> Words:
    return words_of(np.frombuffer(b"".join(sorted(keys)), dtype=np.uint8).reshape(-1, 16))


def _among(keys: Words, chosen: Words) -> NDArray[np.bool_]:
    """Which of n keys are among a few chosen ones; 64 bits of a digest decide, which is enough for a count."""
    return np.isin(keys[:, 0], chosen[:, 0])
