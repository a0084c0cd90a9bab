"""The key-value store: exact where it was programmed, uniform everywhere, and sized by public numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.protocols import okvs
from tests.protocols import slow_arrays as reference

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Encode = Callable[[Bytes, Words, okvs.Shape], Words]
SEED = bytes(range(16))
FILL = bytes(range(32))


def make_points(count: int, words: int, label: int = 0) -> tuple[Bytes, Words]:
    generator = np.random.default_rng((label, count, words))
    keys = generator.integers(0, 256, (count, 26), dtype=np.uint8)
    return keys, generator.integers(0, 1 << 64, (count, words), dtype=np.uint64)


def encode(keys: Bytes, values: Words, shape: okvs.Shape) -> Words:
    table = okvs.encode(keys, values, seed=SEED, fill_key=FILL, shape=shape)
    assert table is not None
    return table


def encode_with_zeros(keys: Bytes, values: Words, shape: okvs.Shape) -> Words:
    return reference.encode_with_zeros(keys, values, seed=SEED, shape=shape)


@pytest.mark.parametrize("words", [1, 2, 5, 8, 9, 17])
@pytest.mark.parametrize("count", [1, 3, 64, 400])
def test_kernel_equals_the_reference_bit_for_bit(count: int, words: int) -> None:
    keys, values = make_points(count, words)
    shape = okvs.shape_of(count, words)
    table = encode(keys, values, shape)
    expected = reference.encode(keys, values, seed=SEED, fill_key=FILL, shape=shape)
    assert expected is not None
    np.testing.assert_array_equal(table, expected)
    asked = np.concatenate([keys, make_points(20, words, label=1)[0]])
    decoded = okvs.decode(asked, table, seed=SEED, shape=shape)
    np.testing.assert_array_equal(decoded, reference.decode(asked, table, seed=SEED, shape=shape))
    np.testing.assert_array_equal(decoded[:count], values)


@pytest.mark.parametrize("band", [1, 63, 64, 65, 100, 256])
def test_kernel_equals_the_reference_at_every_band(band: int) -> None:
    shape = okvs.Shape(starts=400, band=band, words=2)
    for count in (1, 40, 200):
        keys, values = make_points(count, 2)
        table = okvs.encode(keys, values, seed=SEED, fill_key=FILL, shape=shape)
        expected = reference.encode(keys, values, seed=SEED, fill_key=FILL, shape=shape)
        assert (table is None) == (expected is None)
        if table is not None and expected is not None:
            np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize("count", [3, 3 * 16, 3 * 1000, 3 * 20_000])
def test_every_programmed_key_decodes_to_its_value(count: int) -> None:
    keys, values = make_points(count, 3)
    shape = okvs.shape_of(count, 3)
    table = encode(keys, values, shape)
    assert table.shape == (shape.columns, 3)
    np.testing.assert_array_equal(okvs.decode(keys, table, seed=SEED, shape=shape), values)


@pytest.mark.slow
def test_a_million_points() -> None:
    keys, values = make_points(1 << 20, 2)
    shape = okvs.shape_of(1 << 20, 2)
    np.testing.assert_array_equal(okvs.decode(keys, encode(keys, values, shape), seed=SEED, shape=shape), values)


def test_the_size_is_a_function_of_points_and_words() -> None:
    assert okvs.shape_of(1, 1) == okvs.Shape(starts=2, band=256, words=1)
    assert okvs.shape_of(3 << 20, 5) == okvs.Shape(starts=3460301, band=256, words=5)
    assert okvs.shape_of(3 << 20, 5).size == 40 * (3460301 + 255)
    for n_points, words in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least one"):
            okvs.shape_of(n_points, words)


def test_fewer_points_than_the_shape_was_made_for_fill_the_same_table() -> None:
    shape = okvs.shape_of(600, 2)
    keys, values = make_points(600, 2)
    for count in (0, 1, 599):
        table = encode(keys[:count], values[:count], shape)
        assert table.nbytes == shape.size
        np.testing.assert_array_equal(okvs.decode(keys[:count], table, seed=SEED, shape=shape), values[:count])


def zero_entries(encoder: Encode) -> int:
    shape = okvs.shape_of(300, 2)
    return int((encoder(*make_points(300, 2), shape) == 0).all(axis=1).sum())


def test_free_positions_are_filled_from_the_stream() -> None:
    assert zero_entries(encode) == 0
    assert zero_entries(encode_with_zeros) > 200


def proofs_of_absence(encoder: Encode) -> tuple[int, int]:
    """Counts programmed and other keys whose whole band lies on zeros: nobody can have programmed such a key."""
    shape = okvs.Shape(starts=4000, band=40, words=1)
    keys, values = make_points(600, 1)
    others, _ = make_points(600, 1, label=1)
    table = encoder(keys, values | np.uint64(1), shape)
    return tuple(int((okvs.decode(k, table, seed=SEED, shape=shape) == 0).sum()) for k in (keys, others))  # type: ignore[return-value]


def test_a_table_with_zeros_would_prove_absence() -> None:
    assert proofs_of_absence(encode) == (0, 0)
    programmed, others = proofs_of_absence(encode_with_zeros)
    assert programmed == 0
    assert others > 0


def test_another_fill_key_changes_every_column_that_is_free() -> None:
    shape = okvs.shape_of(30, 1)
    keys, values = make_points(30, 1)
    other = okvs.encode(keys, values, seed=SEED, fill_key=bytes(32), shape=shape)
    assert other is not None
    assert int((other != encode(keys, values, shape)).sum()) >= shape.columns - 30


def ones_by_bit(table: Words) -> NDArray[np.float64]:
    bits = np.unpackbits(table.view(np.uint8), axis=1)
    return np.asarray((2.0 * bits.sum(axis=0) - len(bits)) / math.sqrt(len(bits)))


def test_the_table_is_uniform_when_the_values_are() -> None:
    keys, values = make_points(6000, 2)
    table = encode(keys, values, okvs.shape_of(6000, 2))
    assert np.abs(ones_by_bit(table)).max() < 4.5  # 128 standard normal scores: one run in 1,000 would exceed it
    counts = np.bincount(table.view(np.uint8).ravel(), minlength=256)
    expected = counts.sum() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 345  # chi-squared, 255 degrees of freedom: one in 8,000


def test_keys_that_were_not_programmed_decode_to_noise() -> None:
    keys, _ = make_points(3000, 1)
    zeros = np.zeros((3000, 1), dtype=np.uint64)
    shape = okvs.shape_of(3000, 1)
    decoded = okvs.decode(make_points(3000, 1, label=1)[0], encode(keys, zeros, shape), seed=SEED, shape=shape)
    assert len(np.unique(decoded)) == 3000
    assert np.abs(ones_by_bit(decoded)).max() < 4.5


def test_equal_keys_have_no_solution() -> None:
    keys, values = make_points(10, 1)
    keys[7] = keys[2]
    assert okvs.encode(keys, values, seed=SEED, fill_key=FILL, shape=okvs.shape_of(10, 1)) is None


def count_failures(n_points: int, band: int, seeds: int) -> int:
    keys, values = make_points(n_points, 1)
    shape = okvs.Shape(starts=okvs.shape_of(n_points, 1).starts, band=band, words=1)
    tables = (
        okvs.encode(keys, values, seed=seed.to_bytes(16, "little"), fill_key=FILL, shape=shape) for seed in range(seeds)
    )
    return sum(table is None for table in tables)


@pytest.mark.parametrize(("n_points", "band", "seeds"), [(1000, 40, 3000), (1000, 48, 3000), (10_000, 56, 300)])
def test_counted_failures_stay_below_the_bound(n_points: int, band: int, seeds: int) -> None:
    """At narrow bands failures can be counted: the bound that sets the real band holds there with 3 bits to spare."""
    allowed = 2.0 ** -(okvs.failure_bits(n_points, band) + 3)
    assert count_failures(n_points, band, seeds) <= seeds * allowed


def test_failures_fall_by_the_stated_bits_a_column() -> None:
    narrow, wide = count_failures(10_000, 32, 150), count_failures(10_000, 40, 300)
    assert 0 < wide < narrow
    lost = -math.log2(1 - narrow / 150) / -math.log2(1 - wide / 300)  # expected events a table, by 1 - e^-x
    assert 0.7 * okvs.DECAY_BITS < math.log2(lost) / 8 < 1.3 * okvs.DECAY_BITS


def test_the_decay_is_the_queue_s() -> None:
    rate = okvs.DECAY_BITS * math.log(2)
    assert (math.exp(rate) - 1) / (okvs.EXPANSION_TENTHS / 10) == pytest.approx(rate, rel=1e-4)
    assert sum(2.0 ** (okvs.DECAY_BITS * k - k) for k in range(200)) <= 2.0**okvs.SLACK_BITS


@pytest.mark.parametrize("rows", [1, 1 << 10, 1 << 20, 1 << 24])
def test_the_band_fails_less_often_than_once_in_2_to_the_40(rows: int) -> None:
    assert okvs.failure_bits(3 * rows) > 40
    assert 0.2751 * okvs.BAND - 19.830 - max(0.0, math.log2(3 * rows) - 20) > 40  # the published fit, made for 2^20


@pytest.mark.parametrize(
    "change",
    [
        {"seed": SEED[:15]},
        {"fill_key": FILL[:31]},
        {"shape": okvs.Shape(starts=0, band=256, words=2)},
        {"shape": okvs.Shape(starts=9, band=257, words=2)},
        {"shape": okvs.Shape(starts=9, band=256, words=3)},
        {"keys": np.zeros((4, 26), np.uint8)},
        {"keys": np.zeros((3, 0), np.uint8)},
    ],
)
def test_malformed_arguments_are_refused(change: dict[str, object]) -> None:
    keys, values = make_points(3, 2)
    arguments: dict[str, object] = {
        "keys": keys,
        "values": values,
        "seed": SEED,
        "fill_key": FILL,
        "shape": okvs.shape_of(3, 2),
    }
    with pytest.raises(ValueError, match=r"bytes|words|band"):
        okvs.encode(**(arguments | change))  # type: ignore[arg-type]


def test_a_table_of_another_shape_is_refused() -> None:
    keys, values = make_points(3, 2)
    table = encode(keys, values, okvs.shape_of(3, 2))
    with pytest.raises(ValueError, match="table of"):
        okvs.decode(keys, table[:-1], seed=SEED, shape=okvs.shape_of(3, 2))
