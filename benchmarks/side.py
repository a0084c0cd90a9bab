"""One side of a benchmarked join: a process of its own, which writes its figures into a file.

Run by `pair`, as `python -m benchmarks.side TASK.json`.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.meter import MeteredParty, forget_peak, memory_mib
from benchmarks.workload import Shape, exposure_source, outcome_source
from cleanroom.allocator import keep_freed_memory
from cleanroom.drive import drive, silent
from cleanroom.flight import Address, connect, listen
from cleanroom.identity import load_identity, read_certificate
from cleanroom.protocols import private_join
from cleanroom.protocols.private_join import JoinOutput
from cleanroom.protocols.seeds import Streams, fresh_seed
from cleanroom.protocols.wire import Protocol

__all__ = ["Task", "main"]

CONNECT_SECONDS = 600.0
STEP_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a side is to do; all of it is written into a file for it."""

    role: str  # "exposure", which listens, or "outcome"
    shape: Shape
    profile: str
    address: str
    identity: str  # a folder
    peer_certificate: str  # a file
    session_id: str  # hex
    figures: str  # where to write

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def decode(text: str) -> Task:
        """From `encode`."""
        fields = json.loads(text)
        return Task(**{**fields, "shape": Shape(**fields["shape"])})


def main(path: Path) -> None:
    """Runs the side that a task file describes."""
    keep_freed_memory()  # as the command does
    task = Task.decode(path.read_text(encoding="utf-8"))
    if task.role not in ("exposure", "outcome"):
        raise ValueError(f"a side is exposure or outcome, {task.role} found")
    streams = Streams(seed=fresh_seed(), session_id=bytes.fromhex(task.session_id))
    protocol = _protocol(task, streams)
    identity = load_identity(Path(task.identity))
    peer = read_certificate(Path(task.peer_certificate).read_bytes(), where="peer")
    open_link = listen if task.role == "exposure" else connect
    forget_peak()
    base = memory_mib("VmRSS")
    with open_link(Address(task.address), identity=identity, peer=peer, timeout=CONNECT_SECONDS) as link:
        started, cpu = time.perf_counter(), time.process_time()
        party = MeteredParty(protocol)
        output = drive(party, link, step_timeout=STEP_SECONDS, progress=silent)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    figures = {
        "wall": wall,
        "cpu": cpu,
        "memory_before_mib": base,
        "memory_peak_mib": memory_mib("VmHWM"),
        "steps": {step: cost.as_dict() for step, cost in party.steps.items()},
        "shares": output.shares.reshape(-1).tolist(),
    }
    Path(task.figures).write_text(json.dumps(figures), encoding="utf-8")


def _protocol(task: Task, streams: Streams) -> Protocol[JoinOutput]:
    parameters = task.shape.parameters(task.profile)
    if task.role == "exposure":
        return private_join.exposure(parameters=parameters, lookups=exposure_source(task.shape), streams=streams)
    return private_join.outcome(parameters=parameters, rows=outcome_source(task.shape), streams=streams)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
