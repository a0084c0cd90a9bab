"""A replay names the first difference: which file, which line, which step and direction."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cleanroom
from cleanroom.account import account_bytes
from cleanroom.agreement import load_agreement
from cleanroom.audit import AuditReport
from cleanroom.audit.lines import read_transcript
from cleanroom.errors import AgreementError, DataError
from cleanroom.protocols import ot
from cleanroom.protocols.transcript import Direction, Transcript
from tests.cleanroom.audit.runs import PARTIES, SOURCES, AuditedRun, finish_run

REPLAY = importlib.import_module("cleanroom.audit.replay")


@pytest.fixture
def run(runs: dict[str, AuditedRun], tmp_path: Path) -> AuditedRun:
    return runs["gaussian"].copy(tmp_path / "run")


def texts(report: AuditReport) -> list[str]:
    assert not report.verified
    return [str(fault) for fault in report.faults]


def edit_json(file: Path, change: Callable[[dict[str, object]], None]) -> None:
    document = json.loads(file.read_bytes())
    change(document)
    file.write_bytes(account_bytes(document))


@pytest.mark.parametrize("party", PARTIES)
def test_a_changed_input_row_is_not_the_committed_one(run: AuditedRun, party: str) -> None:
    source = run.root / SOURCES[party]
    text = source.read_text()
    row = text.splitlines()[40]
    moved = row.replace("2025-03-", "2025-03-0", 1) if "2025-03-0" not in row else row.replace("-03-0", "-03-1", 1)
    if party == "shop":
        person, at, paid, order = row.split(",")
        moved = f"{person},{at},{paid.replace('.50', '.51')},{order}"
    source.write_text(text.replace(row, moved, 1))
    found = texts(run.replay())
    assert any(f"{party}-out/local.json: input_root" in text for text in found), found
    assert not any("replay" in text for text in found), "nothing is replayed on other rows"


def test_a_missing_row_changes_the_counts_too(run: AuditedRun) -> None:
    source = run.root / "orders.csv"
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:-1]))
    found = texts(run.replay())
    assert any("shop-out/local.json: counts." in text for text in found), found
    assert any("shop-out/local.json: input_root" in text for text in found), found


def test_rows_in_another_order_are_the_same_input(run: AuditedRun) -> None:
    for party in PARTIES:
        source = run.root / SOURCES[party]
        head, *rows = source.read_text().splitlines(keepends=True)
        source.write_text("".join([head, *reversed(rows)]))
    report = run.replay()
    assert report.verified, texts(report)


def test_data_that_cannot_be_read_are_a_data_error(run: AuditedRun) -> None:
    (run.root / "orders.csv").unlink()
    with pytest.raises(DataError, match="the outcome side's data"):
        run.replay()


def test_changed_noise_shows_in_the_commitments(run: AuditedRun) -> None:
    def more(audit: dict[str, list[list[int]]]) -> None:
        audit["noise"][0][0] += 1

    edit_json(run.out("media") / "audit.private", more)  # type: ignore[arg-type]
    report = run.replay()
    found = texts(report)
    assert any("audit.private: signature" in text for text in found), found
    (message,) = [text for text in found if "transcript.jsonl" in text]
    assert "sha256: the replay's release.commitments (sent) has another one" in message
    assert "media-out/transcript.jsonl: line " in message
    assert report.exit_code == 3


@pytest.mark.parametrize("key", ["seed", "nonce", "commitment_key", "session", "party"])
def test_a_changed_secret_is_named(run: AuditedRun, key: str) -> None:
    def turn(audit: dict[str, object]) -> None:
        text = str(audit[key])
        audit[key] = ("1" if text[0] == "0" else "0") + text[1:]

    edit_json(run.out("shop") / "audit.private", turn)
    found = texts(run.replay())
    named = "local.json: input_root" if key == "commitment_key" else f"audit.private: {key}"
    assert any(f"shop-out/{named}" in text for text in found), found


@pytest.mark.parametrize(
    ("step", "side", "direction"),
    [
        ("session.hello", "media", "sent"),
        ("oprf.blinded", "shop", "received"),
        ("mux.exposure_difference", "media", "sent"),
        ("release.cells", "shop", "sent"),
    ],
)
def test_a_changed_line_is_the_first_difference(run: AuditedRun, step: str, side: str, direction: str) -> None:
    file = run.out(side) / "transcript.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    number, line = next(
        (number, line)
        for number, line in enumerate(lines, start=1)
        if step in line.decode() and direction in line.decode()
    )
    entry = json.loads(line)
    entry["sha256"] = "00" * 32
    lines[number - 1] = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
    file.write_bytes(b"".join(lines))
    found = texts(run.replay())
    expected = f"{side}-out/transcript.jsonl: line {number}: sha256: the replay's {step} ({direction}) has another one"
    assert any(expected in text for text in found), found


def test_changed_files_are_not_what_the_replay_writes(run: AuditedRun) -> None:
    for name in ("release.csv", "release.parquet"):
        file = run.out("shop") / name
        file.write_bytes(file.read_bytes()[:-1] + b"\0")
    found = texts(run.replay())
    assert [text.split("/")[-1] for text in found] == [
        "release.csv: is not what the replay writes",
        "release.parquet: is not what the replay writes",
    ]


def test_signatures_of_the_release_are_those_that_were_exchanged(run: AuditedRun) -> None:
    file = run.out("media") / "release.json"
    document = json.loads(file.read_bytes())
    signature = document["signatures"][0]["signature"]
    other = signature[:-1] + ("1" if signature[-1] == "0" else "0")
    file.write_bytes(file.read_bytes().replace(signature.encode(), other.encode()))
    found = texts(run.replay())
    assert any("release.signature (sent) has another one" in text for text in found), found


def test_another_version_of_the_writer_is_said_in_words(run: AuditedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REPLAY, "WRITER", "pyarrow 1.2.3")
    (text,) = texts(run.replay())
    assert "was written by pyarrow" in text and "here is pyarrow 1.2.3" in text


def test_another_build_is_a_note(run: AuditedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REPLAY, "BUILD", "cleanroom-toolkit 9.9.9")
    report = run.replay()
    assert report.verified and len(report.notes) == 2


def test_a_side_may_have_seen_the_two_directions_in_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that asks fewer batches ahead sends the same messages and waits earlier: that is no deviation."""
    small = dataclasses.replace(ot.SOFT_SPOKEN, batch=256)
    with monkeypatch.context() as before:
        before.setattr(ot, "SOFT_SPOKEN", dataclasses.replace(small, ahead=1))
        run = finish_run(tmp_path / "run", "gaussian", '["media", "shop"]', "kkrt")
    monkeypatch.setattr(ot, "SOFT_SPOKEN", small)
    orders: dict[int, list[tuple[str, str]]] = {}
    append = REPLAY._Compared.append

    def watched(self: Transcript, step: str, direction: Direction, *, length: int, sha256: bytes) -> object:
        orders.setdefault(id(self), []).append((step, direction.value))
        return append(self, step, direction, length=length, sha256=sha256)

    monkeypatch.setattr(REPLAY._Compared, "append", watched)
    report = run.replay()
    assert report.verified, texts(report)
    lines = map(json.loads, (run.out("shop") / "transcript.jsonl").read_text().splitlines())
    then = [(line["step"], line["direction"]) for line in lines]
    assert then not in orders.values(), "or nothing is tested"
    assert sorted(then) in [sorted(now) for now in orders.values()]


