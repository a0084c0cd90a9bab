"""Prepared rows out of core: kept as they are made, read in ascending order of keys, and divided into buckets.

Both sides' rows are a key of 16 bytes and a fixed number of words: an outcome row its values, packed
(`attribution.packing`), a lookup as many weights as the agreement allows it, unused ones zero. The first are in
memory, up to a bound; the rest are in scratch files without a name, encrypted with a key that never leaves the process
(`data.spill`), which vanish with the process however it ends. Besides, nothing here ever holds more than a run of rows,
or one bucket.

Dividing comes after the handshake, and the peer waits for it. So it takes as many rows as the public bound allows, of
as many words, whatever the rows are: rows of zeros under random keys are kept beside the real ones before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.attribution.packing import Packing
from cleanroom.attribution.rows import KEY_BYTES, Lookups, Rows
from cleanroom.data.spill import MEMORY_BYTES, Spill
from cleanroom.errors import CleanroomError
from cleanroom.protocols.buckets import Partition
from cleanroom.protocols.commitment import NODE_LEAVES
from cleanroom.protocols.seeds import fresh_seed, keystream
from cleanroom.protocols.wire import Progress, Protocol, chunks

__all__ = ["Kept", "KeptLookups", "KeptRows"]

Words = NDArray[np.uint64]
T = TypeVar("T", Lookups, Rows)
U = TypeVar("U")
_Stretch = tuple[NDArray[np.uint8], Words]
"""Keys, n × 16 bytes, ascending, and the words behind them."""

_KEY_WORDS: Final = KEY_BYTES // 8
_MOST_BUCKETS: Final = 256
"""A bucket's number is a byte."""
_LEAST_RUN: Final = 1 << 14
_MOST_RUN: Final = 1 << 16
"""Rows that are sorted, hashed and written between two reports of progress: hundredths of a second."""
_ROWS_BYTES: Final = 3 * MEMORY_BYTES
"""Of outcome rows in memory: 2^23 of people, events and two sums. They are gone before a bucket is joined."""


