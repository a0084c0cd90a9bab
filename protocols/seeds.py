"""Labelled random streams: every random byte of a run comes from one seed, and no label is opened twice.

Two streams with equal labels would share pads or keys, which reveals double matches between buckets; the registry
refuses the second one. A stream's key is HKDF-SHA-256 (RFC 5869) of the seed, with the session id as salt and the
label as info; its bytes are the ChaCha20 key stream (RFC 8439 block function, 64-bit block counter from 0, nonce 0),
which is what `rand_chacha::ChaCha20Rng::from_seed` yields, so that a kernel continues what Python began.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["SEED_BYTES", "Streams", "fresh_seed", "keystream"]

SEED_BYTES: Final = 32


def fresh_seed() -> bytes:
    """Returns 32 bytes from the operating system's generator."""
    return secrets.token_bytes(SEED_BYTES)


def keystream(key: bytes, length: int) -> bytes:
    """Expands a 32-byte key to `length` bytes of ChaCha20 key stream (block counter from 0, nonce 0)."""
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(length))


class Streams:
    """Hands out one 32-byte key a label, each label once, for one party in one session."""

    def __init__(self, *, seed: bytes, session_id: bytes) -> None:
        """Args:
        seed: 32 bytes, fresh for every executed run.
        session_id: 32 bytes, from the handshake.
        """
        if len(seed) != SEED_BYTES or len(session_id) != 32:
            raise ValueError("seed and session_id are 32 bytes each")
        self._seed = seed
        self._session_id = session_id
        self._opened: set[tuple[str, str, int, int, str]] = set()

    def __repr__(self) -> str:
        return f"Streams(opened={len(self._opened)})"

    @property
    def session_id(self) -> bytes:
        """The session's 32 bytes; public to both parties."""
        return self._session_id

    def key(self, *, step: str, purpose: str, direction: str = "", bucket: int = 0, attempt: int = 0) -> bytes:
        """Opens the stream of a label.

        Returns:
            Its 32-byte key, for a kernel's generator or for `keystream`.

        Raises:
            AssertionError: the label was opened before in this session.
        """
        label = (step, direction, bucket, attempt, purpose)
        if label in self._opened:
            raise AssertionError(f"random stream {step}/{purpose} opened twice")
        self._opened.add(label)
        parts = [step.encode(), direction.encode(), str(bucket).encode(), str(attempt).encode(), purpose.encode()]
        info = b"cleanroom/stream/v1" + b"".join(len(part).to_bytes(2, "little") + part for part in parts)
        return HKDF(algorithm=SHA256(), length=32, salt=self._session_id, info=info).derive(self._seed)
