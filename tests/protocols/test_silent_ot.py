"""Silent transfers over a dealer: the kernels against plain arithmetic, the transfers, and what must not repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import equality, ot, silent_ot, silent_vole
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import run_pair
from tests.protocols.ot_pairs import SESSION, OtPair, ot_pair, transfer
from tests.protocols.silent_pairs import (
    SilentPair,
    dealt,
    rows_of,
    silent_over,
    silent_pair,
    supplied,
    use_dealer,
    use_sizes,
)
from tests.protocols.slow_transfers import PRODUCTS

Bytes = NDArray[np.uint8]
NO_DELTA = np.zeros(32, dtype=np.uint8)


@pytest.fixture(autouse=True)
def dealer(monkeypatch: pytest.MonkeyPatch) -> None:
    use_dealer(monkeypatch)


@pytest.fixture(scope="module")
def base() -> OtPair:
    return ot_pair("silent")


@pytest.fixture
def pair(base: OtPair) -> SilentPair:
    """Fresh silent transfers over one set-up."""
    return silent_over(base, "silent")


def nibbles(seed: int, *shape: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 16, shape, dtype=np.uint8)


def prepare(pair: SilentPair, count: int) -> None:
    run_pair(pair.sender.prepare(count), supplied(pair.receiver, count))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 4096, 4097, 9001])
def test_the_kernels_equal_plain_arithmetic(count: int) -> None:
    random, choices, delta = nibbles(1, count), nibbles(2, count), nibbles(3, 32)
    difference = np.zeros(count + count % 2, dtype=np.uint8)
    difference[:count] = random ^ choices
    correction = _kernels.silent_ot_correct(random, choices)
    assert correction.tobytes() == (difference[0::2] + 16 * difference[1::2]).tobytes()
    elements = nibbles(4, count, 32)
    shifted = _kernels.silent_ot_shift(rows_of(elements), delta, correction.tobytes())
    assert np.array_equal(shifted, rows_of(elements ^ PRODUCTS[difference[:count, None], delta[None, :]]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: _kernels.silent_ot_correct(nibbles(0, 3), nibbles(0, 2)),
        lambda: _kernels.silent_ot_correct(np.full(1, 16, dtype=np.uint8), nibbles(0, 1)),
        lambda: _kernels.silent_ot_correct(nibbles(0, 1), np.full(1, 16, dtype=np.uint8)),
        lambda: _kernels.silent_ot_correct(nibbles(0, 4)[::2], nibbles(0, 2)),
        lambda: _kernels.silent_ot_shift(np.zeros(15, dtype=np.uint8), NO_DELTA, b"\0"),
        lambda: _kernels.silent_ot_shift(np.zeros(48, dtype=np.uint8), NO_DELTA, b"\0"),
        lambda: _kernels.silent_ot_shift(np.zeros(32, dtype=np.uint8), NO_DELTA, b"\0\0"),
        lambda: _kernels.silent_ot_shift(np.zeros(16, dtype=np.uint8), NO_DELTA[:31], b"\0"),
        lambda: _kernels.silent_ot_shift(np.zeros(16, dtype=np.uint8), np.full(32, 16, dtype=np.uint8), b"\0"),
        lambda: _kernels.silent_ot_shift(np.zeros(16, dtype=np.uint8), NO_DELTA, b"\x10"),
        lambda: _kernels.silent_ot_shift(np.zeros(64, dtype=np.uint8)[::2], NO_DELTA, b"\0"),
    ],
)
def test_kernels_refuse_malformed_arguments(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()


def test_keys_agree_at_the_choice_and_only_there(pair: SilentPair) -> None:
    prepare(pair, 301)
    choices = nibbles(5, 301)
    received = pair.receiver.extend(choices)
    sent = pair.sender.extend(received.correction, 301)
    assert len(received.correction) == 151
    keys = received.keys(3)
    for choice in range(16):
        agree = (sent.keys(choice, 3) == keys).all(axis=1)
        assert np.array_equal(agree, choices == choice)


@pytest.mark.parametrize(("stock", "batch"), [(1 << 20, 1 << 18), (700, 256), (256, 256), (333, 100), (1000, 1)])
@pytest.mark.parametrize("bits", [1, 7])
def test_chosen_messages_arrive_across_stocks_and_batches(
    pair: SilentPair, bits: int, stock: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_sizes(monkeypatch, stock=stock, batch=batch)
    tables = np.random.default_rng(6).integers(0, 1 << 16, (1000, bits), dtype=np.uint16)
    for seed in (7, 8):
        choices = nibbles(seed, 1000)
        assert np.array_equal(
            transfer(pair.sender, pair.receiver, tables, choices).second, tables >> choices[:, None] & 1
        )


@pytest.mark.parametrize(
    ("ahead", "expected", "begun"),
    [
        (1, "c0 t0 c1 t1 c2 t2 c3 t3 c4 t4 c5 t5", 6),
        (2, "c0 c1 t0 c2 t1 t2 c3 c4 t3 c5 t4 t5", 5),
        (4, "c0 c1 c2 t0 t1 t2 c3 c4 c5 t3 t4 t5", 3),
    ],
)
def test_corrections_go_ahead_within_a_stock_only(
    ahead: int, expected: str, begun: int, pair: SilentPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stocks of three batches; the receiver begins the second one before the tables of the first have arrived."""
    use_sizes(monkeypatch, stock=30, batch=10, ahead=ahead)
    prepared: list[tuple[str, int]] = []
    for name, side in (("s", silent_ot.SilentSender), ("r", silent_ot.SilentReceiver)):
        real = side.prepare

        def noted(self: Any, count: int, name: str = name, real: Callable[..., Any] = real) -> Any:
            prepared.append((name, len(order)))
            return (yield from real(self, count))

        monkeypatch.setattr(side, "prepare", noted)
    order: list[str] = []

    def watch(party: int, frame: int, data: bytes) -> bytes:
        order.append(f"{'tc'[party]}{frame}")
        return data

    transfer(pair.sender, pair.receiver, np.zeros((60, 1), dtype=np.uint16), nibbles(9, 60), watch)
    assert order == expected.split()
    assert sorted(prepared) == [("r", 0), ("r", begun), ("s", 0), ("s", 6)]


