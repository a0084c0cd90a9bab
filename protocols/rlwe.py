"""Parameters of the ring-LWE scheme that carries the grouped sum, and the noise budget that follows from them.

Ring Z[X]/(X^8192 + 1), secret ternary, error centred binomial with parameter 21 (variance 10.5), ciphertext modulus
q = three 56-bit primes (168 bits), answers switched to the first two of them (112 bits), plaintext modulus 2^64.
The Homomorphic Encryption Security Standard (2018, table 1) allows 218 bits of q at degree 8192 for 128-bit security
with a ternary secret and error deviation 3.2; this one uses 168 bits and deviation 3.24. At degree 4096 it allows
109 bits, which flooding a 64-bit plaintext by 40 bits exceeds: no smaller ring works.

Noise, per coefficient (all bounds are worst cases, not estimates):

- a ciphertext has error at most 21 and encodes m as round(q·m/2^64), which is off by at most 1/2;
- a weighted sum with sum of |weight| at most W1 = rows × weight_bound is off by at most 21·W1 + W1/2;
- a fresh encryption of zero adds at most 21·(2n + 1);
- B is the sum of the two; the flood is uniform in ±B·2^(40 + ⌈log2 outputs⌉), so that all revealed coefficients
  together are within statistical distance 2^-40 of ones that do not depend on the weights;
- the mask's encoding is off by at most 1/2; the switch divides all this by the third prime and adds at most
  1/2 + n/2.

An answer decodes exactly while the total stays under q'/2^65, q' the 112-bit modulus.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

__all__ = [
    "ANSWER_MODULUS",
    "ANSWER_PRIMES",
    "DEGREE",
    "ERROR_BOUND",
    "MODULUS",
    "PRIMES",
    "PRIME_BYTES",
    "STATISTICAL_BITS",
    "decode",
    "encode",
    "flood_bound",
    "from_residues",
    "noise_bound",
    "residues",
    "slack_bits",
    "switch",
]

DEGREE: Final = 8192
"""n: coefficients of a ring element; slots of a ciphertext."""
PRIMES: Final = (72057594037616641, 72057594037370881, 72057594037338113)
"""The three largest primes under 2^56 that are 1 mod 2n, descending."""
PRIME_BYTES: Final = 7
"""Bytes of one residue on the wire."""
ANSWER_PRIMES: Final = PRIMES[:2]
MODULUS: Final = PRIMES[0] * PRIMES[1] * PRIMES[2]
ANSWER_MODULUS: Final = PRIMES[0] * PRIMES[1]
ERROR_BOUND: Final = 21
"""The largest |error|: the difference of two sums of 21 fair bits."""
STATISTICAL_BITS: Final = 40
"""What flooding hides is within 2^-40 of independent of the weights, over all revealed coefficients."""


def noise_bound(*, rows: int, weight_bound: int) -> int:
    """Bounds the weight-dependent noise of one answer before flooding (B above).

    Args:
        rows: public bound on the rows that carry weights, over all buckets, >= 1.
        weight_bound: public bound on |weight|, >= 1.

    Returns:
        B, in units of the ciphertext modulus's integers.

    Raises:
        ValueError: an argument is not positive.
    """
    if rows < 1 or weight_bound < 1:
        raise ValueError("rows and weight_bound are at least 1")
    total = rows * weight_bound
    return ERROR_BOUND * total + (total + 1) // 2 + ERROR_BOUND * (2 * DEGREE + 1)


def flood_bound(*, rows: int, weight_bound: int, outputs: int) -> int:
    """Bounds the flood F: an answer carries noise uniform in [-F, F].

    Args:
        rows: as for `noise_bound`.
        weight_bound: as for `noise_bound`.
        outputs: coefficients that are revealed in the session: groups × columns, >= 1.

    Raises:
        ValueError: an argument is not positive.
    """
    if outputs < 1:
        raise ValueError("outputs is at least 1")
    return noise_bound(rows=rows, weight_bound=weight_bound) << (STATISTICAL_BITS + (outputs - 1).bit_length())


def slack_bits(*, rows: int, weight_bound: int, outputs: int) -> float:
    """Says how many bits lie between the worst noise of an answer and the noise at which it decodes wrongly.

    Args:
        rows: public bound on the rows of the exposure side, over all buckets, >= 1.
        weight_bound: public bound on |weight| of one row in one group, >= 1 (720720 for fractional credit).
        outputs: groups × columns, >= 1.

    Returns:
        Bits of slack; negative means that sums come out wrong. An agreement needs at least 2.

    Raises:
        ValueError: an argument is not positive.
    """
    noise = noise_bound(rows=rows, weight_bound=weight_bound)
    flood = flood_bound(rows=rows, weight_bound=weight_bound, outputs=outputs)
    switched = Fraction(2 * (noise + flood) + 1, 2 * PRIMES[2]) + Fraction(DEGREE + 1, 2)
    limit = Fraction(ANSWER_MODULUS, 1 << 65)
    return _log2(limit) - _log2(switched)


def _log2(value: Fraction) -> float:
    # math.log2 takes integers of any size, a Fraction would overflow as a float.
    return math.log2(value.numerator) - math.log2(value.denominator)


def encode(message: int) -> int:
    """Returns round(q·m/2^64), in [0, q).

    Rounding, not floor(q/2^64)·m: with floor, sums of encodings are off by (q mod 2^64) times their carry past 2^64,
    which depends on the weights and which no flood of this size covers.
    """
    return ((MODULUS * message + (1 << 63)) >> 64) % MODULUS


def decode(phase: int) -> int:
    """Returns round(2^64·x/q') mod 2^64: the word that a phase x modulo the answer's q' stands for."""
    return ((phase << 65) + ANSWER_MODULUS) // (2 * ANSWER_MODULUS) % (1 << 64)


def switch(value: int) -> int:
    """Returns round(x/p) modulo the answer's q', p the third prime: x modulo q at the smaller modulus."""
    return (2 * value + PRIMES[2]) // (2 * PRIMES[2]) % ANSWER_MODULUS


def residues(value: int, primes: Sequence[int]) -> tuple[int, ...]:
    """Returns the value modulo each prime."""
    return tuple(value % prime for prime in primes)


def from_residues(parts: Iterable[int], primes: Sequence[int]) -> int:
    """Returns the value modulo the product of `primes` that has these residues (Chinese remainder theorem)."""
    modulus = math.prod(primes)
    value = 0
    for part, prime in zip(parts, primes, strict=True):
        rest = modulus // prime
        value += part * rest * pow(rest, -1, prime)
    return value % modulus
