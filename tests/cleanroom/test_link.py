"""Links: bounded, timed, resumed, and every end explained in one line."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cleanroom.carrier import INBOX_MESSAGES, MAX_MESSAGE_BYTES, Carrier, CarrierLostError, Dial, memory_dials
from cleanroom.drive import drive
from cleanroom.errors import AgreementError, BudgetError, PeerError
from cleanroom.link import MAX_EARLY_FRAMES, AbortReason, Link, memory_links
from cleanroom.protocols.party import Party, PartyState
from cleanroom.protocols.wire import Message, Progress, Protocol, ProtocolId, Send, expect

PING = Message(protocol=ProtocolId.HINT, type=7, step="test.ping")
PONG = Message(protocol=ProtocolId.HINT, type=8, step="test.pong")


def ignore(step: str, done: int, total: int) -> None:
    del step, done, total


def speaker(count: int) -> Protocol[list[int]]:
    heard = []
    for number in range(count):
        yield Send(PING, bytes([number % 256]))
        yield Progress("test.ping", number + 1, count)
        if number % 3 == 2:
            heard.append((yield from expect(PONG, 1))[0])
    return heard


def hearer(count: int) -> Protocol[list[int]]:
    heard = []
    for number in range(count):
        heard.append((yield from expect(PING, 1))[0])
        if number % 3 == 2:
            yield Send(PONG, bytes([number % 256]))
    return heard


def both(first: Callable[[], Any], second: Callable[[], Any], seconds: float = 30.0) -> tuple[Any, Any]:
    """Runs two functions in two threads; gives results or errors."""
    outcomes: list[Any] = [None, None]

    def run(index: int, function: Callable[[], Any]) -> None:
        try:
            outcomes[index] = function()
        except BaseException as error:  # noqa: BLE001  # handed to the test
            outcomes[index] = error

    threads = [
        threading.Thread(target=run, args=(index, function), daemon=True)
        for index, function in enumerate((first, second))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads)
    return outcomes[0], outcomes[1]


def pair() -> tuple[Link, Link]:
    one, two = memory_links()
    first, second = both(lambda: one(None), lambda: two(None))
    assert isinstance(first, Link) and isinstance(second, Link)
    return first, second


def drive_over(open_link: Callable[[], Link], protocol: Protocol[Any]) -> Any:
    with open_link() as link:
        return drive(Party(protocol), link, step_timeout=5, progress=ignore)


class Cut:
    """Breaks connections: the n-th message that a wrapped dial's carriers send or receive breaks the carrier."""

    def __init__(self, dial: Dial, *, after: int, times: int = 1) -> None:
        self.dial = dial
        self.left = after
        self.after = after
        self.times = times
        self.cuts = 0

    def __call__(self, timeout: float) -> Carrier:
        return _CutCarrier(self.dial(timeout), self)

    def count(self, carrier: Carrier) -> None:
        self.left -= 1
        if self.left == 0 and self.cuts < self.times:
            self.cuts += 1
            self.left = self.after
            carrier.close()
            raise CarrierLostError("cut")


class _CutCarrier(Carrier):
    def __init__(self, inner: Carrier, cut: Cut) -> None:
        super().__init__()
        self.inner = inner
        self.cut = cut

    def send(self, message: bytes) -> None:
        self.cut.count(self.inner)
        self.inner.send(message)

    def receive(self, timeout: float) -> bytes:
        if self.inner.closed.is_set():
            raise CarrierLostError("cut")
        message = self.inner.receive(timeout)
        self.cut.count(self.inner)  # taken from the wire and lost before this side could read it
        return message

    def close(self) -> None:
        self.closed.set()
        self.inner.close()


def test_two_parties_run_over_a_memory_link() -> None:
    one, two = memory_links()
    told, heard = both(
        lambda: drive_over(lambda: one(None), speaker(90)), lambda: drive_over(lambda: two(None), hearer(90))
    )
    assert heard == list(range(90)) and told == list(range(2, 90, 3))


