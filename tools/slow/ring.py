"""Plain Python of the ring-LWE scheme: integers mod q, products by Kronecker substitution, one draw at a time.

An element is a list of `DEGREE` integers, coefficient k first.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tools.slow.streams import keystream

__all__ = [
    "ANSWER_MODULUS",
    "ANSWER_PRIMES",
    "DEGREE",
    "MODULUS",
    "PRIMES",
    "Draws",
    "add",
    "constant",
    "decode",
    "encode",
    "encrypt",
    "encrypt_zero",
    "flood_bound",
    "from_residues",
    "multiply",
    "pack",
    "public_element",
    "secrets",
    "switch",
    "unpack",
    "weight_polynomial",
]

DEGREE: Final = 8192
PRIMES: Final = (72057594037616641, 72057594037370881, 72057594037338113)
ANSWER_PRIMES: Final = PRIMES[:2]
MODULUS: Final = math.prod(PRIMES)
ANSWER_MODULUS: Final = math.prod(ANSWER_PRIMES)
_RESIDUE_BYTES: Final = 7
_ERROR_BITS: Final = 21
_STATISTICAL_BITS: Final = 40
_READ_BYTES: Final = 1 << 16


def encode(message: int) -> int:
    """A word as an element of Z_q: round(q·m / 2^64)."""
    return ((MODULUS * message + (1 << 63)) >> 64) % MODULUS


def decode(phase: int) -> int:
    """The word that a phase modulo the answer's modulus stands for."""
    return ((phase << 65) + ANSWER_MODULUS) // (2 * ANSWER_MODULUS) % (1 << 64)


def switch(value: int) -> int:
    """round(x / p) modulo the answer's modulus, p the third prime."""
    return (2 * value + PRIMES[2]) // (2 * PRIMES[2]) % ANSWER_MODULUS


