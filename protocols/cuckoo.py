"""Bins: every row of the receiver's side finds a bin of its own among three, and every bin asks exactly one question.

Functionality: a public map from a row's key to three distinct bins out of N, and the receiver's placement of its rows,
at most one a bin. The receiver then queries one input a bin, so the number and the order of queries depend on N alone.

Security model: semi-honest. A placement is private to the receiver and never sent. The seed comes from the handshake,
after both sides have fixed their inputs; a seed that allows no placement is replaced before any message that depends
on its bucket's data, and the number of attempts is all that a peer could learn (probability below 2^-40). The peer
waits for the placement, so it is made of as many rows as the public bound allows: rows with random keys take the place
of missing ones, and their bins are emptied again. Without them the wait would tell the number of rows.

What each party learns: nothing; there is no message. Rounds 0, bytes 0.

Source: Pinkas, Schneider, Tkachenko, Yanai, "Efficient circuit-based PSI with linear communication" (EUROCRYPT 2019),
with three hash functions and N = 1.27 n bins and no stash, the parameters that Pinkas, Schneider, Zohner (ePrint
2016/930) found by experiment for a failure probability of 2^-40.

Departures: the three positions are distinct by construction, because a row whose positions coincide has fewer places
and would meet itself in one bin; tables are never sized for fewer than 1024 rows; insertion is an exact matching by
breadth-first augmenting paths, so it fails only where no placement exists. The likeliest obstruction is then four rows
in the same three bins, 2^-50 expected at 1024 rows; with independent positions it would be two rows in one bin, 2^-33.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import CleanroomError
from cleanroom.protocols.seeds import keystream

__all__ = [
    "CHOICES",
    "DUMMY_DOMAIN",
    "INPUT_BYTES",
    "KEY_BYTES",
    "PADDING_DOMAIN",
    "REAL_DOMAIN",
    "NoPlacementError",
    "Table",
    "bin_count",
    "bin_seed",
    "place",
    "positions",
    "queries",
    "row_inputs",
]

KEY_BYTES: Final = 16
CHOICES: Final = 3
"""Bins that a row may lie in."""
MIN_ROWS: Final = 1024
"""Rows that the smallest table is sized for: below it, 1.27 bins a row fail more often than 2^-40."""
MAX_ATTEMPTS: Final = 8
"""Seeds tried before giving up; one fails about as often as 2^-40."""

REAL_DOMAIN: Final = 0
DUMMY_DOMAIN: Final = 1
PADDING_DOMAIN: Final = 2
INPUT_BYTES: Final = KEY_BYTES + 1 + 1 + 8
"""payload 16 ‖ position number j u8 ‖ domain u8 ‖ bin u64 little endian (0 but for a dummy)."""

Bytes = NDArray[np.uint8]


class NoPlacementError(CleanroomError):
    """This side's rows have no placement in the bins under this seed; the next attempt uses another seed."""


