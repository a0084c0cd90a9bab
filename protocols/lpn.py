"""Parameters of the silent VOLE: sizes of a batch, weight of the noise, and how hard the noise is to see.

The receiver's outputs of a batch are G·e for a public matrix G of n × 2n bits (the code) and a noise vector e of 2n
field elements, cut into `WEIGHT` blocks with one uniform non-zero element each: *dual LPN with regular noise*. To whom
G·e looks uniform, the outputs are uniform. docs/reference/wire/silent-vole.md says what attacks there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BATCH", "SMALLEST", "WEIGHT", "Size", "size_of", "sizes"]

WEIGHT: Final = 512
"""t: blocks of the noise, each with one element that is not zero."""
SMALLEST: Final = 1 << 12
BATCH: Final = 1 << 18
"""Outputs of the largest batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One set of parameters; everything follows from the number of outputs."""

    outputs: int  # n, a power of two

    @property
    def noise(self) -> int:
        """2n, the elements of the noise vector: the code has rate 1/2."""
        return 2 * self.outputs

    @property
    def block(self) -> int:
        """Elements of a block of the noise: leaves of a tree."""
        return self.noise // WEIGHT

    @property
    def depth(self) -> int:
        """Levels of a tree below its root."""
        return self.block.bit_length() - 1


def size_of(count: int) -> Size:
    """Returns the smallest set of parameters that makes `count` outputs.

    Raises:
        ValueError: count is not 1 to `BATCH`.
    """
    if not 1 <= count <= BATCH:
        raise ValueError(f"a batch has 1 to {BATCH} outputs, {count} found")
    return Size(outputs=max(SMALLEST, 1 << (count - 1).bit_length()))


def sizes(length: int) -> list[Size]:
    """Returns the batches that make `length` outputs: whole ones, then the smallest one that holds the rest."""
    whole, rest = divmod(length, BATCH)
    return [Size(outputs=BATCH)] * whole + ([size_of(rest)] if rest else [])
