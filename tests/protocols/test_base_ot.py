"""Base transfers: kernels against the plain reference, the keys, hostile elements, and what the hashes bind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import base_ot
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import Run, Tamper, run_pair
from tools.slow import base_ot as plain
from tools.slow import ristretto

SESSION = bytes(range(32))
CHOICES = np.array([0, 1, 1, 0, 1], dtype=np.uint8)
A, B = bytes([1]) * 32, bytes([2]) * 32


def run(
    *, label: str = "x", other_label: str = "x", other_session: bytes = SESSION, tamper: Tamper | None = None
) -> Run[NDArray[np.uint8], NDArray[np.uint8]]:
    sender = base_ot.sender(streams=Streams(seed=A, session_id=SESSION), label=label, count=CHOICES.size)
    receiver = base_ot.receiver(streams=Streams(seed=B, session_id=other_session), label=other_label, choices=CHOICES)
    return run_pair(sender, receiver, tamper)


def agreeing(both: NDArray[np.uint8], chosen: NDArray[np.uint8]) -> list[list[bool]]:
    return [[bool((pair[slot] == key).all()) for slot in (0, 1)] for pair, key in zip(both, chosen, strict=True)]


def test_kernels_equal_the_reference() -> None:
    choices = CHOICES.tolist()
    sent = plain.receiver_message(B, b"domain", choices)
    answer = plain.sender_message(A, len(choices))
    assert _kernels.base_ot_receiver_message(B, b"domain", CHOICES).tobytes() == sent
    assert _kernels.base_ot_sender_message(A, len(choices)).tobytes() == answer
    assert _kernels.base_ot_sender_keys(A, b"domain", sent).tobytes() == plain.sender_keys(A, b"domain", sent)
    keys = _kernels.base_ot_receiver_keys(B, b"domain", CHOICES, sent, answer).tobytes()
    assert keys == plain.receiver_keys(B, b"domain", choices, sent, answer)


def test_the_receiver_gets_the_chosen_key_and_no_other() -> None:
    result = run()
    assert agreeing(result.first, result.second) == [[choice == 0, choice == 1] for choice in CHOICES.tolist()]
    assert len({key.tobytes() for key in result.first.reshape(-1, 16)}) == 2 * CHOICES.size


def test_sizes() -> None:
    lengths = [length - FRAME_HEADER_BYTES for _, _, length in run().lengths()]
    assert lengths == [64 * CHOICES.size, 32 * CHOICES.size]


@pytest.mark.parametrize("change", [{"other_label": "y"}, {"other_session": bytes(32)}])
def test_keys_disagree_between_labels_and_sessions(change: dict[str, str]) -> None:
    result = run(**change)  # type: ignore[arg-type]  # the values fit the names
    assert not any(any(pair) for pair in agreeing(result.first, result.second))


@pytest.mark.parametrize("name", ["identity", "negative", "not below the prime", "not on the curve"])
@pytest.mark.parametrize("party", [0, 1])
def test_bad_elements_are_the_peer_s_fault(name: str, party: int) -> None:
    """RFC 9496, appendix A.2, has one of each kind."""
    encoding = {
        "identity": bytes(32),
        "negative": bytes.fromhex("0100000000000000000000000000000000000000000000000000000000000000"),
        "not below the prime": bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        "not on the curve": bytes.fromhex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371"),
    }[name]
    with pytest.raises(PeerError, match="identity" if name == "identity" else "canonical"):
        run(tamper=lambda sender, _, frame: frame[:-32] + encoding if sender == party else frame)


def test_elements_that_cancel_the_hash_are_refused() -> None:
    """A receiver could send r_0 = -H_0(r_1), so that the sender's sum is the identity and its key no secret."""
    other = ristretto.encode(ristretto.GENERATOR)
    hashed = plain.hash_to_point(b"d", 0, 0, other)
    cancelling = ristretto.encode(ristretto.multiply(ristretto.ORDER - 1, hashed))
    with pytest.raises(ValueError, match="identity"):
        _kernels.base_ot_sender_keys(A, b"d", cancelling + other)


def test_a_changed_element_spoils_its_transfer_only() -> None:
    """Valid elements swapped in flight: the keys of that transfer agree nowhere, those of the others stay."""

    def tamper(sender: int, _: int, frame: bytes) -> bytes:
        if sender == 0:
            return frame
        start = FRAME_HEADER_BYTES
        return frame[:start] + frame[start + 32 : start + 64] + frame[start : start + 32] + frame[start + 64 :]

    result = run(tamper=tamper)
    expected = [[choice == 0, choice == 1] for choice in CHOICES.tolist()]
    assert agreeing(result.first, result.second) == [[False, False], *expected[1:]]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.binary(min_size=64, max_size=64), st.sampled_from([0, 1]))
def test_any_bytes_are_keys_or_the_peer_s_fault(payload: bytes, party: int) -> None:
    def tamper(sender: int, _: int, frame: bytes) -> bytes:
        if sender != party:
            return frame
        body = frame[FRAME_HEADER_BYTES:]
        return frame[:FRAME_HEADER_BYTES] + (payload + body[64:])[: len(body)]

    try:
        result = run(tamper=tamper)
    except PeerError as error:
        assert "base_ot" in str(error)
    else:  # one string in sixteen is an element
        assert not any(any(pair) for pair in agreeing(result.first, result.second)[:1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: _kernels.base_ot_receiver_message(A[:31], b"", CHOICES),
        lambda: _kernels.base_ot_receiver_message(A, b"", CHOICES + np.uint8(1)),
        lambda: _kernels.base_ot_sender_keys(A, b"", bytes(63)),
        lambda: _kernels.base_ot_receiver_keys(A, b"", CHOICES, bytes(64), bytes(160)),
        lambda: _kernels.base_ot_sender_message(A, 1 << 21),
    ],
)
def test_kernels_refuse_malformed_arguments(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()
