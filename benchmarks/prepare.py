"""`python -m benchmarks.prepare`: events a CPU second from a Parquet file to the rows of the join, on one thread.

An event is one row of the touches or outcomes file. The chain is that of a run: read, identifiers normalised and
hashed, in the order of people, caps, weights or step functions, tree nodes, row keys: then all rows are there, grouped
by the first bits of their keys. After that they are put in order, committed to, and kept with others beside them that
fill the agreed bound. Every preparation has a process of its own, so that its peak memory is its own. Seconds are CPU
seconds of the whole process, from the call on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

import cleanroom.prepare as preparation
from benchmarks import machine
from benchmarks.events import CASES, binding, make_agreement, write_events
from benchmarks.meter import memory_mib
from benchmarks.page import add_page_option, command_line, put
from benchmarks.sizes import parse_size
from cleanroom.agreement.model import Role
from cleanroom.allocator import keep_freed_memory
from cleanroom.errors import AgreementError
from cleanroom.plan import plan_of
from cleanroom.threads import use_threads

__all__ = ["Preparation", "main", "measure"]


TREES = ((1,), (1, 2, 4))
"""Without larger nodes an outcome needs most rows and a touch fewest; with two sizes more it is the other way round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What one preparation cost."""

    case: str
    role: str
    tree: tuple[int, ...]
    events: int
    rows: int
    bound: int
    cpu: float  # seconds
    rows_cpu: float  # of them until all rows are there
    commitment_cpu: float  # and those that hash them for the commitment
    before_mib: float  # memory of the process before the preparation began
    peak_mib: float

    @property
    def rate(self) -> float:
        """Events a CPU second, all included."""
        return self.events / self.cpu

    @property
    def rate_to_rows(self) -> float:
        """Events a CPU second until all rows are there."""
        return self.events / self.rows_cpu


def measure(folder: Path, case: str, role: Role, *, events: int, tree: tuple[int, ...]) -> Preparation:
    """Prepares one side, in this process.

    Args:
        folder: with the files of `write_events`.
        case: a name of `CASES`.
        role: the side.
        events: rows of its file.
        tree: sizes of the time tree.
    """
    with tempfile.TemporaryDirectory(prefix="cleanroom-bench-") as name:
        agreement = make_agreement(Path(name), CASES[case], events=events, tree=tree)
    plan = plan_of(agreement)
    keys = preparation.PreparationKeys(group_cap=bytes(32), shared_identifier=bytes(32), commitment=bytes(32))
    before, start = memory_mib("VmRSS"), time.process_time()
    with _watched() as steps:
        prepared = preparation.prepare(
            agreement, plan, role=role, binding=binding(folder, role), keys=keys, progress=lambda *_: None
        )
    cpu, peak = time.process_time() - start, memory_mib("VmHWM")
    prepared.close()
    exposure = role is Role.EXPOSURE
    return Preparation(
        case=case,
        role=role.value,
        tree=tree,
        events=events,
        rows=prepared.counts["preparation"]["lookups" if exposure else "rows"],
        bound=agreement.protocol.rows_exposure if exposure else agreement.protocol.rows_outcome,
        cpu=cpu,
        rows_cpu=steps.rows - start,
        commitment_cpu=steps.commitment,
        before_mib=before,
        peak_mib=peak,
    )


@dataclass(slots=True)
class _Steps:
    """What a preparation does after the other, in CPU seconds of the process."""

    rows: float = 0.0  # when all rows were there
    commitment: float = 0.0  # spent by the calls that hash them


@contextmanager
def _watched() -> Iterator[_Steps]:
    """The steps of the preparation in the block."""
    steps = _Steps()

    def made(call: Callable[..., object], /, *given: object, **named: object) -> object:
        found = call(*given, **named)
        steps.rows = time.process_time()
        return found

    def committed(call: Callable[..., object], /, **named: object) -> object:
        start = time.process_time()
        try:
            return call(**named)
        finally:
            steps.commitment += time.process_time() - start

    watches: dict[str, Callable[..., object]] = dict.fromkeys(("lookups_root", "rows_root"), committed)
    watches |= dict.fromkeys(("keep_lookups", "keep_rows", "prepare_lookups", "prepare_rows"), made)
    kept = {name: getattr(preparation, name) for name in watches}
    try:
        for name, watch in watches.items():
            setattr(preparation, name, partial(watch, kept[name]))
        yield steps
    finally:
        for name, call in kept.items():
            setattr(preparation, name, call)


def _set_up() -> None:
    """Makes a process as the command's, on one thread."""
    keep_freed_memory()
    use_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def _apart(folder: Path, case: str, role: Role, events: int, tree: tuple[int, ...]) -> Preparation:
    """Measures in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_set_up) as process:
        try:
            return process.submit(measure, folder, case, role, events=events, tree=tree).result()
        except AgreementError as error:
            raise SystemExit(f"{events} events with tree {list(tree)}: {error}") from None


def table_head() -> str:
    """The first two lines of the table."""
    names = "case | tree | side | events | rows | CPU s | to rows | commitment | events/s | to rows/s | peak MiB"
    return f"| {names} |\n" + "|---" * (names.count("|") + 1) + "|"


def table_row(found: Preparation) -> str:
    """One line of the table."""
    exponent = found.events.bit_length() - 1
    size = f"2^{exponent}" if found.events == 1 << exponent else f"{found.events}"
    tree = ", ".join(map(str, found.tree))
    return (
        f"| {found.case} | {tree} | {found.role} | {size} | {found.rows:,} | {found.cpu:.2f} "
        f"| {found.rows_cpu:.2f} | {found.commitment_cpu:.2f} | {found.rate / 1e6:.2f} M "
        f"| {found.rate_to_rows / 1e6:.2f} M | {found.peak_mib:.0f} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, runs and prints."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.add_argument(
        "events", type=parse_size, nargs="*", default=[1 << 16, 1 << 18, 1 << 20], help="2^18, 1000000 …"
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--tree",
        type=int,
        nargs="+",
        action="append",
        help="sizes of the time tree, in days, as often as there are trees; without any, 1 and 1 2 4",
    )
    parser.add_argument("--json", action="store_true")
    add_page_option(parser)
    options = parser.parse_args(words)
    trees = [tuple(tree) for tree in options.tree or TREES]
    found: list[Preparation] = []
    if not options.json:
        print("; ".join(f"{name}: {CASES[name].what}" for name in options.case) + "\n")
        print(table_head(), flush=True)
    for events in options.events:
        with tempfile.TemporaryDirectory(prefix="cleanroom-bench-") as name:
            write_events(Path(name), events=events)
            for case, tree, role in itertools.product(options.case, trees, (Role.EXPOSURE, Role.OUTCOME)):
                one = _apart(Path(name), case, role, events, tree)
                found.append(one)
                if not options.json:
                    print(table_row(one), flush=True)
    if options.json:
        print(json.dumps({"machine": machine.describe(), "preparations": [asdict(one) for one in found]}))
    if options.page is not None:
        table = "\n".join([table_head(), *(table_row(one) for one in found)])
        put(options.page, "prepare", command_line("benchmarks.prepare", words), [table])
    return 0


if __name__ == "__main__":
    sys.exit(main())
