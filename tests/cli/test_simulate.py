"""`cleanroom simulate`, and what the product makes of a world as it is: accepted, run, and equal to the plain join."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from cleanroom.agreement import load_agreement, sign_agreement
from cleanroom.identity import load_identity
from tests.cli.plain import PlainAgreement, PlainMetric, plain_table, read_release, released_table
from tests.cli.world import PARTIES, Ended, Scene

STAGES = {"searchers": "search", "visitors": "visit", "carts": "add_to_cart", "buyers": "order"}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    for party in PARTIES:
        for folder in ("cwd", "tmp"):
            (tmp_path / f"{party}-{folder}").mkdir()
    made = Scene(root=tmp_path)
    yield made
    made.stop_all()


def simulated(scene: Scene, *options: str, people: int = 1500) -> Ended:
    arguments = ("--people", str(people), "--seed", "12", "--out", str(scene.root / "world"), *options)
    return scene.command("simulate", *arguments).ended()


def checked(scene: Scene, party: str, agreement: str = "agreement.toml", binding: str = "binding.toml") -> Ended:
    world = scene.root / "world"
    return scene.command(
        *("data", "check", "--agreement", str(world / agreement), "--party", party, "--json"),
        *("--data", str(world / party / binding)),
    ).ended()


@pytest.mark.parametrize("match", ["id", "phone", "phone_md5", "email"])
def test_the_data_check_accepts_a_world(scene: Scene, match: str) -> None:
    ended = simulated(scene, "--match", match, "--json")
    assert ended.code == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["parameters"]["match"] == match
    for party, rows in zip(PARTIES, (said["touches"], said["outcomes"]), strict=True):
        found = checked(scene, party)
        assert found.code == 0, found.stderr
        facts = json.loads(found.stdout)
        assert facts["source"]["rows"] == rows
        assert facts["trees"][0]["fits"] is True
        assert facts["source"]["kept"] > 0


def test_the_full_agreement_asks_for_lists_that_are_there(scene: Scene) -> None:
    assert simulated(scene, "--sample", "0.5").code == 0
    with (scene.root / "world" / "media" / "campaigns.csv").open(encoding="utf-8") as lines:
        campaigns = list(csv.DictReader(lines))
    failing = [row["campaign_id"] for row in campaigns if row["verified"] != "true" or int(row["account_notes"]) < 20]
    assert 0 < len(failing) < len(campaigns)
    manifest = scene.root / "world" / "shop" / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    busy = next(place for place, line in enumerate(lines) if line.endswith(tuple("123456789")))
    lines[busy] += "00"  # a hundred times what was delivered
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for party, verdict, shut in (("media", "complete", failing), ("shop", "failure", [])):
        found = checked(scene, party, "full.toml", "full-binding.toml")
        assert found.code == 0, found.stderr
        facts = json.loads(found.stdout)
        assert facts["completeness"]["verdict"] == verdict
        assert facts["not_eligible"] == shut
        assert facts["trees"][0]["fits"] is True
        assert len(facts["identifiers"]) == 7


def test_an_agreement_without_faults_or_warnings(scene: Scene) -> None:
    assert simulated(scene, "--days", "60", "--campaigns", "7").code == 0
    path = scene.root / "world" / "agreement.toml"
    checked = scene.command("agreement", "check", str(path)).ended()
    assert (checked.code, checked.stderr) == (0, "")


def test_wrong_options_are_usage_and_make_nothing(scene: Scene) -> None:
    for options in (
        ("--effect", "0.6"),
        ("--effect", "much"),
        ("--overlap", "2"),
        ("--tags", "201"),
        ("--campaigns", "0"),
        ("--dirt", "0.5"),
        ("--match", "imei"),
        ("--days", "3"),
    ):
        ended = simulated(scene, *options)
        assert ended.code == 2, options
        assert options[0].lstrip("-") in ended.line
        assert not (scene.root / "world").exists()


def test_a_folder_that_holds_something_is_left_alone(scene: Scene) -> None:
    world = scene.root / "world"
    world.mkdir()
    (world / "mine").write_text("x")
    ended = simulated(scene)
    assert ended.code == 2
    assert "this one holds something" in ended.line
    assert [entry.name for entry in world.iterdir()] == ["mine"]


def identifiers(values: pd.Series) -> pd.Series:
    """The form that both sides share of an `id`, or null."""
    trimmed = values.str.strip()
    return trimmed.mask(trimmed.isin(["", "null"]))


def test_a_run_without_noise_is_the_plain_join(scene: Scene) -> None:
    assert simulated(scene, "--effect", "0.1", people=4000).code == 0
    world, root = scene.root / "world", scene.root
    text = (world / "agreement.toml").read_text()
    text = text.replace('noise = "gaussian"', 'noise = "none"').replace(
        "max_groups_per_person = 4", "max_groups_per_person = 8"
    )
    path = root / "agreement.toml"
    path.write_text(text)
    for party in PARTIES:
        shutil.copy(world / f"{party}.crt", root)
        shutil.copytree(world / party / "identity", root / party)
        binding = (world / party / "binding.toml").read_text()
        (root / f"{party}.toml").write_text(binding.replace('path = "', f'path = "world/{party}/'))
    for party in PARTIES:
        sign_agreement(path, load_agreement(path), load_identity(root / party))
    ended = scene.pair()
    assert [end.code for end in ended.values()] == [0, 0], [end.stderr for end in ended.values()]

    agreement = load_agreement(path)
    touches = pd.read_parquet(world / "media" / "touches.parquet")
    touches = touches[touches.event == "assigned"]
    touches = touches.assign(person=identifiers(touches.id), group=touches.campaign_arm).dropna(subset="person")
    lines = pd.read_parquet(world / "shop" / "outcomes.parquet")
    lines = lines.assign(person=identifiers(lines.id), units=(lines.amount.astype(float) * 100).round())
    members = lines.person.dropna().unique()
    events = lines.groupby(["person", "event", "event_id"], as_index=False).agg(
        time=("time", "min"), units=("units", "sum")
    )
    events["units"] = events.units.astype("int64")
    truth: dict[tuple[str, str], int | None] = {}
    for event in STAGES.values():
        metrics = [PlainMetric(name="matched", measure="matched")]
        metrics += [
            PlainMetric(name=f"{name}_15d", measure="people", window=15) for name, of in STAGES.items() if of == event
        ]
        if event == "order":
            metrics.append(PlainMetric(name="orders_15d", measure="events", window=15, cap=3))
            metrics.append(PlainMetric(name="gmv_15d", measure="sum", window=15, cap=200_000))
        plain = PlainAgreement(
            groups=agreement.exposure.groups,
            metrics=tuple(metrics),
            start=pd.Timestamp(agreement.time.start),
            end=pd.Timestamp(agreement.time.end),
            touches_start=pd.Timestamp(agreement.time.start),
            touches_end=pd.Timestamp(agreement.time.end),
            zone="Asia/Shanghai",
            min_people=50,
        )
        truth |= plain_table(plain, touches, events[events.event == event], members)
    released = released_table(read_release(scene.out("media") / "release.csv"), sums=["gmv_15d"])
    assert released == truth
    assert sum(value is not None and value > 0 for value in truth.values()) > 40
    # What the campaign adds is in the difference of its arms.
    effects = pd.read_parquet(world / "truth.parquet")
    strong = effects[(effects.campaign_id == "c02") & (effects.event == "order") & (effects.window_days == 15)]
    assert (truth["c02/test", "buyers_15d"] or 0) > (truth["c02/control", "buyers_15d"] or 0)
    assert strong[(strong.arm == "test") & (strong.measure == "people")].incremental.item() > 20
