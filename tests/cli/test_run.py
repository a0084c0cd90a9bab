"""`cleanroom run`, whole: two processes over mutual TLS on loopback, and what they leave behind."""

from __future__ import annotations

import hashlib
import io
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from cleanroom.plan import plan_of
from cleanroom.protocols.session import seed_commitment
from tests.cli.plain import PlainAgreement, PlainMetric, plain_table, read_release, released_table
from tests.cli.world import GROUPS, MIN_PEOPLE, PARTIES, Ended, Scene, fixture_data

OWN_FILES = {"audit.private", "local.json", "transcript.jsonl"}
RELEASE_FILES = {"release.csv", "release.parquet", "release.json"}
METRICS = (
    PlainMetric(name="known", measure="matched"),
    PlainMetric(name="buyers_3d", measure="people", window=3),
    PlainMetric(name="orders_5d", measure="events", window=5, cap=3),
    PlainMetric(name="sales_5d", measure="sum", window=5, cap=15000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished pair."""

    scene: Scene
    ended: dict[str, Ended]
    noise: str
    profile: str


RUNS = {"none": "ecdh", "none-kkrt": "kkrt", "none-vole": "vole", "gaussian": "kkrt", "laplace": "ecdh"}
"""Noise, and the profile that runs it; without noise all must give the plain join."""


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, identities: Path) -> Iterator[Run]:
    scene = Scene.make(tmp_path_factory.mktemp(request.param), identities)
    noise = request.param.split("-")[0]
    scene.agree(noise=noise, profile=RUNS[request.param])
    # either side may listen: one noise runs the other way round
    ended = scene.pair(listener="shop" if noise == "laplace" else "media")
    yield Run(scene=scene, ended=ended, noise=noise, profile=RUNS[request.param])
    scene.stop_all()


def figures() -> dict[tuple[str, str], int | None]:
    """What the fixture's data say, by the plain join."""
    data = fixture_data()
    touches = pd.read_csv(io.StringIO(data["media"])).rename(columns={"user": "person", "campaign": "group"})
    orders = pd.read_csv(io.StringIO(data["shop"])).rename(columns={"buyer": "person"})
    for frame in (touches, orders):
        frame["time"] = pd.to_datetime(frame["at"])
    orders["units"] = (orders.paid * 100).round().astype(int)
    agreement = PlainAgreement(
        groups=GROUPS,
        metrics=METRICS,
        start=pd.Timestamp("2025-03-01", tz="UTC"),
        end=pd.Timestamp("2025-04-01", tz="UTC"),
        touches_start=pd.Timestamp("2025-03-01", tz="UTC"),
        touches_end=pd.Timestamp("2025-03-20", tz="UTC"),
        min_people=MIN_PEOPLE,
    )
    return plain_table(agreement, touches, orders, orders.person)


def test_both_sides_end_well_and_leave_the_files_that_are_named(run: Run) -> None:
    for party in PARTIES:
        assert run.ended[party].code == 0, run.ended[party].stderr
        assert run.scene.left(party) == OWN_FILES | RELEASE_FILES | {"report.html"}
        mode = stat.S_IMODE((run.scene.out(party) / "audit.private").stat().st_mode)
        assert mode == 0o600
        for folder in ("cwd", "tmp"):
            assert list((run.scene.root / f"{party}-{folder}").iterdir()) == []


def test_each_side_draws_a_seed_of_its_own_and_commits_to_it(run: Run) -> None:
    """A run from a seed that anybody could know hides nothing."""
    secrets = {party: json.loads((run.scene.out(party) / "audit.private").read_text()) for party in PARTIES}
    for one, two in (PARTIES, PARTIES[::-1]):
        assert secrets[one]["seed"] != secrets[two]["seed"]
        assert secrets[one]["nonce"] != secrets[two]["nonce"]
        assert len(set(bytes.fromhex(secrets[one]["seed"]))) > 8
        assert len(set(bytes.fromhex(secrets[one]["nonce"]))) > 8
        seen = json.loads((run.scene.out(two) / "local.json").read_text())["peer_seed_commitment"]
        assert seen == seed_commitment(bytes.fromhex(secrets[one]["seed"])).hex()


def test_the_release_is_the_same_on_both_sides(run: Run) -> None:
    one, two = (run.scene.out(party) for party in PARTIES)
    for name in RELEASE_FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    document = json.loads((one / "release.json").read_text())
    assert document["agreement"]["hash"] == run.scene.agreement().hash.hex()


def test_the_table_has_a_row_for_every_declared_cell_in_order(run: Run) -> None:
    release = read_release(run.scene.out("media") / "release.csv")
    assert list(release.columns) == ["group", "metric", "value", "std_error", "status"]
    cells = [(group, metric.name) for group in GROUPS for metric in METRICS]
    assert list(zip(release.group, release.metric, strict=True)) == cells
    parquet = pd.read_parquet(run.scene.out("shop") / "release.parquet")
    assert list(parquet.columns) == list(release.columns)
    assert list(parquet.status) == list(release.status)
    assert (release.std_error.astype(float) == 0).all() == (run.noise == "none")


def test_the_figures_are_the_plain_join_within_the_noise(run: Run) -> None:
    release = read_release(run.scene.out("shop") / "release.csv")
    found = released_table(release, sums=["sales_5d"])
    truth = figures()
    assert {value is None for value in truth.values()} == {True, False}
    assert truth["spring", "buyers_3d"] is None  # suppressed for its own people, not for the group's
    assert truth["spring", "orders_5d"] is not None
    if run.noise == "none":
        assert found == truth
        return
    errors = dict(zip(found, release.std_error.astype(float), strict=True))
    known = {cell for cell, value in found.items() if value is not None and truth[cell] is not None}
    assert ("summer", "known") in known
    drawn = noise_of(run.scene)
    assert all(drawn.values()), "each side drew some"
    for group, metric in known:
        value, exact = found[group, metric], truth[group, metric]
        assert value is not None and exact is not None
        noise = sum(side[group, metric] for side in drawn.values())
        assert value == exact + noise
        scale = 100 if metric == "sales_5d" else 1
        assert errors[group, metric] > 0
        assert abs(noise) <= 25 * errors[group, metric] * scale  # two Laplace tails: 5e-21, and eight errors are 1e-6


def noise_of(scene: Scene) -> dict[str, dict[tuple[str, str], int]]:
    """What each side put on each cell, as its private file says; nothing of a side that drew none at all."""
    columns = [column.name for column in plan_of(scene.agreement()).columns]
    found = {}
    for party in PARTIES:
        recorded = json.loads((scene.out(party) / "audit.private").read_text())["noise"]
        cells = {
            (group, column): int(value)
            for group, row in zip(GROUPS, recorded, strict=True)
            for column, value in zip(columns, row, strict=True)
        }
        found[party] = cells if any(cells.values()) else {}
    return found


def test_the_transcripts_are_equal_by_direction(run: Run) -> None:
    lines = {
        party: [json.loads(line) for line in (run.scene.out(party) / "transcript.jsonl").read_text().splitlines()]
        for party in PARTIES
    }
    assert len(lines["media"]) == len(lines["shop"]) > 30
    for here, there in (("sent", "received"), ("received", "sent")):
        mine, theirs = (
            [(line["step"], line["length"], line["sha256"]) for line in lines[party] if line["direction"] == direction]
            for party, direction in (("media", here), ("shop", there))
        )
        assert mine == theirs and len(mine) > 10
    assert any(line["step"].startswith("release.") for line in lines["media"])
    steps = [line["step"] for line in lines["media"] if "step" in line]
    first = {"ecdh": "oprf.blinded", "kkrt": "oprf.correction", "vole": "oprf.masked"}
    assert {profile for profile, step in first.items() if step in steps} == {run.profile}
    assert "signature" in lines["media"][-1]


def test_stdout_is_the_table_and_stderr_says_what_is_learned(run: Run) -> None:
    for party in PARTIES:
        assert run.ended[party].stdout.split()[:5] == ["group", "metric", "value", "std_error", "status"]
        assert "What you" in run.ended[party].stderr
        assert "oblivious PRF: " in run.ended[party].stderr


def test_only_recipients_get_the_release(scene: Scene) -> None:
    scene.agree(noise="gaussian", recipients='["media"]')
    ended = scene.pair()
    assert [ended[party].code for party in PARTIES] == [0, 0], ended
    assert scene.left("media") >= RELEASE_FILES
    assert scene.left("shop") - {"report.html"} == OWN_FILES
    assert ended["shop"].stdout == ""
    local = json.loads((scene.out("shop") / "local.json").read_text())
    assert {row["metric"] for row in local["suppression"]} == {metric.name for metric in METRICS}
    assert all("value" not in row for row in local["suppression"])


def test_an_exact_repeat_returns_the_stored_release_and_spends_nothing(scene: Scene) -> None:
    scene.agree(noise="gaussian")
    first = scene.pair()
    assert [first[party].code for party in PARTIES] == [0, 0], first
    shown = scene.command("budget", "show", "--identity", str(scene.root / "media"), "--json").ended()
    (partner,) = json.loads(shown.stdout)["partners"]
    assert (partner["name"], partner["epsilon"], partner["runs"]) == ("shop", "8.0", 1)
    kept = {
        party: {entry.name: hashlib.sha256(entry.read_bytes()).digest() for entry in scene.out(party).iterdir()}
        for party in PARTIES
    }
    for party in PARTIES:
        scene.out(party).rename(scene.root / f"{party}-first")
    second = scene.pair("--json")
    assert [second[party].code for party in PARTIES] == [0, 0], second
    for party in PARTIES:
        assert json.loads(second[party].stdout)["repeated"] is True
        again = {entry.name: hashlib.sha256(entry.read_bytes()).digest() for entry in scene.out(party).iterdir()}
        assert again == kept[party]
    after = scene.command("budget", "show", "--identity", str(scene.root / "media"), "--json").ended()
    assert json.loads(after.stdout) == json.loads(shown.stdout)


def test_changed_data_is_a_new_run_that_is_charged_again(scene: Scene) -> None:
    scene.agree(noise="gaussian")
    assert [ended.code for ended in scene.pair().values()] == [0, 0]
    for party in PARTIES:
        scene.out(party).rename(scene.root / f"{party}-first")
    source = scene.root / "orders.csv"
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:-1]))
    ended = scene.pair("--json")
    assert [ended[party].code for party in PARTIES] == [0, 0], ended
    assert json.loads(ended["media"].stdout)["repeated"] is False
    shown = scene.command("budget", "show", "--identity", str(scene.root / "shop"), "--json").ended()
    (partner,) = json.loads(shown.stdout)["partners"]
    assert (partner["epsilon"], partner["runs"]) == ("16.0", 2)
    for party in PARTIES:
        first, second = (
            json.loads((folder / "audit.private").read_text())
            for folder in (scene.root / f"{party}-first", scene.out(party))
        )
        for secret in ("seed", "nonce", "noise", "session"):
            assert first[secret] != second[secret], secret
