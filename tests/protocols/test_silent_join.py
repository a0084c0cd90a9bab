"""Whole joins on silent transfers over the real vector OLE, whatever the OPRF: sums, traffic, views, hostile bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.errors import PeerError
from cleanroom.protocols import equality, private_join, profiles, silent_ot
from cleanroom.protocols.profiles import Oprf, Steps, Transfers
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import run_pair
from tests.protocols.ot_pairs import OtPair, ot_pair
from tests.protocols.silent_pairs import silent_over, silent_pair, use_sizes
from tests.protocols.test_private_join import PARAMETERS, run_join
from tests.protocols.test_silent_ot import uniform
from tests.protocols.test_traffic import sent


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(oprf=profiles.steps_of(Oprf.KKRT).oprf, transfers=Transfers.SILENT)
    monkeypatch.setitem(profiles._STEPS, Oprf.KKRT, steps)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("bucket_rows", [128, 32])
@pytest.mark.parametrize(("own", "other", "common"), [(0, 0, 0), (64, 128, 0), (64, 128, 64), (50, 70, 20)])
def test_the_shares_add_up_to_the_plain_join(own: int, other: int, common: int, bucket_rows: int) -> None:
    parameters = replace(PARAMETERS, oprf=Oprf.KKRT, bucket_rows=bucket_rows)
    run, expected = run_join(parameters=parameters, own=own, other=other, common=common, seed=own + common)
    assert np.array_equal(run.first.shares + run.second.shares, expected)
    stated = private_join.traffic(parameters)
    assert sent(run, "equality") == stated["equality"]
    assert any(step.startswith("silent_vole.") for _, step, _ in run.frames)


@pytest.mark.usefixtures("silent")
def test_what_the_wire_shows_is_the_same_for_no_half_and_full_overlap() -> None:
    parameters = replace(PARAMETERS, oprf=Oprf.KKRT)
    lengths = [
        run_join(parameters=parameters, own=own, other=other, common=common, seed=5)[0].lengths()
        for own, other, common in ((64, 64, 0), (64, 64, 32), (64, 64, 64), (3, 128, 0), (0, 0, 0))
    ]
    assert all(each == lengths[0] for each in lengths)


def test_equality_costs_a_fifth_of_the_bytes() -> None:
    """At a full slice; the figures of docs/reference/wire/silent-ot.md."""
    count = equality.SLICE
    soft, own = (sum(side.bytes for side in equality.traffic(count, source=source)) / count for source in SOURCES)
    assert 378 < soft < 379.5 and 68.5 < own < 69.5


SOURCES = (equality.SOFT_SPOKEN, silent_ot.SILENT)


@pytest.mark.parametrize("value", [0, 15])
def test_the_corrections_of_a_real_stock_look_random(value: int) -> None:
    """Random choices from the code's outputs, not from a dealer."""
    pair = silent_pair("random")
    run_pair(pair.sender.prepare(60_000), pair.receiver.prepare(60_000))
    correction = pair.receiver.extend(np.full(60_000, value, dtype=np.uint8)).correction
    packed = np.frombuffer(correction, dtype=np.uint8)
    assert uniform(packed, 256)
    assert uniform((packed[:-1] >> 4) | (packed[1:] & 15) << 4, 256)


def test_stocks_of_one_session_are_unrelated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal numbers in two runs over one set-up: no frame of the equality test comes twice."""
    pair = silent_pair("twice")
    numbers = np.arange(300, dtype=np.uint64)
    frames: list[bytes] = []
    for _ in range(2):
        run = run_pair(equality.sender(pair.sender, numbers), equality.receiver(pair.receiver, numbers))
        frames += [frame[FRAME_HEADER_BYTES:] for *_, frame in run.frames]
    assert len(set(frames)) == len(frames)


BASE = ot_pair("hostile")


@settings(derandomize=True, max_examples=40, deadline=None)
@given(party=st.integers(0, 1), frame=st.integers(0, 4), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_the_peer_s_fault_or_another_result(party: int, frame: int, place: float, bit: int) -> None:
    """Nothing but a refusal ends a run; a bit that is not refused leaves both sides with shares of their own."""

    def tamper(sender: int, number: int, data: bytes) -> bytes:
        if (sender, number) != (party, frame):
            return data
        changed = bytearray(data)
        changed[int(place * len(data))] ^= 1 << bit
        return bytes(changed)

    base = OtPair(replace(BASE.sender, _position=type(BASE.sender._position)()), BASE.receiver)
    base.receiver = replace(BASE.receiver, _position=type(BASE.receiver._position)())
    pair = silent_over(base, "hostile")
    numbers = np.arange(50, dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        use_sizes(patch, stock=400, batch=150)
        try:
            run = run_pair(equality.sender(pair.sender, numbers), equality.receiver(pair.receiver, numbers), tamper)
        except PeerError:
            return
    assert run.first.size == run.second.size == 50
