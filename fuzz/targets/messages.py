"""Frames as a party takes them, and whole conversations as a link takes them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from cleanroom.carrier import INBOX_MESSAGES, Carrier, CarrierLostError
from cleanroom.drive import drive, silent
from cleanroom.errors import PeerError
from cleanroom.link import MAX_EARLY_FRAMES, Link
from cleanroom.protocols.party import Party, PartyState
from cleanroom.protocols.wire import (
    MAX_PAYLOAD_BYTES,
    Message,
    Progress,
    Protocol,
    ProtocolId,
    Send,
    encode_frame,
    expect,
)
from fuzz.reader import Reader
from fuzz.target import Target

__all__ = ["FRAME", "LINK"]

_MESSAGE: Final = Message(protocol=ProtocolId.HINT, type=7, step="fuzz.message")
_TOKEN: Final = b"p" * 16
_GREETING: Final = b"\x05" + struct.pack("<16s16sQ", _TOKEN, bytes(16), 0)
_LENGTHS: Final = (0, 1, 16, 32, 1000, MAX_PAYLOAD_BYTES)
_FINISHED: Final = b"\x06"


def _one(length: int) -> Protocol[bytes]:
    return (yield from expect(_MESSAGE, length))


def check_frame(data: bytes) -> None:
    """A frame is taken exactly if it is the one that its payload would be sent in."""
    reader = Reader(data)
    party = Party(_one(reader.choice(_LENGTHS)))
    party.advance()
    frame = reader.rest()
    try:
        party.feed(frame)
    except PeerError:
        assert party.state is PartyState.FAILED
        return
    party.advance()
    assert frame == encode_frame(_MESSAGE, 0, party.result)


def _frame_seeds() -> Iterator[bytes]:
    for position, length in enumerate(_LENGTHS[:-1]):
        yield bytes([position]) + encode_frame(_MESSAGE, 0, b"x" * length)


def _talk() -> Protocol[int]:
    """Twelve messages of three bytes each way, in turns of three."""
    heard = 0
    for turn in range(12):
        yield Send(_MESSAGE, bytes([turn] * 3))
        yield Progress("fuzz.message", turn, 12)
        if turn % 3 == 2:
            for _ in range(3):
                heard += (yield from expect(_MESSAGE, 3))[0]
    return heard


class _Script(Carrier):
    """A connection on which the peer says what an input says, and then is gone."""

    def __init__(self, messages: list[bytes], end: PeerError) -> None:
        super().__init__()
        for message in messages:
            self._inbox.put(message)
        while not self._inbox.full():  # whoever asks again hears again that it is gone, and never has to wait
            self._inbox.put(end)

    def send(self, message: bytes) -> None:
        del message

    def close(self) -> None:
        self.closed.set()


def check_link(data: bytes) -> None:
    """A conversation over up to two connections ends in PeerError or in the protocol's result, and stays bounded."""
    reader = Reader(data)
    connections = []
    for _ in range(2):
        messages = [_GREETING] if reader.number() % 2 else []
        for _ in range(min(reader.number(), INBOX_MESSAGES - 4)):
            messages.append(reader.block())
        connections.append(messages)
    # The first connection breaks; the second ends for good, so that nobody waits before a third.
    ends = CarrierLostError("the script is over"), PeerError("the script is over")
    left = iter(zip(connections, ends, strict=True))

    def dial(timeout: float) -> Carrier:
        del timeout
        connection = next(left, None)
        if connection is None:
            raise PeerError("nobody is there any more")
        return _Script(*connection)

    try:
        link = Link(dial, timeout=0)
    except PeerError:
        return
    party = Party(_talk())
    try:
        drive(party, link, step_timeout=0.01, progress=silent)
    except PeerError:
        assert party.state is PartyState.FAILED
    finally:
        assert len(link._early) <= MAX_EARLY_FRAMES
        link.close()


def _conversation(*connections: list[bytes], greet: bool = True) -> bytes:
    out = b""
    for messages in connections:
        out += bytes([greet, len(messages)])
        out += b"".join(len(message).to_bytes(2, "little") + message for message in messages)
    return out


def _link_seeds() -> Iterator[bytes]:
    frames = [b"\x01" + encode_frame(_MESSAGE, number, bytes([number] * 3)) for number in range(12)]
    acknowledge = b"\x04" + struct.pack("<Q", 3)
    yield _conversation([*frames, _FINISHED])
    yield _conversation([*frames[:3], b"\x02", acknowledge, *frames[3:], _FINISHED])
    yield _conversation([*frames[:5], acknowledge], frames[5:])
    yield _conversation([*frames[:3], b"\x03\x01"])
    yield _conversation([_GREETING, *frames[:3]], greet=False)
    yield _conversation([b"\x05" + struct.pack("<16s16sQ", _TOKEN, b"x" * 16, 2)], greet=False)


FRAME: Final = Target(
    name="frame",
    promise="a frame is refused with PeerError, or is the one that its payload is sent in",
    check=check_frame,
    seeds=_frame_seeds,
)
LINK: Final = Target(
    name="link",
    promise="any conversation ends in PeerError or in a result; frames that wait are bounded",
    check=check_link,
    seeds=_link_seeds,
)
