"""Flight carriers: pinned certificates, a proxy that cuts the connection, ends that explain themselves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cleanroom.drive import drive
from cleanroom.errors import PeerError, UsageError
from cleanroom.flight import Address, connect, listen
from cleanroom.identity import Identity, new_identity
from cleanroom.link import Link
from cleanroom.protocols.party import Party
from cleanroom.protocols.wire import Message, Protocol, ProtocolId, Send, expect
from tests.cleanroom.test_link import both, ignore
from tests.ports import free_port

PING = Message(protocol=ProtocolId.HINT, type=7, step="test.ping")
PONG = Message(protocol=ProtocolId.HINT, type=8, step="test.pong")
SIZE = 100_000
SMALL = 20_000
"""Bytes that no knock and no look at the port reaches, and every connection of these runs does."""


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Identity, Identity, Identity]:
    folder = tmp_path_factory.mktemp("identities")
    media, shop, stranger = (new_identity(name, folder / name) for name in ("media", "shop", "stranger"))
    return media, shop, stranger


def asker(rounds: int) -> Protocol[int]:
    total = 0
    for number in range(rounds):
        yield Send(PING, bytes([number]) * SIZE)
        total += sum((yield from expect(PONG, SIZE))[:1])
    return total


def answerer(rounds: int) -> Protocol[int]:
    total = 0
    for _ in range(rounds):
        total += (yield from expect(PING, SIZE))[0]
        yield Send(PONG, bytes([1]) * SIZE)
    return total


def run_over(open_link: Callable[[], Link], protocol: Protocol[Any]) -> Any:
    with open_link() as link:
        return drive(Party(protocol), link, step_timeout=5, progress=ignore)


def test_a_run_over_flight_and_the_port_is_free_again(identities: tuple[Identity, Identity, Identity]) -> None:
    media, shop, _ = identities
    port = free_port()
    address = Address(f"127.0.0.1:{port}")
    for _ in range(2):
        got, heard = both(
            lambda: run_over(lambda: listen(address, identity=media, peer=shop.certificate, timeout=10), answerer(20)),
            lambda: run_over(lambda: connect(address, identity=shop, peer=media.certificate, timeout=10), asker(20)),
        )
        assert (got, heard) == (sum(range(20)), 20)


@dataclass
class Passed:
    """What went over one connection, both ways."""

    bytes: int = 0
    limit: int = 0  # none yet
    cut: bool = False


class Proxy:
    """Forwards one port to another and cuts connections, each after so many bytes.

    Knocks, and looks whether the port is open, are too small to be cut: how many there are depends on the machine.
    """

    def __init__(self, target: int, cuts: list[int], *, pause: float = 0.0, piece: int = 16_384) -> None:
        self.pause = pause  # seconds between two pieces
        self.piece = piece  # bytes
        self.cuts = list(cuts)
        self.cut = 0
        self.target = target
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            try:
                upstream = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            passed = Passed()
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._forward, args=(source, sink, passed), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, passed: Passed) -> None:
        try:
            while data := source.recv(self.piece):
                time.sleep(self.pause)
                if self._is_over(passed, len(data)):
                    break
                sink.sendall(data)
        except OSError:
            pass  # the other direction was cut first
        for end in (source, sink):
            end.close()

    def _is_over(self, passed: Passed, more: int) -> bool:
        with self.lock:
            passed.bytes += more
            if passed.bytes < SMALL or passed.cut:
                return passed.cut
            if passed.limit == 0:
                passed.limit = self.cuts.pop(0) if self.cuts else 1 << 60
            if passed.bytes >= passed.limit:
                passed.cut = True
                self.cut += 1
            return passed.cut


def test_a_connection_that_is_cut_resumes(identities: tuple[Identity, Identity, Identity]) -> None:
    media, shop, _ = identities
    port = free_port()
    proxy = Proxy(port, [700_000, 1_500_000, 90_000])
    got, heard = both(
        lambda: run_over(
            lambda: listen(Address(f"127.0.0.1:{port}"), identity=media, peer=shop.certificate, timeout=10),
            answerer(20),
        ),
        lambda: run_over(
            lambda: connect(Address(f"127.0.0.1:{proxy.port}"), identity=shop, peer=media.certificate, timeout=10),
            asker(20),
        ),
        seconds=60,
    )
    proxy.server.close()
    assert (got, heard) == (sum(range(20)), 20)
    assert proxy.cut == 3


def test_a_peer_whose_bytes_come_now_and_then(identities: tuple[Identity, Identity, Identity]) -> None:
    """Slow is not silent: what counts is that a whole message comes within the step's timeout."""
    media, shop, _ = identities
    port = free_port()
    proxy = Proxy(port, [], pause=0.002, piece=1500)
    got, heard = both(
        lambda: run_over(
            lambda: listen(Address(f"127.0.0.1:{port}"), identity=media, peer=shop.certificate, timeout=20),
            answerer(3),
        ),
        lambda: run_over(
            lambda: connect(Address(f"127.0.0.1:{proxy.port}"), identity=shop, peer=media.certificate, timeout=20),
            asker(3),
        ),
        seconds=60,
    )
    proxy.server.close()
    assert (got, heard) == (3, 3)


def test_a_wrong_certificate_ends_the_connecting_side_at_once(
    identities: tuple[Identity, Identity, Identity],
) -> None:
    media, shop, stranger = identities
    for mine, pinned in ((stranger, media), (shop, stranger)):
        address = Address(f"127.0.0.1:{free_port()}")
        started = time.monotonic()
        waited, refused = both(
            lambda address=address: listen(address, identity=media, peer=shop.certificate, timeout=3),
            lambda address=address, mine=mine, pinned=pinned: connect(
                address, identity=mine, peer=pinned.certificate, timeout=20
            ),
        )
        assert isinstance(refused, PeerError) and "certificate" in str(refused)
        assert isinstance(waited, PeerError)
        assert time.monotonic() - started < 15


def test_nobody_listens_and_a_taken_port(identities: tuple[Identity, Identity, Identity]) -> None:
    media, shop, _ = identities
    with pytest.raises(PeerError, match="nobody listens"):
        connect(Address(f"127.0.0.1:{free_port()}"), identity=shop, peer=media.certificate, timeout=0.3)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PeerError, match="cannot listen"):
        listen(Address(f"127.0.0.1:{taken.getsockname()[1]}"), identity=media, peer=shop.certificate, timeout=1)


@pytest.mark.parametrize("text", ["", "localhost", ":1", "host:", "host:-1", "host:65536", "host:x", "host:１"])
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(UsageError):
        Address(text)
