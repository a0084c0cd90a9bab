"""`python -m benchmarks.start`: seconds from the command to its help, and to a party that waits for its peer.

The second is a whole `cleanroom run --listen` of the template's agreement over a file of a few rows, from the start of
the process to the bound port: imports, signatures, the ledger, the draw of the noise, and a preparation of next to
nothing. CPU seconds stand beside the wall, which other programs lengthen.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks import machine
from cleanroom.agreement import load_agreement, sign_agreement, write_template
from cleanroom.identity import new_identity

__all__ = ["Seconds", "help_seconds", "main", "ready_seconds"]

COMMAND = (sys.executable, "-m", "cleanroom")
LIMIT_SECONDS = 60.0
_ROWS = "person,at,campaign\n" + "".join(f"p{row},2026-03-01T10:00:00+08:00,1\n" for row in range(100))
_BINDING = """\
[source]
path = "touches.csv"
[columns]
id = "person"
time = "at"
event = "'read'"
campaign_id = "campaign"
"""


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long a command took."""

    wall: float
    cpu: float


def help_seconds() -> Seconds:
    """Times `cleanroom --help`."""
    start, cpu = time.perf_counter(), machine.children_cpu()
    subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
    return Seconds(time.perf_counter() - start, machine.children_cpu() - cpu)


def ready_seconds() -> Seconds:
    """Times `cleanroom run` until its port takes connections.

    Raises:
        RuntimeError: the command ended before that, or took more than a minute.
    """
    with tempfile.TemporaryDirectory(prefix="cleanroom-bench-") as name:
        folder = Path(name)
        agreement = folder / "agreement.toml"
        write_template(agreement)
        identities = [new_identity(party, folder / party) for party in ("media", "shop")]
        for identity in identities:
            (folder / f"{identity.name}.crt").write_bytes(identity.certificate_pem)
        for identity in identities:
            sign_agreement(agreement, load_agreement(agreement), identity)
        (folder / "touches.csv").write_text(_ROWS, encoding="utf-8")
        (folder / "media.toml").write_text(_BINDING, encoding="utf-8")
        port = machine.free_port()
        options = ["--party", "media", "--identity", str(folder / "media"), "--data", str(folder / "media.toml")]
        where = ["--listen", f"127.0.0.1:{port}", "--out", str(folder / "out")]
        start, cpu, wall = time.perf_counter(), machine.children_cpu(), 0.0
        process = subprocess.Popen(
            [*COMMAND, "run", "--agreement", str(agreement), *options, *where],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            while not wall and process.poll() is None and time.perf_counter() - start < LIMIT_SECONDS:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        wall = time.perf_counter() - start
                time.sleep(0.005)
        finally:
            process.kill()
            words = process.communicate()[1].decode(errors="replace")
        if not wall:
            raise RuntimeError(f"`cleanroom run` ended before it listened: {words[-600:]}")
        return Seconds(wall, machine.children_cpu() - cpu)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, runs and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    kinds = {"cleanroom --help": help_seconds, "cleanroom run to ready": ready_seconds}
    figures = {name: [measure() for _ in range(options.repeat)] for name, measure in kinds.items()}
    if options.json:
        print(json.dumps({name: [asdict(run) for run in runs] for name, runs in figures.items()}))
        return 0
    print(f"| {'command':<22} | median s |   min s |   cpu s |\n|{'-' * 24}|----------|---------|---------|")
    for name, runs in figures.items():
        walls, cpu = [run.wall for run in runs], median(run.cpu for run in runs)
        print(f"| {name:<22} | {median(walls):8.2f} | {min(walls):7.2f} | {cpu:7.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
