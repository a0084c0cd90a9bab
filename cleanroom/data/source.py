"""A source as a stream of stretches of rows: CSV files, Parquet files or a table, in order, never whole in memory.

CSV is UTF-8 with a header line, comma and double quotes (RFC 4180), optionally gzip; Parquet is known by its magic
bytes, whatever the file is called. Files of a glob are read one after the other, sorted by path.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cleanroom import _kernels
from cleanroom.data.binding import Binding, ColumnName, Constant
from cleanroom.data.columns import Field, is_text
from cleanroom.errors import DataError

__all__ = ["BATCH_ROWS", "Stretch", "has_column", "stretches"]

BATCH_ROWS: Final = 1 << 17
"""Rows of one stretch of Parquet or of a table."""

_CODED_BYTES: Final = 1 << 16
"""The longest dictionary of a Parquet column, as compressed, that is read as one."""
_CODED_VALUE_BYTES: Final = 2.5
"""The most that a value takes then, without compression: numbers of entries take two bytes, texts four and more."""
_CODED_SPARE_BYTES: Final = 1 << 20
"""And a column of a group beside them: the dictionary, and what is no text in some layouts."""
_CODED_GROUP_ROWS: Final = BATCH_ROWS // 2
"""The fewest rows of a group on average."""
_CSV_BLOCK_BYTES: Final = 8 << 20  # also the longest row
_HEADER_BYTES: Final = 1 << 20
_PARQUET_MAGIC: Final = b"PAR1"
_RAGGED: Final = re.compile(r"CSV parse error: (?:Row #([0-9]+): )?Expected [0-9]+ columns, got [0-9]+")
"""How Arrow says it; what follows is the row's text, which is data. Rows count from the header line.

Its handler of such rows would be simpler, but Arrow decodes the text for it, and shows a row that is not UTF-8."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive rows of one file: the bound columns by standard name, constants repeated."""

    rows: int
    fields: Mapping[str, Field] = field(repr=False)


def stretches(binding: Binding, names: tuple[str, ...]) -> Iterator[Stretch]:
    """Reads the columns that `names` are bound to, in the order of the source.

    Raises:
        DataError: a file is missing, empty or damaged, or lacks a column; or there is no row at all.
    """
    total = 0
    if binding.table is not None:
        for stretch in _from_table(binding.table, binding, names):
            total += stretch.rows
            yield stretch
    for file in binding.files():
        for stretch in _from_file(file, binding, names):
            total += stretch.rows
            yield stretch
    if total == 0:
        raise DataError(f"{binding.name}: source: expected at least one row, found none")


def has_column(binding: Binding, name: str) -> bool:
    """Whether the first file of a source, or its table, has a column of this name: for columns that may be absent.

    Raises:
        DataError: there is no file, or its header cannot be read.
    """
    if binding.table is not None:
        return name in binding.table.column_names
    file = binding.files()[0]
    origin = binding.label(file)
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
        if magic == _PARQUET_MAGIC:
            return name in pq.read_schema(file).names
        return name in _csv_header(file, origin, packed=magic.startswith(_GZIP_MAGIC))[0]
    except (OSError, pa.ArrowException):
        raise DataError(f"{origin}: expected a readable file") from None


def _from_file(file: Path, binding: Binding, names: tuple[str, ...]) -> Iterator[Stretch]:
    origin = binding.label(file)
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
        if magic == _PARQUET_MAGIC:
            yield from _from_parquet(file, origin, binding, names)
        elif file.suffix == ".parquet":
            raise DataError(f"{origin}: expected a Parquet file, found other content")
        else:
            yield from _from_csv(file, origin, binding, names, packed=magic.startswith(_GZIP_MAGIC))
    except OSError as error:
        raise DataError(f"{origin}: expected a readable file ({error.strerror or 'damaged'})") from None


def _positions(columns: list[str], origin: str, binding: Binding, names: tuple[str, ...]) -> dict[str, int]:
    """Where each bound column stands in the file; a constant has no entry."""
    positions: dict[str, int] = {}
    for name in names:
        bound = binding.columns[name]
        if not isinstance(bound, ColumnName):
            continue
        # The file's own column names stay out of the message: without a header line they are data.
        count = columns.count(bound.name)
        if count == 0:
            raise DataError(f"{origin}, column {bound.name}: expected a column of this name (bound as {name})")
        if count > 1:
            raise DataError(f"{origin}, column {bound.name}: expected one column of this name, found {count}")
        positions[name] = columns.index(bound.name)
    return positions


