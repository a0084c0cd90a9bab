"""Oblivious transfer and what is built on it, one after the other over the same state."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols import comparison, conjunction, equality, mux, ot, silent_ot
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol
from cleanroom.vectors.joins import digest_of, frames_hold, streams_of
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["silent_transfers_run", "silent_transfers_scene", "transfers_run", "transfers_scene"]

Outputs: TypeAlias = dict[str, NDArray[Any]]
"""By step what one side gets: words, or bits of a byte each."""

_THRESHOLD = 50


def transfers_scene(content: Any) -> Scene[Outputs, Outputs]:
    """Two set-ups, an equality test, a multiplexer, a comparison and a conjunction."""
    return (
        lambda: Side(protocol=_exposure(streams_of(content, "exposure"))),
        lambda: Side(protocol=_outcome(streams_of(content, "outcome"))),
    )


def _exposure(streams: Streams) -> Protocol[Outputs]:
    sender = yield from ot.sender_setup(streams=streams, label="exposure-sends")
    receiver = yield from ot.receiver_setup(streams=streams, label="outcome-sends")
    bits = yield from equality.sender(sender, _words("equality", 60))
    shares = yield from mux.exposure(sender, receiver, bits, _words("z", 120).reshape(60, 2))
    passed = yield from comparison.sender(sender, _words("comparison", 40), _THRESHOLD)
    all_ones = yield from conjunction.sender(sender, _held())
    return {"equality": bits, "mux": shares, "comparison": passed, "conjunction": all_ones}


def _outcome(streams: Streams) -> Protocol[Outputs]:
    receiver = yield from ot.receiver_setup(streams=streams, label="exposure-sends")
    sender = yield from ot.sender_setup(streams=streams, label="outcome-sends")
    bits = yield from equality.receiver(receiver, _other_words(60))
    shares = yield from mux.outcome(sender, receiver, bits, _words("r", 120).reshape(60, 2))
    counts = np.arange(30, 70, dtype=np.uint64)
    passed = yield from comparison.receiver(receiver, counts - _words("comparison", 40), _THRESHOLD)
    held = _held() ^ np.uint8(1)
    held[[1, 2], [69, 0]] ^= np.uint8(1)  # one bit of the second and of the third row is zero
    all_ones = yield from conjunction.receiver(receiver, held)
    return {"equality": bits, "mux": shares, "comparison": passed, "conjunction": all_ones}


def _words(label: str, count: int) -> NDArray[np.uint64]:
    """Returns the inputs of a label: SHA-256(label ‖ number as text), the first 8 bytes little endian."""
    return np.array(
        [int.from_bytes(sha256(f"{label}{number}".encode()).digest()[:8], "little") for number in range(count)],
        dtype=np.uint64,
    )


def _other_words(count: int, width: int = equality.WIDTH) -> NDArray[np.uint64]:
    """What the outcome side compares with the words of "equality": every third one differs in a bit below `width`."""
    others = _words("equality", count)
    others[::3] ^= np.uint64(1) << (np.arange(0, count, 3, dtype=np.uint64) % np.uint64(width))
    return others


def _held() -> NDArray[np.uint8]:
    """The exposure side's shares of the conjunction's bits, 3 × 70."""
    return np.stack([(_words(f"conjunction {row} ", 70) & np.uint64(1)).astype(np.uint8) for row in range(3)])


def transfers_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Every frame, and digests of what both sides got."""
    run = run_scene(transfers_scene(content))
    yield from frames_hold(content, run.frames)
    for step, expected in content["outputs"].items():
        yield f"outputs of {step}", [digest_of(run.first[step]), digest_of(run.second[step])] == expected


_SILENT_LABEL = "exposure-sends"


def silent_transfers_scene(content: Any) -> Scene[NDArray[np.uint8], NDArray[np.uint8]]:
    """A set-up in one direction, and an equality test on silent transfers over it."""
    count, width = content["count"], content["width"]
    return (
        lambda: Side(protocol=_silent_sender(streams_of(content, "exposure"), count, width)),
        lambda: Side(protocol=_silent_receiver(streams_of(content, "outcome"), count, width)),
    )


def _silent_sender(streams: Streams, count: int, width: int) -> Protocol[NDArray[np.uint8]]:
    base = yield from ot.sender_setup(streams=streams, label=_SILENT_LABEL)
    transfers = silent_ot.sender(base, streams=streams, label=_SILENT_LABEL)
    return (yield from equality.sender(transfers, _words("equality", count), width=width))


def _silent_receiver(streams: Streams, count: int, width: int) -> Protocol[NDArray[np.uint8]]:
    base = yield from ot.receiver_setup(streams=streams, label=_SILENT_LABEL)
    transfers = silent_ot.receiver(base, streams=streams, label=_SILENT_LABEL)
    return (yield from equality.receiver(transfers, _other_words(count, width), width=width))


def silent_transfers_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Every frame, and digests of both sides' shares."""
    run = run_scene(silent_transfers_scene(content))
    yield from frames_hold(content, run.frames)
    yield "the shares", [digest_of(run.first), digest_of(run.second)] == content["shares"]
