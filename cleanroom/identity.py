"""A party's identity: an Ed25519 key that never leaves its folder, and a self-signed certificate that others pin.

The certificate is its own trust root in mutual TLS (it is not an authority: nothing can be issued below it), the key
also signs agreements, transcripts and releases. Whatever is derived from the key is bound to one agreement.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cleanroom.errors import AgreementError, UsageError
from cleanroom.passphrase import ENCRYPTED_MARK, encrypted_pem
from cleanroom.regular_file import read_regular

__all__ = [
    "NAME_PATTERN",
    "Certificate",
    "Identity",
    "change_passphrase",
    "load_identity",
    "new_identity",
    "read_certificate",
    "signed_bytes",
]

# Names become file names (STEM.NAME.sig) and a DNS name of 63 characters at most (RFC 1035, section 2.3.4).
NAME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")

LIFETIME = timedelta(days=3650)
CLOCK_SKEW = timedelta(days=1)  # a partner whose clock is behind must still accept a new certificate
MAX_PEM_BYTES = 65_536

_NO_CERTIFICATE = (
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What reading a certificate raises, from whoever made it."""

_SIGNATURE_LABEL = b"cleanroom/signature/v1\x00"
_DERIVE_LABEL = b"cleanroom/identity/v1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A party's public half.

    Attributes:
        pem: the certificate in PEM, one block, as this library encodes it.
        fingerprint: SHA-256 of the DER form, 32 bytes.
        name: the DNS name inside; what a TLS client expects of the server (`override_hostname` in Arrow Flight).
        public_key: the raw Ed25519 public key, 32 bytes.
        not_before: start of validity, UTC.
        not_after: end of validity, UTC.
    """

    pem: bytes = field(repr=False)
    fingerprint: bytes
    name: str
    public_key: bytes
    not_before: datetime
    not_after: datetime

    def verify(self, *, purpose: str, message: bytes, signature: bytes) -> None:
        """Checks a signature that `Identity.sign` made.

        Args:
            purpose: what was signed, the same text that the signer gave.
            message: the signed bytes.
            signature: 64 bytes.

        Raises:
            AgreementError: if it is not this certificate's signature of this message for this purpose.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, signed_bytes(purpose, message))
        except InvalidSignature:
            raise AgreementError(f"the signature of the {purpose} is not by the key of {self.name}") from None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Identity:
    """A party's own half: its certificate and the private key, both in PEM as TLS wants them."""

    folder: Path
    stem: str
    """What its two files are called: `STEM.key` and `STEM.crt`."""
    certificate: Certificate
    key_pem: bytes = field(repr=False)
    passphrase: bytes | None = field(default=None, repr=False)
    """Of the key's file, if that is encrypted; `key_pem` never is, gRPC wants it plain."""

    @property
    def encrypted(self) -> bool:
        """Whether the key's file needs a passphrase."""
        return self.passphrase is not None

    @property
    def key_file(self) -> Path:
        """Where the key lies."""
        return self.folder / f"{self.stem}.key"

    @property
    def certificate_file(self) -> Path:
        """Where the certificate lies."""
        return self.folder / f"{self.stem}.crt"

    @property
    def name(self) -> str:
        """The name in the certificate."""
        return self.certificate.name

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate's DER form, 32 bytes."""
        return self.certificate.fingerprint

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.pem

    def sign(self, *, purpose: str, message: bytes) -> bytes:
        """Signs a message for one purpose (deterministic, RFC 8032).

        Args:
            purpose: what is signed ("agreement", "release" …); a signature for one purpose is none for another.
            message: any bytes.

        Returns:
            64 bytes, to be checked by `Certificate.verify`.
        """
        return _private_key(self.key_pem).sign(signed_bytes(purpose, message))

    def derive_key(self, *, purpose: str, agreement_hash: bytes) -> bytes:
        """Derives a secret that only this identity has, for one agreement and one purpose (HKDF-SHA-256, RFC 5869).

        Args:
            purpose: a label; different labels give independent keys.
            agreement_hash: 32 bytes.

        Returns:
            32 bytes.
        """
        raw = _private_key(self.key_pem).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        info = _DERIVE_LABEL + purpose.encode()
        return HKDF(algorithm=SHA256(), length=32, salt=agreement_hash, info=info).derive(raw)


