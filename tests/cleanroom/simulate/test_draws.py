"""Draws against plain Python, and against what they should look like."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import numpy as np
import pytest

from cleanroom.simulate.draws import Draws, Table, probability_of
from cleanroom.simulate.people import scrambled

MASK = 2**64 - 1


def mixed(word: int) -> int:
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


def plain_word(seed: int, stream: str, index: int) -> int:
    digest = hashlib.sha256(f"cleanroom/simulate/v1\0{seed}\0{stream}".encode()).digest()
    first, second = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")
    return mixed((mixed(((index + 1) * 0x9E3779B97F4A7C15 + first) & MASK) + second) & MASK)


@pytest.mark.parametrize(("seed", "stream"), [(0, "side"), (2**64 - 1, "depth"), (7, "phone spelled at shop")])
def test_words_are_those_of_plain_python(seed: int, stream: str) -> None:
    index = [0, 1, 2, 77, 2**31, 2**40 + 3]
    found = Draws(seed).words(stream, np.array(index))
    assert found.tolist() == [plain_word(seed, stream, place) for place in index]


def test_a_draw_depends_on_its_address_alone() -> None:
    index = np.arange(1000)
    draws = Draws(5)
    all_at_once = draws.words("a", index)
    draws.words("b", index)
    assert np.array_equal(all_at_once[::-1][:10], draws.words("a", index[::-1][:10]))
    assert np.array_equal(all_at_once.reshape(10, 100), draws.words("a", index.reshape(10, 100)))
    assert not np.array_equal(all_at_once, draws.words("b", index))
    assert not np.array_equal(all_at_once, Draws(6).words("a", index))
    assert np.array_equal(index, np.arange(1000))


def test_draws_are_even_and_independent() -> None:
    index, draws = np.arange(200_000), Draws(3)
    faces = draws.below("faces", index, 16)
    again = draws.below("again", index, 16)
    for counts, cells in (
        (np.bincount(faces, minlength=16), 16),
        (np.bincount(faces * 16 + again, minlength=256), 256),
        (np.bincount(faces[1:] * 16 + faces[:-1], minlength=256), 256),
    ):
        expected = counts.sum() / cells
        chi2 = float(((counts - expected) ** 2 / expected).sum())
        assert abs(chi2 - (cells - 1)) < 5 * np.sqrt(2 * cells)


def test_shares_and_tables_are_met() -> None:
    index, draws = np.arange(200_000), Draws(4)
    assert abs(draws.chance("c", index, probability_of(Decimal("0.03"))).mean() - 0.03) < 0.002
    assert not draws.chance("c", index, probability_of(Decimal(0))).any()
    assert draws.chance("c", index, probability_of(Decimal(1))).all()
    picked = np.bincount(draws.pick("p", index, Table((0, 3, 1, 0))), minlength=4) / len(index)
    assert picked[0] == picked[3] == 0
    assert abs(picked[1] - 0.75) < 0.005
    bounds = index % 7 + 1
    below = draws.below("b", index, bounds)
    assert ((below >= 0) & (below < bounds)).all()


@pytest.mark.parametrize("kind", ["user", "buyer", "event"])
def test_scrambled_numbers_are_one_to_one(kind: str) -> None:
    numbers = np.concatenate([np.arange(300_000), 2**40 - 1 - np.arange(1000)])
    found = scrambled(kind, numbers)
    assert len(np.unique(found)) == len(numbers)
    assert ((found >= 0) & (found < 2**40)).all()
    assert abs(np.corrcoef(found[:300_000], numbers[:300_000])[0, 1]) < 0.01
