"""What both simulators draw from: uniform group elements and residues, and a tape for transfers without input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import oprf
from cleanroom.protocols.rlwe import DEGREE, PRIMES
from cleanroom.protocols.seeds import Streams

_GENERATOR = np.frombuffer(
    bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"), dtype=np.uint8
)


def random_elements(rng: np.random.Generator, count: int) -> bytes:
    """Uniform elements of ristretto255."""
    scalars = oprf.random_scalars(rng.bytes(32), first=0, count=count)
    return _kernels.ristretto_multiply(scalars, np.tile(_GENERATOR, (count, 1))).tobytes()


def random_ring(rng: np.random.Generator, count: int, primes: Sequence[int] = PRIMES) -> NDArray[np.uint64]:
    """Uniform ring elements: count × primes × 8192 residues."""
    return np.stack([rng.integers(0, prime, (count, DEGREE), dtype=np.uint64) for prime in primes], axis=1)


def packed(residues: NDArray[np.uint64]) -> bytes:
    """Residues as they are sent: seven bytes each."""
    return residues.astype("<u8").reshape(-1, 1).view(np.uint8)[:, :7].tobytes()


def own_streams(rng: np.random.Generator, session_id: bytes) -> Streams:
    """Streams of the simulator's own, for the set-up of transfers: that takes no input, so it can be run as it is."""
    return Streams(seed=rng.bytes(32), session_id=session_id)
