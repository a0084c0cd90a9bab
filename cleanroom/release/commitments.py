"""Commitments to shares, one a cell, each with a salt of its own.

A commitment is SHA-256(label ‖ session id (32) ‖ role (1) ‖ cell index (8) ‖ salt (32) ‖ share (8)), integers little
endian, every field of a fixed width. The peer knows its own share, so without the salt it would open a commitment to
a count by trying the few counts there can be; with it, cells that are never opened stay hidden.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Role
from cleanroom.errors import PeerError

__all__ = ["COMMITMENT_BYTES", "SALT_BYTES", "check_openings", "commit_bits", "commit_shares"]

COMMITMENT_BYTES: Final = 32
SALT_BYTES: Final = 32
_CELL_LABEL: Final = b"cleanroom/release/cell/v1"
_BITS_LABEL: Final = b"cleanroom/release/bits/v1"
_ROLE_BYTES: Final = {Role.EXPOSURE: b"\x00", Role.OUTCOME: b"\x01"}


def commit_shares(
    *,
    session_id: bytes,
    role: Role,
    cells: NDArray[np.int64],
    salts: NDArray[np.uint8],
    shares: NDArray[np.uint64],
) -> NDArray[np.uint8]:
    """Commits to shares.

    Args:
        session_id: 32 bytes.
        role: whose shares they are.
        cells: k cell indices.
        salts: k × 32 bytes, fresh and random.
        shares: k words.

    Returns:
        k × 32 bytes, in the order of `cells`.
    """
    prefix = hashlib.sha256(_CELL_LABEL + session_id + _ROLE_BYTES[role])
    indices = cells.astype("<u8").tobytes()
    words = shares.astype("<u8").tobytes()
    salt_bytes = np.ascontiguousarray(salts).tobytes()
    out = bytearray(COMMITMENT_BYTES * len(cells))
    for k in range(len(cells)):
        digest = prefix.copy()
        digest.update(indices[8 * k : 8 * k + 8])
        digest.update(salt_bytes[SALT_BYTES * k : SALT_BYTES * (k + 1)])
        digest.update(words[8 * k : 8 * k + 8])
        out[COMMITMENT_BYTES * k : COMMITMENT_BYTES * (k + 1)] = digest.digest()
    return np.frombuffer(bytes(out), dtype=np.uint8).reshape(-1, COMMITMENT_BYTES)


def check_openings(
    *,
    session_id: bytes,
    role: Role,
    cells: NDArray[np.int64],
    salts: NDArray[np.uint8],
    shares: NDArray[np.uint64],
    commitments: NDArray[np.uint8],
) -> None:
    """Checks opened shares against the commitments to all cells.

    Args:
        session_id: 32 bytes.
        role: whose shares they are.
        cells: k cell indices.
        salts: k × 32 bytes.
        shares: k words.
        commitments: all cells × 32 bytes.

    Raises:
        PeerError: a share or salt is not the committed one.
    """
    found = commit_shares(session_id=session_id, role=role, cells=cells, salts=salts, shares=shares)
    if not hmac.compare_digest(found.tobytes(), commitments[cells].tobytes()):
        raise PeerError(f"release: an opened share of the {role.value} side is not the one that it committed to")


def commit_bits(*, session_id: bytes, role: Role, salt: bytes, bits: bytes) -> bytes:
    """Commits to a whole string of packed bits that will be opened together.

    Args:
        session_id: 32 bytes.
        role: whose bits they are.
        salt: 32 bytes, fresh and random.
        bits: packed bits; their number is public.

    Returns:
        32 bytes.
    """
    return hashlib.sha256(_BITS_LABEL + session_id + _ROLE_BYTES[role] + salt + bits).digest()
