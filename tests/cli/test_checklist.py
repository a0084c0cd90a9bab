"""The checklist that a run prints before anything is sent; passphrases and pruning on the command line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from cleanroom.checklist import PAGE
from tests.cli.world import PARTIES, Scene
from tests.ports import free_port

LEGAL = """
[legal]
basis = "consent"
impact_assessment = "PIA-7"
retention_days = 30

[protocol]"""
WORD = "correct-horse-5518"


def with_legal(scene: Scene, *, noise: str = "gaussian") -> None:
    path = scene.agree(noise=noise, signers=())
    path.write_text(path.read_text().replace("\n[protocol]", LEGAL))
    for party in PARTIES:
        assert scene.command("agreement", "sign", str(path), "--identity", str(scene.root / party)).ended().code == 0


def items(scene: Scene, *options: str) -> dict[str, dict[str, object]]:
    address = f"127.0.0.1:{free_port()}"
    ended = scene.start("media", "--listen", address, "--checklist", "--json", *options).ended()
    assert ended.code == 0, ended.stderr
    return {item["name"]: item for item in json.loads(ended.stdout)["checklist"]}


def test_the_checklist_alone_reads_and_writes_nothing(scene: Scene) -> None:
    scene.agree(noise="none")
    (scene.root / "touches.csv").unlink()
    before = sorted(path.name for path in scene.root.rglob("*"))
    found = items(scene)
    assert sorted(path.name for path in scene.root.rglob("*")) == before
    warned = {name for name, item in found.items() if not item["ok"]}
    assert {"noise", "legal", "retention", "budget", "key"} <= warned
    assert {"agreement", "partner", "threshold", "core dumps"} <= found.keys() - warned


def test_what_is_put_in_order_does_not_warn(scene: Scene) -> None:
    with_legal(scene)
    identity, word = scene.root / "media", scene.root / "word"
    word.write_text(WORD + "\n")
    word.chmod(0o600)
    identity.chmod(0o700)
    changed = scene.command(
        "party", "passphrase", "--identity", str(identity), "--new-passphrase-file", str(word)
    ).ended()
    assert changed.code == 0, changed.stderr
    limit = ("--epsilon", "20", "--delta", "1e-5", "--partner", str(scene.root / "shop" / "shop.crt"))
    given = ("--passphrase-file", str(word))
    assert scene.command("budget", "set", "--identity", str(identity), *limit, *given).ended().code == 0
    found = items(scene, *given)
    for name in ("legal", "retention", "budget", "key", "identity folder", "noise"):
        assert found[name]["ok"], found[name]
    assert "left after it: epsilon 12." in str(found["budget"]["text"])
    assert WORD not in json.dumps(found)


def test_a_run_prints_it_first_and_acts_on_the_retention(scene: Scene) -> None:
    with_legal(scene)
    word = scene.root / "word"
    word.write_text(WORD)
    word.chmod(0o600)
    for party in PARTIES:
        arguments = ("--identity", str(scene.root / party), "--new-passphrase-file", str(word))
        assert scene.command("party", "passphrase", *arguments).ended().code == 0
    ended = scene.pair("--json", environ={"CLEANROOM_PASSPHRASE_FILE": str(word)})
    assert [ended[party].code for party in PARTIES] == [0, 0], ended
    for end in ended.values():
        assert end.stderr.index("Checked before anything is sent") > end.stderr.index("What this cannot stop")
        assert "agreed retention: delete" in end.stderr
        facts = json.loads(end.stdout)
        assert {item["name"] for item in facts["checklist"]} >= {"agreement", "budget", "build"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", facts["delete_private_by"])
    seed = json.loads((scene.out("media") / "audit.private").read_text())["seed"].encode()
    folder = scene.root / "media"
    assert any(seed in path.read_bytes() for path in folder.iterdir())
    arguments = ("--identity", str(folder), "--passphrase-file", str(word), "--json")
    due = scene.command("budget", "prune", *arguments).ended()
    assert json.loads(due.stdout)["pruned"] == []  # thirty days have not passed
    spent = scene.command("budget", "show", *arguments).ended().stdout
    old = scene.command("budget", "prune", *arguments, "--before", "2999-01-01").ended()
    assert old.code == 0, old.stderr
    assert len(json.loads(old.stdout)["pruned"]) == 1
    assert not [path.name for path in folder.iterdir() if seed in path.read_bytes()]
    assert scene.command("budget", "show", *arguments).ended().stdout == spent


@pytest.mark.parametrize("command", ["run", "sign", "show"])
def test_a_missing_or_wrong_passphrase_is_one_line(scene: Scene, command: str) -> None:
    scene.agree()
    identity, word = scene.root / "media", scene.root / "word"
    word.write_text(WORD)
    word.chmod(0o600)
    arguments = ("--identity", str(identity), "--new-passphrase-file", str(word))
    assert scene.command("party", "passphrase", *arguments).ended().code == 0
    wrong = scene.root / "wrong"
    wrong.write_text("something else")
    wrong.chmod(0o600)
    for options, line in (((), "give its passphrase with"), (("--passphrase-file", str(wrong)), "passphrase is wrong")):
        if command == "run":
            ended = scene.start("media", "--connect", f"127.0.0.1:{free_port()}", *options).ended()
        elif command == "sign":
            agreement = str(scene.root / "agreement.toml")
            ended = scene.command("agreement", "sign", agreement, "--identity", str(identity), *options).ended()
        else:
            ended = scene.command("budget", "show", "--identity", str(identity), *options).ended()
        assert ended.code == 3
        assert line in ended.line


def test_a_passphrase_comes_from_a_descriptor_and_never_from_stdin(scene: Scene) -> None:
    arguments = ("party", "new", "desk", "--out", str(scene.root / "desk"), "--passphrase-file")
    reading, writing = os.pipe()
    os.write(writing, WORD.encode())
    os.close(writing)
    made = scene.command(*arguments, f"/dev/fd/{reading}", "--json", pass_fds=(reading,)).ended()
    os.close(reading)
    assert made.code == 0, made.stderr
    assert json.loads(made.stdout)["encrypted"] is True
    refused = scene.command(*arguments, "/dev/stdin").ended()
    assert refused.code == 2
    assert "never asked for" in refused.line


def test_the_page_explains_every_item(scene: Scene) -> None:
    page = (Path(__file__).parents[2] / PAGE).read_text()
    names = {name for name in items_of_source()}
    assert names
    for name in names:
        assert f"| {name} |" in page


def items_of_source() -> list[str]:
    source = (Path(__file__).parents[2] / "cleanroom" / "checklist.py").read_text()
    folders = re.findall(r'\("([a-z ]+)", (?:identity\.folder|parent)', source)
    return re.findall(r'name="([a-z ]+)"', source) + folders
