"""The record of a run: one entry a message, chained, so that both sides can tell that they hold the same run.

Two things are chained. Each direction has a chain of its own, because the two sides may see messages of different
directions in a different order:
end_0 = SHA-256(label ‖ sender), end_i = SHA-256(end_{i-1} ‖ SHA-256(frame_i) ‖ length ‖ step), and `digest` hashes both
ends, so that it is equal on both sides exactly when every frame was. An entry's `chain` runs over all messages in the
order of the side that keeps the record: chain_0 = SHA-256(label ‖ "order"),
chain_i = SHA-256(chain_{i-1} ‖ sender ‖ SHA-256(frame_i) ‖ length ‖ step).
Senders are one byte, 0 the exposure side and 1 the outcome side; lengths are 8 bytes, little endian.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["Direction", "Transcript", "TranscriptEntry"]

_LABEL: Final = b"cleanroom/transcript/v1"


class Direction(Enum):
    """Seen from the side that keeps the record."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """One message: step, direction, length of the frame in bytes, the frame's SHA-256, the chain up to it."""

    step: str
    direction: Direction
    length: int
    sha256: bytes
    chain: bytes


class Transcript:
    """An append-only record of frames."""

    def __init__(self, *, from_exposure: Direction) -> None:
        """Args:
        from_exposure: the direction in which the exposure side's frames go, seen from here.
        """
        self._from_exposure = from_exposure
        self._sender = {direction: b"\x00" if direction is from_exposure else b"\x01" for direction in Direction}
        self._ends = {direction: hashlib.sha256(_LABEL + sender).digest() for direction, sender in self._sender.items()}
        self._chain = hashlib.sha256(_LABEL + b"order").digest()
        self._entries: list[TranscriptEntry] = []

    @property
    def entries(self) -> tuple[TranscriptEntry, ...]:
        """Every entry so far, in this side's order."""
        return tuple(self._entries)

    def record(self, step: str, direction: Direction, frame: bytes) -> TranscriptEntry:
        """Appends a frame."""
        return self.append(step, direction, length=len(frame), sha256=hashlib.sha256(frame).digest())

    def append(self, step: str, direction: Direction, *, length: int, sha256: bytes) -> TranscriptEntry:
        """Appends a frame of which only the length (below 2^64) and the SHA-256 (32 bytes) are known."""
        message = sha256 + length.to_bytes(8, "little") + step.encode()
        self._ends[direction] = hashlib.sha256(self._ends[direction] + message).digest()
        self._chain = hashlib.sha256(self._chain + self._sender[direction] + message).digest()
        entry = TranscriptEntry(step=step, direction=direction, length=length, sha256=sha256, chain=self._chain)
        self._entries.append(entry)
        return entry

    def digest(self) -> bytes:
        """Returns 32 bytes over both directions so far, exposure side's frames first; equal on both sides."""
        other = next(direction for direction in Direction if direction is not self._from_exposure)
        return hashlib.sha256(_LABEL + self._ends[self._from_exposure] + self._ends[other]).digest()
