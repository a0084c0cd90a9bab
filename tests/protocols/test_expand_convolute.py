"""The kernels of the silent VOLE against the slow implementation: trees, code, products; and how heavy the code is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols.lpn import SMALLEST
from tools.slow import silent_vole as slow
from tools.slow.transfers import multiply_128

KEY = bytes(range(7, 23))
TREE_KEYS = bytes(range(32, 64))

Words = NDArray[np.uint64]


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_words(seed: int, count: int) -> Words:
    return generator(seed).integers(0, 1 << 64, (count, 2), dtype=np.uint64)


def numbers(words: Words) -> list[int]:
    return [int(low) | int(high) << 64 for low, high in words]


def test_products_equal_the_reference() -> None:
    a, b = random_words(1, 50), random_words(2, 50)
    for delta in (0, 1, 1 << 127, (1 << 128) - 1, int.from_bytes(KEY, "little")):
        sums = _kernels.gf128_multiply_add(a, delta.to_bytes(16, "little"), b)
        assert numbers(sums) == [y ^ multiply_128(x, delta) for x, y in zip(numbers(a), numbers(b), strict=True)]


@pytest.mark.parametrize("depth", [1, 3, 4, 5, 6])
def test_trees_equal_the_reference_and_lack_one_leaf(depth: int) -> None:
    trees = 5
    roots = generator(3).integers(0, 256, trees * 16, dtype=np.uint8)
    sums, leaves = _kernels.pprf_expand(roots, TREE_KEYS, depth)
    pairs = sums.reshape(trees, depth, 2, 16)
    for tree in range(trees):
        expected, nodes = slow.grow(roots[16 * tree : 16 * tree + 16].tobytes(), TREE_KEYS, tree, depth)
        assert [[int.from_bytes(side.tobytes(), "little") for side in level] for level in pairs[tree]] == [
            list(level) for level in expected
        ]
        assert numbers(leaves[tree << depth : tree + 1 << depth]) == nodes
    for shift in range(1 << depth):
        positions = (np.arange(trees) * 3 + shift) % (1 << depth)
        bits = (positions[:, None] >> np.arange(depth - 1, -1, -1) & 1).astype(np.uint8)
        away = np.where(bits[:, :, None] == 1, pairs[:, :, 0], pairs[:, :, 1])
        words = generator(shift).integers(0, 256, trees * 16, dtype=np.uint8)
        rebuilt = _kernels.pprf_reconstruct(bits.reshape(-1), TREE_KEYS, away.reshape(-1).copy(), words)
        expected_leaves = leaves.reshape(trees, 1 << depth, 2).copy()
        for tree, position in enumerate(positions):
            expected_leaves[tree, position] = 0
            total = np.bitwise_xor.reduce(expected_leaves[tree], axis=0)
            expected_leaves[tree, position] = total ^ words[16 * tree : 16 * tree + 16].view("<u8")
        assert np.array_equal(rebuilt, expected_leaves.reshape(-1, 2))


def test_a_sum_on_the_way_to_the_position_rebuilds_nothing_below() -> None:
    """The mutant that is given the sums of its own way cannot make any leaf beside it."""
    depth, bits = 4, np.array([1, 0, 1, 1], dtype=np.uint8)
    sums, leaves = _kernels.pprf_expand(np.arange(16, dtype=np.uint8), TREE_KEYS, depth)
    own_way = sums.reshape(depth, 2, 16)[np.arange(depth), bits].reshape(-1).copy()
    rebuilt = _kernels.pprf_reconstruct(bits, TREE_KEYS, own_way, np.zeros(16, dtype=np.uint8))
    assert not (rebuilt == leaves).all(axis=1).any()


@pytest.mark.parametrize("size", [64, 100, 1024, 1500, SMALLEST])
def test_the_code_equals_the_reference(size: int) -> None:
    vector = random_words(size, 2 * size)
    octets = generator(size + 1).integers(0, 256, 2 * size, dtype=np.uint8)
    expected, expected_octets = slow.encode(KEY, numbers(vector)), slow.encode(KEY, octets.tolist())
    assert numbers(_kernels.expand_convolute(KEY, vector.copy())) == expected
    spent, spent_octets = vector.copy(), octets.copy()
    encoded, encoded_octets = _kernels.expand_convolute_with_bytes(KEY, spent, spent_octets)
    assert numbers(encoded) == expected and encoded_octets.tolist() == expected_octets
    assert not spent.any() and not spent_octets.any()
    spent, other = vector.copy(), vector[::-1].copy()
    one, reversed_one = _kernels.expand_convolute_pair(KEY, spent, other)
    assert numbers(one) == expected and numbers(reversed_one) == slow.encode(KEY, numbers(vector[::-1]))
    assert not spent.any() and not other.any()


def test_the_code_depends_on_its_key() -> None:
    vector = random_words(9, 2 * SMALLEST)
    one, other = (_kernels.expand_convolute(key, vector.copy()) for key in (KEY, bytes(16)))
    assert (one != other).all(axis=1).mean() > 0.99


def generator_matrix(key: bytes, size: int) -> NDArray[np.uint8]:
    """G, size × 2·size bits, 128 columns from each of as many encodings of unit vectors."""
    columns = []
    for first in range(0, 2 * size, 128):
        vector = np.zeros((2 * size, 2), dtype=np.uint64)
        places = np.arange(128)
        vector[first + places, places // 64] = np.uint64(1) << (places % 64).astype(np.uint64)
        encoded = _kernels.expand_convolute(key, vector)
        columns.append(np.unpackbits(encoded.view(np.uint8), axis=1, bitorder="little"))
    return np.concatenate(columns, axis=1)


def test_rows_of_the_code_and_sums_of_neighbours_are_as_heavy_as_those_of_a_random_code() -> None:
    """A row of [I | A] has about a quarter of its places set, and so has a sum of few rows: what a test has to beat."""
    size = 1024
    matrix = generator_matrix(KEY, size)
    assert np.array_equal(matrix[:, :size], np.eye(size, dtype=np.uint8))
    spread = 6 * (size / 4) ** 0.5
    for distance in (0, 1, 2, 17, 500):
        sums = matrix if distance == 0 else matrix ^ np.roll(matrix, distance, axis=0)
        weights = sums[:, size:].sum(axis=1, dtype=np.int64)
        assert abs(weights - size / 2).max() < spread
    ones = matrix[:, size:].mean(axis=0)  # no column is nearly empty either: no place of the noise is left out
    assert ones.min() > 0.35 and ones.max() < 0.65
