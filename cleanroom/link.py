"""Links carry a run's frames over connections that may break; a link bounds, times, resumes and explains.

Every message is one byte of kind and a body: a frame of the protocol; a heartbeat (the peer works on); an
acknowledgement (frames taken so far); a greeting, first on every connection; the end; or an abort with its reason.
Nothing on a link but frames is part of the transcript.

A connection that breaks while both processes live is opened again, a bounded number of times, and every frame that
the peer has not taken is sent again from memory, byte for byte. Nothing is ever computed twice, so no query can
differ from the one before. A greeting names both processes' random tokens: after a restart the session is void.
"""

from __future__ import annotations

import hmac
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import Final

from cleanroom.carrier import (
    INBOX_MESSAGES,
    Carrier,
    CarrierLostError,
    Dial,
    ListenerGoneError,
    PeerSilentError,
    memory_dials,
)
from cleanroom.errors import PeerError

__all__ = ["AbortReason", "Link", "memory_links"]

HEARTBEAT_SECONDS: Final = 5.0
MAX_HEARTBEATS: Final = 17_280
"""Messages that bring a side nowhere, heartbeats mostly, that may stand in for one that does: a day of them."""
ACKNOWLEDGE_BYTES: Final = 8 << 20
"""Frames taken, in bytes, after which the peer is told that it may forget them."""
WINDOW_BYTES: Final = 32 << 20
"""Frames that may be sent and not acknowledged; kept in memory for a broken connection."""
MAX_EARLY_FRAMES: Final = 32
"""Frames that may arrive while this side still sends."""
RESUME_ATTEMPTS: Final = 5
RESUME_FIRST_PAUSE: Final = 0.2
"""Seconds before the second attempt to open a connection again; doubled each time, and dialled for as long: 9 s."""
GONE_REFUSALS: Final = 4
"""Attempts in a row at which nobody listened, after which the peer's process counts as ended: 1.4 s."""
GREETING_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 0.5
FINISH_SECONDS: Final = 10.0

_TOKEN_BYTES: Final = 16
_GREETING: Final = struct.Struct("<16s16sQ")
_COUNT: Final = struct.Struct("<Q")


class _Kind(IntEnum):
    """The first byte of a message."""

    FRAME = 1
    HEARTBEAT = 2
    ABORT = 3
    ACKNOWLEDGE = 4
    GREETING = 5
    FINISHED = 6


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


