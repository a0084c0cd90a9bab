"""The spill: all rows come back, in order, from memory and from disk; the disk holds no plain rows."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.data.spill import Spill
from cleanroom.errors import CleanroomError


@pytest.mark.parametrize("memory_bytes", [1 << 30, 5000])
@pytest.mark.parametrize("words", [2, 4, 7])
def test_rows_come_back_sorted(words: int, memory_bytes: int) -> None:
    generator = np.random.default_rng(words)
    rows = generator.integers(0, 2**64, (6000, words), dtype=np.uint64)
    spill = Spill(words, memory_bytes=memory_bytes, run_rows=500)
    for start in range(0, 6000, 321):
        spill.append(rows[start : start + 321])
    for part in range(256):
        assert (spill.part(part) == rows[rows[:, 0] >> np.uint64(56) == part]).all()
    expected = rows[np.lexsort(rows.T[::-1])]
    parts = list(spill.sorted_parts())
    assert len(parts) > 5
    assert (np.concatenate(parts) == expected).all()
    for before, after in itertools.pairwise(parts):
        assert before[-1, 0] >> np.uint64(56) < after[0, 0] >> np.uint64(56)
    again = Spill(words, memory_bytes=memory_bytes)
    for part in parts:
        again.append(part)
    assert (np.concatenate(list(again.parts())) == expected).all()
    spill.close()
    assert spill.rows == 0
    assert list(spill.parts()) == []


@pytest.mark.parametrize("memory_bytes", [1 << 30, 5000])
def test_rows_go_to_the_parts_that_are_given_with_them(memory_bytes: int) -> None:
    generator = np.random.default_rng(9)
    rows = generator.integers(0, 2**64, (6000, 3), dtype=np.uint64)
    parts = generator.integers(0, 9, 6000, dtype=np.uint8) ** 2
    spill = Spill(3, memory_bytes=memory_bytes)
    for start in range(0, 6000, 321):
        spill.append(rows[start : start + 321], parts[start : start + 321])
    for part in range(256):
        assert np.array_equal(spill.part(part), rows[parts == part])


def test_disk_holds_no_plain_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    spill = Spill(4, memory_bytes=64, run_rows=9)
    row = np.array([[0x4142434445464748] * 4] * 50, dtype=np.uint64)
    for _ in range(3):  # as stretches of two rows, none of which repeats another's key stream
        spill.append(row)
    assert spill._file is not None
    spill._file.seek(0)
    stored = spill._file.read()
    assert len(stored) == 3 * row.nbytes - 64  # but what is in memory
    assert row.tobytes()[:8] not in stored
    assert len({stored[index : index + 32] for index in range(0, len(stored), 32)}) == 148
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(next(iter(spill.parts())), np.tile(row, (3, 1)))


@pytest.mark.parametrize("asked", [0, 1, 25, 30, 34, 55, 163])
def test_as_much_is_written_whatever_was_asked_for_on_the_way(asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are asked for when all real ones are there, and padded then: how many were real must not be seen."""
    monkeypatch.setattr("cleanroom.data.spill._NEAR_BYTES", 10 * 16)
    monkeypatch.setattr("cleanroom.data.spill._FAR_BYTES", 25 * 16)
    rows = np.random.default_rng(asked).integers(1 << 63, size=(170, 2), dtype=np.uint64)
    spill = Spill(2, memory_bytes=33 * 16, run_rows=20)
    for start in range(0, asked, 7):
        spill.append(rows[start : min(start + 7, asked)])
    assert sum(map(len, spill.parts())) == asked
    spill.append(rows[asked:])
    assert sum(map(len, spill.parts())) == len(rows)
    assert spill._file is not None and spill._file.seek(0, os.SEEK_END) == (170 - 30) * 16
    found = np.concatenate([spill.part(number) for number in range(256)])
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, rows.tolist()))


