"""Every message of a whole run, in both directions, is the one at which the connection breaks.

Real runs are walked: the frames of each profile and each kind of noise come from `execute` on both sides. A connection
that can be resumed gives the same frames to the last byte and the same result; one that cannot ends both sides.
"""

from __future__ import annotations

import functools
import queue
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cleanroom.agreement.model import Agreement, Noise, Profile, Role
from cleanroom.carrier import Carrier, CarrierLostError, Dial, PeerSilentError, memory_dials
from cleanroom.drive import drive, silent
from cleanroom.errors import PeerError
from cleanroom.execute import execute
from cleanroom.link import RESUME_ATTEMPTS, Link
from cleanroom.protocols.party import Party
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Message, Protocol, ProtocolId, Send, expect
from tests.cleanroom.test_link import both
from tests.cleanroom.whole_run import NO_NOISE, NONCES, SEEDS, Told, agreement_of, inputs, lookups, rows
from tests.harness import run_pair

FRAME, GREETING, FINISHED = 1, 5, 6
RUNS = [(profile, noise) for profile in Profile for noise in (Noise.GAUSSIAN, Noise.NONE)]
HEADER = struct.Struct("<BBHIQ")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter pauses, and more of them: should the other side be late, there are as many seconds for it as in a run."""
    monkeypatch.setattr("cleanroom.carrier._POLL_SECONDS", 0.01)
    monkeypatch.setattr("cleanroom.link.RESUME_FIRST_PAUSE", 0.02)
    monkeypatch.setattr("cleanroom.link.RESUME_ATTEMPTS", RESUME_ATTEMPTS + 4)
    monkeypatch.setattr("cleanroom.link.DRAIN_SECONDS", 0.01)
    monkeypatch.setattr("cleanroom.link.FINISH_SECONDS", 60.0)  # longer than a test waits: nobody may need it


@dataclass
class Wire:
    """The connections of one run: every message that was handed to one, and where one breaks."""

    at: set[tuple[int, int]] = field(default_factory=set)  # (side, number of the message in its direction, from 0)
    arrives: bool = (
        False  # the message at which a connection breaks is the last that arrives, or the first that is lost
    )
    for_good: bool = False
    patience: float = 30.0  # seconds for the first connection
    buffered: bool = False  # the network holds any number of messages that this side has not read
    everywhere: bool = False  # every frame breaks the connection when it is sent for the first time
    seen: set[tuple[int, int]] = field(default_factory=set)
    sent: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    breaks: int = 0
    dials: int = 0
    gone: threading.Event = field(default_factory=threading.Event)

    def links(self) -> tuple[Callable[[], Link], Callable[[], Link]]:
        first, second = (self._dial(side, dial) for side, dial in enumerate(memory_dials()))
        return (lambda: Link(first, timeout=self.patience)), (lambda: Link(second, timeout=self.patience))

    def _dial(self, side: int, dial: Dial) -> Dial:
        def opened(timeout: float) -> Carrier:
            self.dials += 1
            if self.gone.is_set():
                raise CarrierLostError("gone for good")
            return _Watched(dial(timeout), side, self)

        return opened

    def copies(self) -> dict[tuple[int, int], set[bytes]]:
        """All forms in which a frame was ever handed to a connection, by side and sequence number."""
        found: dict[tuple[int, int], set[bytes]] = {}
        for side, messages in enumerate(self.sent):
            for message in messages:
                if message[0] == FRAME:
                    number = HEADER.unpack_from(message, 1)[3]
                    found.setdefault((side, number), set()).add(message[1:])
        return found


class _Watched(Carrier):
    def __init__(self, inner: Carrier, side: int, wire: Wire) -> None:
        super().__init__()
        self.inner, self.side, self.wire = inner, side, wire
        self.buffer: queue.SimpleQueue[bytes | PeerError] = queue.SimpleQueue()
        if wire.buffered:
            threading.Thread(target=self._prefetch, daemon=True).start()

    def send(self, message: bytes) -> None:
        number = len(self.wire.sent[self.side])
        self.wire.sent[self.side].append(message)
        breaks, arrives = (self.side, number) in self.wire.at, self.wire.arrives
        if self.wire.everywhere and message[0] == FRAME:
            frame = (self.side, HEADER.unpack_from(message, 1)[3])
            breaks, arrives = frame not in self.wire.seen, frame[1] % 2 == 0
            self.wire.seen.add(frame)
        if breaks:
            self.wire.breaks += 1
            if self.wire.for_good:
                self.wire.gone.set()
        if not breaks or arrives:
            self.inner.send(message)
        if breaks:
            self.inner.close()
            if not arrives:
                raise CarrierLostError("cut")

    def _prefetch(self) -> None:
        while True:
            try:
                self.buffer.put(self.inner.receive(10))
            except PeerError as end:
                self.buffer.put(end)
                return

    def receive(self, timeout: float) -> bytes:
        if self.wire.buffered:
            try:
                message = self.buffer.get(timeout=timeout)
            except queue.Empty:
                raise PeerSilentError("silent") from None
            if isinstance(message, PeerError):
                raise message
            return message
        if self.inner.closed.is_set() and self.wire.for_good:
            raise CarrierLostError("cut")
        return self.inner.receive(timeout)

    def close(self) -> None:
        self.closed.set()
        self.inner.close()


@dataclass(frozen=True)
class Recorded:
    """A real run's frames, in each side's own order: (sent, frame), and its messages."""

    script: tuple[tuple[tuple[bool, Message, bytes], ...], tuple[tuple[bool, Message, bytes], ...]]


def sides(profile: Profile, noise: Noise, told: Told | None = None) -> tuple[Any, Any]:
    """Both sides' inputs of one fixed small run."""
    agreement: Agreement = agreement_of(noise)
    agreement = replace(agreement, protocol=replace(agreement.protocol, profile=profile))
    told = Told() if told is None else told
    return (
        inputs(
            Role.EXPOSURE, agreement, lookups(range(60)), told=told, noise=NO_NOISE[0], seed=SEEDS[0], nonce=NONCES[0]
        ),
        inputs(
            Role.OUTCOME, agreement, rows(range(30, 90)), told=told, noise=NO_NOISE[1], seed=SEEDS[1], nonce=NONCES[1]
        ),
    )


