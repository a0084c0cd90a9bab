"""Whatever is changed in the folders of a run is found, and the fault names the file and the place."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cleanroom.account import account_bytes, signed_account
from cleanroom.agreement import load_agreement, sign_agreement
from cleanroom.audit import AuditReport
from cleanroom.errors import AgreementError, UsageError
from cleanroom.identity import Identity, load_identity, new_identity
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.release.document import canonical
from cleanroom.release.signatures import SIGNATURE_PURPOSE, _statement
from cleanroom.transcripts import TRANSCRIPT_PURPOSE
from tests.cleanroom.audit.runs import PARTIES, AuditedRun

Json = Any  # a parsed JSON value
SIDES = [("gaussian", "media"), ("one recipient", "media"), ("one recipient", "shop"), ("none", "shop")]


@pytest.fixture(scope="module")
def copies(runs: dict[str, AuditedRun], tmp_path_factory: pytest.TempPathFactory) -> dict[str, AuditedRun]:
    folder = tmp_path_factory.mktemp("tampered")
    return {kind: run.copy(folder / kind) for kind, run in runs.items()}


@pytest.fixture
def changed(copies: dict[str, AuditedRun]) -> Iterator[Callable[[str, str, bytes], AuditedRun]]:
    """Changes files of a run for one test."""
    kept: dict[Path, bytes] = {}

    def change(kind: str, path: str, data: bytes) -> AuditedRun:
        file = copies[kind].root / path
        kept.setdefault(file, file.read_bytes())
        file.write_bytes(data)
        return copies[kind]

    yield change
    for file, data in kept.items():
        file.write_bytes(data)


def found(report: AuditReport, file: str, *words: str, code: int) -> None:
    """The report must have a fault of this file with these words, and this exit code."""
    texts = [str(fault) for fault in report.faults if fault.file.endswith(file)]
    assert any(all(word in text for word in words) for text in texts), [str(fault) for fault in report.faults]
    assert report.exit_code == code


def leaves(value: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of every value in a JSON document."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for position, inner in enumerate(value):
            yield from leaves(inner, (*path, position))
    else:
        yield path


def other(value: Json) -> Json:
    """A value of the same kind that differs in one place."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 0.5
    if isinstance(value, str):
        last = value[-1:]
        return value[:-1] + ("0" if last == "1" else "1" if last.isdigit() else chr(ord(last or "a") ^ 1))
    return 0 if value is None else [0] if value == [] else {"a": 0}


def with_leaf(document: Json, path: tuple[Any, ...], value: Json) -> Json:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = with_leaf(document[path[0]], path[1:], value)
    return copy


def leaf(document: Json, path: tuple[Any, ...]) -> Json:
    for part in path:
        document = document[part]
    return document


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 7])
@pytest.mark.parametrize(("kind", "party"), SIDES)
@pytest.mark.parametrize("name", ["release.json", "local.json", "audit.private"])
def test_every_value_of_every_document(
    changed: Callable[[str, str, bytes], AuditedRun],
    runs: dict[str, AuditedRun],
    kind: str,
    party: str,
    name: str,
    every: int,
) -> None:
    file = runs[kind].out(party) / name
    if not file.exists():
        assert (kind, party, name) == ("one recipient", "media", "release.json")
        return
    document = json.loads(file.read_bytes())
    for path in list(leaves(document))[::every]:
        tampered = with_leaf(document, path, other(leaf(document, path)))
        data = canonical(tampered) + b"\n" if name == "release.json" else account_bytes(tampered)
        report = changed(kind, f"{party}-out/{name}", data).verify(party)
        assert any(fault.file.endswith(name) for fault in report.faults), path
        assert report.exit_code in (3, 4)
        if path != ("party",):  # without it nobody's signature is looked for
            assert any(fault.signature for fault in report.faults), path


