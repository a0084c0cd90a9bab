"""The multiplexer: its shares, its sizes, and the corrections without which it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.errors import PeerError
from cleanroom.protocols import mux
from cleanroom.protocols.ot import OtReceiver
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, MAX_PAYLOAD_BYTES, Progress, Protocol, Send
from tests.harness import Run, run_pair
from tests.protocols.ot_pairs import OtPair, ot_pair


@dataclass
class Inputs:
    """Bits and words of both sides."""

    a: mux.Bits
    b: mux.Bits
    z: mux.Words
    r: mux.Words

    @property
    def expected(self) -> NDArray[np.uint64]:
        matched: NDArray[np.uint64] = (self.a ^ self.b).astype(np.uint64)[:, None]
        return matched * (self.z + self.r)


def inputs(bins: int, words: int, seed: int = 1) -> Inputs:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 2, bins, dtype=np.uint8) for _ in range(2))
    z, r = (rng.integers(0, 2**64, (bins, words), dtype=np.uint64) for _ in range(2))
    return Inputs(a, b, z, r)


@pytest.fixture(scope="module")
def pairs() -> tuple[OtPair, OtPair]:
    return ot_pair("exposure-sends"), ot_pair("outcome-sends")


def run(pairs: tuple[OtPair, OtPair], case: Inputs) -> Run[mux.Words, mux.Words]:
    forth, back = pairs
    return run_pair(
        mux.exposure(forth.sender, back.receiver, case.a, case.z),
        mux.outcome(back.sender, forth.receiver, case.b, case.r),
    )


def total(shares: Run[mux.Words, mux.Words]) -> NDArray[np.uint64]:
    return shares.first + shares.second


@pytest.mark.parametrize("words", [1, 2, 5])
@pytest.mark.parametrize("bins", [1, 128, 1000])
def test_shares_add_up_to_the_matched_values(pairs: tuple[OtPair, OtPair], bins: int, words: int) -> None:
    case = inputs(bins, words)
    assert np.array_equal(total(run(pairs, case)), case.expected)


def test_all_four_bit_pairs_with_extreme_words(pairs: tuple[OtPair, OtPair]) -> None:
    a, b = np.array([0, 0, 1, 1], dtype=np.uint8), np.array([0, 1, 0, 1], dtype=np.uint8)
    for z, r in ((0, 0), (2**64 - 1, 1), (2**64 - 1, 2**64 - 1), (1, 2**63)):
        case = Inputs(a, b, np.full((4, 1), z, dtype=np.uint64), np.full((4, 1), r, dtype=np.uint64))
        assert np.array_equal(total(run(pairs, case)), case.expected)


def test_several_slices_agree_with_one(pairs: tuple[OtPair, OtPair], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mux, "slice_bins", lambda _: 128)
    case = inputs(700, 3)
    shares = run(pairs, case)
    assert np.array_equal(total(shares), case.expected)
    assert len(shares.frames) == 3 * 6


def watched(protocol: Protocol[Any], log: list[str], running: list[list[str]]) -> Protocol[Any]:
    """Notes what a side sends and awaits, and lends its log to whoever notes what it computes between."""
    answer = None
    while True:
        running.append(log)
        try:
            event = protocol.send(answer)
        except StopIteration as stop:
            return stop.value
        finally:
            running.pop()
        if not isinstance(event, Progress):
            log.append(("send " if isinstance(event, Send) else "await ") + event.message.step.split("_")[-1])
        answer = yield event


def test_a_message_is_awaited_with_all_work_done_that_does_not_need_it(
    pairs: tuple[OtPair, OtPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each side adds up the slice before and makes its own transfers of the next while the other makes a message."""
    running: list[list[str]] = []
    monkeypatch.setattr(mux, "slice_bins", lambda _: 128)
    for owner, name in ((OtReceiver, "extend"), (mux, "_select")):
        real = getattr(owner, name)

        def noted(*arguments: Any, name: str = name, real: Any = real, **named: Any) -> Any:
            running[-1].append(name)
            return real(*arguments, **named)

        monkeypatch.setattr(owner, name, noted)
    forth, back = pairs
    case, exposure, outcome = inputs(300, 1), list[str](), list[str]()
    shares = run_pair(
        watched(mux.exposure(forth.sender, back.receiver, case.a, case.z), exposure, running),
        watched(mux.outcome(back.sender, forth.receiver, case.b, case.r), outcome, running),
    )
    assert np.array_equal(total(shares), case.expected)
    choice, reply, last = "correction", "difference", "difference"
    assert exposure == [
        *["extend", f"send {choice}", "extend", f"await {reply}", f"send {last}"],
        *[f"send {choice}", "extend", "_select", f"await {reply}", f"send {last}"],
        *[f"send {choice}", "_select", f"await {reply}", f"send {last}", "_select"],
    ]
    assert outcome == [
        *["extend", f"await {choice}", f"send {reply}", "extend", f"await {last}"],
        *[f"await {choice}", f"send {reply}", "extend", "_select", f"await {last}"],
        *[f"await {choice}", f"send {reply}", "_select", f"await {last}", "_select"],
    ]


