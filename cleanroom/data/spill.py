"""Rows of 64-bit words, more than fit in memory, handed back in order.

Every row belongs to one of 256 parts: that of its first word's top byte, which is the head of a SHA-256 digest and so
spreads rows evenly, or one that is given with it. Rows are gathered in stretches, each grouped by part, so that
neighbouring parts are read of every stretch in one go. The first stretches, small ones, stay in memory, up to a bound;
the rest are in one scratch file that has no name (nothing can be left behind) and is encrypted with a key that never
leaves this process. Rows are counted, never looked at, to say which: as many are written and read whatever they are.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import CleanroomError

__all__ = ["MEMORY_BYTES", "Spill"]

Words = NDArray[np.uint64]
Parts = NDArray[np.uint8]

MEMORY_BYTES: Final = 64 << 20
"""What one spill holds in memory; the rest it writes."""

_NEAR_BYTES: Final = 1 << 20
"""What is grouped at once in memory: it stays in a near cache."""
_FAR_BYTES: Final = 8 << 20
"""What is grouped and written at once: a part of it is worth a read."""
_PIECE_BYTES: Final = 1 << 18
"""What is encrypted and written at once: it stays in the processor's cache in between."""
_BLOCK_BYTES: Final = 64
"""Of the cipher."""
_PARTS: Final = 256
_BATCH_ROWS: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretch:
    """Rows grouped by part, in memory, or in the scratch file from its row `start` on."""

    places: NDArray[np.int64]  # 257: where each part begins, and the last one ends
    start: int
    rows: Words | None = field(repr=False)