def test_a_stretch_that_could_not_be_written_lends_its_nonce_to_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(FileIO):
        full = True

        def write(self, data: Any, /) -> int | None:
            if self.full:
                super().write(data)
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full(tmp_path / "scratch", "w+"))
    spill = Spill(2, memory_bytes=0, run_rows=1)
    row = np.full((1, 2), 7, dtype=np.uint64)
    with pytest.raises(CleanroomError, match="could not be written"):
        spill.append(row)
    Full.full = False
    spill.append(row)
    stored = (tmp_path / "scratch").read_bytes()
    assert len(stored) == 32 and stored[:16] != stored[16:]


def test_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full.open("wb", buffering=0))
    with pytest.raises(CleanroomError, match=r"^the scratch file could not be written \(No space left on device\)$"):
        Spill(2, memory_bytes=16).append(np.ones((9, 2), dtype=np.uint64))


def test_a_scratch_file_may_give_less_than_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FileIO):
        def readinto(self, buffer: Any, /) -> int | None:
            return super().readinto(memoryview(buffer)[:7])

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Slow(tmp_path / "scratch", "w+"))
    spill = Spill(3, memory_bytes=64)
    rows = np.random.default_rng(1).integers(1 << 63, size=(200, 3), dtype=np.uint64)
    spill.append(rows)
    found = np.concatenate(list(spill.parts()))
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, rows.tolist()))
    os.truncate(tmp_path / "scratch", (tmp_path / "scratch").stat().st_size - 1)
    with pytest.raises(CleanroomError, match="shorter than what was written"):
        list(spill.parts())


def test_a_folder_that_cannot_be_used_is_no_reason_to_take_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with pytest.raises(CleanroomError, match=r"^the scratch file could not be written \(No such file or directory\)$"):
        Spill(2, memory_bytes=16).append(np.ones((9, 2), dtype=np.uint64))


def test_kernels_refuse_other_shapes() -> None:
    with pytest.raises(ValueError, match="from 2 to 8 words"):
        _kernels.sort_rows([np.zeros((3, 9), dtype=np.uint64)])
    with pytest.raises(ValueError, match="from 2 to 8 words"):
        _kernels.sort_rows([])
    with pytest.raises(ValueError, match="one number of words"):
        _kernels.sort_rows([np.zeros((3, 2), dtype=np.uint64), np.zeros((3, 3), dtype=np.uint64)])
    with pytest.raises(ValueError, match="at least one word"):
        _kernels.group_rows([np.zeros((3, 0), dtype=np.uint64)], [])
    with pytest.raises(ValueError, match="one number of words"):
        _kernels.group_rows([np.zeros((3, 2), dtype=np.uint64), np.zeros((3, 1), dtype=np.uint64)], [])
    with pytest.raises(ValueError, match="one part"):
        _kernels.group_rows([np.zeros((3, 2), dtype=np.uint64)], [np.zeros(2, dtype=np.uint8)])
    rows, counts = _kernels.group_rows([np.zeros((0, 2), dtype=np.uint64)], [])
    assert rows.shape == (0, 2)
    assert not counts.any()
    with pytest.raises(ValueError, match="one number of rows"):
        _kernels.side_by_side([np.zeros((3, 2), dtype=np.uint64), np.zeros((2, 2), dtype=np.uint64)])
    with pytest.raises(ValueError, match="at least one word"):
        _kernels.side_by_side([])


