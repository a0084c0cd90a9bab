"""A party as a pure object: frames in, events out, and one way to fail.

`Party` runs a protocol generator (see `wire`). It numbers and checks frames; any fault moves it to FAILED, and FAILED
accepts nothing. Whatever carries the frames (Flight, a queue, a test) drives it with `advance` and `feed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from cleanroom.errors import CleanroomError, PeerError
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import Event, Expect, Message, Progress, Protocol, Send, decode_frame, encode_frame

__all__ = ["Outgoing", "Party", "PartyState"]

T = TypeVar("T")


class PartyState(Enum):
    """Where a party stands."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame that the carrier must send now."""

    message: Message
    frame: bytes = field(repr=False)


class Party(Generic[T]):
    """One side of a protocol run.

    Call `advance` until it returns None; then, unless `state` is DONE, `feed` the next frame and advance again.
    """

    def __init__(self, protocol: Protocol[T], transcript: Transcript | None = None) -> None:
        """Args:
        protocol: the generator to run.
        transcript: where every frame is recorded; None keeps no record.
        """
        self._protocol = protocol
        self._transcript = transcript
        self._sent = 0
        self._received = 0
        self._expected: Expect | None = None
        self._answer: bytes | None = None
        self._result: T | None = None
        self.state = PartyState.RUNNING

    @property
    def expected(self) -> Expect | None:
        """What the party waits for, while its state is WAITING."""
        return self._expected

    @property
    def result(self) -> T:
        """The protocol's output.

        Raises:
            AssertionError: the party is not DONE.
        """
        if self.state is not PartyState.DONE:
            raise AssertionError(f"a {self.state.value} party has no result")
        return self._result  # type: ignore[return-value]  # set together with DONE

    def advance(self) -> Outgoing | Progress | None:
        """Runs until the protocol has something to send or report, waits for a frame, or ends.

        Returns:
            A frame to send, a progress report, or None when the party waits or is done.

        Raises:
            CleanroomError: the protocol failed; the party is FAILED.
        """
        if self.state is not PartyState.RUNNING:
            if self.state is PartyState.FAILED:
                raise AssertionError("a failed party accepts nothing")
            return None
        answer, self._answer = self._answer, None
        try:
            event: Event = self._protocol.send(answer)
        except StopIteration as stop:
            self._result = stop.value
            self.state = PartyState.DONE
            return None
        except BaseException:
            self.state = PartyState.FAILED
            raise
        if isinstance(event, Expect):
            self._expected = event
            self.state = PartyState.WAITING
            return None
        if isinstance(event, Send):
            frame = encode_frame(event.message, self._sent, event.payload)
            self._sent += 1
            if self._transcript is not None:
                self._transcript.record(event.message.step, Direction.SENT, frame)
            return Outgoing(event.message, frame)
        return event

    def feed(self, frame: bytes) -> None:
        """Takes the frame that the party waits for.

        Raises:
            PeerError: the frame is not the expected one; the party is FAILED.
        """
        if self.state is PartyState.FAILED:
            raise AssertionError("a failed party accepts nothing")
        if self.state is not PartyState.WAITING or self._expected is None:
            self.state = PartyState.FAILED
            raise PeerError("a message arrived that nothing had asked for")
        try:
            self._answer = decode_frame(frame, self._expected, self._received)
        except CleanroomError:
            self.state = PartyState.FAILED
            raise
        self._received += 1
        if self._transcript is not None:
            self._transcript.record(self._expected.message.step, Direction.RECEIVED, frame)
        self._expected = None
        self.state = PartyState.RUNNING

    def fail(self) -> None:
        """Moves the party to FAILED and closes the protocol."""
        self.state = PartyState.FAILED
        self._protocol.close()
