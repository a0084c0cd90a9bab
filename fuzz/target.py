"""What a target is: a function of bytes that raises when the code under test breaks its promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["CORPUS", "Target"]

CORPUS: Final = Path(__file__).parent / "corpus"
"""Kept inputs, a folder a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One decoder, or one family of them.

    Attributes:
        name: of the target and of its folder in the corpus.
        promise: what must hold for every input, in words.
        check: raises (or panics) where the promise is broken; returns for every other input.
        seeds: honest inputs, from which the engine begins.
        max_bytes: inputs are no longer.
    """

    name: str
    promise: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    max_bytes: int = 4096

    @property
    def corpus(self) -> Path:
        """The folder of the kept inputs."""
        return CORPUS / self.name

    def kept(self) -> list[Path]:
        """The kept inputs, in a fixed order."""
        return sorted(path for path in self.corpus.glob("*") if path.is_file())