class Spill:
    """Collects rows of `words` 64-bit words, then yields them in runs of consecutive parts."""

    def __init__(self, words: int, *, memory_bytes: int = MEMORY_BYTES, run_rows: int = _BATCH_ROWS) -> None:
        """Args:
        words: of a row.
        memory_bytes: what is held in memory; what comes after it is written.
        run_rows: how many rows `parts` aims at in one run.
        """
        self._words = words
        self._run_rows = run_rows
        self._row_bytes = 8 * words
        self._near_rows, self._far_rows = (
            max(1, min(memory_bytes, most) // self._row_bytes) for most in (_NEAR_BYTES, _FAR_BYTES)
        )
        self._memory_rows = memory_bytes // (self._near_rows * self._row_bytes) * self._near_rows
        self._rows = 0
        self._held: deque[tuple[Words, Parts | None]] = deque()
        self._held_rows = 0
        self._stretches: list[_Stretch] = []
        self._counts = np.zeros(_PARTS, dtype=np.int64)  # of the stretches
        self._file: FileIO | None = None
        self._key = secrets.token_bytes(32)

    def __repr__(self) -> str:
        return f"Spill(words={self._words}, rows={self.rows}, on_disk={self._file is not None})"

    @property
    def rows(self) -> int:
        """How many rows were appended."""
        return self._rows

    def append(self, rows: Words, parts: Parts | None = None) -> None:
        """Adds rows.

        Args:
            rows: n × words.
            parts: of each row, (n,); the top byte of its first word if left out, which is then always left out.

        Raises:
            CleanroomError: the scratch file cannot be written.
        """
        if len(rows) == 0:
            return
        self._held.append((np.ascontiguousarray(rows), parts))
        self._held_rows += len(rows)
        self._rows += len(rows)
        if self._rows > min(self._run_rows, self._memory_rows):  # fewer may be one run
            while self._held_rows >= self._missing:
                self._gather(self._missing)

    def parts(self) -> Iterator[Words]:
        """Yields all rows once, about `run_rows` at a time, as often as it is called.

        The runs follow each other in the order of their parts; rows inside a run are in no order.

        Raises:
            CleanroomError: the scratch file cannot be read or written.
        """
        for pieces in self.runs():
            yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def runs(self) -> Iterator[list[Words]]:
        """As `parts`, with the rows of each run in one piece or several.

        Raises:
            CleanroomError: the scratch file cannot be read or written.
        """
        if not self._stretches and self._rows <= self._run_rows:
            if self._held:
                yield [rows for rows, _ in self._held]
            return
        self._gather_all()
        first = 0
        while first < _PARTS:
            last, count = first + 1, int(self._counts[first])
            while last < _PARTS and count + int(self._counts[last]) <= self._run_rows:
                count += int(self._counts[last])
                last += 1
            if count:
                yield list(self._pieces(first, last))
            first = last

    def part(self, number: int) -> Words:
        """The rows of a part, in the order in which they were appended.

        Raises:
            CleanroomError: the scratch file cannot be written or read.
        """
        self._gather_all()
        return np.concatenate([np.zeros((0, self._words), dtype=np.uint64), *self._pieces(number, number + 1)])

    def sorted_parts(self, *, unique: bool = False) -> Iterator[Words]:
        """As `parts`, with the rows of each run in lexicographic order of their words.

        Args:
            unique: leave one of equal rows.
        """
        for pieces in self.runs():
            yield _kernels.sort_rows([np.ascontiguousarray(rows) for rows in pieces], unique=unique)

    def close(self) -> None:
        """Forgets the rows and closes the scratch file."""
        self._held, self._stretches = deque(), []
        self._held_rows = self._rows = 0
        self._counts[:] = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _missing(self) -> int:
        """Rows to the end of the next stretch: all but the last before rows are asked for end at such places."""
        done = self._rows - self._held_rows
        if done < self._memory_rows:
            return self._near_rows - done % self._near_rows
        return self._far_rows - (done - self._memory_rows) % self._far_rows

    def _gather_all(self) -> None:
        while self._held_rows:
            self._gather(min(self._missing, self._held_rows))

    def _gather(self, count: int) -> None:
        """Makes a stretch of the first rows that are held."""
        start, pieces, parts = self._rows - self._held_rows, [], []
        self._held_rows -= count
        end = start + count
        while count:
            rows, own = self._held.popleft()
            if len(rows) > count:
                self._held.appendleft((rows[count:], None if own is None else own[count:]))
                rows, own = rows[:count], None if own is None else own[:count]
            pieces.append(rows)
            parts.extend([] if own is None else [own])
            count -= len(rows)
        grouped, counts = _kernels.group_rows(pieces, parts)
        self._counts += counts
        places = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        held = end <= self._memory_rows
        self._stretches.append(_Stretch(places=places, start=start - self._memory_rows, rows=grouped if held else None))
        if not held:
            self._write_out(grouped)

    def _write_out(self, rows: Words) -> None:
        """Writes the last stretch."""
        try:
            if self._file is None:
                # named, so that a folder which cannot be used is an error and no reason to take another one
                folder = os.environ.get("TMPDIR") or None
                self._file = tempfile.TemporaryFile(prefix="cleanroom-", buffering=0, dir=folder)  # noqa: SIM115 (closed by close)
            self._write(self._file, len(self._stretches) - 1, rows)
        except OSError as error:
            raise CleanroomError(f"the scratch file could not be written ({error.strerror})") from None

    def _write(self, file: FileIO, stretch: int, rows: Words) -> None:
        cipher, plain = self._cipher(stretch, 0), rows.reshape(-1).view(np.uint8).data
        hidden = memoryview(bytearray(min(_PIECE_BYTES, len(plain))))
        file.seek(self._stretches[stretch].start * self._row_bytes)
        for first in range(0, len(plain), _PIECE_BYTES):
            data = hidden[: cipher.update_into(plain[first : first + _PIECE_BYTES], hidden)]
            while data:
                data = data[file.write(data) :]

    def _pieces(self, first: int, last: int) -> Iterator[Words]:
        """The rows of some parts, of one stretch after the other."""
        for number, stretch in enumerate(self._stretches):
            start, end = int(stretch.places[first]), int(stretch.places[last])
            if start == end:
                continue
            if stretch.rows is not None:
                yield stretch.rows[start:end]
            elif self._file is not None:
                rows = np.empty((end - start, self._words), dtype=np.uint64)
                self._read(self._file, number, start, rows)
                yield rows

    def _read(self, file: FileIO, stretch: int, start: int, out: Words) -> None:
        """Fills `out` with rows of a stretch, from its row `start` on."""
        data, done = memoryview(bytearray(out.nbytes)), 0
        try:
            file.seek((self._stretches[stretch].start + start) * self._row_bytes)
            while done < len(data):  # the system may give less than it is asked for, and never gives 2 GiB at once
                read = file.readinto(data[done:])
                if not read:
                    raise CleanroomError("the scratch file could not be read (it is shorter than what was written)")
                done += read
        except OSError as error:
            raise CleanroomError(f"the scratch file could not be read ({error.strerror})") from None
        self._cipher(stretch, start * self._row_bytes).update_into(data, out.reshape(-1).view(np.uint8).data)

    def _cipher(self, stretch: int, start: int) -> CipherContext:
        """Encrypts or decrypts a stretch from byte `start` on.

        ChaCha20, one nonce a stretch under this spill's key: eight bytes that count blocks, always from zero at a
        stretch's first byte, then eight that number the stretch. Every stretch is written once.
        """
        block, within = divmod(start, _BLOCK_BYTES)
        nonce = block.to_bytes(8, "little") + stretch.to_bytes(8, "little")
        cipher = Cipher(ChaCha20(self._key, nonce), mode=None).encryptor()
        cipher.update(bytes(within))
        return cipher
