"""Transfer extension: kernels against the plain reference, the transfers themselves, and what must not repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import ot
from cleanroom.protocols.seeds import Streams
from cleanroom.vectors import check_file
from tests.harness import run_pair
from tests.protocols import slow_transfers
from tests.protocols.ot_pairs import SESSION, OtPair, ot_pair, transfer
from tools.slow import transfers as plain

KEY = bytes(range(16))
SETUP = bytes(range(32, 64))
NO_LEAVES = np.zeros(8192, dtype=np.uint8)
NO_DELTA = np.zeros(32, dtype=np.uint8)
ONE = np.zeros(1, dtype=np.uint8)


@pytest.fixture(scope="module")
def pair() -> OtPair:
    return ot_pair("ot")


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_reference_cipher_is_aes_128() -> None:
    assert check_file("aes/fips-197/aes-128.json").vectors == 4


def test_reference_field_has_order_16() -> None:
    assert plain.multiply(0b1000, 0b0010) == 0b0011
    for value in range(1, 16):
        assert sorted(plain.multiply(value, other) for other in range(16)) == list(range(16))
        assert plain.multiply(value, 1) == value


def test_trees_equal_the_reference() -> None:
    roots = generator(1).integers(0, 256, 3 * 16, dtype=np.uint8)
    sums, leaves = (array.reshape(3, -1, 16) for array in _kernels.ggm_expand(roots))
    for tree in range(3):
        expected = plain.ggm(roots[16 * tree : 16 * tree + 16].tobytes())
        assert [row.tobytes() for row in sums[tree]] == [side for level in expected[0] for side in level]
        assert [row.tobytes() for row in leaves[tree]] == expected[1]


@pytest.mark.parametrize("delta", range(16))
def test_punctured_tree_equals_the_reference_and_lacks_one_leaf(delta: int) -> None:
    sums, leaves = plain.ggm(KEY)
    bits = [delta >> bit & 1 for bit in (3, 2, 1, 0)]
    away = [sums[level][1 - bit] for level, bit in enumerate(bits)]
    rebuilt = _kernels.ggm_reconstruct(np.array(bits, dtype=np.uint8), np.frombuffer(b"".join(away), dtype=np.uint8))
    rows = [row.tobytes() for row in rebuilt.reshape(16, 16)]
    assert rows == [bytes(16)] + [leaves[y ^ delta] for y in range(1, 16)]


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("count", [1, 127, 128, 129, 1024, 1500])
def test_extension_equals_the_reference(pair: OtPair, width: int, count: int) -> None:
    choices = generator(count).integers(0, 1 << width, count, dtype=np.uint8)
    mask = generator(12).bytes(16 * width)
    correction, rows = _kernels.ot_extend_receiver(pair.receiver.leaves, SETUP, 77, width, choices, mask)
    expected, expected_rows = slow_transfers.extend_receiver(pair.receiver.leaves, SETUP, 77, width, choices, mask)
    assert correction.tobytes() == expected
    assert len(expected) == ot.correction_bytes(count, width)
    assert np.array_equal(rows.reshape(-1, 16), expected_rows)
    other = _kernels.ot_extend_sender(pair.sender.leaves, pair.sender.delta, SETUP, 77, width, expected)
    slow_other = slow_transfers.extend_sender(pair.sender.leaves, pair.sender.delta, SETUP, 77, width, expected)
    assert np.array_equal(other.reshape(-1, 16), slow_other)


def test_hash_equals_the_reference() -> None:
    rows = generator(4).integers(0, 256, (150, 16), dtype=np.uint8)
    choices = generator(5).integers(0, 16, 150, dtype=np.uint8)
    keys = _kernels.ot_hash(rows.reshape(-1), KEY, 2**40 + 9, choices, 5).reshape(150, 5)
    numbers = [int.from_bytes(row.tobytes(), "little") for row in rows]
    expected = plain.tmmo(KEY, 2**40 + 9, numbers, choices.tolist(), 3)
    for number in range(150):
        assert keys[number].astype("<u8").tobytes() == expected[number][:40]


@pytest.mark.parametrize("bits", [1, 2, 7])
def test_masks_equal_the_reference(bits: int) -> None:
    rows = generator(6).integers(0, 256, (70, 16), dtype=np.uint8)
    delta = generator(7).integers(0, 16, 32, dtype=np.uint8)
    tables = generator(8).integers(0, 1 << 16, (70, bits), dtype=np.uint16)
    masked = _kernels.ot_mask_tables(rows.reshape(-1), delta, KEY, 3, bits, tables.reshape(-1)).reshape(70, bits)
    assert np.array_equal(masked, slow_transfers.mask_tables(rows, delta, KEY, 3, tables))


@pytest.mark.parametrize("width", [1, 4])
def test_keys_agree_at_the_choice_and_only_there(pair: OtPair, width: int) -> None:
    choices = generator(9).integers(0, 1 << width, 300, dtype=np.uint8)
    received = pair.receiver.extend(choices, choice_bits=width)
    sent = pair.sender.extend(received.correction, 300, choice_bits=width)
    keys = received.keys(3)
    for choice in range(1 << width):
        agree = (sent.keys(choice, 3) == keys).all(axis=1)
        assert np.array_equal(agree, choices == choice)


@pytest.mark.parametrize("bits", [1, 2, 32])
def test_chosen_messages_arrive(pair: OtPair, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ot, "SOFT_SPOKEN", replace(ot.SOFT_SPOKEN, batch=256))
    tables = generator(10).integers(0, 1 << 16, (1000, bits), dtype=np.uint16)
    choices = generator(11).integers(0, 16, 1000, dtype=np.uint8)
    assert np.array_equal(transfer(pair.sender, pair.receiver, tables, choices).second, tables >> choices[:, None] & 1)


def test_setup_binds_session_and_label() -> None:
    """Equal seeds under another session or label give unrelated keys."""
    base = ot_pair("one")
    for other in (ot_pair("two"), ot_pair("one", session=bytes(32))):
        assert other.receiver.hash_key != base.receiver.hash_key
        assert not np.array_equal(other.receiver.leaves, base.receiver.leaves)
        assert not np.array_equal(other.sender.delta, base.sender.delta)
    assert base.sender.hash_key == base.receiver.hash_key


def test_a_label_is_set_up_once_in_a_session() -> None:
    streams = Streams(seed=bytes(32), session_id=SESSION)
    next(ot.sender_setup(streams=streams, label="x"))
    with pytest.raises(AssertionError, match="opened twice"):
        next(ot.sender_setup(streams=streams, label="x"))


def test_secrets_stay_out_of_repr(pair: OtPair) -> None:
    received = pair.receiver.extend(np.zeros(1, dtype=np.uint8))
    sent = pair.sender.extend(received.correction, 1)
    for thing in (pair.sender, pair.receiver, received, sent):
        assert "array" not in repr(thing) and "correction" not in repr(thing) and "_masks" not in repr(thing)


def test_tampered_elements_fail_as_the_peer_s_fault() -> None:
    def tamper(party: int, frame: int, data: bytes) -> bytes:
        return data[:-32] + b"\xff" * 32 if frame == 0 else data

    streams = [Streams(seed=bytes([i]) * 32, session_id=SESSION) for i in (1, 2)]
    with pytest.raises(PeerError, match="canonical"):
        run_pair(
            ot.sender_setup(streams=streams[0], label="x"), ot.receiver_setup(streams=streams[1], label="x"), tamper
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda: _kernels.ggm_expand(np.zeros(17, dtype=np.uint8)),
        lambda: _kernels.ggm_reconstruct(np.zeros(4, dtype=np.uint8), np.zeros(63, dtype=np.uint8)),
        lambda: _kernels.ggm_reconstruct(np.full(4, 2, dtype=np.uint8), np.zeros(64, dtype=np.uint8)),
        lambda: _kernels.ot_extend_receiver(np.zeros(8191, dtype=np.uint8), SETUP, 0, 4, ONE, bytes(64)),
        lambda: _kernels.ot_extend_receiver(NO_LEAVES, SETUP, 0, 3, ONE, bytes(48)),
        lambda: _kernels.ot_extend_receiver(NO_LEAVES, SETUP, 0, 1, np.full(1, 2, dtype=np.uint8), bytes(16)),
        lambda: _kernels.ot_extend_receiver(NO_LEAVES, SETUP[:31], 0, 4, ONE, bytes(64)),
        lambda: _kernels.ot_extend_receiver(NO_LEAVES, SETUP, 0, 4, ONE, bytes(63)),
        lambda: _kernels.ot_extend_sender(NO_LEAVES, NO_DELTA, SETUP, 0, 4, bytes(2 * 2048 + 2112 - 1)),
        lambda: _kernels.ot_extend_sender(NO_LEAVES, NO_DELTA, SETUP, 0, 4, bytes(2112)),
        lambda: _kernels.ot_extend_sender(NO_LEAVES, NO_DELTA, SETUP, 0, 4, b""),
        lambda: _kernels.ot_extend_sender(NO_LEAVES, NO_DELTA, SETUP[:31], 0, 4, bytes(2048 + 2112)),
        lambda: _kernels.ot_extend_sender(NO_LEAVES, np.full(32, 16, dtype=np.uint8), SETUP, 0, 4, bytes(2048 + 2112)),
        lambda: _kernels.ot_mask_tables(
            np.zeros(16, dtype=np.uint8), np.zeros(32, dtype=np.uint8), KEY, 0, 1, np.zeros(2, dtype=np.uint16)
        ),
        lambda: _kernels.ot_mask_tables(
            np.zeros(16, dtype=np.uint8), np.zeros(32, dtype=np.uint8), KEY, 0, 0, np.zeros(1, dtype=np.uint16)
        ),
        lambda: _kernels.ot_hash(np.zeros(16, dtype=np.uint8), KEY[:15], 0, np.zeros(1, dtype=np.uint8), 1),
        lambda: _kernels.ot_hash(np.zeros(16, dtype=np.uint8), KEY, 0, np.zeros(2, dtype=np.uint8), 1),
        lambda: _kernels.ot_hash(np.zeros(16, dtype=np.uint8), KEY, 0, np.zeros(1, dtype=np.uint8), 0),
        lambda: _kernels.ot_hash(np.zeros(32, dtype=np.uint8)[::2], KEY, 0, np.zeros(1, dtype=np.uint8), 1),
    ],
)
def test_kernels_refuse_malformed_arguments(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()


def test_a_correction_of_another_length_is_refused(pair: OtPair) -> None:
    with pytest.raises(ValueError, match="length"):
        pair.sender.extend(bytes(ot.correction_bytes(129, 4)), 128)


def check_batches_are_disjoint(pair: OtPair) -> None:
    """No transfer number and no stream block serves two batches, of whatever widths and sizes."""
    numbers: set[int] = set()
    streams: set[bytes] = set()
    for count, width in ((5, 4), (300, 1), (128, 4), (129, 1), (1, 4)):
        received = pair.receiver.extend(np.zeros(count, dtype=np.uint8), choice_bits=width)
        sent = pair.sender.extend(received.correction, count, choice_bits=width)
        assert sent.first == received.first
        fresh = set(range(sent.first, sent.first + (-(-count // 128) + 1) * 128))  # the group that masks the check too
        assert not fresh & numbers
        numbers |= fresh
        # choices are zero, so all of the correction but its last group is the bare sum of the streams: equal blocks
        # are a repeated pad
        bare = received.correction[: -(-count // 128) * 512 * width]
        blocks = [bare[at : at + 16] for at in range(0, len(bare), 16)]
        assert len(set(blocks)) == len(blocks) and not set(blocks) & streams
        streams |= set(blocks)


def test_no_number_and_no_stream_block_is_used_twice() -> None:
    check_batches_are_disjoint(ot_pair("disjoint"))


@pytest.mark.parametrize("field", ["block", "transfer"])
def test_mutation_standing_still_repeats_pads_or_tweaks(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = ot._Position.advance

    def stuck(position: ot._Position, count: int, choice_bits: int) -> tuple[int, int]:
        start = advance(position, count, choice_bits)
        setattr(position, field, 0)
        return start

    monkeypatch.setattr(ot._Position, "advance", stuck)
    with pytest.raises(AssertionError):
        check_batches_are_disjoint(ot_pair("disjoint"))


def check_tweak_matters(digest: Callable[..., object]) -> None:
    """One row has another key under every number, choice and output block."""
    keys = [digest(index=i, choice=c, part=p) for i in (0, 1, 2**33) for c in (0, 1, 15) for p in (0, 1)]
    assert len(set(keys)) == 18


def kernel_digest(*, index: int, choice: int, part: int) -> bytes:
    keys = _kernels.ot_hash(np.frombuffer(KEY, dtype=np.uint8), KEY, index, np.array([choice], dtype=np.uint8), 4)
    return keys[2 * part : 2 * part + 2].tobytes()


def test_the_tweak_holds_number_choice_and_block() -> None:
    check_tweak_matters(kernel_digest)


@pytest.mark.parametrize("dropped", ["index", "choice", "part"])
def test_mutation_dropping_a_field_of_the_tweak_repeats_keys(dropped: str) -> None:
    with pytest.raises(AssertionError):
        check_tweak_matters(lambda **tweak: kernel_digest(**{**tweak, dropped: 0}))


def test_masked_tables_look_random(pair: OtPair) -> None:
    """All-zero tables: each of 16 × 4000 masked bits is a pad; 5 standard deviations around one half."""
    received = pair.receiver.extend(np.zeros(4000, dtype=np.uint8))
    masked = pair.sender.extend(received.correction, 4000).mask_tables(np.zeros((4000, 1), dtype=np.uint16))
    ones = np.unpackbits(masked.view(np.uint8)).sum()
    assert abs(int(ones) - 32_000) < 5 * 126.5
    assert np.unique(masked).size > 3500


def test_corrections_of_any_choices_look_random(pair: OtPair) -> None:
    for choices in (np.zeros(2048, dtype=np.uint8), np.full(2048, 15, dtype=np.uint8)):
        correction = np.frombuffer(pair.receiver.extend(choices).correction, dtype=np.uint8)
        assert abs(int(np.unpackbits(correction).sum()) - correction.size * 4) < 5 * (correction.size * 2) ** 0.5


@settings(derandomize=True, max_examples=60, deadline=None)
@given(party=st.integers(0, 1), frame=st.integers(0, 1), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_set_up_is_refused_or_changes_nothing(
    party: int, frame: int, place: float, bit: int
) -> None:
    """A flip is the peer's fault; only in a sum that is not opened it goes unseen, and leaves what it should."""
    flipped = False

    def tamper(sender: int, number: int, data: bytes) -> bytes:
        nonlocal flipped
        if (sender, number) != (party, frame):
            return data
        flipped = True
        changed = bytearray(data)
        changed[int(place * len(data))] ^= 1 << bit
        return bytes(changed)

    streams = [Streams(seed=bytes([i]) * 32, session_id=SESSION) for i in (1, 2)]
    try:
        run = run_pair(
            ot.sender_setup(streams=streams[0], label="x"), ot.receiver_setup(streams=streams[1], label="x"), tamper
        )
    except PeerError:
        return
    known = plain_leaves(run.first.delta, run.second.leaves)
    assert np.array_equal(run.first.leaves.reshape(32, 16, 16), known)
    # a sum that the sender does not open may be changed unseen and unfelt
    assert not flipped or (party, frame) == (1, 1)


def plain_leaves(delta: ot.Bytes, leaves: ot.Bytes) -> ot.Bytes:
    """What the sender's leaves must be: leaf y ⊕ Δ at position y, zeros at 0."""
    expected = np.zeros((32, 16, 16), dtype=np.uint8)
    for tree, element in enumerate(delta.tolist()):
        for y in range(1, 16):
            expected[tree, y] = leaves.reshape(32, 16, 16)[tree, y ^ element]
    return expected