@pytest.mark.parametrize("side", [0, 1])
def test_a_connection_that_breaks_at_any_message_resumes(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.RESUME_FIRST_PAUSE", 0.05)
    monkeypatch.setattr("cleanroom.link.RESUME_ATTEMPTS", 8)  # 18 s, should the other side be late
    monkeypatch.setattr("cleanroom.link.DRAIN_SECONDS", 0.01)
    for after in range(2, 14):  # the first message is the greeting: a connection that never stood is no resumption
        dials = list(memory_dials())
        cut = Cut(dials[side], after=after)
        dials[side] = cut
        told, heard = both(
            lambda dial=dials[0]: drive_over(lambda: Link(dial, timeout=5), speaker(9)),
            lambda dial=dials[1]: drive_over(lambda: Link(dial, timeout=5), hearer(9)),
        )
        assert heard == list(range(9)) and told == [2, 5, 8], (after, told, heard)
        assert cut.cuts == 1 or after > 12


def test_a_connection_that_breaks_for_good_ends_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.RESUME_FIRST_PAUSE", 0.05)
    monkeypatch.setattr("cleanroom.link.DRAIN_SECONDS", 0.01)
    first, second = memory_dials()
    broken = Cut(first, after=4, times=100)

    def dial(timeout: float) -> Carrier:
        if broken.cuts:
            raise CarrierLostError("gone for good")
        return broken(timeout)

    told, heard = both(
        lambda: drive_over(lambda: Link(dial, timeout=5), speaker(9)),
        lambda: drive_over(lambda: Link(second, timeout=5), hearer(9)),
    )
    assert isinstance(told, PeerError) and isinstance(heard, PeerError)


def test_a_peer_that_was_restarted_voids_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.RESUME_FIRST_PAUSE", 0.05)
    monkeypatch.setattr("cleanroom.link.RESUME_ATTEMPTS", 8)
    monkeypatch.setattr("cleanroom.link.DRAIN_SECONDS", 0.01)
    first, second = memory_dials()
    one, two = both(lambda: Link(first, timeout=5), lambda: Link(second, timeout=5))
    two.close()
    told, new = both(
        lambda: one.receive(timeout=5, waiting_for="test"),
        lambda: Link(second, timeout=5),
    )
    assert isinstance(told, PeerError) and "restarted" in str(told)
    assert isinstance(new, PeerError) and "void" in str(new)


def test_a_silent_peer_is_reported_with_the_step_and_told() -> None:
    one, two = pair()
    party = Party(hearer(1))
    with pytest.raises(PeerError, match=r"test\.ping: the peer was silent for 0\.1 s"):
        drive(party, one, step_timeout=0.1, progress=ignore)
    assert party.state is PartyState.FAILED
    with pytest.raises(PeerError, match="waited too long"):
        two.receive(timeout=1, waiting_for="test")


def test_heartbeats_keep_a_slow_peer_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of them the whole of the step's timeout is waited for the next sign of life."""
    monkeypatch.setattr("cleanroom.link.HEARTBEAT_SECONDS", 0.0)
    one, two = pair()
    for _ in range(5):
        two.heartbeat()
    two.send(b"frame", timeout=1)
    assert one._carrier is not None
    asked, receive = [], one._carrier.receive

    def noted(timeout: float) -> bytes:
        asked.append(timeout)
        return receive(timeout)

    monkeypatch.setattr(one._carrier, "receive", noted)
    assert one.receive(timeout=7, waiting_for="test") == b"frame"
    assert asked == [7] * 6


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AgreementError("x"), AbortReason.AGREEMENT.words),
        (BudgetError("x"), AbortReason.POLICY.words),
        (KeyboardInterrupt(), AbortReason.INTERRUPTED.words),
        (ZeroDivisionError(), AbortReason.INTERNAL.words),
    ],
)
def test_the_peer_learns_why_a_side_stopped(error: BaseException, words: str) -> None:
    def failing() -> Protocol[None]:
        yield Send(PING, b"1")
        raise error

    one, two = pair()
    with pytest.raises(type(error)):
        drive(Party(failing()), one, step_timeout=1, progress=ignore)
    one.close()
    two.receive(timeout=1, waiting_for="test")
    with pytest.raises(PeerError) as told:
        two.receive(timeout=1, waiting_for="test")
    assert words in str(told.value)


