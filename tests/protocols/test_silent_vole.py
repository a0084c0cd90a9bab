"""Silent VOLE: the correlation holds over both fields, for all lengths, and no message shows more than it should."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import silent_vole
from cleanroom.protocols.lpn import BATCH, SMALLEST
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.silent_vole import VoleReceiver, VoleSender
from cleanroom.protocols.traffic import Traffic, messages
from tests.harness import Run, run_pair
from tests.protocols.ot_pairs import SESSION, OtPair, ot_pair
from tests.protocols.silent_pairs import extended
from tools.slow import transfers as plain

LENGTHS = [1, 5, SMALLEST - 1, SMALLEST, SMALLEST + 1, 10_000]

Rows = NDArray[np.uint8]


def both_streams(session: bytes = SESSION) -> tuple[Streams, Streams]:
    return Streams(seed=bytes([3]) * 32, session_id=session), Streams(seed=bytes([4]) * 32, session_id=session)


def field_run(length: int) -> Run[VoleReceiver, VoleSender]:
    """Receiver first."""
    one, other = both_streams()
    return run_pair(
        silent_vole.receiver(streams=one, label="x", length=length),
        silent_vole.sender(streams=other, label="x", length=length),
    )


def row_run(pair: OtPair, length: int, batch: int = 0) -> Run[tuple[Rows, Rows], Rows]:
    """Receiver first."""
    one, other = both_streams()
    return run_pair(
        extended(pair.receiver, streams=one, label="x", batch=batch, count=length),
        silent_vole.extend_sender(pair.sender, streams=other, label="x", batch=batch, count=length),
    )


def number(words: NDArray[np.uint64]) -> int:
    return int(words[0]) | int(words[1]) << 64


def offsets(delta: Rows) -> Rows:
    """x·Δ as rows of 16 bytes, for the sixteen x."""
    nibbles = np.array([[plain.multiply(x, int(element)) for element in delta] for x in range(16)], dtype=np.uint8)
    rows: Rows = nibbles[:, 0::2] | nibbles[:, 1::2] << np.uint8(4)
    return rows


def sent(run: Run[object, object]) -> Traffic:
    """What the first and the second party sent."""
    lengths = [[len(frame) - 16 for party, _, frame in run.frames if party == one] for one in (0, 1)]
    return messages(*lengths[0]), messages(*lengths[1])


@pytest.mark.parametrize("length", LENGTHS)
def test_the_correlation_over_gf_2_128_holds(length: int) -> None:
    run = field_run(length)
    received, made = run.first, run.second
    assert received.u.shape == received.v.shape == made.k.shape == (length, 2)
    assert np.array_equal(_kernels.gf128_multiply_add(received.u, made.delta, received.v), made.k)
    delta = int.from_bytes(made.delta, "little")
    for place in {0, length // 2, length - 1}:
        product = plain.multiply_128(number(received.u[place]), delta)
        assert number(made.k[place]) == number(received.v[place]) ^ product
    assert sent(run) == silent_vole.traffic(length)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_correlation_over_f16_holds(length: int) -> None:
    pair = ot_pair("rows")
    run = row_run(pair, length)
    choices, rows = run.first
    assert choices.shape == (length,) and rows.shape == run.second.shape == (length, 16)
    assert np.array_equal(rows ^ offsets(pair.sender.delta)[choices], run.second)
    assert sent(run) == silent_vole.extension_traffic(length)


def test_more_than_a_batch_is_made_of_batches() -> None:
    pair = ot_pair("rows")
    run = row_run(pair, BATCH + 70_000)
    choices, rows = run.first
    assert np.array_equal(rows ^ offsets(pair.sender.delta)[choices], run.second)
    assert sent(run) == silent_vole.extension_traffic(BATCH + 70_000)
    assert len(np.unique(choices[:BATCH] ^ np.resize(choices[BATCH:], BATCH))) == 16  # not the same ones again


def test_batches_under_one_set_up_go_on() -> None:
    pair = ot_pair("rows")
    first, second = row_run(pair, 100, batch=0), row_run(pair, 100, batch=1)
    for run in (first, second):
        assert np.array_equal(run.first[1] ^ offsets(pair.sender.delta)[run.first[0]], run.second)
    assert not np.array_equal(first.second, second.second)


def test_what_is_random_looks_random() -> None:
    """Bits of u, v and k, each within five standard deviations of one half."""
    run = field_run(4096)
    choices, rows = row_run(ot_pair("rows"), 4096).first
    for words in (run.first.u, run.first.v, run.second.k, rows):
        ones = np.unpackbits(words.view(np.uint8)).sum()
        assert abs(int(ones) - words.nbytes * 4) < 5 * (words.nbytes * 2) ** 0.5
    counts = np.bincount(choices, minlength=16)
    assert counts.size == 16 and abs(counts - 256).max() < 5 * 15.5


def test_a_label_serves_once() -> None:
    one, _ = both_streams()
    pair = ot_pair("rows")

    def start() -> None:
        next(silent_vole.extend_receiver(pair.receiver, streams=one, label="x", batch=0, count=9))

    start()
    with pytest.raises(AssertionError, match="opened twice"):
        start()


def test_secrets_stay_out_of_repr() -> None:
    run = field_run(1)
    for thing in (run.first, run.second):
        assert "array" not in repr(thing) and "delta" not in repr(thing)


ROOTS = np.zeros(32, dtype=np.uint8)
VECTOR = np.zeros((128, 2), dtype=np.uint64)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _kernels.gf128_multiply_add(VECTOR, bytes(15), VECTOR),
        lambda: _kernels.gf128_multiply_add(VECTOR, bytes(16), VECTOR[1:]),
        lambda: _kernels.gf128_multiply_add(VECTOR[:, :1], bytes(16), VECTOR[:, :1]),
        lambda: _kernels.gf128_multiply_add(VECTOR[::2], bytes(16), VECTOR[::2]),
        lambda: _kernels.pprf_expand(ROOTS[:31], bytes(32), 3),
        lambda: _kernels.pprf_expand(ROOTS, bytes(31), 3),
        lambda: _kernels.pprf_expand(ROOTS, bytes(32), 0),
        lambda: _kernels.pprf_expand(ROOTS, bytes(32), 25),
        lambda: _kernels.pprf_reconstruct(ROOTS[:4], bytes(32), np.zeros(64, dtype=np.uint8), ROOTS[:15]),
        lambda: _kernels.pprf_reconstruct(ROOTS[:4], bytes(32), np.zeros(63, dtype=np.uint8), ROOTS[:16]),
        lambda: _kernels.pprf_reconstruct(ROOTS[:5], bytes(32), np.zeros(80, dtype=np.uint8), ROOTS),
        lambda: _kernels.pprf_reconstruct(ROOTS[:4] + np.uint8(2), bytes(32), np.zeros(64, dtype=np.uint8), ROOTS[:16]),
        lambda: _kernels.pprf_reconstruct(ROOTS[:0], bytes(32), ROOTS[:0], ROOTS[:0]),
        lambda: _kernels.pprf_reconstruct(ROOTS[:4], bytes(16), np.zeros(64, dtype=np.uint8), ROOTS[:16]),
        lambda: _kernels.expand_convolute(bytes(15), VECTOR.copy()),
        lambda: _kernels.expand_convolute(bytes(16), VECTOR[:126].copy()),
        lambda: _kernels.expand_convolute(bytes(16), VECTOR[:120].copy()),
        lambda: _kernels.expand_convolute(bytes(16), np.zeros((2, 128), dtype=np.uint64).T),
        lambda: _kernels.expand_convolute_pair(bytes(16), VECTOR.copy(), np.zeros((136, 2), dtype=np.uint64)),
        lambda: _kernels.expand_convolute_pair(bytes(15), VECTOR.copy(), VECTOR.copy()),
        lambda: _kernels.expand_convolute_with_bytes(bytes(16), VECTOR.copy(), np.zeros(127, dtype=np.uint8)),
        lambda: _kernels.expand_convolute_with_bytes(bytes(16), VECTOR.copy(), np.zeros(256, dtype=np.uint8)[::2]),
        lambda: _kernels.expand_convolute_with_bytes(bytes(17), VECTOR.copy(), np.zeros(128, dtype=np.uint8)),
    ],
)
def test_kernels_refuse_malformed_arguments(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()
