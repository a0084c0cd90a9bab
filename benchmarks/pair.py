"""Runs both sides of a join as two processes, one core each, and checks the sums that their shares open to."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.networks import Loopback, Network, Wire
from benchmarks.side import Task
from benchmarks.workload import Shape, expected_sums
from cleanroom.identity import new_identity

__all__ = ["ROLES", "PairFigures", "check_shares", "run_pair"]

ROLES = ("exposure", "outcome")
ROOT = Path(__file__).resolve().parent.parent
RUN_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFigures:
    """One run of a join."""

    profile: str
    shape: Shape
    pinned: bool
    wall: float  # seconds from the open link to the shares, the slower side
    cpu: dict[str, float]  # CPU seconds a side in the same span, all threads
    memory_peak_mib: dict[str, float]
    memory_before_mib: dict[str, float]
    steps: dict[str, dict[str, dict[str, float]]]  # role -> step -> cost
    frame_bytes: int  # both directions
    packet_bytes: int | None  # the same with TLS, HTTP/2, TCP and IP; None where they cannot be counted
    others_cpu: float  # CPU seconds that other processes took meanwhile
    speed: tuple[float, float]  # before and after

    @property
    def wire_bytes(self) -> int:
        """Bytes of the packets where they could be counted, of the frames otherwise."""
        return self.frame_bytes if self.packet_bytes is None else self.packet_bytes

    def as_dict(self) -> dict[str, Any]:  # JSON
        """For JSON."""
        return asdict(self)


def run_pair(shape: Shape, *, profile: str, pinned: bool = True, network: Network = Loopback) -> PairFigures:
    """Runs one join over a real link with mutual TLS.

    Args:
        shape: its size.
        profile: the name of the protocol profile.
        pinned: one core and one thread a side; otherwise both sides use all cores.
        network: between the sides.

    Raises:
        AssertionError: the opened sums are not those of the join in the clear.
        RuntimeError: a side failed; its words are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="cleanroom-bench-") as folder:
        measured = _run(Path(folder), shape, profile, pinned, network)
    figures = measured.sides
    check_shares(shape, [side["shares"] for side in figures.values()])
    return PairFigures(
        profile=profile,
        shape=shape,
        pinned=pinned,
        wall=max(side["wall"] for side in figures.values()),
        cpu={role: side["cpu"] for role, side in figures.items()},
        memory_peak_mib={role: side["memory_peak_mib"] for role, side in figures.items()},
        memory_before_mib={role: side["memory_before_mib"] for role, side in figures.items()},
        steps={role: side["steps"] for role, side in figures.items()},
        frame_bytes=int(sum(cost["sent"] for side in figures.values() for cost in side["steps"].values())),
        packet_bytes=measured.packet_bytes,
        others_cpu=measured.others_cpu,
        speed=measured.speed,
    )


def check_shares(shape: Shape, shares: Sequence[Sequence[int]]) -> None:
    """Opens both sides' shares and compares them with the join in the clear.

    Raises:
        AssertionError: they do not open to its sums.
    """
    opened = np.sum([np.array(side, dtype=np.uint64) for side in shares], axis=0, dtype=np.uint64)  # mod 2^64
    if not np.array_equal(opened, expected_sums(shape).reshape(-1)):
        raise AssertionError("the opened sums are not those of the join in the clear")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A run as its two sides and the machine saw it."""

    sides: dict[str, dict[str, Any]]  # JSON of `benchmarks.side`
    others_cpu: float
    speed: tuple[float, float]
    packet_bytes: int | None


def _run(folder: Path, shape: Shape, profile: str, pinned: bool, network: Network) -> _Measured:
    for role in ROLES:
        new_identity(role, folder / role)
    session_id = secrets.token_hex(32)
    available = machine.cores()
    environment = dict(os.environ)
    if pinned:
        environment["RAYON_NUM_THREADS"] = "1"
    sides: dict[str, subprocess.Popen[str]] = {}
    before = machine.speed()
    wire = network()
    busy, own = machine.busy_seconds(), machine.children_cpu()
    try:
        for index, role in enumerate(ROLES):
            peer = ROLES[1 - index]
            task = Task(
                role=role,
                shape=shape,
                profile=profile,
                address=wire.address,
                identity=str(folder / role),
                peer_certificate=str(folder / peer / f"{peer}.crt"),
                session_id=session_id,
                figures=str(folder / f"{role}.figures.json"),
            )
            path = folder / f"{role}.task.json"
            path.write_text(task.encode(), encoding="utf-8")
            command = [*(_pin(available[index % len(available)]) if pinned else []), sys.executable]
            words, inherited = wire.command(role, [*command, "-m", "benchmarks.side", str(path)])
            sides[role] = subprocess.Popen(
                words,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=inherited,
            )
        _wait(sides, wire)
    finally:
        wire.close()
    others = machine.busy_seconds() - busy - (machine.children_cpu() - own) - wire.own_cpu
    figures = {role: json.loads((folder / f"{role}.figures.json").read_text(encoding="utf-8")) for role in ROLES}
    return _Measured(
        sides=figures,
        others_cpu=round(max(0.0, others), 2),
        speed=(before, machine.speed()),
        packet_bytes=wire.moved_bytes,
    )


def _wait(sides: dict[str, subprocess.Popen[str]], wire: Wire) -> None:
    """Waits for both; neither outlives this call."""
    words: dict[str, str] = {}
    try:
        wire.started()
        for role, process in sides.items():
            words[role] = process.communicate(timeout=RUN_SECONDS)[0]
    finally:
        for process in sides.values():
            if process.poll() is None:
                process.kill()
                process.wait()
    failed = [role for role, process in sides.items() if process.returncode != 0]
    if failed:
        raise RuntimeError("\n".join(f"{role}: {words[role][-2000:]}" for role in failed))


def _pin(core: int) -> list[str]:
    return [] if shutil.which("taskset") is None else ["taskset", "-c", str(core)]
