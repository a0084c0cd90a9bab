"""The chains of a transcript: one a direction for the digest that both sides hold, one over a side's own order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tools.slow.frames import Sent, frame

__all__ = ["Frame", "chain", "digest", "numbered"]

_LABEL: Final = b"cleanroom/transcript/v1"


class Frame(NamedTuple):
    """One frame as a transcript sees it: who sent it (0 the exposure side, 1 the outcome side), its step, its bytes."""

    sender: int
    step: str
    data: bytes


def numbered(sent: Iterable[tuple[int, Sent]], before: Sequence[Frame] = ()) -> list[Frame]:
    """Frames of messages, (side, message); each direction is numbered on from the frames before."""
    counts = [sum(earlier.sender == side for earlier in before) for side in (0, 1)]
    frames = []
    for side, (step, payload) in sent:
        frames.append(Frame(side, step, frame(step, counts[side], payload)))
        counts[side] += 1
    return frames


def _entry(one: Frame) -> bytes:
    return hashlib.sha256(one.data).digest() + len(one.data).to_bytes(8, "little") + one.step.encode()


def digest(frames: Sequence[Frame]) -> bytes:
    """The digest over both directions; equal on both sides exactly when every frame was."""
    ends = []
    for sender in (0, 1):
        end = hashlib.sha256(_LABEL + bytes([sender])).digest()
        for one in frames:
            if one.sender == sender:
                end = hashlib.sha256(end + _entry(one)).digest()
        ends.append(end)
    return hashlib.sha256(_LABEL + ends[0] + ends[1]).digest()


def chain(frames: Sequence[Frame]) -> list[bytes]:
    """The chain after each frame, in the order of the side that keeps the record."""
    end = hashlib.sha256(_LABEL + b"order").digest()
    found = []
    for one in frames:
        end = hashlib.sha256(end + bytes([one.sender]) + _entry(one)).digest()
        found.append(end)
    return found
