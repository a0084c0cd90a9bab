"""`audit verify`: everything in the folders of a finished run that can be checked without inputs and private keys.

One folder: the form of each file, the signatures over the agreement, the release, the transcript and the party's own
accounts, both chains, the messages that the release implies, and the release against the opened shares. Two folders:
all of that for each, and that both sides hold the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.account import LOCAL_FILE
from cleanroom.agreement import Agreement, Role, load_agreement, verify_signatures
from cleanroom.audit.accounts import (
    check_audit,
    check_local,
    check_own_signatures,
    passed_of,
    record_of,
    terms_and_handshake,
)
from cleanroom.audit.faults import AuditReport
from cleanroom.audit.folder import RELEASE_FILES, TRANSCRIPT_FILE, RunFolder, read_folder
from cleanroom.audit.lines import TranscriptFile, check_seal
from cleanroom.audit.messages import Implied, check_messages
from cleanroom.errors import DataError, UsageError
from cleanroom.handshake import Handshake
from cleanroom.plan import Plan, plan_of
from cleanroom.release.document import check_document, first_difference
from cleanroom.release.opening import Opening
from cleanroom.release.signatures import check_signatures
from cleanroom.release.table import parquet_bytes, release_rows
from cleanroom.release.terms import WRITER, terms_of
from cleanroom.report import RunFiles, render_report

__all__ = ["check_folder", "check_pair", "exchanged_signatures", "verify"]

Json = dict[str, Any]  # a parsed JSON object: its values are of any JSON type


def verify(folders: Sequence[Path], agreement_path: Path) -> AuditReport:
    """Verifies a finished run.

    Args:
        folders: one side's folder, or both sides'.
        agreement_path: the agreement, of any age; both signatures are beside it.

    Returns:
        What was found.

    Raises:
        UsageError: not one or two folders, or both are the same side's.
        AgreementError: the agreement is invalid or not signed by both.
    """
    if not 1 <= len(folders) <= 2:
        raise UsageError("audit verify: the folder of one side, or of both sides of one run, is expected")
    agreement = load_agreement(agreement_path, any_age=True)
    verify_signatures(agreement_path, agreement)
    report = AuditReport()
    report.checked.append("the agreement and both signatures over it")
    read = [read_folder(path, agreement, report) for path in folders]
    sides = [folder for folder in read if folder is not None]
    for folder in sides:
        check_folder(folder, agreement, report)
    if len(sides) == 2:
        check_pair(sides[0], sides[1], report)
    return report


def check_folder(folder: RunFolder, agreement: Agreement, report: AuditReport) -> None:
    """Checks one side's folder by itself."""
    plan = plan_of(agreement)
    opening = None if folder.release is None else _check_release(folder, folder.release, agreement, plan, report)
    check_own_signatures(folder, agreement, report)
    if folder.transcript is not None:
        check_seal(folder.transcript, agreement, report)
        report.checked.append(f"{folder.transcript.name}: the chain and both signatures of the seal")
    fixed = terms_and_handshake(folder, agreement, plan, report)
    if fixed is None:
        return
    terms, handshake = fixed
    check_local(folder, agreement, plan, terms, handshake, report)
    check_audit(folder, agreement, terms, handshake, report)
    signatures = exchanged_signatures(folder, agreement)
    if folder.transcript is None or signatures is None:
        return
    implied = Implied(
        agreement=agreement,
        plan=plan,
        terms=terms,
        handshake=handshake,
        passed=passed_of(record_of(folder), terms),
        opening=opening,
        signatures=signatures,
    )
    check_messages(folder.transcript, implied, report)
    report.checked.append(f"{folder.transcript.name}: {len(folder.transcript.entries)} messages against the release")


