"""The knock from both ends, and the exchange that it leads to: what a caller, a listener or a Flight peer may say.

The bytes of the knock go through real sockets and the real TLS library; of Flight, whose bytes Arrow reads, it is what
Arrow hands over: a descriptor, and metadata that may be missing, empty or of any length, or an error instead.
"""

from __future__ import annotations

import atexit
import queue
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pyarrow as pa
import pyarrow.flight as fl

from cleanroom import flight, knock
from cleanroom.carrier import INBOX_MESSAGES, MAX_MESSAGE_BYTES
from cleanroom.errors import PeerError, reason_of
from cleanroom.identity import Identity, new_identity
from fuzz.reader import Reader
from fuzz.target import Target

__all__ = ["FLIGHT", "KNOCK"]

_MAX_BYTES: Final = 4096


@cache
def _identities() -> tuple[Identity, Identity]:
    """The listening party's and the connecting one's, in a folder that goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    atexit.register(folder.cleanup)
    return new_identity("media", Path(folder.name) / "media"), new_identity("shop", Path(folder.name) / "shop")


@cache
def _listening() -> ssl.SSLContext:
    media, shop = _identities()
    return knock._context(ssl.PROTOCOL_TLS_SERVER, media, shop.certificate)


def _says(words: bytes) -> tuple[socket.socket, socket.socket]:
    """A connection on which the other end has said all that it will ever say."""
    here, there = socket.socketpair()
    there.sendall(words)
    there.shutdown(socket.SHUT_WR)
    return here, there


def _answered(words: bytes) -> None:
    """A caller without the peer's key is ignored, or is a verdict: it never gets in."""
    desk = knock._Desk(context=_listening())
    here, there = _says(words)
    free = desk.slots._value
    desk.slots.acquire()
    with here, there:
        desk._handshake(here)
    assert desk.slots._value == free, "a place at the desk was lost"
    while not desk.verdicts.empty():
        verdict = desk.verdicts.get()
        assert isinstance(verdict, PeerError), "let in without the peer's key"
        assert reason_of(verdict).isprintable()


def _knocked(words: bytes) -> None:
    """A listener without the peer's key is refused: nobody goes in to it."""
    media, shop = _identities()
    here, there = _says(words)
    with there, patch.object(socket, "create_connection", lambda *args, **named: here):
        try:
            knock.knock("127.0.0.1", 1, identity=shop, peer=media.certificate, timeout=0)
        except PeerError as error:
            assert reason_of(error).isprintable()
            return
    raise AssertionError("went in to somebody without the peer's key")


def check_knock(data: bytes) -> None:
    """Whatever a caller or a listener says without the pinned key: ignored, or PeerError; nobody is let in."""
    reader = Reader(data)
    kind = reader.number() % 4
    words = reader.rest()
    if kind == 0:
        _answered(words)
    elif kind == 1:
        _answered(knock._LINE + words)
    elif kind == 2:
        _knocked(words)
    else:  # changes of what an honest end says first
        caller, listener = _greetings()
        side, changes = Reader(words).number() % 2, Reader(words[1:])
        said = bytearray(listener if side else caller)
        while changes.more:
            at = changes.number(2) % (len(said) + 1)
            piece = changes.block()
            said[at : at + changes.number()] = piece
        (_knocked if side else _answered)(bytes(said[:_MAX_BYTES]) if side else knock._LINE + bytes(said[:_MAX_BYTES]))


@cache
def _greetings() -> tuple[bytes, bytes]:
    """The first TLS bytes of an honest caller, and what an honest listener answers."""
    media, shop = _identities()
    context = knock._context(ssl.PROTOCOL_TLS_CLIENT, shop, media.certificate)
    to_caller, to_listener = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = context.wrap_bio(to_caller, to_listener, server_hostname="media")
    listener_in, listener_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    listener = _listening().wrap_bio(listener_in, listener_out, server_side=True)
    for end in (caller, listener):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            listener_in.write(hello := to_listener.read())
            if end is caller:
                said = hello
    return said, listener_out.read()


def _knock_seeds() -> Iterator[bytes]:
    caller, listener = _greetings()
    for words in (b"", knock._LINE, b"GET / HTTP/1.1\r\n\r\n", caller, listener):
        for kind in (0, 1, 2):
            yield bytes([kind]) + words
    for side, said in enumerate((caller, listener)):
        for at in (0, 1, 5, 6, 43, 44, 80, len(said) - 2):
            yield bytes([3, side]) + at.to_bytes(2, "little") + b"\1\0\xff\1"


