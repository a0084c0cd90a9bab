"""Files as they come: formats, globs, dirt; each fault is one line with file, row and column, and never a value."""

from __future__ import annotations

import gzip
import itertools
import traceback
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cleanroom import _kernels
from cleanroom.data import Binding, ColumnName, read_exposure, read_outcome, source
from cleanroom.data.source import stretches
from cleanroom.errors import DataError
from tests.cleanroom.data.worlds import OUTCOME_COLUMNS, TOUCH_COLUMNS, agreement, bind, outcomes, touches

ROWS = "7,2017-03-01,mail,2\n8,2017-03-02,mail,1\n"
HEADER = "person,sent_at,kind,campaign\n"


def read(binding: Binding) -> list[tuple[bytes, int, int, int]]:
    data = read_exposure(agreement(max_invalid="0.2"), binding)
    return [
        (key.tobytes(), int(time), int(event), int(group))
        for batch in data.batches()
        for key, time, event, group in zip(batch.person, batch.time_us, batch.event, batch.group, strict=True)
    ]


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person": [7, 8],
            "sent_at": pd.to_datetime(["2017-03-01", "2017-03-02"]),
            "kind": ["mail", "mail"],
            "campaign": ["2", "1"],
        }
    )


@pytest.mark.parametrize(
    "body",
    [
        ROWS,
        ROWS.rstrip("\n"),
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("\n", "\n\n"),
        '"7","2017-03-01","mail","2"\n 8 ,2017-03-02 00:00:00,mail, 1\n',
        "7,1488326400,mail,2\n8,1488412800.0,mail,1\n",
    ],
    ids=["plain", "no newline at the end", "CRLF", "blank lines", "quotes and spaces", "Unix seconds"],
)
def test_csv_as_it_comes(tmp_path: Path, body: str) -> None:
    expected = read(touches(tmp_path, ROWS))
    assert len(expected) == 2
    assert read(touches(tmp_path, body)) == expected
    assert read(touches(tmp_path, body, packed=True)) == expected


def test_byte_order_mark_and_quoted_newlines(tmp_path: Path) -> None:
    text = 'note,"person",sent_at,kind,campaign\r\n"a\r\nb, ""c""",7,2017-03-01,mail,2\r\n"\n",8,2017-03-02,mail,1\r\n'
    (tmp_path / "marked.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(bind(tmp_path, "marked.csv", TOUCH_COLUMNS)) == read(touches(tmp_path, ROWS))


def test_parquet_frames_and_tables_are_one(tmp_path: Path) -> None:
    expected = read(touches(tmp_path, ROWS))
    table = pa.Table.from_pandas(frame(), preserve_index=False)
    pq.write_table(table, tmp_path / "touches.parquet", row_group_size=1)
    (tmp_path / "touches.data").write_bytes((tmp_path / "touches.parquet").read_bytes())
    columns = {"id": "person", "time": "sent_at", "event": "kind", "campaign_id": "campaign"}
    assert read(bind(tmp_path, "touches.parquet", TOUCH_COLUMNS)) == expected
    assert read(bind(tmp_path, "touches.data", TOUCH_COLUMNS)) == expected
    assert read(Binding.from_table(table, columns)) == expected
    assert read(Binding.from_table(frame(), {**columns, "event": "'mail'", "time_zone": "UTC"})) == expected


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary()], ids=str)
@pytest.mark.parametrize("group_rows", [7, 70_000, 1 << 20], ids=["small row groups", "some", "one row group"])
def test_few_values_are_read_as_dictionaries_of_parquet(tmp_path: Path, kind: pa.DataType, group_rows: int) -> None:
    """Columns of few texts and of many, with holes, are read as they are without dictionaries."""
    count = 200_000 if group_rows > 7 else 100
    few = pa.array([["1", "2", None, " 2 ", "9"][row % 5] for row in range(count)]).cast(kind)
    people = count if kind == pa.string() else 30
    who = pa.array([f"W{row % people:07d}" if row % 11 else None for row in range(count)])
    kinds = pa.array(["mail" if row % 7 else "call" for row in range(count)]).cast(kind)
    columns = {"person": who, "sent_at": pa.array([1_488_326_400] * count), "kind": kinds, "campaign": few}
    path = tmp_path / "rows.parquet"
    binding = bind(tmp_path, path.name, TOUCH_COLUMNS)
    found = {}
    for coded in (True, False):
        pq.write_table(pa.table(columns), path, use_dictionary=coded, row_group_size=group_rows)
        stretch = next(stretches(binding, ("id", "event", "campaign_id")))
        types = [pa.types.is_dictionary(stretch.fields[name].values.type) for name in ("id", "event", "campaign_id")]
        expected = coded and group_rows > 7
        plain = kind == pa.string_view()  # Arrow does not know what to do with numbers of these
        assert types == [expected and people < count, expected and not plain, expected and not plain]
        found[coded] = read(binding), read_exposure(agreement(max_invalid="0.2"), binding).summary
    assert found[True] == found[False]
    assert found[True][1].out_of_scope > 0 < found[True][1].null_identifiers


