"""The frame that carries every message, and the events that a protocol yields.

A protocol is a generator: it yields `Send`, `Expect` and `Progress` events, and an `Expect` is answered with the
payload that arrived. It touches no socket, file, clock or global randomness, so a run can be replayed.

Frame layout, little endian, 16 bytes before the payload:

    version u8 | protocol u8 | type u16 | sequence u32 | length u64

The length of every payload is a function of public parameters, so the receiver states it before the frame arrives
and nothing is allocated on the peer's word. Frames are numbered from 0 in each direction.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias, TypeVar

from cleanroom.errors import PeerError

__all__ = [
    "CHUNK_BYTES",
    "FRAME_HEADER_BYTES",
    "MAX_PAYLOAD_BYTES",
    "WIRE_VERSION",
    "Event",
    "Expect",
    "Message",
    "Progress",
    "Protocol",
    "ProtocolId",
    "Send",
    "chunks",
    "decode_frame",
    "encode_frame",
    "expect",
]

WIRE_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BBHIQ")
FRAME_HEADER_BYTES: Final = _HEADER.size
MAX_PAYLOAD_BYTES: Final = 1 << 22
"""Upper bound of one payload: 4 MiB, gRPC's default message limit."""
CHUNK_BYTES: Final = 1 << 20
"""What a step that streams aims at for one payload."""

T = TypeVar("T")


class ProtocolId(IntEnum):
    """Which step family a message belongs to."""

    SESSION = 1
    OPRF_ECDH = 2
    HINT = 3
    BASE_OT = 4
    OT = 5
    EQUALITY = 6
    MUX = 7
    GROUPED_SUM = 8
    COMPARISON = 9
    RELEASE = 10
    OPRF_KKRT = 11
    SILENT_VOLE = 12
    OPRF_VOLE = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The public type of a message: which protocol, which of its messages, and the step's name in the transcript."""

    protocol: ProtocolId
    type: int
    step: str


@dataclass(frozen=True, slots=True)
class Send:
    """Yielded to send one message. The payload is kept out of `repr`: it may hold shares."""

    message: Message
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expect:
    """Yielded to receive one message of exactly `length` bytes; answered with the payload."""

    message: Message
    length: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Yielded while a step works: `done` of `total` units (rows, unless the step says otherwise)."""

    step: str
    done: int
    total: int


Event: TypeAlias = Send | Expect | Progress
Protocol: TypeAlias = Generator[Event, bytes | None, T]


def expect(message: Message, length: int) -> Protocol[bytes]:
    """Receives one message: `payload = yield from expect(message, length)`."""
    payload = yield Expect(message, length)
    if payload is None:
        raise AssertionError(f"{message.step}: the carrier answered an Expect with nothing")
    return payload


def chunks(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Cuts `range(total)` into half-open pieces of at most `size`.

    Args:
        total: number of units, >= 0.
        size: units a piece, >= 1.

    Yields:
        (start, stop), ascending; nothing when total is 0.
    """
    for start in range(0, total, size):
        yield start, min(start + size, total)


def encode_frame(message: Message, sequence: int, payload: bytes) -> bytes:
    """Builds a frame.

    Args:
        message: its type.
        sequence: its number in this direction, from 0.
        payload: at most `MAX_PAYLOAD_BYTES`.

    Returns:
        The header followed by the payload.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise AssertionError(f"{message.step}: a payload of {len(payload)} bytes should have been sent in chunks")
    return _HEADER.pack(WIRE_VERSION, message.protocol, message.type, sequence, len(payload)) + payload


def decode_frame(frame: bytes, expected: Expect, sequence: int) -> bytes:
    """Checks a frame against what this side expects next, and returns its payload.

    Raises:
        PeerError: any field differs, or the frame is truncated or has trailing bytes.
    """
    where = expected.message.step
    if len(frame) < FRAME_HEADER_BYTES:
        raise PeerError(f"{where}: a frame of {len(frame)} bytes is shorter than its header")
    version, protocol, kind, number, length = _HEADER.unpack_from(frame)
    if version != WIRE_VERSION:
        raise PeerError(f"{where}: wire version {WIRE_VERSION} expected, {version} found")
    if protocol != expected.message.protocol or kind != expected.message.type:
        raise PeerError(
            f"{where}: message {int(expected.message.protocol)}.{expected.message.type} expected, "
            f"{protocol}.{kind} found"
        )
    if number != sequence:
        raise PeerError(f"{where}: frame {sequence} expected, frame {number} found")
    if length != expected.length:
        raise PeerError(f"{where}: {expected.length} bytes expected, {length} announced")
    if len(frame) != FRAME_HEADER_BYTES + length:
        raise PeerError(f"{where}: {length} bytes announced, {len(frame) - FRAME_HEADER_BYTES} arrived")
    return frame[FRAME_HEADER_BYTES:]
