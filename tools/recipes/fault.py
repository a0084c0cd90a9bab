"""A fault: a named mutation of one frame, and what the side that receives the frame says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tools.slow.frames import HEADER_BYTES
from tools.slow.transcript import Frame

__all__ = ["Edit", "Fault", "applied", "flipped", "overwritten"]


class Edit(NamedTuple):
    """Replaces `remove` bytes from position `at` of the valid frame by others."""

    at: int
    remove: int
    insert: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: its name, what is wrong in words, what it does to the frame, and what the receiver says."""

    name: str
    says: str
    edits: Sequence[Edit]
    phrase: str
    error: str = "PeerError"
    exit_code: int = 5


def applied(edits: Sequence[Edit], frame: bytes) -> bytes:
    """The faulty frame."""
    for edit in sorted(edits, reverse=True):
        frame = frame[: edit.at] + edit.insert + frame[edit.at + edit.remove :]
    return frame


def overwritten(offset: int, insert: bytes) -> list[Edit]:
    """Overwrites bytes of the payload."""
    return [Edit(HEADER_BYTES + offset, len(insert), insert)]


def flipped(frame: Frame, offset: int) -> list[Edit]:
    """Flips the lowest bit of a byte of the payload."""
    return overwritten(offset, bytes([frame.data[HEADER_BYTES + offset] ^ 1]))