@pytest.mark.parametrize(("kind", "party"), SIDES)
def test_any_flipped_byte(
    changed: Callable[[str, str, bytes], AuditedRun], runs: dict[str, AuditedRun], kind: str, party: str
) -> None:
    rng = random.Random(f"{kind} {party}")
    for file in sorted(runs[kind].out(party).iterdir()):
        data = file.read_bytes()
        if file.name == "report.html" and kind != "gaussian":  # a page that differs is written again: seconds
            continue
        for _ in range(1 if file.name == "report.html" else 10):
            place = rng.randrange(len(data))
            flipped = bytearray(data)
            flipped[place] ^= 1 << rng.randrange(8)
            report = changed(kind, f"{party}-out/{file.name}", bytes(flipped)).verify(party)
            assert any(fault.file.endswith(f"{party}-out/{file.name}") for fault in report.faults), (file.name, place)
        changed(kind, f"{party}-out/{file.name}", data)


@pytest.mark.parametrize("key", ["step", "direction", "length", "sha256", "chain"])
def test_a_changed_line_is_named(
    changed: Callable[[str, str, bytes], AuditedRun], runs: dict[str, AuditedRun], key: str
) -> None:
    lines = (runs["gaussian"].out("media") / "transcript.jsonl").read_bytes().splitlines(keepends=True)
    for number in range(0, len(lines), 4):
        entry = json.loads(lines[number])
        turned = {"sent": "received", "received": "sent"}
        entry[key] = turned[entry[key]] if key == "direction" else other(entry[key])
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        data = b"".join([*lines[:number], line, *lines[number + 1 :]])
        run = changed("gaussian", "media-out/transcript.jsonl", data)
        report = run.verify("media")
        wheres = [fault.where for fault in report.faults if fault.file.endswith("transcript.jsonl")]
        assert f"line {number + 1}" in wheres, (number, [str(fault) for fault in report.faults])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "line 6"),  # swapped
        (lambda lines: [*lines[:9], *lines[10:]], "line 10"),  # dropped
        (lambda lines: [*lines[:9], lines[8], *lines[9:]], "line 10"),  # repeated
        (lambda lines: lines[:-1], "line 41"),
        (lambda lines: lines[:-2], "line 40"),
        (lambda lines: [], ""),
        (lambda lines: [*lines[:-1], lines[-1][:40]], "line 43"),
        (lambda lines: [*lines, b"\n"], "line 44"),
        (lambda lines: [lines[0].replace(b",", b", ", 1), *lines[1:]], "line 1"),
    ],
)
def test_lines_moved_dropped_and_truncated(
    changed: Callable[[str, str, bytes], AuditedRun],
    runs: dict[str, AuditedRun],
    change: Callable[[list[bytes]], list[bytes]],
    where: str,
) -> None:
    lines = (runs["gaussian"].out("media") / "transcript.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 43
    run = changed("gaussian", "media-out/transcript.jsonl", b"".join(change(lines)))
    for report in (run.verify("media"), run.verify()):
        wheres = [fault.where for fault in report.faults if fault.file.endswith("transcript.jsonl")]
        assert where in wheres, [str(fault) for fault in report.faults]


def sealed_again(lines: list[bytes], signers: tuple[Identity, Identity]) -> bytes:
    """A transcript whose chains, digest and signatures follow from its lines again."""
    entries = [json.loads(line) for line in lines]
    again = Transcript(from_exposure=Direction.SENT)
    digest = b""
    for number, entry in enumerate(entries):
        if number == len(entries) - 2:
            digest = again.digest()
        made = again.append(
            entry["step"], Direction(entry["direction"]), length=entry["length"], sha256=bytes.fromhex(entry["sha256"])
        )
        entry["chain"] = made.chain.hex()
    for entry, signer in zip(entries[-2:], signers, strict=True):
        entry["digest"] = digest.hex()
        entry["signature"] = signer.sign(purpose=TRANSCRIPT_PURPOSE, message=digest).hex()
    return b"".join(json.dumps(entry, separators=(",", ":")).encode() + b"\n" for entry in entries)


def test_a_transcript_sealed_again_by_one_side_is_found(
    changed: Callable[[str, str, bytes], AuditedRun], runs: dict[str, AuditedRun], tmp_path: Path
) -> None:
    run = runs["gaussian"]
    lines = (run.out("media") / "transcript.jsonl").read_bytes().splitlines(keepends=True)
    media, shop = (load_identity(run.root / party) for party in PARTIES)
    assert sealed_again(lines, (media, shop)) == b"".join(lines)
    entry = json.loads(lines[20])
    entry["sha256"] = "00" * 32
    lines[20] = json.dumps(entry).encode()
    alone = changed("gaussian", "media-out/transcript.jsonl", sealed_again(lines, (media, media)))
    found(alone.verify("media"), "transcript.jsonl", "line 43", "signature: is not shop's", code=3)
    # both keys in one hand: the confirmation and the other folder still tell
    together = changed("gaussian", "media-out/transcript.jsonl", sealed_again(lines, (media, shop)))
    found(together.verify("media"), "transcript.jsonl", "sha256", "session.confirm", code=4)
    found(together.verify(), "shop-out", "transcript.jsonl: line 21", "sha256: differs", code=4)


def test_a_length_that_no_run_has_is_found(
    changed: Callable[[str, str, bytes], AuditedRun], runs: dict[str, AuditedRun]
) -> None:
    run = runs["none"]
    identities = tuple(load_identity(run.root / party) for party in PARTIES)
    lines = (run.out("media") / "transcript.jsonl").read_bytes().splitlines(keepends=True)
    for step in ("oprf.masked", "mux.exposure_difference", "release.comparison"):
        number = next(number for number, line in enumerate(lines) if step.encode() in line)
        entry = json.loads(lines[number])
        entry["length"] += 1
        data = sealed_again(
            [*lines[:number], json.dumps(entry).encode(), *lines[number + 1 :]], (identities[0], identities[1])
        )
        report = changed("none", "media-out/transcript.jsonl", data).verify("media")
        family = step if step.startswith("release") else step.split(".")[0]
        found(report, "transcript.jsonl", f"step {family}", "bytes", code=4)


def signed_again(run: AuditedRun, document: Json, signers: dict[str, Identity]) -> bytes:
    """A release.json with new signatures over its content."""
    body = {key: value for key, value in document.items() if key != "signatures"}
    entries = [
        {
            "party": party,
            "covers": "release",
            "signature": signers[party].sign(purpose=SIGNATURE_PURPOSE, message=_statement("release", body)).hex(),
        }
        for party in PARTIES
    ]
    return canonical({**body, "signatures": entries}) + b"\n"


def test_a_release_signed_again_with_another_key(
    changed: Callable[[str, str, bytes], AuditedRun], runs: dict[str, AuditedRun], tmp_path: Path
) -> None:
    run = runs["gaussian"]
    document = json.loads((run.out("media") / "release.json").read_bytes())
    signers = {party: load_identity(run.root / party) for party in PARTIES}
    assert signed_again(run, document, signers) == (run.out("media") / "release.json").read_bytes()
    stranger = new_identity("media", tmp_path / "stranger")
    data = signed_again(run, document, {**signers, "media": stranger})
    report = changed("gaussian", "media-out/release.json", data).verify("media")
    found(report, "release.json", "signatures[0]", "the signature of media", code=3)


def change_share(document: Json) -> None:
    cell = document["openings"]["outcome"]["cells"][0]
    cell["share"] = f"{int(cell['share'], 16) ^ 1:016x}"


def change_seed(document: Json) -> None:
    document["record"]["handshake"]["exposure"]["seed_commitment"] = "11" * 32


def change_figure(document: Json) -> None:
    document["rows"][0]["units"] += 1
    document["rows"][0]["value"] += 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (change_share, "openings.outcome.cells[0]"),
        (change_figure, "rows[0].units"),
        (lambda document: document["parameters"].update(min_people=5), "parameters.min_people"),
        (lambda document: document["metrics"][1].update(noise_scale=1.0), "metrics[1].noise_scale"),
        (lambda document: document["parameters"].update(epsilon=1.0), "parameters.epsilon"),
        (lambda document: document["record"].update(passed="0f"), "record.passed"),
        (lambda document: document["rows"][2].update(status="released"), "rows[2].status"),
        (change_seed, "record.session"),
        (lambda document: document["record"]["commitments"].update(exposure="11" * 32), "record.commitments.exposure"),
        (lambda document: document["agreement"].update(hash="11" * 32), "agreement.hash"),
    ],
)
def test_a_release_that_both_keys_sign_must_still_follow(
    changed: Callable[[str, str, bytes], AuditedRun],
    runs: dict[str, AuditedRun],
    change: Callable[[Json], None],
    where: str,
) -> None:
    run = runs["gaussian"]
    document = json.loads((run.out("media") / "release.json").read_bytes())
    change(document)
    signers = {party: load_identity(run.root / party) for party in PARTIES}
    report = changed("gaussian", "media-out/release.json", signed_again(run, document, signers)).verify("media")
    texts = [str(fault) for fault in report.faults if fault.file.endswith("release.json")]
    assert any(where in text for text in texts), [str(fault) for fault in report.faults]