def test_a_column_whose_dictionary_the_writer_gave_up_is_read_as_texts(tmp_path: Path) -> None:
    """A short dictionary in front says little: what follows would be made into dictionaries batch by batch."""
    count = 300_000
    few = pa.array(["spring", "summer"] * (count // 2))
    many = pa.array([f"W{row:012d}" for row in range(count)])
    path = tmp_path / "rows.parquet"
    schema = pa.schema([("few", pa.string()), ("many", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        writer.write_table(pa.table([few, few], schema=schema))
        writer.write_table(pa.table([few, many], schema=schema), row_group_size=count)
    groups = pq.ParquetFile(path).metadata
    given_up = groups.row_group(1).column(1)
    assert 0 < given_up.data_page_offset - given_up.dictionary_page_offset < 1 << 16, "or nothing is tested"
    columns = "id = 'many'\ntime = 'few'\nevent = \"'mail'\"\ncampaign_id = 'few'"
    binding = bind(tmp_path, path.name, columns)
    rows = 0
    for stretch in stretches(binding, ("id", "campaign_id")):
        assert not pa.types.is_dictionary(stretch.fields["id"].values.type)
        assert pa.types.is_dictionary(stretch.fields["campaign_id"].values.type)
        rows += stretch.rows
    assert rows == 2 * count


CODECS = ("none", "snappy", "gzip", "brotli", "zstd", "lz4")
COUNT = 900


def kinds(*, holes: bool) -> dict[str, pa.Array]:
    """Columns of all types that rows can have, as a writer is given them."""
    numbers = [None if holes and row % 5 == 0 else row * 37 % 1000 for row in range(COUNT)]
    integers = pa.array(numbers, pa.int64())
    texts = pa.array([None if number is None else f"W{number:05d}" for number in numbers])
    seconds = pc.add(integers, 1_500_000_000).cast(pa.timestamp("s"))
    cents = pa.array([None if number is None else Decimal(number) / 100 for number in numbers], pa.decimal128(12, 2))
    small = pa.array([None if number is None else number % 100 for number in numbers])
    times = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Shanghai")]
    columns = [
        *(small.cast(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *(texts.cast(kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        *(texts.cast(pa.binary()).cast(kind) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
        texts.cast(pa.binary()).cast(pa.binary(6)),
        texts.dictionary_encode(),
        *(cents.cast(kind) for kind in (pa.decimal128(9, 2), pa.decimal128(30, 4), pa.decimal256(50, 3))),
        *(seconds.cast(pa.timestamp(kind.unit)).cast(kind) for kind in times),
        seconds.cast(pa.date32()),
        seconds.cast(pa.date64()),
        *(pc.divide(integers.cast(kind), 8) for kind in (pa.float32(), pa.float64())),
        pc.greater(integers, 500),
        pa.nulls(COUNT),
    ]
    return {str(column.type): column for column in columns}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_page_version": "2.0", "write_page_checksum": True},
        {"use_dictionary": False, "data_page_size": 1024},
        {
            "use_dictionary": False,
            "column_encoding": {
                "int64": "DELTA_BINARY_PACKED",
                "string": "DELTA_BYTE_ARRAY",
                "binary": "DELTA_LENGTH_BYTE_ARRAY",
                "double": "BYTE_STREAM_SPLIT",
            },
        },
        {"row_group_size": 70, "store_schema": False},
        {"use_deprecated_int96_timestamps": True, "store_schema": False},
        {"store_decimal_as_integer": True},
    ],
    ids=["usual", "pages v2", "plain", "deltas", "small groups", "int96", "whole decimals"],
)
@pytest.mark.parametrize("holes", [False, True])
def test_parquet_is_read_whoever_wrote_it(tmp_path: Path, codec: str, options: dict[str, Any], holes: bool) -> None:
    """All values are those that Arrow's own reader finds."""
    columns = kinds(holes=holes)
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path, compression=codec, **options)
    binding = Binding(
        name="b", pattern=path.name, folder=tmp_path, columns={name: ColumnName(name) for name in columns}
    )
    expected = pq.read_table(path)
    found = [stretch.fields for stretch in stretches(binding, tuple(columns))]
    for name in columns:
        values = pa.chunked_array([fields[name].values for fields in found])
        wanted = expected[name]
        if values.type != wanted.type:  # a label of the zone, or days in milliseconds: the moment is the same
            assert pa.types.is_temporal(values.type)
            values = values.cast(wanted.type)
        assert values.to_pylist() == wanted.to_pylist(), name


def test_groups_of_parquet_may_have_dictionaries_of_their_own(tmp_path: Path) -> None:
    """Each has as many entries as its numbers can count; a stretch of all of them has more."""
    schema = pa.schema([("a", pa.dictionary(pa.int8(), pa.string()))])
    numbers = pa.array(range(100), pa.int8())
    with pq.ParquetWriter(tmp_path / "rows.parquet", schema) as writer:
        for group in range(3):
            values = pa.array([f"{group}-{number}" for number in range(100)])
            column = pa.DictionaryArray.from_arrays(numbers, values)
            writer.write_table(pa.table({"a": column}, schema=schema))
    binding = Binding(name="b", pattern="rows.parquet", folder=tmp_path, columns={"a": ColumnName("a")})
    (stretch,) = stretches(binding, ("a",))
    assert stretch.fields["a"].values.to_pylist() == [
        f"{group}-{number}" for group in range(3) for number in range(100)
    ]


def test_a_parquet_text_that_is_none_is_a_fault_of_the_file(tmp_path: Path) -> None:
    offsets, data = pa.array([0, 3, 5], pa.int32()).buffers()[1], pa.py_buffer(b"abc\xc4\xe3")
    person = pa.Array.from_buffers(pa.string(), 2, [None, offsets, data])
    rows = {"person": person, "sent_at": ["2017-03-01"] * 2, "kind": ["mail"] * 2, "campaign": ["1"] * 2}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"^t\.parquet, row 2, column person: expected UTF-8 text$"):
        read(bind(tmp_path, "t.parquet", TOUCH_COLUMNS))


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()], ids=str)
def test_few_texts_that_are_views_are_read_as_any(tmp_path: Path, kind: pa.DataType) -> None:
    count = (1 << 17) + 1
    texts = {
        "person": ["7", "8"],
        "sent_at": ["2017-03-01", "2017-03-02"],
        "kind": ["mail"] * 2,
        "campaign": ["2", "1"],
    }
    columns = {name: pa.array((few * count)[:count]).cast(kind) for name, few in texts.items()}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = read_exposure(agreement(), bind(tmp_path, "t.parquet", TOUCH_COLUMNS))
    assert data.summary.rows == count
    assert sum(map(len, data.batches())) == data.summary.kept == 2


def test_dictionaries_of_other_things_than_texts(tmp_path: Path) -> None:
    values = {
        "amounts": pa.array([Decimal("1.50"), Decimal("2.25")]),
        "flags": pa.array([True, False]),
        "moments": pa.array([1_488_326_400, 1_488_412_800], pa.timestamp("s")).cast(pa.timestamp("us")),
    }
    numbers = pa.array([0, 1, 1, None] * 50, pa.int8())
    columns = {name: pa.DictionaryArray.from_arrays(numbers, few) for name, few in values.items()}
    binding = Binding(
        name="b", pattern="t.parquet", folder=tmp_path, columns={name: ColumnName(name) for name in columns}
    )
    for options in ({}, {"use_deprecated_int96_timestamps": True}):
        pq.write_table(pa.table(columns), tmp_path / "t.parquet", **options)
        (stretch,) = stretches(binding, tuple(columns))
        for name, column in columns.items():
            assert stretch.fields[name].values.to_pylist() == column.to_pylist()


def test_times_of_96_bits_that_were_written_with_a_zone_are_those_moments(tmp_path: Path) -> None:
    moments = pa.array([1_488_326_400_000_000, None, -1], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"t": moments}), tmp_path / "t.parquet", use_deprecated_int96_timestamps=True)
    binding = Binding(name="b", pattern="t.parquet", folder=tmp_path, columns={"t": ColumnName("t")})
    (stretch,) = stretches(binding, ("t",))
    assert stretch.fields["t"].values.type.tz == "UTC"
    assert stretch.fields["t"].values.to_pylist() == moments.to_pylist()


def test_a_type_that_nobody_knows_is_a_fault_of_the_column(tmp_path: Path) -> None:
    """Intervals, which Arrow reads as twelve bytes; the kernel's rows of them do not come over."""
    path = tmp_path / "t.parquet"
    rows = "select '7' person, interval 1 day sent_at, 'mail' kind, '1' campaign"
    duckdb.sql(f"copy ({rows}) to '{path}' (format parquet)")
    with pytest.raises(
        DataError, match=r"^t\.parquet, column sent_at: expected an ISO 8601 time .*, found another type$"
    ):
        read(bind(tmp_path, "t.parquet", TOUCH_COLUMNS))


def test_what_the_kernel_gives_up_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row once, in its order and under its number."""
    count = 70
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": pa.array(range(count))}), path, row_group_size=9)
    binding = Binding(name="b", pattern="t.parquet", folder=tmp_path, columns={"n": ColumnName("n")})
    monkeypatch.setattr("cleanroom.data.source.BATCH_ROWS", 16)
    given = source._decoded

    def failing(after: int) -> Callable[..., Iterator[pa.RecordBatch]]:
        def decoded(*of: Any) -> Iterator[pa.RecordBatch]:
            for number, batch in enumerate(given(*of)):
                if number == after:
                    raise pa.ArrowInvalid("no more")
                yield batch

        return decoded

    for after in range(6):
        monkeypatch.setattr("cleanroom.data.source._decoded", failing(after))
        found = [(stretch.fields["n"].first_row, stretch.fields["n"].values) for stretch in stretches(binding, ("n",))]
        assert [number for _, values in found for number in values.to_pylist()] == list(range(count))
        assert all(first == values[0].as_py() + 1 for first, values in found)


def test_damaged_parquet_is_a_fault_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Bytes changed anywhere: rows, or one of our errors, and never a word of the decoder's, which may quote them."""
    generator = np.random.default_rng(5)
    columns = {name: kinds(holes=True)[name] for name in ("string", "int64", "binary", "double")}
    chosen = {name: ColumnName(name) for name in columns}
    path = tmp_path / "rows.parquet"
    binding = Binding(name="b", pattern=path.name, folder=tmp_path, columns=chosen)
    faults = 0
    for codec, version in itertools.product(CODECS, ("1.0", "2.0")):
        pq.write_table(pa.table(columns), path, compression=codec, data_page_version=version, row_group_size=400)
        whole = path.read_bytes()
        for _ in range(100):
            data = np.frombuffer(whole, dtype=np.uint8).copy()
            places = generator.integers(4, len(data), size=3)
            data[places] = generator.integers(256, size=3)
            path.write_bytes(data.tobytes())
            try:
                for _stretch in stretches(binding, tuple(columns)):
                    pass
            except DataError as error:
                faults += 1
                assert str(error).startswith("rows.parquet, ") or ": expected a complete Parquet file" in str(error)
    assert faults > 300
    assert capfd.readouterr() == ("", "")


def test_checksums_of_parquet_pages_must_hold(tmp_path: Path) -> None:
    """Without them a changed number is another number."""
    path = tmp_path / "rows.parquet"
    binding = Binding(name="b", pattern=path.name, folder=tmp_path, columns={"n": ColumnName("n")})
    table = pa.table({"n": pa.array(range(1 << 10), pa.int64())})
    for checksum in (False, True):
        pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=checksum)
        data = bytearray(path.read_bytes())
        data[data.index((500).to_bytes(8, "little"))] ^= 1
        path.write_bytes(data)
        if checksum:
            with pytest.raises(DataError, match=r"^rows\.parquet, row 1 or after: expected intact Parquet pages"):
                next(stretches(binding, ("n",)))
        else:
            assert next(stretches(binding, ("n",))).fields["n"].values[500].as_py() == 501


def test_a_parquet_stream_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", "y", "x"]}), path)
    rows = _kernels.parquet_rows(str(path), [1], coded=[1], batch_rows=2)
    batches = list(pa.RecordBatchReader.from_stream(rows))
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert batches[0].schema.field(0).type == pa.dictionary(pa.int32(), pa.string())
    with pytest.raises(ValueError, match="rows are read once"):
        pa.RecordBatchReader.from_stream(rows)
    with pytest.raises(ValueError, match="at least one row a batch"):
        _kernels.parquet_rows(str(path), [0], coded=[], batch_rows=0)
    for missing in (str(tmp_path), str(tmp_path / "none.parquet")):
        with pytest.raises(ValueError, match="a complete Parquet file expected"):
            _kernels.parquet_rows(missing, [0], coded=[], batch_rows=1)


def test_glob_reads_files_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "day [1]"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "b.csv").write_text(HEADER + "8,2017-03-02,mail,1\n")
    (folder / "parts" / "a.csv.gz").write_bytes(gzip.compress((HEADER + "7,2017-03-01,mail,2\n").encode()))
    (folder / "parts" / "empty.csv").write_text(HEADER)
    assert read(bind(folder, "parts/*", TOUCH_COLUMNS)) == read(touches(tmp_path, ROWS))
    (folder / "parts" / "b.csv").write_text(HEADER + "8,2017-03-02,mail,1\n8,soon,mail,1\n")
    with pytest.raises(DataError, match=r"^parts/b\.csv, row 2, column sent_at: expected an ISO 8601 time"):
        read(bind(folder, "parts/*", TOUCH_COLUMNS))


