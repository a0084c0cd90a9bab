from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.missed_matches import main, missed

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "attribution.md"


def test_an_account_is_missed_when_its_first_identifier_is_not_the_one_in_common() -> None:
    shop = {1: {"phone": b"p1", "email": b"e1"}, 2: {"email": b"e2"}, 3: {"phone": b"p3"}}
    media = {
        1: {"phone": b"p1", "email": b"e1"},  # found on the first
        2: {"phone": b"p2", "email": b"e2"},  # looked up under a phone that the shop lacks
        3: {"email": b"e2"},  # found on the second, as there is no first
        4: {"phone": b"p4", "oaid": b"o4"},  # nobody's
        5: {},
    }
    assert missed(media, shop, ("phone",)) == (1, 0)
    assert missed(media, shop, ("phone", "email")) == (3, 1)
    assert missed(media, shop, ("email", "phone")) == (3, 0)


def test_the_page_on_attribution_holds_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(lines) in page
