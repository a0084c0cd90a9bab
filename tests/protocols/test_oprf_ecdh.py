"""Profile `ecdh` of the oblivious PRF: correctness, one key a bin, sizes, faults, replay."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from cleanroom.errors import PeerError
from cleanroom.protocols import oprf, oprf_ecdh
from cleanroom.protocols.party import Party
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, decode_frame
from tests.harness import Run, Tamper
from tests.protocols.oprf_pairs import OUTPUT_BYTES, SESSION, Bytes, queries, run_oprf, streams
from tools.slow import oprf as reference


def run(inputs: Bytes, **options: Any) -> Run[Bytes, oprf_ecdh.Evaluator]:  # Any: options of `run_oprf`
    return run_oprf(oprf_ecdh.receiver, oprf_ecdh.sender, inputs, **options)


def bins(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oprf_ecdh, "CHUNK_BINS", 64)
    monkeypatch.setattr(oprf_ecdh, "_WORK_BINS", 24)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_the_receiver_learns_what_the_sender_evaluates(count: int, small_chunks: None) -> None:
    inputs = queries(count)
    pair = run(inputs)
    everywhere = np.arange(count, dtype=np.int64)
    assert pair.first.shape == (count, OUTPUT_BYTES)
    assert np.array_equal(pair.first, pair.second.evaluate(inputs, everywhere))
    sliced = [pair.second.evaluate(inputs[i : i + 7], everywhere[i : i + 7]) for i in range(0, count, 7)]
    assert np.array_equal(pair.first, np.concatenate(sliced) if sliced else pair.first)


def test_the_whole_step_equals_the_reference() -> None:
    inputs = queries(3)
    pair = run(inputs)
    seed = streams(2).key(step="oprf", direction="sender", purpose="bin keys")
    blinds = streams(1).key(step="oprf", direction="receiver", purpose="blinds")
    sent, answered = ((frame[FRAME_HEADER_BYTES:]) for _, _, frame in pair.frames)
    for row in range(3):
        data, key = inputs[row].tobytes(), reference.derive_key(seed, row.to_bytes(8, "little"))
        blinded = reference.blind(data, reference.random_scalar(blinds, row))
        assert sent[32 * row : 32 * row + 32] == blinded
        assert answered[32 * row : 32 * row + 32] == reference.blind_evaluate(key, blinded)
        expected = reference.expand_output(reference.evaluate(key, data), SESSION, OUTPUT_BYTES)
        assert pair.first[row].tobytes() == expected


def test_every_bin_has_a_key_of_its_own() -> None:
    inputs = np.repeat(queries(1), 40, axis=0)
    pair = run(inputs)
    assert len(np.unique(pair.first, axis=0)) == 40
    # The output at a bin says nothing about the same input elsewhere: no answer is usable in a second bin.
    elsewhere = pair.second.evaluate(inputs, np.roll(np.arange(40, dtype=np.int64), 1))
    assert not (pair.first == elsewhere).all(axis=1).any()


def test_no_key_of_a_bin_evaluates_another_bins_blinded_element() -> None:
    inputs = queries(2)

    def swap(sender: int, _: int, frame: bytes) -> bytes:
        if sender:
            return frame
        body = frame[FRAME_HEADER_BYTES:]
        return frame[:FRAME_HEADER_BYTES] + body[32:] + body[:32]

    honest, swapped = run(inputs), run(inputs, tamper=swap)
    assert not (honest.first == swapped.first).all(axis=1).any()


def test_output_parts_have_domains_of_their_own() -> None:
    inputs, where = queries(4), bins(0, 1, 2, 3)
    wide, narrow = (run(inputs, output_bytes=size).second for size in (8 + 8 * 20, 16))
    outputs = wide.evaluate(inputs, where)
    # A narrower output is a prefix: the target does not depend on the number of columns.
    assert np.array_equal(outputs[:, :16], narrow.evaluate(inputs, where))
    words = outputs.view("<u8")
    assert len(np.unique(words)) == words.size


def test_sessions_seeds_and_buckets_separate_outputs() -> None:
    inputs = queries(8)
    base = run(inputs)
    other_session = run(inputs, session_id=bytes(32))
    bucket = run(inputs, bucket=1)
    seen = np.concatenate([base.first, other_session.first, bucket.first])
    assert len(np.unique(seen, axis=0)) == 24
    # The session is bound in the expansion also, not in the keys alone.
    evaluator = base.second
    moved = oprf_ecdh.Evaluator(n_bins=8, output_bytes=OUTPUT_BYTES, session_id=bytes(32), seed=evaluator.seed)
    assert not np.array_equal(moved.evaluate(inputs, np.arange(8)), base.first)


def test_blinded_elements_do_not_repeat_for_equal_queries() -> None:
    frames = run(np.repeat(queries(1), 30, axis=0)).frames
    for _, _, frame in frames:
        body = frame[FRAME_HEADER_BYTES:]
        assert max(Counter(body[i : i + 32] for i in range(0, len(body), 32)).values()) == 1


def test_a_run_is_replayed_byte_for_byte() -> None:
    assert run(queries(50)).frames == run(queries(50)).frames


def test_sizes_and_order_of_messages_are_a_function_of_the_number_of_bins(small_chunks: None) -> None:
    expected = [
        (sender, step, FRAME_HEADER_BYTES + 32 * count)
        for count in (64, 64, 22)
        for sender, step in ((0, "oprf.blinded"), (1, "oprf.evaluated"))
    ]
    for seed in (1, 2):
        assert sorted(run(queries(150, seed)).lengths()) == sorted(expected)
    assert run(queries(150, 1)).lengths() == run(np.zeros((150, 26), np.uint8)).lengths()


def test_progress_ends_at_its_total(small_chunks: None) -> None:
    progress = run(queries(100)).progress
    for reports, total in zip(progress, (200, 100), strict=True):
        done = [report.done for report in reports]
        assert done == sorted(set(done)) and done[-1] == total
        assert {report.total for report in reports} == {total}


def replace(direction: int, start: int, content: bytes) -> Tamper:
    def tamper(sender: int, _: int, frame: bytes) -> bytes:
        at = FRAME_HEADER_BYTES + start
        return frame[:at] + content + frame[at + len(content) :] if sender == direction else frame

    return tamper


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize(
    "element", [bytes(32), b"\xff" * 32, b"\x01" + bytes(31)], ids=["identity", "above the prime", "negative"]
)
def test_a_bad_element_from_the_peer_is_the_peers_fault(direction: int, element: bytes) -> None:
    with pytest.raises(PeerError, match=r"oprf: (blinded|evaluated)_element"):
        run(queries(5), tamper=replace(direction, 64, element))


@pytest.mark.parametrize("direction", [0, 1])
def test_truncated_and_longer_messages_are_the_peers_fault(direction: int) -> None:
    for change in (lambda frame: frame[:-1], lambda frame: frame + b"\x00", lambda frame: frame[:3]):
        with pytest.raises(PeerError):
            run(queries(3), tamper=lambda sender, _, frame, f=change: f(frame) if sender == direction else frame)


@pytest.mark.parametrize("direction", [0, 1])
def test_any_flipped_byte_is_the_peers_fault_or_changes_an_output(direction: int) -> None:
    inputs = queries(2)
    honest = run(inputs).first
    for position in range(FRAME_HEADER_BYTES + 64):

        def flip(sender: int, _: int, frame: bytes, at: int = position) -> bytes:
            return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :] if sender == direction else frame

        try:
            outputs = run(inputs, tamper=flip).first
        except PeerError:
            continue
        assert not np.array_equal(outputs, honest)


def test_a_message_of_the_other_direction_is_refused() -> None:
    frame = run(queries(2)).frames[0][2]
    party = Party(oprf_ecdh.receiver(queries=queries(2), output_bytes=OUTPUT_BYTES, streams=streams(1)))
    while party.advance() is not None:
        pass
    assert party.expected is not None
    with pytest.raises(PeerError, match=r"2\.2 expected, 2\.1 found"):
        decode_frame(frame, party.expected, 0)


def test_misuse_is_refused() -> None:
    evaluator = run(queries(4)).second
    for where in (bins(-1), bins(4)):
        with pytest.raises(ValueError, match="bins are in"):
            evaluator.evaluate(queries(1), where)
    with pytest.raises(ValueError, match="bins are in"):
        evaluator.answer(4, np.zeros((1, 32), np.uint8))
    with pytest.raises(ValueError, match="as many rows"):
        evaluator.evaluate(queries(2), bins(0))
    for size in (0, 8, 17):
        with pytest.raises(ValueError, match="multiple of 8"):
            run(queries(1), output_bytes=size)


def test_streams_are_opened_once_a_bucket() -> None:
    own = streams(2)
    for _ in run_streams(own, bucket=0):
        break
    with pytest.raises(AssertionError, match="opened twice"):
        for _ in run_streams(own, bucket=0):
            break
    for _ in run_streams(own, bucket=1):
        break


def run_streams(own: Streams, bucket: int) -> object:
    return oprf_ecdh.sender(n_bins=1, output_bytes=16, streams=own, bucket=bucket)


def test_the_seed_stays_out_of_repr_and_equality() -> None:
    first, second = (run(queries(1)).second for _ in range(2))
    assert first.seed == second.seed and first != second
    assert "seed" not in repr(first) and repr(first.seed) not in repr(first)


def test_one_sender_key_is_one_scalar() -> None:
    evaluator = run(queries(2)).second
    infos = np.arange(2, dtype="<u8").view(np.uint8).reshape(2, 8)
    assert np.array_equal(evaluator._keys(bins(0, 1)), oprf.derive_keys(evaluator.seed, infos))
