"""Rows of 64-bit words, more than fit in memory, handed back in order.

The first word is the head of a SHA-256 digest, so rows spread evenly over 256 parts by their top byte. Rows stay in
memory up to a bound; past it they are appended to one scratch file that has no name (nothing can be left behind) and is
encrypted with a key that never leaves this process. A stretch of rows is written at a time, grouped by part, so that
neighbouring parts are read of every stretch in one go.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from typing import IO, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import CleanroomError

__all__ = ["MEMORY_BYTES", "Spill"]

Words = NDArray[np.uint64]

MEMORY_BYTES: Final = 64 << 20
"""What one spill holds in memory before it writes."""

_STRETCH_BYTES: Final = 8 << 20
"""What is grouped at once: allocators keep that much for the next time, without new pages."""
_PIECE_BYTES: Final = 1 << 18
"""What is encrypted and written at once: it stays in the processor's cache in between."""
_BLOCK_BYTES: Final = 64
"""Of the cipher."""
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
        self._row_bytes = 8 * words
        self._memory_rows = max(1, memory_bytes // self._row_bytes)
        self._stretch_rows = min(self._memory_rows, _STRETCH_BYTES // self._row_bytes)
        self._held: list[Words] = []
        self._held_rows = 0
        self._counts = np.zeros(_PARTS, dtype=np.int64)
        self._file: IO[bytes] | None = None
        self._key = secrets.token_bytes(32)
        self._stretches: list[NDArray[np.int64]] = []  # rows before each part's first and after the last, in the file

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
        if self._held_rows > (self._memory_rows if self._file is None else self._stretch_rows):
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
        held, self._held, self._held_rows = self._held, [], 0
        held.reverse()
        try:
            if self._file is None:
                # named, so that a folder which cannot be used is an error and no reason to take another one
                folder = os.environ.get("TMPDIR") or None
                self._file = tempfile.TemporaryFile(prefix="cleanroom-", buffering=0, dir=folder)  # noqa: SIM115 (closed by close)
            while held:
                stretch = [held.pop()]
                rows = len(stretch[0])
                while held and rows < self._stretch_rows:
                    stretch.append(held.pop())
                    rows += len(stretch[-1])
                self._write(self._file, stretch)
        except OSError as error:
            raise CleanroomError(f"the scratch file could not be written ({error.strerror})") from None

    def _write(self, file: IO[bytes], parts: list[Words]) -> None:
        rows, counts = _kernels.group_rows([np.ascontiguousarray(part) for part in parts])
        start = self._stretches[-1][-1] if self._stretches else 0
        cipher, plain = self._cipher(len(self._stretches), 0), rows.reshape(-1).view(np.uint8).data
        self._stretches.append(start + np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]))
        file.seek(0, os.SEEK_END)
        hidden = memoryview(bytearray(min(_PIECE_BYTES, len(plain))))
        for first in range(0, len(plain), _PIECE_BYTES):
            data = hidden[: cipher.update_into(plain[first : first + _PIECE_BYTES], hidden)]
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
        for number, places in enumerate(self._stretches):
            start, end = int(places[first]), int(places[last])
            length = (end - start) * self._row_bytes
            try:
                self._file.seek(start * self._row_bytes)
                data = self._file.read(length)
            except OSError as error:
                raise CleanroomError(f"the scratch file could not be read ({error.strerror})") from None
            if len(data) != length:
                raise CleanroomError("the scratch file could not be read (it is shorter than what was written)")
            cipher = self._cipher(number, (start - int(places[0])) * self._row_bytes)
            cipher.update_into(data, rows[done : done + end - start].reshape(-1).view(np.uint8).data)
            done += end - start
        return rows

    def _cipher(self, stretch: int, start: int) -> CipherContext:
        """Encrypts or decrypts a stretch from byte `start` on: ChaCha20, one nonce a stretch under this spill's key."""
        block, within = divmod(start, _BLOCK_BYTES)
        nonce = block.to_bytes(8, "little") + stretch.to_bytes(8, "little")
        cipher = Cipher(ChaCha20(self._key, nonce), mode=None).encryptor()
        cipher.update(bytes(within))
        return cipher
