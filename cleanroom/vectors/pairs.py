"""Two parties in one process, frame by frame, and one party fed with recorded frames: what the checks run on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cleanroom.errors import CleanroomError
from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.transcript import Transcript
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol

__all__ = ["Exchange", "Frame", "Scene", "Side", "exchange", "refusal", "run_scene"]

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

Frame = tuple[int, str, bytes]
"""0 or 1 for the sender, the step, the frame."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange(Generic[A, B]):
    """What two parties gave, and their frames in order."""

    first: A = field(repr=False)
    second: B = field(repr=False)
    frames: list[Frame] = field(repr=False)

    def payloads(self) -> list[Frame]:
        """The frames without their headers."""
        return [(sender, step, frame[FRAME_HEADER_BYTES:]) for sender, step, frame in self.frames]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side(Generic[T]):
    """One party of a scene: its protocol, and where its frames are recorded if the protocol looks at that."""

    protocol: Protocol[T] = field(repr=False)
    transcript: Transcript | None = None


Scene = tuple[Callable[[], Side[A]], Callable[[], Side[B]]]
"""Makes the two parties of a file, the exposure side first; a party can be made again and again."""


def exchange(
    first: Protocol[A], second: Protocol[B], transcripts: tuple[Transcript | None, Transcript | None] = (None, None)
) -> Exchange[A, B]:
    """Runs two protocols against each other to the end.

    Args:
        first: one party's.
        second: the other's.
        transcripts: where each party records its frames.

    Raises:
        PeerError: one does not fit the other.
        AssertionError: both wait.
    """
    one, other = Party(first, transcripts[0]), Party(second, transcripts[1])
    to_one: list[bytes] = []
    to_other: list[bytes] = []
    frames: list[Frame] = []
    while True:
        before = len(frames), len(to_one), len(to_other)
        _advance(one, 0, to_one, to_other, frames)
        _advance(other, 1, to_other, to_one, frames)
        if one.state is other.state is PartyState.DONE:
            break
        if before == (len(frames), len(to_one), len(to_other)):
            raise AssertionError("both parties wait")
    return Exchange(first=one.result, second=other.result, frames=frames)


def run_scene(scene: Scene[A, B]) -> Exchange[A, B]:
    """Runs both parties of a scene against each other; errors as `exchange`."""
    first, second = scene[0](), scene[1]()
    return exchange(first.protocol, second.protocol, (first.transcript, second.transcript))


def refusal(side: Side[Any], incoming: Iterable[bytes]) -> CleanroomError | None:  # Any: its result is not looked at
    """Feeds one party with frames until it refuses one.

    Args:
        side: the party.
        incoming: the peer's frames in their order.

    Returns:
        The party's error; None if it took every frame that it asked for, or still waits when there are no more.
    """
    party = Party(side.protocol, side.transcript)
    frames = iter(incoming)
    try:
        while party.state is not PartyState.DONE:
            _work(party)
            if party.state is PartyState.WAITING:
                frame = next(frames, None)
                if frame is None:
                    return None
                party.feed(frame)
    except CleanroomError as error:
        return error
    return None


def _work(party: Party[Any]) -> Sequence[Outgoing]:
    """Lets a party work until it waits or is done; returns what it sends."""
    sent = []
    while party.state is PartyState.RUNNING:
        event = party.advance()
        if isinstance(event, Outgoing):
            sent.append(event)
    return sent


def _advance(party: Party[T], number: int, inbox: list[bytes], outbox: list[bytes], frames: list[Frame]) -> None:
    """Feeds one frame that has arrived and lets a party work until it waits or is done."""
    if party.state is PartyState.WAITING and inbox:
        party.feed(inbox.pop(0))
    for event in _work(party):
        outbox.append(event.frame)
        frames.append((number, event.message.step, event.frame))