def test_sizes_are_a_function_of_bins_and_words(pairs: tuple[OtPair, OtPair]) -> None:
    one, other = inputs(300, 4), inputs(300, 4, seed=2)
    other.b = other.a.copy()
    lengths = run(pairs, one).lengths()
    assert lengths == run(pairs, other).lengths()
    correction = 4 * 4 * 128 + (1 + 128) * 16  # three groups and one that masks the check; the check
    body = [length - FRAME_HEADER_BYTES for *_, length in lengths]
    assert body == [correction, correction + 300 * 32, 300 * 32]


@pytest.mark.parametrize("words", [1, 4, 100, mux.MAX_WORDS])
def test_a_slice_fits_a_payload(words: int) -> None:
    bins = mux.slice_bins(words)
    assert bins % 128 == 0 and bins * (4 + 8 * words) <= MAX_PAYLOAD_BYTES


def test_shapes_are_checked(pairs: tuple[OtPair, OtPair]) -> None:
    case = inputs(4, 1)
    with pytest.raises(ValueError, match="one bit a bin"):
        next(mux.exposure(pairs[0].sender, pairs[1].receiver, case.a[:3], case.z))
    with pytest.raises(ValueError, match="words"):
        mux.slice_bins(0)


def ones(words: NDArray[np.uint64]) -> int:
    return int(np.unpackbits(np.ascontiguousarray(words).view(np.uint8)).sum())


def test_each_share_alone_looks_random(pairs: tuple[OtPair, OtPair]) -> None:
    """All inputs zero: 5 standard deviations around one half of 2000 × 64 bits, and what is sent likewise."""
    zero = Inputs(
        *(np.zeros(2000, dtype=np.uint8) for _ in range(2)), *(np.zeros((2000, 1), dtype=np.uint64) for _ in range(2))
    )
    shares = run(pairs, zero)
    for share in (shares.first, shares.second):
        assert abs(ones(share) - 64_000) < 5 * 179
    for *_, frame in shares.frames:
        body = np.frombuffer(frame[FRAME_HEADER_BYTES:], dtype=np.uint8)
        assert abs(int(np.unpackbits(body).sum()) - 4 * body.size) < 5 * (2 * body.size) ** 0.5


@pytest.mark.parametrize("side", ["exposure", "outcome"])
def test_mutation_without_the_sign_of_the_correction_is_wrong(
    side: str, pairs: tuple[OtPair, OtPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """δ must be (1 - 2a)·z: with z alone, bins with a = b = 1 come out as 2z instead of 0."""
    case = inputs(400, 2)
    own, bits = (case.z, case.a) if side == "exposure" else (case.r, case.b)
    correlate = mux._correlate
    sign = np.uint64(1) - np.uint64(2) * bits.astype(np.uint64)[:, None]

    def unsigned(batch: mux.SenderBatch, correlation: mux.Words) -> tuple[mux.Words, bytes]:
        mine = np.array_equal(correlation, sign * own)
        return correlate(batch, own if mine else correlation)

    monkeypatch.setattr(mux, "_correlate", unsigned)
    wrong = (total(run(pairs, case)) != case.expected).all(axis=1)
    assert np.array_equal(wrong, (case.a & case.b).astype(bool))


def test_mutation_one_set_up_for_both_directions_fails(pairs: tuple[OtPair, OtPair]) -> None:
    """Each direction has transfers of its own; ends of different directions share no trees, and the check says so."""
    case = inputs(200, 1)
    crossed = OtPair(pairs[0].sender, pairs[1].receiver), OtPair(pairs[1].sender, pairs[0].receiver)
    with pytest.raises(PeerError, match="consistency"):
        run(crossed, case)
