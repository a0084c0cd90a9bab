"""Arrow columns to the arrays that the kernels read: texts, times, amounts; the first misfit is a fault.

A fault names the file, the row and the column and says what was expected. No message holds a value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.data.zones import WallClock
from cleanroom.errors import AgreementError, DataError
from cleanroom.texts import Texts, not_null

__all__ = [
    "AMOUNT_LIMIT",
    "Field",
    "Units",
    "amounts_of",
    "distinct_texts_of",
    "integers_of",
    "is_text",
    "labels_of",
    "of_texts",
    "texts_of",
    "times_of",
]

T = TypeVar("T", bound=np.generic)

AMOUNT_LIMIT: Final = 1 << 50
"""The largest amount of one row, in integer units: ten trillion in fen."""

_MICROS: Final = 1_000_000
_UNIX_SECONDS: Final = (100_000_000, 100_000_000_000)  # as kernels/src/parse.rs
_WALL_US: Final = (-62_135_596_800 * _MICROS, 253_402_300_800 * _MICROS)  # the years 1 to 9999
_EXPECTED_TIME: Final = "expected an ISO 8601 time (2017-01-31T08:00:00Z) or Unix seconds"
# Statuses of the kernels.
_NULL: Final = 1
_MALFORMED: Final = 2
_NAIVE: Final = 3
_AMOUNT_FAULTS: Final = {
    _MALFORMED: "expected an amount such as 1234.50",
    4: "expected an amount that is not negative",
    5: "expected no more digits than the agreement's precision",
    6: "expected an amount below 2^50 units of the agreement's precision",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a stretch of rows, and where it lies: `first_row` counts from 1 after any header."""

    origin: str
    column: str
    first_row: int
    values: pa.Array = field(repr=False)

    def fault(self, expected: str, index: int | None = None) -> DataError:
        """The error for the entry at `index`, or for the whole column."""
        where = "" if index is None else f" row {self.first_row + index},"
        return DataError(f"{self.origin},{where} column {self.column}: {expected}")

    def first_fault(self, wrong: NDArray[np.bool_], expected: str) -> None:
        """Raises the error for the first entry that is wrong, if any."""
        if wrong.any():
            raise self.fault(expected, int(np.argmax(wrong)))


@dataclass(frozen=True, slots=True)
class Units:
    """Money as integers: `places` decimal places of the currency."""

    places: int

    @staticmethod
    def of(precision: Decimal | None) -> Units:
        """The units of an agreement's precision (1 where there is none).

        Raises:
            AgreementError: the precision is not 1, 0.1, … 0.000000001.
        """
        if precision is None:
            return Units(0)
        for places in range(10):
            if precision == Decimal(1).scaleb(-places):
                return Units(places)
        raise AgreementError("outcome.precision: expected 1, 0.1, 0.01 and so on down to 0.000000001")


def texts_of(column: Field) -> pa.StringArray:
    """The column as text: text as it is, integers in decimal.

    Raises:
        DataError: another type, or text that is not UTF-8.
    """
    values = column.values
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return values.cast(pa.string())
    if not is_text(kind):
        raise column.fault("expected text or whole numbers, found another type")
    text = values if kind == pa.string() else values.cast(pa.binary()).view(pa.string())
    parts = Texts.of(text)
    if _kernels.is_utf8(parts.offsets, parts.data, parts.valid):
        return text
    binary = text.view(pa.binary())
    try:
        return binary.cast(pa.string())
    except pa.ArrowException:
        raise column.fault("expected UTF-8 text", _first_undecodable(binary)) from None


