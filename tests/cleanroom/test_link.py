"""Links: bounded, timed, and every end explained in one line."""

from __future__ import annotations

import threading
import time

import pytest

from cleanroom.drive import drive
from cleanroom.errors import AgreementError, BudgetError, PeerError
from cleanroom.link import INBOX_MESSAGES, MAX_MESSAGE_BYTES, AbortReason, Link, memory_links
from cleanroom.protocols.party import Party, PartyState
from cleanroom.protocols.wire import Message, Progress, Protocol, ProtocolId, Send, expect

PING = Message(protocol=ProtocolId.HINT, type=7, step="test.ping")


def ignore(step: str, done: int, total: int) -> None:
    del step, done, total


def speaker(count: int) -> Protocol[int]:
    for number in range(count):
        yield Send(PING, bytes([number]))
        yield Progress("test.ping", number + 1, count)
    return count


def hearer(count: int) -> Protocol[list[int]]:
    heard = []
    for _ in range(count):
        heard.append((yield from expect(PING, 1))[0])
    return heard


def test_two_parties_run_over_a_memory_link() -> None:
    one, two = memory_links()
    results: list[list[int]] = []
    thread = threading.Thread(
        target=lambda: results.append(drive(Party(hearer(100)), two, step_timeout=5, progress=ignore))
    )
    thread.start()
    with one:
        assert drive(Party(speaker(100)), one, step_timeout=5, progress=ignore) == 100
    thread.join(5)
    assert results == [list(range(100))]


def test_a_silent_peer_is_reported_with_the_step_and_told() -> None:
    one, two = memory_links()
    party = Party(hearer(1))
    with pytest.raises(PeerError, match=r"test\.ping: the peer was silent for 0\.1 s"):
        drive(party, one, step_timeout=0.1, progress=ignore)
    assert party.state is PartyState.FAILED
    with pytest.raises(PeerError, match="waited too long"):
        two.receive(1, "test")


def test_heartbeats_keep_a_slow_peer_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.link.HEARTBEAT_SECONDS", 0.0)
    one, two = memory_links()

    def beat() -> None:
        for _ in range(5):
            time.sleep(0.05)
            two.heartbeat()
        two.send(b"frame")

    thread = threading.Thread(target=beat)
    thread.start()
    assert one.receive(0.15, "test") == b"frame"
    thread.join()


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

    one, two = memory_links()
    with pytest.raises(type(error)):
        drive(Party(failing()), one, step_timeout=1, progress=ignore)
    two.receive(1, "test")
    with pytest.raises(PeerError) as told:
        two.receive(1, "test")
    assert words in str(told.value)


@pytest.mark.parametrize("message", [b"", b"\x09", b"\x03", b"\x03\x63", b"\x02extra", bytes(MAX_MESSAGE_BYTES + 1)])
def test_a_malformed_message_is_a_peer_error(message: bytes) -> None:
    one, two = memory_links()
    two._write(message)
    with pytest.raises(PeerError):
        one.receive(1, "test")


def test_a_flood_is_bounded() -> None:
    one, two = memory_links()
    sent = []

    def flood() -> None:
        try:
            for number in range(10 * INBOX_MESSAGES):
                two.send(bytes(1000))
                sent.append(number)
        except PeerError:
            return

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    time.sleep(0.5)
    assert len(sent) <= INBOX_MESSAGES
    one.close()
    thread.join(5)
    assert not thread.is_alive()


def test_a_closed_peer_is_noticed_after_what_it_sent() -> None:
    one, two = memory_links()
    two.send(b"last words")
    two.close()
    assert one.receive(1, "test") == b"last words"
    with pytest.raises(PeerError, match="closed the connection"):
        one.receive(1, "test")
    with pytest.raises(PeerError):
        one.send(b"anything")
    assert isinstance(one, Link)
