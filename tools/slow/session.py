"""The handshake: hellos, nonces, and the session id that follows from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Hello", "build_digest", "nonce_commitment", "seed_commitment", "session_id"]


def seed_commitment(seed: bytes) -> bytes:
    """What a side binds itself to its seed with."""
    return hashlib.sha256(b"cleanroom/seed-commitment/v1" + seed).digest()


def nonce_commitment(nonce: bytes) -> bytes:
    """What a side binds itself to its nonce with."""
    return hashlib.sha256(b"cleanroom/nonce-commitment/v1" + nonce).digest()


def build_digest(build: str) -> bytes:
    """What names a build."""
    return hashlib.sha256(b"cleanroom/build/v1" + build.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The fields of one side's hello in their order on the wire; the last six are 32 bytes each."""

    role: int  # 1 the exposure side, 2 the outcome side
    profile: int  # 1 ecdh, 2 kkrt
    rows_exposure: int
    rows_outcome: int
    columns: int
    groups: int
    agreement_hash: bytes
    terms_digest: bytes
    seed_commitment: bytes
    nonce_commitment: bytes
    input_root: bytes
    build: bytes

    def encode(self) -> bytes:
        """Protocol version u16, role u8, profile u8, rows u64 twice, columns u32, groups u32, six digests."""
        numbers = (2).to_bytes(2, "little") + bytes([self.role, self.profile])
        numbers += self.rows_exposure.to_bytes(8, "little") + self.rows_outcome.to_bytes(8, "little")
        numbers += self.columns.to_bytes(4, "little") + self.groups.to_bytes(4, "little")
        commitments = self.seed_commitment + self.nonce_commitment + self.input_root
        return numbers + self.agreement_hash + self.terms_digest + commitments + self.build


def session_id(hellos: tuple[Hello, Hello], nonces: tuple[bytes, bytes]) -> bytes:
    """The 32 bytes that every hash of the run holds; the exposure side's hello and nonce come first."""
    encoded = hellos[0].encode() + hellos[1].encode()
    body = hellos[0].agreement_hash + nonces[0] + nonces[1] + encoded
    return hashlib.sha256(b"cleanroom/session/v1" + body).digest()