def test_each_direction_has_its_own_order(run: AuditedRun) -> None:
    report = AuditReport()
    agreement = load_agreement(run.agreement)
    data = (run.out("media") / "transcript.jsonl").read_bytes()
    recorded = read_transcript("t", data, agreement.parties[0].role, report)
    assert recorded is not None
    sent = [number for number, entry in enumerate(recorded.entries) if entry.direction is Direction.SENT]

    def again(order: list[int]) -> tuple[list[str], int]:
        found = AuditReport()
        compared = REPLAY._Compared(role=agreement.parties[0].role, recorded=recorded, report=found)
        with contextlib.suppress(REPLAY._DifferenceError):
            for number in order:
                entry = recorded.entries[number]
                compared.append(entry.step, entry.direction, length=entry.length, sha256=entry.sha256)
        return [str(fault) for fault in found.faults], compared.next_line

    received = [number for number in range(len(recorded.entries)) if number not in sent]
    assert again([*received, *sent]) == ([], len(recorded.entries) + 1)
    assert again(received) == ([], sent[0] + 1)
    (fault,), _ = again([sent[0], sent[2], sent[1]])
    assert f"t: line {sent[1] + 1}: " in fault
    (fault,), _ = again([*sent, sent[0]])
    assert "the file ends before it" in fault


def test_a_replay_needs_both_private_files_and_the_right_sides(run: AuditedRun) -> None:
    (run.out("media") / "audit.private").unlink()
    (text,) = texts(run.replay())
    assert text.endswith("media-out/audit.private: is missing: a replay needs it")


def test_exchanged_folders_are_refused(run: AuditedRun) -> None:
    run.out("media").rename(run.root / "x")
    run.out("shop").rename(run.out("media"))
    (run.root / "x").rename(run.out("shop"))
    found = texts(run.replay())
    assert any("this is not the exposure side's folder" in text for text in found), found


def test_an_agreement_that_was_changed_is_refused(run: AuditedRun) -> None:
    run.agreement.write_text(run.agreement.read_text().replace("min_people = 25", "min_people = 24"))
    with pytest.raises(AgreementError, match="signs another text"):
        run.replay()


def command(run: AuditedRun, *arguments: str, threads: int) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(cleanroom.__file__).parents[1]),
        "RAYON_NUM_THREADS": str(threads),
    }
    return subprocess.run(
        [sys.executable, "-m", "cleanroom", "audit", *arguments, "--json"],
        capture_output=True,
        text=True,
        cwd=run.root.parent,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_the_command_replays_in_another_process(run: AuditedRun, threads: int) -> None:
    options = ["--exposure", "run/media-out", "--exposure-data", "run/media.toml"]
    options += ["--outcome", "run/shop-out", "--outcome-data", "run/shop.toml", "--agreement", "run/agreement.toml"]
    ended = command(run, "replay", *options, threads=threads)
    result = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    assert (result["version"], result["verified"], result["exit_code"], result["faults"]) == (1, True, 0, [])


def test_the_command_verifies_and_says_what_it_found(run: AuditedRun) -> None:
    folders = ["run/media-out", "run/shop-out", "--agreement", "run/agreement.toml"]
    assert command(run, "verify", *folders, threads=1).returncode == 0
    file = run.out("shop") / "release.csv"
    file.write_bytes(file.read_bytes().replace(b"spring", b"sprinG", 1))
    ended = command(run, "verify", *folders, threads=1)
    result = json.loads(ended.stdout)
    assert ended.returncode == result["exit_code"] == 4
    assert {fault["file"] for fault in result["faults"]} >= {"run/shop-out/release.csv"}
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("cleanroom: run/shop-out/release.csv: its SHA-256") and "Traceback" not in ended.stderr
