"""A peer that sends messages which are sound, but not here: swapped, again, of another session, or this side's own.

Both profiles; a real process on the other side ends with exit code 5, charges nothing and leaves nothing.
`tests/cleanroom/test_hostile_peer.py` does the same at every message, in one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cleanroom.link import Link
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.cli.deviating import PATIENCE, DeviatingShop, met_by, runs_charged
from tests.cli.test_faults import checked
from tests.cli.world import Scene


@dataclass(slots=True)
class Repeater(DeviatingShop):
    """Knows what was said in this run, and in another session of the same agreement."""

    step: str
    act: Callable[[Repeater, bytes], list[bytes]]
    now: str = ""
    before: dict[str, list[bytes]] = field(default_factory=dict)  # what it sent in the other session, by step
    sent: dict[str, list[bytes]] = field(default_factory=dict)
    heard: list[bytes] = field(default_factory=list)
    held: list[bytes] = field(default_factory=list)
    acted: int = 0

    def tap(self, link: Link) -> None:
        send, receive = link.send, link.receive

        def sending(frame: bytes, *, timeout: float) -> None:
            frames = [*self.held, frame]
            self.sent.setdefault(self.now, []).append(frame)
            if self.held:
                frames = [frame, *self.held]
                self.held = []
            elif self.now == self.step and not self.acted:
                frames = self.act(self, frame)
                self.acted += 1
            for each in frames:
                send(each, timeout=timeout)

        def receiving(*, timeout: float, waiting_for: str) -> bytes:
            frame: bytes = receive(timeout=timeout, waiting_for=waiting_for)
            self.heard.append(frame)
            return frame

        link.send, link.receive = sending, receiving  # type: ignore[method-assign]


def swapped(repeater: Repeater, frame: bytes) -> list[bytes]:
    repeater.held = [frame]  # goes out behind the next one
    return []


def repeated(repeater: Repeater, frame: bytes) -> list[bytes]:
    """The message before it instead."""
    frames = [each for frames in repeater.sent.values() for each in frames]
    return [frames[frames.index(frame) - 1]]


def of_another_session(repeater: Repeater, frame: bytes) -> list[bytes]:
    old = repeater.before[repeater.step][0]
    assert len(old) == len(frame) and old[:FRAME_HEADER_BYTES] == frame[:FRAME_HEADER_BYTES] and old != frame
    return [old]


def reflected(repeater: Repeater, frame: bytes) -> list[bytes]:
    """This side's own last message, in its frame."""
    assert repeater.heard[-1] != frame
    return [repeater.heard[-1]]


def reflected_payload(repeater: Repeater, frame: bytes) -> list[bytes]:
    """What the other side itself said at this step, as the answer to it."""
    own = next(each for each in reversed(repeater.heard) if len(each) == len(frame) and each[:4] == frame[:4])
    return [frame[:FRAME_HEADER_BYTES] + own[FRAME_HEADER_BYTES:]]


ACTS: dict[str, tuple[str, Callable[[Repeater, bytes], list[bytes]]]] = {
    "swapped": ("hint.seed", swapped),
    "repeated": ("hint.table", repeated),
    "reflected": ("equality.correction", reflected),
    "this side's hello": ("session.hello", reflected_payload),
    "this side's nonce": ("session.nonce", reflected_payload),
}
OLD = ("session.nonce", "hint.seed", "equality.correction", "session.confirm")
PROFILES = ("ecdh", "kkrt", "vole")


def meet(scene: Scene, repeater: Repeater) -> int:
    """Runs media as a process against the repeater; returns media's exit code."""
    began = time.monotonic()
    with met_by(scene, repeater) as media:
        ended = media.ended(2 * PATIENCE)
    assert repeater.acted, f"no message of {repeater.step} was sent"
    assert time.monotonic() - began < 2 * PATIENCE
    if ended.code:
        line = checked(scene, "media", ended.code, ended)
        assert "bug" not in line
    return ended.code


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("what", ACTS)
def test_a_message_out_of_its_place_is_exit_5(scene: Scene, profile: str, what: str) -> None:
    scene.agree(profile=profile, noise="gaussian")
    assert meet(scene, Repeater(*ACTS[what])) == 5
    assert runs_charged(scene) == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_a_message_of_another_session_is_exit_5(scene: Scene, profile: str) -> None:
    """The other session is one of the same two parties, on the same agreement and data; it broke off unharmed."""
    scene.agree(profile=profile, noise="gaussian")
    recorder = Repeater("session.confirm", lambda repeater, frame: [bytes(len(frame))])
    assert meet(scene, recorder) == 5
    for step in OLD:
        (scene.out("media") / "failure.json").unlink(missing_ok=True)
        replaying = Repeater(step, of_another_session, before=recorder.sent)
        assert meet(scene, replaying) == 5, step
        assert runs_charged(scene) == 0
