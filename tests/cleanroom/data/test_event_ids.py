"""What stands for event ids: equal where the trimmed texts are, whatever column, type or file they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom import _kernels
from cleanroom.data import Binding, ColumnName, read_outcome
from cleanroom.errors import DataError
from cleanroom.texts import Texts
from tests.cleanroom.data.worlds import agreement
from tests.cleanroom.match_keys.slow_forms import event_id

DAY = 86400 * 10**6
START = 1483228800 * 10**6
COLUMNS = {"id": "who", "time": "at", "event": "'order'", "amount": "paid", "event_id": "basket"}


def ids_of(texts: pa.StringArray) -> list[tuple[int, int]]:
    parts = Texts.of(texts)
    return [(int(low), int(high)) for low, high in _kernels.text_ids(parts.offsets, parts.data, parts.valid)]


def test_texts_agree_with_reference() -> None:
    around = ["7" * length for length in (1, 7, 8, 9, 14, 15, 16, 17, 31, 60, 200)]
    accented = ["é" * 7, "é" * 7 + "x", "é" * 8, "单" * 5, "单" * 5 + "x"]
    odd = ["\0", "\0\0", "a\0", "a", " a\t", "\u3000a\ufeff", " " + "7" * 15 + " ", "a b", "", " ", None, "None"]
    numbers = ["0", "-0", "00", "07", "+7", "-7", "-07", "--7", "-", "7.", "7e2", "1_0", "\u0667", str(10**14)]
    largest = [str(2**63 + step) for step in (-1, 0)] + [str(-(2**63) - step) for step in (0, 1)] + ["7" * 19, "7" * 20]
    texts = [*around, *accented, *odd, *numbers, *largest] * 50  # more than a task's
    found = ids_of(pa.array(texts))
    assert found == [event_id(text) for text in texts]
    absent = [text is None or not text.strip() for text in texts]
    assert [id == (0, 0) for id in found] == absent
    assert ids_of(pa.array(texts).slice(3, 20)) == found[3:23]
    assert ids_of(pa.array([], pa.string())) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("a\0 é70-\u3000"), max_size=17), min_size=2, max_size=30))
def test_ids_are_equal_where_trimmed_texts_are(texts: list[str]) -> None:
    trimmed = [text.strip(" \u3000") for text in texts]
    pairs = list(zip(trimmed, ids_of(pa.array(texts)), strict=True))
    assert len({text for text in trimmed}) == len(set(pairs)) == len({id for _, id in pairs})


def test_what_is_no_utf_8_is_no_event_id() -> None:
    pieces = [b"ab", "\u4f1a".encode()[:1], "\u4f1a".encode()[1:], "\u4f1a".encode(), b"\xff"]
    texts = pa.array(pieces, pa.binary()).view(pa.string())
    assert [id != (0, 0) for id in ids_of(texts)] == [True, False, False, True, False]


def test_numbers_stand_for_their_texts() -> None:
    around = [10**places + step for places in range(19) for step in (-1, 0, 1, 37 * 10 ** max(0, places - 3))]
    drawn = np.random.default_rng(1).integers(0, 10 ** np.arange(1, 19)[:, None], (18, 20)).ravel().tolist()
    values = [0, -1, 7, 2**63 - 1, -(2**63), -(10**13), -(10**14), *range(40), *around, *drawn]
    valid = np.array([value != 7 for value in values] * 3)
    numbers = _kernels.number_ids(np.array(values * 3, dtype=np.int64), valid)
    texts = pa.array([str(value) if value != 7 else None for value in values * 3])
    assert [(int(low), int(high)) for low, high in numbers] == ids_of(texts)
    with pytest.raises(ValueError, match="valid or not"):
        _kernels.number_ids(np.zeros(2, dtype=np.int64), valid[:1])


def test_keys_of_outcomes_tell_event_ids_apart() -> None:
    """Ids that differ in a bit of one word alone have keys of their own, of 63 bits that all matter."""
    base = event_id("order-000000001")
    one_bit = [(base[0] ^ 1 << bit, base[1]) for bit in range(64)] + [
        (base[0], base[1] ^ 1 << bit) for bit in range(64)
    ]
    ids = [base, (0, 1), (1, 0), *one_bit]
    rows = np.zeros((len(ids) + 1, 7), dtype=np.uint64)
    rows[:-1, 3:5] = np.array(ids, dtype=np.uint64)
    keys = _kernels.outcome_columns(rows)[2]
    assert keys[-1] == -1 and (keys[:-1] >= 0).all() and len(set(keys.tolist())) == len(rows)
    assert len({key >> 31 for key in keys.tolist()}) == len({key & 0xFFFF_FFFF for key in keys.tolist()}) == len(rows)


def orders(folder: Path, *baskets: pa.Array) -> list[tuple[int, int, bool]]:
    """Writes a file for each column of event ids; (days since the start, units, with an event id) of each outcome."""
    for number, column in enumerate(baskets):
        count = len(column)
        table = {
            "who": pa.array(["7"] * count),
            "at": pa.array([START + DAY * (10 * number + row) for row in range(count)], pa.timestamp("us", "UTC")),
            "paid": pa.array([1 << row for row in range(count)]),
            "basket": column,
        }
        pq.write_table(pa.table(table), folder / f"{number}.parquet")
    columns = {name: ColumnName(column) for name, column in COLUMNS.items() if name != "event"}
    binding = Binding.from_table(pa.table({"who": ["x"]}), COLUMNS)
    binding = Binding(
        name="orders", pattern="*.parquet", folder=folder, columns={**columns, "event": binding.columns["event"]}
    )
    data = read_outcome(agreement(), binding, choice_key=bytes(32))
    return [
        ((int(time) - START) // DAY, int(value), int(key) >= 0)
        for batch in data.batches()
        for time, value, key in zip(batch.time_us, batch.value, batch.event_key, strict=True)
    ]


NUMBERS = [7, None, 70, 7]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(NUMBERS, pa.int32()),
        pa.array(NUMBERS, pa.int64()),
        pa.array(NUMBERS, pa.uint64()),
        pa.array(NUMBERS, pa.uint8()),
        pa.array(NUMBERS, pa.decimal128(19, 0)),
        pa.array([" 7", "", "70", "7\t"]),
        pa.array([" 7", " ", "70", "7\t"], pa.large_string()),
        pa.array(["7", None, "70", "7"]).dictionary_encode(),
        pa.array(NUMBERS, pa.int64()).dictionary_encode(),
    ],
    ids=lambda column: str(column.type).partition("<")[0],
)
def test_an_event_id_is_one_whatever_its_type(tmp_path: Path, column: pa.Array) -> None:
    found = orders(tmp_path, column, pa.array(["70", "7", "", "007"]))
    assert found == [(0, 1100, True), (1, 200, False), (2, 500, True), (12, 400, False), (13, 800, True)]


@pytest.mark.parametrize("length", [15, 16])
def test_long_numbers_and_texts_are_one_event(tmp_path: Path, length: int) -> None:
    number = 10**length - 2
    other: Sequence[Any] = [f" {number}", f"{number}0", f"{number - 1}"]
    found = orders(tmp_path, pa.array([number, None, number - 1]), pa.array(other))
    assert found == [(0, 200, True), (1, 200, False), (2, 800, True), (11, 200, True)]


def test_floats_are_no_event_ids_and_faults_name_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column basket: expected text or whole numbers, found another type"):
        orders(tmp_path, pa.array([4711.0]))
    with pytest.raises(DataError, match=r"row 2, column basket: expected UTF-8 text") as caught:
        orders(tmp_path, pa.array([b"a", b"canary\xff"]))
    assert "canary" not in str(caught.value)


def test_ids_that_somebody_chose_to_meet_do_not() -> None:
    """Two that a mixer without a key, the finalizer of SplitMix64, gives the same 64 bits."""
    rows = np.zeros((3, 7), dtype=np.uint64)
    rows[:2, 3:5] = ids_of(pa.array(["34iVnDIKdaablae", "sSZrQ-nyxW48-Az"]))
    _, _, keys, _, _ = _kernels.outcome_columns(rows)
    assert keys[0] != keys[1] and keys[:2].min() >= 0 and keys[2] == -1
    assert np.array_equal(_kernels.outcome_columns(rows)[2], keys)
