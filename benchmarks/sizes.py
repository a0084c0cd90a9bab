"""How people write sizes."""

from __future__ import annotations

__all__ = ["parse_size"]


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
