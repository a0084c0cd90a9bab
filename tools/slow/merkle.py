"""The commitment to rows: a blinded Merkle tree by RFC 9162's recursive definition."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

__all__ = ["merkle_root", "tree_root"]


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """MTH (RFC 9162, section 2.1.1) over leaf hashes: at least one."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def merkle_root(key: bytes, rows: Sequence[bytes], padded: int) -> bytes:
    """The blinded root of `rows`, padded to `padded` leaves."""
    leaves = []
    for index in range(padded):
        salt = hmac.digest(key, b"cleanroom/merkle/v1" + index.to_bytes(8, "little"), "sha256")
        content = b"\x01" + rows[index] if index < len(rows) else b"\x00"
        leaves.append(hashlib.sha256(b"\x00" + salt + content).digest())
    return tree_root(leaves)
