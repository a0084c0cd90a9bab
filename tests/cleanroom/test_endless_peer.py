"""A peer that says something without end and nothing that a run needs: it is stopped, whatever it says."""

from __future__ import annotations

import struct
import threading
import tracemalloc

import pytest

from cleanroom.carrier import Carrier, CarrierLostError, memory_dials
from cleanroom.errors import PeerError
from cleanroom.link import MAX_EARLY_FRAMES, Link

LIMIT = 200
GREETING = b"\x05" + struct.pack("<16s16sQ", b"p" * 16, bytes(16), 0)
IDLE = {
    "heartbeats": b"\x02",
    "acknowledgements of nothing": b"\x04" + struct.pack("<Q", 0),
    "ends": b"\x06",
}


class Endless(Carrier):
    """A connection on which one message comes again and again, after what an honest peer says first."""

    def __init__(self, first: list[bytes], again: bytes, limit: int = 10 * LIMIT) -> None:
        super().__init__()
        self._first = [GREETING, *first]
        self._again = again
        self.left = limit

    def send(self, message: bytes) -> None:
        del message

    def close(self) -> None:
        self.closed.set()

    def receive(self, timeout: float) -> bytes:
        if self._first:
            return self._first.pop(0)
        self.left -= 1
        assert self.left > 0, "nobody stopped it"
        return self._again


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.MAX_HEARTBEATS", LIMIT)


@pytest.mark.parametrize("what", IDLE)
def test_what_brings_nobody_anywhere_stops_a_side_that_receives(what: str) -> None:
    link = Link(lambda seconds: Endless([], IDLE[what]), timeout=1)
    with pytest.raises(PeerError, match="test: the peer only ever said that it works on"):
        link.receive(timeout=1, waiting_for="test")
    link.close()


@pytest.mark.parametrize("what", IDLE)
def test_what_brings_nobody_anywhere_stops_a_side_that_sends(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.WINDOW_BYTES", 10)
    link = Link(lambda seconds: Endless([], IDLE[what]), timeout=1)
    link.send(bytes(8), timeout=1)
    with pytest.raises(PeerError, match="the peer only ever said that it works on"):
        link.send(bytes(8), timeout=1)
    link.close()


def test_frames_between_heartbeats_are_no_reason_to_stop() -> None:
    said = [message for number in range(5) for message in [b"\x02"] * (LIMIT - 1) + [b"\x01" + bytes([number])]]
    link = Link(lambda seconds: Endless(said, b"\x02"), timeout=1)
    assert [link.receive(timeout=1, waiting_for="test")[0] for _ in range(5)] == list(range(5))
    link.close()


def test_frames_without_end_are_refused_and_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.WINDOW_BYTES", 10)
    frame = b"\x01" + bytes(1 << 20)
    link = Link(lambda seconds: Endless([], frame), timeout=1)
    link.send(bytes(8), timeout=1)
    tracemalloc.start()
    with pytest.raises(PeerError, match=f"more than {MAX_EARLY_FRAMES} frames"):
        link.send(bytes(8), timeout=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (MAX_EARLY_FRAMES + 3) * len(frame)
    link.close()


def test_an_acknowledgement_that_says_less_than_the_greeting_of_a_resumed_connection_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A greeting counts frames that arrived, an acknowledgement those that were taken: after a resume it lags."""
    monkeypatch.setattr("cleanroom.link.ACKNOWLEDGE_BYTES", 1)
    monkeypatch.setattr("cleanroom.link.RESUME_FIRST_PAUSE", 0.01)
    monkeypatch.setattr("cleanroom.link.RESUME_ATTEMPTS", 10)  # 15 s, should the other side be late
    first, second = memory_dials()
    links: list[Link] = []
    opener = threading.Thread(target=lambda: links.append(Link(first, timeout=5)), daemon=True)
    opener.start()
    other = Link(second, timeout=5)
    opener.join(5)
    one = links[0]
    for number in range(3):
        one.send(bytes([number]), timeout=1)

    def breaks() -> None:
        assert one._carrier is not None and other._carrier is not None
        for carrier in (one._carrier, other._carrier):
            carrier._inbox.put(CarrierLostError("broken"))

    # `other` holds the three frames unread when the connection breaks
    other._await(1, "test")
    other._await(1, "test")
    other._await(1, "test")
    breaks()
    resumed = threading.Thread(target=lambda: one._await(5, "test"), daemon=True)
    resumed.start()
    other._await(5, "test")
    resumed.join(5)
    assert [other.receive(timeout=1, waiting_for="test") for _ in range(3)] == [b"\0", b"\1", b"\2"]
    other.send(b"x", timeout=1)
    assert one.receive(timeout=1, waiting_for="test") == b"x"  # past three acknowledgements that lag
    one.close()
    other.close()
