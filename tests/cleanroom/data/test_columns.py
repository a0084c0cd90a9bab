"""Times and money from every kind of column, against plain Python; faults name row and column and no value."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.data.columns import (
    AMOUNT_LIMIT,
    Field,
    Units,
    amounts_of,
    distinct_texts_of,
    integers_of,
    labels_of,
    texts_of,
    times_of,
)
from cleanroom.data.zones import WallClock
from cleanroom.errors import AgreementError, DataError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def column(values: pa.Array) -> Field:
    return Field(origin="f.csv", column="c", first_row=5, values=values)


def times(values: pa.Array, zone: str = "UTC") -> list[int]:
    return times_of(column(values), WallClock(zone)).tolist()


def micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def amounts(values: pa.Array, precision: str = "0.01") -> list[int]:
    everywhere = np.ones(len(values), dtype=np.bool_)
    return amounts_of(column(values), Units.of(Decimal(precision)), everywhere, everywhere).tolist()


MARCH = datetime(2017, 3, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-03-05T06:07:08.000009Z", MARCH),
        ("2017-03-05t06:07:08,000009z", MARCH),
        (" 2017-03-05 06:07:08.000009999 ", MARCH),
        ("2017-03-05T14:07:08.000009+08:00", MARCH),
        ("2017-03-05 14:07:08.000009+0800", MARCH),
        ("2017-03-05T14:07:08.000009 +08", MARCH),
        ("2017-03-05T02:37:08.000009-03:30", MARCH),
        ("1488694028.000009", MARCH),
        ("2017-03-05T06:07", datetime(2017, 3, 5, 6, 7, tzinfo=UTC)),
        ("2016-02-29", datetime(2016, 2, 29, tzinfo=UTC)),
        ("1488694028", datetime(2017, 3, 5, 6, 7, 8, tzinfo=UTC)),
    ],
)
def test_text_times(text: str, expected: datetime) -> None:
    assert times(pa.array([text])) == [micros(expected)]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.datetimes(), st.sampled_from([None, 0, 330, -570, 1080]))
def test_iso_times_agree_with_datetime(wall: datetime, offset: int | None) -> None:
    zone = UTC if offset is None else timezone(timedelta(minutes=offset))
    text = wall.isoformat() if offset is None else wall.replace(tzinfo=zone).isoformat()
    shift = timedelta(minutes=offset or 0)
    assert times(pa.array([text])) == [(wall - shift - EPOCH.replace(tzinfo=None)) // timedelta(microseconds=1)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "2017-02-29", "2017-13-01", "2017-00-01", "2017-01-00", "0000-01-01", "17-01-01", "2017/01/01"),
        *("2017-01-01T24:00:00Z", "2017-01-01T00:60Z", "2017-01-01T00:00:60Z", "2017-01-01T0:00", "2017-01-01T00:00X"),
        *("2017-01-01T00:00:00+19:00", "2017-01-01T00:00:00.Z", "2017-01-01T00:00:00.1234567890", "2017-01-01Z"),
        *("20170101", "99999999", "1483228800000", "1483228800000000", "-1483228800", "1483228800.", "1e9", "9" * 40),
        *("12/31/2016", "2017-01-01T00:00:00Z2017", "Jan 1 2017"),
    ],
)
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(DataError, match=r"^f\.csv, row 6, column c: expected an ISO 8601 time .* or Unix seconds$"):
        times(pa.array(["2017-01-01", text]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1], pa.timestamp("s", "UTC")), 10**6),
        (pa.array([1], pa.timestamp("ms", "Asia/Shanghai")), 1000),
        (pa.array([1999], pa.timestamp("ns")), 1),
        (pa.array([-1], pa.timestamp("ns")), -1),
        (pa.array([date(2017, 1, 1)], pa.date32()), 1483228800 * 10**6),
        (pa.array([date(2017, 1, 1)], pa.date64()), 1483228800 * 10**6),
        (pa.array([1483228800], pa.uint32()), 1483228800 * 10**6),
        (pa.array([1483228800.5]), 1483228800500000),
        (pa.array([Decimal("1483228800.25")]), 1483228800250000),
        (pa.array(["2017-01-01"]).dictionary_encode(), 1483228800 * 10**6),
        (pa.array([b"2017-01-01"], pa.large_binary()), 1483228800 * 10**6),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_typed_times(values: pa.Array, expected: int) -> None:
    assert times(values) == [expected]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1483228800, None]),
        pa.array([1483228800, 1483228800000]),
        pa.array([1483228800, 2**64 - 1], pa.uint64()),
        pa.array([1483228800.0, float("inf")]),
        pa.array([1483228800.0, float("nan")]),
        pa.array([0, None], pa.timestamp("us")),
        pa.array([0, 2**63 - 1], pa.timestamp("us")),
        pa.array([0, 2**62], pa.timestamp("s")),
        pa.array(["2017-01-01", None]),
    ],
    ids=str,
)
def test_typed_times_that_are_none(values: pa.Array) -> None:
    with pytest.raises(DataError, match="row 6, column c: expected an ISO 8601 time"):
        times(values)


@pytest.mark.parametrize("values", [pa.array([True]), pa.array([[1]]), pa.array([1], pa.time32("s")), pa.nulls(1)])
def test_columns_that_hold_no_times(values: pa.Array) -> None:
    with pytest.raises(DataError, match="expected an ISO 8601 time"):
        times(values)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_naive_times_agree_with_zoneinfo(zone: str) -> None:
    walls = [datetime(2017, 1, 1) + timedelta(minutes=61 * step + step % 7) for step in range(8700)]
    expected = [micros(wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)) for wall in walls]
    assert times(pa.array([wall.isoformat() for wall in walls]), zone) == expected
    assert times(pa.array(walls, pa.timestamp("us")), zone) == expected


def test_clock_changes() -> None:
    twice, never = "2017-11-05T01:30:00", "2017-03-12T02:30:00"
    got = times(pa.array([twice, never, twice + "-05:00"]), "America/New_York")
    expected = [datetime(2017, 11, 5, 5, 30), datetime(2017, 3, 12, 7, 30), datetime(2017, 11, 5, 6, 30)]
    assert got == [micros(time.replace(tzinfo=UTC)) for time in expected]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["12.34", "0", " 5 ", "+1.5", ".5", "7.", "1.2300", "-0.00"]), [1234, 0, 500, 150, 50, 700, 123, 0]),
        (pa.array([Decimal("12.34"), Decimal("0.50")]), [1234, 50]),
        (pa.array([Decimal("12.3400"), Decimal("0.5")], pa.decimal256(60, 4)), [1234, 50]),
        (pa.array([Decimal(0), Decimal("0.5"), None, Decimal(3)], pa.decimal128(38, 10)).drop_null(), [0, 50, 300]),
        (pa.array([Decimal(300), Decimal(0)], pa.decimal128(10, -2)), [30000, 0]),
        (pa.array([Decimal("0.1"), Decimal("1.2"), Decimal("34.5")], pa.decimal128(38, 1)).slice(1), [120, 3450]),
        (pa.array([3, 0], pa.int8()), [300, 0]),
        (pa.array([1.005, 0.285, 1.115, 0.125, 0.375, 2.675, -0.0]), [100, 28, 112 - 1, 12, 38, 267, 0]),
        (pa.array([0.1], pa.float32()), [10]),
        (pa.array(["1.5"]).dictionary_encode(), [150]),
    ],
)
def test_amounts(values: pa.Array, expected: list[int]) -> None:
    assert amounts(values) == expected


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.one_of(st.floats(0, 1e9), st.integers(0, 10**7).map(lambda n: n / 1000)), st.sampled_from([0, 1, 2, 3]))
def test_floats_go_to_the_nearest_unit(value: float, places: int) -> None:
    unit = Decimal(1).scaleb(-places)
    exact = Decimal(value).quantize(unit, rounding=ROUND_HALF_EVEN).scaleb(places)
    assert amounts(pa.array([value]), str(unit)) == [int(exact)]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.decimals(0, 10**9, places=4), st.sampled_from([0, 2, 4]))
def test_text_is_exact_or_refused(value: Decimal, places: int) -> None:
    units = value.scaleb(places)
    unit = str(Decimal(1).scaleb(-places))
    if units == int(units):
        assert amounts(pa.array([f"{value:f}"]), unit) == [int(units)]
    else:
        with pytest.raises(DataError, match="expected no more digits than the agreement's precision"):
            amounts(pa.array([f"{value:f}"]), unit)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["1", "12,34"]), "expected an amount such as 1234.50"),
        (pa.array(["1", "1,234.00"]), "expected an amount such as 1234.50"),
        (pa.array(["1", "¥5"]), "expected an amount such as 1234.50"),
        (pa.array(["1", "1e3"]), "expected an amount such as 1234.50"),
        (pa.array(["1", "."]), "expected an amount such as 1234.50"),
        (pa.array(["1", "--1"]), "expected an amount such as 1234.50"),
        (pa.array(["1", "٣"]), "expected an amount such as 1234.50"),
        (pa.array(["1", "-0.01"]), "expected an amount that is not negative"),
        (pa.array(["1", "-0.001"]), "expected an amount that is not negative"),
        (pa.array([1, -1]), "expected an amount that is not negative"),
        (pa.array([1.0, -1e-9]), "expected an amount that is not negative"),
        (pa.array(["1", "0.001"]), "expected no more digits than the agreement's precision"),
        (pa.array([Decimal("1.000"), Decimal("1.001")]), "expected no more digits than the agreement's precision"),
        (pa.array(["1", "9" * 30]), "expected an amount below"),
        (pa.array([Decimal(1), Decimal(2**64)], pa.decimal128(38, 0)), "expected an amount below"),
        (pa.array([Decimal(1), Decimal(2**63)], pa.decimal128(38, 0)), "expected an amount below"),
        (pa.array([Decimal(1), Decimal(AMOUNT_LIMIT)], pa.decimal128(38, 0)), "expected an amount below"),
        (pa.array([Decimal(1), Decimal(-(2**64))], pa.decimal128(38, 0)), "expected an amount that is not negative"),
        (pa.array([Decimal(1), Decimal(-1)], pa.decimal128(38, 0)), "expected an amount that is not negative"),
        (pa.array([Decimal(1), None], pa.decimal128(38, 2)), "expected an amount, found none"),
        (pa.array([1, 2**64 - 1], pa.uint64()), "expected an amount below"),
        (pa.array([1, AMOUNT_LIMIT]), "expected an amount below"),
        (pa.array([1.0, 1e300]), "expected an amount below"),
        (pa.array([1.0, float("inf")]), "expected an amount below"),
        (pa.array(["1", None]), "expected an amount, found none"),
        (pa.array([1.0, float("nan")]), "expected an amount, found none"),
        (pa.array([1, None]), "expected an amount, found none"),
    ],
    ids=str,
)
def test_amounts_that_are_none(values: pa.Array, expected: str) -> None:
    with pytest.raises(DataError, match=rf"^f\.csv, row 6, column c: {expected}"):
        amounts(values)


def test_amounts_where_none_is_needed() -> None:
    required, counted = np.array([True, False, False]), np.array([True, True, False])
    got = amounts_of(column(pa.array(["1", None, "nonsense"])), Units(2), required, counted)
    assert got.tolist() == [100, 0, 0]


def test_the_largest_amount_of_a_decimal_is_that_of_text() -> None:
    for scale in (0, 1, 2):
        most = Decimal(AMOUNT_LIMIT // 10 ** (2 - scale)).scaleb(-scale)
        for value, fits in ((most, True), (most + Decimal(1).scaleb(-scale), False)):
            for values in (pa.array([value], pa.decimal128(30, scale)), pa.array([str(value)])):
                if fits:
                    assert amounts(values) == [int(value * 100)]
                else:
                    with pytest.raises(DataError, match="expected an amount below"):
                        amounts(values)


def test_whole_numbers_are_told_from_other_columns() -> None:
    found = integers_of(column(pa.array([7, None, -1], pa.int16()).slice(1)))
    assert found is not None and found[0].tolist() == [0, -1] and found[1].tolist() == [False, True]
    for values in (pa.array(["7"]), pa.array([7.0]), pa.array([7], pa.uint64()), pa.array([None])):
        assert integers_of(column(values)) is None


@pytest.mark.parametrize("precision", ["0.05", "10", "0", "0.0000000001"])
def test_precision_is_a_decimal_place(precision: str) -> None:
    with pytest.raises(AgreementError, match=r"outcome\.precision: expected 1, 0\.1"):
        Units.of(Decimal(precision))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([7, None], pa.int64()), ["7", None]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([Decimal(12345678901234567890123)]), ["12345678901234567890123"]),
        (pa.array([b"\xe4\xbc\x9a"]), ["会"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.nulls(2), [None, None]),
    ],
    ids=str,
)
def test_texts(values: pa.Array, expected: list[Any]) -> None:
    assert texts_of(column(values)).to_pylist() == expected


@pytest.mark.parametrize("values", [pa.array([1.0]), pa.array([True]), pa.array([Decimal("1.5")])], ids=str)
def test_columns_that_hold_no_text(values: pa.Array) -> None:
    with pytest.raises(DataError, match="column c: expected text or whole numbers"):
        texts_of(column(values))


def test_text_in_another_encoding() -> None:
    with pytest.raises(DataError, match=r"^f\.csv, row 7, column c: expected UTF-8 text$"):
        texts_of(column(pa.array(["a", "会", "会员".encode("gbk")], pa.binary())))


def test_labels() -> None:
    assert labels_of(column(pa.array([" b", "a", None, "c", "B"])), ("a", "b")).tolist() == [1, 0, -1, -1, -1]


def coded(values: list[str | None], rows: list[int | None], kind: pa.DataType) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(rows, kind), pa.array(values, pa.string()))


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.uint64()], ids=str)
def test_texts_of_a_dictionary_are_asked_once(kind: pa.DataType) -> None:
    values = coded(["a", None, " b"], [2, 0, None, 1, 2, 0], kind)
    texts, rows = distinct_texts_of(column(values))
    assert rows is not None
    assert texts.to_pylist() == ["a", None, " b", None]
    assert [texts[row].as_py() for row in rows.tolist()] == values.to_pylist()
    assert labels_of(column(values), ("a", "b")).tolist() == [1, 0, -1, -1, 1, 0]
    assert labels_of(column(values.slice(1, 3)), ("a", "b")).tolist() == [0, -1, -1]


def test_a_dictionary_longer_than_its_rows_is_not_read_whole() -> None:
    texts, rows = distinct_texts_of(column(coded(["a", "b", "c"], [2, 1], pa.int8())))
    assert (texts.to_pylist(), rows) == (["c", "b"], None)


def test_a_fault_of_a_dictionary_is_that_of_the_first_row_that_has_it() -> None:
    values = pa.DictionaryArray.from_arrays(
        pa.array([0, 2, 1, 1], pa.int8()), pa.array([b"a", "\u4f1a".encode("gbk"), b"c"])
    )
    with pytest.raises(DataError, match=r"^f\.csv, row 7, column c: expected UTF-8 text$"):
        labels_of(column(values), ("a", "c"))
    assert labels_of(column(values.take(pa.array([0, 1, 0]))), ("a", "c")).tolist() == [0, 1, 0]
