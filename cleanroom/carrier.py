"""Carriers move messages between two processes or threads until they break; what a message means is the link's."""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeAlias

from cleanroom.errors import PeerError
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, MAX_PAYLOAD_BYTES

__all__ = [
    "INBOX_MESSAGES",
    "MAX_MESSAGE_BYTES",
    "Carrier",
    "CarrierLostError",
    "Dial",
    "ListenerGoneError",
    "PeerSilentError",
    "memory_dials",
]

MAX_MESSAGE_BYTES: Final = 1 + FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES
INBOX_MESSAGES: Final = 32
"""Messages that may wait unread: with `MAX_MESSAGE_BYTES` each, the most memory that a flood can take (128 MiB)."""
_POLL_SECONDS: Final = 0.2


class CarrierLostError(PeerError):
    """The connection to the peer broke before the run was over."""


class ListenerGoneError(CarrierLostError):
    """Nobody listens any more where the peer did: a process keeps its port open for as long as its run lasts."""


class PeerSilentError(PeerError):
    """The peer said nothing for longer than the step timeout."""


class Carrier(ABC):
    """One connection. A thread of the carrier delivers arrivals; one other thread sends and receives."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[bytes | PeerError] = queue.Queue(maxsize=INBOX_MESSAGES)
        self.closed = threading.Event()
        """Set once this side has closed the connection."""

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Hands one message to the connection.

        Raises:
            CarrierLostError: the connection is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the connection; what was sent before still arrives. Safe to call twice."""

    def receive(self, timeout: float) -> bytes:
        """Takes the next message.

        Args:
            timeout: seconds to wait.

        Raises:
            PeerSilentError: nothing came in time.
            CarrierLostError: the connection is gone and all that had arrived is read.
            PeerError: a message was empty or larger than `MAX_MESSAGE_BYTES`.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                message = self._inbox.get(timeout=max(0.0, min(_POLL_SECONDS, deadline - time.monotonic())))
                break
            except queue.Empty:
                if self.closed.is_set():  # by its listener, say, because the peer came back on a new connection
                    raise CarrierLostError("the connection is closed") from None
                if time.monotonic() >= deadline:
                    raise PeerSilentError(f"the peer was silent for {timeout:g} s") from None
        if isinstance(message, PeerError):
            raise message
        if not 1 <= len(message) <= MAX_MESSAGE_BYTES:
            raise PeerError(f"a message of {len(message)} bytes arrived; 1 to {MAX_MESSAGE_BYTES} are allowed")
        return message

    def _deliver(self, message: bytes | PeerError) -> bool:
        """Puts an arrival into the inbox, waiting while it is full; False once the carrier is closed."""
        while not self.closed.is_set():
            try:
                self._inbox.put(message, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


Dial: TypeAlias = Callable[[float], Carrier]
"""Opens a connection to the pinned peer within so many seconds, or raises PeerError."""


class _MemoryCarrier(Carrier):
    """An end of an in-process connection."""

    def __init__(self) -> None:
        super().__init__()
        self.other: _MemoryCarrier | None = None

    def send(self, message: bytes) -> None:
        if self.closed.is_set() or self.other is None or not self.other._deliver(message):
            raise CarrierLostError("the peer closed the connection before the run was over")

    def close(self) -> None:
        if self.closed.is_set():
            return
        self.closed.set()
        other = self.other
        if other is not None:
            # The peer may still read what was sent before the end; it learns of the end behind it.
            end = CarrierLostError("the peer closed the connection before the run was over")
            threading.Thread(target=other._deliver, args=(end,), daemon=True).start()


def memory_dials() -> tuple[Dial, Dial]:
    """Returns the two ends of a place where threads of one process meet: both dial, and are connected."""
    offers: queue.Queue[tuple[_MemoryCarrier, threading.Event]] = queue.Queue()

    def first(timeout: float) -> Carrier:
        one, two, taken = _MemoryCarrier(), _MemoryCarrier(), threading.Event()
        one.other, two.other = two, one
        offers.put((two, taken))
        if not taken.wait(timeout):
            one.close()  # should the other side take its end after all, it finds it broken
            raise CarrierLostError(f"the other side did not come within {timeout:g} s")
        return one

    def second(timeout: float) -> Carrier:
        try:
            carrier, taken = offers.get(timeout=timeout)
        except queue.Empty:
            raise CarrierLostError(f"the other side did not come within {timeout:g} s") from None
        taken.set()
        return carrier

    return first, second
