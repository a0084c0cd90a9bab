"""A run is killed, told to stop, or cut off at every point that it passes; then it is run again.

Whatever happens where: the side that is left ends with exit code 5 and leaves only its reason; a side is charged
exactly when its opening could have begun; the next start removes what was left; the next run works.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.test_faults import checked
from tests.cli.world import PARTIES, Ended, Scene
from tests.cli.zygote import Forked, Zygote
from tests.ports import free_port


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as process:
        yield process


def charges(scene: Scene, party: str) -> int:
    """What the ledger holds, read by other means than the product's."""
    path = scene.root / party / "ledger.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute("SELECT count(*) FROM charges").fetchone()
        return int(count)


def begin(
    zygote: Zygote, scene: Scene, act: dict[str, tuple[str, str]] | None = None, listener: str = "media"
) -> dict[str, Forked]:
    """Starts both sides; `act` says for a party what happens to it, and at which point."""
    address = f"127.0.0.1:{free_port()}"
    started = {}
    for party in PARTIES:
        what, at = (act or {}).get(party, ("", ""))
        way = "--listen" if party == listener else "--connect"
        started[party] = zygote.start(scene, party, way, address, "--connect-timeout", "20", act=what, at=at)
    return started


def run_again(zygote: Zygote, scene: Scene) -> None:
    """The next run works, and leaves nothing but a finished run's files."""
    for party in PARTIES:
        if scene.left(party) - {"failure.json"}:
            shutil.rmtree(scene.out(party))
    ended = {party: forked.ended() for party, forked in begin(zygote, scene).items()}
    assert [end.code for end in ended.values()] == [0, 0], ended
    for party in PARTIES:
        assert "release.csv" in scene.left(party) and "failure.json" not in scene.left(party)
        assert_clean(scene, party)
    assert (scene.out("media") / "release.csv").read_bytes() == (scene.out("shop") / "release.csv").read_bytes()


def assert_clean(scene: Scene, party: str) -> None:
    """Nothing hidden beside the out folders or in them, nothing in the temporary and the current folder."""
    hidden = [path.name for folder in (scene.root, scene.out(party)) if folder.exists() for path in folder.glob(".*")]
    assert hidden == []
    for folder in ("cwd", "tmp"):
        assert list((scene.root / f"{party}-{folder}").iterdir()) == []
    identity = {path.name for path in (scene.root / party).iterdir()}
    assert identity <= {f"{party}.key", f"{party}.crt", "ledger.sqlite"}


def assert_charged_before_opening(forked: Forked, added: int) -> None:
    """Charged once, and before the first message of the opening; or not, and no such message was sent."""
    points = forked.points()
    assert added == points.count("ledger.charge after") <= 1, points[-3:]
    opened = [at for at, point in enumerate(points) if point.endswith("of the opening")]
    if added == 0:
        assert not opened and "ledger.store before" not in points
    elif opened:
        assert points.index("ledger.charge after") < opened[0]


def sends(points: list[str]) -> list[int]:
    return [at for at, point in enumerate(points) if point.startswith("send ")]


def walk_in_lanes(
    zygote: Zygote,
    scenes: list[Scene],
    victim: str,
    listener: str,
    what: str,
    points: list[str],
    last: int,
) -> None:
    """As `walk`, in several scenes at once, each with its share of the points."""
    with ThreadPoolExecutor(len(scenes)) as pool:
        lanes = [
            pool.submit(walk, zygote, scene, victim, listener, what, points[number :: len(scenes)], last)
            for number, scene in enumerate(scenes)
        ]
        for lane in lanes:
            lane.result()
    run_again(zygote, scenes[0])


