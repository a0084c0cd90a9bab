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
from cleanroom.identity import read_certificate
from cleanroom.plan import Plan
from cleanroom.protocols.traffic import Volume, messages
from cleanroom.protocols.wire import Message, Protocol, ProtocolId, Send, expect
from cleanroom.release.document import canonical, opening_record, release_document
from cleanroom.release.opening import Opening
from cleanroom.release.table import csv_bytes, parquet_bytes, release_rows
from cleanroom.release.terms import ReleaseTerms

__all__ = [
    "SIGNATURE_BYTES",
    "SIGNATURE_PURPOSE",
    "Sign",
    "SignedRelease",
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
    session_id: bytes,
    sign: Sign,
) -> Protocol[SignedRelease]:
    """Writes the release, exchanges signatures over it and checks the peer's.

    Args:
        role: this side's role.
        agreement: the agreement.
        plan: its plan.
        terms: its release terms.
        opening: this side's opening.
        session_id: 32 bytes.
        sign: signs with this side's identity.

    Returns:
        The files and the signed record.

    Raises:
        PeerError: the peer's signature does not hold: it signed another release, or with another key.
    """
    mine = agreement.exposure_party if role is Role.EXPOSURE else agreement.outcome_party
    peer = agreement.outcome_party if role is Role.EXPOSURE else agreement.exposure_party
    record = opening_record(agreement, terms, opening, session_id)
    files: dict[str, bytes] = {}
    document: dict[str, Any] = {}
    if role in terms.recipients:
        rows = release_rows(agreement, plan, terms, opening)
        files = {"release.csv": csv_bytes(rows), "release.parquet": parquet_bytes(rows)}
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        document = release_document(agreement, plan, terms, opening, session_id=session_id, files=hashes)
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
    wanted = {(entry.name, "release") for entry in recipients}
    if len(recipients) == 1:
        wanted |= {(entry.name, "opening") for entry in agreement.parties}
    try:
        body = {key: value for key, value in document.items() if key != "signatures"}
        statements = {"release": _statement("release", body), "opening": _statement("opening", document["record"])}
        found = {
            (str(entry["party"]), str(entry["covers"])): bytes.fromhex(entry["signature"])
            for entry in document["signatures"]
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("release.json: a field is missing or not of the documented form") from error
    for name, kind in sorted(wanted):
        party = agreement.party(name)
        if party is None or (name, kind) not in found:
            raise AgreementError(f"release.json: the signature of {name} over its {kind} is missing")
        try:
            _verify(party, statements[kind], found[name, kind])
        except AgreementError:
            raise AgreementError(f"release.json: the signature of {name} over its {kind} does not hold") from None


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
