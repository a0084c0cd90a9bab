"""The relayed wire: its rate, delay and buffer by arithmetic, and packets through real namespaces."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest

from benchmarks.island import Gate, available
from benchmarks.networks import Wide
from benchmarks.pair import check_shares, run_pair
from benchmarks.relay import Lane, Road
from benchmarks.wan import main, road_of, wan_row
from benchmarks.workload import Shape

ROAD = Road(bits_per_second=8_000.0, delay=0.5, buffer_bytes=3_000)  # 1,000 bytes a second
TINY = Shape(rows=256, groups=2, columns=2)


def test_packets_leave_at_the_rate_and_arrive_after_the_delay() -> None:
    lane = Lane(road=ROAD)
    for packet in (b"a" * 1_000, b"b" * 500):
        lane.send(packet, now=10.0)
    assert lane.arrived(11.49) is None  # one second to leave, half a second on the way
    assert lane.arrived(11.5) == b"a" * 1_000
    assert lane.arrived(11.99) is None
    assert lane.arrived(12.0) == b"b" * 500
    assert lane.arrived(99.0) is None
    lane.send(b"c" * 100, now=20.0)  # the wire was idle: nothing to wait for
    assert lane.arrived(20.59) is None and lane.arrived(20.6) == b"c" * 100
    assert (lane.sent_bytes, lane.dropped) == (1_600, 0)


def test_what_would_wait_for_more_than_the_buffer_is_dropped() -> None:
    lane = Lane(road=ROAD)
    for number in range(5):
        lane.send(bytes([number]) * 1_000, now=0.0)
    assert (lane.sent_bytes, lane.dropped) == (3_000, 2)
    lane.send(b"x" * 1_000, now=1.0)  # one has left
    assert lane.dropped == 2
    arrived = []
    while (packet := lane.arrived(1e9)) is not None:
        arrived.append(packet[:1])
    assert arrived == [b"\x00", b"\x01", b"\x02", b"x"]


def test_a_wire_is_what_people_say_about_it() -> None:
    assert road_of(100, 20, 100) == Road(bits_per_second=1e8, delay=0.02, buffer_bytes=1_250_000)


missing = available()
needs_namespaces = pytest.mark.skipif(missing is not None, reason=f"network namespaces: {missing}")


@needs_namespaces
def test_a_join_runs_over_a_relayed_wire_and_its_sums_are_right() -> None:
    figures = run_pair(TINY, profile="kkrt", network=partial(Wide, road_of(1_000, 1, 100)))
    assert figures.packet_bytes is not None and figures.packet_bytes > figures.frame_bytes > 0
    assert figures.wall > 0.001  # a round trip at least: the delay is there
    row = wan_row(figures, road_of(1_000, 1, 100))
    assert row.count("|") == 15 and f"{TINY.rows}" in row


@needs_namespaces
def test_a_namespace_holds_its_wire_and_nothing_of_the_machine() -> None:
    shows = "print(open('/proc/net/dev').read())"
    gate = Gate("192.0.2.1", "192.0.2.2")
    island = subprocess.Popen(
        gate.command([sys.executable, "-c", shows]), pass_fds=(gate.inherited,), stdout=subprocess.PIPE, text=True
    )
    device = gate.receive()
    gate.go()
    words, _ = island.communicate(timeout=30)
    gate.close()
    os.close(device)
    names = {line.partition(":")[0].strip() for line in words.splitlines() if ":" in line}
    assert names == {"lo", "wire0"}


@needs_namespaces
def test_a_starter_that_ends_leaves_no_island_behind() -> None:
    gate = Gate("192.0.2.1", "192.0.2.2")
    island = subprocess.Popen(
        gate.command([sys.executable, "-c", "print('ran')"]),
        pass_fds=(gate.inherited,), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    device = gate.receive()
    gate.close()
    words, faults = island.communicate(timeout=30)
    os.close(device)
    assert island.returncode != 0 and words == "" and "has ended" in faults


@needs_namespaces
def test_the_command_prints_a_row_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["256", "--profile", "kkrt", "--mbit", "1000", "--delay", "1"]) == 0
    said = capsys.readouterr().out
    assert "|     kkrt |      256 |   1000 |        1 |" in said and "steps of kkrt at 256 rows" in said


def test_without_namespaces_there_is_no_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.wan.available", lambda: "unshare is not installed")
    assert main(["256"]) == 1
    assert capsys.readouterr().err == "benchmarks.wan: no run, unshare is not installed\n"


def test_sums_of_the_tiny_join_are_checked() -> None:
    with pytest.raises(AssertionError, match="opened sums"):
        check_shares(TINY, [[0] * 4, [0] * 4])
