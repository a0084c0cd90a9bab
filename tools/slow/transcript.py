"""The chains of a transcript: one a direction for the digest that both sides hold, one over a side's own order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["Frame", "chain", "digest"]

_LABEL: Final = b"cleanroom/transcript/v1"


class Frame(NamedTuple):
    """One frame as a transcript sees it: who sent it (0 the exposure side, 1 the outcome side), its step, its bytes."""

    sender: int
    step: str
    data: bytes


def _entry(frame: Frame) -> bytes:
    return hashlib.sha256(frame.data).digest() + len(frame.data).to_bytes(8, "little") + frame.step.encode()


def digest(frames: Sequence[Frame]) -> bytes:
    """The digest over both directions; equal on both sides exactly when every frame was."""
    ends = []
    for sender in (0, 1):
        end = hashlib.sha256(_LABEL + bytes([sender])).digest()
        for frame in frames:
            if frame.sender == sender:
                end = hashlib.sha256(end + _entry(frame)).digest()
        ends.append(end)
    return hashlib.sha256(_LABEL + ends[0] + ends[1]).digest()


def chain(frames: Sequence[Frame]) -> list[bytes]:
    """The chain after each frame, in the order of the side that keeps the record."""
    end = hashlib.sha256(_LABEL + b"order").digest()
    found = []
    for frame in frames:
        end = hashlib.sha256(end + bytes([frame.sender]) + _entry(frame)).digest()
        found.append(end)
    return found