def test_a_sender_hears_why_the_peer_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.DRAIN_SECONDS", 0.05)
    one, two = pair()
    two.abort(AbortReason.POLICY)
    two.close()
    with pytest.raises(PeerError, match="budget or release policy"):
        for _ in range(3):
            one.send(b"frame", timeout=1)


COUNT = struct.Struct("<Q")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x09",
        b"\x03",
        b"\x03\x63",
        b"\x02extra",
        b"\x04" + COUNT.pack(1),
        b"\x04short",
        b"\x05again",
        b"\x06extra",
        bytes(MAX_MESSAGE_BYTES + 1),
    ],
)
def test_a_malformed_message_is_a_peer_error(message: bytes) -> None:
    one, two = pair()
    assert two._carrier is not None
    two._carrier.send(message)
    with pytest.raises(PeerError):
        one.receive(timeout=1, waiting_for="test")


@pytest.mark.parametrize(
    "greeting",
    [
        b"\x01frame",
        b"\x05" + bytes(39),
        b"\x05" + bytes(40),
        b"\x05" + b"a" * 16 + b"b" * 16 + bytes(8),
        b"\x05" + b"a" * 16 + bytes(16) + COUNT.pack(1),
    ],
)
def test_a_wrong_greeting_is_a_peer_error(greeting: bytes) -> None:
    first, second = memory_dials()

    def hostile() -> None:
        carrier = second(5)
        carrier.send(greeting)
        carrier.receive(5)

    refused, _ = both(lambda: Link(first, timeout=5), hostile)
    assert isinstance(refused, PeerError) and not isinstance(refused, CarrierLostError)


def test_a_flood_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.RESUME_FIRST_PAUSE", 0.01)
    one, two = pair()
    sent = []

    def flood() -> None:
        try:
            for number in range(10 * INBOX_MESSAGES):
                two.send(bytes(1000), timeout=1)
                sent.append(number)
        except PeerError:
            return

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    time.sleep(0.5)
    assert len(sent) <= INBOX_MESSAGES
    one.close()
    thread.join(15)
    assert not thread.is_alive()


def test_frames_that_nothing_asked_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.WINDOW_BYTES", 10)
    one, two = pair()
    assert two._carrier is not None
    for _ in range(MAX_EARLY_FRAMES // 2):
        two._carrier.send(b"\x01x")
    one.send(bytes(8), timeout=1)
    threading.Thread(target=lambda: [two._carrier.send(b"\x01x") for _ in range(MAX_EARLY_FRAMES)], daemon=True).start()  # type: ignore[union-attr]
    with pytest.raises(PeerError, match="nothing had asked for"):
        one.send(bytes(8), timeout=1)
    two.close()
    one.close()


def test_what_the_peer_has_taken_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.WINDOW_BYTES", 4000)
    monkeypatch.setattr("cleanroom.link.ACKNOWLEDGE_BYTES", 2000)
    one, two = pair()

    def send() -> int:
        for number in range(100):
            one.send(bytes([number]) * 1000, timeout=5)
            assert one._unacknowledged_bytes <= 4000
        return 100

    def receive() -> list[int]:
        return [two.receive(timeout=5, waiting_for="test")[0] for _ in range(100)]

    assert both(send, receive) == (100, list(range(100)))


def test_a_side_that_was_told_to_stop_says_nothing_back() -> None:
    one, two = pair()
    two.abort(AbortReason.INTERRUPTED)
    with pytest.raises(PeerError, match="interrupted"):
        one.receive(timeout=1, waiting_for="test")
    one.abort(AbortReason.PROTOCOL)
    assert two._carrier is not None
    with pytest.raises(PeerError, match="silent"):
        two._carrier.receive(0.2)
