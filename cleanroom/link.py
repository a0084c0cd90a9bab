"""Links carry frames between two parties; whatever the carrier, a link bounds, times and explains.

Every message on a link is one byte of kind and a body: a frame of the protocol, a heartbeat (the peer works on), or an
abort (the peer stopped; its body is one byte of reason). Nothing on a link but frames is part of the transcript.
"""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from enum import IntEnum
from types import TracebackType
from typing import Final

from cleanroom.errors import PeerError
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, MAX_PAYLOAD_BYTES

__all__ = ["MAX_MESSAGE_BYTES", "AbortReason", "Link", "memory_links"]

MAX_MESSAGE_BYTES: Final = 1 + FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES
INBOX_MESSAGES: Final = 32
"""Messages that may wait unread: with `MAX_MESSAGE_BYTES` each, the most memory that a flood can take (128 MiB)."""
HEARTBEAT_SECONDS: Final = 5.0
MAX_HEARTBEATS: Final = 17_280
"""Heartbeats that may stand in for one message: a day of them."""


class Kind(IntEnum):
    """The first byte of a message on a link."""

    FRAME = 1
    HEARTBEAT = 2
    ABORT = 3


class AbortReason(IntEnum):
    """Why a side stopped, as far as it may tell the other."""

    PROTOCOL = 1
    AGREEMENT = 2
    POLICY = 3
    TIMEOUT = 4
    INTERNAL = 5
    INTERRUPTED = 6

    @property
    def words(self) -> str:
        """What the other side's user reads."""
        return {
            AbortReason.PROTOCOL: "it received something that the protocol does not allow",
            AbortReason.AGREEMENT: "its agreement is not this one",
            AbortReason.POLICY: "its budget or release policy does not allow this run",
            AbortReason.TIMEOUT: "it waited too long for this side",
            AbortReason.INTERNAL: "something failed on its own side, its report says what",
            AbortReason.INTERRUPTED: "its user interrupted it",
        }[self]


class Link(ABC):
    """One end of a connection to the pinned peer."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[bytes | PeerError] = queue.Queue(maxsize=INBOX_MESSAGES)
        self._closed = threading.Event()
        self._last_sent = time.monotonic()

    @abstractmethod
    def _write(self, message: bytes) -> None:
        """Hands one message to the carrier.

        Raises:
            PeerError: the connection is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the connection and frees what it held; safe to call twice."""

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _deliver(self, message: bytes | PeerError) -> bool:
        """Puts an arrival into the inbox, waiting while it is full; False once the link is closed."""
        while not self._closed.is_set():
            try:
                self._inbox.put(message, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def send(self, frame: bytes) -> None:
        """Sends a frame.

        Raises:
            PeerError: the connection is gone.
        """
        self._send(bytes([Kind.FRAME]) + frame)

    def heartbeat(self) -> None:
        """Tells the peer that this side works on, at most once in `HEARTBEAT_SECONDS`."""
        if time.monotonic() - self._last_sent >= HEARTBEAT_SECONDS:
            self._send(bytes([Kind.HEARTBEAT]))

    def abort(self, reason: AbortReason) -> None:
        """Tells the peer that this side stops and why, as well as the connection still allows."""
        try:
            self._send(bytes([Kind.ABORT, reason]))
        except PeerError:
            return  # the peer is gone already: there is nobody to tell, and the first fault is the one to report

    def _send(self, message: bytes) -> None:
        if self._closed.is_set():
            raise PeerError("the connection is closed")
        self._last_sent = time.monotonic()
        self._write(message)

    def receive(self, timeout: float, waiting_for: str) -> bytes:
        """Waits for a frame.

        Args:
            timeout: seconds without any sign of life after which the peer counts as gone.
            waiting_for: the step, for the error's text.

        Raises:
            PeerError: nothing came in time, the connection ended, or the peer stopped the run.
        """
        for _ in range(MAX_HEARTBEATS):
            try:
                message = self._inbox.get(timeout=timeout)
            except queue.Empty:
                raise PeerError(f"{waiting_for}: the peer was silent for {timeout:g} s") from None
            if isinstance(message, PeerError):
                raise message
            if not message or len(message) > MAX_MESSAGE_BYTES:
                raise PeerError(
                    f"{waiting_for}: a message of {len(message)} bytes; 1 to {MAX_MESSAGE_BYTES} are allowed"
                )
            kind = message[0]
            if kind == Kind.FRAME:
                return message[1:]
            if kind == Kind.HEARTBEAT and len(message) == 1:
                continue
            if kind == Kind.ABORT and len(message) == 2 and message[1] in AbortReason.__members__.values():
                raise PeerError(f"the peer stopped the run: {AbortReason(message[1]).words}")
            raise PeerError(f"{waiting_for}: a message of no known kind")
        raise PeerError(f"{waiting_for}: the peer only ever said that it works on")


class _MemoryLink(Link):
    """An end of an in-process pair."""

    def __init__(self) -> None:
        super().__init__()
        self.other: _MemoryLink | None = None

    def _write(self, message: bytes) -> None:
        if self.other is None or not self.other._deliver(message):
            raise PeerError("the peer closed the connection")

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        if self.other is not None and not self.other._closed.is_set():
            # The peer may still read what was sent before the end; it learns of the end behind it.
            threading.Thread(
                target=self.other._deliver, args=(PeerError("the peer closed the connection"),), daemon=True
            ).start()


def memory_links() -> tuple[Link, Link]:
    """Returns the two ends of a connection inside one process, one for each party's thread."""
    first, second = _MemoryLink(), _MemoryLink()
    first.other, second.other = second, first
    return first, second
