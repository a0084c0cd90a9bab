"""Both sides sign the release, and each checks the other's signature.

Two recipients sign the whole release.json. With a sole recipient both sign the record of the opening, which is all
that the other side knows, and the recipient signs its release.json as well.

A signature is Ed25519 (RFC 8032) over label ‖ kind ‖ SHA-256 of the canonical bytes; the exchange is one message of 64
bytes in each direction, the exposure side's first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from cleanroom.agreement.model import Agreement, PartyEntry, Role
from cleanroom.errors import AgreementError, DataError, PeerError
from cleanroom.handshake import Handshake
from cleanroom.identity import read_certificate
from cleanroom.plan import Plan
from cleanroom.protocols.traffic import Volume, messages
from cleanroom.protocols.wire import Message, Protocol, ProtocolId, Send, expect
from cleanroom.release.document import canonical, opening_record, release_document
from cleanroom.release.opening import Opening
from cleanroom.release.table import csv_bytes, parquet_bytes, release_rows
from cleanroom.release.terms import ReleaseTerms

__all__ = [
    "MESSAGES",
    "SIGNATURE_BYTES",
    "SIGNATURE_PURPOSE",
    "Sign",
    "SignedRelease",
    "check_record",
    "check_signatures",
    "sign_release",
    "volume",
]

Sign: TypeAlias = Callable[[bytes], bytes]
"""Signs a statement with the party's identity: 64 bytes of Ed25519. A replay answers with the recorded signature."""

