"""`python -m benchmarks.peers`: the private join beside other tools that join two private sets, in alternating runs.

**The peers reveal the intersection to a party and aggregate nothing; this join reveals neither matches nor counts.** A
ratio says what that costs; it does not compare like with like.

Each size is run in two ways, ours and the peers in turn: with one core and one thread a party, and with no party bound
to a core. Of each, every step's seconds and bytes a side are printed, and the ratios.

Peers are not part of the project. `$PEERS_DIR/venvs/spu` (spu 0.9.5) and `$PEERS_DIR/venvs/spu-dev` (spu
0.10.0.dev20251211) are virtual environments with them, and `$PEERS_SCRIPTS`, by default `../shared/peers`, holds the
scripts that run one as two processes. What is missing is skipped with one line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from benchmarks import machine
from benchmarks.join import TOTALS_RULE, largest, medians, steps_table, totals_row, totals_table
from benchmarks.page import add_page_option, command_line, put
from benchmarks.pair import ROOT, PairFigures, run_pair
from benchmarks.sizes import parse_size
from benchmarks.workload import PROFILES, Shape

__all__ = ["Peer", "PeerFigures", "installed", "main"]

PEER_SECONDS = 1_200.0
REVEALED = "the peers reveal the intersection and aggregate nothing; this join reveals only the release"
SIZES = [1 << power for power in (16, 18, 20)]
CORES = {"one": "one core and one thread a party", "all": "no party bound to a core"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A protocol of another tool."""

    environment: str  # the folder under $PEERS_DIR/venvs
    protocol: str  # as the scripts call it
    beside: tuple[str, ...]  # the profiles that it is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFigures:
    """One run of a peer."""

    name: str
    rows: int
    wall: float  # seconds, the slower party
    cpu: tuple[float, float]  # CPU seconds a party
    wire_bytes: int  # packets on loopback
    memory_peak_mib: tuple[float, float]
    others_cpu: float


PEERS = (
    Peer(environment="spu", protocol="ECDH:FOURQ", beside=("ecdh",)),
    Peer(environment="spu-dev", protocol="ECDH:25519", beside=("ecdh",)),
    Peer(environment="spu", protocol="RR22", beside=("kkrt", "vole")),
)


def installed(peer: Peer) -> tuple[str, Path] | str:
    """Looks for a peer.

    Returns:
        Its name with its version, and its Python; or why it is skipped, in one line.
    """
    base = os.environ.get("PEERS_DIR")
    if not base:
        return f"{peer.environment} {peer.protocol}: skipped, PEERS_DIR does not say where peers are installed"
    python = Path(base) / "venvs" / peer.environment / "bin" / "python"
    if not python.exists():
        return f"{peer.environment} {peer.protocol}: skipped, $PEERS_DIR/venvs/{peer.environment} is not there"
    if not (_scripts() / "bench_spu.py").exists():
        return f"{peer.environment} {peer.protocol}: skipped, $PEERS_SCRIPTS has no bench_spu.py"
    ask = "import importlib.metadata as m; print(m.version('spu'))"
    found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        return f"{peer.environment} {peer.protocol}: skipped, $PEERS_DIR/venvs/{peer.environment} holds no spu"
    return f"spu {found.stdout.strip()} {peer.protocol}", python


def run_peer(peer: Peer, name: str, python: Path, rows: int, *, pinned: bool) -> PeerFigures:
    """Runs a peer once, with one core a party if it is `pinned`.

    Raises:
        RuntimeError: it failed; its words are in the message.
    """
    command = [sys.executable, "bench_spu.py", str(rows), "1", str(int(pinned)), peer.protocol]
    environment = {**os.environ, "SPU_PY": str(python), "TIMEOUT": str(PEER_SECONDS), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=_scripts(), env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"{name}: {(done.stdout + done.stderr)[-600:]}")
    found: dict[str, Any] = json.loads(lines[-1])  # the scripts' own format
    return PeerFigures(
        name=name,
        rows=rows,
        wall=found["wall"],
        cpu=(found["cpu_a"], found["cpu_b"]),
        wire_bytes=int(1e6 * found["wire_mb"]),
        memory_peak_mib=(found["rss_a"], found["rss_b"]),
        others_cpu=found["foreign_cpu"][0],
    )


