"""Runs of equal and of consecutive values, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.attribution.runs import changes, distinct, expand, slices, whole_people

small = st.integers(-3, 3)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.tuples(small, small), max_size=12))
def test_changes_marks_the_rows_that_differ(rows: list[tuple[int, int]]) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 2)
    want = [index == 0 or row != rows[index - 1] for index, row in enumerate(rows)]
    assert changes(columns[:, 0], columns[:, 1]).tolist() == want
    assert distinct(columns[:, 0]).tolist() == sorted({row[0] for row in rows})


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.tuples(small, st.integers(0, 4)), max_size=8))
def test_expand_writes_out_every_run(runs: list[tuple[int, int]]) -> None:
    start, length = (np.array([run[side] for run in runs], dtype=np.int64) for side in (0, 1))
    assert expand(start, length).tolist() == [at + step for at, count in runs for step in range(count)]


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        ([], 3, []),
        ([1, 1, 1, 1], 2, [(0, 2), (2, 4)]),
        ([1, 2, 3, 1], 3, [(0, 2), (2, 3), (3, 4)]),
        ([5, 1, 9, 1, 1], 3, [(0, 1), (1, 2), (2, 3), (3, 5)]),
        ([0, 0, 2], 1, [(0, 2), (2, 3)]),
    ],
)
def test_slices_are_no_longer_than_asked_or_one_thing(
    sizes: list[int], most: int, expected: list[tuple[int, int]]
) -> None:
    assert list(slices(np.cumsum(np.array(sizes, dtype=np.int64)), most)) == expected


def test_people_are_not_cut() -> None:
    person = np.repeat(np.arange(4, dtype=np.uint8), [2, 1, 5, 1])[:, None].repeat(16, axis=1)
    person[:, :15] = 0  # all sixteen bytes are looked at
    assert list(whole_people(person, 3)) == [slice(0, 3), slice(3, 8), slice(8, 9)]
    assert list(whole_people(person[::-1], 1)) == [slice(0, 1), slice(1, 6), slice(6, 7), slice(7, 9)]
    assert list(whole_people(person[:0], 3)) == []
