"""`python -m benchmarks.growth`: how time, bytes and memory of the join grow with the rows, and the fitted exponent.

Runs as those of `benchmarks.join`, one after the other. For each profile a straight line is fitted to the logarithms,
by least squares: a quantity that grows as rows^1.00 is linear. Fixed costs weigh at the small sizes, so the fit leaves
out those below `--from`. Every run's sums are opened and compared with the join in the clear.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from statistics import linear_regression
from typing import Final

from benchmarks import machine
from benchmarks.join import TOTALS_RULE, medians, totals_row, totals_table
from benchmarks.page import add_page_option, command_line, put
from benchmarks.pair import PairFigures, run_pair
from benchmarks.sizes import parse_size
from benchmarks.workload import PROFILES, Shape

__all__ = ["exponent", "exponents_table", "main", "sizes_of"]

SIZES: Final = tuple(1 << power for power in (16, 18, 20, 22, 24))
LARGEST: Final = {"ecdh": 1 << 20}
"""Where a profile's sizes end unless they are named: a run beyond takes minutes."""
QUANTITIES: Final[dict[str, Callable[[PairFigures], float]]] = {
    "wall s": lambda run: run.wall,
    "cpu s of both": lambda run: sum(run.cpu.values()),
    "wire bytes": lambda run: run.wire_bytes,
    "peak MiB, larger side": lambda run: max(run.memory_peak_mib.values()),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, runs, fits and prints."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    machine.enter_private_network("benchmarks.growth", words)
    out = sys.stderr if options.json else sys.stdout
    print(f"machine: {json.dumps(machine.describe())}\n{TOTALS_RULE}", file=out, flush=True)
    runs: list[PairFigures] = []
    for profile in options.profile:
        for rows in sizes_of(profile, options.rows):
            for _ in range(options.repeat):
                runs.append(run_pair(Shape(rows=rows), profile=profile, pinned=not options.all_cores))
                print(totals_row(runs[-1]), file=out, flush=True)
    chosen = medians(runs)
    exponents = exponents_table(chosen, options.least)
    if options.json:
        json.dump({"machine": machine.describe(), "runs": [run.as_dict() for run in runs]}, sys.stdout, indent=1)
        print()
    else:
        print("\n" + exponents)
    if options.page is not None:
        put(options.page, "growth", command_line("benchmarks.growth", words), [totals_table(chosen), exponents])
    return 0


def sizes_of(profile: str, named: Sequence[int]) -> list[int]:
    """The sizes to run: those that the command names, or else those that the profile takes."""
    return list(named or (size for size in SIZES if size <= LARGEST.get(profile, size)))


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """Fits y = c·x^e by least squares on logarithms.

    Args:
        points: (x, y), all positive.

    Returns:
        e; None for fewer than two different x.
    """
    if len({x for x, _ in points}) < 2:
        return None
    return linear_regression([math.log(x) for x, _ in points], [math.log(y) for _, y in points]).slope


def exponents_table(runs: Sequence[PairFigures], least: int) -> str:
    """Of each profile the exponents, from so many rows on."""
    lines = [
        f"fitted exponents from {least} rows a side on: 1.00 is linear",
        "",
        "|  profile | sizes | " + " | ".join(QUANTITIES) + " |",
        "|----------|-------|" + "|".join("-" * (len(name) + 2) for name in QUANTITIES) + "|",
    ]
    for profile in dict.fromkeys(run.profile for run in runs):
        own = [run for run in runs if run.profile == profile and run.shape.rows >= least]
        cells = []
        for name, quantity in QUANTITIES.items():
            found = exponent([(run.shape.rows, quantity(run)) for run in own])
            cells.append(f"{'-' if found is None else f'{found:.2f}':>{len(name)}}")
        lines.append(f"| {profile:>8} | {len(own):>5} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", type=parse_size, help="rows a side; without any, 2^16 to 2^24 (ecdh to 2^20)"
    )
    parser.add_argument("--profile", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--from", dest="least", type=parse_size, default=1 << 16, help="smaller sizes are not fitted")
    parser.add_argument("--repeat", type=int, default=1, help="runs a size; the median by CPU seconds is taken")
    parser.add_argument("--all-cores", action="store_true", help="do not pin: both sides use every core")
    parser.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    add_page_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
