"""A peer that runs the protocol and lies at one message: a real process on the other side ends with exit code 5.

`tests/cleanroom/test_hostile_peer.py` lies at every message of every profile, in one process; here is one of each kind.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cleanroom.link import Link
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.cli.deviating import DeviatingShop, met_by, runs_charged
from tests.cli.test_faults import checked
from tests.cli.world import Scene, Started

Change = Callable[[bytes], list[bytes]]
MEMORY = 600 << 20
"""Resident bytes that a side of this world stays under: the libraries and 32 + 32 messages of 4 MiB."""


@dataclass(slots=True)
class Liar(DeviatingShop):
    """Changes its frames of one step on their way out."""

    step: str
    change: Change
    now: str = ""
    lied: int = 0

    def tap(self, link: Link) -> None:
        send = link.send

        def lying(frame: bytes, *, timeout: float) -> None:
            frames = [frame]
            if self.now == self.step:
                self.lied += 1
                frames = self.change(frame)
            for each in frames:
                send(each, timeout=timeout)

        link.send = lying  # type: ignore[method-assign]


def length_of(frame: bytes, length: int) -> bytes:
    return frame[:8] + struct.pack("<Q", length) + frame[FRAME_HEADER_BYTES:]


def replaced(frame: bytes, piece: bytes) -> bytes:
    """A frame with the first bytes of its payload replaced."""
    return frame[:FRAME_HEADER_BYTES] + piece + frame[FRAME_HEADER_BYTES + len(piece) :]


LIES: dict[str, tuple[str, Change]] = {
    "empty": ("session.nonce", lambda frame: [b""]),
    "truncated": ("hint.table", lambda frame: [frame[:-1]]),
    "extended": ("oprf.evaluated", lambda frame: [frame + b"\0"]),
    "repeated": ("hint.seed", lambda frame: [frame, frame]),
    "the next one's number": ("session.hello", lambda frame: [frame[:4] + b"\1" + frame[5:]]),
    "left out": ("mux.outcome_correction_and_difference", lambda frame: []),
    "announces 2^63 bytes": ("equality.correction", lambda frame: [length_of(frame, 1 << 63)]),
    "a header that announces 4 MiB": ("ot.tree_sums", lambda frame: [length_of(frame, 1 << 22)[:FRAME_HEADER_BYTES]]),
    "another version": ("base_ot.receiver_elements", lambda frame: [b"\2" + frame[1:]]),
    "the identity": ("base_ot.sender_elements", lambda frame: [replaced(frame, bytes(32))]),
    "a non-canonical element": ("oprf.evaluated", lambda frame: [replaced(frame, b"\xff" * 32)]),
    "a residue over its prime": ("grouped_sum.ciphertexts", lambda frame: [replaced(frame, b"\xff" * 7)]),
    "a masked value": ("equality.correction", lambda frame: [replaced(frame, bytes([frame[16] ^ 1]))]),
    "another transcript": ("session.confirm", lambda frame: [replaced(frame, bytes(32))]),
}
OPENING: dict[str, tuple[str, Change]] = {
    "an opened share": ("release.cells", lambda frame: [replaced(frame, bytes(40))]),
    "a signature": ("release.signature", lambda frame: [replaced(frame, bytes(64))]),
    "the seal": ("session.seal", lambda frame: [replaced(frame, bytes(64))]),
}


@contextmanager
def lied_to(scene: Scene, step: str, change: Change) -> Iterator[Started]:
    """Media as a real process, the shop as a liar in this one."""
    scene.agree()
    liar = Liar(step, change)
    with met_by(scene, liar) as media:
        yield media
    assert liar.lied, f"no message of {step} was sent"


@pytest.mark.parametrize("what", LIES)
def test_a_lie_before_the_opening_is_exit_5_and_nothing_is_charged(scene: Scene, what: str) -> None:
    with lied_to(scene, *LIES[what]) as media:
        line = checked(scene, "media", 5, media.ended(90))
    assert "bug" not in line
    assert runs_charged(scene) == 0


@pytest.mark.parametrize("what", OPENING)
def test_a_lie_in_the_opening_is_exit_5_and_no_file_is_left(scene: Scene, what: str) -> None:
    with lied_to(scene, *OPENING[what]) as media:
        line = checked(scene, "media", 5, media.ended(90))
    assert "bug" not in line
    assert runs_charged(scene) == 1  # paid for: something may have been seen


def test_frames_without_end_do_not_fill_the_memory(scene: Scene) -> None:
    largest = 0

    def endless(frame: bytes) -> list[bytes]:
        return [frame] * 1000

    with lied_to(scene, "hint.table", endless) as media:
        status = Path(f"/proc/{media.process.pid}/status")
        while media.process.poll() is None:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines()) if status.exists() else {}
            largest = max(largest, int(lines.get("VmHWM", "0 kB").split()[0]) << 10)
            time.sleep(0.05)
        line = checked(scene, "media", 5, media.ended(90))
    assert "bug" not in line
    assert 0 < largest < MEMORY
