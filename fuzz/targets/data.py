"""An owner's own files: the source, the manifest, the list of facts, the binding; as CSV, gzip, Parquet, Arrow tables.

They are not a peer's, but a partner may hand one over. Whatever stands in them, a value of theirs is in no message: a
word that is planted in the cells must never show.
"""

from __future__ import annotations

import atexit
import gzip
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.agreement import Agreement, load_agreement
from cleanroom.agreement.model import Role
from cleanroom.data import Binding, load_binding
from cleanroom.errors import DataError, reason_of
from cleanroom.identity import new_identity
from cleanroom.plan import Plan, plan_of
from cleanroom.prepare import PreparationKeys, prepare
from fuzz.reader import Reader
from fuzz.target import Target
from tests.cleanroom.audit.runs import AGREEMENT, BINDINGS, PARTIES, SOURCES

__all__ = ["DATA"]

CANARY: Final = "zqcanary"
_TABLES: Final = """
[completeness]
warning = {fraction = 0.01, rows = 2}
failure = {fraction = 0.5, rows = 4}
on_failure = "mark"
[eligibility]
rules = [
    {party = "media", fact = "verified", is = "true"},
    {party = "media", fact = "notes", at_least = 30},
    {party = "shop", fact = "score", at_least = "4.5"},
]
"""
_DAYS: Final = ("2025-03-02", "2025-03-03", "2025-03-04")
_KEYS: Final = PreparationKeys(group_cap=b"g" * 32, shared_identifier=b"s" * 32, commitment=b"c" * 32)
_CELLS: Final[tuple[str, ...]] = (
    CANARY,
    f" {CANARY} ",
    f'"{CANARY}\n{CANARY}"',
    f"12{CANARY}",
    f"2025-03-02T10:00:00{CANARY}",
    "\N{NO-BREAK SPACE}",
    "",
    "-1",
    "1e400",
    "nan",
    "9" * 40,
    "0.0000000001",
    "2025-03-02T23:59:60Z",
    "2025-02-30",
    "0001-01-01T00:00:00+23:59",
    "1741000000",
    "true",
)


