"""A peer that is wrong, late, silent, hostile or dead: exit code 5 and one line on every side that is left."""

from __future__ import annotations

import json
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from cleanroom.flight import Address, connect
from cleanroom.knock import knock
from tests.cli.test_faults import checked
from tests.cli.world import PARTIES, Scene, Started
from tests.cli.zygote import Forked, Zygote
from tests.ports import free_port

KINDS = {"frame": b"\x01", "heartbeat": b"\x02", "abort": b"\x03", "greeting": b"\x05"}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as process:
        yield process


def peer_line(scene: Scene, party: str, started: Started | Forked) -> str:
    """The line of a side whose peer failed."""
    return checked(scene, party, 5, started.ended())


def test_a_wrong_certificate_ends_both_sides_at_once(scene: Scene, identities: Path) -> None:
    """Each side holds a validly signed agreement, but they pin different certificates for the exposure side."""
    scene.agree()
    other = scene.root / "other"
    other.mkdir()
    stranger = Scene(root=other)
    for name in ("media", "shop"):
        (other / name).symlink_to(identities / ("stranger" if name == "media" else name))
    agreement = stranger.agree()
    address = f"127.0.0.1:{free_port()}"
    late = ("--connect-timeout", "600")  # far more than a line is waited for
    media = scene.start("media", "--listen", address, *late)
    shop = scene.start("shop", "--connect", address, *late, agreement=agreement)
    assert "the connecting side refused this party's certificate" in peer_line(scene, "media", media)
    assert "the listening side's certificate is not the one that the agreement pins" in peer_line(scene, "shop", shop)
    for party in PARTIES:
        (scene.out(party) / "failure.json").unlink()
    address = f"127.0.0.1:{free_port()}"
    shop = scene.start("shop", "--listen", address, *late)
    media = scene.start("media", "--connect", address, *late, agreement=agreement, identity=identities / "stranger")
    assert "the connecting side's certificate is not the one that the agreement pins" in peer_line(scene, "shop", shop)
    assert "the listening side refused this party's certificate" in peer_line(scene, "media", media)


def test_different_agreements_that_both_signed_are_exit_3_and_both_are_told(scene: Scene) -> None:
    scene.agree()
    changed = scene.agree(file="changed.toml", noise="gaussian")
    address = f"127.0.0.1:{free_port()}"
    media = scene.start("media", "--listen", address)
    shop = scene.start("shop", "--connect", address, agreement=changed)
    codes = set()
    for party, started in (("media", media), ("shop", shop)):
        ended = started.ended()
        assert "agreement" in checked(scene, party, ended.code, ended)
        codes.add(ended.code)
    assert 3 in codes
    assert codes <= {3, 5}


def test_nobody_listens_and_nobody_comes_and_a_taken_port(scene: Scene) -> None:
    scene.agree()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = scene.start("media", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        address = f"127.0.0.1:{free_port()}"
        shop = scene.start("shop", "--connect", address, "--connect-timeout", "0.5")
        assert f"nobody listens at {address}; tried for 0.5 s" in peer_line(scene, "shop", shop)
        assert "the port is taken" in peer_line(scene, "media", refused)
    waited = scene.start("media", "--listen", address, "--connect-timeout", "0.5")
    assert "no peer with the agreement's certificate came within 0.5 s" in peer_line(scene, "media", waited)


@dataclass(slots=True)
class Impostor:
    """The shop's certificate in the hands of a test: a real Flight client that says what the test wants."""

    writer: fl.FlightStreamWriter
    reader: fl.FlightStreamReader
    client: fl.FlightClient

    @classmethod
    def enter(cls, scene: Scene, port: int) -> Impostor:
        shop, media = scene.identity("shop"), scene.identity("media")
        knock("127.0.0.1", port, identity=shop, peer=media.certificate, timeout=60)
        client = fl.FlightClient(
            f"grpc+tls://127.0.0.1:{port}",
            tls_root_certs=media.certificate_pem,
            cert_chain=shop.certificate_pem,
            private_key=shop.key_pem,
            override_hostname=media.name,
        )
        writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(b"cleanroom/exchange/v1"))
        return cls(writer, reader, client)

    def say(self, message: bytes) -> None:
        self.writer.write_metadata(pa.py_buffer(message))

    def leave_when_told(self) -> None:
        """Reads until the other side says that it stops, then hangs up."""
        try:
            while bytes(self.reader.read_chunk().app_metadata or b"")[:1] != KINDS["abort"]:
                pass
            self.writer.done_writing()
        except (StopIteration, pa.ArrowException, OSError):
            return  # the other side has hung up

    def greet(self) -> None:
        """The greeting of a fresh process."""
        self.reader.read_chunk()
        self.say(KINDS["greeting"] + struct.pack("<16s16sQ", b"t" * 16, bytes(16), 0))


