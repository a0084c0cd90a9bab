"""Plain Python of the digest kernels, for tests and for auditors; nothing here is fast."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["ROW_LABEL", "row_key"]

ROW_LABEL: Final = b"cleanroom/row/v1"


def row_key(*, person: bytes, weight_class: int, level: int, node: int) -> bytes:
    """Returns a row's 16 bytes: SHA-256(label ‖ class ‖ level ‖ node i64 little endian ‖ person)[:16]."""
    parts = ROW_LABEL + bytes([weight_class, level]) + node.to_bytes(8, "little", signed=True) + person
    return hashlib.sha256(parts).digest()[:16]
