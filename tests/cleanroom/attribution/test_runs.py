"""Runs of equal and of consecutive values, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.attribution.runs import changes, distinct, expand, person_starts, slices, whole_people

small = st.integers(-3, 3)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.tuples(small, small), max_size=12))
def test_changes_marks_the_rows_that_differ(rows: list[tuple[int, int]]) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 2)
    want = [index == 0 or row != rows[index - 1] for index, row in enumerate(rows)]
    assert changes(columns[:, 0], columns[:, 1]).tolist() == want
    assert distinct(columns[:, 0]).tolist() == sorted({row[0] for row in rows})


def test_person_starts_looks_at_all_sixteen_bytes() -> None:
    person = np.zeros((6, 16), dtype=np.uint8)
    person[2:, 15] = 1
    person[4:, 0] = 1
    assert person_starts(person).tolist() == [True, False, True, False, True, False]
    assert person_starts(person[::2]).tolist() == [True, True, True]
    assert person_starts(person[:0]).tolist() == []


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


def test_people_are_not_cut_and_their_rows_are_counted_in_plain_numbers() -> None:
    """A run writes these counts into its account, as JSON, which takes no numbers of NumPy."""
    person = np.repeat(np.arange(4, dtype=np.uint8), [2, 1, 5, 1])[:, None].repeat(16, axis=1)
    found = [(part.start, part.stop, people) for part, people in whole_people(person, 3)]
    assert found == [(0, 3, 2), (3, 8, 1), (8, 9, 1)]
    assert {type(number) for entry in found for number in entry} == {int}
