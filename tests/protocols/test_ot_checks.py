"""What holds a malicious receiver of transfers: each way to cheat is caught, but for a guess of the sender's secret.

The cheats are computed with the plain references; the kernels and the references agree bit for bit (`test_ot`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import ot
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import Run, Tamper, run_pair
from tests.protocols import slow_transfers
from tests.protocols.ot_pairs import SESSION, ot_pair
from tools.slow import transfers as plain

Bytes = NDArray[np.uint8]
TREES = 32
PAIR = ot_pair("cheats")
"""One set-up for all; its position does not move, because the batches here are made by hand."""
DELTA = PAIR.sender.delta.tolist()


def elements(seed: int, count: int, width: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 1 << width, count, dtype=np.uint8)


def columns(width: int, groups: int, leaves: Bytes = PAIR.receiver.leaves) -> list[tuple[Bytes, Bytes]]:
    """u_j and v_j of each tree."""
    found = []
    for tree in leaves.reshape(TREES, 16, 16):
        streams = [slow_transfers.elements(leaf.tobytes(), 0, width, groups) for leaf in tree]
        weighted = [slow_transfers.PRODUCTS[x][stream] for x, stream in enumerate(streams)]
        found.append((np.bitwise_xor.reduce(streams), np.bitwise_xor.reduce(weighted)))
    return found


def cheat(
    width: int,
    chosen: list[Bytes],
    told: Bytes,
    guesses: dict[int, int] | None = None,
    leaves: Bytes = PAIR.receiver.leaves,
) -> bytes:
    """The best message of a receiver with another vector of choices in each column, which claims `told`.

    Args:
        width: bits of a choice.
        chosen: 32 × (groups·128) choices, those of the masking group among them.
        told: the choices whose hash is sent.
        guesses: tree -> the value of Δ_j that the hash of V_j is made for; 0 if not given.
        leaves: the trees.
    """
    parts = columns(width, told.size // 128, leaves)
    correction = np.stack(
        [slow_transfers.planes(u ^ x, width) for (u, _), x in zip(parts, chosen, strict=True)], axis=1
    ).tobytes()
    key = plain.challenge(PAIR.receiver.setup, 0, width, correction)
    hashes = [slow_transfers.hashes(key, told, width)]
    for tree, ((_, v), x) in enumerate(zip(parts, chosen, strict=True)):
        guess = 0 if guesses is None else guesses.get(tree, 0)
        hashes.append(slow_transfers.hashes(key, v ^ slow_transfers.PRODUCTS[guess][x ^ told], 4))
    return correction + b"".join(part.tobytes() for part in hashes)


def passes(width: int, message: bytes) -> bool:
    sender = PAIR.sender
    try:
        _kernels.ot_extend_sender(sender.leaves, sender.delta, sender.setup, 0, width, message)
    except _kernels.CheckError:
        return False
    return True


def with_error(choices: Bytes, *, transfer: int, error: int) -> Bytes:
    changed = choices.copy()
    changed[transfer] ^= error
    return changed


@pytest.mark.parametrize("width", [1, 4])
def test_one_vector_of_choices_passes(width: int) -> None:
    choices = elements(1, 384, width)
    assert passes(width, cheat(width, [choices] * TREES, choices))


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("transfer", [0, 200, 383])
def test_another_choice_in_one_column_takes_a_guess_of_one_element(width: int, transfer: int) -> None:
    """Of the sixteen messages that differ in the guess exactly one passes: 2^-4, whatever else is done."""
    choices = elements(2, 384, width)
    chosen = [choices] * TREES
    chosen[5] = with_error(choices, transfer=transfer, error=1)
    passed = [guess for guess in range(16) if passes(width, cheat(width, chosen, choices, {5: guess}))]
    assert passed == [DELTA[5]]


def test_another_choice_in_two_columns_takes_a_guess_of_two_elements() -> None:
    choices = elements(3, 256, 4)
    chosen = [choices] * TREES
    chosen[0], chosen[31] = (with_error(choices, transfer=7, error=error) for error in (3, 9))
    right = {0: DELTA[0], 31: DELTA[31]}
    assert passes(4, cheat(4, chosen, choices, right))
    for tree in right:
        for other in range(1, 16):
            assert not passes(4, cheat(4, chosen, choices, right | {tree: DELTA[tree] ^ other}))


def test_two_choices_in_half_of_the_columns_each_take_a_guess_of_the_other_half() -> None:
    """The attack that would open two messages of one transfer for 64 bits of work each."""
    choices = elements(4, 256, 4)
    other = with_error(choices, transfer=0, error=1)
    chosen = [choices] * 16 + [other] * 16
    right = {tree: DELTA[tree] for tree in range(16, 32)}
    for told in (choices, other, with_error(choices, transfer=0, error=2)):
        assert not passes(4, cheat(4, chosen, told))
    assert passes(4, cheat(4, chosen, choices, right))
    for tree in right:
        assert not passes(4, cheat(4, chosen, choices, right | {tree: DELTA[tree] ^ 1}))


def test_other_trees_in_one_batch_are_caught() -> None:
    choices = elements(5, 256, 4)
    for tree in (0, 31):
        leaves = PAIR.receiver.leaves.copy()
        leaves.reshape(TREES, 16, 16)[tree] = ot_pair("other").receiver.leaves.reshape(TREES, 16, 16)[tree]
        assert not passes(4, cheat(4, [choices] * TREES, choices, leaves=leaves))


@pytest.mark.parametrize("width", [1, 4])
def test_any_flipped_bit_of_a_batch_is_the_peer_s_fault(width: int) -> None:
    """Of the correction, of both hashes; in the masking group as well."""
    pair = ot_pair("flips")
    received = pair.receiver.extend(elements(6, 200, width), choice_bits=width)
    size = len(received.correction)
    places = [*np.random.default_rng(7).integers(0, 8 * size, 60).tolist(), 0, 8 * size - 1, 8 * (size - 2048) - 1]
    for place in places:
        broken = bytearray(received.correction)
        broken[place // 8] ^= 1 << place % 8
        fresh = ot.OtSender(
            leaves=pair.sender.leaves,
            delta=pair.sender.delta,
            hash_key=pair.sender.hash_key,
            setup=pair.sender.setup,
            _masks=pair.sender._masks,
        )
        with pytest.raises(PeerError, match=r"batch from transfer 0 on: .* consistency check"):
            fresh.extend(bytes(broken), 200, choice_bits=width)


def test_a_batch_passes_in_its_own_place_only() -> None:
    """A correction that is sent again, in another batch, set-up or width, does not pass."""
    pair = ot_pair("places")
    first = pair.receiver.extend(np.zeros(100, dtype=np.uint8))
    pair.sender.extend(first.correction, 100)
    with pytest.raises(PeerError, match="batch from transfer 256 on"):
        pair.sender.extend(first.correction, 100)
    with pytest.raises(PeerError, match="consistency"):
        ot_pair("another place").sender.extend(first.correction, 100)


def solved(message: bytes, key: int) -> bytes:
    """Adds an error to column 3 of a 1-bit batch of three groups whose hash under a known key is zero."""
    error = [(1).to_bytes(16, "little"), key.to_bytes(16, "little")]  # key·1 + key, times one more power
    assert plain.fold(key, int.from_bytes(b"".join(error), "little"), 3) == bytes(16)
    changed = bytearray(message)
    for group, block in enumerate(error):
        at = (group * TREES + 3) * 16
        changed[at : at + 16] = bytes(a ^ b for a, b in zip(changed[at : at + 16], block, strict=True))
    return bytes(changed)


def test_the_challenge_comes_after_the_correction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knows the key beforehand has two choices in a column with no guess at all; who does not is caught."""
    choices = elements(8, 384, 1)
    message = cheat(1, [choices] * TREES, choices)
    sender, correction = PAIR.sender, message[: -(1 + 128) * 16]

    def referee(sent: bytes) -> Bytes:
        return slow_transfers.extend_sender(sender.leaves, sender.delta, sender.setup, 0, 1, sent)

    assert DELTA[3] != 0
    forged = solved(message, plain.challenge(sender.setup, 0, 1, correction))
    assert not passes(1, forged)
    with pytest.raises(ValueError, match="consistency"):
        referee(forged)

    monkeypatch.setattr(plain, "challenge", lambda *_: 12345)
    message = cheat(1, [choices] * TREES, choices)
    honest, cheated = referee(message), referee(solved(message, 12345))
    assert not np.array_equal(honest, cheated), "a key that is known beforehand lets the error through"