def flood(peer: Impostor) -> None:
    for _ in range(100):
        peer.say(KINDS["frame"] + bytes(1 << 20))


def record_batch(peer: Impostor) -> None:
    batch = pa.record_batch({"x": [1, 2, 3]})
    peer.writer.begin(batch.schema)
    peer.writer.write_batch(batch)


def frame(
    *, version: int = 1, protocol: int = 1, kind: int = 1, number: int = 0, length: int = 172, body: int = 172
) -> bytes:
    return KINDS["frame"] + struct.pack("<BBHIQ", version, protocol, kind, number, length) + bytes(body)


HOSTILE: dict[str, Callable[[Impostor], None]] = {
    "unknown kind": lambda peer: peer.say(b"\x63garbage"),
    "oversized": lambda peer: peer.say(KINDS["frame"] + bytes(8 << 20)),
    "no header": lambda peer: peer.say(KINDS["frame"] + b"\x01\x01"),
    "truncated": lambda peer: peer.say(frame(body=40)),
    "trailing bytes": lambda peer: peer.say(frame(body=180)),
    "announces too much": lambda peer: peer.say(frame(length=1 << 60)),
    "another message": lambda peer: peer.say(frame(protocol=2)),
    "another number": lambda peer: peer.say(frame(number=7)),
    "zeros for a hello": lambda peer: peer.say(frame()),
    "flood": flood,
    "record batch": record_batch,
    "second greeting": lambda peer: peer.say(KINDS["greeting"] + bytes(40)),
    "acknowledges the future": lambda peer: peer.say(b"\x04" + struct.pack("<Q", 1 << 40)),
}


@pytest.mark.parametrize("what", list(HOSTILE))
def test_a_hostile_peer_with_the_right_certificate_is_exit_5(scene: Scene, what: str) -> None:
    scene.agree()
    port = free_port()
    media = scene.start("media", "--listen", f"127.0.0.1:{port}", "--step-timeout", "5")
    peer = Impostor.enter(scene, port)
    peer.greet()

    def act() -> None:
        try:
            HOSTILE[what](peer)
            peer.leave_when_told()
        except (pa.ArrowException, OSError):
            return  # the other side has hung up in the middle of it

    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    line = peer_line(scene, "media", media)
    assert "bug" not in line
    acting.join(10)


def test_a_silent_peer_is_exit_5_after_the_step_timeout(scene: Scene) -> None:
    scene.agree()
    port = free_port()
    media = scene.start("media", "--listen", f"127.0.0.1:{port}", "--step-timeout", "1.5")
    peer = Impostor.enter(scene, port)
    peer.greet()
    assert "session.hello: the peer was silent for 1.5 s" in peer_line(scene, "media", media)


def test_a_peer_that_reads_nothing_does_not_hold_a_run(scene: Scene, zygote: Zygote) -> None:
    """A stopped process keeps its connection; the other side ends after its timeout, whatever it was doing."""
    scene.agree(noise="laplace")
    port = free_port()
    shop = scene.start("shop", "--listen", f"127.0.0.1:{port}", "--step-timeout", "2")
    media = zygote.start(scene, "media", "--connect", f"127.0.0.1:{port}", act="stop", at="send 5")
    assert "the peer was silent for 2 s" in peer_line(scene, "shop", shop)
    media.go_on()
    peer_line(scene, "media", media)


def _when(started: Started, words: str) -> None:
    """Waits until a process has said something on stderr."""
    assert started.process.stderr is not None
    for line in started.process.stderr:
        if line.startswith(words):
            return
    raise AssertionError(f"ended before it said {words!r}")


