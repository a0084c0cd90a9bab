"""A named pipe or a device in the place of a small file is refused at once, wherever a path may come from others."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanroom.agreement import load_agreement, sign_agreement, verify_signatures
from cleanroom.agreement.definition_file import read_definition
from cleanroom.audit.faults import AuditReport
from cleanroom.audit.folder import read_folder
from cleanroom.data import load_binding, read_exposure
from cleanroom.errors import AgreementError, CleanroomError, DataError, UsageError
from cleanroom.identity import load_identity, new_identity
from cleanroom.passphrase import read_passphrase
from cleanroom.regular_file import read_regular
from tests.cli.world import AGREEMENT, BINDINGS, DEFAULTS, PARTIES


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """Turns an open that blocks for ever into a failure."""
    previous = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("blocked"))
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both identities, a signed agreement and a binding."""
    for party in PARTIES:
        new_identity(party, tmp_path / party)
    path = tmp_path / "agreement.toml"
    path.write_text(AGREEMENT.format(**DEFAULTS))
    for party in PARTIES:
        sign_agreement(path, load_agreement(path), load_identity(tmp_path / party))
    (tmp_path / "media.toml").write_text(BINDINGS["media"])
    return tmp_path


def pipe(path: Path) -> Path:
    """Puts a named pipe in the place of a file."""
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    return path


def test_only_so_many_bytes_of_a_regular_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert [read_regular(path, at_most=count) for count in (3, 4, 5)] == [b"1234", b"12345", b"12345"]
    (tmp_path / "link").symlink_to(path)
    assert read_regular(tmp_path / "link", at_most=9) == b"12345"
    for other in (pipe(tmp_path / "pipe"), Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError):
            read_regular(other, at_most=9)


@pytest.mark.parametrize("other", ["pipe", "/dev/zero", "media", "pipe-link"])
def test_a_certificate_path_of_an_agreement(folder: Path, other: str) -> None:
    pipe(folder / "pipe")
    (folder / "pipe-link").symlink_to("pipe")
    (folder / "agreement.toml").write_text(AGREEMENT.format(**DEFAULTS | {"media_certificate": other}))
    with pytest.raises(AgreementError, match=r"parties\.media\.certificate: .* cannot be read: [A-Z ]"):
        load_agreement(folder / "agreement.toml")


def test_agreements_definitions_and_signatures(folder: Path) -> None:
    agreement = load_agreement(folder / "agreement.toml")
    pipe(folder / "agreement.shop.sig")
    with pytest.raises(AgreementError, match=r"agreement\.shop\.sig: cannot be read: Not a regular file"):
        verify_signatures(folder / "agreement.toml", agreement)
    for read in (load_agreement, read_definition):
        with pytest.raises(AgreementError, match="cannot be read: Not a regular file"):
            read(pipe(folder / "agreement.toml"))


def test_identities(folder: Path) -> None:
    for name in ("media.crt", "media.key"):
        kept = (folder / "media" / name).read_bytes()
        pipe(folder / "media" / name)
        with pytest.raises(CleanroomError):
            load_identity(folder / "media")
        (folder / "media" / name).unlink()
        (folder / "media" / name).write_bytes(kept)
        (folder / "media" / name).chmod(0o600)
    load_identity(folder / "media")


def test_passphrase_files(folder: Path) -> None:
    for path in (pipe(folder / "words"), Path("/dev/zero")):
        with pytest.raises(UsageError, match="a regular file, or a descriptor such as /dev/fd/3"):
            read_passphrase(path)


def test_bindings_and_what_they_name(folder: Path) -> None:
    agreement = load_agreement(folder / "agreement.toml")
    binding = load_binding(folder / "media.toml")
    pipe(folder / "touches.csv")
    with pytest.raises(DataError, match=r"expected a file or a glob"):
        read_exposure(agreement, binding)
    with pytest.raises(DataError, match="Not a regular file"):
        load_binding(pipe(folder / "media.toml"))
    (folder / "media.toml").unlink()
    (folder / "media.toml").write_text(BINDINGS["media"] + "#" * 2**20)
    with pytest.raises(DataError, match="at most 1 MiB"):
        load_binding(folder / "media.toml")


def test_the_folder_of_a_run_in_an_audit(folder: Path) -> None:
    run = folder / "run"
    run.mkdir()
    pipe(run / "release.json")
    shutil.copy(folder / "media.toml", run / "local.json")
    report = AuditReport()
    read_folder(run, load_agreement(folder / "agreement.toml"), report)
    assert any("release.json" in str(fault) and "Not a regular file" in str(fault) for fault in report.faults)