def _scripts() -> Path:
    return Path(os.environ.get("PEERS_SCRIPTS", ROOT.parent / "shared" / "peers"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, runs in turn, and prints ratios."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    machine.enter_private_network("benchmarks.peers", words)
    out = sys.stderr if options.json else sys.stdout
    print(f"machine: {json.dumps(machine.describe())}", file=out, flush=True)
    present: list[tuple[Peer, str, Path]] = []
    for peer in PEERS:
        if not set(peer.beside) & set(options.profile):
            continue
        found = installed(peer)
        if isinstance(found, str):
            print(found, file=out)
        else:
            present.append((peer, *found))
    print(REVEALED, file=out)
    everything = []
    for cores in options.cores:
        print(f"\n{CORES[cores]}\n{TOTALS_RULE}", file=out, flush=True)
        ours, theirs = _alternating(options, present, pinned=cores == "one", out=out)
        runs = {"runs": [run.as_dict() for run in ours], "peers": [asdict(run) for run in theirs]}
        everything.append({"cores": cores, **runs})
        chosen = medians(ours)
        ratios = [_ratios(ours, theirs, {name: peer.beside for peer, name, _ in present})] if theirs else []
        if not options.json:
            print("\n" + "\n\n".join([*(steps_table(run) for run in chosen), *ratios]), flush=True)
        if options.page is not None:
            tables = [totals_table(chosen), *(steps_table(run) for run in largest(chosen)), *ratios]
            command = command_line("benchmarks.peers", words)
            put(options.page, f"peers, {cores}", command, [f"{CORES[cores].capitalize()}.", *tables])
    if options.json:
        json.dump({"machine": machine.describe(), "cores": everything}, sys.stdout, indent=1)
        print()
    return 0


def _alternating(
    options: argparse.Namespace, present: Sequence[tuple[Peer, str, Path]], *, pinned: bool, out: TextIO
) -> tuple[list[PairFigures], list[PeerFigures]]:
    """Runs all sizes, ours and the peers in turn, and prints a row for each of ours.

    Returns:
        Ours, and the peers'.
    """
    ours: list[PairFigures] = []
    theirs: list[PeerFigures] = []
    for rows in options.rows or SIZES:
        for _ in range(options.repeat):
            for profile in options.profile:
                ours.append(run_pair(Shape(rows=rows), profile=profile, pinned=pinned))
                print(totals_row(ours[-1]), file=out, flush=True)
            theirs += [run_peer(*one, rows, pinned=pinned) for one in present]
    return ours, theirs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument(
        "rows",
        nargs="*",
        type=parse_size,
        help="rows a side: 4096, 2^12 or 2**12; without any, 2^16, 2^18 and 2^20",
    )
    parser.add_argument("--profile", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--repeat", type=int, default=1, help="rounds a size, ours and the peers in turn")
    parser.add_argument("--cores", nargs="+", choices=CORES, default=list(CORES), help="one a party, or all for both")
    parser.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    add_page_option(parser)
    return parser


def _ratios(ours: Sequence[PairFigures], theirs: Sequence[PeerFigures], beside: dict[str, tuple[str, ...]]) -> str:
    """The medians of each peer and what ours are of them."""
    lines = [
        f"this join / the peer, medians; {REVEALED}",
        "",
        "| peer                             |     rows |  wall s | cpu s A | cpu s B |  wire MB | peak MiB "
        "| profile | wall × | cpu × | wire × | MiB × |",
        "|----------------------------------|----------|---------|---------|---------|----------|----------"
        "|---------|--------|-------|--------|-------|",
    ]
    for name, rows in dict.fromkeys((run.name, run.rows) for run in theirs):
        peer = [run for run in theirs if (run.name, run.rows) == (name, rows)]
        wall = median(run.wall for run in peer)
        cpu = [median(run.cpu[side] for run in peer) for side in (0, 1)]
        wire = median(run.wire_bytes for run in peer)
        peak = max(max(run.memory_peak_mib) for run in peer)
        for profile in beside[name]:
            same = [run for run in ours if (run.profile, run.shape.rows) == (profile, rows)]
            if not same:
                continue
            ratio_wall = median(run.wall for run in same) / wall
            ratio_cpu = median(max(run.cpu.values()) for run in same) / max(cpu)
            ratio_wire = median(run.wire_bytes for run in same) / wire
            ratio_peak = max(max(run.memory_peak_mib.values()) for run in same) / peak
            lines.append(
                f"| {name:<32} | {rows:>8} | {wall:7.2f} | {cpu[0]:7.2f} | {cpu[1]:7.2f} | {wire / 1e6:8.2f} "
                f"| {peak:8.0f} | {profile:>7} | {ratio_wall:6.1f} | {ratio_cpu:5.1f} | {ratio_wire:6.1f} "
                f"| {ratio_peak:5.1f} |"
            )
    lines.append("")
    lines.append("cpu ×: the busier side's CPU seconds, which other programs on the machine disturb less than the wall")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
