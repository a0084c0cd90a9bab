"""`python -m benchmarks.join`: the private join at growing sizes, step by step.

Two processes, one core and one thread each, an Arrow Flight link with mutual TLS on loopback, identities made for the
run and thrown away. Every run's sums are opened and compared with the join in the clear. Where the system allows it,
the runs have a network namespace of their own, so that the bytes on the wire are those of the packets.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from statistics import median

from benchmarks import machine
from benchmarks.pair import ROLES, PairFigures, run_pair
from benchmarks.sizes import parse_size
from benchmarks.workload import PROFILES, Shape
from cleanroom.protocols.buckets import BUCKET_ROWS

__all__ = ["TOTALS_RULE", "largest", "main", "medians", "steps_table", "totals_row", "totals_table"]

_HEADER = (
    "|  profile |     rows | wall s | cpu s A | cpu s B | µs/row |  wire MB | B/row | MiB A | MiB B | others cpu s |"
)
TOTALS_RULE = _HEADER + "\n" + "|".join("-" * len(cell) for cell in _HEADER.split("|"))
_ORDER = ("start", "bins", "base_ot", "silent_vole", "oprf", "hint", "ot", "equality", "mux", "grouped_sum")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, runs and prints."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    machine.enter_private_network("benchmarks.join", words)
    results: list[PairFigures] = []
    _say(options.json, f"machine: {json.dumps(machine.describe())}")
    _say(options.json, TOTALS_RULE)
    for profile in options.profile:
        for rows in options.rows:
            shape = Shape(
                rows=rows,
                overlap=options.overlap,
                columns=options.columns,
                groups=options.groups,
                families=options.families,
                groups_per_row=options.groups_per_row,
                weight_bound=options.weight_bound,
                bucket_rows=options.bucket_rows,
            )
            for _ in range(options.repeat):
                figures = run_pair(shape, profile=profile, pinned=not options.all_cores)
                results.append(figures)
                _say(options.json, totals_row(figures))
    if not options.json:
        print("\nA is the exposure side, B the outcome side; every run's opened sums are those of the plain join.")
        for figures in medians(results):
            print("\n" + steps_table(figures))
    else:
        json.dump({"machine": machine.describe(), "runs": [run.as_dict() for run in results]}, sys.stdout, indent=1)
        print()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.join", description=__doc__)
    sizes = [1 << power for power in (12, 14, 16, 18)]
    parser.add_argument("rows", nargs="*", type=parse_size, default=sizes, help="rows a side: 4096, 2^12 or 2**12")
    parser.add_argument("--profile", nargs="+", choices=PROFILES, default=["ecdh"])
    parser.add_argument("--repeat", type=int, default=1, help="runs a size; the steps shown are those of the median")
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--groups", type=int, default=64)
    parser.add_argument("--families", type=int, default=1, help="families of weights, columns to each in turn")
    parser.add_argument("--groups-per-row", type=int, default=1, help="at most; a row holds one to as many")
    parser.add_argument("--weight-bound", type=int, default=1, help="720720 for credit that is shared")
    parser.add_argument(
        "--bucket-rows", type=parse_size, default=BUCKET_ROWS, help="as large as a join without buckets"
    )
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--all-cores", action="store_true", help="do not pin: both sides use every core")
    parser.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    return parser


def totals_row(run: PairFigures) -> str:
    """One line of the table of whole runs."""
    rows, wire = run.shape.rows, run.wire_bytes
    cpu, peak = run.cpu, run.memory_peak_mib
    return (
        f"| {run.profile:>8} | {rows:>8} | {run.wall:6.2f} | {cpu['exposure']:7.2f} | {cpu['outcome']:7.2f} "
        f"| {1e6 * run.wall / rows:6.1f} | {wire / 1e6:8.2f} | {wire / rows:5.0f} "
        f"| {peak['exposure']:5.0f} | {peak['outcome']:5.0f} | {run.others_cpu:12.1f} |"
    )


def totals_table(runs: Sequence[PairFigures]) -> str:
    """The table of whole runs."""
    return "\n".join([TOTALS_RULE, *(totals_row(run) for run in runs)])


def steps_table(run: PairFigures) -> str:
    """A run's steps: seconds of work, of waiting for the peer, and CPU, and the bytes that a side sent."""
    lines = [
        f"steps of {run.profile} at {run.shape.rows} rows a side, {run.wall:.2f} s in all",
        "",
        "| step        | A work s |  wait s |   cpu s |  sent MB | B work s |  wait s |   cpu s |  sent MB |",
        "|-------------|----------|---------|---------|----------|----------|---------|---------|----------|",
    ]
    names = {step for role in ROLES for step in run.steps[role]}
    for step in sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        cells = []
        for role in ROLES:
            cost = run.steps[role].get(step, {})
            cells += [f"{cost.get('work', 0.0):8.3f}", f"{cost.get('wait', 0.0) + cost.get('send', 0.0):7.3f}"]
            cells += [f"{cost.get('cpu', 0.0):7.3f}", f"{cost.get('sent', 0) / 1e6:8.2f}"]
        lines.append(f"| {step:<11} | {' | '.join(cells)} |")
    return "\n".join(lines)


def medians(runs: Sequence[PairFigures]) -> list[PairFigures]:
    """Of each profile and size, the run whose CPU seconds are the median: what others did does not choose it."""
    kinds = list(dict.fromkeys((run.profile, run.shape.rows) for run in runs))
    chosen = []
    for kind in kinds:
        same = [run for run in runs if (run.profile, run.shape.rows) == kind]
        middle = median(sum(run.cpu.values()) for run in same)
        chosen.append(min(same, key=lambda run: abs(sum(run.cpu.values()) - middle)))
    return chosen


def largest(runs: Sequence[PairFigures]) -> list[PairFigures]:
    """Of each profile the runs of its largest size: the ones whose steps a page shows."""
    most: dict[str, int] = {}
    for run in runs:
        most[run.profile] = max(run.shape.rows, most.get(run.profile, 0))
    return [run for run in runs if run.shape.rows == most[run.profile]]


def _say(quiet: bool, text: str) -> None:
    print(text, file=sys.stderr if quiet else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
