"""A party's own accounts, local.json and audit.private, against the agreement and the record that both sides signed."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.account import AUDIT_FILE, LOCAL_FILE, check_account, party_of
from cleanroom.agreement import Agreement, Noise, Role, agreement_warnings
from cleanroom.audit.faults import AuditReport
from cleanroom.audit.folder import TRANSCRIPT_FILE, RunFolder
from cleanroom.declared import check_declarations
from cleanroom.errors import DataError
from cleanroom.handshake import Handshake
from cleanroom.plan import Plan
from cleanroom.protocols.session import build_digest, seed_commitment
from cleanroom.release.document import first_difference, suppression_rows
from cleanroom.release.noise import load_noise
from cleanroom.release.signatures import check_record
from cleanroom.release.terms import ReleaseTerms, terms_of

__all__ = ["check_audit", "check_local", "check_own_signatures", "passed_of", "record_of", "terms_and_handshake"]

_MALFORMED: Final = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
_OWN: Final = ("build", "backend", "counts", "transcript")
"""What only the party itself can say, and its signature vouches for."""

Json = dict[str, Any]  # a parsed JSON object: its values are of any JSON type


def record_of(folder: RunFolder) -> Json:
    """The record of the opening: the release's where there is one, else the party's own copy."""
    source = folder.local if folder.release is None else folder.release
    record = source.get("record")
    return record if isinstance(record, dict) else {}


def terms_and_handshake(
    folder: RunFolder, agreement: Agreement, plan: Plan, report: AuditReport
) -> tuple[ReleaseTerms, Handshake] | None:
    """Reads terms and handshake back from the record, and checks that the record follows from them.

    Returns:
        Both; None if the record is not of the documented form.
    """
    name = folder.name(LOCAL_FILE if folder.release is None else "release.json")
    record = record_of(folder)
    try:
        handshake = Handshake.read(record, agreement)
        terms = terms_of(agreement, plan, writer=str(record["writer"])).narrowed(agreement, handshake.eligible)
        passed = passed_of(record, terms)
        commitments = {role.value: bytes.fromhex(record["commitments"][role.value]).hex() for role in Role}
    except _MALFORMED:
        report.add(name, "record", "is not of the documented form")
        return None
    expected = {
        "agreement": agreement.hash.hex(),
        "session": handshake.derived_id(agreement, plan, terms.digest).hex(),
        "handshake": handshake.record(),
        "terms": terms.digest.hex(),
        "writer": terms.writer,
        "commitments": commitments,
        "passed": np.packbits(passed.reshape(-1), bitorder="little").tobytes().hex(),
        **({} if handshake.declarations is None else {"declarations": handshake.declarations.record()}),
    }
    where = first_difference(expected, {key: value for key, value in record.items() if key != "signatures"})
    if where is not None:
        report.add(name, f"record.{where}", "does not follow from the agreement and the handshake")
    if bool((passed != passed[:, list(terms.gates)]).any()):
        report.add(name, "record.passed", "a cell's verdict is not its gate's")
    if handshake.declarations is not None:
        with report.catching(name):
            check_declarations(agreement, handshake.session_id, handshake.declarations)
    return terms, handshake


def passed_of(record: Json, terms: ReleaseTerms) -> NDArray[np.bool_]:
    """The verdicts of a record, groups × columns.

    Raises:
        KeyError, TypeError, ValueError: the record is not of the documented form.
    """
    cells = terms.groups * terms.columns
    packed = np.frombuffer(bytes.fromhex(record["passed"]), dtype=np.uint8)
    if len(packed) != (cells + 7) // 8:
        raise ValueError("one bit a cell expected")
    return np.unpackbits(packed, bitorder="little")[:cells].astype(np.bool_).reshape(terms.groups, terms.columns)


def check_own_signatures(folder: RunFolder, agreement: Agreement, report: AuditReport) -> None:
    """Checks what the party signed alone, and at a side that is not a recipient the record that both signed."""
    for name, account in ((LOCAL_FILE, folder.local), (AUDIT_FILE, folder.audit)):
        if account is not None:
            with report.catching(folder.name(name)):
                check_account(name, account, agreement, folder.role)
                report.checked.append(f"{folder.name(name)}: its owner's signature")
    if folder.release is None and len(agreement.release.recipients) == 1:
        with report.catching(folder.name(LOCAL_FILE)):
            check_record(record_of(folder), agreement)


def check_local(
    folder: RunFolder, agreement: Agreement, plan: Plan, terms: ReleaseTerms, handshake: Handshake, report: AuditReport
) -> None:
    """Checks local.json: its owner's signature, and all that follows from the record."""
    name, local, record = folder.name(LOCAL_FILE), folder.local, record_of(folder)
    own = handshake.side(folder.role)
    peer = handshake.side(next(role for role in Role if role is not folder.role))
    expected: Json = {
        "version": 1,
        "party": party_of(agreement, folder.role),
        "role": folder.role.value,
        "agreement": agreement.hash.hex(),
        "session": handshake.session_id.hex(),
        "profile": agreement.protocol.profile.value,
        "input_root": own.input_root.hex(),
        "peer_input_root": peer.input_root.hex(),
        "peer_seed_commitment": peer.seed_commitment.hex(),
        "warnings": list(agreement_warnings(agreement)),
        "suppression": suppression_rows(agreement, plan, terms, passed_of(record, terms)),
        "record": local.get("record"),
    }
    if folder.release is not None:
        kind = "release" if len(agreement.release.recipients) == 2 else "opening"
        signatures = folder.release.get("signatures")
        entries = signatures if isinstance(signatures, list) else []
        entries = [entry for entry in entries if isinstance(entry, dict) and entry.get("covers") == kind]
        expected["record"] = {**record, "signatures": entries}
    allowed = {*expected, *_OWN, "signature", *(("report",) if folder.release is not None else ())}
    for key in sorted(allowed - set(local)):
        report.add(name, key, "is missing")
    for key in sorted(set(local) - allowed):
        report.add(name, key, "is not a field of this file")
    for key, value in expected.items():
        where = first_difference(value, local.get(key), key)
        if where is not None:
            report.add(name, where, "does not follow from the agreement and the record of the run")
    lines = folder.files.get(TRANSCRIPT_FILE)
    if lines is not None and hashlib.sha256(lines).hexdigest() != local.get("transcript"):
        report.add(folder.name(TRANSCRIPT_FILE), "", f"its SHA-256 is not the one that {LOCAL_FILE} states")
    if build_digest(str(local.get("build"))) != own.build:
        report.add(name, "build", "is not the one of the handshake")
    report.checked.append(f"{name}: the commitments, the verdicts")


