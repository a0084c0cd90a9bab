"""Worlds in memory as plain values, for tests to compare."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from cleanroom.simulate import Parameters, World
from cleanroom.simulate.tables import BLOCK_TABLES


def tables(parameters: Parameters, block_people: int) -> dict[str, pa.Table]:
    """Every file that grows with the people, whole, as plain columns."""
    parts: dict[str, list[pa.Table]] = {name: [] for name in BLOCK_TABLES}
    for block in World(parameters).blocks(block_people):
        for name, table_of in BLOCK_TABLES.items():
            parts[name].append(plain(table_of(parameters, block)))
    return {name: pa.concat_tables(found) for name, found in parts.items()}


def plain(table: pa.Table) -> pa.Table:
    """Dictionaries as texts, times as milliseconds."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            columns[name] = column.cast(pa.string())
        elif pa.types.is_timestamp(column.type):
            columns[name] = column.cast(pa.int64())
        else:
            columns[name] = column
    return pa.table(columns)


def digest(table: pa.Table) -> str:
    """SHA-256 of all values, row by row."""
    hashed = hashlib.sha256(",".join(table.column_names).encode())
    for row in table.to_pylist():
        hashed.update("\x1f".join(str(value) for value in row.values()).encode() + b"\n")
    return hashed.hexdigest()
