"""What the two sides bring to the join: the exposure side's lookups and the outcome side's rows, held in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.buckets import Partition
from cleanroom.protocols.wire import Progress, Protocol

__all__ = ["KEY_BYTES", "Lookups", "Rows"]

KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lookups:
    """The exposure side's input: distinct keys, each with integer weights for some targets (compressed sparse rows).

    The weights of key i are `weight[indptr[i]:indptr[i + 1]]`, for the targets at the same places, ascending and
    distinct. A target is `class position * groups + group`.

    Args:
        keys: (n, 16) uint8, distinct; prepared ones ascend as byte strings.
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

    def divided(self, partition: Partition) -> Protocol[Callable[[int], Lookups]]:
        """Divides the lookups; see `Source`."""
        return _divided(self, partition, self._chosen)

    def _chosen(self, rows: NDArray[np.int64]) -> Lookups:
        counts = np.diff(self.indptr)[rows]
        indptr = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
        entry = np.repeat(self.indptr[rows] - indptr[:-1], counts) + np.arange(int(indptr[-1]), dtype=np.int64)
        return Lookups(keys=self.keys[rows], indptr=indptr, target=self.target[entry], weight=self.weight[entry])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The outcome side's input: distinct keys, each with one integer a column.

    Args:
        keys: (n, 16) uint8, distinct; prepared ones ascend as byte strings.
        values: (n, m) int64, read modulo 2^64; of prepared rows none is all zero.

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

    def divided(self, partition: Partition) -> Protocol[Callable[[int], Rows]]:
        """Divides the rows; see `Source`."""
        return _divided(self, partition, lambda rows: Rows(keys=self.keys[rows], values=self.values[rows]))


_T = TypeVar("_T", Lookups, Rows)


def _divided(
    held: _T, partition: Partition, chosen: Callable[[NDArray[np.int64]], _T]
) -> Protocol[Callable[[int], _T]]:
    """Divides what is held, by as much work as the public bound allows keys; `chosen` takes some rows out of it."""
    if partition.buckets == 1:
        return lambda bucket: held
    yield Progress("bins", 0, partition.rows)
    if len(held) > partition.rows:
        raise ValueError("there are more rows than the public bound")
    padded = np.zeros((partition.rows, KEY_BYTES), dtype=np.uint8)
    padded[: len(held)] = held.keys
    numbers = partition.numbers(padded)[: len(held)]
    partition.check(np.bincount(numbers, minlength=partition.buckets))
    return lambda bucket: chosen(np.flatnonzero(numbers == bucket))


def _expect(name: str, array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{name}: {np.dtype(dtype).name}{shape} expected, {array.dtype.name}{array.shape} found")
