"""Whole joins on silent transfers over the real vector OLE, whatever the OPRF: sums, traffic, views, hostile bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.errors import PeerError
from cleanroom.protocols import equality, private_join, profiles, silent_ot, silent_vole
from cleanroom.protocols.profiles import Oprf, Steps
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import Tamper, run_pair
from tests.protocols.ot_pairs import SESSION, OtPair, ot_pair
from tests.protocols.silent_pairs import rows_of, silent_over, silent_pair, supplied, use_sizes
from tests.protocols.slow_transfers import PRODUCTS
from tests.protocols.test_private_join import PARAMETERS, run_join
from tests.protocols.test_silent_ot import uniform
from tests.protocols.test_traffic import sent


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(oprf=profiles.steps_of(Oprf.KKRT).oprf, silent=True)
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
    run_pair(pair.sender.prepare(60_000), supplied(pair.receiver, 60_000))
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


def unused(pair: OtPair) -> OtPair:
    """The same set-up, of which nothing has been taken."""
    position = type(pair.sender._position)
    return OtPair(replace(pair.sender, _position=position()), replace(pair.receiver, _position=position()))


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

    pair = silent_over(unused(BASE), "hostile")
    numbers = np.arange(50, dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        use_sizes(patch, stock=400, batch=150)
        try:
            run = run_pair(equality.sender(pair.sender, numbers), equality.receiver(pair.receiver, numbers), tamper)
        except PeerError:
            return
    assert run.first.size == run.second.size == 50


def right_stock(seed: int, tamper: Tamper) -> bool:
    """Whether all 500 transfers that a receiver prepares under that seed are right ones."""
    base = unused(BASE)
    streams = [Streams(seed=bytes([number]) * 32, session_id=SESSION) for number in (7, seed)]
    sender = silent_ot.sender(base.sender, streams=streams[0], label="hostile")
    receiver = silent_ot.receiver(base.receiver, streams=streams[1], label="hostile")
    run_pair(sender.prepare(500), supplied(receiver, 500), tamper)
    offsets = np.stack([rows_of(PRODUCTS[x, BASE.sender.delta][None, :]) for x in range(16)])
    rows, others = sender._stock.rows.reshape(-1, 16), receiver._stock.rows.reshape(-1, 16)
    return np.array_equal(rows, others ^ offsets[receiver._stock.choices])


@pytest.mark.parametrize("frame", [0, 1])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.9, 0.9999])
def test_all_that_a_receiver_sends_to_prepare_a_stock_is_checked(frame: int, place: float) -> None:
    """So its noise is some noise, and each transfer has one choice."""

    def tamper(party: int, number: int, data: bytes) -> bytes:
        if (party, number) != (1, frame):
            return data
        changed = bytearray(data)
        changed[FRAME_HEADER_BYTES + int(place * (len(data) - FRAME_HEADER_BYTES))] ^= 4
        return bytes(changed)

    with pytest.raises(PeerError, match="consistency check"):
        right_stock(1, tamper)


def first_turn(seed: int) -> int:
    """The highest bit of the position of the noise in the first block of that receiver's stock."""
    batch = silent_vole._batches(silent_vole._ROWS, 500, "hostile 0")[0]
    streams = Streams(seed=bytes([seed]) * 32, session_id=SESSION)
    key = streams.key(step="silent_vole", direction="receiver", purpose=batch.label)
    return int.from_bytes(keystream(key, 4), "little") % batch.size.block // (batch.size.block // 2)


@pytest.mark.parametrize("side", [0, 1])
def test_a_wrong_sum_spoils_the_receivers_whose_noise_lies_there_and_no_other(side: int) -> None:
    """What the page says of a sender that deviates: one bit of one position decides, and it is not noticed here."""

    def tamper(party: int, number: int, data: bytes) -> bytes:
        if party != 0:
            return data
        changed = bytearray(data)
        changed[FRAME_HEADER_BYTES + 16 * side + 3] ^= 4  # the first level of the first tree
        return bytes(changed)

    spoiled = []
    for seed in range(8, 20):
        right = right_stock(seed, tamper)
        away = 1 - first_turn(seed)  # the side of the first level whose sum the receiver opens
        assert right == (away != side)
        spoiled.append(not right)
    assert True in spoiled and False in spoiled