def exchanged_signatures(folder: RunFolder, agreement: Agreement) -> dict[Role, bytes] | None:
    """The two signatures that were exchanged, by the signer's role; None if the record does not hold both."""
    record = folder.local.get("record")
    try:
        entries = record["signatures"] if isinstance(record, dict) else []
        found = {str(entry["party"]): bytes.fromhex(entry["signature"]) for entry in entries}
        return {entry.role: found[entry.name] for entry in agreement.parties}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def check_pair(first: RunFolder, second: RunFolder, report: AuditReport) -> None:
    """Checks that two folders are the two sides of one run.

    Raises:
        UsageError: both are the same side's.
    """
    if first.role is second.role:
        raise UsageError(f"{first.path} and {second.path}: both are the {first.role.value} side's; give one of each")
    both = f"{first.path} and {second.path}"
    where = first_difference(first.local.get("record"), second.local.get("record"))
    if where is not None:
        report.add(both, f"{LOCAL_FILE}: record{'.' * bool(where)}{where}", "differs: these are not the same run")
    for name in RELEASE_FILES[:3]:
        if name in first.files and name in second.files and first.files[name] != second.files[name]:
            report.add(both, name, "is not the same file on both sides")
    if first.transcript is None or second.transcript is None:
        return
    for sender in Role:
        _check_direction(first.transcript, second.transcript, sender, both, report)
    report.checked.append("both sides hold the same run, message by message")


def _check_direction(
    first: TranscriptFile, second: TranscriptFile, sender: Role, both: str, report: AuditReport
) -> None:
    """Compares what one side sent with what the other received; the sides may see the two directions interleaved
    differently."""
    one, two = ([at for at in range(len(side.entries)) if side.sender(at) is sender] for side in (first, second))
    for here, there in zip(one, two, strict=False):
        mine, theirs = first.entries[here], second.entries[there]
        for name in ("step", "length", "sha256"):
            if getattr(mine, name) != getattr(theirs, name):
                where = f"{TRANSCRIPT_FILE}: line {here + 1}" + (f" and line {there + 1}" if here != there else "")
                report.add(both, where, f"{name}: differs between the two sides")
                return
    if len(one) != len(two):
        what = f"{len(one)} messages of the {sender.value} side in one, {len(two)} in the other"
        report.add(both, TRANSCRIPT_FILE, what)


def _check_release(
    folder: RunFolder, release: Json, agreement: Agreement, plan: Plan, report: AuditReport
) -> Opening | None:
    name = folder.name("release.json")
    opening = None
    with report.catching(name):
        opening = check_document(release, agreement, plan, folder.files)
        report.checked.append(f"{name}: every figure follows from the opened shares, noise and threshold as agreed")
    with report.catching(name):
        check_signatures(release, agreement)
        report.checked.append(f"{name}: the signatures")
    if opening is not None:
        _check_parquet(folder, agreement, plan, opening, report)
    if "report.html" in folder.files:
        _check_page(folder, report)
    return opening


def _check_parquet(folder: RunFolder, agreement: Agreement, plan: Plan, opening: Opening, report: AuditReport) -> None:
    """The Parquet file holds the same rows; its bytes are compared where the same version wrote it."""
    name = folder.name("release.parquet")
    data, record = folder.files["release.parquet"], record_of(folder)
    handshake = Handshake.read(record, agreement)
    terms = terms_of(agreement, plan, writer=str(record["writer"])).narrowed(agreement, handshake.eligible)
    expected = parquet_bytes(release_rows(agreement, plan, terms, opening))
    if terms.writer == WRITER:
        if data != expected:
            report.add(name, "", "does not hold the rows of release.json as they are written")
        return
    report.note(f"{name}: was written by {terms.writer}, here is {WRITER}: compared by rows, not by bytes")
    try:
        equal = pq.read_table(pa.BufferReader(data)).equals(pq.read_table(pa.BufferReader(expected)))
    except (pa.ArrowException, OSError, ValueError):
        equal = False
    if not equal:
        report.add(name, "", "does not hold the rows of release.json")


def _check_page(folder: RunFolder, report: AuditReport) -> None:
    """report.html is the page whose hash the party signed, or the one that this version writes from the files."""
    page = folder.files["report.html"]
    if hashlib.sha256(page).hexdigest() == folder.local.get("report"):
        return
    name = folder.name("report.html")
    try:
        again = render_report([RunFiles.of(folder.files)]).encode()
    except DataError:
        again = b""
    if page != again:
        place = next((at for at, (one, two) in enumerate(zip(page, again, strict=False)) if one != two), len(page))
        line = page[:place].count(b"\n") + 1
        report.add(name, f"line {line}", "is not the page of this run; `cleanroom report` writes it anew")
