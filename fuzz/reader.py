"""Fields out of an input: whatever an engine invents can be read, since nothing ever runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Reader"]

T = TypeVar("T")


class Reader:
    """Reads fields from the front of an input; past its end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        """The next bytes, exactly `count` of them."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken + bytes(count - len(taken))

    def number(self, width: int = 1) -> int:
        """A number of so many bytes, little endian."""
        return int.from_bytes(self.take(width), "little")

    def choice(self, options: Sequence[T]) -> T:
        """One of up to 256 options, by a byte."""
        return options[self.number() % len(options)]

    def block(self) -> bytes:
        """Bytes with their length, two bytes, before them; cut where the input ends."""
        length = self.number(2)
        return self.take(min(length, max(0, len(self._data) - self._at)))

    def rest(self) -> bytes:
        """All that is left."""
        rest, self._at = self._data[self._at :], len(self._data)
        return rest
