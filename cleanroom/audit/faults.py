"""What an audit found: faults that name file and place, and what was checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from cleanroom.errors import AgreementError, CleanroomError, DataError, one_line

__all__ = ["AuditReport", "Fault"]

_BESIDE: Final = ("release.csv", "release.parquet")
"""Files that a check of another file may find at fault."""
_FIELD: Final = re.compile(r"([a-z_]+(?:[.\[][\w.\[\]]*)?)(?:: | (?=does not follow))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that does not follow from the rest, or one signature that does not hold."""

    file: str
    where: str  # a line, a field, or empty for the file as a whole
    what: str
    signature: bool = False

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.where, self.what) if part)


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """The result of an audit: it verified the run exactly when there is no fault."""

    faults: list[Fault] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    @property
    def exit_code(self) -> int:
        """0 verified; 3 a signature does not hold; 4 all signatures hold and something does not follow."""
        if self.verified:
            return 0
        signatures = any(fault.signature for fault in self.faults)
        return AgreementError.exit_code if signatures else DataError.exit_code

    def add(self, file: str, where: str, what: str, *, signature: bool = False) -> None:
        """Adds a fault, once; what it quotes of a file is made fit for a terminal."""
        fault = Fault(file=file, where=one_line(where), what=one_line(what), signature=signature)
        if fault not in self.faults:
            self.faults.append(fault)

    def note(self, text: str) -> None:
        """Adds what an auditor should know and is no fault."""
        self.notes.append(one_line(text))

    @contextmanager
    def catching(self, file: str) -> Iterator[None]:
        """Turns an error of a check into a fault of the file; the check ends there."""
        try:
            yield
        except (AgreementError, DataError) as error:
            message = str(error)
            beside = next((name for name in _BESIDE if message.startswith(f"{name}: ")), None)
            if beside is not None:
                file = f"{file.rpartition('/')[0]}/{beside}"
            where, what = _split(message, file)
            self.add(file, where, what, signature=isinstance(error, AgreementError))
        except CleanroomError as error:
            self.add(file, "", str(error))


def _split(message: str, file: str) -> tuple[str, str]:
    """Takes the file's own name, which the fault has anyway, and the field off a message."""
    message = message.removeprefix(f"{file.rsplit('/', 1)[-1]}: ")
    field_first = _FIELD.match(message)
    return (field_first.group(1), message[field_first.end() :]) if field_first else ("", message)
