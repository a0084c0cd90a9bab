"""How much a step puts on the wire: the arithmetic behind "every length is a function of public parameters".

Each step's module has a `traffic` of its own that sums its messages from the same parameters and constants by which it
sends them; a test compares the sums with runs, frame by frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from cleanroom.protocols.wire import FRAME_HEADER_BYTES, chunks

__all__ = ["NOTHING", "Traffic", "Volume", "in_chunks", "messages", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Messages of one direction, and the bytes of their frames: payloads and a header each."""

    messages: int
    bytes: int

    def __add__(self, other: Volume) -> Volume:
        """Both together."""
        return Volume(messages=self.messages + other.messages, bytes=self.bytes + other.bytes)

    def __rmul__(self, times: int) -> Volume:
        """As many times as much."""
        return Volume(messages=times * self.messages, bytes=times * self.bytes)


Traffic: TypeAlias = tuple[Volume, Volume]
"""What the two parties of a step send; the step says which one comes first."""

NOTHING = Volume(messages=0, bytes=0)


def messages(*payloads: int) -> Volume:
    """The volume of messages with payloads of these lengths."""
    return Volume(messages=len(payloads), bytes=sum(payloads) + len(payloads) * FRAME_HEADER_BYTES)


def in_chunks(count: int, size: int, unit_bytes: int) -> Volume:
    """The volume of `count` units of `unit_bytes`, at most `size` of them a message."""
    return messages(*((stop - start) * unit_bytes for start, stop in chunks(count, size)))


def total(parts: Iterable[Volume]) -> Volume:
    """The volumes together."""
    return sum(parts, NOTHING)
