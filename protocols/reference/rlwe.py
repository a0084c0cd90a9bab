"""Plain Python of the ring-LWE kernels: integers mod q, products by Kronecker substitution, one draw at a time.

An element is a list of `DEGREE` integers, coefficient k first. Everything here agrees bit for bit with `_kernels`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from cleanroom.protocols.rlwe import (
    DEGREE,
    MODULUS,
    PRIME_BYTES,
    PRIMES,
    encode,
    from_residues,
    residues,
)

__all__ = [
    "Draws",
    "add",
    "constant",
    "encrypt",
    "encrypt_zero",
    "multiply",
    "pack",
    "public_element",
    "secrets",
    "weight_polynomial",
]

_ERROR_BITS: Final = 21
_READ_BYTES: Final = 1 << 18


class Draws:
    """Reads stream `number` of a 32-byte key: ChaCha20 with the number as its 64-bit nonce."""

    def __init__(self, key: bytes, number: int) -> None:
        nonce = bytes(8) + number.to_bytes(8, "little")
        self._encryptor = Cipher(ChaCha20(key, nonce), mode=None).encryptor()
        self._buffer = b""

    def take(self, count: int) -> int:
        """The next `count` bytes as a little-endian number."""
        if len(self._buffer) < count:
            self._buffer += self._encryptor.update(bytes(_READ_BYTES))
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return int.from_bytes(taken, "little")

    def residue(self, prime: int) -> int:
        """Uniform under `prime`, by rejection."""
        while (value := self.take(PRIME_BYTES)) >= prime:
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
    runs = [[draws.residue(prime) for _ in range(DEGREE)] for prime in PRIMES]
    return [from_residues(parts, PRIMES) for parts in zip(*runs, strict=True)]


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
    columns = zip(*(residues(value, primes) for value in element), strict=True)
    return b"".join(part.to_bytes(PRIME_BYTES, "little") for column in columns for part in column)


def _join(values: Sequence[int], width: int) -> int:
    return int.from_bytes(b"".join(value.to_bytes(width, "little") for value in values), "little")


def _split(value: int, width: int) -> list[int]:
    data = value.to_bytes(2 * DEGREE * width, "little")
    return [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]
