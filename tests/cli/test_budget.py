"""`cleanroom budget` and runs: a run over the limit sends nothing, and costs what was said before."""

from __future__ import annotations

import json
import socket

import pytest

from tests.cli.world import PARTIES, Scene


def set_limit(scene: Scene, party: str, epsilon: str, delta: str) -> None:
    partner = PARTIES[1 - PARTIES.index(party)]
    identity = ("--identity", str(scene.root / party))
    certificate = ("--partner", str(scene.root / partner / f"{partner}.crt"))
    ended = scene.command("budget", "set", *identity, *certificate, "--epsilon", epsilon, "--delta", delta).ended()
    assert ended.code == 0, ended


def shown(scene: Scene, party: str, *options: str) -> dict[str, object]:
    ended = scene.command("budget", "show", "--identity", str(scene.root / party), "--json", *options).ended()
    assert ended.code == 0, ended
    found: dict[str, object] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("noise", ["gaussian", "none"])
@pytest.mark.parametrize("party", PARTIES)
def test_a_run_over_the_limit_ends_with_code_6_before_a_byte_is_sent(scene: Scene, party: str, noise: str) -> None:
    scene.agree(noise=noise)
    set_limit(scene, party, "0.5", "1e-9")
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(8)
        door.setblocking(False)
        ended = scene.start(party, "--connect", f"127.0.0.1:{door.getsockname()[1]}").ended()
        with pytest.raises(BlockingIOError):  # nobody has come to the door
            door.accept()
    assert ended.code == 6, ended
    assert ended.line.startswith("release.")
    scene.assert_nothing_left(party)
    assert shown(scene, party)["partners"][0]["runs"] == 0  # type: ignore[index]


def test_a_run_over_the_limit_does_not_listen_either(scene: Scene) -> None:
    scene.agree(noise="gaussian")
    set_limit(scene, "media", "0.5", "1e-9")
    with socket.socket() as taken:  # would end the run with another code if it came to listen
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        ended = scene.start("media", "--listen", f"127.0.0.1:{taken.getsockname()[1]}").ended()
    assert ended.code == 6, ended


@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_a_run_costs_what_budget_show_says_before_it(scene: Scene, noise: str) -> None:
    path = scene.agree(noise=noise)
    said = {party: shown(scene, party, "--agreement", str(path))["next_run"] for party in PARTIES}
    assert [ended.code for ended in scene.pair().values()] == [0, 0]
    for party in PARTIES:
        (partner,) = shown(scene, party)["partners"]  # type: ignore[misc]
        charged = {key: float(partner[key]) for key in ("epsilon", "delta")}
        assert said[party] == {**charged, "noise": noise}