def _stretch(
    binding: Binding, names: tuple[str, ...], origin: str, first_row: int, rows: int, columns: Mapping[str, pa.Array]
) -> Stretch:
    fields: dict[str, Field] = {}
    for name in names:
        bound = binding.columns[name]
        if isinstance(bound, Constant):
            # One dictionary entry stands for every row.
            indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
            values = pa.DictionaryArray.from_arrays(indices, pa.array([bound.text]))
            fields[name] = Field(origin=origin, column=name, first_row=first_row, values=values)
        else:
            fields[name] = Field(origin=origin, column=bound.name, first_row=first_row, values=columns[name])
    return Stretch(rows=rows, fields=fields)


def _from_table(table: pa.Table, binding: Binding, names: tuple[str, ...]) -> Iterator[Stretch]:
    positions = _positions(table.column_names, binding.name, binding, names)
    chosen = table.select(sorted(set(positions.values())))
    first_row = 1
    for batch in chosen.to_batches(max_chunksize=BATCH_ROWS):
        columns = {name: batch.column(sorted(set(positions.values())).index(at)) for name, at in positions.items()}
        yield _stretch(binding, names, binding.name, first_row, batch.num_rows, columns)
        first_row += batch.num_rows


def _from_parquet(file: Path, origin: str, binding: Binding, names: tuple[str, ...]) -> Iterator[Stretch]:
    """Rows as a kernel decodes them; from where it cannot on, rows or a fault as Arrow has it."""
    try:
        with pq.ParquetFile(file) as parquet:
            columns = parquet.schema_arrow.names
            positions = _positions(columns, origin, binding, names)
            wanted = sorted(set(positions.values()))
            named = [columns[at] for at in wanted]
            coded = [columns.index(name) for name in _coded(parquet, named)]
    except (pa.ArrowException, OSError, ValueError):  # a name that is not UTF-8 is a plain ValueError
        raise DataError(f"{origin}: expected a complete Parquet file, found one that is cut short or damaged") from None
    first_row = 1
    for batches in (_decoded(file, wanted, coded), _decoded_by_arrow(file, named)):
        skipped = first_row - 1
        try:
            for whole in batches:
                batch = whole.slice(min(skipped, whole.num_rows))
                skipped -= whole.num_rows - batch.num_rows
                if batch.num_rows:
                    chosen = {name: batch.column(wanted.index(at)) for name, at in positions.items()}
                    yield _stretch(binding, names, origin, first_row, batch.num_rows, chosen)
                    first_row += batch.num_rows
        except (pa.ArrowException, OSError, ValueError, KeyError):  # a type that Python's Arrow lacks is a KeyError
            continue
        return
    raise DataError(f"{origin}, row {first_row} or after: expected intact Parquet pages")


def _decoded(file: Path, columns: list[int], coded: list[int]) -> Iterator[pa.RecordBatch]:
    """The columns at some positions, in half the CPU seconds that Arrow takes."""
    rows = _kernels.parquet_rows(str(file), columns, coded=coded, batch_rows=BATCH_ROWS)
    yield from pa.RecordBatchReader.from_stream(rows)


def _decoded_by_arrow(file: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """What few files have: types that the kernel does not know, texts of more than 2 GiB in a batch or not in UTF-8."""
    with pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True) as parquet:
        yield from parquet.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False)


def _coded(parquet: pq.ParquetFile, wanted: list[str]) -> list[str]:
    """The text columns of few values: those are read as the file holds them, each value once and numbers of them.

    Where groups are small there are none: a batch of several groups has a dictionary of each, to be made into one.
    """
    whole, schema = parquet.metadata, parquet.schema_arrow
    groups = [whole.row_group(number) for number in range(whole.num_row_groups)]
    if not groups or whole.num_rows < _CODED_GROUP_ROWS * len(groups):
        return []
    names = [groups[0].column(at).path_in_schema for at in range(whole.num_columns)]
    return [
        name
        for at, name in enumerate(names)
        if name in wanted and is_text(schema.field(name).type) and all(_is_coded(group.column(at)) for group in groups)
    ]


