"""Three distinct bins a key, a placement by augmenting paths one row at a time, and one query a bin."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from tools.slow.streams import Streams, keystream

__all__ = ["ATTEMPTS", "Placement", "bin_count", "bin_seed", "place", "place_padded", "positions", "queries"]

ATTEMPTS: Final = 8
Placement = list[tuple[int, int] | None]
"""Of each bin: the row in it and which of the row's positions it is; None where it is empty."""


def bin_count(rows: int) -> int:
    """N for a public bound on rows: 1.27 a row, never for fewer than 1024."""
    return -(-127 * max(rows, 1024) // 100)


def bin_seed(session_id: bytes, *, bucket: int = 0, attempt: int = 0) -> bytes:
    """The seed of the positions."""
    label = b"cleanroom/bins/v1" + bucket.to_bytes(4, "little") + attempt.to_bytes(4, "little")
    return hashlib.sha256(label + session_id).digest()


def positions(key: bytes, seed: bytes, n_bins: int) -> list[int]:
    """Three distinct bins in [0, n_bins): each is drawn among those that are left."""
    digest = hashlib.sha256(b"bins/v1" + seed + key).digest()
    taken: list[int] = []
    for choice in range(3):
        word = int.from_bytes(digest[8 * choice : 8 * choice + 8], "little")
        position = word * (n_bins - choice) >> 64
        for other in sorted(taken):
            position += position >= other
        taken.append(position)
    return taken


def place(bins_of: Sequence[Sequence[int]], n_bins: int) -> Placement | None:
    """Gives every row one of its bins, or None where that cannot be.

    Args:
        bins_of: three distinct bins a row.
        n_bins: N.
    """
    row_of = [-1] * n_bins
    for row, bins in enumerate(bins_of):
        path = _search(bins, bins_of, row_of)
        if path is None:
            return None
        for target, source in zip(reversed(path), reversed(path[:-1]), strict=False):
            row_of[target] = row_of[source]
        row_of[path[0]] = row
    return [(row, list(bins_of[row]).index(index)) if row >= 0 else None for index, row in enumerate(row_of)]


def _search(bins: Sequence[int], bins_of: Sequence[Sequence[int]], row_of: list[int]) -> list[int] | None:
    """Finds the first path of bins, breadth first, whose last bin is empty."""
    seen: set[int] = set()
    frontier: list[tuple[list[int], Sequence[int]]] = [([], bins)]
    while frontier:
        prefix, nexts = frontier.pop(0)
        for index in nexts:
            if index not in seen:
                seen.add(index)
                path = [*prefix, index]
                if row_of[index] < 0:
                    return path
                frontier.append((path, bins_of[row_of[index]]))
    return None


def place_padded(
    keys: Sequence[bytes], *, rows: int, n_bins: int, streams: Streams, bucket: int = 0
) -> tuple[Placement, int]:
    """Places rows beside random ones up to the public bound, whose bins are emptied again; and the attempt."""
    stream = keystream(streams.key("bins", "padding", bucket=bucket), 16 * (rows - len(keys)))
    padded = [*keys, *(stream[at : at + 16] for at in range(0, len(stream), 16))]
    for attempt in range(ATTEMPTS):
        seed = bin_seed(streams.session_id, bucket=bucket, attempt=attempt)
        placed = place([positions(key, seed, n_bins) for key in padded], n_bins)
        if placed is not None:
            return [entry if entry is not None and entry[0] < len(keys) else None for entry in placed], attempt
    raise ValueError("no placement under any attempt")


def queries(placed: Placement, keys: Sequence[bytes], streams: Streams, bucket: int = 0) -> list[bytes]:
    """The one query of each bin: key, position, domain, bin; 26 bytes."""
    fresh = keystream(streams.key("bins", "dummies", bucket=bucket), 16 * len(placed))
    found = []
    for index, entry in enumerate(placed):
        if entry is None:
            found.append(fresh[16 * index : 16 * index + 16] + b"\x00\x01" + index.to_bytes(8, "little"))
        else:
            found.append(keys[entry[0]] + bytes([entry[1], 0]) + bytes(8))
    return found
