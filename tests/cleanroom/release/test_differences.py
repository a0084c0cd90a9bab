"""Without noise, with `differences = "suppress"`: no two released counts of the same people are close."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Measure, Metric, Noise
from cleanroom.errors import DataError, PeerError
from cleanroom.plan import plan_of
from cleanroom.protocols import comparison, conjunction
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import NOTHING, Volume
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from cleanroom.release import opening, verdicts
from cleanroom.release.document import _check_gates
from cleanroom.release.opening import Opening
from cleanroom.release.terms import ReleaseTerms, terms_of
from tests.cleanroom.release.worlds import MATCHED, make_agreement
from tests.harness import Run, Tamper, run_pair
from tests.protocols.ot_pairs import OtPair, ot_pair

SESSION = bytes(range(32))
LEAST = 50


def people(event: str, days: int, name: str = "") -> Metric:
    return Metric(
        name=name or f"{event}_{days}",
        measure=Measure.PEOPLE,
        event=event,
        window_ticks=days,
        window=f"{days}d",
        cap=None,
    )


def total(event: str, days: int) -> Metric:
    return Metric(
        name=f"sum_{event}_{days}",
        measure=Measure.SUM,
        event=event,
        window_ticks=days,
        window=f"{days}d",
        cap=1000,
    )


def agreement_of(*metrics: Metric, groups: int = 3, suppress: bool = True) -> Agreement:
    agreement = make_agreement(metrics=metrics, groups=groups, noise=Noise.NONE, min_people=LEAST)
    return replace(agreement, release=replace(agreement.release, suppress_differences=suppress))


def terms_for(*metrics: Metric, groups: int = 3, suppress: bool = True) -> ReleaseTerms:
    agreement = agreement_of(*metrics, groups=groups, suppress=suppress)
    return terms_of(agreement, plan_of(agreement))


def open_pair(
    terms: ReleaseTerms, truth: NDArray[np.int64], pair: OtPair, tamper: Tamper | None = None
) -> Run[Opening, Opening]:
    first = np.random.default_rng(7).integers(0, 2**64, truth.shape, dtype=np.uint64)
    zeros = np.zeros(truth.shape, dtype=np.int64)
    return run_pair(
        opening.exposure(
            terms=terms,
            shares=first,
            noise=zeros,
            streams=Streams(seed=b"e" * 32, session_id=SESSION),
            compare=partial(comparison.sender, pair.sender),
            conjoin=partial(conjunction.sender, pair.sender),
        ),
        opening.outcome(
            terms=terms,
            shares=truth.view(np.uint64) - first,
            noise=zeros,
            streams=Streams(seed=b"o" * 32, session_id=SESSION),
            compare=partial(comparison.receiver, pair.receiver),
            conjoin=partial(conjunction.receiver, pair.receiver),
        ),
        tamper,
    )


@pytest.fixture(scope="module")
def pair() -> OtPair:
    return ot_pair("differences", session=SESSION)


WINDOWS = (people("order", 15), people("order", 7), people("order", 30))


def test_the_attack_on_nested_windows_and_what_stops_it(pair: OtPair) -> None:
    """60 buyers in 15 days beside 55 in 7 tell of 5 in between."""
    truth = np.array([[60, 55, 61], [300, 200, 349], [49, 20, 50]], dtype=np.int64)
    alone = open_pair(terms_for(*WINDOWS, suppress=False), truth, pair).first
    assert alone.passed.tolist() == [[True, True, True], [True, True, True], [False, False, True]]
    assert alone.values[0, 0] - alone.values[0, 1] == 5
    run = open_pair(terms_for(*WINDOWS), truth, pair)
    assert run.first.passed.tolist() == [[False, True, False], [True, True, False], [False, False, True]]
    assert run.second.passed.tolist() == run.first.passed.tolist() == run.first.opened.tolist()


def test_a_suppressed_window_is_not_what_the_next_one_is_compared_with(pair: OtPair) -> None:
    """40, 80, 120: the first is too small, the second stands alone, the third is 40 above it."""
    truth = np.array([[80, 40, 120], [80, 40, 130], [99, 50, 149]], dtype=np.int64)
    passed = open_pair(terms_for(*WINDOWS), truth, pair).first.passed
    assert passed.tolist() == [[True, False, False], [True, False, True], [False, True, True]]


def test_a_difference_of_nothing_is_small_too(pair: OtPair) -> None:
    passed = open_pair(terms_for(*WINDOWS, groups=1), np.array([[70, 70, 70]], dtype=np.int64), pair).first.passed
    assert passed.tolist() == [[False, True, False]]


def test_the_same_window_twice_is_one_count(pair: OtPair) -> None:
    terms = terms_for(people("order", 7), people("order", 7, "again"), people("order", 9), groups=1)
    passed = open_pair(terms, np.array([[60, 60, 110]], dtype=np.int64), pair).first.passed
    assert passed.tolist() == [[True, True, True]]


def test_matched_people_are_above_every_event_and_only_the_result_shows(pair: OtPair) -> None:
    terms = terms_for(MATCHED, people("order", 7), people("visit", 7), groups=5)
    truth = np.array([[200, 60, 150], [200, 151, 60], [200, 150, 150], [49, 0, 0], [90, 45, 45]], dtype=np.int64)
    run = open_pair(terms, truth, pair)
    assert run.first.passed[:, 0].tolist() == [True, False, True, False, True]
    assert run.first.passed[:, 1:].tolist() == [[True, True]] * 3 + [[False, False]] * 2
    bits = [frame[FRAME_HEADER_BYTES + 32 :] for _, step, frame in run.frames if step == "release.bits"]
    assert [len(packed) for packed in bits] == [2, 2, 1, 1]  # 2 × 5 counts, then one bit a group for matched people
    shown = int.from_bytes(bits[2], "little") ^ int.from_bytes(bits[3], "little")
    assert shown == 0b10101


def test_sums_of_a_suppressed_window_are_suppressed_with_its_hidden_gate(pair: OtPair) -> None:
    terms = terms_for(total("order", 7), total("order", 15), groups=2)  # two automatic gates
    truth = np.array([[5000, 5900, 60, 65], [5000, 9000, 60, 110]], dtype=np.int64)
    run = open_pair(terms, truth, pair)
    assert run.first.passed.tolist() == [[True, False, True, False], [True, True, True, True]]
    assert run.first.opened.tolist() == [[True, False, False, False], [True, True, False, False]]


MANY = (MATCHED, *WINDOWS, people("visit", 3), people("visit", 9), total("order", 20))


@settings(derandomize=True, max_examples=12, deadline=None)
@given(st.data())
def test_no_ladder_of_released_counts_has_a_small_step(data: st.DataObject) -> None:
    terms = terms_for(*MANY, groups=8)
    number = st.integers(0, 130)
    rows = []
    for _ in range(terms.groups):
        orders = np.cumsum([data.draw(number) for _ in range(4)]).tolist()
        visits = np.cumsum([data.draw(number) for _ in range(2)]).tolist()
        most = max(orders[-1], visits[-1]) + data.draw(number)
        rows.append([most, orders[1], orders[0], orders[3], *visits, 7, orders[2]])
    truth = np.array(rows, dtype=np.int64)
    passed = open_pair(terms, truth, ot_pair("ladder", session=SESSION)).first.passed
    for counts, shown in zip(truth, passed, strict=True):
        for chain in ((2, 1, 7, 3), (4, 5)):
            ladder = [0] + [int(counts[column]) for column in chain if shown[column]]
            assert all(high - low >= LEAST for low, high in pairwise(ladder))
            for earlier, column in zip((None, *chain), chain, strict=False):  # nothing is suppressed without need
                if not shown[column]:
                    below = [int(counts[c]) for c in chain[: chain.index(column)] if shown[c]]
                    assert int(counts[column]) - max([0, *below]) < LEAST, earlier
        tops = [int(counts[c]) for chain in ((2, 1, 7, 3), (4, 5)) for c in chain if shown[c]]
        assert bool(shown[0]) == (int(counts[0]) - max([0, *tops]) >= LEAST)
        assert shown[6] == shown[7]


def test_messages_follow_from_the_terms_and_not_from_the_data(pair: OtPair) -> None:
    terms = terms_for(*MANY)
    small, large = np.zeros((3, 8), dtype=np.int64), np.full((3, 8), 40, dtype=np.int64)
    large[:, 0] = 49
    runs = [open_pair(terms, truth, pair) for truth in (small, large)]
    assert runs[0].lengths() == runs[1].lengths()
    sent = [NOTHING, NOTHING]
    for sender, _, length in runs[0].lengths():
        sent[sender] += Volume(messages=1, bytes=length)
    assert tuple(sent) == opening.traffic(terms, opened=0)
    steps = [step for _, step, _ in runs[0].frames]
    assert steps.count("release.bits") == 2 * 5  # four windows, then matched people
    assert all(step.startswith("release.") for step in steps)


def test_bits_of_every_round_are_committed_to(pair: OtPair) -> None:
    terms = terms_for(*WINDOWS, groups=1)
    truth = np.array([[160, 55, 300]], dtype=np.int64)
    numbers = [
        at
        for at, step in enumerate(step for who, step, _ in open_pair(terms, truth, pair).frames if who == 0)
        if step == "release.bits"
    ]
    assert len(numbers) == 3
    for wrong in numbers:

        def tamper(sender: int, number: int, frame: bytes, wrong: int = wrong) -> bytes:
            return frame[:-1] + bytes([frame[-1] ^ 1]) if (sender, number) == (0, wrong) else frame

        with pytest.raises(PeerError, match="committed"):
            open_pair(terms, truth, ot_pair("tampered", session=SESSION), tamper)


def test_an_agreement_that_does_not_say_so_has_the_terms_it_had() -> None:
    plain = terms_for(*WINDOWS, suppress=False)
    assert plain.chains == () and plain.digest != terms_for(*WINDOWS).digest
    assert len(verdicts._rounds(plain)) == 1


@pytest.mark.parametrize(
    ("opened", "wrong"),
    [
        ([200, 0, 60, 110], False),
        ([200, 0, 60, 109], True),  # 49 between two windows
        ([159, 0, 60, 110], True),  # 49 matched people who did not order
        ([160, 0, 60, 110], False),
    ],
)
def test_an_auditor_sees_a_small_difference_in_a_release(opened: list[int], wrong: bool, pair: OtPair) -> None:
    terms = terms_for(MATCHED, people("order", 15), people("order", 7), people("order", 30), groups=1)
    values = np.array([opened], dtype=np.int64)
    shown = values > 0
    side = open_pair(terms, values, pair).first.exposure
    forged = Opening(passed=shown, opened=shown, values=values, exposure=side, outcome=side)
    if wrong:
        with pytest.raises(DataError, match="difference"):
            _check_gates(terms, forged)
    else:
        _check_gates(terms, forged)