def test_row_numbers_go_on_over_blocks(tmp_path: Path) -> None:
    rows = [f"{person},2017-03-01,mail,{'x' * 200}" for person in range(60_000)]
    rows[50_000] = "1,2017-03-99,mail,1"
    with pytest.raises(DataError, match=r"^touches\.csv, row 50001, column sent_at: expected"):
        read(touches(tmp_path, "\n".join(rows)))
    rows[50_000] = "1,2017-03-01,mail"
    with pytest.raises(DataError, match=r"^touches\.csv, row 50001: expected 4 columns as in the header$"):
        read(touches(tmp_path, "\n".join(rows)))


def test_naive_times_and_zones(tmp_path: Path) -> None:
    binding = touches(tmp_path, ROWS, columns=TOUCH_COLUMNS + '\ntime_zone = "Asia/Shanghai"')
    shanghai = read(binding)
    assert [row[1] + 8 * 3600 * 10**6 for row in shanghai] == [row[1] for row in read(touches(tmp_path, ROWS))]
    data = read_exposure(agreement(zone="Asia/Shanghai"), touches(tmp_path, ROWS))
    assert sorted(int(time) for batch in data.batches() for time in batch.time_us) == sorted(row[1] for row in shanghai)


def test_events_as_column_or_constant(tmp_path: Path) -> None:
    constant = TOUCH_COLUMNS.replace('"kind"', "\"'click'\"")
    assert {row[2] for row in read(touches(tmp_path, ROWS))} == {0}
    assert {row[2] for row in read(touches(tmp_path, ROWS, columns=constant))} == {1}


