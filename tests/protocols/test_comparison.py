"""The comparison with a threshold: edges, random numbers, the tree's tables against all share patterns, mutations."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom.protocols import comparison, ot
from cleanroom.protocols.ot import OtSender
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol
from tests.harness import Run, run_pair
from tests.protocols.ot_pairs import OtPair, ot_pair

TOP = 2**63 - 1


@pytest.fixture(scope="module")
def pair() -> OtPair:
    return ot_pair("comparison")


def run(
    pair: OtPair, numbers: list[int], threshold: int, masks: NDArray[np.uint64]
) -> Run[comparison.Bits, comparison.Bits]:
    other = np.array(numbers, dtype=np.uint64) - masks
    return run_pair(
        comparison.sender(pair.sender, masks, threshold), comparison.receiver(pair.receiver, other, threshold)
    )


def wrong(pair: OtPair, numbers: list[int], threshold: int, seed: int = 1) -> int:
    masks = np.random.default_rng(seed).integers(0, 2**64, len(numbers), dtype=np.uint64)
    masks[:8] = [0, 1, TOP, TOP + 1, TOP + 2, 2**64 - 1, threshold % 2**64, (threshold - 1) % 2**64][: masks[:8].size]
    shares = run(pair, numbers, threshold, masks)
    return sum(
        bool(bit) != (number >= threshold) for bit, number in zip(shares.first ^ shares.second, numbers, strict=True)
    )


def around(threshold: int) -> list[int]:
    near = [value for value in range(threshold - 20, threshold + 21) if 0 <= value <= TOP]
    return [*near, 0, 1, TOP - 1, TOP, *np.random.default_rng(2).integers(0, TOP, 60).tolist()]


@pytest.mark.parametrize("threshold", [0, 1, 15, 16, 50, 100, 2**32, 2**62, TOP, TOP + 1])
def test_numbers_near_the_threshold_and_far_from_it(pair: OtPair, threshold: int) -> None:
    for seed in (1, 2):
        assert wrong(pair, around(threshold), threshold, seed) == 0


@settings(derandomize=True, max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.integers(0, TOP), min_size=1, max_size=30),
    threshold=st.integers(0, TOP + 1),
    seed=st.integers(0, 2**32),
)
def test_any_numbers(pair: OtPair, numbers: list[int], threshold: int, seed: int) -> None:
    assert wrong(pair, numbers, threshold, seed) == 0


def test_several_slices_agree_with_one(pair: OtPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "SLICE", 10)
    monkeypatch.setattr(ot, "SOFT_SPOKEN", replace(ot.SOFT_SPOKEN, batch=128))
    assert wrong(pair, around(50), 50) == 0


def test_no_numbers_send_nothing(pair: OtPair) -> None:
    shares = run(pair, [], 5, np.empty(0, dtype=np.uint64))
    assert shares.first.size == 0 and shares.frames == []


def test_sizes_are_a_function_of_the_count_alone(pair: OtPair) -> None:
    masks = np.random.default_rng(5).integers(0, 2**64, 200, dtype=np.uint64)
    low, high = run(pair, [0] * 200, 50, masks), run(pair, [TOP] * 200, 50, masks)
    assert low.lengths() == high.lengths()
    tables = sum(length - FRAME_HEADER_BYTES for sender, _, length in low.lengths() if sender == 0)
    assert tables == 4 * comparison.TRANSFERS * 200


def test_each_side_alone_is_balanced(pair: OtPair) -> None:
    """5 standard deviations around one half, for numbers that all pass and shares that are all zero."""
    shares = run(pair, [100] * 4000, 50, np.zeros(4000, dtype=np.uint64))
    for share in (shares.first, shares.second):
        assert abs(int(share.sum()) - 2000) < 5 * 31.7


def unfair(pair: OtPair, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compares equal numbers and returns the transfers, by layer, whose bits show the receiver something."""
    seen: list[comparison.Bits] = []
    real = comparison.receive_tables

    def spied(*arguments: Any, **named: Any) -> Protocol[comparison.Bits]:
        seen.append((yield from real(*arguments, **named)))
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr(comparison, "receive_tables", spied)
        run(pair, [100] * 2000, 50, np.zeros(2000, dtype=np.uint64))
    layers = [bits.reshape(2000, -1) for bits in seen]
    assert [bits.shape[1] for bits in layers] == [32, 16, 8, 4, 2]
    return [layer for layer, bits in enumerate(layers) if np.abs(bits.sum(axis=0) - 1000.0).max() > 5 * 22.4]


def test_every_bit_that_the_receiver_gets_is_masked(pair: OtPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every layer, not in the last alone: 62 scores under 5 standard deviations."""
    assert unfair(pair, monkeypatch) == []
    real = OtSender.random_bits
    for size, layer in ((2000 * 32, 0), (2000 * 16, 1), (2000 * 2, 4)):

        def bare(ot: OtSender, count: int, size: int = size) -> comparison.Bits:
            return real(ot, count) * np.uint8(count != size)

        with monkeypatch.context() as patch:
            patch.setattr(OtSender, "random_bits", bare)
            assert layer in unfair(pair, monkeypatch)


def test_a_threshold_out_of_range_is_refused(pair: OtPair) -> None:
    for threshold in (-1, TOP + 2):
        with pytest.raises(ValueError, match="threshold"):
            next(comparison.sender(pair.sender, np.zeros(1, dtype=np.uint64), threshold))
        with pytest.raises(ValueError, match="threshold"):
            next(comparison.receiver(pair.receiver, np.zeros(1, dtype=np.uint64), threshold))


def test_leaf_tables_hold_less_and_equal_for_every_chunk_and_mask() -> None:
    for own, (m0, m1) in product(range(16), product((0, 1), repeat=2)):
        tables = comparison._leaf_tables(np.array([own], dtype=np.uint8), np.array([[m0, m1]], dtype=np.uint8))[0]
        for other in range(16):
            assert [int(word) >> other & 1 for word in tables] == [(own < other) ^ m0, (own == other) ^ m1]


def test_node_tables_combine_every_pattern_of_shares() -> None:
    for bits in product((0, 1), repeat=6):
        own = np.array([bits[:4]], dtype=np.uint8)
        masks = np.array([bits[4:]], dtype=np.uint8)
        tables = comparison._node_tables(own[:, :2], own[:, 2:], masks)[0]
        for other in range(16):
            less_h, equal_h, less_l, equal_l = (bits[i] ^ (other >> i & 1) for i in range(4))
            expected = [less_h ^ (equal_h & less_l) ^ bits[4], (equal_h & equal_l) ^ bits[5]]
            assert [int(word) >> other & 1 for word in tables] == expected


def test_mutation_an_off_by_one_in_the_carry_moves_the_threshold(pair: OtPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """With α = 2^63 - 2 - (lower bits) a sum of exactly 2^63 - 1 counts as a carry."""
    chunks = comparison._chunks
    first = iter([True])
    monkeypatch.setattr(
        comparison, "_chunks", lambda values: chunks(values - np.uint64(1) if next(first, False) else values)
    )
    assert wrong(pair, around(50), 50) > 0


def test_mutation_ignoring_the_carry_is_wrong(pair: OtPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_leaf_tables", lambda own, masks: np.zeros((len(own), 2), dtype=np.uint16))
    assert wrong(pair, around(50), 50) > 20
