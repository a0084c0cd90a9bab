"""The knock: the right peer is let in, a party with another agreement ends the run, strangers change nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from cleanroom import knock as knock_module
from cleanroom.errors import PeerError
from cleanroom.identity import Identity, new_identity
from cleanroom.knock import answer, knock
from tests.cleanroom.test_link import both
from tests.ports import free_port

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    folder = tmp_path_factory.mktemp("identities")
    return {name: new_identity(name, folder / name) for name in ("media", "shop", "stranger")}


def answering(identities: dict[str, Identity], port: int, timeout: float = 10.0) -> str:
    peer = identities["shop"].certificate
    return answer(HOST, port, identity=identities["media"], peer=peer, timeout=timeout, enter=lambda: "entered")


def test_the_peer_is_let_in_and_the_port_is_free_when_it_enters(identities: dict[str, Identity]) -> None:
    port = free_port()

    def enter() -> str:
        with socket.create_server((HOST, port)):
            return "entered"

    media, shop = identities["media"], identities["shop"]
    entered, knocked = both(
        lambda: answer(HOST, port, identity=media, peer=shop.certificate, timeout=10, enter=enter),
        lambda: knock(HOST, port, identity=shop, peer=media.certificate, timeout=10),
    )
    assert entered == "entered"
    assert knocked is None


@pytest.mark.parametrize(
    ("caller", "pinned", "heard", "told"),
    [
        ("stranger", "media", "the connecting side's certificate is not", "refused this party's certificate"),
        ("shop", "stranger", "the connecting side refused this party's", "the listening side's certificate is not"),
    ],
)
def test_a_wrong_certificate_ends_both_sides_at_once(
    identities: dict[str, Identity], caller: str, pinned: str, heard: str, told: str
) -> None:
    port = free_port()
    started = time.monotonic()
    waited, refused = both(
        lambda: answering(identities, port, timeout=60),
        lambda: knock(HOST, port, identity=identities[caller], peer=identities[pinned].certificate, timeout=60),
        seconds=30,
    )
    assert isinstance(waited, PeerError) and heard in str(waited)
    assert isinstance(refused, PeerError) and told in str(refused)
    assert time.monotonic() - started < 10


def test_strangers_change_nothing(identities: dict[str, Identity], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knock_module, "_HANDSHAKE_SECONDS", 1.0)
    monkeypatch.setattr(knock_module, "_MAX_CALLERS", 8)
    port = free_port()
    outcome: list[object] = []
    thread = threading.Thread(target=lambda: outcome.append(answering(identities, port, timeout=20)))
    thread.start()
    deadline = time.monotonic() + 10
    silent: list[socket.socket] = []
    while not silent and time.monotonic() < deadline:
        try:
            silent.append(socket.create_connection((HOST, port)))
        except ConnectionRefusedError:
            time.sleep(0.02)
    silent += [socket.create_connection((HOST, port)) for _ in range(10)]  # open and say nothing
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(400), b"cleanroom/knock/v2\n", b""):
        with socket.create_connection((HOST, port)) as scanner:
            scanner.sendall(words)
    browser = ssl.create_default_context()
    with socket.create_connection((HOST, port)) as plain, pytest.raises(OSError):
        plain.settimeout(5)
        browser.wrap_socket(plain, server_hostname="media")  # refuses our certificate, had it got as far as that
    media, shop = identities["media"], identities["shop"]
    knock(HOST, port, identity=shop, peer=media.certificate, timeout=10)
    thread.join(10)
    assert outcome == ["entered"]
    for held in silent:
        held.close()


@pytest.mark.parametrize(
    ("listening", "calling"), [("0.0.0.0", HOST), ("localhost", "localhost"), ("[::]", HOST), ("[::1]", "[::1]")]
)
def test_every_way_to_name_this_machine(identities: dict[str, Identity], listening: str, calling: str) -> None:
    if listening.startswith("[") and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    port = free_port()
    media, shop = identities["media"], identities["shop"]
    entered, knocked = both(
        lambda: answer(listening, port, identity=media, peer=shop.certificate, timeout=10, enter=lambda: "entered"),
        lambda: knock(calling, port, identity=shop, peer=media.certificate, timeout=10),
    )
    assert (entered, knocked) == ("entered", None)


def test_nobody_comes_and_a_taken_port(identities: dict[str, Identity]) -> None:
    with pytest.raises(PeerError, match=r"no peer with the agreement's certificate came within 0\.2 s"):
        answering(identities, free_port(), timeout=0.2)
    with socket.create_server((HOST, 0)) as taken, pytest.raises(PeerError, match="the port is taken"):
        answering(identities, int(taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("words", "reason"), [(b"", "does not answer as a party does"), (b"HTTP/1.1 400 Bad\r\n\r\n", "speaks no TLS 1.3")]
)
def test_something_else_listens(identities: dict[str, Identity], words: bytes, reason: str) -> None:
    with socket.create_server((HOST, 0)) as other:

        def serve() -> None:
            while True:
                try:
                    caller, _ = other.accept()
                except OSError:
                    return
                with caller, contextlib.suppress(OSError):
                    caller.sendall(words)
                    caller.shutdown(socket.SHUT_WR)
                    while caller.recv(4096):  # bytes left unread would reset the connection, and the words with it
                        pass

        threading.Thread(target=serve, daemon=True).start()
        media, shop = identities["media"], identities["shop"]
        port = int(other.getsockname()[1])
        with pytest.raises(PeerError, match=reason):
            knock(HOST, port, identity=shop, peer=media.certificate, timeout=0.5)
        other.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("days", "words"), [(30, "not valid yet"), (-4000, "expired")])
@pytest.mark.parametrize("listening", [False, True])
def test_a_certificate_of_another_day_is_said_to_be_that(
    identities: dict[str, Identity],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    words: str,
    listening: bool,
) -> None:
    """The pinned certificate, and a clock outside its validity: the line speaks of clocks, not of another agreement."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=days)

    monkeypatch.setattr("cleanroom.identity.datetime", Wrong)
    other = new_identity("other", tmp_path)
    monkeypatch.undo()
    shop, port = identities["shop"], free_port()
    mine, theirs = (other, shop) if listening else (shop, other)
    waited, refused = both(
        lambda: answer(HOST, port, identity=mine, peer=theirs.certificate, timeout=10, enter=lambda: "entered"),
        lambda: knock(HOST, port, identity=theirs, peer=mine.certificate, timeout=10),
    )
    judge, judged = (refused, waited) if listening else (waited, refused)
    assert isinstance(judge, PeerError) and f"{words} by this machine's clock" in str(judge)
    assert isinstance(judged, PeerError) and "refused this party's certificate" in str(judged)
    assert ("expired by its clock" in str(judged)) == (words == "expired")


def test_callers_who_speak_slowly_do_not_hold_the_door(
    identities: dict[str, Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then, from as many callers as are served at once: each has so many seconds for all its bytes."""
    monkeypatch.setattr(knock_module, "_HANDSHAKE_SECONDS", 1.0)
    monkeypatch.setattr(knock_module, "_MAX_CALLERS", 4)
    port, outcome, stop = free_port(), [], threading.Event()
    thread = threading.Thread(target=lambda: outcome.append(answering(identities, port, timeout=30)))
    thread.start()

    def drip() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5) as slow:
                for byte in knock_module._LINE + bytes(1000):
                    slow.sendall(bytes([byte]))
                    if stop.wait(0.8):
                        return
            stop.wait(0.05)

    slow = [threading.Thread(target=drip, daemon=True) for _ in range(8)]
    for one in slow:
        one.start()
    media, shop = identities["media"], identities["shop"]
    knock(HOST, port, identity=shop, peer=media.certificate, timeout=10)
    thread.join(10)
    stop.set()
    assert outcome == ["entered"]
    for one in slow:
        one.join(5)