SIGNATURE_BYTES: Final = 64
SIGNATURE_PURPOSE: Final = "release"
"""What an identity signs a statement for."""
_SIGNATURE: Final = Message(protocol=ProtocolId.RELEASE, type=8, step="release.signature")
MESSAGES: Final = {_SIGNATURE.step: _SIGNATURE}
"""The message of this module by its step, for whoever checks a transcript."""
_LABEL: Final = b"cleanroom/release/signature/v1"
_KINDS: Final = {"release": b"\x00", "opening": b"\x01"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRelease:
    """The files of a finished release at one party.

    `files` holds release.csv, release.parquet and release.json at a recipient, nothing at the other side. `record` is
    the signed record of the opening with both signatures over what both sides vouch for.
    """

    files: Mapping[str, bytes] = field(repr=False)
    record: Mapping[str, Any] = field(repr=False)  # JSON object


def sign_release(
    role: Role,
    agreement: Agreement,
    plan: Plan,
    terms: ReleaseTerms,
    opening: Opening,
    *,
    handshake: Handshake,
    sign: Sign,
) -> Protocol[SignedRelease]:
    """Writes the release, exchanges signatures over it and checks the peer's.

    Args:
        role: this side's role.
        agreement: the agreement.
        plan: its plan.
        terms: its release terms.
        opening: this side's opening.
        handshake: the session and what both sides committed to.
        sign: signs with this side's identity.

    Returns:
        The files and the signed record.

    Raises:
        PeerError: the peer's signature does not hold: it signed another release, or with another key.
    """
    mine, peer = agreement.of_role(role), agreement.of_role(role.other)
    record = opening_record(agreement, terms, opening, handshake)
    files: dict[str, bytes] = {}
    document: dict[str, Any] = {}
    if role in terms.recipients:
        rows = release_rows(agreement, plan, terms, opening)
        files = {"release.csv": csv_bytes(rows), "release.parquet": parquet_bytes(rows)}
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        document = release_document(agreement, plan, terms, opening, handshake=handshake, files=hashes)
    kind = "release" if len(terms.recipients) == 2 else "opening"
    statement = _statement(kind, document if kind == "release" else record)
    signature = sign(statement)
    received = yield from _trade(role, signature)
    try:
        _verify(peer, statement, received)
    except AgreementError:
        raise PeerError(f"release: {peer.name}'s signature is not over the release that this side holds") from None
    signatures = [_entry(mine, kind, signature), _entry(peer, kind, received)]
    if role is Role.OUTCOME:
        signatures.reverse()  # the exposure side's first, so that both sides write the same bytes
    if files:
        if kind == "opening":
            signatures.append(_entry(mine, "release", sign(_statement("release", document))))
        files["release.json"] = canonical({**document, "signatures": signatures}) + b"\n"
    vouched = [entry for entry in signatures if entry["covers"] == kind]
    return SignedRelease(files=files, record={**record, "signatures": vouched})


def volume() -> Volume:
    """What each side sends: one signature."""
    return messages(SIGNATURE_BYTES)


def check_signatures(document: Mapping[str, Any], agreement: Agreement) -> None:
    """Checks that a release.json carries the signatures that its agreement calls for, and that they hold.

    Raises:
        AgreementError: a signature is missing or does not hold.
        DataError: the document is not of the documented form.
    """
    recipients = [entry for entry in agreement.parties if entry.name in agreement.release.recipients]
    wanted = [(entry, "release") for entry in recipients]
    if len(recipients) == 1:
        wanted = [(entry, "opening") for entry in agreement.parties] + wanted
    try:
        body = {key: value for key, value in document.items() if key != "signatures"}
        statements = {"release": _statement("release", body), "opening": _statement("opening", document["record"])}
        entries = [dict(entry) for entry in document["signatures"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("release.json: a field is missing or not of the documented form") from error
    _check_entries("release.json: signatures", entries, wanted, statements)


def check_record(record: Mapping[str, Any], agreement: Agreement) -> None:
    """Checks the signatures of a record of an opening, which is what a side that is not a recipient holds.

    With two recipients the signatures cover the whole release, not the record alone, and `check_signatures` says
    whether they hold; the record of local.json only repeats them.

    Raises:
        AgreementError: a signature is missing or does not hold.
        DataError: the record is not of the documented form.
    """
    try:
        statement = _statement("opening", {key: value for key, value in record.items() if key != "signatures"})
        entries = [dict(entry) for entry in record["signatures"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("record: a field is missing or not of the documented form") from error
    wanted = [(entry, "opening") for entry in agreement.parties]
    _check_entries("record.signatures", entries, wanted, {"opening": statement})


def _check_entries(
    where: str,
    entries: list[dict[str, Any]],
    wanted: list[tuple[PartyEntry, str]],
    statements: Mapping[str, bytes],
) -> None:
    """The list must hold exactly the wanted signatures in their order, each written in one way only."""
    for party, kind in wanted:
        if not any(entry.get("party") == party.name and entry.get("covers") == kind for entry in entries):
            raise AgreementError(f"{where}: the signature of {party.name} over its {kind} is missing")
    if len(entries) != len(wanted):
        raise AgreementError(f"{where}: {len(wanted)} signatures expected, {len(entries)} found")
    for position, (entry, (party, kind)) in enumerate(zip(entries, wanted, strict=True)):
        try:
            signature = bytes.fromhex(str(entry.get("signature")))
            _verify(party, statements[kind], signature)
            if entry != _entry(party, kind, signature):
                raise ValueError("written in another way")
        except (ValueError, AgreementError):
            fault = f"{where}[{position}]: the signature of {party.name} over its {kind} does not hold"
            raise AgreementError(fault) from None


def _statement(kind: str, value: Mapping[str, Any]) -> bytes:
    return _LABEL + _KINDS[kind] + hashlib.sha256(canonical(value)).digest()


def _entry(party: PartyEntry, kind: str, signature: bytes) -> dict[str, str]:
    return {"party": party.name, "covers": kind, "signature": signature.hex()}


def _trade(role: Role, payload: bytes) -> Protocol[bytes]:
    if role is Role.EXPOSURE:
        yield Send(_SIGNATURE, payload)
    received = yield from expect(_SIGNATURE, SIGNATURE_BYTES)
    if role is Role.OUTCOME:
        yield Send(_SIGNATURE, payload)
    return received


def _verify(party: PartyEntry, statement: bytes, signature: bytes) -> None:
    """Checks a signature against the certificate that the agreement pins."""
    certificate = read_certificate(party.certificate_pem, where=f"parties.{party.name}.certificate")
    certificate.verify(purpose=SIGNATURE_PURPOSE, message=statement, signature=signature)
