"""The equality test over both sources of transfers: against plain comparison, its sizes, and mutants of its padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.protocols import equality, lpn, ot, silent_vole
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Expect, Protocol, Send
from tests.harness import Run, run_pair
from tests.protocols.ot_pairs import OtPair, ot_pair
from tests.protocols.silent_pairs import SilentPair, silent_pair, use_dealer, use_sizes

Pair: TypeAlias = OtPair | SilentPair
Make: TypeAlias = Callable[[str], Pair]


@pytest.fixture(scope="module", params=["soft spoken", "dealt", "silent"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Sets up a direction of transfers of a source; silent ones come from a silent VOLE or from a dealer of it."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "dealt":
            use_dealer(patch)
        yield ot_pair if request.param == "soft spoken" else silent_pair


@pytest.fixture(scope="module")
def pair(make: Make) -> Pair:
    return make("equality")


def instances(width: int, count: int, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """A third equal, a third that differ in one bit, a third random."""
    rng = np.random.default_rng(seed)
    top = np.uint64(2**width - 1)
    a = rng.integers(0, top, count, dtype=np.uint64, endpoint=True)
    b = a.copy()
    third = count // 3
    b[:third] ^= np.uint64(1) << rng.integers(0, width, third, dtype=np.uint64)
    b[third : 2 * third] = rng.integers(0, top, third, dtype=np.uint64, endpoint=True)
    return a, b


def run(pair: Pair, a: NDArray[np.uint64], b: NDArray[np.uint64], width: int) -> Run[equality.Bits, equality.Bits]:
    return run_pair(equality.sender(pair.sender, a, width=width), equality.receiver(pair.receiver, b, width=width))


def wrong(pair: Pair, width: int, count: int = 900) -> int:
    a, b = instances(width, count, seed=width)
    shares = run(pair, a, b, width)
    return int(np.count_nonzero((shares.first ^ shares.second) != (a == b)))


@pytest.mark.parametrize("width", [1, 3, 4, 5, 16, 17, 20, 33, 61, 63, 64])
def test_shares_reconstruct_plain_equality(pair: Pair, width: int) -> None:
    assert wrong(pair, width) == 0


def test_every_single_bit_difference_is_seen(pair: Pair) -> None:
    a = np.full(64, 0x0123_4567_89AB_CDEF, dtype=np.uint64)
    b = a ^ (np.uint64(1) << np.arange(64, dtype=np.uint64))
    shares = run(pair, a, b, 64)
    assert not (shares.first ^ shares.second).any()


def test_bits_above_the_width_are_ignored(pair: Pair) -> None:
    a = np.arange(100, dtype=np.uint64)
    shares = run(pair, a, a | np.uint64(1 << 40), 20)
    assert (shares.first ^ shares.second).all()


def test_several_slices_and_batches_agree_with_one(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equality, "SLICE", 200)
    monkeypatch.setattr(ot, "SOFT_SPOKEN", replace(ot.SOFT_SPOKEN, batch=256))
    use_sizes(monkeypatch, stock=700, batch=256)
    assert wrong(pair, 64, 1000) == 0


def test_batches_that_cut_numbers_apart_agree_with_others(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 50 ends within a number's chunks, in every layer of these widths."""
    monkeypatch.setattr(equality, "SLICE", 130)
    monkeypatch.setattr(ot, "SOFT_SPOKEN", replace(ot.SOFT_SPOKEN, batch=50, ahead=3))
    use_sizes(monkeypatch, stock=200, batch=50)
    for width in (64, 60, 45, 9):
        assert wrong(pair, width, 300) == 0


def received_before(protocol: Protocol[Any], correction: str, replies: Iterator[bytes]) -> list[int]:
    """How many messages of the peer a party has awaited before each correction that it sends."""
    awaited, found, answer = 0, [], None
    while True:
        try:
            event = protocol.send(answer)
        except StopIteration:
            return found
        answer = None
        if isinstance(event, Expect):
            answer, awaited = next(replies), awaited + 1
        elif isinstance(event, Send) and event.message.step == correction:
            found.append(awaited)