def walk(zygote: Zygote, scene: Scene, victim: str, listener: str, what: str, points: list[str], last: int) -> None:
    """Lets the same thing happen to one side at point after point, in one scene: each run is the next one of the last.

    Args:
        zygote: starts the processes.
        scene: of all these runs.
        victim: the side to which it happens.
        listener: the side that listens.
        what: an act of the zygote.
        points: where, in the order of a run.
        last: how many of a whole run's points come before this side's last message.
    """
    other = next(party for party in PARTIES if party != victim)
    for point in points:
        before = {party: charges(scene, party) for party in PARTIES}
        started = begin(zygote, scene, {victim: (what, point)}, listener)
        ended = {party: forked.ended() for party, forked in started.items()}
        passed = started[victim].points()
        assert passed.count(point) == 1 or what == "gone", (point, ended)
        for party in PARTIES:
            assert_charged_before_opening(started[party], charges(scene, party) - before[party])
        judge(scene, victim, other, what, ended, point, complete=len(passed) > last)
        for party in PARTIES:
            if scene.left(party) - {"failure.json"}:
                shutil.rmtree(scene.out(party))


def judge(
    scene: Scene, victim: str, other: str, what: str, ended: dict[str, Ended], point: str, *, complete: bool
) -> None:
    """Checks how both sides ended; `complete` says that the other side had all that it needs."""
    if what == "kill":
        assert ended[victim].code == -9, (point, ended[victim].stderr)
        assert not scene.left(victim) - {"failure.json"}, point
    elif what == "gone":
        assert ended[victim].code == 0 or checked(scene, victim, 5, ended[victim]), point
    else:
        assert checked(scene, victim, 1, ended[victim]) == "interrupted", point
    if ended[other].code == 0:
        assert complete, (point, ended)
        assert_clean(scene, other)
    else:
        line = checked(scene, other, 5, ended[other])
        assert "bug" not in line and ("peer" in line or "nobody listens" in line), (point, line)


def passed_points(zygote: Zygote, identities: Path, folder: Path, **agreement: str) -> dict[str, list[str]]:
    """The points of an undisturbed run of each side."""
    folder.mkdir()
    scene = Scene.make(folder, identities)
    scene.agree(**agreement)
    started = begin(zygote, scene)
    assert [forked.ended().code for forked in started.values()] == [0, 0]
    return {party: forked.points() for party, forked in started.items()}


def scenes_of(identities: Path, folder: Path, count: int, **agreement: str) -> list[Scene]:
    scenes = []
    for number in range(count):
        (folder / f"lane-{number}" / "scene").mkdir(parents=True)
        scenes.append(Scene.make(folder / f"lane-{number}" / "scene", identities))
        scenes[-1].agree(**agreement)
    return scenes


@pytest.mark.parametrize(
    ("profile", "victim", "listener", "every"),
    [
        ("kkrt", "media", "media", 1),
        ("kkrt", "shop", "media", 1),
        ("kkrt", "media", "shop", 6),
        pytest.param("ecdh", "media", "media", 3, marks=pytest.mark.slow),
        pytest.param("ecdh", "shop", "shop", 3, marks=pytest.mark.slow),
    ],
)
def test_a_side_that_is_killed_at_any_message(
    zygote: Zygote, identities: Path, tmp_path: Path, profile: str, victim: str, listener: str, every: int
) -> None:
    agreement = {"noise": "gaussian", "profile": profile}
    points = passed_points(zygote, identities, tmp_path / "whole", **agreement)[victim]
    walked = points[: points.index("ledger.store before") : every]
    scenes = scenes_of(identities, tmp_path, 3, **agreement)
    walk_in_lanes(zygote, scenes, victim, listener, "kill", walked, sends(points)[-1])


@pytest.mark.parametrize(("what", "every"), [("gone", 4), ("term", 5), ("int", 9)])
@pytest.mark.parametrize("victim", PARTIES)
def test_a_side_that_is_told_to_stop_or_cut_off_at_any_step(
    zygote: Zygote, identities: Path, tmp_path: Path, what: str, every: int, victim: str
) -> None:
    agreement = {"noise": "gaussian", "profile": "kkrt"}
    points = passed_points(zygote, identities, tmp_path / "whole", **agreement)[victim]
    walked = points[: points.index("ledger.store before")]
    if what == "gone":
        walked = [point for point in walked if point.startswith(("send", "take"))]
    scenes = scenes_of(identities, tmp_path, 3, **agreement)
    walk_in_lanes(zygote, scenes, victim, "media", what, walked[every - 1 :: every], sends(points)[-1])


