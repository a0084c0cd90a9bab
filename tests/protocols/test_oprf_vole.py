"""Profile `vole` of the oblivious PRF: correctness, one answer a bin, what is bound, sizes, faults.

Its vector OLE is `silent_vole`, or where nothing but the OPRF is looked at, a dealer that both sides trust.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import oprf_vole, silent_vole
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.silent_vole import VoleReceiver, VoleSender
from cleanroom.protocols.traffic import NOTHING, Traffic
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol
from tests.harness import Run
from tests.protocols.oprf_pairs import (
    OUTPUT_BYTES,
    SESSION,
    Bytes,
    check_looks_random,
    everywhere,
    payloads,
    queries,
    run_oprf,
    streams,
)
from tools.slow import oprf_vole as plain

Words = NDArray[np.uint64]
Pair = Run[Bytes, oprf_vole.Evaluator]


def number(element: Words | bytes) -> int:
    return int.from_bytes(element if isinstance(element, bytes) else element.astype("<u8").tobytes(), "little")


class Dealer:
    """Stands where `silent_vole` does: hands both sides their halves without a message."""

    @staticmethod
    def _dealt(streams: Streams, label: str, length: int) -> tuple[Words, Words, bytes]:
        seed = hashlib.sha256(streams.session_id + label.encode()).digest()
        rng = np.random.default_rng(list(seed))
        masks, values = rng.integers(0, 1 << 64, (2, length, 2), dtype=np.uint64)
        return masks, values, rng.bytes(16)

    @classmethod
    def receiver(cls, *, streams: Streams, label: str, length: int) -> Protocol[VoleReceiver]:
        masks, values, _ = cls._dealt(streams, label, length)
        return VoleReceiver(u=masks, v=values)
        yield

    @classmethod
    def sender(cls, *, streams: Streams, label: str, length: int) -> Protocol[VoleSender]:
        masks, values, delta = cls._dealt(streams, label, length)
        return VoleSender(delta=delta, k=_kernels.gf128_multiply_add(masks, delta, values))
        yield

    @staticmethod
    def traffic(length: int) -> Traffic:
        return NOTHING, NOTHING


@pytest.fixture
def dealer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oprf_vole, "silent_vole", Dealer)


def run(inputs: Bytes, **options: Any) -> Pair:  # Any: options of `run_oprf`
    return run_oprf(oprf_vole.receiver, oprf_vole.sender, inputs, **options)


def evaluator(rows: Words, delta: bytes, *, session_id: bytes = SESSION, bucket: int = 0) -> oprf_vole.Evaluator:
    return oprf_vole.Evaluator(output_bytes=OUTPUT_BYTES, session_id=session_id, bucket=bucket, rows=rows, delta=delta)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oprf_vole, "CHUNK_BINS", 256)


@pytest.fixture(scope="module")
def honest() -> Pair:
    return run(queries(300))


@pytest.mark.parametrize("count", [1, 128, 600])
def test_the_receiver_learns_what_the_sender_evaluates(count: int, small_chunks: None) -> None:
    inputs = queries(count)
    pair = run(inputs)
    assert pair.first.shape == (count, OUTPUT_BYTES)
    assert np.array_equal(pair.first, pair.second.evaluate(inputs, everywhere(count)))
    sliced = [pair.second.evaluate(inputs[i : i + 77], everywhere(count)[i : i + 77]) for i in range(0, count, 77)]
    assert np.array_equal(pair.first, np.concatenate(sliced))


def test_nothing_but_the_vector_ole_lies_between_the_sides(dealer: None, small_chunks: None) -> None:
    inputs = queries(600)
    pair = run(inputs)
    assert np.array_equal(pair.first, pair.second.evaluate(inputs, everywhere(600)))
    assert {step for _, step, _ in pair.frames} == {"oprf.masked"}


def test_every_value_equals_the_reference(dealer: None) -> None:
    inputs = queries(70)
    pair = run(inputs, bucket=7, output_bytes=8 + 8 * 9)
    masks, values, delta = Dealer._dealt(streams(1), "oprf-vole 7", 70)
    keys = _kernels.gf128_multiply_add(masks, delta, values)
    sent = payloads(pair.frames, "oprf.masked")
    elsewhere = pair.second.evaluate(inputs[::-1], everywhere(70))
    for at, query in enumerate(inputs):
        data = query.tobytes()
        message = plain.masked(SESSION, 7, data, number(masks[at]))
        assert sent[16 * at : 16 * at + 16] == message
        row = plain.sender_row(number(keys[at]), number(delta), message)
        assert number(pair.second.rows[at]) == row
        assert pair.first[at].tobytes() == plain.hash_element(SESSION, 7, at, number(values[at]), 80)
        for point, output in ((data, pair.first[at]), (inputs[69 - at].tobytes(), elsewhere[at])):
            expected = plain.evaluate(row, number(delta), SESSION, 7, index=at, data=point, output_bytes=80)
            assert output.tobytes() == expected


def test_every_byte_of_the_input_moves_the_point() -> None:
    base = queries(1)[0]
    inputs = np.repeat(base[None], 1 + 26 * 8, axis=0)
    for bit in range(26 * 8):
        inputs[1 + bit, bit // 8] ^= np.uint8(1 << bit % 8)
    points = _kernels.oprf_vole_points(oprf_vole.input_prefix(SESSION, 0), inputs)
    assert points.shape == (209, 2)
    assert len(np.unique(points)) == 418


def test_whatever_a_receiver_sends_it_holds_the_answer_of_one_element_a_bin(dealer: None) -> None:
    """What is sent is one element a bin: it moves which point is answered, and never answers two."""
    inputs = queries(8)
    masks, values, _ = Dealer._dealt(streams(1), "oprf-vole 0", 8)
    prefix = oprf_vole.output_prefix(SESSION, 0)
    own = _kernels.oprf_vole_outputs(prefix, everywhere(8), values, OUTPUT_BYTES)

    def both(sender: int, count: int, frame: bytes) -> bytes:
        """Sums the points of two inputs into each bin, as a store with two points there would."""
        points = _kernels.oprf_vole_points(oprf_vole.input_prefix(SESSION, 0), np.roll(inputs, 1, axis=0))
        body = np.frombuffer(frame[FRAME_HEADER_BYTES:], dtype="<u8").reshape(-1, 2) ^ points
        return frame[:FRAME_HEADER_BYTES] + body.tobytes()

    prf = run(inputs, tamper=both).second
    for points in (inputs, np.roll(inputs, 1, axis=0)):
        assert not (prf.evaluate(points, everywhere(8)) == own).all(axis=1).any()
    assert masks.any()


def test_session_and_bucket_are_in_both_hashes(honest: Pair) -> None:
    inputs, rows, delta = queries(300), honest.second.rows, honest.second.delta
    places = [(session, bucket) for session in (SESSION, bytes(32)) for bucket in (0, 1)]
    prefixes = {make(*place) for make in (oprf_vole.input_prefix, oprf_vole.output_prefix) for place in places}
    assert len(prefixes) == 8
    assert all(len(prefix) == 64 for prefix in prefixes)
    points = [_kernels.oprf_vole_points(oprf_vole.input_prefix(*place), inputs) for place in places]
    assert len(np.unique(np.concatenate(points))) == 4 * 600
    bare = bytes(16)  # takes the input out: the output hash alone is left
    for used in (delta, bare):
        outputs = [
            evaluator(rows, used, session_id=session, bucket=bucket).evaluate(inputs, everywhere(300))
            for session, bucket in places
        ]
        assert len(np.unique(np.concatenate(outputs)[:, :8], axis=0)) == 1200


def test_masked_points_look_random_whatever_the_queries() -> None:
    for inputs in (queries(3000), np.zeros((3000, 26), np.uint8)):
        check_looks_random(payloads(run(inputs).frames, "oprf.masked"))


def test_mutation_without_the_mask_the_messages_name_the_queries(dealer: None) -> None:
    """What hides a query is u, which is used for one bin of one run."""
    inputs = queries(20)
    sent = np.frombuffer(payloads(run(inputs).frames, "oprf.masked"), dtype="<u8").reshape(-1, 2)
    masks, _, _ = Dealer._dealt(streams(1), "oprf-vole 0", 20)
    points = _kernels.oprf_vole_points(oprf_vole.input_prefix(SESSION, 0), inputs)
    assert np.array_equal(sent ^ masks, points)
    assert not (sent == points).any()


def test_sizes_and_order_of_messages_are_a_function_of_the_number_of_bins(small_chunks: None) -> None:
    runs = [run(inputs) for inputs in (queries(550), queries(550, seed=9), np.zeros((550, 26), np.uint8))]
    assert len({tuple(each.lengths()) for each in runs}) == 1
    lengths = [(sender, step, length - FRAME_HEADER_BYTES) for sender, step, length in runs[0].lengths()]
    assert lengths[-3:] == [(0, "oprf.masked", 16 * bins) for bins in (256, 256, 38)]
    stated = oprf_vole.traffic(550)
    for sender, volume in enumerate(stated):
        own = [len(frame) for who, _, frame in runs[0].frames if who == sender]
        assert (volume.messages, volume.bytes) == (len(own), sum(own))


def test_a_changed_point_changes_the_senders_element_alone(dealer: None) -> None:
    """What is sent is not verifiable: the receiver would harm itself, by matches that are lost."""
    honest = run(queries(300))

    def flip(sender: int, count: int, frame: bytes) -> bytes:
        body = bytearray(frame)
        body[FRAME_HEADER_BYTES] ^= 1  # adds the element 1 to bin 0
        return bytes(body)

    pair = run(queries(300), tamper=flip)
    assert np.array_equal(pair.first, honest.first)
    changed = (pair.second.rows != honest.second.rows).any(axis=1)
    assert changed[0] and not changed[1:].any()
    assert number(pair.second.rows[0] ^ honest.second.rows[0]) == number(honest.second.delta)


@pytest.mark.parametrize("change", [lambda frame: frame[:-1], lambda frame: frame + b"\x00", lambda frame: frame[:3]])
def test_truncated_and_longer_messages_are_the_peers_fault(change: Callable[[bytes], bytes]) -> None:
    messages = [(sender, step) for sender, step, _ in run(queries(3)).frames]
    for place, (sender, step) in enumerate(messages):
        ordinal = sum(who == sender for who, _ in messages[:place])

        def tamper(who: int, count: int, frame: bytes, where: tuple[int, int] = (sender, ordinal)) -> bytes:
            return change(frame) if (who, count) == where else frame

        with pytest.raises(PeerError, match=step.replace(".", r"\.")):
            run(queries(3), tamper=tamper)


def test_arrays_in_column_order_are_refused_by_kernels_and_put_in_order_by_the_protocol(honest: Pair) -> None:
    inputs = queries(300)
    columns = np.asfortranarray(inputs)
    held = honest.second
    with pytest.raises(ValueError, match="row order"):
        _kernels.oprf_vole_points(bytes(64), columns)
    with pytest.raises(ValueError, match="row order"):
        _kernels.oprf_vole_outputs(bytes(64), everywhere(300), np.asfortranarray(held.rows), 16)
    assert np.array_equal(held.evaluate(columns, everywhere(300)), honest.first)
    assert np.array_equal(held.evaluate(inputs[::-1], everywhere(300)[::-1]), honest.first[::-1])
    assert np.array_equal(run(columns).first, honest.first)


def test_kernels_refuse_malformed_arguments() -> None:
    elements = np.zeros((1, 2), np.uint64)
    for call in (
        lambda: _kernels.oprf_vole_points(bytes(63), queries(1)),
        lambda: _kernels.oprf_vole_outputs(bytes(65), everywhere(1), elements, 16),
        lambda: _kernels.oprf_vole_outputs(bytes(64), everywhere(2), elements, 16),
        lambda: _kernels.oprf_vole_outputs(bytes(64), everywhere(1), np.zeros((1, 3), np.uint64), 16),
        lambda: _kernels.oprf_vole_outputs(bytes(64), everywhere(1), elements, 12),
        lambda: _kernels.oprf_vole_outputs(bytes(64), everywhere(1), elements, 8),
        lambda: _kernels.oprf_vole_outputs(bytes(64), everywhere(1), elements, (1 << 20) + 8),
    ):
        with pytest.raises(ValueError):
            call()


def test_the_receivers_halves_are_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    """u and what was sent give the points of all queries, v their answers."""
    given: list[Words] = []
    real = silent_vole.receiver

    def noted(**arguments: Any) -> Protocol[VoleReceiver]:
        halves = yield from real(**arguments)
        assert halves.u.all() and halves.v.all()
        given.extend((halves.u, halves.v))
        return halves

    monkeypatch.setattr(silent_vole, "receiver", noted)
    run(queries(10))
    assert len(given) == 2 and not any(half.any() for half in given)