def new_identity(name: str, out: Path, *, passphrase: bytes | None = None) -> Identity:
    """Writes `NAME.key` (mode 0600) and `NAME.crt` into a folder, which is made (mode 0700) if it is missing.

    Args:
        name: a letter, then up to 62 letters, digits, "-" or "_".
        out: the folder.
        passphrase: encrypts the key's file; None leaves it plain.

    Raises:
        UsageError: if the name is not of that form, or either file exists, or the folder cannot be written.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError("a party's name is a letter, then up to 62 letters, digits, '-' or '_'")
    key = Ed25519PrivateKey.generate()
    certificate_pem = _self_signed(name, key).public_bytes(Encoding.PEM)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key_file = key_pem if passphrase is None else encrypted_pem(key, passphrase)
    files = {out / f"{name}.key": (key_file, 0o600), out / f"{name}.crt": (certificate_pem, 0o644)}
    written: list[Path] = []
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in files:
            if path.exists() or path.is_symlink():
                raise UsageError(f"{path} exists: an identity is never overwritten")
        for path, (content, mode) in files.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            path.chmod(mode)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise UsageError(f"{out}: the identity cannot be written: {error.strerror}") from None
    certificate = read_certificate(certificate_pem, where=f"{name}.crt")
    return Identity(folder=out, stem=name, certificate=certificate, key_pem=key_pem, passphrase=passphrase)


def load_identity(folder: Path, *, fingerprint: bytes | None = None, passphrase: bytes | None = None) -> Identity:
    """Reads the identity that `new_identity` wrote into a folder.

    Args:
        folder: holds `NAME.key` and `NAME.crt`; several identities may share it if `fingerprint` says which is meant.
        fingerprint: 32 bytes; only the identity with this certificate will do.
        passphrase: of an encrypted key; None if it is plain.

    Raises:
        AgreementError: if there is none, or more than one, or others may read the key, or its passphrase is missing,
            wrong or not needed, or key and certificate do not belong together, or the certificate has expired or is
            not the one asked for.
    """
    if not folder.is_dir():
        raise AgreementError(f"{folder}: no such folder; an identity is made by `cleanroom party new`")
    keys = sorted(path for path in folder.glob("*.key") if path.with_suffix(".crt").is_file())
    if not keys:
        raise AgreementError(f"{folder}: holds no identity (NAME.key beside NAME.crt)")
    found = [(path, read_certificate(_read(path.with_suffix(".crt")), where=path.stem + ".crt")) for path in keys]
    if fingerprint is not None:
        found = [(path, certificate) for path, certificate in found if certificate.fingerprint == fingerprint]
        if not found:
            raise AgreementError(f"{folder}: holds no identity with the certificate that the agreement names")
    if len(found) > 1:
        raise AgreementError(f"{folder}: holds more than one identity; keep each in a folder of its own")
    path, certificate = found[0]
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise AgreementError(f"{path}: others on this machine may read the key; run chmod 600 on it")
    content = _read(path)
    encrypted = ENCRYPTED_MARK in content
    key = _opened(content, path, passphrase=passphrase, encrypted=encrypted)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    if not hmac.compare_digest(public, certificate.public_key):
        raise AgreementError(f"{path}: is not the key of {path.stem}.crt")
    if not certificate.not_before <= datetime.now(UTC) <= certificate.not_after:
        raise AgreementError(f"{path.with_suffix('.crt')}: the certificate is expired or not valid yet")
    return Identity(folder=folder, stem=path.stem, certificate=certificate, key_pem=key_pem, passphrase=passphrase)


def change_passphrase(identity: Identity, passphrase: bytes | None) -> Identity:
    """Writes an identity's key again under another passphrase, or plain; at every moment the file holds a whole key.

    The new file replaces the old one by a rename. What the disk held of the old one may outlive it: a passphrase on a
    key that was plain does not protect an old backup.

    Args:
        identity: loaded, so that whoever calls this had the passphrase before.
        passphrase: the new one; None writes the key plain.

    Raises:
        UsageError: the folder cannot be written; the key is as it was.
    """
    key = _private_key(identity.key_pem)
    content = identity.key_pem if passphrase is None else encrypted_pem(key, passphrase)
    partial = identity.folder / f".{identity.stem}.key.partial-{secrets.token_hex(8)}"
    try:
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # what was written must open before what is known to open is given up
            _opened(_read(partial), partial, passphrase=passphrase, encrypted=passphrase is not None)
            partial.replace(identity.key_file)
        finally:
            partial.unlink(missing_ok=True)
        folder = os.open(identity.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UsageError(f"{identity.key_file}: cannot be written again: {error.strerror}") from None
    return replace(identity, passphrase=passphrase)


def read_certificate(pem: bytes, *, where: str) -> Certificate:
    """Reads a party's certificate and checks that it is of the form that `new_identity` writes.

    Args:
        pem: exactly one PEM certificate: Ed25519, self-signed, with one DNS name.
        where: the file or key to name in a message.

    Raises:
        AgreementError: if it is anything else.
    """
    if b"PRIVATE KEY" in pem:
        raise AgreementError(f"{where}: holds a private key; give the certificate, and consider that key lost")
    if len(pem) > MAX_PEM_BYTES or pem.count(b"-----BEGIN CERTIFICATE-----") != 1:
        raise AgreementError(f"{where}: expected exactly one certificate in PEM")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        public = certificate.public_key()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = names.get_values_for_type(x509.DNSName)
    except _NO_CERTIFICATE:
        raise AgreementError(f"{where}: is not a certificate that `cleanroom party new` writes") from None
    if not isinstance(public, Ed25519PublicKey) or len(dns) != 1 or not NAME_PATTERN.fullmatch(dns[0]):
        raise AgreementError(f"{where}: expected an Ed25519 certificate with one name, as `cleanroom party new` writes")
    try:
        public.verify(certificate.signature, certificate.tbs_certificate_bytes)
    except InvalidSignature:
        raise AgreementError(f"{where}: the certificate is damaged: it is not signed by its own key") from None
    return Certificate(
        pem=certificate.public_bytes(Encoding.PEM),
        fingerprint=certificate.fingerprint(SHA256()),
        name=dns[0],
        public_key=public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _self_signed(name: str, key: Ed25519PrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public = key.public_key()
    now = datetime.now(UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        # Not an authority: with CA:TRUE a partner's key could vouch for certificates that nobody pinned.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, None)
    )


def _opened(content: bytes, path: Path, *, passphrase: bytes | None, encrypted: bool) -> Ed25519PrivateKey:
    if encrypted and passphrase is None:
        raise AgreementError(f"{path}: the key is encrypted; give its passphrase with --passphrase-file")
    if passphrase is not None and not encrypted:
        raise AgreementError(f"{path}: the key is not encrypted, and a passphrase was given for it")
    if not encrypted:
        return _private_key(content, where=str(path))
    try:
        return _private_key(content, where=str(path), passphrase=passphrase)
    except AgreementError:
        raise AgreementError(f"{path}: the passphrase is wrong, or the file is damaged") from None


def _private_key(
    pem: bytes, *, where: str = "the identity's key", passphrase: bytes | None = None
) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=passphrase)
    except (ValueError, TypeError):
        raise AgreementError(f"{where}: is not a private key that `cleanroom party new` writes") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise AgreementError(f"{where}: expected an Ed25519 key")
    return key


def signed_bytes(purpose: str, message: bytes) -> bytes:
    """The bytes that a signature of a message for a purpose is over."""
    return _SIGNATURE_LABEL + purpose.encode() + b"\x00" + message


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, at_most=MAX_PEM_BYTES)
    except OSError as error:
        raise AgreementError(f"{path}: cannot be read: {error.strerror}") from None
