"""Rows of 64-bit words, more than fit in memory, handed back in order.

The first word is the head of a SHA-256 digest, so rows spread evenly over 256 parts by their top byte. Rows stay in
memory up to a bound; past it every part's rows are appended to one scratch file that has no name (nothing can be left
behind) and is encrypted with a key that never leaves this process.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from typing import IO, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import CleanroomError

__all__ = ["MEMORY_BYTES", "Spill"]

Words = NDArray[np.uint64]

MEMORY_BYTES: Final = 64 << 20
"""What one spill holds in memory before it writes."""

_PARTS: Final = 256
_BATCH_ROWS: Final = 1 << 20


class Spill:
    """Collects rows of `words` 64-bit words, then yields them in runs of consecutive parts."""

    def __init__(self, words: int, *, memory_bytes: int = MEMORY_BYTES, run_rows: int = _BATCH_ROWS) -> None:
        """Args:
        words: of a row.
        memory_bytes: what is held in memory before it is written.
        run_rows: how many rows `parts` aims at in one run.
        """
        self._words = words
        self._run_rows = run_rows
        self._memory_rows = max(1, memory_bytes // (8 * words))
        self._held: list[Words] = []
        self._held_rows = 0
        self._counts = np.zeros(_PARTS, dtype=np.int64)
        self._file: IO[bytes] | None = None
        self._key = secrets.token_bytes(32)
        self._segments: list[list[tuple[int, int, int]]] = [[] for _ in range(_PARTS)]  # (offset, rows, nonce)
        self._written = 0
        self._nonce = 0

    def __repr__(self) -> str:
        return f"Spill(words={self._words}, rows={self.rows}, on_disk={self._file is not None})"

    @property
    def rows(self) -> int:
        """How many rows were appended."""
        return int(self._counts.sum())

    def append(self, rows: Words) -> None:
        """Adds rows, n × words.

        Raises:
            CleanroomError: the scratch file cannot be written.
        """
        if len(rows) == 0:
            return
        self._counts += np.bincount((rows[:, 0] >> np.uint64(56)).astype(np.int64), minlength=_PARTS)
        self._held.append(rows)
        self._held_rows += len(rows)
        if self._held_rows > self._memory_rows:
            self._flush()

    def parts(self) -> Iterator[Words]:
        """Yields all rows once, about `run_rows` at a time, as often as it is called.

        The runs follow each other in the order of the first word's top byte; rows inside a run are in no order.

        Raises:
            CleanroomError: the scratch file cannot be read or written.
        """
        if self._file is not None and self._held:
            self._flush()
        if self._file is None and self._held_rows <= self._run_rows:
            if self._held:
                yield self._merged()
            return
        first = 0
        while first < _PARTS:
            last, count = first + 1, int(self._counts[first])
            while last < _PARTS and count + int(self._counts[last]) <= self._run_rows:
                count += int(self._counts[last])
                last += 1
            if count:
                yield self._load(first, last, count)
            first = last

    def part(self, number: int) -> Words:
        """The rows whose first word has this top byte, in the order in which they were appended.

        Raises:
            CleanroomError: the scratch file cannot be written or read.
        """
        if self._file is not None and self._held:
            self._flush()
        return self._load(number, number + 1, int(self._counts[number]))

    def sorted_parts(self) -> Iterator[Words]:
        """As `parts`, with the rows of each run in lexicographic order of their words."""
        for rows in self.parts():
            yield _kernels.sort_rows(rows)

    def close(self) -> None:
        """Forgets the rows and closes the scratch file."""
        self._held = []
        self._held_rows = 0
        self._counts[:] = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _merged(self) -> Words:
        if len(self._held) > 1:
            self._held = [np.concatenate(self._held)]
        return self._held[0]

    def _flush(self) -> None:
        rows = self._merged()
        self._held = []
        self._held_rows = 0
        rows, counts = _kernels.group_rows(rows)
        ends = np.cumsum(counts)
        try:
            if self._file is None:
                # named, so that a folder which cannot be used is an error and no reason to take another one
                folder = os.environ.get("TMPDIR") or None
                self._file = tempfile.TemporaryFile(prefix="cleanroom-", buffering=0, dir=folder)  # noqa: SIM115 (closed by close)
            start = 0
            for part, end in enumerate(ends.tolist()):
                if end > start:
                    self._write(self._file, part, rows[start:end])
                start = end
        except OSError as error:
            raise CleanroomError(f"the scratch file could not be written ({error.strerror})") from None

    def _write(self, file: IO[bytes], part: int, rows: Words) -> None:
        data = memoryview(self._cipher(self._nonce, rows.tobytes()))
        self._segments[part].append((self._written, len(rows), self._nonce))
        self._nonce += 1
        self._written += len(data)
        while data:
            data = data[file.write(data) :]

    def _load(self, first: int, last: int, count: int) -> Words:
        if count == 0:
            return np.empty((0, self._words), dtype=np.uint64)
        if self._file is None:
            rows = self._merged()
            heads = rows[:, 0] >> np.uint64(56)
            return rows[(heads >= first) & (heads < last)]
        rows = np.empty((count, self._words), dtype=np.uint64)
        done = 0
        for part in range(first, last):
            for offset, length, nonce in self._segments[part]:
                try:
                    self._file.seek(offset)
                    data = self._file.read(length * self._words * 8)
                except OSError as error:
                    raise CleanroomError(f"the scratch file could not be read ({error.strerror})") from None
                if len(data) != length * self._words * 8:
                    raise CleanroomError("the scratch file could not be read (it is shorter than what was written)")
                words = np.frombuffer(self._cipher(nonce, data), dtype=np.uint64)
                rows[done : done + length] = words.reshape(length, self._words)
                done += length
        return rows

    def _cipher(self, nonce: int, data: bytes) -> bytes:
        """Encrypts or decrypts a segment: ChaCha20, one nonce a segment under this spill's key."""
        full_nonce = bytes(8) + nonce.to_bytes(8, "little")
        return Cipher(ChaCha20(self._key, full_nonce), mode=None).encryptor().update(data)
