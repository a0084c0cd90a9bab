"""`cleanroom data check`: what a run would say and cost, before there is one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cleanroom.agreement import Role
from cleanroom.check import check_data
from cleanroom.cli.data import _tree_lines
from cleanroom.data import load_binding
from cleanroom.drive import silent
from tests.cli.world import PARTIES, Ended, Scene


@pytest.fixture
def scene(tmp_path: Path, identities: Path) -> Scene:
    return Scene.make(tmp_path, identities)


def check(scene: Scene, party: str, *options: str) -> Ended:
    """Runs the check as a process in an empty folder, and sees that it leaves nothing behind."""
    before = {path for path in scene.root.rglob("*")}
    ended = scene.command(
        *("data", "check", "--agreement", str(scene.root / "agreement.toml")),
        *("--party", party, "--data", str(scene.root / f"{party}.toml"), *options),
        party=party,
    ).ended()
    assert {path for path in scene.root.rglob("*")} == before
    return ended


def facts(scene: Scene, party: str, code: int = 0) -> dict[str, Any]:
    """The check's JSON; Any: JSON."""
    ended = check(scene, party, "--json")
    assert ended.code == code, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found["version"] == 1
    return found


def test_an_unsigned_agreement_is_checked_without_an_identity(scene: Scene) -> None:
    scene.agree(signers=())
    for party in PARTIES:
        found = facts(scene, party)
        assert (found["party"], found["invalid_share"], found["max_invalid"]) == (party, 0, 0.01)
        assert sum(value for name, value in found["source"].items() if name != "rows") == found["source"]["rows"]
        assert found["trees"][0]["tree"] == [1]
        assert all(entry["fits"] == (entry["rows"] <= found["max_rows"]) for entry in found["trees"])
        assert len({tuple(entry["tree"]) for entry in found["trees"]}) == len(found["trees"]) >= 2
        proposals = sorted(entry["proposal"] for entry in found["trees"] if entry["proposal"] is not None)
        assert proposals == list(range(1, len(proposals) + 1)) and proposals
        for entry in found["trees"]:
            assert entry["bound"] == 1 << (max(entry["rows"], 1) - 1).bit_length()
            assert entry["seconds"] > 0 and entry["partner_rows"] > 0 and entry["run_bytes"] > 0


def test_trees_that_the_partner_proposes_are_counted_too(scene: Scene) -> None:
    path = scene.agree(signers=(), rows_exposure="4096", rows_outcome="4096")
    asked = ((1, 11), (1, 2, 8, 24))
    options = [word for tree in asked for word in ("--tree", ",".join(map(str, tree)))]
    for party in PARTIES:
        ended = check(scene, party, "--json", *options)
        assert ended.code == 0, ended.stderr
        listed = {tuple(entry["tree"]): entry["rows"] for entry in json.loads(ended.stdout)["trees"]}
        assert tuple(listed)[-2:] == asked
        text = check(scene, party, *options).stdout
        assert "[1, 11]: fits" in text and "proposal 1" in text
        before = path.read_text()
        for tree in asked:  # written into the agreement, each needs as many rows as was said
            path.write_text(before.replace('resolution = "1d"', f'resolution = "1d"\ntree = {list(tree)}'))
            found = facts(scene, party)
            assert tuple(found["trees"][0]["tree"]) == tree
            rows = found["preparation"]["lookups" if party == "media" else "rows"]
            assert rows == found["trees"][0]["rows"] == listed[tree]
        path.write_text(before)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("2,4", "expected a chain that begins with 1"),
        ("1,6,20", "expected a chain of divisors, found 20 after 6"),
        ("1,x", "expected sizes with commas"),
        ("", "expected sizes with commas"),
        ("1,99999999999", "expected sizes up to"),
    ],
)
def test_what_is_no_tree_is_a_fault_of_usage(scene: Scene, words: str, line: str) -> None:
    scene.agree(signers=())
    ended = check(scene, "media", "--tree", words)
    assert ended.code == 2
    assert ended.line.startswith("--tree: ") and line in ended.line


@pytest.mark.parametrize(("noise", "recipients"), [("gaussian", '["media", "shop"]'), ("none", '["shop"]')])
def test_counts_and_bytes_are_those_of_the_run(scene: Scene, noise: str, recipients: str) -> None:
    scene.agree(noise=noise, recipients=recipients)
    said = {party: facts(scene, party) for party in PARTIES}
    ended = scene.pair()
    assert {end.code for end in ended.values()} == {0}, [end.stderr for end in ended.values()]
    for party in PARTIES:
        counts = json.loads((scene.out(party) / "local.json").read_text())["counts"]
        assert counts == {"source": said[party]["source"], "preparation": said[party]["preparation"]}
        rows = "lookups" if party == "media" else "rows"
        assert said[party]["trees"][0]["rows"] == counts["preparation"][rows]
        lines = [json.loads(line) for line in (scene.out(party) / "transcript.jsonl").read_text().splitlines()]
        messages = [line for line in lines if "direction" in line]
        most, run = 0, said[party]["run"]
        for direction in ("sent", "received"):
            lengths = [line["length"] for line in messages if line["direction"] == direction]
            assert len(lengths) == run[f"messages_{direction}"]
            cells = [
                line["length"]
                for line in messages
                if line["direction"] == direction and line["step"] == "release.cells"
            ]
            most += run[f"bytes_{direction}"] - sum(lengths)
            # every figure that is suppressed saves its opening
            assert (run[f"bytes_{direction}"] - sum(lengths)) % 40 == 0
            assert (run[f"bytes_{direction}"] == sum(lengths)) == (not cells)
        assert most > 0
        steps = {step: 0 for step in run["bytes_by_step"]}
        for line in messages:
            family = line["step"].partition(".")[0]
            steps["ot" if family == "base_ot" else family] += line["length"]
        for step, length in steps.items():
            assert step == "release" or length == run["bytes_by_step"][step], step


