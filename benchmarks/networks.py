"""What a benchmarked pair talks over: loopback, or a wire of a given rate and delay between two network namespaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from benchmarks import machine
from benchmarks.island import Gate
from benchmarks.relay import Relay, Road

__all__ = ["Loopback", "Network", "Wide", "Wire"]

_LISTENS: Final = "192.0.2.1"
_CONNECTS: Final = "192.0.2.2"
"""Addresses of the block for documentation (RFC 5737): they exist in the namespaces alone."""
_PORT: Final = 47_200


class Wire(Protocol):
    """A network while a pair runs."""

    @property
    def address(self) -> str:
        """Where the exposure side listens."""

    def command(self, role: str, command: Sequence[str]) -> tuple[list[str], tuple[int, ...]]:
        """What to start for a side, and which files it inherits."""

    def started(self) -> None:
        """Both sides are started; returns when they can run."""

    def close(self) -> None:
        """The sides have ended."""

    @property
    def moved_bytes(self) -> int | None:
        """Bytes of all packets so far, headers included; None where they cannot be counted."""

    @property
    def own_cpu(self) -> float:
        """CPU seconds that the network itself has cost, once closed."""


Network: TypeAlias = Callable[[], Wire]
"""Opens one for a pair."""


class Loopback:
    """The machine's loopback, or that of a namespace of the benchmark's own, where packets can be counted."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{machine.free_port()}"
        self.own_cpu = 0.0
        self._before = machine.loopback_bytes()

    def command(self, role: str, command: Sequence[str]) -> tuple[list[str], tuple[int, ...]]:
        """As `Wire.command`."""
        return list(command), ()

    def started(self) -> None:
        """As `Wire.started`."""

    def close(self) -> None:
        """As `Wire.close`."""

    @property
    def moved_bytes(self) -> int | None:
        """As `Wire.moved_bytes`."""
        now = machine.loopback_bytes()
        return None if now is None or self._before is None else now - self._before


class Wide:
    """Two namespaces and a relay between them."""

    def __init__(self, road: Road) -> None:
        self.address = f"{_LISTENS}:{_PORT}"
        self._road = road
        self._gates: dict[str, Gate] = {}
        self._relay: Relay | None = None

    def command(self, role: str, command: Sequence[str]) -> tuple[list[str], tuple[int, ...]]:
        """As `Wire.command`."""
        ends = (_LISTENS, _CONNECTS) if role == "exposure" else (_CONNECTS, _LISTENS)
        gate = self._gates[role] = Gate(*ends)
        return gate.command(command), (gate.inherited,)

    def started(self) -> None:
        """As `Wire.started`."""
        gates = [self._gates[role] for role in ("exposure", "outcome")]
        first, second = (gate.receive() for gate in gates)
        self._relay = Relay(self._road, (first, second))
        for gate in gates:
            gate.go()

    def close(self) -> None:
        """As `Wire.close`."""
        if self._relay is not None:
            self._relay.close()
        for gate in self._gates.values():
            gate.close()

    @property
    def moved_bytes(self) -> int | None:
        """As `Wire.moved_bytes`."""
        return 0 if self._relay is None else sum(lane.sent_bytes for lane in self._relay.lanes)

    @property
    def own_cpu(self) -> float:
        """As `Wire.own_cpu`."""
        return 0.0 if self._relay is None else self._relay.cpu_seconds
