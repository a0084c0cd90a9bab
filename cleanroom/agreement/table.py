"""Reading one TOML table against the schema: unknown and missing keys, types and allowed words, in one clear line.

TOML floats arrive as `Decimal` (`tomllib.loads(..., parse_float=Decimal)`), so that money is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal

from cleanroom.agreement.schema import SCHEMA, Kind
from cleanroom.errors import AgreementError

__all__ = ["MAX_TEXT", "Table", "table_of"]

MAX_TEXT = 1000  # characters of one text; an agreement is read by people
MAX_DIGITS = 40  # of a number; keeps exact arithmetic small whatever exponent is written

_FOUND = (
    (bool, "a boolean"),
    (str, "a text"),
    (int, "an integer"),
    (Decimal, "a number"),
    (datetime, "a time"),
    (date, "a date"),
    (list, "a list"),
    (dict, "a table"),
)


class Table:
    """One table of the agreement; every getter raises `AgreementError` that names the key.

    Args:
        where: how messages name the table ("release", "metrics[buyers_15d]"); empty for the top.
        section: the table's name in the schema.
        values: what TOML holds there.
    """

    __slots__ = ("_section", "_values", "_where")

    def __init__(self, where: str, section: str, values: dict[str, object]) -> None:
        self._where = where
        self._section = section
        self._values = values
        schema = SCHEMA[section]
        for key in values:
            if key not in schema:
                raise AgreementError(f"{self.key(key)}: unknown key; {where or 'the agreement'} has {_list(schema)}")
        for key, entry in schema.items():
            if entry.required and key not in values:
                raise AgreementError(f"{self.key(key)}: is missing: expected {_kind(entry.kind)}")

    def key(self, name: str) -> str:
        """How messages name a key of this table."""
        shown = name if name.isprintable() else repr(name)
        return f"{self._where}.{shown}" if self._where else shown

    def fault(self, name: str, expected: str) -> AgreementError:
        """The error for a key whose value is not what was expected."""
        return AgreementError(f"{self.key(name)}: {expected}")

    def has(self, name: str) -> bool:
        """Whether the key was written."""
        return name in self._values

    def text(self, name: str) -> str:
        """A text, checked against the allowed words if the schema has some."""
        value = self.optional_text(name)
        if value is None:
            raise self.fault(name, "is missing: expected a text")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or None if the key is absent."""
        if name not in self._values:
            return None
        text = self._as_text(self.key(name), self._values[name])
        choices = SCHEMA[self._section][name].choices
        if choices and text not in choices:
            raise self.fault(name, f"expected one of {_list(choices)}, found {text!r}")
        return text

    def party(self, name: str, parties: tuple[str, ...]) -> str:
        """The name of one of the agreement's parties."""
        found = self.text(name)
        if found not in parties:
            raise self.fault(name, f"{found!r} is not one of the parties {_list(parties)}")
        return found

    def raw_text(self, name: str) -> str:
        """A text of any form, line breaks included."""
        value = self._values.get(name)
        if not isinstance(value, str):
            raise self._wrong(self.key(name), Kind.TEXT, value)
        return value

    def texts(self, name: str, *, at_least: int = 0) -> tuple[str, ...]:
        """A list of distinct texts; empty if the key is absent."""
        found = [self._as_text(where, value) for where, value in self._items(name)]
        if len(found) < at_least:
            raise self.fault(name, "expected at least one text, found an empty list")
        seen: set[str] = set()
        for text in found:
            if text in seen:
                raise self.fault(name, f"{text!r} is there twice")
            seen.add(text)
        return tuple(found)

    def text_lists(self, name: str) -> tuple[tuple[str, ...], ...]:
        """A list of lists of texts, none of them empty."""
        found: list[tuple[str, ...]] = []
        for where, value in self._items(name):
            if not isinstance(value, list) or not value:
                raise AgreementError(f"{where}: expected a list of texts that is not empty")
            found.append(tuple(self._as_text(f"{where}[{at}]", item) for at, item in enumerate(value, start=1)))
        if not found:
            raise self.fault(name, "expected at least one list of texts, found an empty list")
        return tuple(found)

    def integer(self, name: str, *, least: int, most: int) -> int:
        """An integer in [least, most]."""
        return self._as_integer(self.key(name), self._values.get(name), least, most)

    def integers(self, name: str, *, least: int, most: int) -> tuple[int, ...]:
        """A list of integers in [least, most]; empty if the key is absent."""
        return tuple(self._as_integer(where, value, least, most) for where, value in self._items(name))

    def number(self, name: str) -> Decimal:
        """A finite integer or decimal number."""
        value = self._values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = Decimal(value)
        if not isinstance(value, Decimal):
            raise self._wrong(self.key(name), Kind.NUMBER, value)
        if not value.is_finite() or len(value.as_tuple().digits) > MAX_DIGITS or abs(value.adjusted()) > MAX_DIGITS:
            raise self.fault(name, f"expected a finite number of at most {MAX_DIGITS} digits")
        return value

    def amount(self, name: str) -> Decimal:
        """A number, or a text that holds one ("2000.00")."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return self.number(name)
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value, re.ASCII) or len(value) > MAX_DIGITS:
            raise self.fault(name, "expected a plain decimal number such as '2000.00'")
        return Decimal(value)

    def day(self, name: str) -> date:
        """A date without a time."""
        value = self._values.get(name)
        if isinstance(value, datetime) or not isinstance(value, date):
            raise self._wrong(self.key(name), Kind.DATE, value)
        return value

    def instant(self, name: str) -> datetime:
        """A time with an offset."""
        return self._as_instant(self.key(name), self._values.get(name))

    def instants(self, name: str) -> tuple[datetime, ...]:
        """A list of times with offsets; empty if the key is absent."""
        return tuple(self._as_instant(where, value) for where, value in self._items(name))

    def table(self, name: str) -> dict[str, object]:
        """A table's raw content."""
        return table_of(self.key(name), self._values.get(name))

    def named_texts(self, name: str) -> dict[str, str]:
        """A table whose keys are names of the agreement's own, each with a text."""
        entries = self.table(name)
        return {
            entry: self._as_text(f"{self.key(name)}[{number}]", entries[entry])
            for number, entry in enumerate(entries, start=1)
        }

    def items(self, name: str) -> Sequence[object]:
        """A list's raw content, not empty."""
        value = self._values.get(name)
        if not isinstance(value, list):
            raise self._wrong(self.key(name), SCHEMA[self._section][name].kind, value)
        if not value:
            raise self.fault(name, "expected at least one entry, found an empty list")
        return value

    def list_of(self, name: str) -> Sequence[object]:
        """A list's raw content; empty if the key is absent."""
        return [item for _, item in self._items(name)]

    def _items(self, name: str) -> list[tuple[str, object]]:
        value = self._values.get(name, [])
        if not isinstance(value, list):
            raise self._wrong(self.key(name), SCHEMA[self._section][name].kind, value)
        return [(f"{self.key(name)}[{position}]", item) for position, item in enumerate(value, start=1)]

    def _as_text(self, where: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._wrong(where, Kind.TEXT, value)
        if not value or value != value.strip() or len(value) > MAX_TEXT:
            raise AgreementError(f"{where}: expected 1 to {MAX_TEXT} characters without spaces around them")
        # Controls and directional marks would let what people read differ from what they sign.
        if not value.isprintable():
            raise AgreementError(f"{where}: expected printable characters only")
        return value

    def _as_integer(self, where: str, value: object, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(where, Kind.INTEGER, value)
        if not least <= value <= most:
            raise AgreementError(f"{where}: expected an integer from {least} to {most}, found {value}")
        return value

    def _as_instant(self, where: str, value: object) -> datetime:
        if not isinstance(value, datetime):
            raise self._wrong(where, Kind.INSTANT, value)
        if value.tzinfo is None:
            raise AgreementError(f"{where}: expected a time with an offset, such as 2017-01-01T00:00:00Z")
        return value

    def _wrong(self, where: str, kind: Kind, value: object) -> AgreementError:
        if value is None:
            return AgreementError(f"{where}: is missing: expected {_kind(kind)}")
        found = next((words for python_type, words in _FOUND if isinstance(value, python_type)), "another type")
        return AgreementError(f"{where}: expected {_kind(kind)}, found {found}")


def table_of(where: str, value: object) -> dict[str, object]:
    """Narrows a TOML value to a table.

    Raises:
        AgreementError: if it is something else.
    """
    if not isinstance(value, dict):
        raise AgreementError(f"{where}: expected a table")
    return value


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _kind(kind: Kind) -> str:
    article = "an" if kind.value[0] in "aeiou" else "a"
    return f"{article} {kind.value}"
