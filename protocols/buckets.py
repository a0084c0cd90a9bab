"""Buckets: a join of more rows than one table should hold is cut into joins of their own, whose shares add up.

Functionality: a public map from a row's key to one of β buckets. β and the capacity of a bucket on either side are
functions of the public bounds alone: the side with the larger bound has `BUCKET_ROWS` rows in a bucket on average, and
every bucket is padded to a capacity of nine standard deviations above the mean. One bucket is the whole join.

Security model: semi-honest. The hash is public and keyed by the session id, which nobody can know when identifiers are
made or data is prepared: nobody can choose rows that crowd a bucket. **A person's rows spread over buckets like any
others: the hash takes the row's key, never the person.** A side's counts are checked, all of them, before it sends
anything that depends on data; more rows in a bucket than its capacity (probability below 2^-40 for the whole run, see
`overflow_bits`) end the run there. What each party learns: nothing; how many rows fell where leaves neither side.
Everything in a bucket is independent of the other buckets: bins, keys of the oblivious PRF, targets and masks come from
streams that carry the bucket's number. Rounds 0, bytes 0.

Source: hashing into padded buckets as in Pinkas, Schneider and Zohner (ePrint 2016/930); Chernoff's bound as Hoeffding
has it (JASA 58, 1963, theorem 1).

Departures: none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from math import isqrt, log, log1p
from math import log2 as _log2
from typing import Final, TypeVar
from typing import Protocol as Structural

import numpy as np
from numpy.typing import NDArray

from cleanroom.errors import CleanroomError
from cleanroom.protocols import cuckoo
from cleanroom.protocols.wire import Protocol, chunks

__all__ = [
    "BUCKET_ROWS",
    "BucketOverflowError",
    "Division",
    "Partition",
    "Source",
    "overflow_bits",
]

BUCKET_ROWS: Final = 1 << 20
"""Rows in a bucket on average, of the side with the larger bound: what a join of one bucket holds in about 1 GiB."""
DEVIATIONS: Final = 9
"""Standard deviations above the mean that a bucket has room for."""
LEAST_MEAN: Final = cuckoo.MIN_ROWS
"""A smaller mean counts as this: nine deviations say little about few rows, and no table is sized for fewer."""

_SPREAD: Final = 1 << 31
"""Numbers that a key is hashed to before they are cut into buckets."""
_SLICE_ROWS: Final = 1 << 20

T_co = TypeVar("T_co", covariant=True)


class BucketOverflowError(CleanroomError):
    """By chance more of this side's rows fell into one bucket than it holds; a new run has another session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How many buckets a join has and how many rows each holds; public."""

    count: int
    exposure: int  # capacity of a bucket on the exposure side
    outcome: int

    @staticmethod
    def of(*, rows_exposure: int, rows_outcome: int, bucket_rows: int = BUCKET_ROWS) -> Division:
        """Divides a join.

        Args:
            rows_exposure: public bound on the exposure side's rows.
            rows_outcome: public bound on the outcome side's.
            bucket_rows: rows in a bucket on average, on the side with the larger bound, at least 1.
        """
        count = max(1, -(-max(rows_exposure, rows_outcome) // bucket_rows))
        return Division(count=count, exposure=_capacity(rows_exposure, count), outcome=_capacity(rows_outcome, count))


def _capacity(rows: int, count: int) -> int:
    if count == 1:
        return rows
    mean = max(-(-rows // count), LEAST_MEAN)
    return min(rows, mean + isqrt(DEVIATIONS**2 * mean - 1) + 1)


def overflow_bits(*, rows: int, buckets: int, capacity: int) -> float:
    """Bounds the probability that any of a side's buckets gets more rows than it holds.

    Args:
        rows: how many are spread.
        buckets: over how many.
        capacity: rows that one holds.

    Returns:
        b: the probability is at most 2^-b, by Chernoff's bound and a union bound; infinite if it cannot happen.
    """
    if capacity >= rows:
        return float("inf")
    share, limit = 1 / buckets, (capacity + 1) / rows
    if limit <= share:
        return 0.0
    tail = limit * log(limit / share)
    if limit < 1:
        tail += (1 - limit) * (log1p(-limit) - log1p(-share))
    return rows * tail / log(2) - _log2(buckets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The buckets of one side in one session."""

    session_id: bytes  # 32 bytes, from the handshake
    buckets: int
    rows: int  # the public bound on the side's rows
    capacity: int  # of a bucket

    def numbers(self, keys: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Says which bucket each key belongs to.

        Args:
            keys: n × 16 bytes.

        Returns:
            n numbers in [0, buckets).
        """
        seed = sha256(b"cleanroom/buckets/v1" + self.session_id).digest()
        numbers = np.empty(len(keys), dtype=np.int64)
        for start, stop in chunks(len(keys), _SLICE_ROWS):
            spread = cuckoo.positions(keys[start:stop], seed, _SPREAD)[:, 0]
            numbers[start:stop] = spread * self.buckets // _SPREAD
        return numbers

    def check(self, counts: NDArray[np.int64]) -> None:
        """Checks that every bucket holds its rows; call it before anything that depends on data is sent.

        Args:
            counts: this side's rows in each bucket.

        Raises:
            BucketOverflowError: one does not.
        """
        if int(counts.max(initial=0)) > self.capacity:
            raise BucketOverflowError(
                "buckets: more of this side's rows fell into one than it holds, which chance does less often than once "
                "in 2^40 sessions; nothing was sent; run again"
            )


class Source(Structural[T_co]):
    """One side's rows, wherever they are kept.

    The time that it takes is seen by the peer, so it has to follow from the partition and not from the rows.
    """

    def divided(self, partition: Partition) -> Protocol[Callable[[int], T_co]]:
        """Divides the rows.

        Args:
            partition: which row goes where.

        Yields:
            Progress in rows, where there is more than one bucket.

        Returns:
            Bucket number -> its rows, the same each time.

        Raises:
            BucketOverflowError: a bucket has more rows than its capacity.
        """
        ...
