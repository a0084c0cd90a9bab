"""Runs of an oblivious PRF from fixed seeds, for the tests of all profiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.hint import Evaluator
from cleanroom.protocols.oprf_ecdh import QUERY_BYTES
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol
from tests.harness import Run, Tamper, run_pair

SESSION = bytes(range(100, 132))
OUTPUT_BYTES = 8 + 8 * 3
Bytes = NDArray[np.uint8]
E = TypeVar("E", bound=Evaluator)


def streams(seed: int, session_id: bytes = SESSION) -> Streams:
    return Streams(seed=bytes([seed]) * 32, session_id=session_id)


def queries(count: int, seed: int = 1) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, QUERY_BYTES), dtype=np.uint8)


def everywhere(count: int) -> NDArray[np.int64]:
    """All bins."""
    return np.arange(count, dtype=np.int64)


def run_oprf(
    receiver: Callable[..., Protocol[Bytes]],
    sender: Callable[..., Protocol[E]],
    inputs: Bytes,
    *,
    output_bytes: int = OUTPUT_BYTES,
    session_id: bytes = SESSION,
    bucket: int = 0,
    seeds: tuple[int, int] = (1, 2),
    tamper: Tamper | None = None,
) -> Run[Bytes, E]:
    """Runs both sides of a profile, a query a bin."""
    own, other = (streams(seed, session_id) for seed in seeds)
    return run_pair(
        receiver(queries=inputs, output_bytes=output_bytes, streams=own, bucket=bucket),
        sender(n_bins=len(inputs), output_bytes=output_bytes, streams=other, bucket=bucket),
        tamper,
    )


def payloads(frames: list[tuple[int, str, bytes]], step: str) -> bytes:
    """What the messages of a step hold, one after the other."""
    return b"".join(frame[FRAME_HEADER_BYTES:] for _, own, frame in frames if own == step)


def check_looks_random(sent: bytes) -> None:
    """Bits, bytes and blocks of 16 bytes as uniform ones have them."""
    payload = np.frombuffer(sent, np.uint8)
    bits = np.unpackbits(payload)
    assert abs(bits.mean() - 0.5) < 6 * 0.5 / bits.size**0.5
    counts = np.bincount(payload, minlength=256)
    expected = payload.size / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 6 * (2 * 255) ** 0.5
    assert len(np.unique(payload.reshape(-1, 16), axis=0)) == payload.size // 16
