"""ristretto255 on Python integers, after RFC 9496 sections 4.1 to 4.4, and expand_message_xmd after RFC 9380."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = [
    "GENERATOR",
    "IDENTITY",
    "ORDER",
    "Point",
    "add",
    "decode",
    "double",
    "encode",
    "expand_message_xmd",
    "from_uniform",
    "multiply",
]

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
SQRT_M1: Final = pow(2, (P - 1) // 4, P)


class Point(NamedTuple):
    """A representative of an element: extended twisted Edwards coordinates, x = X/Z, y = Y/Z, T = XY/Z."""

    x: int
    y: int
    z: int
    t: int


def _is_negative(value: int) -> bool:
    return value % P % 2 == 1


def _absolute(value: int) -> int:
    return -value % P if _is_negative(value) else value % P


def _sqrt_ratio_m1(u: int, v: int) -> tuple[bool, int]:
    """SQRT_RATIO_M1 (section 4.2): whether u/v is square, and the root of u/v or of i·u/v that is not negative."""
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    correct = check == u % P
    flipped = check == -u % P
    flipped_i = check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        r = r * SQRT_M1 % P
    return correct or flipped, _absolute(r)


INVSQRT_A_MINUS_D: Final = _sqrt_ratio_m1(1, -1 - D)[1]
SQRT_AD_MINUS_ONE: Final = -_sqrt_ratio_m1(-D - 1, 1)[1] % P  # the root that RFC 9496 names is the odd one
ONE_MINUS_D_SQ: Final = (1 - D * D) % P
D_MINUS_ONE_SQ: Final = (D - 1) ** 2 % P

IDENTITY: Final = Point(0, 1, 1, 0)


def decode(data: bytes) -> Point:
    """Decode (section 4.3.1).

    Raises:
        ValueError: the 32 bytes are not a canonical encoding.
    """
    s = int.from_bytes(data, "little")
    if len(data) != 32 or s >= P or _is_negative(s):
        raise ValueError("not a canonical encoding")
    ss = s * s % P
    u1, u2 = 1 - ss, 1 + ss
    v = -D * u1 * u1 - u2 * u2
    was_square, invsqrt = _sqrt_ratio_m1(1, v * u2 * u2)
    den_x = invsqrt * u2
    den_y = invsqrt * den_x * v
    x = _absolute(2 * s * den_x)
    y = u1 * den_y % P
    t = x * y % P
    if not was_square or _is_negative(t) or y == 0:
        raise ValueError("not a canonical encoding")
    return Point(x, y, 1, t)


def encode(point: Point) -> bytes:
    """Encode (section 4.3.2)."""
    x0, y0, z0, t0 = point.x, point.y, point.z, point.t
    u1 = (z0 + y0) * (z0 - y0)
    u2 = x0 * y0
    _, invsqrt = _sqrt_ratio_m1(1, u1 * u2 * u2)
    den1, den2 = invsqrt * u1, invsqrt * u2
    z_inv = den1 * den2 * t0
    if _is_negative(t0 * z_inv):
        x, y, den_inv = y0 * SQRT_M1, x0 * SQRT_M1, den1 * INVSQRT_A_MINUS_D
    else:
        x, y, den_inv = x0, y0, den2
    if _is_negative(x * z_inv):
        y = -y
    return _absolute(den_inv * (z0 - y)).to_bytes(32, "little")


def add(left: Point, right: Point) -> Point:
    """Adds two elements (unified formula of Hisil, Wong, Carter, Dawson, ePrint 2008/522, with a = -1)."""
    a = (left.y - left.x) * (right.y - right.x)
    b = (left.y + left.x) * (right.y + right.x)
    c = 2 * D * left.t * right.t
    d = 2 * left.z * right.z
    e, f, g, h = b - a, d - c, d + c, b + a
    return Point(e * f % P, g * h % P, f * g % P, e * h % P)


def double(point: Point) -> Point:
    """Adds an element to itself (same source, a = -1)."""
    a, b = point.x * point.x, point.y * point.y
    h = a + b
    e = h - (point.x + point.y) ** 2
    g = a - b
    f = 2 * point.z * point.z + g
    return Point(e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point: Point) -> Point:
    """Adds `point` to itself `scalar` times: four bits of the scalar at a time."""
    digits = f"{scalar % ORDER:x}"
    multiples = [IDENTITY, point]
    for _ in range(14):
        multiples.append(add(multiples[-1], point))
    result = multiples[int(digits[0], 16)]
    for digit in digits[1:]:
        result = double(double(double(double(result))))
        if digit != "0":
            result = add(result, multiples[int(digit, 16)])
    return result


def from_uniform(uniform: bytes) -> Point:
    """Element derivation (section 4.3.4) from 64 uniform bytes."""
    return add(_map(uniform[:32]), _map(uniform[32:]))


def _map(half: bytes) -> Point:
    t = int.from_bytes(half, "little") % 2**255
    r = SQRT_M1 * t * t % P
    u = (r + 1) * ONE_MINUS_D_SQ
    v = (-1 - r * D) * (r + D)
    was_square, s = _sqrt_ratio_m1(u, v)
    c = -1
    if not was_square:
        s = -_absolute(s * t)
        c = r
    n = c * (r - 1) * D_MINUS_ONE_SQ - v
    w0, w1, w2, w3 = 2 * s * v, n * SQRT_AD_MINUS_ONE, 1 - s * s, 1 + s * s
    return Point(w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P)


GENERATOR: Final = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))


def expand_message_xmd(message: bytes, dst: bytes, length: int) -> bytes:
    """expand_message_xmd with SHA-512 (RFC 9380, section 5.3.1), dst of 1 to 255 bytes."""
    sha512: Callable[[bytes], bytes] = lambda data: hashlib.sha512(data).digest()  # noqa: E731
    dst_prime = dst + bytes([len(dst)])
    first = sha512(bytes(128) + message + length.to_bytes(2, "big") + b"\x00" + dst_prime)
    out, previous = b"", bytes(64)
    for index in range(1, -(-length // 64) + 1):
        mixed = bytes(a ^ b for a, b in zip(first, previous, strict=True))
        previous = sha512(mixed + bytes([index]) + dst_prime)
        out += previous
    return out[:length]
