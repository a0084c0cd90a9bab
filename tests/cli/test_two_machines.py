"""What two machines may differ in: their clocks, their speed, how often they start."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.test_crash_points import assert_clean, charges
from tests.cli.test_faults import checked
from tests.cli.world import PARTIES, Scene
from tests.cli.zygote import Forked, Zygote
from tests.ports import free_port


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as process:
        yield process


def charged_at(scene: Scene, party: str) -> datetime:
    with closing(sqlite3.connect(scene.root / party / "ledger.sqlite")) as database:
        (latest,) = database.execute("SELECT max(charged_at) FROM charges").fetchone()
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=latest)


@pytest.mark.parametrize("days", [-0.75, 30.0])
def test_clocks_that_differ_do_not_stop_a_run(zygote: Zygote, scene: Scene, days: float) -> None:
    """Nothing of a message depends on the time, and each ledger is dated by its own clock."""
    scene.agree(noise="gaussian", profile="kkrt")
    address = f"127.0.0.1:{free_port()}"
    media = zygote.start(scene, "media", "--listen", address, days=days)
    shop = zygote.start(scene, "shop", "--connect", address)
    ended = media.ended(), shop.ended()
    assert [end.code for end in ended] == [0, 0], ended
    assert (scene.out("media") / "release.csv").read_bytes() == (scene.out("shop") / "release.csv").read_bytes()
    apart = charged_at(scene, "media") - charged_at(scene, "shop")
    assert abs(apart - timedelta(days=days)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("days", "words"),
    [(400, "valid_until: the agreement expired on"), (-30, "the certificate is expired or not valid")],
)
def test_a_clock_outside_agreement_or_certificate_stops_its_own_side(
    zygote: Zygote, scene: Scene, days: float, words: str
) -> None:
    scene.agree(noise="gaussian", profile="kkrt")
    address = f"127.0.0.1:{free_port()}"
    media = zygote.start(scene, "media", "--listen", address, days=days)
    shop = zygote.start(scene, "shop", "--connect", address, "--connect-timeout", "2")
    assert words in checked(scene, "media", 3, media.ended())
    assert "nobody listens" in checked(scene, "shop", 5, shop.ended())
    assert [charges(scene, party) for party in PARTIES] == [0, 0]


def limited_to_one_run(scene: Scene) -> None:
    """A limit on each side that holds one run."""
    scene.agree(noise="gaussian", profile="kkrt")
    for party, partner in (("media", "shop"), ("shop", "media")):
        limit = ("--partner", str(scene.root / partner / f"{partner}.crt"), "--epsilon", "8", "--delta", "1e-6")
        assert scene.command("budget", "set", "--identity", str(scene.root / party), *limit).ended().code == 0


def pair_of(zygote: Zygote, scene: Scene, name: str, media: tuple[str, str] = ("", "")) -> list[Forked]:
    """Starts both sides of one more run of the same identities; `media` says what happens to media, and where."""
    address, late = f"127.0.0.1:{free_port()}", ("--connect-timeout", "20")
    act, at = media
    return [
        zygote.start(scene, "media", "--listen", address, *late, out=f"media-{name}", act=act, at=at),
        zygote.start(scene, "shop", "--connect", address, *late, out=f"shop-{name}"),
    ]


def test_the_run_that_comes_second_to_its_charge_is_refused(zygote: Zygote, scene: Scene) -> None:
    """Both passed the check of the budget when they began."""
    limited_to_one_run(scene)
    second = pair_of(zygote, scene, "two", media=("stop", "send 5"))
    second[0].stopped()
    assert [forked.ended().code for forked in pair_of(zygote, scene, "one")] == [0, 0]
    second[0].go_on()
    for forked in second:
        end = forked.ended()
        assert end.code in (5, 6) and ("budget" in end.line or "release." in end.line), end
        assert "ledger.charge after" not in forked.points()
    assert [charges(scene, party) for party in PARTIES] == [1, 1]


def test_two_runs_at_once_never_overspend(zygote: Zygote, scene: Scene) -> None:
    """Each ledger decides by itself which run came first. Where they differ, each charged one that the other refused:
    then neither run opened anything."""
    limited_to_one_run(scene)
    started = [forked for name in ("one", "two") for forked in pair_of(zygote, scene, name)]
    ended = [forked.ended() for forked in started]
    assert [charges(scene, party) for party in PARTIES] == [1, 1], ended
    executed = [forked.points().count("ledger.store after") for forked in started]
    assert sum(executed) in (0, 2), "one pair at most"
    for end, stored, forked in zip(ended, executed, started, strict=True):
        if end.code == 0:
            assert stored or "run before on the same data" in end.stderr
        else:
            assert end.code in (5, 6), end
            assert "budget" in end.line or "release." in end.line
            assert not sum(executed) or "ledger.charge after" not in forked.points()
    for party in PARTIES:
        assert_clean(scene, party)


def test_a_listener_that_is_gone_is_reported_at_once(zygote: Zygote, scene: Scene) -> None:
    """Nobody listens any more: no need to try for ten seconds. The pauses here are those of the command."""
    scene.agree(noise="gaussian", profile="kkrt")
    address = f"127.0.0.1:{free_port()}"
    shop = scene.start("shop", "--connect", address)
    media = zygote.start(scene, "media", "--listen", address, act="kill", at="take 9")
    assert media.ended().code == -9
    line = checked(scene, "shop", 5, shop.ended())
    # all attempts in vain, or the time for them over, are another line
    assert line == f"the peer's process has ended in the middle of the run: nobody listens at {address} any more"


def test_a_peer_that_starts_twice_disturbs_nobody(zygote: Zygote, scene: Scene) -> None:
    """The listening side takes one peer for one run; the second process of the same peer finds nobody."""
    scene.agree(noise="gaussian", profile="ecdh")
    address = f"127.0.0.1:{free_port()}"
    media = zygote.start(scene, "media", "--listen", address)
    twice = [zygote.start(scene, "shop", "--connect", address, "--connect-timeout", "8", out=f"shop-{n}") for n in "12"]
    assert media.ended().code == 0
    ended = sorted((forked.ended() for forked in twice), key=lambda end: end.code)
    assert [end.code for end in ended] == [0, 5], ended
    assert "tried for 8 s" in ended[1].line or "peer" in ended[1].line
    assert [charges(scene, party) for party in PARTIES] == [1, 1]


def test_a_peer_that_restarts_in_the_middle_finds_its_session_void(zygote: Zygote, scene: Scene) -> None:
    """A new process of the peer at the same address is no continuation of the old one's run."""
    scene.agree(noise="gaussian", profile="kkrt")
    address = f"127.0.0.1:{free_port()}"
    shop = zygote.start(scene, "shop", "--connect", address)
    media = zygote.start(scene, "media", "--listen", address, act="kill", at="take 9")
    assert media.ended().code == -9
    again = zygote.start(scene, "media", "--listen", address, "--connect-timeout", "3", out="media-again")
    line = checked(scene, "shop", 5, shop.ended())
    assert "peer" in line
    assert again.ended().code == 5
    assert [charges(scene, party) for party in PARTIES] == [0, 0]
    address = f"127.0.0.1:{free_port()}"
    last = [zygote.start(scene, party, way, address) for party, way in (("media", "--listen"), ("shop", "--connect"))]
    assert [forked.ended().code for forked in last] == [0, 0]
    assert Path(scene.out("shop") / "release.csv").exists()
