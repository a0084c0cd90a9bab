"""What the two sides bring to the join: the exposure side's lookups and the outcome side's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["KEY_BYTES", "MEMBER_DOMAIN", "TREE_DOMAIN", "Lookups", "Rows", "key_order"]

KEY_BYTES: Final = 16
"""A row key: the first half of a SHA-256 digest of (domain, tree node, person)."""
MEMBER_DOMAIN: Final = 0
"""Of the root key of a person: known at all."""
TREE_DOMAIN: Final = 1
"""Of keys that are nodes of the time tree; all families of touches share them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lookups:
    """The exposure side's input: distinct keys, each with integer weights for some targets (compressed sparse rows).

    The weights of key i are `weight[indptr[i]:indptr[i + 1]]`, for the targets at the same places, ascending and
    distinct. A target is `family position * groups + group` (`cleanroom.plan.Plan`).

    Args:
        keys: (n, 16) uint8, distinct, ascending as byte strings.
        indptr: (n + 1,) int64, from 0 to the number of weights.
        target: (nnz,) int32.
        weight: (nnz,) int64, never 0.

    Raises:
        ValueError: a shape or type differs from the above.
    """

    keys: NDArray[np.uint8] = field(repr=False)
    indptr: NDArray[np.int64] = field(repr=False)
    target: NDArray[np.int32] = field(repr=False)
    weight: NDArray[np.int64] = field(repr=False)

    def __post_init__(self) -> None:
        _expect("keys", self.keys, np.uint8, (len(self.keys), KEY_BYTES))
        _expect("indptr", self.indptr, np.int64, (len(self.keys) + 1,))
        _expect("target", self.target, np.int32, (int(self.indptr[-1]),))
        _expect("weight", self.weight, np.int64, (int(self.indptr[-1]),))

    def __len__(self) -> int:
        """The number of keys."""
        return len(self.keys)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The outcome side's input: distinct keys, each with one integer a column.

    Args:
        keys: (n, 16) uint8, distinct, ascending as byte strings.
        values: (n, m) int64, one for each of the plan's row values; no row is all zero.

    Raises:
        ValueError: a shape or type differs from the above.
    """

    keys: NDArray[np.uint8] = field(repr=False)
    values: NDArray[np.int64] = field(repr=False)

    def __post_init__(self) -> None:
        _expect("keys", self.keys, np.uint8, (len(self.keys), KEY_BYTES))
        _expect("values", self.values, np.int64, (len(self.keys), self.values.shape[-1]))

    def __len__(self) -> int:
        """The number of keys."""
        return len(self.keys)


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


def _expect(name: str, array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{name}: {np.dtype(dtype).name}{shape} expected, {array.dtype.name}{array.shape} found")