@functools.cache
def recorded(profile: Profile, noise: Noise) -> Recorded:
    """Runs both sides once, undisturbed."""
    first, second = sides(profile, noise)
    run = run_pair(execute(first), execute(second), None, (first.transcript, second.transcript))
    frames: tuple[list[bytes], list[bytes]] = ([], [])
    for side, _, frame in run.frames:
        frames[side].append(frame)
    scripts = []
    for own, transcript in enumerate((first.transcript, second.transcript)):
        left = (iter(frames[own]), iter(frames[1 - own]))
        script = []
        for entry in transcript.entries:
            sent = entry.direction is Direction.SENT
            frame = next(left[0] if sent else left[1])
            _, protocol, kind, _, _ = HEADER.unpack_from(frame)
            script.append((sent, Message(protocol=ProtocolId(protocol), type=kind, step=entry.step), frame))
        scripts.append(tuple(script))
    return Recorded(script=(scripts[0], scripts[1]))


def scripted(script: tuple[tuple[bool, Message, bytes], ...], charge: Callable[[], None]) -> Protocol[str]:
    """Says again what one side of a recorded run said, at the same points, and checks that it hears the same."""
    for sent, message, frame in script:
        payload = frame[FRAME_HEADER_BYTES:]
        if sent:
            if message.step == "release.terms":
                charge()
            yield Send(message, payload)
        else:
            assert (yield from expect(message, len(payload))) == payload
    return "done"


def play(
    wire: Wire,
    protocols: tuple[Callable[[], Protocol[Any]], Callable[[], Protocol[Any]]],
    transcripts: tuple[Transcript | None, Transcript | None] = (None, None),
) -> tuple[Any, Any]:
    """Runs both sides over the wire; gives results or errors."""

    def one(side: int) -> Any:
        with links[side]() as link:
            return drive(Party(protocols[side](), transcripts[side]), link, step_timeout=20, progress=silent)

    links = wire.links()
    return both(lambda: one(0), lambda: one(1), seconds=60)


def undisturbed(script: Recorded) -> Wire:
    wire = Wire()
    assert play(wire, tuple(lambda side=side: scripted(script.script[side], lambda: None) for side in (0, 1))) == (  # type: ignore[misc]
        "done",
        "done",
    )
    return wire


@pytest.mark.parametrize(("profile", "noise"), RUNS)
@pytest.mark.parametrize("arrives", [False, True])
def test_a_connection_that_breaks_at_any_one_message_resumes_with_the_same_bytes(
    profile: Profile, noise: Noise, arrives: bool
) -> None:
    script = recorded(profile, noise)
    clean = undisturbed(script)
    expected = {key: next(iter(forms)) for key, forms in clean.copies().items()}
    walked = 0
    for side in (0, 1):
        assert [clean.sent[side][at][0] for at in (0, -1)] == [GREETING, FINISHED]
        for number in range(len(clean.sent[side])):
            wire = Wire(at={(side, number)}, arrives=arrives)
            ends = play(wire, tuple(lambda side=side: scripted(script.script[side], lambda: None) for side in (0, 1)))  # type: ignore[misc]
            assert ends == ("done", "done"), (side, number, ends)
            assert wire.breaks == 1
            assert wire.copies() == {key: {frame} for key, frame in expected.items()}, (side, number)
            walked += 1
    assert walked == sum(map(len, clean.sent)) > 40


@pytest.mark.parametrize(("profile", "noise"), RUNS)
def test_a_run_whose_connection_breaks_at_every_message_computes_the_same(profile: Profile, noise: Noise) -> None:
    """Not recorded but computed: nothing that a break could make a step do again, or otherwise, stays hidden."""
    expected = undisturbed(recorded(profile, noise)).copies()
    first, second = sides(profile, noise)
    wire = Wire(everywhere=True)
    ends = play(wire, (lambda: execute(first), lambda: execute(second)), (first.transcript, second.transcript))
    assert not [end for end in ends if isinstance(end, BaseException)], ends
    assert wire.breaks == len(expected)
    assert wire.copies() == expected
    assert (ends[0].opening.values == ends[1].opening.values).all()
    assert ends[0].opening.values[0].tolist() == [30, 30, 45]


