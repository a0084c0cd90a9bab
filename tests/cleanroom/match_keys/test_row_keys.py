"""Row keys: the kernel against plain Python, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from cleanroom import _kernels
from tests.cleanroom.match_keys.slow_forms import row_key


def test_kernel_agrees_with_reference() -> None:
    generator = np.random.default_rng(1)
    n = 3000
    person = generator.integers(0, 256, (n, 16), dtype=np.uint8)
    level = generator.integers(0, 9, n).astype(np.uint8)
    node = generator.integers(-(2**63), 2**63 - 1, n, dtype=np.int64)
    keys = _kernels.row_keys(person, 1, level, node)
    assert keys.shape == (n, 16)
    for index in range(0, n, 37):
        expected = row_key(
            person=person[index].tobytes(), weight_class=1, level=int(level[index]), node=int(node[index])
        )
        assert keys[index].tobytes() == expected


def test_every_field_changes_the_key() -> None:
    def key(person: int = 0, weight_class: int = 0, level: int = 0, node: int = 0) -> bytes:
        people = np.full((1, 16), person, dtype=np.uint8)
        levels, nodes = np.array([level], dtype=np.uint8), np.array([node], dtype=np.int64)
        return _kernels.row_keys(people, weight_class, levels, nodes).tobytes()

    assert len({key(), key(person=1), key(weight_class=1), key(level=1), key(node=1), key(node=-1)}) == 6


def test_no_rows() -> None:
    empty = _kernels.row_keys(np.empty((0, 16), np.uint8), 0, np.empty(0, np.uint8), np.empty(0, np.int64))
    assert empty.shape == (0, 16)


@pytest.mark.parametrize(
    ("person", "level", "node"),
    [((2, 15), 2, 2), ((2, 16), 1, 2), ((2, 16), 2, 3)],
)
def test_wrong_shapes_are_refused(person: tuple[int, int], level: int, node: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        _kernels.row_keys(np.zeros(person, np.uint8), 0, np.zeros(level, np.uint8), np.zeros(node, np.int64))