@pytest.mark.parametrize("victim", PARTIES)
def test_a_side_that_is_killed_when_it_keeps_what_was_released(
    zygote: Zygote, identities: Path, tmp_path: Path, victim: str
) -> None:
    """The other side has its release. Until the ledger holds this side's, the next run is a new one; then a repeat."""
    agreement = {"noise": "gaussian", "profile": "kkrt"}
    points = passed_points(zygote, identities, tmp_path / "whole", **agreement)[victim]
    late = points[points.index("ledger.store before") :]
    assert len(late) > 9 and late[-1].startswith("rename")
    late = [*late[:4:2], late[-2], late[-1]] if victim == "media" else [*late[1:3], late[-3]]
    other = next(party for party in PARTIES if party != victim)
    for number, point in enumerate(late):
        (tmp_path / f"{number}").mkdir()
        scene = Scene.make(tmp_path / f"{number}", identities)
        scene.agree(**agreement)
        ended = {p: forked.ended() for p, forked in begin(zygote, scene, {victim: ("kill", point)}).items()}
        assert (ended[victim].code, ended[other].code) == (-9, 0), point
        finished = point == "rename .media-out.partial after"
        assert not scene.left(victim) or finished, point
        if list(scene.root.glob(".*")):  # if the other side, which writes beside it, has not removed it already
            assert point.startswith(("write", "rename")) and not finished, point
        run_again(zygote, scene)
        repeated = point != "ledger.store before"
        assert [charges(scene, party) for party in PARTIES] == ([1, 1] if repeated else [2, 2]), point
        if number > 0:
            continue
        run_again(zygote, scene)  # from now on both hold the same release
        assert [charges(scene, party) for party in PARTIES] == ([1, 1] if repeated else [2, 2]), point


def test_an_interrupt_while_the_files_are_written_comes_too_late(
    zygote: Zygote, identities: Path, tmp_path: Path
) -> None:
    (tmp_path / "scene").mkdir()
    scene = Scene.make(tmp_path / "scene", identities)
    scene.agree(noise="gaussian", profile="kkrt")
    started = begin(zygote, scene, {"media": ("term", "write release.json"), "shop": ("int", "write audit.private")})
    assert [forked.ended().code for forked in started.values()] == [0, 0]
    for party in PARTIES:
        assert "release.csv" in scene.left(party)
        assert_clean(scene, party)


def test_a_disk_that_is_full_at_any_file(zygote: Zygote, identities: Path, tmp_path: Path) -> None:
    """Nothing of the release is left; the reason is, where the disk takes it; the next run gets the same release."""
    agreement = {"noise": "gaussian", "profile": "kkrt"}
    points = passed_points(zygote, identities, tmp_path / "whole", **agreement)["shop"]
    walked = [point for point in points if point.startswith("write") or point.endswith("partial before")]
    assert len(walked) == 8
    (tmp_path / "walk").mkdir()
    scene = Scene.make(tmp_path / "walk", identities)
    scene.agree(**agreement)
    for point in walked:
        started = begin(zygote, scene, {"shop": ("full", point)})
        ended = {party: forked.ended() for party, forked in started.items()}
        assert "No space left on device" in checked(scene, "shop", 1, ended["shop"]), point
        assert scene.left("shop") == {"failure.json"}
        assert ended["media"].code == 0, ended
        run_again(zygote, scene)
        assert [charges(scene, party) for party in PARTIES] == [1, 1]
        for party in PARTIES:
            shutil.rmtree(scene.out(party))