def test_transfers_that_are_not_made_yet_are_not_taken() -> None:
    """Their choices would be whatever memory held, and a correction under them would show what it corrects."""
    pair = silent_pair("unmade")
    run_pair(pair.sender.prepare(0), pair.receiver.prepare(0))
    for _ in pair.receiver.prepare(5000):
        pass
    with pytest.raises(ValueError, match="more transfers than are prepared"):
        pair.receiver.extend(nibbles(1, 1))


def test_a_stock_is_used_up_before_the_next_and_never_passed(pair: SilentPair) -> None:
    for side in (pair.sender, pair.receiver):
        with pytest.raises(ValueError, match="more transfers than are prepared"):
            side._stock.take(1)
    prepare(pair, 10)
    pair.receiver.extend(nibbles(1, 4))
    with pytest.raises(ValueError, match="not used up"):
        next(pair.receiver.prepare(5))
    with pytest.raises(ValueError, match="not used up"):
        next(pair.sender.prepare(5))
    with pytest.raises(ValueError, match="more transfers"):
        pair.receiver.extend(nibbles(1, 7))
    with pytest.raises(ValueError, match="more transfers"):
        pair.sender.extend(bytes(6), 11)
    pair.receiver.extend(nibbles(1, 6))
    assert pair.receiver._stock.rows.base is None, "an empty view would hold the stock in memory"


def check_each_random_choice_serves_once(pair: SilentPair) -> None:
    """Corrections of zero choices are the bare random choices: those of all stocks, one after the other."""
    seen = b""
    for number, count in enumerate((64, 2, 130)):
        prepare(pair, count)
        for size in (count // 2, count - count // 2):
            correction = pair.receiver.extend(np.zeros(size, dtype=np.uint8)).correction
            pair.sender.extend(correction, size)
            packed = np.frombuffer(correction, dtype=np.uint8)
            seen += np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:size].tobytes()
        expected = dealt("silent", number, count)[0]
        assert seen.endswith(expected.tobytes())
    assert len(seen) == 196


