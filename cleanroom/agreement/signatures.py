"""Signatures of an agreement: `STEM.PARTY.sig` beside the file, one line each, over the canonical bytes.

The line is `cleanroom-agreement-v1 HASH SIGNATURE`: the agreement's SHA-256 in lower-case hexadecimal and the Ed25519
signature in base64. Exactly that form is accepted, so that one signature has one file.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from pathlib import Path

from cleanroom.agreement.model import Agreement, PartyEntry
from cleanroom.errors import AgreementError
from cleanroom.identity import Identity, read_certificate
from cleanroom.regular_file import read_regular

__all__ = ["sign_agreement", "signature_path", "verify_signatures"]

_FORM = "cleanroom-agreement-v1"
_PURPOSE = "agreement"
_MAX_BYTES = 4096


def signature_path(path: Path, party: str) -> Path:
    """Where a party's signature of an agreement is: `agreement.toml` has `agreement.media.sig`."""
    return path.with_name(f"{path.stem}.{party}.sig")


def sign_agreement(path: Path, agreement: Agreement, identity: Identity) -> Path:
    """Signs as the party whose certificate the identity holds; replaces that party's own earlier signature.

    Args:
        path: the agreement's file.
        agreement: what was loaded from it.
        identity: the signer.

    Returns:
        The signature's file.

    Raises:
        AgreementError: if the identity is not a party of the agreement, or the file cannot be written.
    """
    party = next((entry for entry in agreement.parties if entry.fingerprint == identity.fingerprint), None)
    if party is None:
        raise AgreementError(f"{path}: the certificate of {identity.name} is not one of the agreement's parties")
    signature = identity.sign(purpose=_PURPOSE, message=agreement.canonical)
    target = signature_path(path, party.name)
    temporary: str | None = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = file.name
            file.write(_line(agreement, signature))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise AgreementError(f"{target}: cannot be written: {error.strerror}") from None
    return target


def verify_signatures(path: Path, agreement: Agreement) -> tuple[bytes, bytes]:
    """Checks that both parties signed exactly this agreement.

    Args:
        path: the agreement's file; the signatures are beside it.
        agreement: what was loaded from it.

    Returns:
        Both signatures, 64 bytes each, exposure side first.

    Raises:
        AgreementError: if a signature is missing, of another form, of another text, or not by that party's key.
    """
    first, second = agreement.parties
    return _verified(path, agreement, first), _verified(path, agreement, second)


def _verified(path: Path, agreement: Agreement, party: PartyEntry) -> bytes:
    source = signature_path(path, party.name)
    try:
        content = read_regular(source, at_most=_MAX_BYTES)
    except FileNotFoundError:
        raise AgreementError(f"{source}: is missing: {party.name} has not signed") from None
    except OSError as error:
        raise AgreementError(f"{source}: cannot be read: {error.strerror}") from None
    signature = _decoded(source, agreement, content)
    certificate = read_certificate(party.certificate_pem, where=f"parties.{party.name}.certificate")
    try:
        certificate.verify(purpose=_PURPOSE, message=agreement.canonical, signature=signature)
    except AgreementError:
        raise AgreementError(f"{source}: is not a signature by {party.name}'s certificate") from None
    return signature


def _decoded(source: Path, agreement: Agreement, content: bytes) -> bytes:
    words = content.split(b" ")
    form_fault = AgreementError(f"{source}: expected one line as `cleanroom agreement sign` writes it")
    if len(words) != 3 or words[0] != _FORM.encode():
        raise form_fault
    try:
        signature = base64.b64decode(words[2].removesuffix(b"\n"), validate=True)
    except (binascii.Error, ValueError):
        raise form_fault from None
    if len(signature) != 64 or len(words[1]) != 64 or set(words[1]) - set(b"0123456789abcdef"):
        raise form_fault
    if words[1] != agreement.hash.hex().encode():
        raise AgreementError(f"{source}: signs another text: the agreement or a certificate was changed after signing")
    if content != _line(agreement, signature):  # base64 has spare bits and line ends; one signature, one file
        raise form_fault
    return signature


def _line(agreement: Agreement, signature: bytes) -> bytes:
    return f"{_FORM} {agreement.hash.hex()} {base64.b64encode(signature).decode()}\n".encode("ascii")
