"""Ed25519 (RFC 8032, section 5.1) on the curve of ristretto255, and what the toolkit signs with it."""

from __future__ import annotations

import hashlib
from typing import Final

from tools.slow.ristretto import ORDER, P, Point, add, double

__all__ = ["public_key", "sign", "signed_bytes"]


def _base() -> Point:
    """The base point: y = 4/5, x even."""
    y = 4 * pow(5, -1, P) % P
    d = -121665 * pow(121666, -1, P) % P
    square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    x = root if root % 2 == 0 else P - root
    return Point(x, y, 1, x * y % P)


BASE: Final = _base()


def _multiply(scalar: int) -> Point:
    result = Point(0, 1, 1, 0)
    for bit in f"{scalar:b}":
        result = double(result)
        if bit == "1":
            result = add(result, BASE)
    return result


def _encode(point: Point) -> bytes:
    inverse = pow(point.z, -1, P)
    x, y = point.x * inverse % P, point.y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _expanded(seed: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(seed).digest()
    clamped = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return clamped, digest[32:]


def public_key(seed: bytes) -> bytes:
    """The public key of a 32-byte seed."""
    return _encode(_multiply(_expanded(seed)[0]))


def sign(seed: bytes, message: bytes) -> bytes:
    """The signature, 64 bytes."""
    scalar, prefix = _expanded(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ORDER
    commitment = _encode(_multiply(nonce))
    challenge = int.from_bytes(hashlib.sha512(commitment + public_key(seed) + message).digest(), "little") % ORDER
    return commitment + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def signed_bytes(purpose: str, message: bytes) -> bytes:
    """What an identity signs for a purpose."""
    return b"cleanroom/signature/v1\x00" + purpose.encode() + b"\x00" + message
