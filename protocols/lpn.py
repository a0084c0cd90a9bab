"""Parameters of the silent VOLE: sizes of a batch, weight of the noise, and how hard the noise is to see.

The receiver's outputs of a batch are G·e for a public matrix G of n × 2n bits (the code) and a noise vector e of 2n
field elements, cut into t blocks with one uniform non-zero element each: *dual LPN with regular noise*. To whom G·e
looks uniform, the outputs are uniform. `security` estimates the best attacks; each estimate counts the steps that
cannot be saved and takes every other step to be free, so attacks cost more than that.
docs/reference/wire/silent-vole.md has the table and the sources.

**The code is binary, so the 128 bits of elements of GF(2^128) are 128 vectors of noise with their places in common**,
and any of 2^128 sums of bits may be looked at: one sum has noise in half of the blocks, and the best one in far fewer.
With as many bits as blocks, linear algebra alone would find them. That is why that field takes more blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, inf, lgamma, log, log2
from typing import Final

__all__ = ["BATCH", "F16", "GF128", "SMALLEST", "Field", "Security", "Size", "linear_test_bits", "security", "sizes"]

SMALLEST: Final = 1 << 12
BATCH: Final = 1 << 18
"""Outputs of the largest batch: the vector that the code gathers from is 4 MiB."""
_DEGREES: Final = 8
_GUESSES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of characteristic two, and how many blocks its noise has."""

    bits: int
    weight: int  # t, a power of two


F16: Final = Field(bits=4, weight=512)
GF128: Final = Field(bits=128, weight=1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One set of parameters; everything follows from the field and the number of outputs."""

    field: Field
    outputs: int  # n, a power of two

    @property
    def noise(self) -> int:
        """2n, the elements of the noise vector: the code has rate 1/2."""
        return 2 * self.outputs

    @property
    def blocks(self) -> int:
        """t, the blocks of the noise, each with one element that is not zero: trees."""
        return self.field.weight

    @property
    def block(self) -> int:
        """Elements of a block of the noise: leaves of a tree."""
        return self.noise // self.blocks

    @property
    def depth(self) -> int:
        """Levels of a tree below its root."""
        return self.block.bit_length() - 1


def sizes(field: Field, length: int) -> list[Size]:
    """Returns the batches that make `length` outputs: whole ones, then the smallest one that holds the rest."""
    whole, rest = divmod(length, BATCH)
    last = [Size(field=field, outputs=max(SMALLEST, 1 << (rest - 1).bit_length()))] if rest else []
    return [Size(field=field, outputs=BATCH)] * whole + last


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Bits of work of the best attacks of each family."""

    linear_tests: float
    information_sets: float
    algebraic: float


def security(size: Size) -> Security:
    """Estimates the security of a set of parameters, for a code that is like a random one."""
    return Security(
        linear_tests=_linear_tests(size), information_sets=_information_sets(size), algebraic=_algebraic(size)
    )


def linear_test_bits(distance: float, field: Field) -> float:
    """Returns b: a test by a word of relative weight `distance` of the code has bias 2^-b.

    The sum of a block is one uniform non-zero element where the word is not zero, and zero elsewhere. A character sends
    a uniform non-zero element to -1/(q - 1) on average, so a block has bias 1 - distance·q/(q - 1).
    """
    order = 1 << field.bits
    return -field.weight * log2(1 - distance * order / (order - 1))


def _log_binomial(n: int, k: int) -> float:
    return -inf if not 0 <= k <= n else (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)) / log(2)


def _linear_tests(size: Size) -> float:
    """Tests by light words of the code, which have to be found: over all weights, the work to find one, times 1/bias.

    Words are found by Stern's algorithm: n places in which the word has p ones, half of them in each half of the
    places. An attempt costs the list of one half.
    """
    n, length = size.outputs, size.noise
    best = inf
    for weight in range(length // 10, length * 3 // 10, max(1, length // 1000)):
        words = _log_binomial(length, weight) - n
        if words < 0:
            continue
        find = min(
            max(0.0, _log_binomial(length, weight) - words - _log_binomial(n, p) - _log_binomial(n, weight - p))
            + _log_binomial(n // 2, p // 2)
            for p in range(0, 42, 2)
        )
        best = min(best, find + linear_test_bits(weight / length, size.field))
    return best


def _information_sets(size: Size) -> float:
    """Guesses n places in which some sum of the elements' bits has errors in p blocks only; the rest is linear.

    t places are spared by the shape of the noise. The bits of an element have 2^bits sums, all tried at once, and a sum
    of a uniform non-zero element is one with probability q/(2(q - 1)). An attempt costs a list of half the errors.
    """
    order, blocks = 1 << size.field.bits, size.blocks
    inside = (size.outputs - blocks) / size.noise
    wrong = inside * order / (2 * (order - 1))
    return min(
        max(0.0, -size.field.bits - _log_binomial(blocks, p) - p * log2(wrong) - (blocks - p) * log2(1 - wrong))
        + _log_binomial(blocks // 2, p // 2)
        + p // 2 * log2(max(1.0, size.block * inside))
        for p in range(0, blocks // 2 + 1, 2)
    )


def _algebraic(size: Size) -> float:
    """Guesses places without noise, then solves: two places of a block are never both non-zero, and n sums are known.

    The degree is where the Hilbert series of a semi-regular system of this shape stops being positive; solving takes
    the square of the number of its monomials.
    """
    n, block, blocks = size.outputs, size.block, size.blocks
    best = inf
    for guessed in range(0, block - 1, max(1, block // _GUESSES)):
        for chosen in (blocks, blocks // 2) if guessed else (blocks,):
            guess = -chosen * log2(1 - guessed / block)
            squarefree = _product(_power(chosen, block - guessed), _power(blocks - chosen, block))
            others = _product(_power(chosen, block - guessed - 1), _power(blocks - chosen, block - 1))
            for series in (_product(squarefree, _power(-n, 1)), _product(others, _power(n - blocks, -1))):
                degree = next((degree for degree, term in enumerate(series) if term <= 0), None)
                if degree is not None:
                    best = min(best, guess + 2 * log2(squarefree[degree]))
    return best


def _power(exponent: int, factor: int) -> list[int]:
    """Coefficients of (1 + factor·z)^exponent."""
    if exponent >= 0:
        return [comb(exponent, degree) * factor**degree for degree in range(_DEGREES)]
    return [comb(degree - exponent - 1, degree) * (-factor) ** degree for degree in range(_DEGREES)]


def _product(left: list[int], right: list[int]) -> list[int]:
    return [sum(left[i] * right[degree - i] for i in range(degree + 1)) for degree in range(_DEGREES)]