def test_corrections_pass_the_ends_of_layers_and_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two ahead, a correction goes as soon as all tables but the last are there, or those that it depends on."""
    monkeypatch.setattr(equality, "SLICE", 64)
    monkeypatch.setattr(ot, "SOFT_SPOKEN", replace(ot.SOFT_SPOKEN, batch=64, ahead=2))
    pair = ot_pair("ahead")
    numbers = np.arange(128, dtype=np.uint64)
    tables = (bytes(128) for _ in range(42))
    counts = received_before(equality.receiver(pair.receiver, numbers), "equality.correction", tables)
    last = 20  # the single batch of a slice's last layer: it takes all of the layer before
    assert counts == [number if number % 21 == last else max(0, number - 1) for number in range(42)]
    assert next(tables, None) is None


def test_a_silent_stock_is_begun_before_the_tables_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each correction needs the sums of its own batch of the silent VOLE, and of the stock before only the tables."""
    monkeypatch.setattr(lpn, "BATCH", lpn.SMALLEST)
    use_sizes(monkeypatch, stock=2 * lpn.SMALLEST, batch=lpn.SMALLEST)
    pair = silent_pair("ahead")
    numbers = np.arange(lpn.SMALLEST // 4, dtype=np.uint64)  # stocks of 2, 2 and 1 batches, and a small one
    shares = run(pair, numbers, numbers ^ np.uint64(1), 64)
    assert not (shares.first ^ shares.second).any()
    own = [step.rpartition(".")[2] for sender, step, _ in shares.frames if sender == 1]
    begun = ["positions", "values"]
    full = 2 * begun + 2 * ["correction"]
    assert own == 2 * full + begun + ["correction"] + begun + ["correction"]
    pair = silent_pair("ahead")
    peer = iter([frame[FRAME_HEADER_BYTES:] for sender, *_, frame in shares.frames if sender == 0])
    receiver = equality.receiver(pair.receiver, numbers ^ np.uint64(1))
    asked = received_before(receiver, "silent_vole.positions", peer)
    assert asked == [0, 0, 2, 2, 6, 9]


@pytest.mark.parametrize("ahead", [1, 4])
def test_all_of_a_stock_is_asked_for_and_there_before_what_is_sent_after_it(
    ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is ahead: a correction may not overtake what begins its stock, nor a stock's tables its sums."""
    monkeypatch.setattr(lpn, "BATCH", lpn.SMALLEST)
    monkeypatch.setattr(silent_vole, "AHEAD", ahead)
    use_sizes(monkeypatch, stock=3 * lpn.SMALLEST, batch=lpn.SMALLEST, ahead=1)
    pair = silent_pair("behind")
    numbers = np.arange(lpn.SMALLEST * 3 // 16, dtype=np.uint64)
    shares = run(pair, numbers, numbers, 64)
    assert (shares.first ^ shares.second).all()
    own = [step.rpartition(".")[2] for sender, step, _ in shares.frames if sender == 1]
    assert own[:9] == 3 * ["positions", "values"] + 3 * ["correction"]


@pytest.mark.slow
def test_more_than_a_slice_at_full_size(pair: Pair) -> None:
    """Five million transfers, in slices and batches of the size that runs use."""
    assert wrong(pair, 64, equality.SLICE + 1000) == 0


def test_no_numbers_send_nothing(pair: Pair) -> None:
    empty = np.empty(0, dtype=np.uint64)
    shares = run(pair, empty, empty, 64)
    assert shares.first.size == 0 and shares.frames == []


def test_layers_and_transfers() -> None:
    assert equality.layers(64) == [16, 4, 1] and equality.transfers(64) == 21
    assert equality.layers(61) == [16, 4, 1] and equality.layers(20) == [5, 2, 1] and equality.layers(3) == [1]
    for width in (0, 65):
        with pytest.raises(ValueError, match="1 to 64"):
            equality.layers(width)


def test_sizes_are_a_function_of_the_count_alone(make: Make) -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(0, 2**64, 700, dtype=np.uint64)
    same, other = run(make("sizes"), a, a, 64), run(make("sizes"), a, ~a, 64)
    assert same.lengths() == other.lengths()


def test_each_side_alone_is_balanced(pair: Pair) -> None:
    """5 standard deviations around one half, whether everything is equal or nothing is."""
    a = np.arange(4000, dtype=np.uint64)
    for b in (a, a + np.uint64(1)):
        shares = run(pair, a, b, 64)
        for share in (shares.first, shares.second):
            assert abs(int(share.sum()) - 2000) < 5 * 31.7


def test_mutation_complement_after_padding_breaks_narrow_widths(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver's pads become ones where the sender's are zeros, so nothing is equal; 64 bits have no pads."""
    monkeypatch.setattr(equality, "_next_choices", lambda bits: equality._chunks_of_bits(bits) ^ np.uint8(15))
    assert wrong(pair, 20) >= 300
    assert wrong(pair, 64) == 0


def test_mutation_without_the_complement_is_wrong(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equality of the shares themselves is not equality of the numbers."""
    monkeypatch.setattr(equality, "_next_choices", equality._chunks_of_bits)
    assert wrong(pair, 64) >= 300


def test_mutation_without_masks_shows_the_receiver_the_answer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With zero masks the receiver's own bits are the answers, layer by layer."""
    monkeypatch.setattr(ot.OtSender, "random_bits", lambda _, count: np.zeros(count, dtype=np.uint8))
    pair = make("unmasked")
    a = np.arange(4000, dtype=np.uint64)
    shares = run(pair, a, a, 4)
    assert shares.second.all()


def test_masks_are_fresh_in_every_run(make: Make) -> None:
    """The sender's shares of two equal runs over one set-up are unrelated: 5 standard deviations around one half."""
    pair = make("fresh")
    a = np.arange(4000, dtype=np.uint64)
    first, second = run(pair, a, a, 64), run(pair, a, a, 64)
    assert abs(int((first.first ^ second.first).sum()) - 2000) < 5 * 31.7
    assert {frame for *_, frame in first.frames}.isdisjoint(frame for *_, frame in second.frames)
