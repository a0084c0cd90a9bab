"""Prepared rows out of core: nothing lost, ascending, divided as in memory, nothing in clear, sizes of bounds alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.attribution.packing import Packing
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.data import spill
from cleanroom.data.spill import Spill
from cleanroom.errors import CleanroomError
from cleanroom.kept import Kept, KeptLookups, KeptRows
from cleanroom.protocols.buckets import BucketOverflowError, Partition
from cleanroom.protocols.wire import Progress, Protocol

ROWS = 60_000
BOUND = 1 << 16
COLUMNS = 3
WIDTH = 4
IN_MEMORY, ON_DISK = 1 << 30, 1 << 16

T = TypeVar("T")


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanroom.kept._LEAST_RUN", 1 << 10)


def random_rows(seed: int = 1, count: int = ROWS) -> Rows:
    generator = np.random.default_rng(seed)
    values = generator.integers(-(1 << 62), 1 << 62, (count, COLUMNS), dtype=np.int64)
    values[:, 1:] *= generator.integers(2, size=(count, COLUMNS - 1))
    return Rows(keys=generator.integers(256, size=(count, 16), dtype=np.uint8), values=values)


def random_lookups(seed: int = 1, count: int = ROWS) -> Lookups:
    generator = np.random.default_rng(seed)
    held = generator.integers(1, WIDTH + 1, size=count)
    weight = generator.integers(1, 1 << 31, size=int(held.sum())) * generator.choice([-1, 1], size=int(held.sum()))
    return Lookups(
        keys=generator.integers(256, size=(count, 16), dtype=np.uint8),
        indptr=np.concatenate([[0], np.cumsum(held)]),
        target=generator.integers(1 << 31, size=len(weight)).astype(np.int32),
        weight=weight,
    )


def pieces(rows: Any, step: int = 7_001) -> Iterator[Any]:
    """The rows cut into stretches, as the preparation makes them."""
    for start in range(0, len(rows), step):
        yield chosen(rows, np.arange(start, min(start + step, len(rows))))


def chosen(rows: Any, places: NDArray[np.int64]) -> Any:
    return (
        rows._chosen(places) if isinstance(rows, Lookups) else Rows(keys=rows.keys[places], values=rows.values[places])
    )


def kept_of(rows: Any, memory_bytes: int) -> Any:
    kept: Any = (
        KeptLookups(WIDTH, weight_bound=(1 << 31) - 1, memory_bytes=memory_bytes)
        if isinstance(rows, Lookups)
        else KeptRows(Packing.whole(COLUMNS), memory_bytes=memory_bytes)
    )
    for part in pieces(rows):
        kept.append(part)
    return kept


def equal(one: Any, other: Any) -> bool:
    names = ("keys", "indptr", "target", "weight") if isinstance(one, Lookups) else ("keys", "values")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def key_order(keys: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.array(sorted(range(len(keys)), key=lambda row: keys[row].tobytes()))


def result_of(protocol: Protocol[T]) -> T:
    """Runs a protocol that sends and receives nothing; its progress rises to the bound."""
    done = -1
    while True:
        try:
            event = next(protocol)
        except StopIteration as stop:
            result: T = stop.value
            return result
        assert isinstance(event, Progress) and done < event.done <= event.total
        done = event.done


def partition(**change: Any) -> Partition:
    return Partition(**{"session_id": bytes(32), "buckets": 5, "rows": BOUND, "capacity": BOUND, **change})


@pytest.mark.parametrize("memory", [IN_MEMORY, ON_DISK])
@pytest.mark.parametrize("make", [random_rows, random_lookups])
def test_rows_come_back_ascending_and_as_they_were(make: Any, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make()
    kept = kept_of(rows, memory)
    kept.pad(BOUND)
    ascending = chosen(rows, key_order(rows.keys))
    assert len(kept) == ROWS and equal(kept.held(), ascending)
    monkeypatch.setattr("cleanroom.kept.NODE_LEAVES", 1 << 12)
    stretches = list(kept.ascending())
    assert [len(part) for part in stretches] == [1 << 12] * (ROWS >> 12) + [ROWS % (1 << 12)]
    assert np.array_equal(np.concatenate([part.keys for part in stretches]), ascending.keys)
    kept.close()


@pytest.mark.parametrize("memory", [IN_MEMORY, ON_DISK])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("make", [random_rows, random_lookups])
def test_buckets_hold_what_they_hold_in_memory(make: Any, padded: bool, memory: int) -> None:
    rows = make()
    kept = kept_of(rows, memory)
    if padded:
        kept.pad(BOUND)
    divided = result_of(kept.divided(partition()))
    plain = result_of(chosen(rows, key_order(rows.keys)).divided(partition()))
    for number in range(5):
        assert len(divided(number)) > 0 and equal(divided(number), plain(number))
    kept.close()


@pytest.mark.parametrize("make", [random_rows, random_lookups])
def test_no_rows_are_five_empty_buckets(make: Any) -> None:
    kept = kept_of(make(count=0), ON_DISK)
    kept.pad(BOUND)
    divided = result_of(kept.divided(partition()))
    assert [len(divided(number)) for number in range(5)] == [0] * 5 and len(kept.held()) == 0


def test_a_division_works_on_the_public_bound_whatever_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer waits for it: as many keys are hashed, and as many bytes written and read, for a few rows as for all."""
    work: list[tuple[int, int]] = []
    real_numbers, real_append = Partition.numbers, Spill.append

    def numbers(self: Partition, keys: NDArray[np.uint8]) -> NDArray[np.int64]:
        work.append((0, len(keys)))
        return real_numbers(self, keys)

    def append(self: Spill, rows: NDArray[np.uint64], parts: NDArray[np.uint8] | None = None) -> None:
        work.append((1, rows.size))
        real_append(self, rows, parts)

    found = []
    for count in (0, 5, ROWS, BOUND):
        for rows in (random_rows(count=count), random_lookups(count=count)):
            kept = kept_of(rows, ON_DISK)
            kept.pad(BOUND)
            with monkeypatch.context() as patch:
                patch.setattr(Partition, "numbers", numbers)
                patch.setattr(Spill, "append", append)
                result_of(kept.divided(partition()))
            found.append([sum(size for kind, size in work if kind == which) for which in (0, 1)])
            work.clear()
            kept.close()
    assert {tuple(each) for each in found[0::2]} == {(BOUND, BOUND * (2 + COLUMNS))}
    assert {tuple(each) for each in found[1::2]} == {(BOUND, BOUND * (2 + WIDTH))}