CANARY = "canary-4711"
CANARY_NUMBER = "98765432101234"


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def csv_of(body: str | bytes) -> Callable[[Path], Binding]:
    return lambda folder: touches(folder, body)


def paid(body: str) -> Callable[[Path], Binding]:
    return lambda folder: outcomes(folder, body)


def raw(content: bytes, name: str = "raw.csv") -> Callable[[Path], Binding]:
    def make(folder: Path) -> Binding:
        (folder / name).write_bytes(content)
        return bind(folder, name, TOUCH_COLUMNS)

    return make


def parquet(change: Callable[[bytes], bytes]) -> Callable[[Path], Binding]:
    def make(folder: Path) -> Binding:
        people = [CANARY] * 5000
        table = pa.table({"person": people, "sent_at": people, "kind": people, "campaign": people})
        pq.write_table(table, folder / "t.parquet", use_dictionary=False, compression="none")
        damage(folder / "t.parquet", change)
        return bind(folder, "t.parquet", TOUCH_COLUMNS)

    return make


def framed(**columns: object) -> Callable[[Path], Binding]:
    def make(_: Path) -> Binding:
        bound = {"id": "person", "time": "sent_at", "event": "kind", "campaign_id": "campaign"}
        return Binding.from_table(frame().assign(**columns), bound)

    return make