class Link:
    """One end of a run's connection to the pinned peer. Not for use from two threads at once."""

    def __init__(self, dial: Dial, *, timeout: float, hang_up: Callable[[], None] | None = None) -> None:
        """Opens the connection.

        Args:
            dial: opens a connection; called again when one breaks.
            timeout: seconds for the first connection.
            hang_up: frees what `dial` holds, when the link closes.

        Raises:
            PeerError: the peer could not be reached, or is not at the start of a run.
        """
        self._dial = dial
        self._hang_up = hang_up
        self._token = secrets.token_bytes(_TOKEN_BYTES)
        self._peer_token = bytes(_TOKEN_BYTES)  # all zero until the first greeting
        self._unacknowledged: deque[bytes] = deque()  # frames that the peer may not have taken
        self._unacknowledged_bytes = 0
        self._forgotten = 0  # frames acknowledged by the peer
        self._early: deque[bytes] = deque()  # frames that arrived and were not asked for yet
        self._arrived = 0  # frames that arrived, `_early` included
        self._taken_bytes = 0  # since the last acknowledgement
        self._finished = False
        self._idle = 0  # messages since one that was a frame or made room for one
        self._peer_finished = False
        self._peer_stopped = False
        self._last_sent = time.monotonic()
        self._carrier: Carrier | None = None
        try:
            self._open(time.monotonic() + timeout)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and frees what it held; safe to call twice."""
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
        if self._hang_up is not None:
            self._hang_up()
            self._hang_up = None

    def send(self, frame: bytes, *, timeout: float) -> None:
        """Sends a frame; waits while the peer has too many frames to take.

        Args:
            frame: at most a header and `MAX_PAYLOAD_BYTES`.
            timeout: seconds without a sign of life after which the peer counts as gone.

        Raises:
            PeerError: the peer is gone, or stopped the run.
        """
        while self._unacknowledged and self._unacknowledged_bytes + len(frame) > WINDOW_BYTES:
            self._await(timeout, "connection")
        self._unacknowledged.append(frame)
        self._unacknowledged_bytes += len(frame)
        try:
            self._write(_Kind.FRAME, frame)
        except CarrierLostError as error:
            self._resume(error)  # sends the frame again with all others that the peer has not taken

    def receive(self, *, timeout: float, waiting_for: str) -> bytes:
        """Waits for a frame.

        Args:
            timeout: seconds without any sign of life after which the peer counts as gone.
            waiting_for: the step, for the error's text.

        Raises:
            PeerError: nothing came in time, the connection is gone for good, or the peer stopped the run.
        """
        while not self._early:
            self._await(timeout, waiting_for)
        frame = self._early.popleft()
        self._taken_bytes += len(frame)
        if self._taken_bytes >= ACKNOWLEDGE_BYTES:
            self._taken_bytes = 0
            self._tell(_Kind.ACKNOWLEDGE, _COUNT.pack(self._arrived - len(self._early)))
        return frame

    def heartbeat(self) -> None:
        """Tells the peer that this side works on, at most once in `HEARTBEAT_SECONDS`."""
        if time.monotonic() - self._last_sent >= HEARTBEAT_SECONDS:
            self._tell(_Kind.HEARTBEAT)

    def abort(self, reason: AbortReason) -> None:
        """Tells the peer that this side stops and why, as well as the connection still allows."""
        if self._peer_stopped:
            # It stopped first and waits for the end of the stream. Anything written now would cross its own end, and
            # gRPC ends a process in which a stream is finished and written to at once.
            return
        try:
            self._write(_Kind.ABORT, bytes([reason]))
        except PeerError:
            return  # the peer is gone already: there is nobody to tell, and the first fault is the one to report

    def finish(self) -> None:
        """Waits until the peer has all that it needs too; this side's run is complete and cannot fail any more."""
        self._finished = True
        self._tell(_Kind.FINISHED)
        try:
            while not self._peer_finished:
                self._await(FINISH_SECONDS, "finish")
        except PeerError:
            return  # the peer is gone; whether it has everything is shown by its own report, not by this one

    def _tell(self, kind: _Kind, body: bytes = b"") -> None:
        """Sends a message that is not a frame; if the connection breaks here, the next receive or send resumes it."""
        try:
            self._write(kind, body)
        except CarrierLostError:
            return

    def _write(self, kind: _Kind, body: bytes) -> None:
        if self._carrier is None:
            raise CarrierLostError("the connection is closed")
        self._last_sent = time.monotonic()
        self._carrier.send(bytes([kind]) + body)

    def _await(self, timeout: float, waiting_for: str) -> None:
        """Handles one arrival, or opens a broken connection again."""
        try:
            if self._carrier is None:
                raise CarrierLostError("the connection is closed")
            message = self._carrier.receive(timeout)
        except CarrierLostError as error:
            self._resume(error)
            return
        except PeerSilentError as error:
            raise PeerSilentError(f"{waiting_for}: {error}") from None
        self._take(message[0], message[1:], waiting_for)

    def _take(self, kind: int, body: bytes, waiting_for: str) -> None:
        self._idle += 1
        if kind == _Kind.FRAME:
            if len(self._early) >= MAX_EARLY_FRAMES:
                raise PeerError(
                    f"{waiting_for}: more than {MAX_EARLY_FRAMES} frames arrived that nothing had asked for"
                )
            self._early.append(body)
            self._arrived += 1
            self._idle = 0
        elif kind == _Kind.HEARTBEAT and not body:
            pass
        elif kind == _Kind.ACKNOWLEDGE and len(body) == _COUNT.size:
            (count,) = _COUNT.unpack(body)
            if count > self._forgotten:  # after a resume the greeting has told more, and this is no news
                self._forget(count)
                self._idle = 0
        elif kind == _Kind.FINISHED and not body:
            self._peer_finished = True
        elif kind == _Kind.ABORT and len(body) == 1 and body[0] in AbortReason.__members__.values():
            self._peer_stopped = True
            raise PeerError(f"the peer stopped the run: {AbortReason(body[0]).words}")
        else:
            raise PeerError(f"{waiting_for}: a message of no known kind")
        if self._idle > MAX_HEARTBEATS:
            raise PeerError(f"{waiting_for}: the peer only ever said that it works on")

    def _forget(self, count: int) -> None:
        """Drops the frames that the peer has taken: the first `count` of the session."""
        if not self._forgotten <= count <= self._forgotten + len(self._unacknowledged):
            raise PeerError("the peer acknowledged frames that were not sent")
        for _ in range(count - self._forgotten):
            self._unacknowledged_bytes -= len(self._unacknowledged.popleft())
        self._forgotten = count

    def _open(self, deadline: float) -> None:
        """Opens the first connection; one that breaks before both have greeted is opened again."""
        while True:
            try:
                self._greet(self._dial(max(deadline - time.monotonic(), RESUME_FIRST_PAUSE)))
            except CarrierLostError:
                if time.monotonic() >= deadline:
                    raise
                if self._carrier is not None:
                    self._carrier.close()
                time.sleep(RESUME_FIRST_PAUSE)
                continue
            return

    def _greet(self, carrier: Carrier) -> None:
        """Exchanges greetings on a new connection, and sends what the peer has not taken."""
        self._carrier = carrier
        self._write(_Kind.GREETING, _GREETING.pack(self._token, self._peer_token, self._arrived))
        message = carrier.receive(GREETING_SECONDS)
        if message[0] == _Kind.ABORT:
            self._take(message[0], message[1:], "greeting")
        if message[0] != _Kind.GREETING or len(message) != 1 + _GREETING.size:
            raise PeerError("the peer did not greet as the protocol says")
        token, known, arrived = _GREETING.unpack_from(message, 1)
        if hmac.compare_digest(token, self._token) or not any(token):
            raise PeerError("the peer greeted with a token that cannot be its own")
        if any(known) and not hmac.compare_digest(known, self._token):
            raise PeerError("the peer resumes a run that this process does not know; its session is void")
        if any(self._peer_token) and not hmac.compare_digest(token, self._peer_token):
            raise PeerError("the peer was restarted in the middle of the run; the session is void")
        self._peer_token = token
        self._forget(arrived)
        for frame in self._unacknowledged:
            self._write(_Kind.FRAME, frame)
        if self._finished:
            self._write(_Kind.FINISHED, b"")

    def _drain(self, carrier: Carrier) -> None:
        """Reads what had arrived before a connection broke: the peer may have said why."""
        for _ in range(2 * INBOX_MESSAGES):
            if len(self._early) >= MAX_EARLY_FRAMES:
                return  # what is not read did not arrive: the peer sends it again
            try:
                message = carrier.receive(DRAIN_SECONDS)
            except (CarrierLostError, PeerSilentError):
                return
            self._take(message[0], message[1:], "connection")

    def _resume(self, lost: CarrierLostError) -> None:
        """Opens the connection again."""
        if self._carrier is None:
            raise lost
        self._drain(self._carrier)
        self._carrier.close()
        pause = RESUME_FIRST_PAUSE
        refusals = 0
        began = time.monotonic()
        for attempt in range(RESUME_ATTEMPTS):
            if attempt:
                time.sleep(pause)
                pause *= 2
            try:
                self._greet(self._dial(pause))
            except ListenerGoneError as gone:
                refusals += 1
                if refusals >= GONE_REFUSALS:
                    raise PeerError(f"the peer's process has ended in the middle of the run: {gone}") from None
            except CarrierLostError:
                refusals = 0
            else:
                return
            if self._carrier is not None:
                self._carrier.close()  # of an attempt that broke before both had greeted
        raise PeerError(
            f"{lost}, and {time.monotonic() - began:.0f} s of attempts to resume it were in vain:"
            " the peer's process has ended, or the network is down"
        )


def memory_links(timeout: float = 60.0) -> tuple[Callable[[object], Link], Callable[[object], Link]]:
    """Connects two threads of one process.

    Args:
        timeout: seconds that the first waits for the second.

    Returns:
        How each of them opens its end; fit for `cleanroom.node.run`.
    """
    first, second = memory_dials()
    return (lambda side: Link(first, timeout=timeout)), (lambda side: Link(second, timeout=timeout))
