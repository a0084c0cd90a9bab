"""The fit of growth, the tables beside peers, and the page that results are put into."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import growth, peers, wan
from benchmarks.growth import exponent, exponents_table
from benchmarks.page import begin_mark, command_line, end_mark, put
from benchmarks.pair import PairFigures
from benchmarks.workload import PROFILES, Shape

ROOT = Path(__file__).parents[2]


def figures(rows: int, *, profile: str = "kkrt", pinned: bool = True, wall: float = 1.0) -> PairFigures:
    step = {"work": 1.0, "wait": 0.5, "send": 0.1, "cpu": 1.0, "sent": 10 * rows, "received": 10 * rows}
    return PairFigures(
        profile=profile, shape=Shape(rows=rows), pinned=pinned, wall=wall,
        cpu={"exposure": 2e-6 * rows, "outcome": 1e-6 * rows},
        memory_peak_mib={"exposure": 100.0 + rows / 1000, "outcome": 90.0},
        memory_before_mib={"exposure": 80.0, "outcome": 80.0},
        steps={role: {"hint": step} for role in ("exposure", "outcome")}, frame_bytes=20 * rows, packet_bytes=None,
        others_cpu=0.0, speed=(1.0, 1.0),
    )  # fmt: skip


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
def test_the_exponent_is_that_of_a_power(power: float) -> None:
    assert exponent([(x, 7 * x**power) for x in (2.0, 10.0, 300.0)]) == pytest.approx(power)


def test_one_size_has_no_exponent() -> None:
    assert exponent([(4.0, 1.0), (4.0, 2.0)]) is None
    assert exponent([]) is None


def test_small_sizes_are_left_out_of_the_fit() -> None:
    runs = [figures(1 << power, wall=0.001 * (1 << power)) for power in (16, 17, 18)]
    odd = figures(1 << 10, wall=50.0)
    table = exponents_table([odd, *runs], 1 << 16)
    assert "|     kkrt |     3 |   1.00 |          1.00 |       1.00 |" in table
    assert "1.00 |          1.00" not in exponents_table([odd, *runs], 1 << 10)
    assert "     - |" in exponents_table([odd], 1 << 10)


def test_growth_runs_and_prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CLEANROOM_BENCH_NETWORK", "0")
    assert growth.main(["256", "512", "--profile", "kkrt", "--from", "256", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["shape"]["rows"] for run in found["runs"]] == [256, 512]


def test_default_sizes_reach_two_to_the_24_and_spare_the_slow_profile() -> None:
    assert growth.SIZES[0] == 1 << 16 and growth.SIZES[-1] == 1 << 24
    assert peers.SIZES == list(wan.SIZES) == [1 << 16, 1 << 18, 1 << 20]
    assert growth.sizes_of("kkrt", []) == list(growth.SIZES)
    assert max(growth.sizes_of("ecdh", [])) == 1 << 20
    assert growth.sizes_of("ecdh", [1 << 22]) == [1 << 22]


def test_every_profile_is_beside_a_peer() -> None:
    beside = {profile for peer in peers.PEERS for profile in peer.beside}
    assert set(PROFILES) <= beside
    assert {(peer.environment, peer.protocol) for peer in peers.PEERS} >= {("spu", "RR22"), ("spu", "ECDH:FOURQ")}


def peer_run(name: str, rows: int, wall: float) -> peers.PeerFigures:
    return peers.PeerFigures(
        name=name, rows=rows, wall=wall, cpu=(0.5e-6 * rows, 0.25e-6 * rows), wire_bytes=2 * rows,
        memory_peak_mib=(50.0, 40.0), others_cpu=0.0,
    )  # fmt: skip


def test_ratios_are_of_medians_and_say_what_peers_reveal() -> None:
    ours = [figures(1000, wall=wall) for wall in (3.0, 30.0, 2.0)] + [figures(1000, profile="ecdh", wall=9.0)]
    theirs = [peer_run("spu RR22", 1000, wall) for wall in (1.0, 1.5, 9.0)]
    text = peers._ratios(ours, theirs, {"spu RR22": ("kkrt", "vole")})
    assert "reveal the intersection" in text.splitlines()[0]
    (row,) = [line for line in text.splitlines() if line.startswith("| spu")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "spu RR22" and cells[-5:] == ["kkrt", "2.0", "4.0", "10.0", "2.0"]


def test_both_ways_of_cores_are_run_in_turn_with_the_peers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calls: list[tuple[str, int, bool]] = []

    def ours(shape: Shape, *, profile: str, pinned: bool) -> PairFigures:
        calls.append((profile, shape.rows, pinned))
        return figures(shape.rows, profile=profile, pinned=pinned)

    def theirs(peer: peers.Peer, name: str, python: Path, rows: int, *, pinned: bool) -> peers.PeerFigures:
        calls.append((peer.protocol, rows, pinned))
        return peer_run(name, rows, 1.0)

    monkeypatch.setenv("CLEANROOM_BENCH_NETWORK", "0")
    monkeypatch.setattr(peers, "run_pair", ours)
    monkeypatch.setattr(peers, "run_peer", theirs)
    monkeypatch.setattr(peers, "installed", lambda peer: (f"spu {peer.protocol}", Path("python")))
    page = tmp_path / "page.md"
    names = ["peers, one", "peers, all"]
    page.write_text("".join(f"# {name}\n{begin_mark(name)}\nold\n{end_mark(name)}\n" for name in names))
    assert peers.main(["--profile", "ecdh", "kkrt", "--repeat", "2", "--page", str(page)]) == 0
    once = [("ecdh", 1 << 16), ("kkrt", 1 << 16), ("ECDH:FOURQ", 1 << 16), ("ECDH:25519", 1 << 16), ("RR22", 1 << 16)]
    assert calls[:10] == [(*call, True) for call in once] * 2
    largest = [call for call in calls if call[1] == 1 << 20]
    names = [name for name, _ in once]
    assert largest == [(name, 1 << 20, pinned) for pinned in (True, False) for _ in range(2) for name in names]
    said = capsys.readouterr().out
    assert said.count("the peers reveal the intersection") == 3
    text = page.read_text()
    assert "old" not in text and "One core and one thread a party." in text and "No party bound to a core." in text
    assert text.count("`python -m benchmarks.peers --profile ecdh kkrt --repeat 2` on ") == 2
    for profile in ("ecdh", "kkrt"):
        for rows in peers.SIZES:
            assert said.count(f"steps of {profile} at {rows} rows") == 2
            assert text.count(f"steps of {profile} at {rows} rows") == (2 if rows == max(peers.SIZES) else 0)


def test_a_page_without_its_marks_is_refused_and_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = begin_mark("wan"), end_mark("wan")
    for text in ("", begin, f"{end}\n{begin}\n", f"{begin}\n{begin}\n{end}\n", f"{begin}\n{end}\n{end}\n"):
        page.write_text(text)
        with pytest.raises(ValueError, match="expected one line"):
            put(page, "wan", "command", ["table"])
        assert page.read_text() == text
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    put(page, "wan", "command", ["one", "two"])
    put(page, "wan", "another", ["| three |"])
    text = page.read_text()
    assert text.startswith(f"before\n{begin}\n\n`another` on ") and text.endswith(f"\n\n| three |\n\n{end}\nafter\n")
    assert "\none\n" not in text and text.count("| three |") == 1


def test_the_project_s_page_has_the_marks() -> None:
    text = (ROOT / "docs" / "reference" / "benchmarks.md").read_text(encoding="utf-8")
    for name in ("peers, one", "peers, all", "growth", "wan"):
        assert text.count(begin_mark(name) + "\n") == 1 == text.count(end_mark(name))


@pytest.mark.parametrize("page", [["--page", "a page.md"], ["--page=a page.md"]])
def test_the_command_on_a_page_leaves_the_page_out(page: list[str]) -> None:
    words = ["2^16", "2**18", "--profile", "kkrt", "vole", "--json"]
    for at in range(0, len(words) + 1, 2):
        shown = command_line("benchmarks.growth", [*words[:at], *page, *words[at:]])
        assert shown == "python -m benchmarks.growth 2^16 2**18 --profile kkrt vole --json"