def test_a_sole_recipient_that_lies_about_verdicts_is_found(
    changed: Callable[[str, str, bytes], AuditedRun], runs: dict[str, AuditedRun]
) -> None:
    """The peer's record is signed anew by both, so that only the two folders' difference tells."""
    run = runs["one recipient"]
    local = json.loads((run.out("media") / "local.json").read_bytes())
    local["record"]["passed"] = "00"
    for row in local["suppression"]:
        row["status"] = "suppressed"
    body = {key: value for key, value in local.items() if key != "signature"}
    media = load_identity(run.root / "media")
    data = signed_account("local.json", body, lambda purpose, message: media.sign(purpose=purpose, message=message))
    report = changed("one recipient", "media-out/local.json", data).verify()
    found(report, "shop-out", "local.json: record.passed", "not the same run", code=3)


def test_missing_files_and_strangers(
    runs: dict[str, AuditedRun], tmp_path: Path, changed: Callable[[str, str, bytes], AuditedRun]
) -> None:
    run = runs["gaussian"].copy(tmp_path / "run")
    (run.out("media") / "audit.private").unlink()
    assert run.verify().verified, "it is never shared"
    (run.out("media") / "notes.txt").write_text("mine")
    report = run.verify("media")
    assert report.verified and "notes.txt" in report.notes[0]
    for name in ("release.csv", "release.parquet", "release.json", "report.html", "transcript.jsonl", "local.json"):
        broken = runs["gaussian"].copy(tmp_path / name)
        (broken.out("media") / name).unlink()
        assert any(f.file.endswith(name) and "missing" in f.what for f in broken.verify("media").faults), name
    (run.out("media") / "failure.json").write_text("{}")
    found(run.verify("media"), "failure.json", "the run failed", code=4)
    one = runs["one recipient"].copy(tmp_path / "one")
    (one.out("media") / "release.csv").write_bytes((one.out("shop") / "release.csv").read_bytes())
    found(one.verify("media"), "release.csv", "not a recipient", code=4)


def test_folders_of_two_runs_or_of_one_side_are_refused(
    runs: dict[str, AuditedRun], tmp_path: Path, changed: Callable[[str, str, bytes], AuditedRun]
) -> None:
    run = runs["gaussian"]
    with pytest.raises(UsageError, match="both are the exposure side's"):
        run.verify("media", "media")
    with pytest.raises(UsageError, match="one side, or of both sides"):
        run.verify("media", "shop", "media")
    with pytest.raises(UsageError, match="expected the folder of a finished run"):
        run.verify("nobody")


def test_an_agreement_changed_after_signing_is_refused(runs: dict[str, AuditedRun], tmp_path: Path) -> None:
    run = runs["gaussian"].copy(tmp_path / "run")
    text = run.agreement.read_text()
    run.agreement.write_text(text.replace("min_people = 25", "min_people = 24"))
    with pytest.raises(AgreementError, match="signs another text"):
        run.verify()
    for party in PARTIES:  # a lower threshold that both sign later does not fit the run
        sign_agreement(run.agreement, load_agreement(run.agreement), load_identity(run.root / party))
    report = run.verify()
    assert not report.verified
    assert any("record" in fault.where for fault in report.faults)