def _sources() -> dict[str, dict[str, str]]:
    """Both sides' files by section; the source is the section without a name of its own in a binding."""
    touches = [
        f"{CANARY}{person},{_DAYS[person % 3]}T10:00:00Z,{('spring', 'tiny')[person % 2]}" for person in range(6)
    ]
    orders = [f"{CANARY}{person},{_DAYS[person % 3]}T11:30:00Z,{person + 7}.50,{CANARY}{person}" for person in range(6)]
    manifest = {
        event: "\n".join(["date,event,rows", *(f"{day},{event},2" for day in _DAYS)]) for event in ("mail", "order")
    }
    return {
        "media": {
            "source": "\n".join(["user,at,campaign", *touches]),
            "manifest": manifest["mail"],
            "facts": "campaign,verified,notes\nspring,true,30\ntiny,false,99",
        },
        "shop": {
            "source": "\n".join(["buyer,at,paid,order_id", *orders]),
            "manifest": manifest["order"],
            "facts": "campaign,score\nspring,4.9\ntiny,4.5",
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    folder: Path
    agreement: Agreement
    plan: Plan

    def path(self, party: str, section: str) -> Path:
        """Where a file of a party lies."""
        if section == "binding":
            return self.folder / f"{party}.toml"
        return self.folder / (SOURCES[party] if section == "source" else f"{party}-{section}.csv")


@cache
def _desk() -> _Desk:
    """Both sides' files and an agreement that asks for all of them, in a folder that goes when the process ends."""
    made = tempfile.TemporaryDirectory(prefix="fuzz-")
    atexit.register(made.cleanup)
    folder = Path(made.name)
    for party in PARTIES:
        new_identity(party, folder / party)
    text = AGREEMENT.format(noise="gaussian", recipients='["media", "shop"]', profile="kkrt")
    (folder / "agreement.toml").write_text(text + _TABLES)
    agreement = load_agreement(folder / "agreement.toml")
    return _Desk(folder=folder, agreement=agreement, plan=plan_of(agreement))


@cache
def _honest() -> dict[tuple[str, str], bytes]:
    files: dict[tuple[str, str], bytes] = {}
    for party, sections in _sources().items():
        for section, text in sections.items():
            files[party, section] = text.encode() + b"\n"
        lists = "".join(f"[{section}]\npath = '{party}-{section}.csv'\n" for section in ("manifest", "facts"))
        files[party, "binding"] = (BINDINGS[party] + lists).encode()
    return files


_TYPES: Final[tuple[pa.DataType, ...]] = (
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.int64()),
    pa.int8(),
    pa.int64(),
    pa.uint64(),
    pa.float16(),
    pa.float32(),
    pa.float64(),
    pa.decimal128(38, 0),
    pa.decimal128(38, 20),
    pa.decimal128(5, -3),
    pa.decimal256(76, 2),
    pa.bool_(),
    pa.date32(),
    pa.date64(),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("us", tz="UTC"),
    pa.timestamp("ms", tz="Asia/Shanghai"),
    pa.time64("us"),
    pa.duration("s"),
    pa.null(),
    pa.binary(8),
    pa.list_(pa.string()),
    pa.struct([("x", pa.string())]),
    pa.month_day_nano_interval(),
    pa.run_end_encoded(pa.int32(), pa.string()),
)


def _array(column: list[str], kind: pa.DataType, reader: Reader) -> pa.Array:
    """A column's cells in another type, or numbers of the input, or nothing but nulls where neither fits."""
    texts = pa.array(column, pa.string())
    try:
        if reader.number() % 2:
            return texts.cast(kind)
        if pa.types.is_nested(kind):
            return pa.array([[cell] if pa.types.is_list(kind) else {"x": cell} for cell in column], kind)
        return pa.array([reader.number(8) - (1 << 63) for _ in column], pa.int64()).cast(kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.nulls(len(column), kind)


def _table(data: bytes, reader: Reader) -> pa.Table:
    head, *lines = [line.split(",") for line in data.decode().splitlines()]
    columns = [list(cells) for cells in zip(*lines, strict=True)]
    for _ in range(reader.number() % 4):
        columns[reader.number() % len(columns)][reader.number() % len(lines)] = reader.choice(_CELLS)
    arrays = [
        _array(column, reader.choice(_TYPES) if reader.number() % 2 else pa.string(), reader) for column in columns
    ]
    return pa.Table.from_arrays(arrays, names=head)


def _cells(data: bytes, reader: Reader) -> bytes:
    """Some cells replaced, the header's too."""
    lines = [line.split(",") for line in data.decode().splitlines()]
    while reader.more:
        line = lines[reader.number() % len(lines)]
        line[reader.number() % len(line)] = reader.choice(_CELLS)
    return "\n".join(",".join(line) for line in lines).encode() + b"\n"


def _spliced(data: bytes, reader: Reader) -> bytes:
    changed = bytearray(data)
    while reader.more:
        at = reader.number(2) % (len(changed) + 1)
        changed[at : at + reader.number()] = reader.block()
    return bytes(changed)


def _parquet(table: pa.Table) -> bytes | None:
    sink = io.BytesIO()
    try:
        pq.write_table(table, sink)
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return None  # not every type can be written
    return sink.getvalue()


def _file(data: bytes, section: str, reader: Reader) -> bytes | pa.Table:
    """What an input makes of a file: its bytes, or a table in its place."""
    kind = reader.number() % 6
    if section == "binding" or kind == 0:
        return _spliced(data, reader)
    if kind == 1:
        return _cells(data, reader)
    if kind == 2:
        return gzip.compress(_cells(data, reader), mtime=0)
    if kind == 3:
        return _spliced(gzip.compress(data, mtime=0), reader)
    table = _table(data, reader)
    if kind == 4 and section == "source":
        return table
    return _parquet(table) or data


def check_data(data: bytes) -> None:
    """A side's files are prepared, or refused with DataError; what stands in a cell is in no message."""
    reader = Reader(data)
    party = reader.choice(PARTIES)
    section = reader.choice(("source", "manifest", "facts", "binding"))
    desk, honest = _desk(), _honest()
    for (owner, name), content in honest.items():
        if owner == party:
            desk.path(owner, name).write_bytes(content)
    changed = _file(honest[party, section], section, reader)
    try:
        if isinstance(changed, bytes):
            desk.path(party, section).write_bytes(changed)
            binding = load_binding(desk.path(party, "binding"))
        else:
            binding = _of_table(load_binding(desk.path(party, "binding")), changed)
        role = Role.EXPOSURE if party == "media" else Role.OUTCOME
        prepare(desk.agreement, desk.plan, role=role, binding=binding, keys=_KEYS, progress=lambda *_: None)
    except DataError as error:
        assert reason_of(error).isprintable()
        assert CANARY not in str(error), "a value of the data is in the message"
        assert error.__cause__ is None or CANARY not in str(error.__cause__), "a value is in the message's cause"


def _of_table(binding: Binding, table: pa.Table) -> Binding:
    return replace(binding, table=table, pattern=None)


def _seeds() -> Iterator[bytes]:
    for party in range(2):
        for section in range(4):
            head = bytes([party, section])
            yield head
            yield head + b"\0" + b"\x30\0\x04\x08\0" + CANARY.encode()
            for cell in range(len(_CELLS)):
                for column in range(cell % 2, 4, 2):
                    yield head + bytes([1 + cell % 2, 1 + cell % 3, column, cell])
            yield head + b"\3\x14\0\1\1\0x"
            for kind in (4, 5):
                for number in range(len(_TYPES)):
                    body = bytes([number % 2, *(255, 255, 255) * 3])
                    yield head + bytes([kind, 0]) + b"\0\0\0" * (number % 4) + bytes([1, number]) + body


DATA: Final = Target(
    name="data",
    promise="an owner's files are prepared or refused with DataError, and no message holds a value of theirs",
    check=check_data,
    seeds=_seeds,
    max_bytes=1024,
)
