"""A file with a definition, to be filled into new agreements: one set of metrics for several partners.

The file is TOML with the tables of an agreement that a definition is made of (`[[metrics]]`, `[outcome]`, `[exposure]`,
of `[time]` the resolution and the zone, of `[release]` the caps on a person). A whole agreement is such a file too: its
parties, identifiers, dates, noise and bounds are not taken over. An agreement refers to no other file: what is filled
in is text of its own, and is signed as it stands.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from cleanroom.agreement.schema import SCHEMA
from cleanroom.errors import AgreementError
from cleanroom.regular_file import read_regular

__all__ = ["DefinitionText", "read_definition"]

_LEFT_OUT: Final = ("start", "end", "instants")
_TICKS: Final = ("resolution", "zone")
_CAPS: Final = ("max_groups_per_person", "max_windows")
_MAX_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionText:
    """The parts of an agreement's text that define its metrics: lines of TOML without a last line feed."""

    ticks: str  # keys of [time]
    exposure: str  # keys of [exposure]
    outcome: str  # the whole [outcome]
    metrics: str  # all of [[metrics]]
    caps: str  # keys of [release]


def read_definition(path: Path) -> DefinitionText:
    """Reads a definition, or that of an agreement.

    Only keys are checked here, values are when the agreement is: `cleanroom agreement check`.

    Raises:
        AgreementError: the file cannot be read, is not TOML, lacks a table or has an unknown key.
    """
    try:
        content = read_regular(path, at_most=_MAX_BYTES)
    except OSError as error:
        raise AgreementError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        if len(content) > _MAX_BYTES:
            raise AgreementError(f"is larger than {_MAX_BYTES // 2**20} MiB")
        return _text_of(_parsed(content))
    except AgreementError as error:
        raise AgreementError(f"{path}: {error}") from None


def _parsed(content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        raise AgreementError("is not valid TOML in UTF-8") from None


def _text_of(top: Mapping[str, object]) -> DefinitionText:
    for key in top:
        if key not in SCHEMA[""]:
            raise AgreementError(f"{key}: unknown key; a definition has metrics, outcome, exposure, time and release")
    metrics = top.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        raise AgreementError("metrics: is missing: expected [[metrics]]")
    outcome = dict(_table(top, "outcome"))
    labels = outcome.pop("labels", [])
    if not isinstance(labels, list):
        raise AgreementError("outcome.labels: expected a list of tables")
    exposure, time, release = _table(top, "exposure"), _table(top, "time"), _table(top, "release")
    return DefinitionText(
        ticks=_lines({key: time[key] for key in _TICKS if key in time}),
        exposure=_lines({key: value for key, value in exposure.items() if key not in _LEFT_OUT}),
        outcome="\n\n".join(
            [
                f"[outcome]\n{_lines(outcome)}",
                *(_item("outcome.labels", position, item) for position, item in _at(labels)),
            ]
        )
        + "\n",
        metrics="\n\n".join(_item("metrics", position, item) for position, item in _at(metrics)) + "\n",
        caps=_lines({key: release[key] for key in _CAPS if key in release}),
    )


def _at(items: list[object]) -> list[tuple[int, object]]:
    return list(enumerate(items, start=1))


def _table(top: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = top.get(name)
    if not isinstance(table, dict):
        raise AgreementError(f"{name}: is missing: expected a table [{name}]")
    return _known(name, name, table)


def _item(section: str, position: int, item: object) -> str:
    if not isinstance(item, dict):
        raise AgreementError(f"{section}[{position}]: expected a table")
    return f"[[{section}]]\n{_lines(_known(section, f'{section}[{position}]', item))}"


def _known(section: str, where: str, table: Mapping[str, object]) -> Mapping[str, object]:
    for key in table:
        if key not in SCHEMA[section]:
            raise AgreementError(f"{where}.{key}: unknown key; {section} has {', '.join(SCHEMA[section])}")
    return table


def _lines(table: Mapping[str, object]) -> str:
    return "\n".join(f"{key} = {_value(value)}" for key, value in table.items())


def _value(value: object) -> str:
    """A value in TOML; a JSON text is a TOML basic string, but for one control character."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    raise AgreementError("expected texts, numbers, times and lists of them")
