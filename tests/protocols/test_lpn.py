"""The noise of the silent VOLE: its parameters, and what attacks on it would take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.protocols.lpn import BATCH, F16, GF128, SMALLEST, Field, Size, linear_test_bits, security, sizes
from tests.protocols.test_expand_convolute import generator_matrix

EVERY = [
    Size(field=field, outputs=1 << log)
    for field in (F16, GF128)
    for log in range(SMALLEST.bit_length() - 1, BATCH.bit_length())
]


def outputs(field: Field, length: int) -> list[int]:
    return [size.outputs for size in sizes(field, length)]


@pytest.mark.parametrize("length", [1, SMALLEST, SMALLEST + 1, BATCH - 1, BATCH, BATCH + 1, 5 * BATCH + 100_000])
def test_batches_hold_what_is_asked_for(length: int) -> None:
    for field in (F16, GF128):
        made = sizes(field, length)
        assert set(made) <= set(EVERY)
        assert sum(size.outputs for size in made[:-1]) < length <= sum(size.outputs for size in made)
    assert sizes(F16, 0) == []
    assert outputs(F16, BATCH + SMALLEST + 1) == [BATCH, 2 * SMALLEST]


@pytest.mark.parametrize("size", EVERY, ids=str)
def test_trees_cover_the_noise(size: Size) -> None:
    assert size.blocks << size.depth == size.noise == 2 * size.outputs


@pytest.mark.parametrize("size", EVERY, ids=str)
def test_every_attack_takes_2_128_steps(size: Size) -> None:
    estimate = security(size)
    assert min(estimate.linear_tests, estimate.information_sets, estimate.algebraic) >= 128


def test_a_binary_code_over_a_large_field_needs_more_blocks() -> None:
    """With 128 blocks the noise of GF(2^128) is found by linear algebra; with 512 it takes less than 2^128."""
    for weight, bound in ((128, 1), (512, 90)):
        weak = Size(field=Field(bits=128, weight=weight), outputs=BATCH)
        assert security(weak).information_sets < bound


def rank(matrix: NDArray[np.uint8]) -> int:
    """Over GF(2)."""
    rows = [int.from_bytes(np.packbits(row).tobytes(), "big") for row in matrix]
    found = 0
    while rows:
        pivot = max(rows)
        rows.remove(pivot)
        if pivot:
            found += 1
            top = 1 << pivot.bit_length() - 1
            rows = [row ^ pivot if row & top else row for row in rows]
    return found


def least_rank(matrix: NDArray[np.uint8], outputs: NDArray[np.uint8], chance: np.random.Generator) -> int:
    """Solves for the noise in half of the places as if the other half had none; the least rank of 20 of its rows."""
    n = len(matrix)
    order = chance.permutation(2 * n)
    joined = np.concatenate([matrix[:, order], outputs], axis=1)
    for row in range(n):
        column = row + int(joined[row:, row : 2 * n].any(axis=0).argmax())
        joined[:, [row, column]] = joined[:, [column, row]]
        other = row + int(joined[row:, row].argmax())
        joined[[row, other]] = joined[[other, row]]
        others = np.flatnonzero(joined[:, row])
        joined[others[others != row]] ^= joined[row]
    solved = joined[:, 2 * n :]
    return min(rank(solved[chance.choice(n, 20, replace=False)]) for _ in range(300))


@pytest.mark.parametrize(("blocks", "seen"), [(16, True), (64, False)])
def test_linear_algebra_sees_noise_of_as_many_blocks_as_bits(blocks: int, seen: bool) -> None:
    """Why GF(2^128) takes 1,024 blocks, in small: 16 bits an element, 128 outputs, a code of the real kind.

    Half of 16 errors lie among the guessed places; the other outputs are of rank 8 then, where random ones have 16.
    """
    chance = np.random.default_rng(5)
    matrix = generator_matrix(bytes(16), 128)
    noise = np.zeros((256, 16), dtype=np.uint8)
    block = 256 // blocks
    places = np.arange(blocks) * block + chance.integers(0, block, blocks)
    noise[places] = chance.integers(0, 2, (blocks, 16), dtype=np.uint8)
    outputs = (matrix.astype(np.int64) @ noise & 1).astype(np.uint8)
    uniform = chance.integers(0, 2, outputs.shape, dtype=np.uint8)
    assert least_rank(matrix, uniform, chance) >= 13
    assert (least_rank(matrix, outputs, chance) < 13) is seen


def test_the_bias_is_that_of_the_field() -> None:
    """(1 - 2d)^t over two elements, (1 - d)^t over very many, and F16 between them."""
    assert linear_test_bits(0.25, Field(bits=1, weight=100)) == pytest.approx(100)
    assert linear_test_bits(0.25, Field(bits=128, weight=100)) == pytest.approx(41.5, abs=0.01)
    assert linear_test_bits(0.25, Field(bits=4, weight=100)) == pytest.approx(44.7, abs=0.1)
    for field in (F16, GF128):  # the weight at which words stop being easy to find, less a third
        assert linear_test_bits(0.165, field) > 128


def test_the_page_has_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "wire" / "silent-vole.md"
    rows = [
        line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(("| F16 |", "| GF(2^128) |"))
    ]
    expected = []
    for size in EVERY:
        estimate = security(size)
        attacks = (estimate.linear_tests, estimate.information_sets, estimate.algebraic)
        cells = ["F16" if size.field is F16 else "GF(2^128)", f"2^{size.outputs.bit_length() - 1}"]
        cells += [f"{size.blocks:,}", f"{size.block:,}", *(str(int(bits)) for bits in attacks)]
        expected.append(f"| {' | '.join(cells)} |")
    assert rows == expected


def test_the_page_names_the_lightest_words_that_would_do() -> None:
    """The figures beside the table: words of 0.150 and 0.083, and what words at the Gilbert-Varshamov bound leave."""
    for field, light in ((F16, 0.150), (GF128, 0.084)):
        assert linear_test_bits(light, field) > 128 > linear_test_bits(light - 0.002, field)
    assert [int(linear_test_bits(0.11, field)) for field in (F16, GF128)] == [92, 172]