def distinct_texts_of(column: Field) -> tuple[pa.StringArray, NDArray[np.int64] | None]:
    """The column as text, each text of a dictionary once, so that what is asked of a text is asked once.

    Returns:
        Texts, and for each row the position of its own; None for those where every row has a text of its own.

    Raises:
        DataError: as `texts_of`.
    """
    values = column.values
    if not pa.types.is_dictionary(values.type) or len(values.dictionary) > len(values):
        return texts_of(column), None
    try:
        texts = texts_of(replace(column, values=values.dictionary))
    except DataError:
        return texts_of(column), None  # a fault is one of the rows that have the value, if any has
    rows = values.indices
    if rows.null_count:
        rows = rows.cast(pa.int64()).fill_null(len(texts))  # the null behind them
    return pa.concat_arrays([texts, pa.nulls(1, pa.string())]), _numbers(rows).astype(np.int64, copy=False)


def of_texts(column: Field, ask: Callable[[pa.StringArray], NDArray[T]]) -> NDArray[T]:
    """What `ask` finds for each text of the column, n entries or rows; each text of a dictionary is asked for once.

    Raises:
        DataError: as `texts_of`.
    """
    texts, rows = distinct_texts_of(column)
    found = ask(texts)
    return found if rows is None else found[rows]


def integers_of(column: Field) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    """The whole numbers of a column and which entries are not null, n each; None for a column of another type."""
    kind = column.values.type
    if not pa.types.is_integer(kind) or kind == pa.uint64():
        return None
    return np.ascontiguousarray(_numbers(column.values), dtype=np.int64), not_null(column.values)


def labels_of(column: Field, labels: tuple[str, ...]) -> NDArray[np.int32]:
    """The position of each trimmed text among the declared labels, -1 for another or none; n entries."""
    declared = pa.array(labels, pa.string())

    def positions_of(texts: pa.StringArray) -> NDArray[np.int32]:
        positions = pc.index_in(texts, declared)
        if positions.null_count:
            positions = pc.index_in(pc.utf8_trim_whitespace(texts), declared)
        return np.asarray(positions.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)

    return of_texts(column, positions_of)


