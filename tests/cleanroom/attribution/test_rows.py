"""The arrays that the join takes: order, shapes, and nothing of them in a repr."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cleanroom.attribution.rows import Lookups, Rows, key_order


def test_keys_sort_as_byte_strings_also_where_the_first_halves_are_equal() -> None:
    rng = random.Random(3)
    keys = [rng.randbytes(16) for _ in range(300)] + [bytes(8) + rng.randbytes(8) for _ in range(300)]
    array = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 16)
    assert [bytes(key) for key in array[key_order(array)]] == sorted(keys)
    assert key_order(array[:0]).shape == (0,)


def test_shapes_and_types_are_checked() -> None:
    keys = np.zeros((2, 16), dtype=np.uint8)
    one = np.ones(2, dtype=np.int64)
    with pytest.raises(ValueError, match="keys"):
        Rows(keys=keys[:, :15], values=one.reshape(2, 1))
    with pytest.raises(ValueError, match="values"):
        Rows(keys=keys, values=one)
    with pytest.raises(ValueError, match="indptr"):
        Lookups(keys=keys, indptr=one, target=np.zeros(1, dtype=np.int32), weight=one[:1])
    with pytest.raises(ValueError, match="target"):
        Lookups(keys=keys, indptr=np.array([0, 1, 2]), target=np.zeros(3, dtype=np.int32), weight=one)


def test_nothing_of_the_data_is_in_a_repr_and_equality_is_identity() -> None:
    keys = np.full((1, 16), 171, dtype=np.uint8)
    rows = Rows(keys=keys, values=np.array([[987654]], dtype=np.int64))
    assert "171" not in repr(rows) and "987654" not in repr(rows) and len(rows) == 1
    assert rows != Rows(keys=keys, values=rows.values)
