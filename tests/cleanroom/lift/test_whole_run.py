"""Lift after whole runs: both sides over the protocol on a simulated world; equal to pandas, near the truth."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import cleanroom
from cleanroom.cli.report import command as report_command
from cleanroom.lift import LiftStatus
from cleanroom.report import RunFiles, lift_of
from cleanroom.simulate import Parameters, Simulated, simulate

PEOPLE = 3000
WINDOW = 15
CAP = {"orders": 3, "gmv": 2000.0}
DESIGNS = {
    "assigned": 'design = "randomised"',
    "matched": 'design = "randomised"\ndenominator = "matched"',
    "pre_period": 'design = "pre_period"',
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(Parameters(people=PEOPLE, seed=5, campaigns=3), tmp_path_factory.mktemp("lift") / "world")


@pytest.fixture(scope="module")
def clear(world: Simulated) -> pd.DataFrame:
    """A row for each matched person and arm, with orders and money after and before; pandas alone."""
    touches = pd.read_parquet(world.own("media") / "touches.parquet")
    outcomes = pd.read_parquet(world.own("shop") / "outcomes.parquet")
    for table in (touches, outcomes):
        table["id"] = table["id"].str.strip()
        table["day"] = table["time"].dt.tz_convert("Asia/Shanghai").dt.tz_localize(None).dt.normalize()
    usable = ~outcomes["id"].isin(["", "null"]) & outcomes["id"].notna()
    outcomes = outcomes[usable]
    assigned = touches[(touches["event"] == "assigned") & touches["id"].isin(set(outcomes["id"]))]
    arms = assigned.groupby(["id", "campaign_arm"], as_index=False)["day"].min()
    orders = outcomes[outcomes["event"] == "order"].groupby(["id", "event_id"], as_index=False)
    orders = orders.agg(day=("day", "min"), amount=("amount", lambda lines: float(sum(lines))))
    both = arms.merge(orders, on="id", how="left", suffixes=("", "_order"))
    days = (both["day_order"] - both["day"]).dt.days
    for side, inside in (("after", (days >= 0) & (days < WINDOW)), ("before", (days < 0) & (days >= -WINDOW))):
        both[f"orders_{side}"] = inside.astype(float)
        both[f"gmv_{side}"] = both["amount"].fillna(0.0) * inside
    sums = both.groupby(["id", "campaign_arm"], as_index=False)[
        ["orders_after", "orders_before", "gmv_after", "gmv_before"]
    ].sum()
    for side in ("after", "before"):
        sums[f"buyers_{side}"] = (sums[f"orders_{side}"] > 0).astype(float)
        for name, cap in CAP.items():
            sums[f"{name}_{side}"] = sums[f"{name}_{side}"].clip(upper=cap)
    return pd.DataFrame(sums)


def run_files(world: Simulated, folder: Path, design: str) -> dict[str, bytes]:
    """Both sides' run of the world's own agreement with a lift and without noise; the files of one."""
    text = world.agreement.read_text(encoding="utf-8")
    for old, new in (
        ('noise = "gaussian"\nepsilon = 2.0\ndelta = 1e-6\nmin_people = 50', 'noise = "none"\nmin_people = 5'),
        ('[[metrics]]\nname = "matched"\nmeasure = "matched"\n', ""),
        ("max_groups_per_person = 2", "max_groups_per_person = 4"),  # some identifiers are of several people
        ("[protocol]", f"{table(design)}\n[protocol]"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "agreement.toml"
    path.write_text(text, encoding="utf-8")
    for party in ("media", "shop"):
        (folder / f"{party}.crt").write_bytes((world.folder / f"{party}.crt").read_bytes())
    agreement = cleanroom.load_agreement(path)
    identities = {}
    for party in ("media", "shop"):
        own = cleanroom.load_identity(world.identity(party))
        (folder / party).mkdir()
        for file in world.identity(party).glob("*.[kc][er][yt]"):
            (folder / party / file.name).write_bytes(file.read_bytes())
            (folder / party / file.name).chmod(0o600)
        cleanroom.sign_agreement(path, agreement, own)
        identities[party] = cleanroom.load_identity(folder / party)
    links = dict(zip(("media", "shop"), cleanroom.memory_links(), strict=True))

    def run_side(party: str) -> cleanroom.Finished:
        side = cleanroom.side_of(path, party=party, identity=identities[party])
        return cleanroom.run(side, cleanroom.load_binding(world.binding(party)), links[party])

    with ThreadPoolExecutor(max_workers=2) as threads:
        media, shop = threads.map(run_side, ("media", "shop"))
    assert media.files["release.json"] == shop.files["release.json"]
    return dict(media.files)


def table(design: str) -> str:
    share = "test_share = 0.5\n" if design == "assigned" else ""
    comparisons = "".join(
        f'[[lift.comparisons]]\nname = "{name}"\ntest = ["{name}/test"]\ncontrol = ["{name}/control"]\n{share}'
        for name in ("c01", "c02")
    )
    return f'[lift]\n{DESIGNS[design]}\nmetrics = ["buyers_15d", "orders_15d", "gmv_15d"]\n{comparisons}'


@pytest.mark.parametrize("design", DESIGNS)
def test_without_noise_a_lift_is_that_of_pandas(
    world: Simulated, clear: pd.DataFrame, tmp_path: Path, design: str
) -> None:
    files = run_files(world, tmp_path, design)
    rows = lift_of(RunFiles.of(files))
    assert [(row.comparison, row.metric) for row in rows] == [
        (name, f"{metric}_15d") for name in ("c01", "c02") for metric in ("buyers", "orders", "gmv")
    ]
    for row in rows:
        assert row.status is LiftStatus.ESTIMATED, row.note
        metric = row.metric.removesuffix("_15d")
        arms = {arm: clear[clear["campaign_arm"] == f"{row.comparison}/{arm}"] for arm in ("test", "control")}
        after = {arm: people[f"{metric}_after"] for arm, people in arms.items()}
        if design == "assigned":
            incremental = after["test"].sum() - after["control"].sum()
            error = math.sqrt(sum((values**2).sum() for values in after.values()))
            relative = after["test"].sum() / after["control"].sum() - 1
        else:
            value = {
                arm: values - arms[arm][f"{metric}_before"] if design == "pre_period" else values
                for arm, values in after.items()
            }
            count = len(value["test"])
            incremental = count * (value["test"].mean() - value["control"].mean())
            error = count * math.sqrt(sum(values.var() / len(values) for values in value.values()))
            relative = after["test"].sum() / (after["test"].sum() - incremental) - 1
            assert row.test_people == count
        assert row.test_total == pytest.approx(after["test"].sum(), rel=1e-9)
        assert row.incremental == pytest.approx(incremental, rel=1e-9)
        assert row.std_error == pytest.approx(error, rel=1e-9)
        assert row.noise_error == 0.0
        assert row.relative == pytest.approx(relative, rel=1e-9)
    if design == "assigned":
        folder = tmp_path / "run"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        done = CliRunner().invoke(report_command, [str(folder), "--out", str(tmp_path / "r.html"), "--json"])
        assert done.exit_code == 0, done.output
        (told,) = json.loads(done.stdout)["lift"]
        expected: list[dict[str, Any]] = [row.as_json() for row in rows]
        assert told["rows"] == expected
        assert told["session"] == RunFiles.of(files).session
