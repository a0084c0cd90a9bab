from __future__ import annotations

import io
import time

import pytest

from cleanroom.demo import Talk, talk


def test_lines_stand_under_the_name_of_who_says_them() -> None:
    stream = io.StringIO()
    with Talk(stream) as shown:
        shown.say("handshake: 0.0 s", who="shop")
        shown.say("two [processes]")
    assert stream.getvalue() == " shop handshake: 0.0 s\n demo two [processes]\n"


def test_no_step_is_silent_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "QUIET_SECONDS", 0.2)
    stream = io.StringIO()
    with Talk(stream) as shown:
        shown.doing("joining the clear data")
        time.sleep(0.8)
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 1
    assert all(line.startswith(" demo … joining the clear data (") for line in lines)
    assert talk.QUIET_SECONDS < 2
