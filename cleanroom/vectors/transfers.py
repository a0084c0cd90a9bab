"""Checks of oblivious transfer and of what is built on it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols import comparison, equality, mux, ot
from cleanroom.protocols.seeds import Streams
from cleanroom.vectors.pairs import Exchange, exchange

__all__ = ["runs", "transcripts"]

NAMES: Final = ("exposure", "outcome")


def transcripts(content: Any) -> Iterator[tuple[str, bool]]:
    """The project's own answers: every frame of two set-ups, an equality test, a multiplexer and a comparison."""
    seeds = {name: bytes.fromhex(content["seeds"][name]) for name in NAMES}
    found = runs(seeds, bytes.fromhex(content["session_id"]))
    for expected, run in zip(content["runs"], found, strict=True):
        yield str(expected["run"]), run == expected


def _words(label: str, count: int) -> NDArray[np.uint64]:
    """Returns the inputs of a label: SHA-256(label ‖ number as text), the first 8 bytes little endian."""
    return np.array(
        [int.from_bytes(sha256(f"{label}{number}".encode()).digest()[:8], "little") for number in range(count)],
        dtype=np.uint64,
    )


def _digest(array: NDArray[Any]) -> str:
    return sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _frames(run: Exchange[Any, Any]) -> list[dict[str, object]]:
    return [
        {"from": NAMES[sender], "step": step, "length": len(frame), "sha256": sha256(frame).hexdigest()}
        for sender, step, frame in run.frames
    ]


def runs(seeds: dict[str, bytes], session_id: bytes) -> Iterator[dict[str, object]]:
    """Runs the transfers, one after the other over the same state.

    Args:
        seeds: 32 bytes for `exposure` and for `outcome`.
        session_id: 32 bytes.

    Yields:
        The name of a run, digests of what both sides got, and its frames.
    """
    streams = {name: Streams(seed=seed, session_id=session_id) for name, seed in seeds.items()}
    forth = exchange(
        ot.sender_setup(streams=streams["exposure"], label="exposure-sends"),
        ot.receiver_setup(streams=streams["outcome"], label="exposure-sends"),
    )
    yield {"run": "setup exposure-sends", "frames": _frames(forth)}
    back = exchange(
        ot.receiver_setup(streams=streams["exposure"], label="outcome-sends"),
        ot.sender_setup(streams=streams["outcome"], label="outcome-sends"),
    )
    yield {"run": "setup outcome-sends", "frames": _frames(back)}

    a = _words("equality", 60)
    b = a.copy()
    b[::3] ^= np.uint64(1) << np.arange(0, 60, 3, dtype=np.uint64)
    bits = exchange(equality.sender(forth.first, a), equality.receiver(forth.second, b))
    yield {"run": "equality", "outputs": [_digest(bits.first), _digest(bits.second)], "frames": _frames(bits)}

    z, r = _words("z", 120).reshape(60, 2), _words("r", 120).reshape(60, 2)
    shares = exchange(
        mux.exposure(forth.first, back.first, bits.first, z), mux.outcome(back.second, forth.second, bits.second, r)
    )
    yield {"run": "mux", "outputs": [_digest(shares.first), _digest(shares.second)], "frames": _frames(shares)}

    masks = _words("comparison", 40)
    counts = np.arange(30, 70, dtype=np.uint64)
    passed = exchange(comparison.sender(forth.first, masks, 50), comparison.receiver(forth.second, counts - masks, 50))
    yield {"run": "comparison", "outputs": [_digest(passed.first), _digest(passed.second)], "frames": _frames(passed)}
