"""The noise of the silent VOLE: its parameters, and what attacks on it would take."""

from __future__ import annotations

from pathlib import Path

import pytest

from cleanroom.protocols.lpn import BATCH, F16, GF128, SMALLEST, Field, Size, linear_test_bits, security, sizes

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