@pytest.mark.parametrize("count", [0, 1, 500])
def test_rows_side_by_side_and_where_they_change(count: int) -> None:
    generator = np.random.default_rng(count)
    parts = [generator.integers(0, 2, (count, width), dtype=np.uint64) for width in (2, 1, 1)]
    rows = _kernels.side_by_side(parts)
    assert np.array_equal(rows, np.concatenate(parts, axis=1))
    listed = rows.tolist()
    expected = [at == 0 or row != listed[at - 1] for at, row in enumerate(listed)]
    assert _kernels.row_changes(rows).tolist() == expected


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("words", [2, 4, 8])
@pytest.mark.parametrize(
    "firsts",
    [
        lambda random, count: random.integers(0, 2**64, count, dtype=np.uint64),
        lambda random, count: random.integers(0, 40, count, dtype=np.uint64) << np.uint64(58),
        lambda random, count: np.array([0, 5, 2**63, 2**64 - 1], np.uint64)[random.integers(0, 4, count)],
        lambda random, count: np.full(count, random.integers(0, 2**64, dtype=np.uint64)),
        lambda random, count: random.integers(2**64 - 9, 2**64, count, dtype=np.uint64),
    ],
    ids=["digests", "few", "ends", "one", "neighbours"],
)
def test_rows_of_several_pieces_are_sorted(
    firsts: Callable[[np.random.Generator, int], NDArray[np.uint64]], words: int, unique: bool
) -> None:
    random = np.random.default_rng(words)
    for count in (0, 1, 2, 100, 20_000):
        others = [random.integers(0, 3, count, dtype=np.uint64) for _ in range(words - 1)]
        rows = np.stack([firsts(random, count), *others], axis=1)
        rows = np.concatenate([rows, rows[: count // 3]])
        pieces = [rows[: count // 2], rows[count // 2 : count // 2], rows[count // 2 :]]
        expected = sorted(map(tuple, rows.tolist()))
        found = list(map(tuple, _kernels.sort_rows(pieces, unique=unique).tolist()))
        assert found == (list(dict.fromkeys(expected)) if unique else expected)


def merged_in_python(lines: NDArray[np.uint64]) -> list[list[int]]:
    events: dict[tuple[int, ...], list[list[int]]] = {}
    for place, line in enumerate(lines.tolist()):
        alone = (place,) if line[3:5] == [0, 0] else ()
        events.setdefault((*line[:5], *alone), []).append(line)
    merged = [[*key[:5], min(one[5] for one in own), sum(one[6] for one in own)] for key, own in events.items()]
    return sorted(merged, key=lambda line: (*line[:3], line[5], line[3], line[4], line[6]))


@pytest.mark.parametrize("shift", [0, 60])
@pytest.mark.parametrize("count", [0, 1, 20, 4000, 30_000])
def test_lines_merge_as_in_plain_python(count: int, shift: int) -> None:
    generator = np.random.default_rng(count)
    most = (9, max(3, count // 20), 2, 2, 3, 5, 99)
    lines = np.stack([generator.integers(0, end, count) for end in most], axis=1).astype(np.uint64)
    lines[:, 0] <<= np.uint64(shift)
    merged = merged_in_python(lines)
    assert _kernels.merge_lines([lines]).tolist() == merged
    assert _kernels.merge_lines([lines[: count // 3], lines[count // 3 :], lines[:0]]).tolist() == merged


@pytest.mark.parametrize("first", [0, 1 << 57, (1 << 64) - (1 << 55)])
@pytest.mark.parametrize("heads", [1 << 64, 1 << 55, 1 << 30])
@pytest.mark.parametrize("ids", [1, 3, 1 << 64])
def test_lines_of_few_for_each_person_merge_as_in_plain_python(first: int, heads: int, ids: int) -> None:
    generator = np.random.default_rng([first, heads.bit_length(), ids.bit_length()])
    people, count = 2000, 9000
    head = generator.integers(0, min(heads - 1, (1 << 64) - 1 - first), people, np.uint64, endpoint=True)
    owner = generator.integers(0, people, count)
    most = (0, 1, 1, ids - 1, 1, 5, 9)  # of one first word some people differ, of one event and time some event ids
    lines = np.stack([generator.integers(0, end, count, np.uint64, endpoint=True) for end in most], axis=1)
    lines[:, 0] = head[owner] + np.uint64(first)
    assert _kernels.merge_lines([lines[:1000], lines[1000:]]).tolist() == merged_in_python(lines)
    assert _kernels.sort_rows([lines]).tolist() == sorted(lines.tolist())