def times_of(column: Field, clock: WallClock) -> NDArray[np.int64]:
    """Microseconds UTC of each time, n entries; naive times are read on `clock`.

    Raises:
        DataError: a time is missing or does not parse, or the column holds another type.
    """
    values = column.values
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_null(kind):
        raise column.fault(_EXPECTED_TIME, 0 if len(values) else None)
    if pa.types.is_timestamp(kind):
        wall = _scaled(column, values, {"s": _MICROS, "ms": 1000, "us": 1, "ns": 0}[kind.unit])
        return wall if kind.tz is not None else clock.to_utc(wall)
    if pa.types.is_date32(kind):
        return clock.to_utc(_scaled(column, values.cast(pa.int32()), 86_400 * _MICROS))
    if pa.types.is_date64(kind):
        return clock.to_utc(_scaled(column, values.cast(pa.int64()), 1000))
    if pa.types.is_integer(kind):
        seconds = _numbers(values)
        low, high = _UNIX_SECONDS
        column.first_fault(~not_null(values) | (seconds < low) | (seconds >= high), _EXPECTED_TIME)
        return np.asarray(seconds, dtype=np.int64) * _MICROS
    if pa.types.is_floating(kind):
        floats = _numbers(values.cast(pa.float64()))
        fractional: NDArray[np.float64] = np.nan_to_num(floats, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = _UNIX_SECONDS
        column.first_fault(~not_null(values) | (fractional < low) | (fractional >= high), _EXPECTED_TIME)
        return np.rint(fractional * _MICROS).astype(np.int64)
    texts = Texts.of(_number_text(column, values, _EXPECTED_TIME))
    micros, status = _kernels.parse_times(texts.offsets, texts.data, texts.valid)
    column.first_fault((status == _NULL) | (status == _MALFORMED), _EXPECTED_TIME)
    naive = status == _NAIVE
    if naive.all():
        return clock.to_utc(micros)
    if naive.any():
        micros[naive] = clock.to_utc(micros[naive])
    return micros


def amounts_of(
    column: Field, units: Units, required: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Integer units of each amount, n entries; 0 where there is none.

    Args:
        column: text and decimals are read exactly, floats to the nearest unit, half to even.
        units: the agreement's precision.
        required: rows that must have an amount.
        counted: rows whose amount is checked at all; the others are 0.

    Raises:
        DataError: an amount that counts does not parse, is negative, too precise or too large, or is missing.
    """
    values = column.values
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    amounts: NDArray[np.int64]
    if pa.types.is_integer(kind):
        whole = _numbers(values)
        status = np.zeros(len(values), dtype=np.uint8)
        status[whole > AMOUNT_LIMIT // 10**units.places] = 6
        status[whole < 0] = 4
        status[~not_null(values)] = _NULL
        amounts = np.where(status == 0, whole, 0).astype(np.int64) * 10**units.places
    elif pa.types.is_floating(kind):
        floats = _numbers(values.cast(pa.float64()))
        amounts, status = _kernels.round_amounts(floats, not_null(values), places=units.places, limit=AMOUNT_LIMIT)
    elif pa.types.is_decimal128(kind) and 0 <= kind.scale <= units.places and len(values):
        unit = 10 ** (units.places - kind.scale)
        amounts, status = _kernels.decimal_amounts(_halves(values), not_null(values), unit=unit, limit=AMOUNT_LIMIT)
    else:
        texts = Texts.of(_number_text(column, values, _AMOUNT_FAULTS[_MALFORMED]))
        amounts, status = _kernels.parse_amounts(
            texts.offsets, texts.data, texts.valid, places=units.places, limit=AMOUNT_LIMIT
        )
    wrong = counted & ((status > _NULL) | ((status == _NULL) & required))
    if wrong.any():
        index = int(np.argmax(wrong))
        raise column.fault(_AMOUNT_FAULTS.get(int(status[index]), "expected an amount, found none"), index)
    amounts[~counted] = 0
    return amounts


def _numbers(values: pa.Array) -> NDArray[Any]:  # any integer or float type, that of the column
    if values.null_count:
        values = values.fill_null(0)
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _halves(values: pa.Array) -> NDArray[np.int64]:
    """Decimals as whole numbers of their last place, n × 2: the lower and the upper 64 bits."""
    halves = np.frombuffer(values.buffers()[1], dtype=np.int64)
    return halves.reshape(-1, 2)[values.offset : values.offset + len(values)]


def _scaled(column: Field, values: pa.Array, micros: int) -> NDArray[np.int64]:
    """Counts of `micros` microseconds (0: of nanoseconds) as microseconds, inside the years 1 to 9999."""
    counts = _numbers(values.cast(pa.int64()))
    low, high = _WALL_US
    low, high = (low * 1000, high * 1000) if micros == 0 else (low // micros, high // micros)
    column.first_fault(
        ~not_null(values) | (counts < max(low, -(2**63))) | (counts >= min(high, 2**63 - 1)), _EXPECTED_TIME
    )
    return counts // 1000 if micros == 0 else counts * micros


def _number_text(column: Field, values: pa.Array, expected: str) -> pa.StringArray:
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_decimal(kind):
        texts = values.cast(pa.string())
        if pc.any(pc.match_substring(texts, "E")).as_py():
            # Arrow writes small decimals, and zeros of many places, with an exponent.
            plain = [None if value is None else format(value, "f") for value in values.to_pylist()]
            texts = pa.array(plain, pa.string())
        return texts
    if not is_text(kind):
        raise column.fault(f"{expected}, found another type")
    return texts_of(Field(origin=column.origin, column=column.column, first_row=column.first_row, values=values))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, or bytes that may be text."""
    checks: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(check(kind) for check in checks)


def _first_undecodable(values: pa.BinaryArray) -> int | None:
    for index, value in enumerate(values):
        try:
            (value.as_py() or b"").decode("utf-8")
        except UnicodeDecodeError:
            return index
    return None