@pytest.mark.parametrize(("profile", "noise"), RUNS)
def test_a_connection_that_breaks_for_good_at_any_message_ends_both_sides(
    profile: Profile, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A side is charged exactly when it could have opened something: when both have confirmed the same transcript."""
    monkeypatch.setattr("cleanroom.link.RESUME_FIRST_PAUSE", 0.005)
    monkeypatch.setattr("cleanroom.link.RESUME_ATTEMPTS", RESUME_ATTEMPTS)
    script = recorded(profile, noise)
    clean = undisturbed(script)
    confirmed = 0
    for side in (0, 1):
        for number in range(len(clean.sent[side])):
            charged = [0, 0]
            # before the first greeting both try until their timeout
            wire = Wire(at={(side, number)}, for_good=True, patience=1.0 if number == 0 else 30.0)

            def charge(who: int, charged: list[int] = charged) -> None:
                charged[who] += 1

            ends = play(
                wire,
                tuple(  # type: ignore[arg-type]
                    lambda who=who, charge=charge: scripted(script.script[who], lambda: charge(who)) for who in (0, 1)
                ),
            )
            wants = [next((n for n, m in enumerate(clean.sent[s]) if opening(m)), 0) for s in (0, 1)]
            for who in (0, 1):
                assert ends[who] == "done" or isinstance(ends[who], PeerError), (side, number, ends)
                if who == side:
                    assert charged[who] == (number >= wants[who]), (side, number)
                if ends[who] == "done":
                    assert number >= len(clean.sent[side]) - 2, "only the last words of a run may be missing"
                    assert charged[who] == 1
            assert number == 0 or wire.dials <= 2 + 2 * RESUME_ATTEMPTS  # before the first greeting: until its timeout
            confirmed += sum(charged)
    assert confirmed > 0


def opening(message: bytes) -> bool:
    """Whether this is the first message of the opening, before which a side is charged."""
    return message[0] == FRAME and HEADER.unpack_from(message, 1)[1] == ProtocolId.RELEASE


def test_another_query_after_a_resumption_is_refused() -> None:
    """A peer that resumes, and asks again otherwise what was answered, is refused: an answer is given once."""
    question = Message(protocol=ProtocolId.OPRF_KKRT, type=1, step="test.question")
    answer = Message(protocol=ProtocolId.OPRF_KKRT, type=2, step="test.answer")
    answered: list[bytes] = []

    def honest() -> Protocol[None]:
        for _ in range(2):
            answered.append((yield from expect(question, 4)))
            yield Send(answer, b"once")

    def frame(number: int, body: bytes) -> bytes:
        return bytes([FRAME]) + HEADER.pack(1, question.protocol, question.type, number, len(body)) + body

    one, two = memory_dials()
    greeting = struct.Struct("<16s16sQ")

    def hostile() -> None:
        carrier = two(5)
        token = carrier.receive(5)[1:17]
        carrier.send(bytes([GREETING]) + greeting.pack(b"h" * 16, bytes(16), 0))
        carrier.send(frame(0, b"ask1"))
        assert carrier.receive(5).endswith(b"once")
        carrier.close()
        carrier = two(5)
        carrier.receive(5)
        carrier.send(bytes([GREETING]) + greeting.pack(b"h" * 16, token, 0))
        carrier.send(frame(0, b"ask2"))
        carrier.receive(5)

    def drive_honest() -> None:
        with Link(one, timeout=5) as link:
            drive(Party(honest(), Transcript(from_exposure=Direction.SENT)), link, step_timeout=5, progress=silent)

    refused, _ = both(drive_honest, hostile)
    assert isinstance(refused, PeerError) and "test.question" in str(refused)
    assert answered == [b"ask1"]


def test_a_burst_that_was_under_way_when_the_connection_broke_arrives_whole() -> None:
    """More frames than may wait unread: those that were not read count as lost, and are sent again."""
    burst = Message(protocol=ProtocolId.GROUPED_SUM, type=9, step="test.burst")
    go = Message(protocol=ProtocolId.GROUPED_SUM, type=10, step="test.go")
    count = 200

    def sender() -> Protocol[str]:
        yield from expect(go, 1)
        for number in range(count):
            yield Send(burst, number.to_bytes(2, "little"))
        yield from expect(go, 1)
        return "done"

    def receiver() -> Protocol[list[int]]:
        heard = []
        yield Send(go, b"!")
        for number in range(count):
            heard.append(int.from_bytes((yield from expect(burst, 2)), "little"))
            if number == 3:
                time.sleep(0.3)  # the rest has arrived by now
                yield Send(go, b"!")
        return heard

    for cut in ({(1, 2)}, {(0, 40)}, {(0, 150)}):  # (1, 2): the second go, with all of the burst unread
        wire = Wire(at=cut, buffered=True)
        assert play(wire, (sender, receiver)) == ("done", list(range(count))), cut
        assert wire.breaks == 1