def check_audit(
    folder: RunFolder, agreement: Agreement, terms: ReleaseTerms, handshake: Handshake, report: AuditReport
) -> None:
    """Checks audit.private: its owner's signature, and that its secrets are those that were committed to."""
    if folder.audit is None:
        return
    name, audit, own = folder.name(AUDIT_FILE), folder.audit, handshake.side(folder.role)
    expected: Json = {
        "version": 1,
        "party": party_of(agreement, folder.role),
        "session": handshake.session_id.hex(),
        "nonce": own.nonce.hex(),
    }
    for key, value in expected.items():
        if first_difference(value, audit.get(key)) is not None:
            report.add(name, key, "is not that of the run")
    try:
        if seed_commitment(bytes.fromhex(audit["seed"])) != own.seed_commitment:
            raise ValueError("another seed")
    except _MALFORMED:
        report.add(name, "seed", "is not the one that the run committed to")
    try:
        noise = load_noise(audit["noise"], terms.whole)
        if (noise.tolist() != audit["noise"]) or (terms.noise is Noise.NONE and bool(noise.any())):
            raise ValueError("not what a run records")
    except (*_MALFORMED, DataError):
        report.add(name, "noise", "is not of the documented form")
    for key in ("group_cap_key", "shared_identifier_key", "commitment_key"):
        if not _is_key(audit.get(key)):
            report.add(name, key, "is not 32 bytes in hexadecimal")
    report.checked.append(f"{name}: the seed and the nonce")


def _is_key(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")