@pytest.mark.parametrize(
    "moments",
    [
        ("read and normalise: ", "oblivious PRF: "),
        pytest.param(("find the peer: ", "handshake: ", "hint (OKVS): ", "equality"), marks=pytest.mark.slow),
    ],
)
def test_a_killed_peer_is_exit_5_at_whatever_moment(
    scene: Scene, tmp_path: Path, identities: Path, zygote: Zygote, moments: tuple[str, ...]
) -> None:
    """One pair a moment, all at once. The side that is left waits before its charge, or the run could be over first."""
    running: list[tuple[Scene, str, Forked, str]] = []
    for number, moment in enumerate(moments):
        victim, left = PARTIES if number % 4 < 2 else PARTIES[::-1]
        own = tmp_path / f"scene-{number}"
        own.mkdir()
        pair = Scene.make(own, identities)
        pair.agree(noise="gaussian")
        address = f"127.0.0.1:{free_port()}"
        way = "--connect" if number % 2 else "--listen"
        other = zygote.start(pair, left, way, address, "--connect-timeout", "8", act="stop", at="ledger.charge before")
        doomed = pair.start(victim, "--listen" if number % 2 else "--connect", address)
        _when(doomed, moment)
        doomed.signal(signal.SIGKILL)
        assert doomed.process.wait(60) == -signal.SIGKILL
        assert pair.left(victim) == set()
        running.append((pair, left, other, moment))
        scene.processes += pair.processes
    for pair, left, other, moment in running:
        line = checked(pair, left, 5, other.ended(let_go_on=True))
        assert "peer" in line or "nobody listens" in line, (moment, line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_on_both_sides(scene: Scene, zygote: Zygote, number: signal.Signals) -> None:
    scene.agree()
    address = f"127.0.0.1:{free_port()}"
    media = scene.start("media", "--listen", address)
    shop = zygote.start(scene, "shop", "--connect", address, act="stop", at="send 5")  # or it would soon be over
    shop.stopped()
    media.signal(number)
    ended = media.ended()
    shop.go_on()
    assert checked(scene, "media", 1, ended) == "interrupted"
    assert "the peer stopped the run: its user interrupted it" in peer_line(scene, "shop", shop)


def test_an_interrupt_while_waiting_ends_at_once(scene: Scene) -> None:
    scene.agree()
    waiting = {
        "media": scene.start("media", "--listen", f"127.0.0.1:{free_port()}", "--connect-timeout", "600"),
        "shop": scene.start("shop", "--connect", f"127.0.0.1:{free_port()}", "--connect-timeout", "600"),
    }
    for party, started in waiting.items():
        _when(started, "read and normalise: ")
        time.sleep(0.3)
        started.signal(signal.SIGTERM)
        assert checked(scene, party, 1, started.ended()) == "interrupted"


def test_a_side_that_refuses_after_the_join_tells_the_other(scene: Scene) -> None:
    """An exact repeat is let past the check of the budget; with other data at the peer it is a new run after all."""
    scene.agree()
    assert [ended.code for ended in scene.pair().values()] == [0, 0]
    for party in PARTIES:
        scene.out(party).rename(scene.root / f"{party}-first")
    (scene.root / "media" / "ledger.sqlite").unlink()  # media forgets; shop does not
    touches = scene.root / "touches.csv"
    header, *lines = touches.read_text().splitlines(keepends=True)
    touches.write_text("".join([header, *lines[30:]]))
    ended = scene.pair()
    assert "over an overlapping period was made with media" in checked(scene, "shop", 6, ended["shop"])
    assert "its budget or release policy does not allow this run" in checked(scene, "media", 5, ended["media"])


@pytest.mark.slow  # the side that is left tries for ten seconds to resume
def test_the_library_connects_to_the_command(scene: Scene) -> None:
    """The same address and identities over `cleanroom.flight`: a peer that stops without a word is noticed."""
    scene.agree()
    port = free_port()
    media = scene.start("media", "--listen", f"127.0.0.1:{port}")
    shop, pinned = scene.identity("shop"), scene.identity("media").certificate
    with connect(Address(f"127.0.0.1:{port}"), identity=shop, peer=pinned, timeout=60):
        pass
    line = peer_line(scene, "media", media)
    assert "closed the connection" in line or "came within" in line
    assert json.loads((scene.out("media") / "failure.json").read_text())["exit_code"] == 5
