"""The opening: gates first, suppressed cells never sent, commitments salted and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise, Role
from cleanroom.errors import PeerError
from cleanroom.plan import plan_of
from cleanroom.protocols import comparison
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Expect, Message, Protocol, ProtocolId, Send
from cleanroom.release import opening
from cleanroom.release.commitments import commit_shares
from cleanroom.release.noise import draw_noise
from cleanroom.release.opening import Opening
from cleanroom.release.terms import ReleaseTerms, terms_of
from cleanroom.release.verdicts import Compare
from tests.cleanroom.release.worlds import BUYERS, MATCHED, ORDERS, SALES_7, make_agreement
from tests.harness import Run, Tamper, run_pair
from tests.protocols.ot_pairs import ot_pair

SESSION = bytes(range(32))
METRICS = (MATCHED, BUYERS, ORDERS, SALES_7)  # and a hidden gate, column 4
# three groups: the second has too few buyers, the third too few people with a purchase in 7 days
TRUTH = np.array(
    [[900, 700, 2100, 5_000_000, 500], [400, 49, 80, 90_000, 45], [300, 120, 260, 70_000, 10]], dtype=np.int64
)
PASSED = [[True, True, True, True, True], [True, False, False, False, False], [True, True, True, False, False]]


def make_terms(noise: Noise = Noise.NONE, recipients: tuple[str, ...] = ("media", "shop")) -> ReleaseTerms:
    agreement = make_agreement(metrics=METRICS, noise=noise, recipients=recipients)
    return terms_of(agreement, plan_of(agreement))


def comparison_double(mask: int) -> tuple[Compare, Compare]:
    """A comparison in the clear with the interface of `protocols/comparison.py`: it leaks, and only tests use it."""
    message = Message(protocol=ProtocolId.COMPARISON, type=1, step="comparison.clear")

    def sender(shares: NDArray[np.uint64], threshold: int) -> Protocol[NDArray[np.uint8]]:
        yield Send(message, shares.astype("<u8").tobytes())
        return np.full(len(shares), mask, dtype=np.uint8)

    def receiver(shares: NDArray[np.uint64], threshold: int) -> Protocol[NDArray[np.uint8]]:
        payload = yield Expect(message, 8 * len(shares))
        assert payload is not None
        counts = shares + np.frombuffer(payload, dtype="<u8")
        return (counts >= threshold).astype(np.uint8) ^ np.uint8(mask)

    return sender, receiver


def open_pair(
    terms: ReleaseTerms,
    truth: NDArray[np.int64] = TRUTH,
    noises: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    tamper: Tamper | None = None,
    outcome_terms: ReleaseTerms | None = None,
    seeds: tuple[bytes, bytes] = (b"e" * 32, b"o" * 32),
    mask: int = 1,
    session: bytes = SESSION,
) -> tuple[Run[Opening, Opening], NDArray[np.uint64], NDArray[np.uint64]]:
    rng = np.random.default_rng(5)
    first = rng.integers(0, 2**64, truth.shape, dtype=np.uint64)
    second = truth.view(np.uint64) - first
    zeros = np.zeros(truth.shape, dtype=np.int64)
    noise_a, noise_b = noises or (zeros, zeros)
    compare_a, compare_b = comparison_double(mask) if terms.noise is Noise.NONE else (None, None)
    run = run_pair(
        opening.exposure(
            terms=terms,
            shares=first,
            noise=noise_a,
            streams=Streams(seed=seeds[0], session_id=session),
            compare=compare_a,
        ),
        opening.outcome(
            terms=outcome_terms or terms,
            shares=second,
            noise=noise_b,
            streams=Streams(seed=seeds[1], session_id=session),
            compare=compare_b,
        ),
        tamper,
    )
    return run, first + noise_a.view(np.uint64), second + noise_b.view(np.uint64)


def sent_words(run: Run[Any, Any], steps: tuple[str, ...]) -> bytes:
    return b"".join(frame[FRAME_HEADER_BYTES:] for _, step, frame in run.frames if step in steps)


@pytest.mark.parametrize("noise", [Noise.NONE, Noise.GAUSSIAN, Noise.LAPLACE])
def test_both_recipients_get_the_cells_that_passed(noise: Noise) -> None:
    terms = make_terms(noise)
    run, _, _ = open_pair(terms)
    for side in (run.first, run.second):
        assert side.passed.tolist() == PASSED
        released = side.opened & side.passed & np.array(terms.declared)
        assert released.tolist() == [[*row[:4], False] for row in PASSED]
        assert side.values[released].tolist() == TRUTH[released].tolist()
        assert not side.values[~side.opened].any()


def test_without_noise_no_gate_under_the_threshold_and_no_hidden_gate_is_opened() -> None:
    run, first, second = open_pair(make_terms(Noise.NONE))
    expected = np.array(PASSED) & np.array([True, True, True, True, False])
    assert run.first.opened.tolist() == run.second.opened.tolist() == expected.tolist()
    sent = b"".join(frame for _, step, frame in run.frames if step != "release.comparison.clear")
    for group, column in zip(*np.nonzero(~expected), strict=True):
        for words in (first, second):
            assert words[group, column].astype("<u8").tobytes() not in sent
    steps = [step for _, step, _ in run.frames]
    assert "release.gates" not in steps
    assert steps.index("release.comparison.clear") < steps.index("release.bits") < steps.index("release.cells")


def test_without_noise_the_bits_are_the_xor_of_what_each_side_opens() -> None:
    for mask in (0, 1):
        run, _, _ = open_pair(make_terms(Noise.NONE), mask=mask)
        assert run.first.passed.tolist() == PASSED


def test_with_noise_gates_come_first_and_suppressed_cells_are_never_sent() -> None:
    terms = make_terms(Noise.GAUSSIAN)
    run, first, second = open_pair(terms)
    order = [step for _, step, _ in run.frames]
    assert order == sorted(order, key=["release.terms", "release.commitments", "release.gates", "release.cells"].index)
    gates = [0, 1, 4]
    assert run.first.opened[:, gates].all()
    sent = sent_words(run, ("release.gates", "release.cells"))
    for group, column in ((1, 2), (1, 3), (2, 3)):
        for words in (first, second):
            assert words[group, column].astype("<u8").tobytes() not in sent
        assert not run.first.opened[group, column]
    gate_frames = [len(frame) - FRAME_HEADER_BYTES for _, step, frame in run.frames if step == "release.gates"]
    assert gate_frames == [9 * 40, 9 * 40]
    cell_frames = [len(frame) - FRAME_HEADER_BYTES for _, step, frame in run.frames if step == "release.cells"]
    assert cell_frames == [3 * 40, 3 * 40]  # orders of two groups, sales of one; gates are not sent twice


@pytest.mark.parametrize("noise", [Noise.NONE, Noise.GAUSSIAN])
def test_salts_and_shares_of_suppressed_cells_are_kept_by_nobody_else(noise: Noise) -> None:
    run, _, second = open_pair(make_terms(noise))
    kept = run.first.outcome
    assert kept.cells.tolist() == np.flatnonzero(run.first.opened).tolist()
    assert kept.shares.tolist() == second.reshape(-1)[kept.cells].tolist()
    assert len(kept.salts) == len(kept.cells) < TRUTH.size
    assert run.second.outcome.cells.tolist() == kept.cells.tolist()


def test_the_gate_is_the_noised_count() -> None:
    terms = make_terms(Noise.GAUSSIAN)
    zeros = np.zeros(TRUTH.shape, dtype=np.int64)
    lift, sink = zeros.copy(), zeros.copy()
    lift[1, 1] = 1  # 49 buyers become 50
    sink[0, 1] = -651  # 700 buyers become 49
    run, _, _ = open_pair(terms, noises=(lift, sink))
    assert run.first.passed[1].tolist() == [True, True, True, False, False]
    assert run.first.passed[0].tolist() == [True, False, False, True, True]
    assert run.second.values[1, 1] == 50


def test_noised_values_may_be_negative_and_shares_wrap() -> None:
    terms = make_terms(Noise.GAUSSIAN)
    noise = np.full(TRUTH.shape, -10_000_000, dtype=np.int64)
    noise[:, [0, 1, 4]] = 0
    run, _, _ = open_pair(terms, noises=(noise, noise))
    assert run.first.values[0, 2] == 2100 - 20_000_000
    assert run.second.values[0, 3] == 5_000_000 - 20_000_000


def test_drawn_noise_is_in_the_figures() -> None:
    terms = make_terms(Noise.GAUSSIAN)
    noises = draw_noise(terms), draw_noise(terms)
    truth = TRUTH + 100_000_000
    run, _, _ = open_pair(terms, truth=truth, noises=noises)
    assert run.first.values.tolist() == (truth + noises[0] + noises[1]).tolist()


@pytest.mark.parametrize("noise", [Noise.NONE, Noise.GAUSSIAN])
@pytest.mark.parametrize(("recipient", "receiver"), [("media", 0), ("shop", 1)])
def test_a_side_that_is_no_recipient_gets_the_suppression_bits_alone(
    noise: Noise, recipient: str, receiver: int
) -> None:
    terms = make_terms(noise, (recipient,))
    run, first, second = open_pair(terms)
    got, other = (run.first, run.second) if receiver == 0 else (run.second, run.first)
    assert got.passed.tolist() == other.passed.tolist() == PASSED
    released = got.passed & np.array(terms.declared)
    assert got.values[released].tolist() == TRUTH[released].tolist()
    assert not other.opened.any() and not other.values.any()
    side = other.exposure if receiver == 0 else other.outcome
    assert len(side.cells) == len(side.shares) == len(side.salts) == 0
    sent = b"".join(
        frame for sender, step, frame in run.frames if sender == receiver and step != "release.comparison.clear"
    )
    for word in (first, second)[receiver].reshape(-1):
        assert word.astype("<u8").tobytes() not in sent
    if noise is Noise.GAUSSIAN:
        bits = [
            (sender, len(frame) - FRAME_HEADER_BYTES)
            for sender, step, frame in run.frames
            if step == "release.suppression"
        ]
        assert bits == [(receiver, 2)]


def flip(step_number: int, who: int, position: int) -> Tamper:
    def tamper(sender: int, number: int, frame: bytes) -> bytes:
        if sender == who and number == step_number:
            at = FRAME_HEADER_BYTES + position
            return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]
        return frame

    return tamper


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize(
    ("step_number", "position", "message"),
    [
        (0, 3, "terms"),
        (1, 5, "committed"),  # the commitment to a gate
        (2, 0, "committed"),  # its salt
        (2, 32, "committed"),  # its share
        (3, 31, "committed"),
        (3, 79, "committed"),
    ],
)
def test_a_wrong_opening_is_the_peers_fault(who: int, step_number: int, position: int, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        open_pair(make_terms(Noise.GAUSSIAN), tamper=flip(step_number, who, position))


@pytest.mark.parametrize("step_number", [3, 4])
def test_a_bit_that_was_not_committed_to_is_the_peers_fault(step_number: int) -> None:
    # the outcome side sends terms, commitments, the commitment to its bits, salt and bits
    with pytest.raises(PeerError, match="committed"):
        open_pair(make_terms(Noise.NONE), tamper=flip(step_number - 1, 1, 0))


def test_padding_bits_must_be_zero() -> None:
    terms = make_terms(Noise.GAUSSIAN, ("media",))  # nine bits: the second byte has seven to spare

    def tamper(sender: int, number: int, frame: bytes) -> bytes:
        if sender == 0 and len(frame) == FRAME_HEADER_BYTES + 2:
            return frame[:-1] + bytes([frame[-1] | 0x80])
        return frame

    with pytest.raises(PeerError, match="zero"):
        open_pair(terms, tamper=tamper)


@pytest.mark.parametrize(
    "change",
    [
        lambda terms: replace(terms, min_people=51),
        lambda terms: replace(terms, scales=(*terms.scales[:-1], terms.scales[-1] * 2)),
        lambda terms: replace(terms, noise=Noise.LAPLACE),
        lambda terms: replace(terms, recipients=frozenset({Role.OUTCOME})),
        lambda terms: replace(terms, declared=(True,) * 5),
    ],
)
def test_different_terms_stop_before_any_commitment(change: Callable[[ReleaseTerms], ReleaseTerms]) -> None:
    terms = make_terms(Noise.GAUSSIAN)
    with pytest.raises(PeerError, match="terms"):
        open_pair(terms, outcome_terms=change(terms))


def test_commitments_hide_small_counts() -> None:
    run, _, second = open_pair(make_terms(Noise.GAUSSIAN))
    other, _, _ = open_pair(make_terms(Noise.GAUSSIAN), seeds=(b"e" * 32, b"p" * 32))
    mine = run.first.outcome.commitments
    # the same shares under other salts: no commitment repeats, within a run or between runs
    rows = {row.tobytes() for row in mine} | {row.tobytes() for row in other.first.outcome.commitments}
    assert len(rows) == 2 * TRUTH.size
    # whoever knows the share cannot recognise it without the salt
    cells = np.arange(TRUTH.size, dtype=np.int64)
    guess = commit_shares(
        session_id=SESSION,
        role=Role.OUTCOME,
        cells=cells,
        salts=np.zeros((TRUTH.size, 32), dtype=np.uint8),
        shares=second.reshape(-1),
    )
    assert not (guess == mine).all(axis=1).any()


def brute_forced() -> dict[int, int]:
    """The attack: the exposure side knows its own shares, and tries small counts under every salt it was shown."""
    run, first, _ = open_pair(make_terms(Noise.GAUSSIAN))
    shown = run.first.outcome
    found = {}
    for cell in np.flatnonzero(~run.first.opened.reshape(-1)).tolist():
        tried = np.arange(300, dtype=np.uint64) - first.reshape(-1)[cell]
        for salt in np.unique(shown.salts, axis=0):
            guesses = commit_shares(
                session_id=SESSION,
                role=Role.OUTCOME,
                cells=np.full(300, cell, dtype=np.int64),
                salts=np.repeat(salt[None], 300, axis=0),
                shares=tried,
            )
            hits = np.flatnonzero((guesses == shown.commitments[cell]).all(axis=1))
            if hits.size:
                found[cell] = int(hits[0])
    return found


def test_the_salts_of_opened_cells_open_no_suppressed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _, _ = open_pair(make_terms(Noise.GAUSSIAN))
    assert len(np.unique(run.first.outcome.salts, axis=0)) == len(run.first.outcome.salts)
    assert brute_forced() == {}

    def one_salt(key: bytes, length: int) -> bytes:
        return keystream(key, 32) * (length // 32)

    monkeypatch.setattr(opening, "keystream", one_salt)
    assert brute_forced() == {7: 80}  # the orders of group 1; the sums are larger than what was tried


def test_a_commitment_binds_session_role_cell_salt_and_share() -> None:
    def commit(**change: Any) -> bytes:
        given: dict[str, Any] = {
            "session_id": SESSION,
            "role": Role.EXPOSURE,
            "cells": np.array([3], dtype=np.int64),
            "salts": np.full((1, 32), 7, dtype=np.uint8),
            "shares": np.array([9], dtype=np.uint64),
        }
        return commit_shares(**(given | change)).tobytes()

    plain = hashlib.sha256(
        b"cleanroom/release/cell/v1"
        + SESSION
        + b"\x00"
        + (3).to_bytes(8, "little")
        + b"\x07" * 32
        + (9).to_bytes(8, "little")
    ).digest()
    assert commit() == plain
    changed = [
        commit(session_id=b"x" * 32),
        commit(role=Role.OUTCOME),
        commit(cells=np.array([4], dtype=np.int64)),
        commit(salts=np.full((1, 32), 8, dtype=np.uint8)),
        commit(shares=np.array([10], dtype=np.uint64)),
    ]
    assert len({plain, *changed}) == 6


def test_many_cells_go_in_chunks_and_sizes_follow_the_public_shape() -> None:
    agreement = make_agreement(metrics=METRICS, groups=7000, noise=Noise.GAUSSIAN)
    terms = terms_of(agreement, plan_of(agreement))
    truth = np.full((7000, 5), 1000, dtype=np.int64)
    run, _, _ = open_pair(terms, truth=truth)
    assert run.first.values.tolist() == truth.tolist()
    commitments = [len(frame) - FRAME_HEADER_BYTES for _, step, frame in run.frames if step == "release.commitments"]
    assert commitments == [2**20, 35_000 * 32 - 2**20] * 2
    again, _, _ = open_pair(terms, truth=truth + 5, seeds=(b"1" * 32, b"2" * 32))
    assert again.lengths() == run.lengths()


@pytest.mark.parametrize("recipients", [("media", "shop"), ("shop",)])
def test_gates_pass_the_secure_comparison(recipients: tuple[str, ...]) -> None:
    terms = make_terms(Noise.NONE, recipients)
    transfers = ot_pair("release", session=SESSION)
    rng = np.random.default_rng(6)
    first = rng.integers(0, 2**64, TRUTH.shape, dtype=np.uint64)
    zeros = np.zeros(TRUTH.shape, dtype=np.int64)
    run = run_pair(
        opening.exposure(
            terms=terms,
            shares=first,
            noise=zeros,
            streams=Streams(seed=b"e" * 32, session_id=SESSION),
            compare=partial(comparison.sender, transfers.sender),
        ),
        opening.outcome(
            terms=terms,
            shares=TRUTH.view(np.uint64) - first,
            noise=zeros,
            streams=Streams(seed=b"o" * 32, session_id=SESSION),
            compare=partial(comparison.receiver, transfers.receiver),
        ),
    )
    assert run.first.passed.tolist() == run.second.passed.tolist() == PASSED
    assert run.second.values[run.second.opened].tolist() == TRUTH[run.second.opened].tolist()
    assert all(step.startswith("release.") for _, step, _ in run.frames)
    words = {word.astype("<u8").tobytes() for word in first[~run.second.opened]}
    sent = b"".join(frame for sender, _, frame in run.frames if sender == 0)
    assert not any(word in sent for word in words)


def test_nothing_secret_is_in_a_repr() -> None:
    run, _, _ = open_pair(make_terms(Noise.NONE))
    assert repr(run.first) == "Opening(exposure=SideOpening(), outcome=SideOpening())"


@pytest.mark.parametrize("wrong", [(2, 5), (3, 4)])
def test_arrays_of_another_shape_are_refused(wrong: tuple[int, int]) -> None:
    zeros = np.zeros(wrong, dtype=np.int64)
    protocol = opening.exposure(
        terms=make_terms(Noise.GAUSSIAN),
        shares=zeros.view(np.uint64),
        noise=zeros,
        streams=Streams(seed=b"e" * 32, session_id=SESSION),
    )
    with pytest.raises(ValueError, match="cells expected"):
        next(protocol)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": np.ones((3, 5), dtype=np.int64)}, "takes no noise"),
        ({"compare": None}, "needs the secure comparison"),
        ({"terms": replace(make_terms(Noise.NONE), recipients=frozenset())}, "needs a recipient"),
    ],
)
def test_calls_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "terms": make_terms(Noise.NONE),
        "shares": TRUTH.view(np.uint64),
        "noise": np.zeros((3, 5), dtype=np.int64),
        "streams": Streams(seed=b"e" * 32, session_id=SESSION),
        "compare": comparison_double(1)[0],
    }
    terms = make_terms(Noise.NONE)
    peer = opening.outcome(
        terms=terms,
        shares=TRUTH.view(np.uint64),
        noise=np.zeros((3, 5), dtype=np.int64),
        streams=Streams(seed=b"o" * 32, session_id=SESSION),
        compare=comparison_double(1)[1],
    )
    with pytest.raises(ValueError, match=message):
        run_pair(opening.exposure(**(given | change)), peer)
