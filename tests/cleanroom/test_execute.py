"""A whole run: what happens in which order, what stops it, and that the wire shows public parameters alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cleanroom.agreement.model import Noise
from cleanroom.errors import BudgetError, PeerError
from cleanroom.execute import Executed
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.cleanroom.whole_run import COLUMNS, GROUPS, Told, lookups, rows, whole_run
from tests.harness import Run


def values(run: Run[Executed, Executed]) -> list[list[int]]:
    assert run.first.opening is not None and run.second.opening is not None
    assert np.array_equal(run.first.opening.values, run.second.opening.values)
    return run.first.opening.values.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.NONE])
def test_the_opened_figures_are_the_plain_join(noise: Noise) -> None:
    """30 people on both sides, every third in group 1 too: 10, which is under the threshold of 20."""
    run = whole_run(noise=noise)
    if noise is Noise.NONE:
        assert values(run) == [[30, 30, 45], [0, 0, 0]]
    else:
        assert values(run) == [[30, 30, 45], [10, 10, 0]]
    assert run.first.opening is not None
    assert run.first.opening.passed.tolist() == [[True] * 3, [False] * 3]
    assert run.first.seal is not None and run.second.seal is not None
    assert run.first.seal.digest == run.second.seal.digest


@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.NONE])
def test_each_side_is_charged_once_after_the_transcripts_agree_and_before_anything_is_opened(noise: Noise) -> None:
    told = Told()
    run = whole_run(noise=noise, told=told)
    steps = [step for _, step, _ in run.frames]
    before = steps.index("release.terms")
    assert sorted((who, what) for who, what, _ in told.events) == [("media", "charge"), ("shop", "charge")]
    confirms = [index for index, step in enumerate(steps) if step == "session.confirm"]
    assert confirms == [before - 2, before - 1]
    assert {count for *_, count in told.events} == {before}


def test_a_refused_charge_opens_nothing() -> None:
    sent: list[int] = []

    def count(sender: int, number: int, frame: bytes) -> bytes:
        sent.append(frame[1])
        return frame

    with pytest.raises(BudgetError):
        whole_run(refuse=BudgetError("spent"), tamper=count)
    assert 10 not in sent  # ProtocolId.RELEASE


@pytest.mark.parametrize("step", ["hint.table", "equality.tables", "mux.exposure_difference", "grouped_sum.answers"])
def test_a_changed_message_is_found_before_anything_is_charged_or_opened(step: str) -> None:
    names = {0: [name for who, name, _ in whole_run().frames if who == 0], 1: []}
    names[1] = [name for who, name, _ in whole_run().frames if who == 1]
    who = next(who for who in (0, 1) if step in names[who])
    number = names[who].index(step)
    told, sent = Told(), []

    def flip(sender: int, count: int, frame: bytes) -> bytes:
        sent.append(frame[1])
        if (sender, count) != (who, number):
            return frame
        at = FRAME_HEADER_BYTES + 3
        return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]

    with pytest.raises(PeerError, match="transcripts differ"):
        whole_run(told=told, tamper=flip)
    assert told.events == []
    assert 10 not in sent


def test_a_stored_release_of_the_same_inputs_runs_and_charges_nothing() -> None:
    told = Told()
    run = whole_run(stored=lambda root: b"\7" * 32, told=told)
    assert {step for _, step, _ in run.frames} == {"session.hello", "session.nonce"}
    assert run.first.session.stored == run.second.session.stored == b"\7" * 32
    assert run.first.opening is None and told.events == []


def test_frames_depend_on_data_through_the_gates_alone() -> None:
    """0, 50 and 100 % overlap and nearly empty sides, with noise that decides every gate: equal frames to the end."""
    noise = np.zeros((GROUPS, COLUMNS), dtype=np.int64)
    noise[0], noise[1] = 10_000, -10_000
    cases: list[dict[str, Any]] = [
        {"exposure": lookups(range(60)), "outcome": rows(range(60, 120))},
        {"exposure": lookups(range(60)), "outcome": rows(range(30, 90))},
        {"exposure": lookups(range(60)), "outcome": rows(range(60))},
        {"exposure": lookups(range(500)), "outcome": rows(range(1))},
        {"exposure": lookups(range(1)), "outcome": rows(range(500))},
    ]
    runs = [whole_run(noises=(noise, np.zeros_like(noise)), **case) for case in cases]
    assert len({tuple(run.lengths()) for run in runs}) == 1
    assert len({tuple(map(tuple, values(run))) for run in runs}) > 2


def test_no_frame_is_sent_twice() -> None:
    """No pad, key or commitment serves two messages, in one run or in two that share nothing but the data."""
    bodies = [frame[FRAME_HEADER_BYTES:] for _, step, frame in whole_run().frames if step not in ("bins.attempt",)]
    repeated = len(bodies) - len(set(bodies))
    # The two confirmations and the two terms are equal by design.
    assert repeated == 2


@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.NONE])
def test_no_random_stream_has_one_label_on_both_sides(noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were both seeds equal by accident, the sides would still not share a pad, a salt or a key."""
    opened: dict[bytes, set[tuple[object, ...]]] = {}
    key = Streams.key

    def watched(streams: Streams, **label: Any) -> bytes:
        opened.setdefault(streams._seed, set()).add(tuple(sorted(label.items())))
        return key(streams, **label)

    monkeypatch.setattr(Streams, "key", watched)
    whole_run(noise=noise)
    first, second = opened.values()
    assert any(("step", "release") in label for label in first)
    assert not first & second
