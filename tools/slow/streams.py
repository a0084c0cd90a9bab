"""Labelled random streams: a key by HKDF-SHA-256 (RFC 5869), its bytes by ChaCha20 (RFC 8439, 64-bit counter)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

__all__ = ["Streams", "hkdf", "keystream"]

_CONSTANTS: Final = b"expand 32-byte k"
_COLUMNS: Final = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS: Final = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_LANE: Final = 8  # bytes a 32-bit word has in an integer that holds one word of every block


def keystream(key: bytes, length: int, *, nonce: int = 0, first: int = 0) -> bytes:
    """ChaCha20 of a 32-byte key: block counter from `first` (64 bits), 64-bit nonce.

    All blocks are computed side by side: an integer holds one word of the state of every block, in lanes of 64 bits.
    """
    blocks = -(-length // 64)
    ones = int.from_bytes((b"\x01" + bytes(_LANE - 1)) * blocks, "little")
    mask = ones * 0xFFFFFFFF
    fixed = _CONSTANTS + key
    state = [ones * int.from_bytes(fixed[at : at + 4], "little") for at in range(0, 48, 4)]
    counters = b"".join((first + number).to_bytes(8, "little") for number in range(blocks))
    counter = int.from_bytes(counters, "little")
    state += [counter & mask, counter >> 32 & mask, ones * (nonce & 0xFFFFFFFF), ones * (nonce >> 32)]
    words = list(state)

    def add(left: int, right: int) -> int:
        return left + right & mask

    def rotate(value: int, by: int) -> int:
        return (value << by | value >> 32 - by) & mask

    for number in range(20):
        for a, b, c, d in _DIAGONALS if number % 2 else _COLUMNS:
            words[a] = add(words[a], words[b])
            words[d] = rotate(words[d] ^ words[a], 16)
            words[c] = add(words[c], words[d])
            words[b] = rotate(words[b] ^ words[c], 12)
            words[a] = add(words[a], words[b])
            words[d] = rotate(words[d] ^ words[a], 8)
            words[c] = add(words[c], words[d])
            words[b] = rotate(words[b] ^ words[c], 7)
    out = bytearray(64 * blocks)
    for place, (word, start) in enumerate(zip(words, state, strict=True)):
        lanes = add(word, start).to_bytes(_LANE * blocks, "little")
        for octet in range(4):
            out[4 * place + octet :: 64] = lanes[octet::_LANE]
    return bytes(out[:length])


def hkdf(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256, extract and expand."""
    key = hmac.digest(salt, secret, "sha256")
    out = previous = b""
    for counter in range(1, -(-length // 32) + 1):
        previous = hmac.digest(key, previous + info + bytes([counter]), "sha256")
        out += previous
    return out[:length]


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """One party's streams in one session."""

    seed: bytes
    session_id: bytes

    def key(self, step: str, purpose: str, *, direction: str = "", bucket: int = 0, attempt: int = 0) -> bytes:
        """The 32-byte key of a label."""
        parts = [step, direction, str(bucket), str(attempt), purpose]
        info = b"".join(len(part.encode()).to_bytes(2, "little") + part.encode() for part in parts)
        return hkdf(self.seed, salt=self.session_id, info=b"cleanroom/stream/v1" + info, length=32)