def test_an_overflow_and_too_many_rows_are_refused() -> None:
    kept = kept_of(random_rows(), ON_DISK)
    with pytest.raises(BucketOverflowError):
        result_of(kept.divided(partition(capacity=ROWS // 5)))
    with pytest.raises(ValueError, match="public bound"):
        result_of(kept.divided(partition(rows=ROWS - 1)))
    with pytest.raises(ValueError, match="divided once"):
        result_of(kept.divided(partition()))


def test_keys_with_equal_heads_ascend_as_byte_strings() -> None:
    rows = random_rows(count=400)
    rows.keys[::2, :8] = 7
    kept = kept_of(rows, IN_MEMORY)
    assert equal(kept.held(), chosen(rows, key_order(rows.keys)))


def test_a_key_twice_is_refused() -> None:
    rows = random_rows()
    kept = kept_of(rows, ON_DISK)
    kept.append(chosen(rows, np.array([17])))
    with pytest.raises(CleanroomError, match="twice"):
        list(kept.ascending())


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("alike", [0, 7, 12], ids=["digests", "heads", "few"])
def test_rows_behind_keys_are_put_in_order_and_split(alike: int, width: int) -> None:
    """Of several parts, one of them empty; keys whose heads are alike crowd a bin and are ordered in another way."""
    generator = np.random.default_rng(3)
    keys = generator.integers(256, size=(20_000, 16), dtype=np.uint8)
    keys[generator.integers(2, size=20_000) == 1, :alike] = 9
    words = generator.integers(2, size=(20_000, width), dtype=np.uint64)
    order, real = key_order(keys), words.any(axis=1)
    rows = _kernels.keyed_rows(keys, words)
    parts = [rows[:0], rows[:7_000], rows[7_000:7_001], rows[7_001:]]
    assert rows[:, :2].astype(">u8").tobytes() == keys.tobytes() and np.array_equal(rows[:, 2:], words)
    assert np.array_equal(_kernels.keyed_in_order(parts), rows[order])
    found = _kernels.split_in_order(parts)
    order = order[real[order]]
    assert np.array_equal(found[0], keys[order]) and np.array_equal(found[1], words[order])
    found = _kernels.split_as_is(rows)
    assert np.array_equal(found[0], keys[real]) and np.array_equal(found[1], words[real])
    assert np.array_equal(_kernels.real_rows(rows), real)
    for kernel in (_kernels.keyed_in_order, _kernels.split_in_order):
        with pytest.raises(ValueError, match="two rows have one key"):
            kernel([*parts, rows[real][:1]])


def test_rows_behind_keys_of_other_shapes_are_refused() -> None:
    keys, words = np.zeros((9, 16), dtype=np.uint8), np.zeros((9, 2), dtype=np.uint64)
    rows = _kernels.keyed_rows(keys, words)
    narrow = rows[:, :2].copy()
    for kernel in (_kernels.keyed_in_order, _kernels.split_in_order):
        with pytest.raises(ValueError, match="at least three words"):
            kernel([narrow])
        for parts in ([], [rows, rows[:, :3].copy()]):
            with pytest.raises(ValueError, match="of one number of words"):
                kernel(parts)
    for one in (_kernels.split_as_is, _kernels.real_rows):
        with pytest.raises(ValueError, match="at least three words"):
            one(narrow)
    for wrong in ((keys[:, :15].copy(), words), (keys[1:], words), (keys, words[:, :0].copy())):
        with pytest.raises(ValueError, match="n × 16 bytes"):
            _kernels.keyed_rows(*wrong)


@pytest.mark.parametrize("lookups", [random_lookups(count=4), random_lookups(count=1)])
def test_weights_that_do_not_fit_are_refused(lookups: Lookups) -> None:
    with pytest.raises(CleanroomError, match="agreement allows"):
        KeptLookups(int(np.diff(lookups.indptr).max()) - 1, weight_bound=1 << 40).append(lookups)
    for weight, bound in ((1 << 31, 1 << 40), (-8, 7)):
        big = Lookups(
            keys=lookups.keys[:1], indptr=np.array([0, 1]), target=lookups.target[:1], weight=np.array([weight])
        )
        with pytest.raises(CleanroomError, match="agreement allows"):
            KeptLookups(WIDTH, weight_bound=bound).append(big)


@pytest.mark.parametrize("count", [0, 1, 17, 3_000])
def test_a_lookup_is_a_row_of_words(count: int) -> None:
    lookups = random_lookups(seed=count, count=count)
    rows = _kernels.packed_lookups(lookups.keys, lookups.indptr, lookups.target, lookups.weight, WIDTH, (1 << 31) - 1)
    assert rows.shape == (count, 2 + WIDTH)
    for row, key, start, end in zip(rows.tolist(), lookups.keys, lookups.indptr, lookups.indptr[1:], strict=False):
        own = [
            (int(target) << 32) + int(weight) % (1 << 32)
            for target, weight in zip(lookups.target[start:end], lookups.weight[start:end], strict=True)
        ]
        assert row == [*np.frombuffer(key.tobytes(), dtype=">u8"), *own, *[0] * (WIDTH - len(own))]
    indptr, target, weight = _kernels.unpacked_lookups(np.ascontiguousarray(rows[:, 2:]))
    assert equal(lookups, Lookups(keys=lookups.keys, indptr=indptr, target=target, weight=weight))


def test_malformed_lookups_are_refused() -> None:
    lookups = random_lookups(count=3)
    right: dict[str, Any] = {
        "keys": lookups.keys, "indptr": lookups.indptr, "target": lookups.target, "weight": lookups.weight,
        "most": WIDTH, "bound": (1 << 31) - 1,
    }  # fmt: skip
    assert len(_kernels.packed_lookups(*right.values())) == 3
    end = int(lookups.indptr[-1])
    for name, wrong in (
        ("keys", lookups.keys[:2]), ("keys", lookups.keys[:, :15].copy()), ("indptr", lookups.indptr + 1),
        ("indptr", np.array([0, end, 1, end])), ("indptr", np.array([0, -(1 << 62), 1 << 62, end])),
        ("indptr", lookups.indptr[:0]), ("target", lookups.target[1:]), ("weight", lookups.weight[1:]),
        ("weight", np.full(end, -(1 << 63))), ("most", 0), ("bound", 1 << 31),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            _kernels.packed_lookups(*(right | {name: wrong}).values())
    with pytest.raises(ValueError):
        _kernels.unpacked_lookups(np.zeros((3, 0), dtype=np.uint64))


def test_scratch_files_have_no_name_and_hold_nothing_in_clear(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    opened, contents = [], []
    real = tempfile.TemporaryFile

    def spied(**arguments: Any) -> Any:
        opened.append(real(**arguments))
        contents.append(os.dup(opened[-1].fileno()))
        return opened[-1]

    monkeypatch.setattr(spill.tempfile, "TemporaryFile", spied)
    rows = random_rows()
    kept = kept_of(rows, ON_DISK)
    result_of(kept.divided(partition()))
    assert len(opened) == 2 and list(tmp_path.iterdir()) == []
    assert opened[0].closed and not opened[1].closed  # rows are in their buckets alone
    for descriptor in contents:
        content = os.pread(descriptor, 1 << 24, 0)
        os.close(descriptor)
        assert len(content) > 1 << 20
        for row in (0, 100, 9_999):
            assert rows.keys[row, :8].tobytes() not in content
            assert rows.keys[row, 7::-1].tobytes() not in content
            assert rows.values[row, :1].tobytes() not in content
    kept.close()
    assert all(file.closed for file in opened)


def test_repr_shows_no_more_than_a_count() -> None:
    kept: Kept[Rows] = kept_of(random_rows(count=3), IN_MEMORY)
    assert repr(kept) == "KeptRows(rows=3)"
