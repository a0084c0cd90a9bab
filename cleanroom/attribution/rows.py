"""Keys of the rows that the two sides bring to the join: their domains and their order."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.join_rows import KEY_BYTES, Lookups, Rows

__all__ = ["KEY_BYTES", "MEMBER_DOMAIN", "TREE_DOMAIN", "Lookups", "Rows", "key_order"]

MEMBER_DOMAIN: Final = 0
"""Of the root key of a person: known at all."""
TREE_DOMAIN: Final = 1
"""Of keys that are nodes of the time tree; all families of touches share them."""


def key_order(keys: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The order that sorts keys as byte strings.

    Args:
        keys: (n, 16) uint8.

    Returns:
        (n,) int64 indices, ascending by key.
    """
    halves = np.ascontiguousarray(keys).view(">u8").astype(np.uint64).reshape(-1, 2)
    high, low = halves[:, 0], halves[:, 1]
    order = np.argsort(high, kind="stable")
    ranked = high[order]
    if (ranked[1:] == ranked[:-1]).any():
        order = np.lexsort((low, high))
    return order.astype(np.int64, copy=False)
