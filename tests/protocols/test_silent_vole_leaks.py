"""What each side of the silent VOLE sees, and mutants that open each leak that it closes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom.errors import PeerError
from cleanroom.protocols import silent_vole
from cleanroom.protocols.lpn import F16, SMALLEST, Size
from cleanroom.protocols.ot import SenderBatch
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import Run, Tamper, run_pair
from tests.protocols.ot_pairs import SESSION, OtPair, ot_pair
from tests.protocols.silent_pairs import extended
from tests.protocols.test_silent_vole import offsets

SIZE = Size(field=F16, outputs=SMALLEST)
TURNS = SIZE.blocks * SIZE.depth

Octets = NDArray[np.uint8]


def rows(pair: OtPair, *, seed: int = 3, length: int = SMALLEST, tamper: Tamper | None = None) -> Run[Any, Any]:
    """Receiver first."""
    one, other = (Streams(seed=bytes([value]) * 32, session_id=SESSION) for value in (seed, seed + 1))
    return run_pair(
        extended(pair.receiver, streams=one, label="x", batch=0, count=length),
        silent_vole.extend_sender(pair.sender, streams=other, label="x", batch=0, count=length),
        tamper,
    )


def payload(run: Run[Any, Any], step: str) -> bytes:
    return next(frame for _, name, frame in run.frames if name == step)[FRAME_HEADER_BYTES:]


def sums_of(run: Run[Any, Any]) -> Octets:
    """The sums that the sender sent: turn × side × 16 bytes."""
    sent = np.frombuffer(payload(run, "silent_vole.sums"), dtype=np.uint8)
    return sent[: 2 * TURNS * 16].reshape(TURNS, 2, 16)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the receiver asked with, and what the trees' sums were before they were masked."""
    found: dict[str, Any] = {}
    ask, expand = silent_vole._ask, silent_vole._kernels.pprf_expand

    def spy(*arguments: Any) -> Any:
        found["asked"] = yield from ask(*arguments)
        return found["asked"]

    def grown(*arguments: Any) -> Any:
        sums, leaves = expand(*arguments)
        found["sums"] = sums.reshape(TURNS, 2, 16).copy()
        return sums, leaves

    monkeypatch.setattr(silent_vole, "_ask", spy)
    monkeypatch.setattr(silent_vole._kernels, "pprf_expand", grown)
    return found


def check_one_sum_a_level(seen: dict[str, Any]) -> None:
    """The receiver's pads open the sum that leads away from its position, at every level, and never the other one."""
    opened = sums_of(rows(ot_pair("leaks"))) ^ seen["asked"].pads[:, None]
    matches = (opened == seen["sums"]).all(axis=2)
    away = seen["asked"].bits ^ 1
    assert matches[np.arange(TURNS), away].all()
    assert not matches[np.arange(TURNS), 1 - away].any()


def test_the_receiver_gets_one_sum_a_level(seen: dict[str, Any]) -> None:
    check_one_sum_a_level(seen)


def test_mutation_one_pad_for_both_sums_gives_the_tree_away(
    seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = SenderBatch.keys

    def same(batch: SenderBatch, choice: int, words: int) -> Any:
        return keys(batch, 0, words) if words == 2 else keys(batch, choice, words)

    monkeypatch.setattr(SenderBatch, "keys", same)
    with pytest.raises(AssertionError):
        check_one_sum_a_level(seen)


def check_sums_are_masked(seen: dict[str, Any]) -> None:
    sent = sums_of(rows(ot_pair("leaks")))
    assert not (sent == seen["sums"]).all(axis=2).any()


def test_no_sum_is_sent_bare(seen: dict[str, Any]) -> None:
    check_sums_are_masked(seen)


def test_mutation_bare_sums_are_noticed(seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SenderBatch, "keys", lambda batch, choice, words: np.zeros((batch.count, words), np.uint64))
    with pytest.raises(AssertionError):
        check_sums_are_masked(seen)


def correlated(pair: OtPair, run: Run[Any, Any]) -> bool:
    choices, received = run.first
    return np.array_equal(received ^ offsets(pair.sender.delta)[choices], run.second)


def test_mutation_another_way_than_the_noise_lies_breaks_the_correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ot_pair("leaks")
    assert correlated(pair, rows(pair))
    rebuild = silent_vole._kernels.pprf_reconstruct

    def elsewhere(bits: Octets, *others: Any) -> Any:
        bits = bits.copy()
        bits[SIZE.depth - 1] ^= 1  # one leaf beside the first tree's position
        return rebuild(bits, *others)

    monkeypatch.setattr(silent_vole._kernels, "pprf_reconstruct", elsewhere)
    pair = ot_pair("leaks")
    assert not correlated(pair, rows(pair))


def test_mutation_equal_labels_of_two_batches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees from one seed under one Δ in two batches would show the sum of their noise."""
    batches = silent_vole._batches

    def alike(*arguments: Any) -> Any:
        first, second = batches(*arguments)
        return [first, type(second)(flavour=first.flavour, size=first.size, label=first.label, start=0, stop=1)]

    monkeypatch.setattr(silent_vole, "_batches", alike)
    with pytest.raises(AssertionError, match="opened twice"):
        rows(ot_pair("leaks"), length=(1 << 18) + 1)


def test_the_noise_has_one_element_that_is_not_zero_a_block(seen: dict[str, Any]) -> None:
    rows(ot_pair("leaks"))
    asked = seen["asked"]
    places = asked.places()
    assert places.shape == (SIZE.blocks, SIZE.block) and (places.sum(axis=1) == 1).all()
    assert set(asked.choices.tolist()) == set(range(1, 16))
    assert len(np.unique(asked.positions)) == SIZE.block  # each place of a block is used by some block


def test_both_sides_see_bits_that_look_random() -> None:
    """Every message of one run, within five standard deviations of as many ones as zeros."""
    run = rows(ot_pair("leaks"))
    for step in ("silent_vole.positions", "silent_vole.values", "silent_vole.sums"):
        data = np.frombuffer(payload(run, step), dtype=np.uint8)
        assert abs(int(np.unpackbits(data).sum()) - data.size * 4) < 5 * (data.size * 2) ** 0.5


def test_lengths_depend_on_the_number_of_outputs_alone() -> None:
    one, other = (rows(ot_pair("leaks"), seed=seed) for seed in (3, 9))
    assert one.lengths() == other.lengths()
    assert payload(one, "silent_vole.positions") != payload(other, "silent_vole.positions")


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    party=st.integers(0, 1), number=st.integers(0, 1), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_a_flipped_bit_is_refused_or_spoils_some_rows(party: int, number: int, place: float, bit: int) -> None:
    """A receiver's flip fails the check of `ot`; a sender's one goes unseen here and makes other rows, nothing else."""
    flipped = False

    def tamper(sender: int, frame: int, data: bytes) -> bytes:
        nonlocal flipped
        if (sender, frame) != (party, number):
            return data
        flipped = True
        changed = bytearray(data)
        changed[int(place * len(data))] ^= 1 << bit
        return bytes(changed)

    pair = ot_pair("leaks")
    try:
        run = rows(pair, tamper=tamper)
    except PeerError:
        assert flipped
        return
    assert not flipped or party == 1
    assert run.first[1].shape == run.second.shape