def from_residues(parts: Iterable[int], primes: Sequence[int]) -> int:
    """The value with these residues (Chinese remainder theorem)."""
    modulus = math.prod(primes)
    return (
        sum(part * (modulus // p) * pow(modulus // p, -1, p) for part, p in zip(parts, primes, strict=True)) % modulus
    )


def flood_bound(*, rows: int, weight_bound: int, outputs: int) -> int:
    """F: every answer carries noise uniform in [-F, F]."""
    weight = rows * weight_bound
    noise = _ERROR_BITS * weight + (weight + 1) // 2 + _ERROR_BITS * (2 * DEGREE + 1)
    return noise << (_STATISTICAL_BITS + (outputs - 1).bit_length())


class Draws:
    """Reads stream `number` of a 32-byte key: ChaCha20 with the number as its 64-bit nonce."""

    def __init__(self, key: bytes, number: int) -> None:
        self._key, self._number = key, number
        self._buffer, self._at, self._read = b"", 0, 0

    def take(self, count: int) -> int:
        """The next `count` bytes as a little-endian number."""
        if len(self._buffer) - self._at < count:
            fresh = keystream(self._key, _READ_BYTES, nonce=self._number, first=self._read // 64)
            self._buffer, self._at = self._buffer[self._at :] + fresh, 0
            self._read += _READ_BYTES
        self._at += count
        return int.from_bytes(self._buffer[self._at - count : self._at], "little")

    def residue(self, prime: int) -> int:
        """Uniform under `prime`, by rejection."""
        while (value := self.take(_RESIDUE_BYTES)) >= prime:
            pass
        return value

    def ternary(self) -> int:
        """Uniform in {-1, 0, 1}, by rejection."""
        while (value := self.take(1)) == 255:
            pass
        return value % 3 - 1

    def error(self) -> int:
        """The centred binomial: ones of 21 bits less ones of the next 21, from 6 bytes."""
        bits, mask = self.take(6), (1 << _ERROR_BITS) - 1
        return (bits & mask).bit_count() - (bits >> _ERROR_BITS & mask).bit_count()

    def many(self, draw: Callable[[], int]) -> list[int]:
        """`DEGREE` draws."""
        return [draw() for _ in range(DEGREE)]


def public_element(seed: bytes, number: int) -> list[int]:
    """The public element `number` of a seed: 0 for the public keys, 1 + b for block b."""
    draws = Draws(seed, number)
    residues = [draws.residue(prime) for prime in PRIMES for _ in range(DEGREE)]
    return unpack(b"".join(value.to_bytes(_RESIDUE_BYTES, "little") for value in residues), PRIMES)


def secrets(key: bytes, columns: int) -> list[list[int]]:
    """The sender's ternary secrets, one a column."""
    found = []
    for column in range(columns):
        draws = Draws(key, column)
        found.append(draws.many(draws.ternary))
    return found


def multiply(a: Sequence[int], small: Sequence[int], modulus: int = MODULUS) -> list[int]:
    """a × small in the ring; a in [0, modulus), small signed."""
    width = (modulus.bit_length() + max(map(abs, small)).bit_length() + DEGREE.bit_length() + 8) // 8
    joined = _join(a, width)
    positive = _split(joined * _join([max(x, 0) for x in small], width), width)
    negative = _split(joined * _join([max(-x, 0) for x in small], width), width)
    product = [x - y for x, y in zip(positive, negative, strict=True)]
    return [(product[k] - product[k + DEGREE]) % modulus for k in range(DEGREE)]


def constant(a: Sequence[int], small: Sequence[int], modulus: int = MODULUS) -> int:
    """Coefficient 0 of a × small."""
    return (a[0] * small[0] - sum(a[k] * small[DEGREE - k] for k in range(1, DEGREE))) % modulus


def add(a: Sequence[int], b: Sequence[int], modulus: int = MODULUS) -> list[int]:
    """a + b."""
    return [(x + y) % modulus for x, y in zip(a, b, strict=True)]


def encrypt(
    element: Sequence[int],
    secret: Sequence[int],
    error: Sequence[int],
    messages: Sequence[int],
    encoding: Callable[[int], int] = encode,
) -> list[int]:
    """-element × secret + error + encoding(message)."""
    product = multiply(element, secret)
    return [(e + encoding(m) - x) % MODULUS for x, e, m in zip(product, error, messages, strict=True)]


def weight_polynomial(weights: Iterable[tuple[int, int]]) -> list[int]:
    """w(X) = w_0 - Σ w_k X^(n-k) of (slot, weight) pairs: coefficient 0 of w(X)·c is Σ w_k c_k."""
    polynomial = [0] * DEGREE
    for slot, weight in weights:
        if slot == 0:
            polynomial[0] += weight
        else:
            polynomial[DEGREE - slot] -= weight
    return polynomial


def encrypt_zero(
    element: Sequence[int], public_keys: Sequence[Sequence[int]], draws: Draws
) -> tuple[list[int], list[int]]:
    """element × u + e2, and coefficient 0 of each public key × u + e1; draws u, e2, then the e1."""
    mask = draws.many(draws.ternary)
    error = draws.many(draws.error)
    ring = add(multiply(element, mask), error)
    return ring, [(constant(key, mask) + draws.error()) % MODULUS for key in public_keys]


def pack(element: Sequence[int], primes: Sequence[int]) -> bytes:
    """Residues in 7 bytes each: all coefficients modulo the first prime, then modulo the next."""
    return b"".join((value % prime).to_bytes(_RESIDUE_BYTES, "little") for prime in primes for value in element)


def unpack(data: bytes, primes: Sequence[int]) -> list[int]:
    """The element that was packed."""
    numbers = [int.from_bytes(data[at : at + _RESIDUE_BYTES], "little") for at in range(0, len(data), _RESIDUE_BYTES)]
    size = len(numbers) // len(primes)
    rows = [numbers[size * limb : size * (limb + 1)] for limb in range(len(primes))]
    weights = [from_residues([int(own == limb) for own in range(len(primes))], primes) for limb in range(len(primes))]
    modulus = math.prod(primes)
    return [sum(map(operator.mul, parts, weights)) % modulus for parts in zip(*rows, strict=True)]


def _join(values: Sequence[int], width: int) -> int:
    return int.from_bytes(b"".join(value.to_bytes(width, "little") for value in values), "little")


def _split(value: int, width: int) -> list[int]:
    data = value.to_bytes(2 * DEGREE * width, "little")
    return [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]