@pytest.mark.parametrize("part", ["setup", "first", "width", "correction"])
def test_the_challenge_depends_on_all_that_it_is_bound_to(part: str) -> None:
    one = {"setup": bytes(32), "first": 0, "width": 1, "correction": bytes(512)}
    other = {"setup": b"\1" * 32, "first": 1, "width": 4, "correction": bytes(511) + b"\1"}
    assert plain.challenge(**one) != plain.challenge(**(one | {part: other[part]}))  # type: ignore[arg-type]


def test_a_short_hash_lets_errors_through_as_often_as_its_bits_say() -> None:
    """Cut to s bits the hash of an error is zero once in 2^s keys; the whole hash never is."""
    error = int.from_bytes(bytes(15) + b"\x40\x07", "little")  # in three groups, the last of them zero
    keys = [plain.challenge(bytes(32), number, 1, b"") for number in range(2000)]
    hashes = [int.from_bytes(plain.fold(key, error, 3), "little") for key in keys]
    for bits in (2, 4, 6):
        expected = len(keys) / 2**bits
        zeros = sum(value % (1 << bits) == 0 for value in hashes)
        assert abs(zeros - expected) < 5 * expected**0.5
    assert all(hashes)


def messages_of(pair_label: str, width: int) -> Iterator[tuple[Bytes, bytes]]:
    """Batches of one receiver: choices and what its check says of them beyond the mask, which is the mask itself."""
    pair = ot_pair(pair_label)
    for number, count in enumerate((1, 128, 300)):
        choices = elements(number, count, width)
        block = pair.receiver._position.block
        message = pair.receiver.extend(choices, choice_bits=width).correction
        correction, check = message[: -(width + 128) * 16], message[-(width + 128) * 16 :]
        padded = np.zeros(-(-count // 128) * 128 + 128, dtype=np.uint8)
        padded[:count] = choices
        bare = slow_transfers.hashes(plain.challenge(pair.receiver.setup, block, width, correction), padded, width)
        yield bare, bytes(a ^ b for a, b in zip(check, bare.tobytes(), strict=False))


def check_hashes_are_padded(width: int) -> None:
    stream = Streams(seed=bytes([2]) * 32, session_id=SESSION)
    key = stream.key(step="ot", direction="receiver-masks", purpose="masks")
    pads = [pad for _, pad in messages_of("masks", width)]
    assert b"".join(pads) == keystream(key, 3 * 16 * width)
    assert len(set(pads)) == 3


@pytest.mark.parametrize("width", [1, 4])
def test_the_hash_of_the_choices_goes_under_fresh_random_bits(width: int) -> None:
    """A one-time pad: whatever the choices are, the sender sees uniform bits. No piece of the stream serves twice."""
    check_hashes_are_padded(width)


class Silent:
    """A stream of zeros."""

    def update(self, data: bytes) -> bytes:
        return data


class Repeating:
    """A stream that begins anew with each batch."""

    def update(self, data: bytes) -> bytes:
        return keystream(bytes(32), len(data))


@pytest.mark.parametrize("stream", [Silent, Repeating])
def test_mutation_without_a_fresh_mask_the_hash_speaks_of_the_choices(
    stream: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ot, "_masks", lambda *_: stream())
    with pytest.raises(AssertionError):
        check_hashes_are_padded(4)
    pads = [pad for _, pad in messages_of("masks", 4)]
    if stream is Silent:
        assert not any(map(any, pads)), "the sender reads sums over the choices"
    assert len(set(pads)) == 1, "two hashes under one mask show the sum of both"


@pytest.mark.parametrize("width", [1, 4])
def test_the_rest_of_the_check_follows_from_what_the_sender_has(width: int) -> None:
    """The simulator of the sender's view: uniform hash of the choices in, all of the check out."""
    pair = ot_pair("view")
    choices = elements(9, 250, width)
    message = pair.receiver.extend(choices, choice_bits=width).correction
    split = -(width + 128) * 16
    correction, told = message[:split], message[split:][: width * 16]
    key = plain.challenge(pair.sender.setup, 0, width, correction)
    received = np.frombuffer(correction, dtype=np.uint8).reshape(-1, TREES, width, 16)
    hashed = slow_transfers.unpacked(np.frombuffer(told, dtype=np.uint8).reshape(1, width, 16))
    simulated = told
    for tree, delta in enumerate(pair.sender.delta.tolist()):
        q = slow_transfers.PRODUCTS[delta][slow_transfers.unpacked(received[:, tree])]
        for y in range(1, 16):
            leaf = pair.sender.leaves.reshape(TREES, 16, 16)[tree, y].tobytes()
            q ^= slow_transfers.PRODUCTS[y][slow_transfers.elements(leaf, 0, width, len(received))]
        rows = (
            slow_transfers.unpacked(slow_transfers.hashes(key, q, 4).reshape(1, 4, 16))
            ^ slow_transfers.PRODUCTS[delta][hashed]
        )
        simulated += slow_transfers.planes(rows, 4).tobytes()
    assert simulated == message[split:]


def set_up(seed: int, tamper: Tamper | None = None) -> Run[ot.OtSender, ot.OtReceiver]:
    return run_pair(
        ot.sender_setup(streams=Streams(seed=bytes([seed]) * 32, session_id=SESSION), label="trees"),
        ot.receiver_setup(streams=Streams(seed=b"\xff" * 32, session_id=SESSION), label="trees"),
        tamper,
    )


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("side", [0, 1])
def test_a_wrong_sum_of_a_tree_takes_a_guess_of_one_bit(level: int, side: int) -> None:
    """It is caught exactly if the sender opens it, which the bit of Δ_j at that level says: 2^-1."""

    def tamper(party: int, frame: int, data: bytes) -> bytes:
        if (party, frame) != (1, 1):
            return data
        broken = bytearray(data)
        broken[FRAME_HEADER_BYTES + ((4 * 9 + level) * 2 + side) * 16 + 3] ^= 0x10
        return bytes(broken)

    caught = []
    for seed in range(12):
        opens = 1 - (int(set_up(seed).first.delta[9]) >> 3 - level & 1)
        try:
            set_up(seed, tamper)
        except PeerError as fault:
            assert "trees do not pass" in str(fault)
            caught.append(True)
        else:
            caught.append(False)
        assert caught[-1] == (opens == side)
    assert True in caught and False in caught


@pytest.mark.parametrize("place", [0, 500, 1023, 1024, 1055])
def test_a_wrong_digest_is_caught_whatever_the_secret_is(place: int) -> None:
    def tamper(party: int, frame: int, data: bytes) -> bytes:
        if (party, frame) != (1, 1):
            return data
        broken = bytearray(data)
        broken[FRAME_HEADER_BYTES + ot.SUM_BYTES + place] ^= 1
        return bytes(broken)

    for seed in range(4):
        with pytest.raises(PeerError, match=r"ot\.tree_sums: the trees do not pass"):
            set_up(seed, tamper)


@pytest.mark.parametrize("relation", ["the receiver's own elements", "one element for all", "exchanged elements"])
def test_related_base_elements_are_caught_by_the_trees(relation: str) -> None:
    """A base sender whose elements are valid but not its own knows no key, so its sums open to no tree."""
    sent: list[bytes] = []

    def tamper(party: int, frame: int, data: bytes) -> bytes:
        sent.append(data)
        if (party, frame) != (1, 0):
            return data
        head, own = data[:FRAME_HEADER_BYTES], data[FRAME_HEADER_BYTES:]
        theirs = sent[0][FRAME_HEADER_BYTES:]
        if relation == "one element for all":
            return head + own[:32] * 128
        if relation == "exchanged elements":
            return head + own[32:64] + own[:32] + own[64:]
        return head + b"".join(theirs[at : at + 32] for at in range(0, len(theirs), 64))

    with pytest.raises(PeerError, match="trees do not pass"):
        set_up(1, tamper)


def test_the_leaf_digests_equal_the_reference() -> None:
    binding = b"session and label"
    trees = [[leaf.tobytes() for leaf in tree] for tree in PAIR.receiver.leaves.reshape(TREES, 16, 16)]
    digests = ot._leaf_digests(binding, PAIR.receiver.leaves)
    expected = plain.leaf_digests(binding, trees)
    assert np.bitwise_xor.reduce(digests, axis=1).tobytes() == expected[0]
    assert ot._setup_digest(binding, digests) == expected[1]
    again = ot._recomputed_setup(binding, PAIR.sender.leaves, PAIR.sender.delta, expected[0])
    assert again == expected[1]


def test_products_of_128_bits_have_the_field_s_order() -> None:
    """x^128 = x^7 + x^2 + x + 1, and x^(2^128) = x."""
    assert plain.multiply_128(1 << 127, 2) == 0b10000111
    value = 2
    for _ in range(128):
        value = plain.multiply_128(value, value)
    assert value == 2
