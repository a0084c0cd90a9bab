"""The arrays that the join takes: order, shapes, and nothing of them in a repr."""

from __future__ import annotations

import numpy as np
import pytest

from cleanroom.attribution.rows import Lookups, Rows


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
