"""`cleanroom run`: one party's half of a run."""

from __future__ import annotations

import math
import signal
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd

from cleanroom.account import AUDIT_FILE
from cleanroom.agreement import delete_by
from cleanroom.agreement.words import describe
from cleanroom.checklist import checklist, checklist_text
from cleanroom.cli.identity_options import passphrase_of, passphrase_option
from cleanroom.cli.output import echo_result, json_option
from cleanroom.data import load_binding
from cleanroom.errors import UsageError
from cleanroom.flight import Address, connect, listen
from cleanroom.link import Link
from cleanroom.node import STEP_TIMEOUT, Side, run, side_of
from cleanroom.progress import ProgressReport
from cleanroom.release.accounting import expected_errors
from cleanroom.release.files import check_out, clear_leftovers, write_failure, write_finished
from cleanroom.threads import MAX_THREADS, use_threads

__all__ = ["command"]


class _Seconds(click.FloatRange):
    """A number of seconds up to a day; a NaN, which passes every comparison of a range, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # Any: as click
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail("a number of seconds expected", param, ctx)
        return number


_SECONDS = _Seconds(min=0, min_open=True, max=86_400)


@click.command(name="run")
@click.option("--agreement", required=True, type=click.Path(path_type=Path), help="What both owners signed.")
@click.option("--party", required=True, help="This side's name in the agreement.")
@click.option("--identity", required=True, type=click.Path(path_type=Path), help="The folder of this side's identity.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The binding: where this side's data are.")
@click.option("--listen", "listen_at", metavar="HOST:PORT", help="Wait for the peer here.")
@click.option("--connect", "connect_to", metavar="HOST:PORT", help="Connect to the peer, which listens there.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new or empty folder for the files.")
@click.option("--connect-timeout", type=_SECONDS, default=60.0, show_default=True, help="Seconds to find the peer.")
@click.option("--step-timeout", type=_SECONDS, default=STEP_TIMEOUT, show_default=True, help="Seconds of silence.")
@click.option(
    "--threads",
    type=click.IntRange(1, MAX_THREADS),
    envvar="RAYON_NUM_THREADS",  # what the kernels' pool reads by itself, unchecked
    help=f"Threads that this side computes on, 1 to {MAX_THREADS}; else RAYON_NUM_THREADS.  [default: all cores]",
)
@click.option("--checklist", "only_check", is_flag=True, help="Print the checklist and end: nothing is read or sent.")
@passphrase_option
@json_option
def command(
    agreement: Path,
    party: str,
    identity: Path,
    data: Path,
    listen_at: str | None,
    connect_to: str | None,
    out: Path,
    connect_timeout: float,
    step_timeout: float,
    threads: int | None,
    only_check: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Run this party's half: prepare the data, join in secret with the peer, write the release."""
    if (listen_at is None) == (connect_to is None):
        raise UsageError("exactly one of --listen and --connect is needed")
    address = Address(listen_at or connect_to or "")
    if threads is not None:
        use_threads(threads)
    if not only_check:
        clear_leftovers(out)
    check_out(out)
    passphrase = passphrase_of(passphrase_file)
    if only_check:
        items = checklist(
            side_of(agreement, party=party, identity=identity, passphrase=passphrase), out=out, now=datetime.now(UTC)
        )
        echo_result(checklist_text(items), {"checklist": [asdict(item) for item in items]}, as_json=as_json)
        return

    def open_link(side: Side) -> Link:
        open_one = listen if listen_at is not None else connect
        return open_one(address, identity=side.identity, peer=side.peer_certificate, timeout=connect_timeout)

    try:
        side = side_of(agreement, party=party, identity=identity, passphrase=passphrase)
        errors = [error.text for error in expected_errors(side.agreement, side.plan)]
        click.echo(describe(side.agreement, party, errors=errors), err=True)
        items = checklist(side, out=out, now=datetime.now(UTC))
        click.echo(checklist_text(items), err=True)
        with ProgressReport() as progress:
            finished = run(side, load_binding(data), open_link, progress=progress, step_timeout=step_timeout)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # too late: the run is complete, only its files are not in place
        write_finished(out, finished.files)
    except BaseException as error:
        write_failure(out, error)
        raise
    release = finished.release
    last = delete_by(side.agreement.legal, ended=datetime.now(UTC), zone=side.agreement.time.zone)
    facts: dict[str, object] = {
        "out": str(out),
        "repeated": finished.repeated,
        "files": sorted(finished.files),
        "checklist": [asdict(item) for item in items],
        "delete_private_by": None if last is None else last.isoformat(),
    }
    with pd.option_context("display.unicode.east_asian_width", True):  # columns stay in line beside Chinese labels
        text = "" if release is None else release.to_string(index=False, na_rep="")
    if finished.repeated:
        click.echo("run before on the same data: the stored release is returned and nothing is spent", err=True)
        if AUDIT_FILE not in finished.files:
            click.echo(f"{AUDIT_FILE} of that run was pruned from the ledger", err=True)
    elif last is not None:
        click.echo(f"agreed retention: delete {out / AUDIT_FILE} by {last}, and run `cleanroom budget prune`", err=True)
    echo_result(text, facts, as_json=as_json)