class Kept(ABC, Generic[T]):
    """Rows of one side, of one form in memory (`T`) and another on the disk: words behind the key, never all zero."""

    def __init__(self, words: int, *, memory_bytes: int = MEMORY_BYTES) -> None:
        """Args:
        words: of a row behind its key.
        memory_bytes: what is held in memory of rows; the rest is in a scratch file.
        """
        self._words = words
        self._memory_bytes = memory_bytes
        self._spill = self._scratch(memory_bytes)
        self._divided: Spill | None = None
        self._rows = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rows={len(self)})"

    def __len__(self) -> int:
        """The number of rows."""
        return self._rows

    def append(self, rows: T) -> None:
        """Keeps rows, in any order.

        Raises:
            CleanroomError: a scratch file cannot be written.
        """
        self.take(self._packed(rows))

    def take(self, rows: Words) -> None:
        """Keeps rows that have their form on the disk already, in any order.

        Args:
            rows: n × (2 + words): the key, whose order is that of its words, and what is behind it.

        Raises:
            CleanroomError: a scratch file cannot be written.
        """
        self._rows += len(rows)
        self._spill.append(rows)

    def pad(self, rows: int) -> None:
        """Keeps rows that are none beside the real ones, for `rows` together, so that dividing takes as long for any.

        Raises:
            CleanroomError: a scratch file cannot be written.
        """
        for start, stop in chunks(rows - self._spill.rows, self._run_rows):
            keys = np.frombuffer(keystream(fresh_seed(), KEY_BYTES * (stop - start)), dtype=np.uint8)
            words = np.zeros((stop - start, self._words), dtype=np.uint64)
            self._spill.append(_kernels.keyed_rows(keys.reshape(-1, KEY_BYTES), words))

    def ascending(self) -> Iterator[T]:
        """Yields all rows, ascending by key, `NODE_LEAVES` at a time but the last; as often as it is called.

        Raises:
            CleanroomError: a key was kept twice, or a scratch file cannot be read.
        """
        waiting: list[_Stretch] = []
        missing = NODE_LEAVES
        for keys, words in self._stretches():
            start = 0
            while len(keys) - start >= missing:
                stop = start + missing
                yield self._of([*waiting, (keys[start:stop], words[start:stop])])
                waiting, missing, start = [], NODE_LEAVES, stop
            if start < len(keys):
                waiting.append((keys[start:], words[start:]))
                missing -= len(keys) - start
        if waiting:
            yield self._of(waiting)

    def held(self) -> T:
        """All rows in memory, ascending by key."""
        return self._of(list(self._stretches()))

    def none(self) -> T:
        """No rows."""
        return self._of([])

    def divided(self, partition: Partition) -> Protocol[Callable[[int], T]]:
        """Divides the rows, once: then they are in their buckets alone. See `cleanroom.protocols.buckets.Source`.

        Raises:
            BucketOverflowError: a bucket has more rows than its capacity.
            CleanroomError: a scratch file cannot be written or read.
            ValueError: there are more rows than the public bound, more than 256 buckets, or rows were divided before.
        """
        if partition.buckets > _MOST_BUCKETS or self._rows > partition.rows:
            raise ValueError(f"at most {_MOST_BUCKETS} buckets, and no more rows than the public bound, expected")
        if self._divided is not None:
            raise ValueError("rows are divided once")
        divided = self._divided = self._scratch(min(self._memory_bytes, MEMORY_BYTES))
        counts = np.zeros(partition.buckets, dtype=np.int64)
        for run in self._spill.runs():
            words = _in_order(_kernels.keyed_in_order, run)
            numbers = partition.numbers(_keys(words))
            divided.append(words, numbers.astype(np.uint8))
            real = np.bincount(numbers, weights=_kernels.real_rows(words), minlength=partition.buckets)
            counts += real.astype(np.int64)
            yield Progress("bins", divided.rows, partition.rows)
        partition.check(counts)
        self._spill.close()

        def bucket(number: int) -> T:
            # in the order in which they came, which is that of their keys
            return self._unpacked(*_kernels.split_as_is(divided.part(number)))

        return bucket

    def close(self) -> None:
        """Forgets the rows and closes the scratch files."""
        self._spill.close()
        if self._divided is not None:
            self._divided.close()

    @property
    def _run_rows(self) -> int:
        return min(max(_LEAST_RUN, self._memory_bytes // (8 * (_KEY_WORDS + self._words))), _MOST_RUN)

    def _scratch(self, memory_bytes: int) -> Spill:
        return Spill(_KEY_WORDS + self._words, memory_bytes=memory_bytes, run_rows=self._run_rows)

    def _stretches(self) -> Iterator[_Stretch]:
        """All rows without what pads them, ascending by key."""
        for run in self._spill.runs():
            yield _in_order(_kernels.split_in_order, run)

    def _of(self, stretches: Sequence[_Stretch]) -> T:
        """Rows that follow each other."""
        if len(stretches) == 1:
            return self._unpacked(*stretches[0])
        keys, words = np.zeros((0, KEY_BYTES), dtype=np.uint8), np.zeros((0, self._words), dtype=np.uint64)
        return self._unpacked(
            np.concatenate([keys, *(keys for keys, _ in stretches)]),
            np.concatenate([words, *(words for _, words in stretches)]),
        )

    @abstractmethod
    def _packed(self, rows: T) -> Words:
        """Rows as words, those of their keys first: n × (2 + words)."""

    @abstractmethod
    def _unpacked(self, keys: NDArray[np.uint8], words: Words) -> T:
        """And back."""


class KeptRows(Kept[Rows]):
    """The outcome side's rows, their values packed."""

    def __init__(self, packing: Packing, *, memory_bytes: int = _ROWS_BYTES) -> None:
        """Args:
        packing: of a row's values.
        memory_bytes: what is held in memory of rows; the rest is in a scratch file.
        """
        super().__init__(packing.words, memory_bytes=memory_bytes)
        self._packing = packing

    def _packed(self, rows: Rows) -> Words:
        return _kernels.keyed_rows(rows.keys, self._packing.packed(rows.values))

    def _unpacked(self, keys: NDArray[np.uint8], words: Words) -> Rows:
        return Rows(keys=keys, values=self._packing.unpacked(words))


class KeptLookups(Kept[Lookups]):
    """The exposure side's lookups: a word a weight, target in its upper half and weight in its lower one."""

    def __init__(self, weights: int, *, weight_bound: int, memory_bytes: int = MEMORY_BYTES) -> None:
        """Args:
        weights: of a lookup, at most.
        weight_bound: the largest |weight|, below 2^31.
        memory_bytes: what is held in memory of rows; the rest is in a scratch file.
        """
        super().__init__(weights, memory_bytes=memory_bytes)
        self._weight_bound = min(weight_bound, (1 << 31) - 1)

    def _packed(self, rows: Lookups) -> Words:
        try:
            return _kernels.packed_lookups(
                rows.keys, rows.indptr, rows.target, rows.weight, self._words, self._weight_bound
            )
        except ValueError:
            raise CleanroomError("a lookup has more weights, or a larger one, than the agreement allows") from None

    def _unpacked(self, keys: NDArray[np.uint8], words: Words) -> Lookups:
        indptr, target, weight = _kernels.unpacked_lookups(words)
        return Lookups(keys=keys, indptr=indptr, target=target, weight=weight)


def _in_order(kernel: Callable[[list[Words]], U], run: list[Words]) -> U:
    """A run in the order of its keys, which are distinct: a row's key is that of one person alone."""
    try:
        return kernel(run)
    except ValueError:
        raise CleanroomError("one person reached the preparation twice") from None


def _keys(words: Words) -> NDArray[np.uint8]:
    """The keys in front of rows of words."""
    return words[:, :_KEY_WORDS].astype(">u8").view(np.uint8).reshape(-1, KEY_BYTES)