HEAD = HEADER.encode()
NOISE = gzip.compress(HEAD + b"".join(b"%d,2017-03-01,mail,1\n" % (n * 7919**3 % 10**12) for n in range(200_000)))
GOOD = "7,2017-03-01,mail,2\n"

FAULTS: list[tuple[str, Callable[[Path], Binding], str]] = [
    ("bad time", csv_of(GOOD + f"{CANARY},{CANARY},mail,2\n"), "touches.csv, row 2, column sent_at: expected an ISO"),
    ("no time", csv_of(GOOD + f"{CANARY},,mail,2\n"), "touches.csv, row 2, column sent_at: expected an ISO"),
    ("huge time", csv_of(f"1,{CANARY_NUMBER},{CANARY},2\n"), "touches.csv, row 1, column sent_at: expected an ISO"),
    ("ragged", csv_of(GOOD + f"{CANARY},2017-03-01\n"), "touches.csv, row 2: expected 4 columns as in the header"),
    (
        "ragged bytes",
        csv_of((GOOD + CANARY).encode() + b"\xff,2017-03-01\n"),
        "touches.csv, row 2: expected 4 columns as in",
    ),
    ("too wide", csv_of(GOOD + f"1,2,3,4,{CANARY}\n"), "touches.csv, row 2: expected 4 columns as in the header"),
    (
        "open quote",
        csv_of(f'7,2017-03-01,mail,"2\n8,2017-03-01,{CANARY},1\n'),
        "touches.csv, row 1: expected a closing",
    ),
    (
        "early quote",
        csv_of(f'7,"2017-03-01,mail,2\n8,2017-03-01,{CANARY},1\n'),
        "touches.csv, row 1: expected 4 columns",
    ),
    (
        "GBK id",
        csv_of(GOOD.encode() + "会员".encode("gbk") + b",2017-03-01,mail,1\n"),
        "row 2, column person: expected UTF-8",
    ),
    ("GBK event", csv_of(GOOD.encode() + b"7,2017-03-01,\xc4\xe3,1\n"), "row 2, column kind: expected UTF-8"),
    (
        "GBK header",
        raw(HEAD.replace(b"kind", "事件".encode("gbk")) + b"1,2,3,4\n"),
        "raw.csv: expected a header line in UTF-8",
    ),
    ("UTF-16", raw((HEADER + CANARY).encode("utf-16")), "raw.csv: expected UTF-8, found the mark of UTF-16"),
    (
        "no header",
        raw(f"{CANARY},2017-03-01,mail,2\n".encode()),
        "raw.csv, column person: expected a column of this name",
    ),
    (
        "twice",
        raw(HEAD.replace(b"kind", b"person") + b"1,2,3,4\n"),
        "raw.csv, column person: expected one column of this",
    ),
    ("nothing", raw(b""), "raw.csv: expected a header line, found an empty file"),
    ("header only", raw(HEAD), "binding.toml: source: expected at least one row, found none"),
    ("header, no newline", raw(HEAD.strip()), "binding.toml: source: expected at least one row, found none"),
    ("cut gzip", raw(gzip.compress(HEAD + GOOD.encode() * 9000)[:-30]), "raw.csv: expected a complete gzip file"),
    ("cut long gzip", raw(NOISE[: len(NOISE) // 2]), "raw.csv, after row "),
    ("torn gzip", raw(NOISE[:-400_000] + bytes(4000) + NOISE[-396_000:]), "raw.csv, after row "),
    ("bad gzip", raw(b"\x1f\x8b" + CANARY.encode()), "raw.csv: expected a complete gzip file"),
    ("long row", csv_of(GOOD + "7" * (17 << 20)), "touches.csv, row 2 or after: expected CSV rows of at most 8 MiB"),
    ("not Parquet", raw(HEAD, "raw.parquet"), "raw.parquet: expected a Parquet file, found other content"),
    ("cut Parquet", parquet(lambda data: data[: len(data) // 2]), "t.parquet: expected a complete Parquet file"),
    ("magic alone", raw(b"PAR1"), "raw.csv: expected a complete Parquet file"),
    (
        "torn Parquet",
        parquet(lambda data: data[:8] + bytes(3000) + data[3008:]),
        "t.parquet, row 1 or after: expected intact",
    ),
    ("other columns", framed(person=1.5), "table, column person: expected text or whole numbers"),
    ("bad frame", framed(person=[CANARY, 7]), "table, column person: expected values of one type"),
    ("lists", framed(sent_at=[[CANARY], [CANARY]]), "table, column sent_at: expected an ISO"),
    ("bad amount", paid(f"1,2017-03-01,{CANARY},b\n"), "outcomes.csv, row 1, column paid: expected an amount such as"),
    (
        "negative",
        paid(f"1,2017-03-01,-{CANARY_NUMBER},b\n"),
        "outcomes.csv, row 1, column paid: expected an amount that is",
    ),
    (
        "precise",
        paid(f"1,2017-03-01,0.{CANARY_NUMBER},b\n"),
        "outcomes.csv, row 1, column paid: expected no more digits",
    ),
    (
        "huge",
        paid(f"1,2017-03-01,{CANARY_NUMBER * 3},b\n"),
        "outcomes.csv, row 1, column paid: expected an amount below",
    ),
    (
        "no amount",
        paid(f"{CANARY},2017-03-01,,b\n"),
        "outcomes.csv, row 1, column paid: expected an amount, found none",
    ),
]


@pytest.mark.parametrize(("make", "expected"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_faults_are_one_line_without_values(tmp_path: Path, make: Callable[[Path], Binding], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        binding = make(tmp_path)
        if "amount" in binding.columns:
            read_outcome(agreement(), binding, choice_key=bytes(32))
        else:
            read_exposure(agreement(), binding)
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    # What a log of the exception would hold, apart from the lines of code.
    logged = message + "".join(traceback.format_exception_only(caught.value)) + str(caught.value.__cause__)
    assert CANARY not in logged
    assert CANARY_NUMBER not in logged
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^binding\.toml: source\.path: expected a file or a glob that matches"):
        read(bind(tmp_path, "none*.csv", TOUCH_COLUMNS))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"source\.path: expected a file"):
        read(bind(tmp_path, "folder", TOUCH_COLUMNS))


def test_too_many_invalid_identifiers(tmp_path: Path) -> None:
    body = f"{CANARY},2017-03-01,mail,1\n" * 99 + ",2017-03-01,mail,1\n"
    data = read_exposure(agreement(), touches(tmp_path, body))
    assert data.summary.null_identifiers == 1
    with pytest.raises(DataError) as caught:
        read_exposure(agreement(), touches(tmp_path, body + ",2017-03-01,mail,1\n"))
    assert str(caught.value) == (
        "binding.toml: columns.id: expected at most a share of 0.01 of null or malformed identifiers, "
        "found 2 in 101 rows"
    )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (TOUCH_COLUMNS.replace("id = ", "phone = ", 1), "columns.id: expected the name of a column, found nothing"),
        (TOUCH_COLUMNS + '\namount = "kind"', "found the unknown name 'amount'"),
        (TOUCH_COLUMNS.replace('"person"', "\"'7'\""), "columns.id: expected the name of a column, found a quoted"),
        (TOUCH_COLUMNS.replace('"kind"', '"Kind"'), "touches.csv, column Kind: expected a column of this name"),
    ],
)
def test_columns_that_do_not_fit(tmp_path: Path, columns: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        read(touches(tmp_path, ROWS, columns=columns))
    assert expected in str(caught.value)


def test_other_identifiers_may_be_bound(tmp_path: Path) -> None:
    assert len(read(touches(tmp_path, ROWS, columns=TOUCH_COLUMNS + '\nphone = "nowhere"'))) == 2


def test_outcome_columns_are_those_of_the_agreement(tmp_path: Path) -> None:
    without = OUTCOME_COLUMNS.replace('amount = "paid"', "")
    with pytest.raises(DataError, match=r"columns\.amount: expected the name of a column, found nothing"):
        read_outcome(agreement(), outcomes(tmp_path, "1,2017-03-01,1,b\n", columns=without), choice_key=bytes(32))
    data = read_outcome(
        agreement(sums=False), outcomes(tmp_path, "1,2017-03-01,x,b\n", columns=without), choice_key=bytes(32)
    )
    assert data.summary.kept == 1
