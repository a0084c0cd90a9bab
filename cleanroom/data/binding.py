"""The binding: where one party's data lies and which of its columns is what. Private to the party, never sent."""

from __future__ import annotations

import glob
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from cleanroom.errors import DataError
from cleanroom.regular_file import read_regular

__all__ = ["LISTS", "Binding", "ColumnName", "Constant", "load_binding"]

_TIME_ZONE: Final = "time_zone"
LISTS: Final = ("manifest", "spend", "facts")
"""Sections of a binding that name a further table, each with a path: a binding need not have them."""
_MAX_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class ColumnName:
    """A standard name that is read from a column of the source."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A standard name that has the same text in every row: written in single quotes."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A source and its columns by standard name.

    Either `pattern` (a file or a glob, relative to `folder`) or `table` is set. `name` is what messages call the
    binding. `lists` are the owner's other tables by section: what its upstream delivered, what a group cost, what is
    known of a group.
    """

    name: str
    columns: Mapping[str, ColumnName | Constant]
    time_zone: str | None = None
    pattern: str | None = None
    folder: Path | None = None
    table: pa.Table | None = field(default=None, repr=False)
    lists: Mapping[str, str] = field(default_factory=dict)  # section: path, relative to `folder`

    def listed(self, section: str, columns: tuple[str, ...]) -> Binding | None:
        """One of the owner's other tables as a source of its own, its columns under their own names.

        Args:
            section: manifest, spend or facts.
            columns: the names of the columns to read.
        """
        path = self.lists.get(section)
        if path is None:
            return None
        names = {name: ColumnName(name) for name in columns}
        return Binding(name=f"{self.name}: {section}", columns=names, pattern=path, folder=self.folder)

    @staticmethod
    def from_table(table: pa.Table | pd.DataFrame, columns: Mapping[str, str]) -> Binding:
        """Binds an Arrow table or a pandas frame.

        Args:
            table: the rows; a frame's index is not read.
            columns: as the `[columns]` section of a binding file, `time_zone` included.

        Raises:
            DataError: `columns` is not of that form, or the frame has a column of mixed types.
        """
        bound, time_zone = _columns(columns, "table")
        rows = table if isinstance(table, pa.Table) else _from_frame(table)
        return Binding(name="table", columns=bound, time_zone=time_zone, table=rows)

    def files(self) -> list[Path]:
        """The files of the source, sorted by path; empty for a table.

        Raises:
            DataError: nothing matches.
        """
        if self.pattern is None or self.folder is None:
            return []
        path = self.folder / self.pattern
        if path.is_file():
            return [path]
        # The folder is not part of the owner's pattern: its own brackets are no wildcards.
        found = glob.glob(self.pattern, root_dir=self.folder, recursive=True)  # noqa: PTH207 (pathlib skips nothing else)
        files = sorted(file for file in (self.folder / match for match in found) if file.is_file())
        if not files:
            raise DataError(f"{self.name}: source.path: expected a file or a glob that matches files, found none")
        return files

    def label(self, file: Path) -> str:
        """What messages call a file: its path from the binding's folder where it lies below it; one line."""
        folder = self.folder
        shown = file.relative_to(folder) if folder is not None and file.is_relative_to(folder) else file
        return "".join(character if character.isprintable() else "?" for character in str(shown))


def load_binding(path: str | Path) -> Binding:
    """Reads a binding file.

    Raises:
        DataError: the file is missing, no regular file, too long or not TOML, or a key is missing, unknown or of the
            wrong type.
    """
    path = Path(path)
    name = path.name
    try:
        encoded = read_regular(path, at_most=_MAX_BYTES)
        if len(encoded) > _MAX_BYTES:
            raise DataError(f"{name}: expected at most {_MAX_BYTES >> 20} MiB")
        content = tomllib.loads(encoded.decode("utf-8"))
    except OSError as error:
        raise DataError(f"{name}: expected a readable binding file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{name}: expected UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{name}: expected TOML{_position(error)}") from None
    for key in content:
        if key not in ("source", "columns", *LISTS):
            expected = ", ".join(f"[{section}]" for section in LISTS)
            raise DataError(f"{name}: expected [source], [columns], {expected}, found the unknown key {key!r}")
    columns, time_zone = _columns(_section(content, "columns", name), name)
    return Binding(
        name=name,
        columns=columns,
        time_zone=time_zone,
        pattern=_path(content, "source", name),
        folder=path.resolve().parent,
        lists={section: _path(content, section, name) for section in LISTS if section in content},
    )


def _path(content: dict[str, Any], key: str, name: str) -> str:
    """The path of a section that holds nothing else."""
    section = _section(content, key, name)
    for entry in section:
        if entry != "path":
            raise DataError(f"{name}: {key}: expected only path, found the unknown key {entry!r}")
    path = section.get("path")
    if not isinstance(path, str) or not path:
        raise DataError(f"{name}: {key}.path: expected a file or a glob in quotes")
    return path


def _position(error: tomllib.TOMLDecodeError) -> str:
    """Where the parser stopped, without what it read there (a message may quote the text)."""
    _, _, where = str(error).rpartition("(at ")
    return f" (at {where}" if where.startswith(("line ", "end of document")) else ""


def _section(content: dict[str, Any], key: str, name: str) -> dict[str, Any]:  # TOML holds values of any type
    section = content.get(key)
    if not isinstance(section, dict):
        raise DataError(f"{name}: expected a section [{key}]")
    return section


def _columns(columns: Mapping[str, Any], name: str) -> tuple[dict[str, ColumnName | Constant], str | None]:
    """Splits a `[columns]` section into columns and the time zone; types of values are checked here."""
    bound: dict[str, ColumnName | Constant] = {}
    time_zone: str | None = None
    for key, value in columns.items():
        if not isinstance(value, str) or not value:
            raise DataError(f"{name}: columns.{key}: expected the name of a column, or a constant in single quotes")
        if key == _TIME_ZONE:
            _check_zone(value, name)
            time_zone = value
        elif len(value) >= 2 and value[0] == value[-1] == "'":
            bound[key] = Constant(value[1:-1].strip())
        else:
            bound[key] = ColumnName(value)
    return bound, time_zone


def _check_zone(zone: str, name: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise DataError(f"{name}: columns.{_TIME_ZONE}: expected an IANA time zone such as Asia/Shanghai") from None


def _from_frame(frame: pd.DataFrame) -> pa.Table:
    """Converts a frame column by column, so that a fault names its column and no value."""
    names, arrays = [], []
    for position, name in enumerate(frame.columns):
        try:
            array = pa.array(frame.iloc[:, position], from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise DataError(f"table, column {name}: expected values of one type") from None
        names.append(str(name))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, names=names)
