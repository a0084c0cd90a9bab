"""Identities: files, certificates, signatures, and mutual TLS with each certificate as its own trust root."""

from __future__ import annotations

import base64
import os
import ssl
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cleanroom import identity as module
from cleanroom.errors import AgreementError, UsageError
from cleanroom.identity import Identity, load_identity, new_identity, read_certificate

HASH = bytes(range(32))


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return new_identity("media", tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return new_identity("Shop_1", tmp_path_factory.mktemp("shop"))


def test_new_identity_writes_exactly_two_files(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    made = new_identity("media", out)
    assert sorted(path.name for path in out.iterdir()) == ["media.crt", "media.key"]
    assert stat.S_IMODE((out / "media.key").stat().st_mode) == 0o600
    loaded = load_identity(out)
    assert loaded.fingerprint == made.fingerprint
    assert loaded.name == "media"
    assert len(loaded.fingerprint) == 32


def test_key_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        new_identity("media", tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "media.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "1st", "a b", "../x", "a/b", "x" * 64, "名", "a.b", "a\n", "-a"])
def test_bad_names_are_usage_errors(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        new_identity(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("existing", ["media.key", "media.crt"])
def test_an_identity_is_never_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")
    with pytest.raises(UsageError, match="never overwritten"):
        new_identity("media", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync
    calls: list[int] = []

    def full_disk(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(module.os, "fsync", full_disk)
    with pytest.raises(UsageError, match="No space left"):
        new_identity("media", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_out_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        new_identity("media", tmp_path / "file")


def test_load_refuses_a_readable_key(tmp_path: Path) -> None:
    new_identity("media", tmp_path)
    (tmp_path / "media.key").chmod(0o640)
    with pytest.raises(AgreementError, match="chmod 600"):
        load_identity(tmp_path)


def test_load_refuses_a_missing_or_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(AgreementError, match="no such folder"):
        load_identity(tmp_path / "none")
    with pytest.raises(AgreementError, match="holds no identity"):
        load_identity(tmp_path)


def test_load_finds_the_identity_by_its_certificate(tmp_path: Path) -> None:
    media, shop = new_identity("media", tmp_path), new_identity("shop", tmp_path)
    with pytest.raises(AgreementError, match="more than one"):
        load_identity(tmp_path)
    assert load_identity(tmp_path, fingerprint=shop.fingerprint).name == "shop"
    assert load_identity(tmp_path, fingerprint=media.fingerprint).name == "media"
    with pytest.raises(AgreementError, match="the agreement names"):
        load_identity(tmp_path, fingerprint=bytes(32))


def test_load_refuses_another_ones_key(tmp_path: Path, shop: Identity) -> None:
    new_identity("media", tmp_path)
    (tmp_path / "media.key").write_bytes(shop.key_pem)
    with pytest.raises(AgreementError, match=r"is not the key of media\.crt"):
        load_identity(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n"])
def test_load_refuses_a_damaged_key(tmp_path: Path, content: bytes) -> None:
    new_identity("media", tmp_path)
    (tmp_path / "media.key").write_bytes(content)
    with pytest.raises(AgreementError, match="is not a private key"):
        load_identity(tmp_path)


def test_load_refuses_a_key_of_another_kind(tmp_path: Path) -> None:
    new_identity("media", tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "media.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(AgreementError, match=r"media\.key: expected an Ed25519 key"):
        load_identity(tmp_path)


def test_load_refuses_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    new_identity("media", tmp_path)
    (tmp_path / "media.key").unlink()
    (tmp_path / "media.key").mkdir(mode=0o700)
    with pytest.raises(AgreementError, match=r"media\.key: cannot be read: Is a directory"):
        load_identity(tmp_path)


def test_load_refuses_an_expired_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIFETIME", timedelta(minutes=-1))
    new_identity("media", tmp_path)
    with pytest.raises(AgreementError, match="expired"):
        load_identity(tmp_path)


def test_a_key_is_not_taken_for_a_certificate(media: Identity) -> None:
    with pytest.raises(AgreementError, match=r"parties\.media\.certificate: holds a private key"):
        read_certificate(media.key_pem, where="parties.media.certificate")


def test_only_one_well_formed_certificate_is_read(media: Identity, shop: Identity) -> None:
    for pem in (b"", b"x" * 70_000, media.certificate_pem + shop.certificate_pem):
        with pytest.raises(AgreementError, match="exactly one certificate"):
            read_certificate(pem, where="x")
    broken = media.certificate_pem.replace(b"\n", b"\nA", 1)
    with pytest.raises(AgreementError, match="is not a certificate"):
        read_certificate(broken, where="x")


def test_a_certificate_with_a_changed_byte_is_refused(media: Identity) -> None:
    der = bytearray(x509.load_pem_x509_certificate(media.certificate_pem).public_bytes(Encoding.DER))
    der[-1] ^= 1
    pem = ssl.DER_cert_to_PEM_cert(bytes(der)).encode()
    with pytest.raises(AgreementError, match="not signed by its own key"):
        read_certificate(pem, where="x")


def test_other_kinds_of_certificate_are_refused() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    edwards = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "media")])

    def builder(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
        )

    named = x509.SubjectAlternativeName([x509.DNSName("media")])
    both = x509.SubjectAlternativeName([x509.DNSName("media"), x509.DNSName("shop")])
    cases = [
        (builder(elliptic).add_extension(named, False).sign(elliptic, SHA256()), "expected an Ed25519 certificate"),
        (builder(edwards).sign(edwards, None), "is not a certificate that"),
        (builder(edwards).add_extension(both, False).sign(edwards, None), "with one name"),
    ]
    for certificate, words in cases:
        with pytest.raises(AgreementError, match=words):
            read_certificate(certificate.public_bytes(Encoding.PEM), where="x")


def test_signatures_are_bound_to_purpose_message_and_key(media: Identity, shop: Identity) -> None:
    signature = media.sign(purpose="release", message=b"table")
    assert len(signature) == 64
    media.certificate.verify(purpose="release", message=b"table", signature=signature)
    faults = [
        ("transcript", b"table", signature),
        ("release", b"Table", signature),
        ("release", b"table", signature[:63]),
    ]
    for purpose, message, value in faults:
        with pytest.raises(AgreementError, match="is not by the key of media"):
            media.certificate.verify(purpose=purpose, message=message, signature=value)
    with pytest.raises(AgreementError, match="is not by the key of Shop_1"):
        shop.certificate.verify(purpose="release", message=b"table", signature=signature)


def test_derived_keys_differ_by_purpose_agreement_and_identity(media: Identity, shop: Identity) -> None:
    keys = {
        media.derive_key(purpose="groups", agreement_hash=HASH),
        media.derive_key(purpose="commitment", agreement_hash=HASH),
        media.derive_key(purpose="groups", agreement_hash=HASH[::-1]),
        shop.derive_key(purpose="groups", agreement_hash=HASH),
    }
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    assert load_identity(media.folder).derive_key(purpose="groups", agreement_hash=HASH) in keys


def test_repr_shows_no_key(media: Identity) -> None:
    shown = repr(media)
    assert "PRIVATE" not in shown
    assert media.key_pem.decode().splitlines()[1] not in shown


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a003020102", "a003020104"),  # version 5 of X.509, which there is not
        ("2b6570032100", "2b6571032100"),  # X448 by its number, an unknown one here: the key of the subject
        ("06032b6570", "06032b657f"),  # an algorithm that nobody knows
        ("8205", "8705"),  # the DNS name as an address of five bytes
    ],
)
def test_a_certificate_of_another_make_is_refused_in_our_words(media: Identity, old: str, new: str) -> None:
    der = x509.load_pem_x509_certificate(media.certificate_pem).public_bytes(Encoding.DER)
    changed = der.replace(bytes.fromhex(old), bytes.fromhex(new))
    assert changed != der
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(changed) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(AgreementError, match=r"a\.crt: "):
        read_certificate(pem, where="a.crt")


@pytest.mark.parametrize("strict", [False, True])
def test_mutual_tls_with_each_certificate_as_its_own_root(media: Identity, shop: Identity, strict: bool) -> None:
    client, server = _handshake(media, shop, server_trusts=media, client_trusts=shop, strict=strict)
    assert client.version() == "TLSv1.3"
    assert server.getpeercert(binary_form=True) is not None


def test_tls_refuses_an_unpinned_certificate(media: Identity, shop: Identity, tmp_path: Path) -> None:
    double = new_identity("media", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(double, shop, server_trusts=media, client_trusts=shop, strict=False)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(media, shop, server_trusts=media, client_trusts=double, strict=False)


def test_nothing_can_be_issued_below_a_pinned_certificate(media: Identity) -> None:
    certificate = x509.load_pem_x509_certificate(media.certificate_pem)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert constraints.critical
    assert not constraints.value.ca
    assert not usage.key_cert_sign


class _Echo(flight.FlightServerBase):
    def do_exchange(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.MetadataRecordBatchWriter,
    ) -> None:
        writer.begin(pa.schema([("peer", pa.binary())]))
        for _ in reader:
            writer.write_batch(pa.record_batch([pa.array([context.peer_identity()], pa.binary())], names=["peer"]))


@pytest.fixture
def echo(media: Identity, shop: Identity) -> Iterator[_Echo]:
    server = _Echo(
        "grpc+tls://127.0.0.1:0",
        tls_certificates=[(shop.certificate_pem, shop.key_pem)],
        verify_client=True,
        root_certificates=media.certificate_pem,
    )
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)


def test_flight_accepts_the_pinned_pair_and_nobody_else(
    echo: _Echo, media: Identity, shop: Identity, tmp_path: Path
) -> None:
    assert _exchange(echo, own=media, server=shop) == b"media"
    double = new_identity("media", tmp_path)
    with pytest.raises(flight.FlightUnavailableError):
        _exchange(echo, own=double, server=shop)
    with pytest.raises(flight.FlightUnavailableError, match="certificate verify failed"):
        _exchange(echo, own=media, server=double)


def _exchange(echo: _Echo, *, own: Identity, server: Identity) -> bytes:
    client = flight.FlightClient(
        f"grpc+tls://127.0.0.1:{echo.port}",
        tls_root_certs=server.certificate_pem,
        cert_chain=own.certificate_pem,
        private_key=own.key_pem,
        override_hostname=server.certificate.name,
    )
    try:
        writer, reader = client.do_exchange(
            flight.FlightDescriptor.for_path("run"), flight.FlightCallOptions(timeout=10)
        )
        batch = pa.record_batch([pa.array([1])], names=["n"])
        writer.begin(batch.schema)
        writer.write_batch(batch)
        answer = reader.read_chunk().data.to_pydict()
        writer.done_writing()
        writer.close()
        return bytes(answer["peer"][0])
    finally:
        client.close()


def _handshake(
    client: Identity, server: Identity, *, server_trusts: Identity, client_trusts: Identity, strict: bool
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = _context(ssl.PROTOCOL_TLS_CLIENT, client, client_trusts, strict).wrap_bio(
        to_client, to_server, server_hostname=server.certificate.name
    )
    server_side = _context(ssl.PROTOCOL_TLS_SERVER, server, server_trusts, strict).wrap_bio(
        to_server, to_client, server_side=True
    )
    pending = [client_side, server_side]
    for _ in range(6):
        for side in list(pending):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            pending.remove(side)
    assert not pending
    return client_side, server_side


def _context(side: int, own: Identity, trusts: Identity, strict: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=trusts.certificate_pem.decode())
    context.load_cert_chain(own.folder / f"{own.name}.crt", own.folder / f"{own.name}.key")
    return context
