"""`python -m benchmarks.wan`: the private join over a wide-area network, by default 100 Mbit/s and 20 ms each way.

Each side is a process in a network namespace of its own, pinned to a core; between them is a relay that lets so many
bits a second through in each direction and delays every packet (`benchmarks.relay`). The machine's own interfaces are
not touched. Every run's sums are opened and compared with the join in the clear.

`wire s` is what the busier direction's bytes take at the full rate, the floor of a run; `TCP and waits` is what the run
took beyond it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from benchmarks import machine
from benchmarks.island import available
from benchmarks.join import largest, medians, steps_table
from benchmarks.networks import Wide
from benchmarks.page import add_page_option, command_line, put
from benchmarks.pair import ROLES, PairFigures, run_pair
from benchmarks.relay import Road
from benchmarks.sizes import parse_size
from benchmarks.workload import PROFILES, Shape

__all__ = ["main", "road_of", "wan_row"]

SIZES: Final = tuple(1 << power for power in (16, 18, 20))
_HEADER = (
    "|  profile |     rows | Mbit/s | delay ms | wall s |  wire s | TCP and waits s | cpu s A | cpu s B |  wire MB "
    "| A sent MB | B sent MB | MiB A | MiB B |"
)
RULE = _HEADER + "\n" + "|".join("-" * len(cell) for cell in _HEADER.split("|"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, runs and prints; 1 where the system allows no namespaces."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    missing = available()
    if missing is not None:
        print(f"benchmarks.wan: no run, {missing}", file=sys.stderr)
        return 1
    road = road_of(options.mbit, options.delay, options.buffer)
    out = sys.stderr if options.json else sys.stdout
    print(f"machine: {json.dumps(machine.describe())}\n{RULE}", file=out, flush=True)
    runs: list[PairFigures] = []
    rows: list[str] = []
    for profile in options.profile:
        for size in options.rows or SIZES:
            for _ in range(options.repeat):
                runs.append(run_pair(Shape(rows=size), profile=profile, network=partial(Wide, road)))
                rows.append(wan_row(runs[-1], road))
                print(rows[-1], file=out, flush=True)
    chosen = medians(runs)
    if options.json:
        found = {"machine": machine.describe(), "mbit": options.mbit, "delay_ms": options.delay}
        json.dump(found | {"runs": [run.as_dict() for run in runs]}, sys.stdout, indent=1)
        print()
    else:
        print("\n" + "\n\n".join(steps_table(run) for run in chosen))
    if options.page is not None:
        tables = ["\n".join([RULE, *rows]), *(steps_table(run) for run in largest(chosen))]
        put(options.page, "wan", command_line("benchmarks.wan", words), tables)
    return 0


def road_of(mbit: float, delay_ms: float, buffer_ms: float) -> Road:
    """A wire from what people say about one; its buffer holds so many milliseconds of the full rate."""
    rate = mbit * 1e6
    return Road(bits_per_second=rate, delay=delay_ms / 1e3, buffer_bytes=int(rate / 8 * buffer_ms / 1e3))


def wan_row(run: PairFigures, road: Road) -> str:
    """One line of the table."""
    sent = {role: sum(cost["sent"] for cost in run.steps[role].values()) for role in ROLES}
    floor = 8 * max(sent.values()) / road.bits_per_second
    cpu, peak = run.cpu, run.memory_peak_mib
    return (
        f"| {run.profile:>8} | {run.shape.rows:>8} | {road.bits_per_second / 1e6:6.0f} | {road.delay * 1e3:8.0f} "
        f"| {run.wall:6.1f} | {floor:7.1f} | {run.wall - floor:15.1f} "
        f"| {cpu['exposure']:7.2f} | {cpu['outcome']:7.2f} | {run.wire_bytes / 1e6:8.1f} "
        f"| {sent['exposure'] / 1e6:9.1f} | {sent['outcome'] / 1e6:9.1f} "
        f"| {peak['exposure']:5.0f} | {peak['outcome']:5.0f} |"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wan", description=__doc__)
    parser.add_argument("rows", nargs="*", type=parse_size, help="rows a side; without any, 2^16, 2^18 and 2^20")
    parser.add_argument("--profile", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--mbit", type=float, default=100.0, help="megabits a second, in each direction")
    parser.add_argument(
        "--delay", type=float, default=20.0, help="milliseconds, one way: a round trip takes twice that"
    )
    parser.add_argument("--buffer", type=float, default=100.0, help="milliseconds of the rate that may wait to be sent")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    add_page_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