def more_rows_than_agreed(scene: Scene, party: str) -> None:
    scene.agree(rows_exposure="100", rows_outcome="100")


def time_that_is_none(scene: Scene, party: str) -> None:
    scene.agree()
    path = scene.root / ("touches.csv" if party == "media" else "orders.csv")
    path.write_text(path.read_text().replace("2025-03-0", "yesterday-", 1))


def too_many_invalid(scene: Scene, party: str) -> None:
    scene.agree()
    path = scene.root / ("touches.csv" if party == "media" else "orders.csv")
    path.write_text(re.sub(r"\nu01[0-9]{2},", "\n,", path.read_text()))


def no_source(scene: Scene, party: str) -> None:
    scene.agree()
    (scene.root / ("touches.csv" if party == "media" else "orders.csv")).unlink()


@pytest.mark.parametrize("party", PARTIES)
@pytest.mark.parametrize("spoil", [more_rows_than_agreed, too_many_invalid, time_that_is_none, no_source])
def test_the_complaint_is_the_run_s(scene: Scene, party: str, spoil: Callable[[Scene, str], None]) -> None:
    spoil(scene, party)
    checked = check(scene, party)
    run = scene.start(party, "--connect", "127.0.0.1:1").ended()
    assert checked.code == run.code == 4
    assert checked.line == run.line
    assert ("malformed identifiers" in checked.line) == (spoil is too_many_invalid)
    if spoil is more_rows_than_agreed:
        assert "does not fit, the agreement's" in checked.stdout and "proposal 1" in checked.stdout
        found = facts(scene, party, code=4)
        assert (found["error"], found["exit_code"], found["preparation"]) == (checked.line, 4, None)
        assert found["trees"][0]["fits"] is False


def test_with_instants_the_tree_is_unused(scene: Scene) -> None:
    path = scene.agree(signers=())
    path.write_text(path.read_text().replace('anchor = "', 'instants = [2025-03-02T00:00:00Z]\nanchor = "'))
    found = facts(scene, "media")
    assert found["tree_unused"] is True
    assert [entry["tree"] for entry in found["trees"]] == [[1]]
    assert "time.tree is unused" in check(scene, "media").stdout
    ended = check(scene, "media", "--tree", "1,2")
    assert (ended.code, ended.line) == (2, "--tree: this agreement does not use time.tree")


def test_a_bound_that_no_agreement_allows_is_said_to_be_whose_it_is(scene: Scene) -> None:
    scene.agree(signers=(), rows_exposure=str(1 << 24))
    (line,) = [line for line in check(scene, "shop", "--tree", "1,2").stdout.splitlines() if "[1, 2]: " in line]
    assert "[1, 2]: fits, " in line
    assert line.endswith(", the partner's bound, by the model, is more than an agreement allows")
    assert line.split()[3:5] == ["-", "-"]


def test_an_own_bound_that_no_agreement_allows_does_not_fit(scene: Scene) -> None:
    scene.agree(signers=())
    agreement, binding = scene.agreement(), load_binding(scene.root / "media.toml")
    checked = check_data(agreement, role=Role.EXPOSURE, binding=binding, progress=silent)
    much = replace(
        checked.trees[0], rows=(1 << 24) + 1, bound=1 << 25, fits=False, partner_rows=1 << 25,
        run_seconds=None, run_bytes=None, proposal=None,
    )  # fmt: skip
    line = _tree_lines(agreement, replace(checked, trees=(much,)))[2]
    assert line.endswith(": does not fit, the agreement's, this side's bound is more than an agreement allows")


def test_a_party_that_the_agreement_does_not_name(scene: Scene) -> None:
    scene.agree(signers=())
    scene.root.joinpath("else.toml").write_text("")
    ended = scene.command(
        *("data", "check", "--agreement", str(scene.root / "agreement.toml")),
        *("--party", "else", "--data", str(scene.root / "else.toml")),
    ).ended()
    assert ended.code == 2
    assert ended.line == "--party: the agreement's parties are media and shop"


def test_the_text_says_what_people_ask(scene: Scene) -> None:
    scene.agree(signers=())
    text = check(scene, "media").stdout
    for part in ("invalid identifiers: 0.000%", "the agreement's", "throw-away key", "an estimate", "bytes sent in"):
        assert part in text
    assert "equal to another row" in text
    outcome = check(scene, "shop").stdout
    assert "throw-away key" not in outcome
    assert "merged into an event with the same event id, their amounts added up" in outcome
    assert "equal to another row" not in outcome