def _is_coded(column: pq.ColumnChunkMetaData) -> bool:
    """Whether a group's column is numbers of a short dictionary: where a writer gives it up, the texts follow."""
    if not column.has_dictionary_page or column.dictionary_page_offset is None:
        return False
    dictionary_bytes: int = column.data_page_offset - column.dictionary_page_offset
    whole_bytes: int = column.total_uncompressed_size
    most_bytes = _CODED_VALUE_BYTES * column.num_values + _CODED_SPARE_BYTES
    return 0 < dictionary_bytes <= _CODED_BYTES and whole_bytes <= most_bytes


def _from_csv(file: Path, origin: str, binding: Binding, names: tuple[str, ...], *, packed: bool) -> Iterator[Stretch]:
    header, more = _csv_header(file, origin, packed=packed)
    positions = _positions(header, origin, binding, names)
    if not more:
        return
    last = len(header) - 1
    keys = [f"c{position}" for position in sorted({*positions.values(), last})]
    first_row = 1
    with _Watched(file, packed=packed) as stream:
        try:
            reader = pa_csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=pa_csv.ReadOptions(
                    use_threads=False,
                    column_names=[f"c{position}" for position in range(len(header))],
                    skip_rows_after_names=1,
                    block_size=_CSV_BLOCK_BYTES,
                ),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=keys,
                    column_types={key: pa.binary() for key in keys},
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
            for batch in reader:
                if batch.num_rows == 0:
                    continue
                columns = {name: batch.column(f"c{at}") for name, at in positions.items()}
                yield _stretch(binding, names, origin, first_row, batch.num_rows, columns)
                first_row += batch.num_rows
                stream.last_value = batch.column(f"c{last}")[-1].as_py() or b""
        except (pa.ArrowException, OSError, ValueError) as error:
            if stream.broken:
                expected = "expected a complete gzip file" if packed else "expected a readable file"
                raise DataError(f"{origin}, after row {first_row - 1}: {expected}") from None
            ragged = _RAGGED.match(str(error))
            if ragged is not None:
                row = first_row if ragged[1] is None else int(ragged[1]) - 1
                raise DataError(f"{origin}, row {row}: expected {len(header)} columns as in the header") from None
            raise DataError(
                f"{origin}, row {first_row} or after: expected CSV rows of at most {_CSV_BLOCK_BYTES >> 20} MiB"
            ) from None
        if stream.unterminated():
            raise DataError(f"{origin}, row {first_row - 1}: expected a closing quote before the end of the file")


def _csv_header(file: Path, origin: str, *, packed: bool) -> tuple[list[str], bool]:
    """The names in the header line, and whether anything follows it."""
    try:
        with _Watched(file, packed=packed) as stream:
            head = stream.read(_HEADER_BYTES)
    except OSError:
        raise DataError(f"{origin}: expected a {'complete gzip' if packed else 'readable'} file") from None
    if head.startswith(_WIDE_MARKS):
        raise DataError(f"{origin}: expected UTF-8, found the mark of UTF-16")
    if not head.strip():
        raise DataError(f"{origin}: expected a header line, found an empty file")
    text = io.StringIO(head.decode("utf-8-sig", errors="surrogateescape"), newline="")
    try:
        reader = csv.reader(text, strict=True)
        header = next((row for row in reader if row), [])
        more = any(True for row in reader if row) or len(head) == _HEADER_BYTES
    except csv.Error:
        # What follows the header is for the real reader to judge; a header that is none has no names.
        more = True
        text.seek(0)
        header = next(csv.reader(text), [])
    if any(not name.isprintable() for name in header):
        raise DataError(f"{origin}: expected a header line in UTF-8")
    return [name.strip() for name in header], more


class _Watched(io.RawIOBase):
    """A file as it is read: unpacks gzip, counts quotes, remembers how the stream broke."""

    def __init__(self, file: Path, *, packed: bool) -> None:
        super().__init__()
        opened = gzip.open if packed else open
        self._stream = cast(IO[bytes], opened(file, "rb"))
        self._quotes = 0
        self.broken = False
        self.last_value = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            self.broken = True
            raise OSError("the stream is damaged") from error
        self._quotes += data.count(b'"')
        return data

    def unterminated(self) -> bool:
        """Whether the last row swallowed the rest of the file for want of a closing quote."""
        return self._quotes % 2 == 1 and (b"\n" in self.last_value or b"\r" in self.last_value)

    def close(self) -> None:
        self._stream.close()
        super().close()
