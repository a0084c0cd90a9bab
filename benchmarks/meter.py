"""Where a party's time goes: a `Party` that times itself, and what the operating system counts for the process."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from cleanroom.protocols.party import Outgoing, Party
from cleanroom.protocols.transcript import Transcript
from cleanroom.protocols.wire import Progress, Protocol

__all__ = ["MeteredParty", "StepCost", "forget_peak", "memory_mib"]

T = TypeVar("T")


@dataclass(slots=True)
class StepCost:
    """What one step cost one side."""

    work: float = 0.0  # seconds in the protocol
    wait: float = 0.0  # seconds until the peer's message was there
    send: float = 0.0  # seconds in handing messages to the link
    cpu: float = 0.0  # CPU seconds of all threads, those of the transport included
    sent: int = 0  # bytes of frames
    received: int = 0

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


class MeteredParty(Party[T]):
    """A party that charges every second between its start and its end to a step.

    The work that leads to an event is the work of the event's step: it is exact because a step that computes after its
    last message reports progress.
    """

    def __init__(self, protocol: Protocol[T], transcript: Transcript | None = None) -> None:
        super().__init__(protocol, transcript)
        self.steps: dict[str, StepCost] = {}
        self._step = "start"
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def advance(self) -> Outgoing | Progress | None:
        """As `Party.advance`; what passed since the last return was the carrier's."""
        self._lap().send += self._elapsed
        event = super().advance()
        if isinstance(event, Outgoing):
            self._enter(event.message.step)
        elif isinstance(event, Progress):
            self._enter(event.step)
        elif self.expected is not None:
            self._enter(self.expected.message.step)
        cost = self._lap()
        cost.work += self._elapsed
        if isinstance(event, Outgoing):
            cost.sent += len(event.frame)
        return event

    def feed(self, frame: bytes) -> None:
        """As `Party.feed`; what passed since the last return was spent waiting."""
        cost = self._lap()
        cost.wait += self._elapsed
        cost.received += len(frame)
        super().feed(frame)

    def _enter(self, step: str) -> None:
        self._step = step.partition(".")[0]

    def _lap(self) -> StepCost:
        """Charges the CPU seconds since the last lap to the current step; the caller knows what `_elapsed` was."""
        wall, cpu = time.perf_counter(), time.process_time()
        cost = self.steps.setdefault(self._step, StepCost())
        cost.cpu += cpu - self._cpu
        self._elapsed = wall - self._wall
        self._wall, self._cpu = wall, cpu
        return cost


def forget_peak() -> None:
    """Lets the peak memory of this process begin again at what it holds now, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def memory_mib(kind: str) -> float:
    """Reads this process's memory.

    Args:
        kind: "VmHWM" for the peak, "VmRSS" for now.

    Returns:
        MiB; 0 where the system has no /proc.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) / 1024
    return 0.0
