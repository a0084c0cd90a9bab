"""The template: valid as soon as two certificates exist, and never written over a file."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cleanroom.agreement import agreement_template, agreement_warnings, load_agreement, write_template
from cleanroom.agreement.model import Profile
from cleanroom.errors import AgreementError, UsageError
from tests.cleanroom.agreement.samples import Desk, new_desk


def test_the_template_is_valid_once_two_certificates_exist(tmp_path: Path) -> None:
    path = tmp_path / "agreement.toml"
    write_template(path)
    with pytest.raises(AgreementError, match=r"parties\.media\.certificate: .*media\.crt cannot be read"):
        load_agreement(path)
    new_desk(tmp_path)
    agreement = load_agreement(path)
    assert agreement_warnings(agreement) == ()
    assert agreement.protocol.profile is Profile.KKRT
    assert agreement.valid_until > datetime.now(UTC).date() + timedelta(days=300)


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2030, 12, 31)])
def test_the_template_is_valid_whenever_it_is_made(desk: Desk, today: date) -> None:
    desk.path.write_text(agreement_template(today=today), encoding="utf-8")
    assert load_agreement(desk.path, on=today).time.start.year == today.year


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "agreement.toml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists: a template never overwrites"):
        write_template(path)
    assert path.read_text() == "mine"


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        write_template(tmp_path / "none" / "agreement.toml")
    assert list(tmp_path.iterdir()) == []
