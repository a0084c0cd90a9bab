"""Signatures: both are needed, over exactly this text, in exactly one form."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from cleanroom.agreement import Agreement, load_agreement, sign_agreement, signature_path, verify_signatures
from cleanroom.errors import AgreementError
from cleanroom.identity import new_identity
from tests.cleanroom.agreement.samples import ON, SAMPLE, Desk, new_desk


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Desk, Agreement]:
    desk = new_desk(tmp_path)
    agreement = desk.load()
    sign_agreement(desk.path, agreement, desk.media)
    sign_agreement(desk.path, agreement, desk.shop)
    return desk, agreement


def test_both_sign(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    assert sorted(path.name for path in desk.folder.glob("*.sig")) == ["agreement.media.sig", "agreement.shop.sig"]
    first, second = verify_signatures(desk.path, agreement)
    assert len(first) == len(second) == 64
    desk.media.certificate.verify(purpose="agreement", message=agreement.canonical, signature=first)
    desk.shop.certificate.verify(purpose="agreement", message=agreement.canonical, signature=second)


def test_the_agreement_stays_as_it_was(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    assert desk.path.read_text() == SAMPLE
    assert load_agreement(desk.path, on=ON) == agreement


def test_signing_again_gives_the_same_file(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    before = signature_path(desk.path, "media").read_bytes()
    assert sign_agreement(desk.path, agreement, desk.media).read_bytes() == before
    assert not list(desk.folder.glob(".agreement*"))


@pytest.mark.parametrize("party", ["media", "shop"])
def test_one_signature_is_not_enough(signed: tuple[Desk, Agreement], party: str) -> None:
    desk, agreement = signed
    signature_path(desk.path, party).unlink()
    with pytest.raises(AgreementError, match=rf"agreement\.{party}\.sig: is missing: {party} has not signed"):
        verify_signatures(desk.path, agreement)


def test_a_signature_that_cannot_be_read(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    source = signature_path(desk.path, "shop")
    source.unlink()
    source.mkdir()
    with pytest.raises(AgreementError, match=r"agreement\.shop\.sig: cannot be read: Is a directory"):
        verify_signatures(desk.path, agreement)


def test_a_change_after_signing_is_found_and_a_comment_is_none(signed: tuple[Desk, Agreement]) -> None:
    desk, _ = signed
    changed = desk.load(("epsilon = 2.0", "epsilon = 3.0"))
    with pytest.raises(AgreementError, match=r"agreement\.media\.sig: signs another text"):
        verify_signatures(desk.path, changed)
    commented = desk.load(("version = 1", "# reviewed\nversion = 1"))
    assert verify_signatures(desk.path, commented)
    sign_agreement(desk.path, changed, desk.media)
    with pytest.raises(AgreementError, match=r"agreement\.shop\.sig: signs another text"):
        verify_signatures(desk.path, changed)


def test_a_changed_certificate_voids_both_signatures(signed: tuple[Desk, Agreement]) -> None:
    desk, _ = signed
    other = new_identity("shop", desk.folder / "second")
    (desk.folder / "shop.crt").write_bytes(other.certificate_pem)
    with pytest.raises(AgreementError, match="a certificate was changed after signing"):
        verify_signatures(desk.path, desk.load())


def test_a_stranger_cannot_sign(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    stranger = new_identity("media", desk.folder / "stranger")
    before = {path: path.read_bytes() for path in desk.folder.glob("*.sig")}
    with pytest.raises(AgreementError, match="is not one of the agreement's parties"):
        sign_agreement(desk.path, agreement, stranger)
    assert {path: path.read_bytes() for path in desk.folder.glob("*.sig")} == before


def test_the_other_partys_signature_does_not_serve(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    signature_path(desk.path, "shop").write_bytes(signature_path(desk.path, "media").read_bytes())
    with pytest.raises(AgreementError, match=r"agreement\.shop\.sig: is not a signature by shop's certificate"):
        verify_signatures(desk.path, agreement)


def test_a_signature_for_another_purpose_does_not_serve(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    other = desk.shop.sign(purpose="release", message=agreement.canonical)
    line = f"cleanroom-agreement-v1 {agreement.hash.hex()} {base64.b64encode(other).decode()}\n"
    signature_path(desk.path, "shop").write_text(line)
    with pytest.raises(AgreementError, match="is not a signature by shop's certificate"):
        verify_signatures(desk.path, agreement)


def test_every_flipped_byte_is_refused(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    source = signature_path(desk.path, "shop")
    good = source.read_bytes()
    for position in range(len(good)):
        for flip in (1, 0x20, 0x80):
            source.write_bytes(good[:position] + bytes([good[position] ^ flip]) + good[position + 1 :])
            with pytest.raises(AgreementError):
                verify_signatures(desk.path, agreement)


def test_only_the_canonical_form_is_accepted(signed: tuple[Desk, Agreement]) -> None:
    desk, agreement = signed
    source = signature_path(desk.path, "shop")
    good = source.read_bytes()
    form, digest, encoded = good.rstrip(b"\n").split(b" ")
    # 64 bytes leave four spare bits in the last letter: another letter, the same bytes.
    assert encoded.endswith(b"==")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare = bytes([alphabet[alphabet.index(encoded[-3]) | 1]])
    others = {
        "nothing": b"",
        "no line end": good[:-1],
        "two line ends": good + b"\n",
        "a carriage return": good[:-1] + b"\r\n",
        "two spaces": good.replace(b" ", b"  ", 1),
        "spare bits": b" ".join([form, digest, encoded[:-3] + spare + b"==\n"]),
        "upper-case hash": b" ".join([form, digest.upper(), encoded + b"\n"]),
        "another version": good.replace(b"-v1 ", b"-v2 "),
        "a short signature": b" ".join([form, digest, base64.b64encode(base64.b64decode(encoded)[:63]) + b"\n"]),
        "not base64": b" ".join([form, digest, b"!" * 88 + b"\n"]),
        "binary": bytes(range(256)),
    }
    for content in others.values():
        assert content != good
        source.write_bytes(content)
        with pytest.raises(AgreementError, match="expected one line as `cleanroom agreement sign` writes it"):
            verify_signatures(desk.path, agreement)
    source.write_bytes(good)
    assert verify_signatures(desk.path, agreement)


def test_an_unwritable_place_is_one_line(signed: tuple[Desk, Agreement], monkeypatch: pytest.MonkeyPatch) -> None:
    desk, agreement = signed
    before = signature_path(desk.path, "media").read_bytes()

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(AgreementError, match="cannot be written: No space left"):
        sign_agreement(desk.path, agreement, desk.media)
    monkeypatch.undo()
    assert signature_path(desk.path, "media").read_bytes() == before
    assert not list(desk.folder.glob(".agreement*"))
