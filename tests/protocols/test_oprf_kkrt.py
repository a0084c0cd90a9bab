"""Profile `kkrt` of the oblivious PRF: correctness, the code, one answer a bin, what is bound, sizes, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import base_ot, oprf_kkrt
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
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
from tools.slow import kkrt as plain

ROOT = Path(__file__).parents[2]


def run(inputs: Bytes, **options: Any) -> Run[Bytes, oprf_kkrt.Evaluator]:  # Any: options of `run_oprf`
    return run_oprf(oprf_kkrt.receiver, oprf_kkrt.sender, inputs, **options)


def evaluator(rows: Bytes, mask: Bytes, *, session_id: bytes = SESSION, bucket: int = 0) -> oprf_kkrt.Evaluator:
    return oprf_kkrt.Evaluator(output_bytes=OUTPUT_BYTES, session_id=session_id, bucket=bucket, rows=rows, mask=mask)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oprf_kkrt, "CHUNK_BINS", 256)


@pytest.fixture(scope="module")
def honest() -> Run[Bytes, oprf_kkrt.Evaluator]:
    return run(queries(300))


@pytest.mark.parametrize("count", [0, 1, 128, 600])
def test_the_receiver_learns_what_the_sender_evaluates(count: int, small_chunks: None) -> None:
    inputs = queries(count)
    pair = run(inputs)
    assert pair.first.shape == (count, OUTPUT_BYTES)
    assert np.array_equal(pair.first, pair.second.evaluate(inputs, everywhere(count)))
    sliced = [pair.second.evaluate(inputs[i : i + 77], everywhere(count)[i : i + 77]) for i in range(0, count, 77)]
    assert np.array_equal(pair.first, np.concatenate(sliced) if sliced else pair.first)


def test_any_point_of_any_bin_equals_the_reference(honest: Run[Bytes, oprf_kkrt.Evaluator]) -> None:
    points, bins = queries(150, seed=2), np.random.default_rng(3).integers(0, 300, 150)
    found = honest.second.evaluate(points, bins)
    mask = int.from_bytes(honest.second.mask.tobytes(), "little")
    for row, index in enumerate(bins.tolist()):
        held = int.from_bytes(honest.second.rows[index].tobytes(), "little")
        data = points[row].tobytes()
        expected = plain.evaluate(held, mask, SESSION, 0, index=index, data=data, output_bytes=OUTPUT_BYTES)
        assert found[row].tobytes() == expected


def test_the_extension_equals_the_reference() -> None:
    inputs = queries(131)
    generator = np.random.default_rng(4)
    keys = generator.integers(0, 256, (448, 2, 16), dtype=np.uint8)
    mask = generator.integers(0, 256, 56, dtype=np.uint8)
    codes, prefix = oprf_kkrt.code_keys(SESSION, 7), oprf_kkrt.hash_prefix(SESSION, 7)
    assert codes == b"".join(plain.code_keys(SESSION, 7))
    correction, outputs = _kernels.kkrt_receive(keys.reshape(-1), codes, prefix, 0, inputs, OUTPUT_BYTES)
    pairs = [(left.tobytes(), right.tobytes()) for left, right in keys]
    data = [query.tobytes() for query in inputs]
    assert correction.tobytes() == plain.correction(pairs, plain.code_keys(SESSION, 7), data)
    bits = np.unpackbits(mask, bitorder="little")
    chosen = keys[np.arange(448), bits]
    rows = _kernels.kkrt_send(chosen.reshape(-1), mask, 0, correction.tobytes())
    assert rows.shape == (256, 56)
    held, whole = [key.tobytes() for key in chosen], int.from_bytes(mask.tobytes(), "little")
    for index in (0, 63, 64, 127, 128, 130):
        expected = plain.sender_row(held, whole, correction.tobytes(), index)
        assert rows[index].tobytes() == expected.to_bytes(56, "little")
        output = plain.hash_row(SESSION, 7, index, plain.receiver_row(pairs, index), OUTPUT_BYTES)
        assert outputs[index].tobytes() == output


def test_groups_continue_the_streams() -> None:
    """Two slices of bins are the same as one: the group's number is the block counter and starts the bins' numbers."""
    inputs = queries(300)
    keys = np.random.default_rng(5).integers(0, 256, 448 * 32, dtype=np.uint8)
    codes, prefix = oprf_kkrt.code_keys(SESSION, 0), oprf_kkrt.hash_prefix(SESSION, 0)
    whole, outputs = _kernels.kkrt_receive(keys, codes, prefix, 0, inputs, OUTPUT_BYTES)
    for first, last in ((0, 128), (128, 256), (256, 300)):
        part, answers = _kernels.kkrt_receive(keys, codes, prefix, first // 128, inputs[first:last], OUTPUT_BYTES)
        group = 448 * 16
        assert np.array_equal(part, whole[first // 128 * group :][: part.size])
        assert np.array_equal(answers, outputs[first:last])


def test_codewords_equal_the_reference_and_are_far_apart() -> None:
    """Every byte of the input counts, the position number and the domain too: a change moves 128 bits and more."""
    keys = oprf_kkrt.code_keys(SESSION, 0)
    base = queries(1)[0]
    inputs = np.repeat(base[None], 1 + 26 * 8, axis=0)
    for bit in range(26 * 8):
        inputs[1 + bit, bit // 8] ^= np.uint8(1 << bit % 8)
    codewords = _kernels.kkrt_encode(keys, inputs)
    for data, codeword in zip(inputs[::13], codewords[::13], strict=True):
        reference = plain.encode(plain.code_keys(SESSION, 0), data.tobytes())
        assert codeword.tobytes() == reference.to_bytes(56, "little")
    distances = np.bitwise_count(codewords[:, None] ^ codewords[None]).sum(axis=2, dtype=np.int64)
    far = distances[~np.eye(len(inputs), dtype=bool)]
    assert far.min() >= oprf_kkrt.DISTANCE
    assert abs(far.mean() - 224) < 1


def test_the_width_is_the_smallest_whole_number_of_words_that_suffices() -> None:
    largest = 3 * (1 << 24)
    assert oprf_kkrt.weak_point_bits(largest) > 40
    assert oprf_kkrt.weak_point_bits(largest, oprf_kkrt.WIDTH - 64) < 40
    assert oprf_kkrt.weak_point_bits(1) == pytest.approx(66.5, abs=0.1)


def test_session_and_bucket_are_in_the_code_and_in_the_hash(honest: Run[Bytes, oprf_kkrt.Evaluator]) -> None:
    inputs, rows, mask = queries(300), honest.second.rows, honest.second.mask
    codes = {oprf_kkrt.code_keys(session, bucket) for session in (SESSION, bytes(32)) for bucket in (0, 1)}
    prefixes = {oprf_kkrt.hash_prefix(session, bucket) for session in (SESSION, bytes(32)) for bucket in (0, 1)}
    assert len(codes) == len(prefixes) == 4
    assert all(len(prefix) == 64 for prefix in prefixes)
    outputs = [honest.first]
    bare = np.zeros(56, dtype=np.uint8)  # takes the code out: the hash alone is left
    hashes = [evaluator(rows, bare).evaluate(inputs, everywhere(300))]
    for session, bucket in ((bytes(32), 0), (SESSION, 1)):
        for found, used in ((outputs, mask), (hashes, bare)):
            moved = evaluator(rows, used, session_id=session, bucket=bucket)
            found.append(moved.evaluate(inputs, everywhere(300)))
    for found in (outputs, hashes):
        assert len(np.unique(np.concatenate(found)[:, :8], axis=0)) == 900


def test_corrections_look_random_whatever_the_queries(honest: Run[Bytes, oprf_kkrt.Evaluator]) -> None:
    for frames in (honest.frames, run(np.zeros((300, 26), np.uint8)).frames):
        check_looks_random(payloads(frames, "oprf.correction"))


def test_sizes_and_order_of_messages_are_a_function_of_the_number_of_bins(small_chunks: None) -> None:
    expected = [
        (1, "base_ot.receiver_elements", 448 * 64),
        (0, "base_ot.sender_elements", 448 * 32),
        (0, "oprf.correction", 2 * 448 * 16),
        (0, "oprf.correction", 2 * 448 * 16),
        (0, "oprf.correction", 448 * 16),
    ]
    for inputs in (queries(550), queries(550, seed=9), np.zeros((550, 26), np.uint8)):
        lengths = [(sender, step, length - FRAME_HEADER_BYTES) for sender, step, length in run(inputs).lengths()]
        assert lengths == expected
    assert sum(length for _, step, length in expected if step == "oprf.correction") == sum(
        oprf_kkrt.correction_bytes(bins) for bins in (256, 256, 38)
    )


def test_a_changed_correction_changes_the_senders_rows_alone(honest: Run[Bytes, oprf_kkrt.Evaluator]) -> None:
    """The extension is not verifiable: the receiver would harm itself, by matches that are lost."""

    def flip(sender: int, number: int, frame: bytes) -> bytes:
        if sender or number == 0:
            return frame
        body = bytearray(frame)
        for column in range(448):
            body[FRAME_HEADER_BYTES + 16 * column] ^= 1  # bit 0 of each column: bin 0
        return bytes(body)

    pair = run(queries(300), tamper=flip)
    assert np.array_equal(pair.first, honest.first)
    changed = (pair.second.rows != honest.second.rows).any(axis=1)
    assert changed[0] and not changed[1:].any()
    assert np.array_equal(pair.second.rows[0] ^ honest.second.rows[0], honest.second.mask)


@pytest.mark.parametrize(("direction", "number"), [(0, 0), (0, 1), (1, 0)])
def test_truncated_and_longer_messages_are_the_peers_fault(direction: int, number: int) -> None:
    for change in (lambda frame: frame[:-1], lambda frame: frame + b"\x00", lambda frame: frame[:3]):

        def tamper(sender: int, count: int, frame: bytes, f: object = change) -> bytes:
            return f(frame) if (sender, count) == (direction, number) else frame  # type: ignore[operator]

        with pytest.raises(PeerError):
            run(queries(3), tamper=tamper)


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("element", [bytes(32), b"\xff" * 32], ids=["identity", "above the prime"])
def test_a_bad_base_element_is_the_peers_fault(direction: int, element: bytes) -> None:
    def tamper(sender: int, number: int, frame: bytes) -> bytes:
        if (sender, number) != (direction, 0):
            return frame
        return frame[:FRAME_HEADER_BYTES] + element + frame[FRAME_HEADER_BYTES + 32 :]

    with pytest.raises(PeerError, match=r"base_ot\.(sender|receiver)_elements"):
        run(queries(3), tamper=tamper)


def test_arrays_in_column_order_are_refused_by_kernels_and_put_in_order_by_the_protocol(
    honest: Run[Bytes, oprf_kkrt.Evaluator],
) -> None:
    inputs = queries(300)
    columns = np.asfortranarray(inputs)
    codes, prefix = oprf_kkrt.code_keys(SESSION, 0), oprf_kkrt.hash_prefix(SESSION, 0)
    held = honest.second
    with pytest.raises(ValueError, match="row order"):
        _kernels.kkrt_encode(codes, columns)
    with pytest.raises(ValueError, match="row order"):
        _kernels.kkrt_receive(np.zeros(448 * 32, np.uint8), codes, prefix, 0, columns, 16)
    with pytest.raises(ValueError, match="row order"):
        _kernels.kkrt_evaluate(held.rows, held.mask, codes, prefix, columns, everywhere(300), 16)
    with pytest.raises(ValueError, match="row order"):
        rows = np.asfortranarray(held.rows)
        _kernels.kkrt_evaluate(rows, held.mask, codes, prefix, inputs, everywhere(300), 16)
    assert np.array_equal(held.evaluate(columns, everywhere(300)), honest.first)
    assert np.array_equal(held.evaluate(inputs[::-1], everywhere(300)[::-1]), honest.first[::-1])
    assert np.array_equal(run(columns).first, honest.first)


def test_kernels_refuse_malformed_arguments() -> None:
    keys, codes, prefix = np.zeros(448 * 32, np.uint8), bytes(80), bytes(64)
    mask, rows = np.zeros(56, np.uint8), np.zeros((1, 56), np.uint8)
    for call in (
        lambda: _kernels.kkrt_receive(keys[1:], codes, prefix, 0, queries(1), 16),
        lambda: _kernels.kkrt_receive(keys, codes[1:], prefix, 0, queries(1), 16),
        lambda: _kernels.kkrt_receive(keys, codes, prefix[1:], 0, queries(1), 16),
        lambda: _kernels.kkrt_receive(keys, codes, prefix, 1 << 48, queries(1), 16),
        lambda: _kernels.kkrt_receive(keys, codes, prefix, 0, queries(1), 12),
        lambda: _kernels.kkrt_send(keys, mask, 0, bytes(448 * 16)),
        lambda: _kernels.kkrt_send(keys[: 448 * 16], mask[1:], 0, bytes(448 * 16)),
        lambda: _kernels.kkrt_send(keys[: 448 * 16], mask, 0, bytes(448 * 16 - 1)),
        lambda: _kernels.kkrt_evaluate(rows[:, 1:], mask, codes, prefix, queries(1), everywhere(1), 16),
        lambda: _kernels.kkrt_evaluate(rows, mask[1:], codes, prefix, queries(1), everywhere(1), 16),
    ):
        with pytest.raises(ValueError):
            call()


def test_the_base_transfers_are_bound_to_the_bucket() -> None:
    labels = [base_ot.domain(streams(1), f"oprf-kkrt {bucket}") for bucket in (0, 1)]
    first, second = (run(queries(1), bucket=bucket).frames[0][2] for bucket in (0, 1))
    assert first != second and labels[0] != labels[1]