def test_each_random_choice_serves_once(pair: SilentPair) -> None:
    check_each_random_choice_serves_once(pair)


def test_mutation_using_a_random_choice_twice_shows_sums_of_choices(
    pair: SilentPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = silent_ot._Stock.take

    def again(self: silent_ot._Stock, count: int) -> tuple[int, Bytes, Bytes]:
        held = self.choices
        first, _, rows = real(self, count)
        return first, held[:1].repeat(count), rows

    monkeypatch.setattr(silent_ot._Stock, "take", again)
    with pytest.raises(AssertionError):
        check_each_random_choice_serves_once(pair)


def check_no_number_serves_twice(pair: SilentPair) -> None:
    numbers: set[int] = set()
    for count, parts in ((5, (5,)), (300, (100, 200)), (1, (1,)), (128, (64, 64))):
        prepare(pair, count)
        for part in parts:
            received = pair.receiver.extend(np.zeros(part, dtype=np.uint8))
            sent = pair.sender.extend(received.correction, part)
            assert sent.first == received.first
            fresh = set(range(sent.first, sent.first + part))
            assert not fresh & numbers
            numbers |= fresh


def test_no_tweak_number_serves_twice(pair: SilentPair) -> None:
    check_no_number_serves_twice(pair)


def test_mutation_numbers_that_begin_anew_with_a_stock_repeat_tweaks(
    pair: SilentPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = silent_ot._Stock.fill

    def anew(self: silent_ot._Stock, *args: Any) -> None:
        fill(self, *args)
        self.transfer = 0

    monkeypatch.setattr(silent_ot._Stock, "fill", anew)
    with pytest.raises(AssertionError):
        check_no_number_serves_twice(pair)


def check_hash_keys_differ(base: OtPair, pair: SilentPair) -> None:
    """Both sources number from zero under one Δ: only the key of the hash keeps them apart."""
    assert pair.sender.hash_key == pair.receiver.hash_key
    assert pair.sender.hash_key != base.sender.hash_key
    others = (silent_pair("other"), silent_pair("silent", session=bytes(32)))
    assert len({pair.sender.hash_key, *(other.sender.hash_key for other in others)}) == 3


def test_the_hash_has_a_key_of_its_own(base: OtPair, pair: SilentPair) -> None:
    check_hash_keys_differ(base, pair)


def test_mutation_sharing_the_hash_key_is_seen(base: OtPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silent_ot, "_hash_key", ot.hash_key)
    with pytest.raises(AssertionError):
        check_hash_keys_differ(base, silent_over(base, "silent"))


def test_each_stock_has_a_number_of_its_own(pair: SilentPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The silent VOLE opens streams by it, which a label opens once."""
    asked: list[tuple[str, int, int]] = []
    real = silent_vole.extend_receiver

    def noted(base: Any, *, label: str, batch: int, count: int, **rest: Any) -> Any:
        asked.append((label, batch, count))
        return (yield from real(base, label=label, batch=batch, count=count, **rest))

    monkeypatch.setattr(silent_vole, "extend_receiver", noted)
    use_sizes(monkeypatch, stock=100, batch=50)
    numbers = np.arange(20, dtype=np.uint64)
    run_pair(equality.sender(pair.sender, numbers), equality.receiver(pair.receiver, numbers))
    assert asked == [("silent", place, count) for place, count in enumerate((100, 100, 100, 20, 80, 20))]


def uniform(data: Bytes, cells: int) -> bool:
    """Chi-square of values below `cells`, 6 standard deviations."""
    counts = np.bincount(data, minlength=cells)
    expected = data.size / cells
    return bool(((counts - expected) ** 2 / expected).sum() < cells - 1 + 6 * (2 * (cells - 1)) ** 0.5)


def corrections(pair: SilentPair, choices: Bytes) -> Bytes:
    prepare(pair, choices.size)
    return np.frombuffer(pair.receiver.extend(choices).correction, dtype=np.uint8)


@pytest.mark.parametrize("value", [0, 7, 15])
def test_corrections_of_any_choices_look_random(pair: SilentPair, value: int) -> None:
    """The sender sees uniform bytes: each nibble alone, in pairs, and against the one after it."""
    packed = corrections(pair, np.full(60_000, value, dtype=np.uint8))
    assert uniform(packed, 256)
    assert uniform((packed[:-1] >> 4) | (packed[1:] & 15) << 4, 256)


def test_mutation_corrections_without_random_choices_are_the_choices(
    pair: SilentPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kernels, "silent_ot_correct", lambda random, choices: choices[0::2] | choices[1::2] << 4)
    assert not uniform(corrections(pair, np.full(60_000, 7, dtype=np.uint8)), 256)


def test_masked_tables_look_random(pair: SilentPair) -> None:
    """All-zero tables: each of 16 × 4000 masked bits is a pad; 5 standard deviations around one half."""
    masked = pair_masks(pair)
    assert abs(int(np.unpackbits(masked.view(np.uint8)).sum()) - 32_000) < 5 * 126.5
    assert np.unique(masked).size > 3500


def pair_masks(pair: SilentPair) -> NDArray[np.uint16]:
    prepare(pair, 4000)
    received = pair.receiver.extend(np.zeros(4000, dtype=np.uint8))
    return pair.sender.extend(received.correction, 4000).mask_tables(np.zeros((4000, 1), dtype=np.uint16))


def test_secrets_stay_out_of_repr(pair: SilentPair) -> None:
    prepare(pair, 3)
    received = pair.receiver.extend(np.zeros(2, dtype=np.uint8))
    sent = pair.sender.extend(received.correction, 2)
    for thing in (pair.sender, pair.receiver, pair.sender._stock, pair.receiver._stock, received, sent):
        assert "array" not in repr(thing) and "correction" not in repr(thing)


def test_a_correction_of_another_length_is_refused(pair: SilentPair) -> None:
    prepare(pair, 9)
    for size in (0, 4, 6):
        with pytest.raises(ValueError, match="length"):
            pair.sender.extend(bytes(size), 9)


@pytest.mark.parametrize("high", [1, 8, 15])
def test_a_last_half_byte_that_says_something_is_the_peer_s_fault(pair: SilentPair, high: int) -> None:
    def tamper(party: int, frame: int, data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] | high << 4]) if party == 1 else data

    with pytest.raises(PeerError, match="last half byte"):
        transfer(pair.sender, pair.receiver, np.zeros((9, 1), dtype=np.uint16), nibbles(1, 9), tamper)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(place=st.integers(0, 31), value=st.integers(0, 255), cut=st.booleans())
def test_any_other_correction_is_another_choice_and_nothing_else(
    base: OtPair, place: int, value: int, cut: bool
) -> None:
    """Changed nibbles move the choices of their transfers, all others stay; a cut frame is the peer's fault."""
    with pytest.MonkeyPatch.context() as patch:
        use_dealer(patch)
        pair = silent_over(base, "silent")
        tables = np.random.default_rng(7).integers(0, 1 << 16, (64, 1), dtype=np.uint16)
        choices = nibbles(8, 64)

        def tamper(party: int, frame: int, data: bytes) -> bytes:
            if party == 0:
                return data
            changed = bytearray(data)
            changed[FRAME_HEADER_BYTES + place] ^= value
            return bytes(changed[:-1] if cut else changed)

        if cut:
            with pytest.raises(PeerError):
                transfer(pair.sender, pair.receiver, tables, choices, tamper)
            return
        # the receiver's keys are those of its own choices, which the sender now takes for choice + change
        moved = np.zeros(64, dtype=np.uint8)
        moved[2 * place], moved[2 * place + 1] = value & 15, value >> 4
        received = transfer(pair.sender, pair.receiver, tables, choices, tamper).second
        same = moved == 0
        assert np.array_equal(received[same], (tables >> choices[:, None] & 1)[same])


def test_streams_and_labels_open_nothing_of_their_own() -> None:
    """Making both ends draws nothing, so that they may be made whether or not they are used."""
    pair = ot_pair("bare")
    streams = Streams(seed=bytes(32), session_id=SESSION)
    silent_ot.sender(pair.sender, streams=streams, label="bare")
    silent_ot.receiver(pair.receiver, streams=streams, label="bare")
    assert repr(streams) == "Streams(opened=0)"
