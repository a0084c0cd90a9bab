"""A wire of a given rate and delay between two network namespaces: packets are read, held and written again.

Each side's namespace has one TUN device, whose other end is a file here. A packet leaves after all that were sent
before it, at so many bits a second, and arrives a delay later; what would wait for more than a full buffer is dropped,
as a router does, and TCP sends it again. So rate, delay, windows and losses are those of the kernel's own TCP over such
a path. The kernel's own emulation (`tc netem`) would do, but not every kernel has it; this needs none of it.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

__all__ = ["MTU", "Lane", "Relay", "Road"]

MTU: Final = 1500
_BATCH: Final = 64
"""Packets read at a time before those that are due are written."""
_IDLE_SECONDS: Final = 0.2
"""How often an idle relay looks whether it is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """What a wire is like, the same in both directions."""

    bits_per_second: float
    delay: float  # seconds, one way
    buffer_bytes: int  # that may wait at its beginning


@dataclass(slots=True)
class Lane:
    """One direction of a wire: when each packet arrives, and what is dropped. Knows no clock."""

    road: Road
    free_at: float = 0.0  # when all that was sent has left
    sent_bytes: int = 0  # that arrive, IP headers included
    dropped: int = 0  # packets
    on_the_way: deque[tuple[float, bytes]] = field(default_factory=deque)  # (when it arrives, packet)

    def send(self, packet: bytes, now: float) -> None:
        """Takes a packet at a time that does not go back."""
        begin = max(now, self.free_at)
        if (begin - now) * self.road.bits_per_second / 8 + len(packet) > self.road.buffer_bytes:
            self.dropped += 1
            return
        self.free_at = begin + 8 * len(packet) / self.road.bits_per_second
        self.sent_bytes += len(packet)
        self.on_the_way.append((self.free_at + self.road.delay, packet))

    def arrived(self, now: float) -> bytes | None:
        """Hands out the next packet that is there by now."""
        if self.on_the_way and self.on_the_way[0][0] <= now:
            return self.on_the_way.popleft()[1]
        return None


class Relay:
    """Moves packets between two TUN devices until it is closed, on a thread of its own."""

    def __init__(self, road: Road, ends: tuple[int, int]) -> None:
        """Starts.

        Args:
            road: of both directions.
            ends: files of the two devices; the relay owns them from here on.
        """
        self.lanes = (Lane(road), Lane(road))
        self.cpu_seconds = 0.0
        self._ends = ends
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        for end in ends:
            os.set_blocking(end, False)
        self._thread.start()

    def close(self) -> None:
        """Stops and closes both devices."""
        self._stop.set()
        self._thread.join()
        for end in self._ends:
            os.close(end)

    def _run(self) -> None:
        begun = time.thread_time()
        while not self._stop.is_set():
            now = time.monotonic()
            for lane, out in zip(self.lanes, reversed(self._ends), strict=True):
                while (packet := lane.arrived(now)) is not None:
                    _write(out, packet)
            next_due = min((lane.on_the_way[0][0] for lane in self.lanes if lane.on_the_way), default=None)
            wait = _IDLE_SECONDS if next_due is None else min(_IDLE_SECONDS, max(0.0, next_due - time.monotonic()))
            ready, _, _ = select.select(self._ends, [], [], wait)
            now = time.monotonic()
            for lane, end in zip(self.lanes, self._ends, strict=True):
                for packet in _packets(end) if end in ready else ():
                    lane.send(packet, now)
        self.cpu_seconds = time.thread_time() - begun


def _packets(end: int) -> list[bytes]:
    """The packets that a device has for us now."""
    found: list[bytes] = []
    while len(found) < _BATCH:
        try:
            found.append(os.read(end, 1 << 16))
        except OSError:  # nothing more, or a device that is not up yet or no more
            break
    return found


def _write(end: int, packet: bytes) -> None:
    try:
        os.write(end, packet)
    except OSError:  # its namespace has ended; a packet that nobody takes is lost, as on a wire
        return