def bin_count(rows: int) -> int:
    """Returns N, the number of bins for a public bound of `rows` rows: ⌈1.27 · max(rows, 1024)⌉.

    Raises:
        ValueError: rows is negative.
    """
    if rows < 0:
        raise ValueError("a bound on rows is not negative")
    return -(-127 * max(rows, MIN_ROWS) // 100)


def bin_seed(*, session_id: bytes, bucket: int = 0, attempt: int = 0) -> bytes:
    """Derives the 32-byte seed of the positions, equal on both sides.

    Args:
        session_id: 32 bytes, from the handshake.
        bucket: which bucket the table belongs to, in [0, 2^32).
        attempt: how many seeds failed before, in [0, 2^32).
    """
    label = b"cleanroom/bins/v1" + bucket.to_bytes(4, "little") + attempt.to_bytes(4, "little")
    return hashlib.sha256(label + session_id).digest()


def positions(keys: Bytes, seed: bytes, n_bins: int) -> NDArray[np.int64]:
    """Maps keys to bins.

    Args:
        keys: n × 16 bytes.
        seed: 32 bytes, from `bin_seed`.
        n_bins: N, at least 3.

    Returns:
        n × 3 bins in [0, N), pairwise distinct in each row. The order matters: column j is position j.

    Raises:
        ValueError: an argument is malformed.
    """
    return _kernels.bin_positions(np.ascontiguousarray(keys, dtype=np.uint8), seed, n_bins)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Which row lies in which bin: the receiver's secret, in the order of bins."""

    n_bins: int
    row: NDArray[np.int64] = field(repr=False)
    """N: the index of the row in the bin, -1 where it is empty."""
    choice: Bytes = field(repr=False)
    """N: j, which of the row's positions the bin is; 0 where it is empty."""

    @classmethod
    def build(cls, keys: Bytes, n_bins: int, seed: bytes) -> Table:
        """Places rows.

        Args:
            keys: n × 16 bytes, distinct.
            n_bins: N, from `bin_count` of the public bound.
            seed: 32 bytes, from `bin_seed`.

        Raises:
            NoPlacementError: no placement exists under this seed.
            ValueError: an argument is malformed.
        """
        placed = _kernels.cuckoo_place(positions(keys, seed, n_bins), n_bins)
        if placed is None:
            raise NoPlacementError("the rows have no placement in the bins under this seed")
        row, choice = placed
        return cls(n_bins=n_bins, row=row, choice=choice)


def place(
    keys: Bytes, *, rows: int, padding_key: bytes, n_bins: int, session_id: bytes, bucket: int = 0
) -> tuple[Table, int]:
    """Places rows under the first seed that allows it; call it before any message that depends on the bucket's data.

    Args:
        keys: n × 16 bytes, distinct.
        rows: the public bound on n; so many are placed, and what takes longer or fails is a function of it.
        padding_key: 32 bytes of a stream of its own, for the keys of the rows that are placed beside the real ones.
        n_bins: N, from `bin_count` of the bound.
        session_id: 32 bytes, from the handshake.
        bucket: which bucket this is.

    Returns:
        The table of the real rows, and the attempt whose `bin_seed` both sides must use.

    Raises:
        NoPlacementError: no attempt found a placement; only equal keys or too many rows make that happen.
        ValueError: there are more rows than the bound.
    """
    if len(keys) > rows:
        raise ValueError("there are more rows than the public bound")
    # as many are drawn as there may be, however many are used: the peer may see how long that takes
    padding = np.frombuffer(keystream(padding_key, KEY_BYTES * rows), dtype=np.uint8).reshape(-1, KEY_BYTES)
    padded = np.concatenate([keys, padding[: rows - len(keys)]])
    for attempt in range(MAX_ATTEMPTS):
        try:
            seed = bin_seed(session_id=session_id, bucket=bucket, attempt=attempt)
            return _without_padding(Table.build(padded, n_bins, seed), len(keys)), attempt
        except NoPlacementError:
            continue
    raise NoPlacementError(f"the rows have no placement in {n_bins} bins under any of {MAX_ATTEMPTS} seeds")


def _without_padding(table: Table, rows: int) -> Table:
    """Empties the bins of all but the first `rows` rows."""
    real = table.row < rows
    return Table(
        n_bins=table.n_bins,
        row=np.where(real, table.row, np.int64(-1)),
        choice=table.choice * real.astype(np.uint8),
    )


def row_inputs(keys: Bytes, domains: Bytes) -> Bytes:
    """Builds the inputs of every row at every position, as the OPRF and the hint take them.

    Args:
        keys: n × 16 bytes.
        domains: n, REAL_DOMAIN or PADDING_DOMAIN each.

    Returns:
        3n × 26 bytes; input 3i + j is row i at position j.
    """
    inputs = np.zeros((len(keys), CHOICES, INPUT_BYTES), dtype=np.uint8)
    inputs[:, :, :KEY_BYTES] = keys[:, None]
    inputs[:, :, KEY_BYTES] = np.arange(CHOICES, dtype=np.uint8)
    inputs[:, :, KEY_BYTES + 1] = domains[:, None]
    return inputs.reshape(-1, INPUT_BYTES)


def queries(table: Table, keys: Bytes, dummy_key: bytes) -> Bytes:
    """Builds the one query of each bin.

    A row asks (key, j) in the real domain. An empty bin asks (128 fresh random bits, bin) in the dummy domain, so no
    row, and no other bin, can ask the same; it is blinded and sent like any other.

    Args:
        table: the placement of `keys`.
        keys: n × 16 bytes.
        dummy_key: 32 bytes of a stream of its own; bin i takes bytes [16i, 16i + 16) of its key stream.

    Returns:
        N × 26 bytes, in the order of bins.
    """
    occupied = table.row >= 0
    inputs = np.zeros((table.n_bins, INPUT_BYTES), dtype=np.uint8)
    fresh = np.frombuffer(keystream(dummy_key, table.n_bins * KEY_BYTES), dtype=np.uint8)
    inputs[:, :KEY_BYTES] = fresh.reshape(table.n_bins, KEY_BYTES)
    inputs[occupied, :KEY_BYTES] = keys[table.row[occupied]]
    inputs[:, KEY_BYTES] = table.choice
    inputs[~occupied, KEY_BYTES + 1] = DUMMY_DOMAIN
    bins = np.arange(table.n_bins, dtype="<u8")
    bins[occupied] = 0
    inputs[:, KEY_BYTES + 2 :] = bins.view(np.uint8).reshape(table.n_bins, 8)
    return inputs
