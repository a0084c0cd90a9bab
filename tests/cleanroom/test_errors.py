"""What a user reads: one line, and nothing on which a terminal acts."""

from __future__ import annotations

import pytest

from cleanroom.errors import AgreementError, one_line, reason_of


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("two\n lines\tand  more", "two lines and more"),
        ("a\x1b[2Jb", "a?[2Jb"),
        ("a\x00b\x7f", "a?b?"),
        ("right\u202eleft", "right?left"),
        ("\ud800", "?"),
        ("小红书", "小红书"),
    ],
)
def test_a_text_is_one_printable_line(text: str, line: str) -> None:
    assert one_line(text) == line
    assert reason_of(AgreementError(text)) == line
