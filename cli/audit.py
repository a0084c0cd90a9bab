"""`cleanroom audit`: check a finished run, run it again from both inputs, or measure what a release gives away."""

from __future__ import annotations

from pathlib import Path

import click

from cleanroom.agreement import load_agreement
from cleanroom.audit import AuditReport, replay, verify
from cleanroom.audit.privacy import DEFAULT_RUNS, audit_privacy
from cleanroom.cli.output import echo_result, json_option
from cleanroom.data import load_binding
from cleanroom.progress import ProgressReport

__all__ = ["command"]

_AGREEMENT = click.option(
    "--agreement", required=True, type=click.Path(path_type=Path), help="What both owners signed, of any age."
)
_FOLDER = click.Path(path_type=Path)


@click.group(name="audit")
def command() -> None:
    """Check finished runs.

    Exit codes: 0 nothing was found; 3 a signature does not hold; 4 all signatures hold and something does not follow.
    """


@command.command(name="verify")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=_FOLDER)
@_AGREEMENT
@json_option
def verify_command(folders: tuple[Path, ...], agreement: Path, as_json: bool) -> int:
    """Check one or both sides' folders: signatures, chains, messages, release against the opened shares."""
    return _end(verify(folders, agreement), as_json)


@command.command(name="replay")
@_AGREEMENT
@click.option("--exposure", required=True, type=_FOLDER, help="The exposure side's folder, with audit.private.")
@click.option("--exposure-data", required=True, type=_FOLDER, help="The binding of the exposure side's data.")
@click.option("--outcome", required=True, type=_FOLDER, help="The outcome side's folder, with audit.private.")
@click.option("--outcome-data", required=True, type=_FOLDER, help="The binding of the outcome side's data.")
@json_option
def replay_command(
    agreement: Path, exposure: Path, exposure_data: Path, outcome: Path, outcome_data: Path, as_json: bool
) -> int:
    """Run a finished run again from both inputs and private files, and name the first difference."""
    with ProgressReport() as progress:
        report = replay(
            agreement,
            exposure=exposure,
            exposure_data=load_binding(exposure_data),
            outcome=outcome,
            outcome_data=load_binding(outcome_data),
            progress=progress,
        )
    return _end(report, as_json)


@command.command(name="privacy")
@_AGREEMENT
@click.option("--runs", type=click.IntRange(min=1000), default=DEFAULT_RUNS, show_default=True, help="Of each input.")
@json_option
def privacy_command(agreement: Path, runs: int, as_json: bool) -> int:
    """Release made-up neighbouring inputs many times, and tell them apart: is it as private as agreed?

    No data is read. Exit code 4 if more was told apart than the agreement promises.
    """
    audit = audit_privacy(load_agreement(agreement), runs=runs)
    found = audit.found
    lines = [
        f"one person moves {audit.cells} cells in {audit.groups} groups; {audit.runs} releases with and without",
        f"epsilon: {audit.epsilon:g} promised, at least {found.epsilon:.3f} found, by {found.epsilon_by}",
        f"rho: {audit.rho:.4g} promised, at least {found.rho:.4g} found if the noise is Gaussian, by {found.mu_by}",
        *(f"fault: {fault}" for fault in audit.faults),
        *(f"note: {note}" for note in audit.notes),
    ]
    facts: dict[str, object] = {
        "runs": audit.runs,
        "groups": audit.groups,
        "cells": audit.cells,
        "epsilon": {"promised": audit.epsilon, "found": found.epsilon, "by": found.epsilon_by},
        "rho": {"promised": audit.rho, "found": found.rho, "by": found.mu_by},
        "delta": audit.delta,
        "faults": list(audit.faults),
        "notes": list(audit.notes),
    }
    echo_result("\n".join(lines), facts, as_json=as_json)
    return 4 if audit.faults else 0


def _end(report: AuditReport, as_json: bool) -> int:
    """Prints a report, and returns the exit code."""
    facts: dict[str, object] = {
        "verified": report.verified,
        "exit_code": report.exit_code,
        "faults": [
            {"file": fault.file, "where": fault.where, "fault": fault.what, "signature": fault.signature}
            for fault in report.faults
        ],
        "checked": report.checked if report.verified else [],
        "notes": report.notes,
    }
    lines = [f"checked: {line}" for line in report.checked] if report.verified else []
    lines += [f"fault: {fault}" for fault in report.faults]
    lines += [f"note: {line}" for line in report.notes]
    if not report.verified:
        first, more = report.faults[0], len(report.faults) - 1
        reason = f"{first}" + (f" (and {more} more)" if more else "")
        facts["error"] = reason
        click.echo(f"cleanroom: {reason}", err=True)
    echo_result("\n".join(lines), facts, as_json=as_json)
    return report.exit_code
