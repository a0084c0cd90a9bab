"""Three distinct bins a key, and a placement by augmenting paths, one row at a time."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["place", "positions"]


def positions(keys: NDArray[np.uint8], seed: bytes, n_bins: int) -> NDArray[np.int64]:
    """Computes what `cuckoo.positions` computes: n × 3 distinct bins in [0, n_bins)."""
    out = np.empty((len(keys), 3), dtype=np.int64)
    for row, key in enumerate(keys):
        digest = hashlib.sha256(b"bins/v1" + seed + key.tobytes()).digest()
        taken: list[int] = []
        for choice in range(3):
            word = int.from_bytes(digest[8 * choice : 8 * choice + 8], "little")
            position = word * (n_bins - choice) >> 64
            for other in sorted(taken):
                position += position >= other
            taken.append(position)
        out[row] = taken
    return out


def place(positions: NDArray[np.int64], n_bins: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]] | None:
    """Computes what the kernel's placement computes: the row and the choice of each bin, or None."""
    bins_of = [[int(position) for position in row] for row in positions]
    row_of = [-1] * n_bins
    for row, bins in enumerate(bins_of):
        path = _search(bins, bins_of, row_of)
        if path is None:
            return None
        for target, source in zip(reversed(path), reversed(path[:-1]), strict=False):
            row_of[target] = row_of[source]
        row_of[path[0]] = row
    choice_of = [bins_of[row].index(index) if row >= 0 else 0 for index, row in enumerate(row_of)]
    return np.array(row_of, dtype=np.int64), np.array(choice_of, dtype=np.uint8)


def _search(bins: list[int], bins_of: list[list[int]], row_of: list[int]) -> list[int] | None:
    """Finds the first path of bins, breadth first, whose last bin is empty."""
    seen: set[int] = set()
    frontier: list[tuple[list[int], list[int]]] = [([], bins)]
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
