"""Two parties in one process, frame by frame: what checks of whole steps run on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.transcript import Transcript
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol

__all__ = ["Exchange", "exchange"]

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange(Generic[A, B]):
    """What two parties gave, and their frames in order: (0 or 1 for the sender, step, frame)."""

    first: A = field(repr=False)
    second: B = field(repr=False)
    frames: list[tuple[int, str, bytes]] = field(repr=False)

    def payloads(self) -> list[tuple[int, str, bytes]]:
        """The frames without their headers."""
        return [(sender, step, frame[FRAME_HEADER_BYTES:]) for sender, step, frame in self.frames]


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
    frames: list[tuple[int, str, bytes]] = []
    while True:
        before = len(frames), len(to_one), len(to_other)
        _advance(one, 0, to_one, to_other, frames)
        _advance(other, 1, to_other, to_one, frames)
        if one.state is other.state is PartyState.DONE:
            break
        if before == (len(frames), len(to_one), len(to_other)):
            raise AssertionError("both parties wait")
    return Exchange(first=one.result, second=other.result, frames=frames)


def _advance(
    party: Party[T], number: int, inbox: list[bytes], outbox: list[bytes], frames: list[tuple[int, str, bytes]]
) -> None:
    """Feeds one frame that has arrived and lets a party work until it waits or is done."""
    if party.state is PartyState.WAITING and inbox:
        party.feed(inbox.pop(0))
    while party.state is PartyState.RUNNING:
        event = party.advance()
        if isinstance(event, Outgoing):
            outbox.append(event.frame)
            frames.append((number, event.message.step, event.frame))
