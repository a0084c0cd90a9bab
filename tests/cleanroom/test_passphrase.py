"""Keys under a passphrase: the form on the disk, what opens it, and that a change never loses the key."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cleanroom.errors import AgreementError, UsageError
from cleanroom.identity import change_passphrase, load_identity, new_identity
from cleanroom.passphrase import ENCRYPTED_MARK, read_passphrase

WORD = b"correct horse"


def test_an_encrypted_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    made = new_identity("media", tmp_path, passphrase=WORD)
    content = made.key_file.read_bytes()
    assert made.encrypted
    assert content.startswith(ENCRYPTED_MARK)
    assert made.key_pem.splitlines()[1] not in content
    assert stat.S_IMODE(made.key_file.stat().st_mode) == 0o600
    loaded = load_identity(tmp_path, passphrase=WORD)
    assert loaded.encrypted
    assert loaded.key_pem == made.key_pem
    with pytest.raises(AgreementError, match=r"media\.key: the key is encrypted; give its passphrase"):
        load_identity(tmp_path)
    for wrong in (b"correct horsf", b"", WORD + b"\n"):
        with pytest.raises(AgreementError, match=r"media\.key: the passphrase is wrong"):
            load_identity(tmp_path, passphrase=wrong)


def test_a_passphrase_for_a_plain_key_is_a_fault(tmp_path: Path) -> None:
    new_identity("media", tmp_path)
    with pytest.raises(AgreementError, match="is not encrypted, and a passphrase was given"):
        load_identity(tmp_path, passphrase=WORD)


def test_the_form_is_scrypt_as_others_read_it(tmp_path: Path) -> None:
    made = new_identity("media", tmp_path, passphrase=WORD)
    content = made.key_file.read_bytes()
    key = load_pem_private_key(content, WORD)
    assert key.private_bytes_raw() == load_pem_private_key(made.key_pem, None).private_bytes_raw()  # type: ignore[union-attr]
    der = subprocess.run(["openssl", "asn1parse"], input=content, capture_output=True, check=True).stdout.decode()
    assert ":scrypt" in der
    assert "aes-256-cbc" in der
    opened = subprocess.run(
        ["openssl", "pkey", "-passin", "fd:0", "-in", str(made.key_file), "-noout"], input=WORD + b"\n", check=False
    )
    assert opened.returncode == 0


def test_every_key_has_a_salt_of_its_own(tmp_path: Path) -> None:
    own = new_identity("media", tmp_path, passphrase=WORD)
    first = own.key_file.read_bytes()
    change_passphrase(own, WORD)
    assert own.key_file.read_bytes() != first


def test_a_passphrase_is_added_changed_and_removed(tmp_path: Path) -> None:
    plain = new_identity("media", tmp_path)
    added = change_passphrase(plain, WORD)
    assert load_identity(tmp_path, passphrase=WORD).key_pem == plain.key_pem
    changed = change_passphrase(added, b"another")
    with pytest.raises(AgreementError, match="wrong"):
        load_identity(tmp_path, passphrase=WORD)
    assert load_identity(tmp_path, passphrase=b"another").key_pem == plain.key_pem
    change_passphrase(changed, None)
    assert load_identity(tmp_path).key_pem == plain.key_pem
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media.crt", "media.key"]
    assert stat.S_IMODE((tmp_path / "media.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("fault", ["fsync", "replace", "half"])
def test_a_change_that_fails_leaves_the_key_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    own = new_identity("media", tmp_path, passphrase=WORD)
    before = own.key_file.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def half(key: object, passphrase: bytes) -> bytes:
        return before[: len(before) // 2]

    if fault == "fsync":
        monkeypatch.setattr(os, "fsync", refuse)
    elif fault == "replace":
        monkeypatch.setattr(Path, "replace", refuse)
    else:
        monkeypatch.setattr("cleanroom.identity.encrypted_pem", half)
    with pytest.raises((UsageError, AgreementError)):
        change_passphrase(own, b"another")
    assert own.key_file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media.crt", "media.key"]


def private(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_passphrase_file_is_one_line(tmp_path: Path) -> None:
    for content in (WORD, WORD + b"\n", WORD + b"\r\n"):
        assert read_passphrase(private(tmp_path / "word", content)) == WORD
    assert read_passphrase(private(tmp_path / "word", b"w" * 1024 + b"\n")) == b"w" * 1024
    for content in (b"", b"\n", b"one\ntwo", b"w" * 1025, b"w" * 5000):
        with pytest.raises(UsageError, match="one line of 1 to 1024 bytes"):
            read_passphrase(private(tmp_path / "word", content))


def test_a_passphrase_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="others on this machine may read"):
        read_passphrase(private(tmp_path / "word", WORD, 0o640))
    with pytest.raises(UsageError, match="cannot be read"):
        read_passphrase(tmp_path / "none")


def test_a_descriptor_gives_a_passphrase() -> None:
    reading, writing = os.pipe()
    os.write(writing, WORD + b"\n")
    os.close(writing)
    try:
        assert read_passphrase(Path(f"/dev/fd/{reading}")) == WORD
    finally:
        os.close(reading)
    with pytest.raises(UsageError, match="cannot be read"):
        read_passphrase(Path("/dev/fd/999999"))