class _Said:
    """A Flight stream on which the peer says what an input says."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = INBOX_MESSAGES - 1  # one more and the reading thread would wait, as it should, for a link

    def read_chunk(self) -> Any:  # what Arrow returns has no type that could be made here
        if not self._reader.more or not self._left:
            raise StopIteration
        self._left -= 1
        kind = self._reader.number() % 8
        if kind == 0:
            return _Chunk(None)
        if kind == 1:
            return _Chunk(bytes(self._reader.choice((0, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1))))
        if kind == 2:
            raise self._reader.choice(_FAULTS)
        return _Chunk(self._reader.block())


class _Chunk:
    def __init__(self, metadata: bytes | None) -> None:
        self.app_metadata = None if metadata is None else pa.py_buffer(metadata)
        self.data = None


_FAULTS: Final = (
    pa.ArrowInvalid("made up"),
    pa.ArrowMemoryError("made up"),
    pa.ArrowKeyError("made up"),
    pa.ArrowNotImplementedError("made up"),
    fl.FlightCancelledError("made up"),
    fl.FlightInternalError("made up"),
    OSError("made up"),
)


class _Writer:
    def write_metadata(self, buffer: pa.Buffer) -> None:
        del buffer


class _Ended(flight._FlightCarrier):
    """A carrier whose link closes it as soon as the peer's stream is over."""

    def outlast(self, reader: fl.MetadataRecordBatchReader) -> None:
        self.closed.set()
        self._outbox.put(None)
        super().outlast(reader)


_DESCRIPTORS: Final = (
    fl.FlightDescriptor.for_command(flight._COMMAND),
    fl.FlightDescriptor.for_command(b""),
    fl.FlightDescriptor.for_path(flight._COMMAND),
    fl.FlightDescriptor.for_path(),
)


def check_flight(data: bytes) -> None:
    """An exchange delivers the messages that are allowed, then one PeerError; another descriptor gets none."""
    reader = Reader(data)
    kind = reader.number() % 8
    descriptor = (
        fl.FlightDescriptor.for_command(reader.block()) if kind == 7 else _DESCRIPTORS[kind % len(_DESCRIPTORS)]
    )
    listener = _Listener()
    try:
        with patch.object(flight, "_FlightCarrier", _Ended):
            listener.do_exchange(None, descriptor, _Said(reader), _Writer())
    except fl.FlightServerError:
        assert descriptor.command != flight._COMMAND
        assert listener._arrivals.empty()
        return
    assert descriptor.command == flight._COMMAND
    carrier = listener._arrivals.get_nowait()
    count = 0
    while True:
        try:
            message = carrier.receive(0)
        except PeerError as error:
            assert reason_of(error).isprintable()
            return
        count += 1
        assert 1 <= len(message) <= MAX_MESSAGE_BYTES
        assert count <= INBOX_MESSAGES


class _Listener(flight._Listener):
    """The desk behind the port, without a port."""

    def __init__(self) -> None:
        self._arrivals = queue.Queue()
        self._present = None
        self._lock = threading.Lock()


def _flight_seeds() -> Iterator[bytes]:
    for kind in range(8):
        yield bytes([kind])
    yield b"\0" + b"\3\5\0hello" * 3
    for fault in range(len(_FAULTS)):
        yield b"\0\3\1\0x\2" + bytes([fault])
    for size in range(3):
        yield b"\0\1" + bytes([size])
    yield b"\0\0"
    yield b"\7" + len(flight._COMMAND).to_bytes(2, "little") + flight._COMMAND + b"\3\1\0x"


KNOCK: Final = Target(
    name="knock",
    promise="whoever lacks the pinned key is ignored or refused with PeerError, at both ends of a knock",
    check=check_knock,
    seeds=_knock_seeds,
    max_bytes=_MAX_BYTES,
)
FLIGHT: Final = Target(
    name="flight",
    promise="an exchange delivers messages of the allowed sizes, then PeerError, for every descriptor and stream",
    check=check_flight,
    seeds=_flight_seeds,
    max_bytes=512,
)
