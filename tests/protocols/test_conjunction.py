"""The conjunction of shared bits: every row of a few bits, widths around the blocks, traffic, shares."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.protocols import conjunction
from cleanroom.protocols.traffic import NOTHING, Volume
from tests.harness import Run, run_pair
from tests.protocols.ot_pairs import OtPair, ot_pair

Bits = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pair() -> OtPair:
    return ot_pair("conjunction")


def conjoin(pair: OtPair, bits: Bits) -> Run[Bits, Bits]:
    masks = np.random.default_rng(3).integers(0, 2, bits.shape, dtype=np.uint8)
    return run_pair(conjunction.sender(pair.sender, masks), conjunction.receiver(pair.receiver, bits ^ masks))


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_every_row_of_a_few_bits(pair: OtPair, width: int) -> None:
    rows = np.array(list(product((0, 1), repeat=width)), dtype=np.uint8)
    run = conjoin(pair, rows)
    assert (run.first ^ run.second).tolist() == rows.all(axis=1).astype(int).tolist()


@pytest.mark.parametrize("width", [63, 64, 65, 128, 200])
def test_one_zero_anywhere_is_seen(pair: OtPair, width: int) -> None:
    rows = np.ones((width + 1, width), dtype=np.uint8)
    rows[np.arange(width), np.arange(width)] = 0
    run = conjoin(pair, rows)
    assert (run.first ^ run.second).tolist() == [0] * width + [1]
    sent = [NOTHING, NOTHING]
    for sender, _, length in run.lengths():
        sent[sender] += Volume(messages=1, bytes=length)
    assert tuple(sent) == conjunction.traffic(width + 1, width=width)


def test_a_single_bit_is_its_own_conjunction_and_sends_nothing(pair: OtPair) -> None:
    run = conjoin(pair, np.array([[0], [1]], dtype=np.uint8))
    assert (run.first ^ run.second).tolist() == [0, 1] and run.frames == []


def test_either_share_of_the_result_is_a_fresh_coin(pair: OtPair) -> None:
    ones = conjoin(pair, np.ones((4000, 3), dtype=np.uint8))
    for share in (ones.first, ones.second):
        assert abs(int(share.sum()) - 2000) < 5 * np.sqrt(1000)
