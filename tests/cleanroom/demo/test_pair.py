from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from cleanroom.demo import pair
from cleanroom.demo.pair import PairError, commands, run_pair


def python(code: str) -> list[str]:
    return [sys.executable, "-c", "import os, sys, time\n" + code]


def step(line: str) -> str:
    return f"print({line!r}, file=sys.stderr, flush=True)\n"


def run(tmp_path: Path, media: str, shop: str) -> list[tuple[str | None, str]]:
    heard: list[tuple[str | None, str]] = []
    halves = {"media": python(media), "shop": python(shop)}
    logs = {party: tmp_path / f"{party}.log" for party in halves}
    try:
        run_pair(halves, logs, said=lambda party, line: heard.append((party, line)))
    finally:
        assert all(log.exists() for log in logs.values())
    return heard


def test_steps_are_passed_on_and_all_else_is_kept(tmp_path: Path) -> None:
    explained = step("What you, media, learn") + step("- the released table")
    talk = explained + step("oblivious PRF: 1.2 s, 8 rows, 7 rows/s")
    heard = run(tmp_path, talk, step("handshake: 0.0 s"))
    passed_on = sorted((party, line) for party, line in heard if party is not None)
    assert passed_on == [("media", "oblivious PRF: 1.2 s, 8 rows, 7 rows/s"), ("shop", "handshake: 0.0 s")]
    assert (tmp_path / "media.log").read_text().startswith("What you, media, learn\n- the released table\n")


def test_a_quiet_step_gives_a_sign_of_life(tmp_path: Path) -> None:
    heard = run(tmp_path, step("handshake: 0.0 s") + "time.sleep(1.6)", "")
    assert (None, "media after handshake") in heard


def test_a_failure_keeps_its_reason_and_exit_code(tmp_path: Path) -> None:
    fault = step("cleanroom: touches.parquet, row 3, column sent_at: expected a time") + "sys.exit(4)"
    with pytest.raises(PairError, match=r"^media: touches\.parquet, row 3, column sent_at: expected a time$") as raised:
        run(tmp_path, fault, "")
    assert raised.value.exit_code == 4


def test_the_side_that_lost_its_peer_is_not_the_reason(tmp_path: Path) -> None:
    lost = step("cleanroom: the connection to the peer broke") + "sys.exit(5)"
    fault = "time.sleep(0.3)\n" + step("cleanroom: no budget") + "sys.exit(6)"
    with pytest.raises(PairError, match=r"^shop: no budget$") as raised:
        run(tmp_path, lost, fault)
    assert raised.value.exit_code == 6


def test_a_lost_peer_is_the_reason_if_there_is_no_other(tmp_path: Path) -> None:
    with pytest.raises(PairError, match=r"^shop: gone$") as raised:
        run(tmp_path, "", step("cleanroom: gone") + "sys.exit(5)")
    assert raised.value.exit_code == 5


def test_a_killed_process_is_named(tmp_path: Path) -> None:
    with pytest.raises(PairError, match=r"^shop: the process was ended by signal 9$") as raised:
        run(tmp_path, "", "os.kill(os.getpid(), 9)")
    assert raised.value.exit_code == 1


def test_a_side_that_waits_for_a_failed_peer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "_GRACE_SECONDS", 0.2)
    mark = tmp_path / "late"
    started = time.monotonic()
    with pytest.raises(PairError, match=r"^media: bad data$"):
        run(tmp_path, step("cleanroom: bad data") + "sys.exit(4)", f"time.sleep(60)\nopen({str(mark)!r}, 'w')")
    assert time.monotonic() - started < 20
    assert not mark.exists()


def test_whatever_happens_no_process_is_left(tmp_path: Path) -> None:
    def said(party: str | None, line: str) -> None:
        raise KeyboardInterrupt

    pid = tmp_path / "pid"
    code = f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n" + step("handshake: 0.0 s") + "time.sleep(60)"
    logs = {"media": tmp_path / "a.log", "shop": tmp_path / "b.log"}
    with pytest.raises(KeyboardInterrupt):
        run_pair({"media": python(code), "shop": python("time.sleep(60)")}, logs, said=said)
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_the_commands_are_those_that_an_owner_types(tmp_path: Path) -> None:
    folders = {"media": tmp_path / "media", "shop": tmp_path / "shop"}
    found = commands(tmp_path / "agreement.toml", folders, port=4711)
    for party, command in found.items():
        assert command[:4] == [sys.executable, "-m", "cleanroom", "run"]
        assert command[command.index("--party") + 1] == party
        assert command[command.index("--identity") + 1] == str(folders[party])
    assert found["media"][found["media"].index("--listen") + 1] == "127.0.0.1:4711"
    assert found["shop"][found["shop"].index("--connect") + 1] == "127.0.0.1:4711"
