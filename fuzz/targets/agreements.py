"""What a partner sends by mail before a run: the agreement, a certificate, a signature file."""

from __future__ import annotations

import atexit
import base64
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cleanroom.agreement import parse_agreement, sign_agreement, verify_signatures
from cleanroom.agreement.signatures import signature_path
from cleanroom.errors import AgreementError, reason_of
from cleanroom.identity import read_certificate
from cleanroom.plan import plan_of
from cleanroom.release.terms import terms_of
from fuzz.reader import Reader
from fuzz.target import Target
from tests.cleanroom.agreement.refusals import REFUSALS
from tests.cleanroom.agreement.samples import SAMPLE, Desk, new_desk
from tests.cleanroom.agreement.test_declared_tables import COMPLETENESS, ELIGIBILITY, SAMPLING
from tests.cleanroom.agreement.test_legal import TABLE as LEGAL

__all__ = ["AGREEMENT", "CERTIFICATE", "SIGNATURE"]

_LABELS: Final = '[[outcome.labels]]\ncolumn = "channel"\nvalues = ["app", "web"]\n'
_CREDITS: Final = (
    'credit = "linear"\nmax_touches = 4\npriority = [["mail"]]\n',
    'credit = "time_decay"\ncredit_step = "7d"\n',
)


@cache
def _desk() -> Desk:
    """Two identities and a signed agreement in a folder that goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    atexit.register(folder.cleanup)
    desk = new_desk(Path(folder.name))
    agreement = desk.load()
    for identity in (desk.media, desk.shop):
        sign_agreement(desk.path, agreement, identity)
    return desk


@cache
def _der() -> bytes:
    return x509.load_pem_x509_certificate(_desk().media.certificate_pem).public_bytes(Encoding.DER)


def check_agreement(data: bytes) -> None:
    """A text is an agreement, from which a plan and terms follow, or it is refused with AgreementError."""
    try:
        agreement = parse_agreement(data, folder=_desk().folder)
    except AgreementError as error:
        assert reason_of(error).isprintable()
        return
    terms_of(agreement, plan_of(agreement))


def check_certificate(data: bytes) -> None:
    """Bytes are a certificate of our form, or they are refused with AgreementError."""
    reader = Reader(data)
    kind = reader.number() % 3
    pem = reader.rest()
    if kind == 1:
        pem = _pem(pem)
    elif kind == 2:  # a change of a sound one
        der, changes = bytearray(_der()), Reader(pem)
        while changes.more:
            at = changes.number(2) % len(der)
            der[at : at + changes.number()] = changes.block()
            der = der or bytearray(b"\0")
        pem = _pem(bytes(der))
    try:
        certificate = read_certificate(pem, where="fuzz.crt")
        certificate.verify(purpose="agreement", message=b"message", signature=pem[-64:])
    except AgreementError as error:
        assert reason_of(error).isprintable()


def _pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def check_signature(data: bytes) -> None:
    """A signature file is refused with AgreementError, unless it is the one that the party wrote."""
    desk = _desk()
    path = signature_path(desk.path, "media")
    sound = path.read_bytes()
    reader = Reader(data)
    changed = bytearray(sound)
    if reader.number() % 2:
        changed[:] = reader.rest()
    while reader.more:
        at = reader.number() % (len(changed) + 1)
        changed[at : at + reader.number()] = reader.block()
    try:
        path.write_bytes(bytes(changed))
        verify_signatures(desk.path, desk.load())
    except AgreementError as error:
        assert reason_of(error).isprintable()
        return
    finally:
        path.write_bytes(sound)
    assert bytes(changed) == sound


def _agreement_seeds() -> Iterator[bytes]:
    yield SAMPLE.encode()
    for changes, _ in REFUSALS.values():
        text = SAMPLE
        for old, new in changes:
            text = text.replace(old, new)
        yield text.encode()
    for table in (COMPLETENESS, SAMPLING, ELIGIBILITY, LEGAL.removesuffix("[protocol]"), _LABELS):
        yield SAMPLE.replace("[protocol]", table + "\n[protocol]").encode()
    for credit in _CREDITS:
        yield SAMPLE.replace('anchor = "first_touch"\n', "").replace("[outcome]", credit + "\n[outcome]").encode()


def _certificate_seeds() -> Iterator[bytes]:
    yield b"\0" + _desk().media.certificate_pem
    yield b"\0" + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    yield b"\1" + _der()
    for at in range(0, len(_der()), 8):
        yield b"\2" + at.to_bytes(2, "little") + b"\1\1\0\x05"


def _signature_seeds() -> Iterator[bytes]:
    line = signature_path(_desk().path, "media").read_bytes()
    yield b"\0"
    yield b"\1" + line
    for at in (0, 22, 23, 87, 88, len(line) - 1, len(line)):
        yield b"\0" + bytes([at]) + b"\1\1\0 "


AGREEMENT: Final = Target(
    name="agreement",
    promise="a text is an agreement, from which plan and terms follow, or is refused with AgreementError",
    check=check_agreement,
    seeds=_agreement_seeds,
)
CERTIFICATE: Final = Target(
    name="certificate",
    promise="bytes are a certificate of the documented form, or are refused with AgreementError",
    check=check_certificate,
    seeds=_certificate_seeds,
    max_bytes=2048,
)
SIGNATURE: Final = Target(
    name="signature",
    promise="a signature file is exactly the one that the party wrote, or is refused with AgreementError",
    check=check_signature,
    seeds=_signature_seeds,
    max_bytes=512,
)
