"""What the hint encodes at its points: the kernel against NumPy, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels


def make_arguments(rows: int, columns: int, n_bins: int = 50) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(3)
    words = {"values": (rows, columns), "targets": (n_bins,), "masks": (n_bins, columns)}
    return {
        "out": np.full((3 * rows, 1 + columns), 7, dtype=np.uint64),
        "answers": rng.integers(0, 256, (3 * rows, 8 + 8 * columns), dtype=np.uint8),
        "bins": rng.integers(0, n_bins, 3 * rows),
        **{name: rng.integers(0, 1 << 64, shape, dtype=np.uint64) for name, shape in words.items()},
    }


@pytest.mark.parametrize("rows", [0, 1, 341, 342, 3000])
@pytest.mark.parametrize("columns", [0, 1, 4])
def test_points_are_answers_under_targets_and_values_less_masks(rows: int, columns: int) -> None:
    made = make_arguments(rows, columns)
    expected = made["answers"].view("<u8").copy()
    expected[:, 0] ^= made["targets"][made["bins"]]
    expected[:, 1:] ^= np.repeat(made["values"], 3, axis=0) - made["masks"][made["bins"]]
    _kernels.hint_mask(**made)
    np.testing.assert_array_equal(made["out"], expected)


@pytest.mark.parametrize(
    "change",
    [
        {"out": np.zeros((12, 2), np.uint64)},
        {"out": np.zeros((15, 3), np.uint64)},
        {"answers": np.zeros((12, 16), np.uint8)},
        {"answers": np.zeros((11, 24), np.uint8)},
        {"bins": np.zeros(11, np.int64)},
        {"bins": np.full(12, 50)},
        {"bins": np.full(12, -1)},
        {"values": np.zeros((5, 2), np.uint64)},
        {"values": np.zeros((4, 3), np.uint64)},
        {"targets": np.zeros(49, np.uint64)},
        {"masks": np.zeros((50, 1), np.uint64)},
    ],
)
def test_malformed_arguments_are_refused(change: dict[str, NDArray[Any]]) -> None:
    made = make_arguments(4, 2)
    with pytest.raises(ValueError, match=r"expected|bins are in"):
        _kernels.hint_mask(**(made | change))
    assert (made["out"] == 7).all()


@pytest.mark.parametrize("name", ["out", "answers", "values", "masks"])
def test_column_order_is_refused(name: str) -> None:
    made = make_arguments(4, 2)
    with pytest.raises(ValueError, match="contiguous"):
        _kernels.hint_mask(**(made | {name: np.asfortranarray(made[name])}))
