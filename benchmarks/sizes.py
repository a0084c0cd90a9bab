"""How people write sizes, and where growth ends unless sizes are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["LARGEST", "parse_size", "sizes_of"]

LARGEST: Final = {"ecdh": 1 << 20}
"""Where default sizes end for a profile: minutes a run beyond it, so larger ones are to be asked for."""


def parse_size(text: str) -> int:
    """Reads 4096, 2^12 or 2**12.

    Raises:
        ValueError: it is no such number, or less than one.
    """
    base, separator, power = text.replace("**", "^").partition("^")
    size: int = int(base) ** int(power) if separator else int(base)
    if size < 1:
        raise ValueError("a size is at least one")
    return size


def sizes_of(profile: str, *, named: Sequence[int], usual: Sequence[int]) -> list[int]:
    """The sizes to run: those that the command names, or else those of the usual ones that the profile takes."""
    return list(named or (size for size in usual if size <= LARGEST.get(profile, size)))
