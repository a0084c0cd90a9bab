"""The pair harness: two parties over a fake link that a test can observe or disturb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.transcript import Transcript
from cleanroom.protocols.wire import Progress, Protocol

A = TypeVar("A")
B = TypeVar("B")

Tamper = Callable[[int, int, bytes], bytes]
"""(sender 0 or 1, frame number in that direction, frame) -> the frame that arrives."""


@dataclass
class Run(Generic[A, B]):
    """What a pair run left: both results, every frame in order, and reports."""

    first: A
    second: B
    frames: list[tuple[int, str, bytes]] = field(repr=False)
    progress: tuple[list[Progress], list[Progress]] = field(repr=False)  # what either side reported

    def lengths(self) -> list[tuple[int, str, int]]:
        """(sender, step, bytes) of every frame: what an observer of the wire sees."""
        return [(sender, step, len(frame)) for sender, step, frame in self.frames]


def run_pair(
    first: Protocol[A],
    second: Protocol[B],
    tamper: Tamper | None = None,
    transcripts: tuple[Transcript | None, Transcript | None] = (None, None),
) -> Run[A, B]:
    """Runs two protocols against each other to the end; errors of either side propagate."""
    parties: tuple[Party[Any], Party[Any]] = (Party(first, transcripts[0]), Party(second, transcripts[1]))
    queues: tuple[list[bytes], list[bytes]] = ([], [])  # queues[i]: frames on their way to party i
    counts = [0, 0]
    progress: tuple[list[Progress], list[Progress]] = ([], [])
    frames: list[tuple[int, str, bytes]] = []
    while True:
        moved = False
        for index, party in enumerate(parties):
            if party.state is PartyState.WAITING and queues[index]:
                party.feed(queues[index].pop(0))
            while party.state is PartyState.RUNNING:
                event = party.advance()
                moved = True
                if isinstance(event, Outgoing):
                    frame = event.frame
                    if tamper is not None:
                        frame = tamper(index, counts[index], frame)
                    counts[index] += 1
                    frames.append((index, event.message.step, frame))
                    queues[1 - index].append(frame)
                elif isinstance(event, Progress):
                    progress[index].append(event)
        if all(party.state is PartyState.DONE for party in parties):
            if queues[0] or queues[1]:
                raise AssertionError("frames were left unread")
            return Run(parties[0].result, parties[1].result, frames, progress)
        if not moved:
            raise AssertionError(f"deadlock: {[str(party.expected) for party in parties]}")
