"""The grouped sum: right sums, public sizes, agreement with the reference, and each leak shut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import AgreementError, DataError, PeerError
from cleanroom.protocols import grouped_sum
from cleanroom.protocols.grouped_sum import (
    CIPHERTEXT_BYTES,
    RING_BYTES,
    Receiver,
    Sender,
    Shape,
    Weights,
    check_entries,
    local_sum,
    receiver,
    sender,
)
from cleanroom.protocols.rlwe import (
    ANSWER_MODULUS,
    ANSWER_PRIMES,
    DEGREE,
    MODULUS,
    PRIMES,
    encode,
    flood_bound,
    from_residues,
    noise_bound,
    switch,
)
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import Run, run_pair
from tools.slow import ring as reference

Words = NDArray[np.uint64]
SumRun = Run[Words, Words]
ROOT = Path(__file__).resolve().parents[2]
VECTOR = ROOT / "tests/vectors/grouped_sum/v1/run.json"
TOOL = ROOT / "tools/grouped_sum_vectors.py"
SESSION = bytes(range(32))
_SECRET = _kernels.RlweSecret


def _streams(party: int) -> Streams:
    return Streams(seed=bytes([party]) * 32, session_id=SESSION)


def _shape(groups: int = 2, class_position: tuple[int, ...] = (0,), **bounds: int) -> Shape:
    return Shape(
        groups=groups,
        class_position=class_position,
        **({"rows": 1 << 14, "weight_bound": 4096, "entries_per_bin": 8} | bounds),
    )


def _weights(*entries: tuple[int, int, int]) -> Weights:
    table = np.array(entries, dtype=np.int64).reshape(-1, 3)
    return Weights.of_entries(table[:, 0].copy(), table[:, 1].astype(np.int32), table[:, 2].copy())


def _shares(n_bins: int, columns: int, seed: int = 7) -> Words:
    return np.random.default_rng(seed).integers(0, 1 << 64, (n_bins, columns), dtype=np.uint64)


def _run(shape: Shape, shares: Words, weights: Weights, tamper: Any = None) -> SumRun:
    return run_pair(
        sender(streams=_streams(1), shape=shape, shares=shares),
        receiver(streams=_streams(2), shape=shape, n_bins=len(shares), weights=weights),
        tamper,
    )


def _plain(shape: Shape, shares: Words, weights: Weights) -> Words:
    total = [[0] * shape.columns for _ in range(shape.groups)]
    bins = np.repeat(weights.bins, np.diff(weights.indptr))
    table = zip(bins.tolist(), weights.targets.tolist(), weights.weights.tolist(), strict=True)
    for bin_, target, weight in table:
        position, group = divmod(target, shape.groups)
        for column, own in enumerate(shape.class_position):
            if own == position:
                total[group][column] = (total[group][column] + weight * int(shares[bin_, column])) % (1 << 64)
    return np.array(total, dtype=np.uint64)


def _payloads(run: SumRun, step: str) -> bytes:
    return b"".join(frame[FRAME_HEADER_BYTES:] for _, name, frame in run.frames if name == f"grouped_sum.{step}")


@pytest.mark.parametrize("n_bins", [1, 100, DEGREE - 1, DEGREE, DEGREE + 1, 3 * DEGREE + 5])
def test_shares_add_up_to_the_plain_sum(n_bins: int) -> None:
    shape = _shape(3, (0, 1, 0), entries_per_bin=40)
    rng = np.random.default_rng(n_bins)
    weights = Weights.of_entries(
        rng.integers(0, n_bins, 40), rng.integers(0, 6, 40).astype(np.int32), rng.integers(-4096, 4097, 40)
    )
    shares = _shares(n_bins, 3)
    run = _run(shape, shares, weights)
    expected = _plain(shape, shares, weights)
    np.testing.assert_array_equal(run.first + run.second, expected)
    np.testing.assert_array_equal(local_sum(shape=shape, weights=weights, shares=shares), expected)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_small_sum_is_exact(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 3))
    shape = _shape(2, tuple(range(columns)), rows=50, weight_bound=720720, entries_per_bin=50)
    entry = st.tuples(st.integers(0, 29), st.integers(0, shape.targets - 1), st.integers(-720720, 720720))
    weights = _weights(*data.draw(st.lists(entry, max_size=50)))
    word = st.one_of(st.integers(0, 3), st.integers((1 << 64) - 3, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
    shares = np.array(data.draw(st.lists(word, min_size=30 * columns, max_size=30 * columns)), dtype=np.uint64)
    shares = shares.reshape(30, columns)
    run = _run(shape, shares, weights)
    np.testing.assert_array_equal(run.first + run.second, _plain(shape, shares, weights))


def test_sums_are_exact_at_the_bounds_of_the_slack() -> None:
    rows, bound = DEGREE, 1 << 38
    shape = _shape(2, (0,), rows=rows, weight_bound=bound, entries_per_bin=2)
    assert 0 <= grouped_sum.slack_bits(rows=rows, weight_bound=bound, outputs=2) < 11
    weights = Weights.of_entries(
        np.tile(np.arange(rows, dtype=np.int64), 2),
        np.repeat(np.arange(2, dtype=np.int32), rows),
        np.repeat(np.array([bound, -bound]), rows),
    )
    shares = np.full((rows, 1), (1 << 64) - 1, dtype=np.uint64)
    run = _run(shape, shares, weights)
    np.testing.assert_array_equal(run.first + run.second, _plain(shape, shares, weights))


def test_buckets_add_up_under_one_accumulator() -> None:
    shape = _shape(2, (0, 1))
    sizes = (10, DEGREE + 3, 7)
    buckets = [(_shares(size, 2, size), _weights((3, 0, 5), (size - 1, 3, -9), (0, 2, size % 100))) for size in sizes]

    def outcome() -> Any:
        party = Sender(streams=_streams(1), shape=shape)
        yield from party.setup()
        for shares, _ in buckets:
            yield from party.add(shares)
        return (yield from party.finish())

    def exposure() -> Any:
        party = Receiver(streams=_streams(2), shape=shape)
        yield from party.setup()
        for size, (_, weights) in zip(sizes, buckets, strict=True):
            yield from party.add(n_bins=size, weights=weights)
        return (yield from party.finish())

    run = run_pair(outcome(), exposure())
    expected = sum(_plain(shape, shares, weights) for shares, weights in buckets)
    np.testing.assert_array_equal(run.first + run.second, expected)
    assert len(_payloads(run, "answers")) == 4 * (RING_BYTES + 14)


def test_lengths_are_a_function_of_public_parameters() -> None:
    shape = _shape(9, (0, 1, 1), entries_per_bin=30)
    none = _run(shape, np.zeros((9000, 3), dtype=np.uint64), _weights())
    many = _run(shape, _shares(9000, 3), _weights(*((i * 300, i % 18, 4096) for i in range(30))))
    assert none.lengths() == many.lengths()
    assert len(_payloads(none, "ciphertexts")) == 2 * 3 * CIPHERTEXT_BYTES
    assert len(_payloads(none, "public_keys")) == 3 * CIPHERTEXT_BYTES
    # Every group of both classes is answered: one c1 and one coefficient of c0 a column, nothing else.
    assert len(_payloads(none, "answers")) == 9 * (RING_BYTES + 14) + 9 * (RING_BYTES + 28)


# --- agreement with the reference


# --- what the sender sees. Each check below is also run against the mutation that it is there to catch.


def _rings(run: SumRun, shape: Shape) -> list[bytes]:
    """The c1 of every target, for shapes with one class whose answers fill one payload each."""
    found = []
    for _, name, frame in run.frames:
        if name == "grouped_sum.answers":
            count = (len(frame) - FRAME_HEADER_BYTES) // (RING_BYTES + 14 * shape.columns)
            payload = frame[FRAME_HEADER_BYTES:]
            found += [payload[i * RING_BYTES : (i + 1) * RING_BYTES] for i in range(count)]
    return found


def _noises(run: SumRun, shape: Shape, encoding: Callable[[int], int] = encode) -> NDArray[np.float64]:
    """The sender's view of the noise of every output, in units of the flood's bound; one class only."""
    secret = _SECRET(_streams(1).key(step="grouped_sum", direction="sender", purpose="secrets"), shape.columns)
    bound = flood_bound(rows=shape.rows, weight_bound=shape.weight_bound, outputs=shape.outputs)
    columns = np.arange(shape.columns, dtype=np.uint32)
    noises = []
    for _, name, frame in run.frames:
        if name != "grouped_sum.answers":
            continue
        payload = frame[FRAME_HEADER_BYTES:]
        count = len(payload) // (RING_BYTES + 14 * shape.columns)
        rings = _kernels.rlwe_unpack(payload[: count * RING_BYTES], 2, DEGREE).reshape(count, 2, DEGREE)
        constants = _kernels.rlwe_unpack(payload[count * RING_BYTES :], 2, 1).reshape(-1, 2).tolist()
        products = secret.product_constants(rings, columns).reshape(-1, 2).tolist()
        for c0, c1 in zip(constants, products, strict=True):
            phase = (from_residues(c0, ANSWER_PRIMES) + from_residues(c1, ANSWER_PRIMES)) % ANSWER_MODULUS
            word = int(run.first.ravel()[len(noises)])
            lifted = phase * PRIMES[2] - encoding(word)
            noises.append(((lifted + MODULUS // 2) % MODULUS - MODULUS // 2) / bound)
    return np.array(noises)


def _confirms_guess(ring: bytes, seed: bytes, guess: list[tuple[int, int]]) -> bool:
    """Whether c1 is what the guessed weights of block 0 give without re-randomisation."""
    product = reference.multiply(reference.public_element(seed, 1), reference.weight_polynomial(guess))
    return ring == reference.pack([switch(x) for x in product], ANSWER_PRIMES)


def test_c1_confirms_no_guess_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = _shape(2)
    guess = [(3, 17), (40, -2)]
    weights = _weights(*((slot, 1, weight) for slot, weight in guess))
    honest = _run(shape, _shares(50, 1), weights)
    seed = _payloads(honest, "seed")
    assert not _confirms_guess(_rings(honest, shape)[1], seed, guess)

    def none(seed: bytes, key: bytes, first: int, count: int, keys: Words) -> tuple[Words, Words]:
        return np.zeros((count, 3, DEGREE), dtype=np.uint64), np.zeros((count, len(keys), 3), dtype=np.uint64)

    monkeypatch.setattr(grouped_sum, "_encrypt_zeros", none)
    broken = _run(shape, _shares(50, 1), weights)
    assert _confirms_guess(_rings(broken, shape)[1], seed, guess)


def test_every_answer_has_an_encryption_of_zero_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = _shape(12, (0,))
    rings = _rings(_run(shape, _shares(5, 1), _weights()), shape)
    assert len(rings) == 12
    assert len(set(rings)) == 12

    def shared(seed: bytes, key: bytes, first: int, count: int, keys: Words) -> tuple[Words, Words]:
        ring, constant = _kernels.rlwe_encrypt_zeros(seed, key, 0, 1, keys)
        return np.repeat(ring, count, axis=0), np.repeat(constant, count, axis=0)

    monkeypatch.setattr(grouped_sum, "_encrypt_zeros", shared)
    assert len(set(_rings(_run(shape, _shares(5, 1), _weights()), shape))) == 1


def test_encryptions_of_zero_have_both_errors() -> None:
    """The switch rounds the errors away, so no answer and no vector of answers shows whether they were drawn."""
    seed, key = b"\x21" * 32, b"\x42" * 32
    public = [reference.public_element(seed, 7), reference.public_element(seed, 8)]
    keys = _kernels.rlwe_unpack(b"".join(reference.pack(one, PRIMES) for one in public), 3, DEGREE)
    rings, constants = grouped_sum._encrypt_zeros(seed, key, 5, 2, keys.reshape(2, 3, DEGREE))
    for index in range(2):
        draws = reference.Draws(key, 5 + index)
        ring, constant = reference.encrypt_zero(reference.public_element(seed, 0), public, draws)
        assert rings[index].astype("<u8").reshape(-1, 1).view(np.uint8)[:, :7].tobytes() == reference.pack(ring, PRIMES)
        assert [from_residues(parts, PRIMES) for parts in constants[index].tolist()] == constant


def _uniform_distance(values: NDArray[np.float64]) -> float:
    """Kolmogorov–Smirnov distance from uniform in [-1, 1]."""
    ordered = np.sort(values)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    expected = (ordered + 1) / 2
    return float(max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max()))


def _heavy(shape: Shape, n_bins: int) -> Weights:
    """As much weight in every group as the bounds allow."""
    return Weights.of_entries(
        np.tile(np.arange(n_bins, dtype=np.int64), shape.groups),
        np.repeat(np.arange(shape.groups, dtype=np.int32), n_bins),
        np.full(n_bins * shape.groups, shape.weight_bound),
    )


def test_noise_is_the_flood_whatever_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    n_bins = 40
    shape = _shape(100, (0, 0, 0, 0), rows=n_bins, weight_bound=1 << 30, entries_per_bin=100)
    shares = _shares(n_bins, 4)
    # The distance of 400 draws passes 0.1 with probability 7e-4; the seeds are fixed.
    nothing = _noises(_run(shape, shares, _weights()), shape)
    everything = _noises(_run(shape, shares, _heavy(shape, n_bins)), shape)
    assert len(nothing) == 400
    assert _uniform_distance(nothing) < 0.1
    assert _uniform_distance(everything) < 0.1
    # Equal floods, so what remains is all that the weights change, and the rounding of the switch.
    own = noise_bound(rows=n_bins, weight_bound=1 << 30) + PRIMES[2] * (DEGREE + 1)
    bound = flood_bound(rows=n_bins, weight_bound=1 << 30, outputs=400)
    assert np.abs(nothing - everything).max() <= 2 * own / bound
    assert own / bound < 2**-18

    monkeypatch.setattr(grouped_sum, "_floods", lambda key, shape: [0] * shape.outputs)
    bare = _noises(_run(shape, shares, _weights()), shape)
    assert _uniform_distance(bare) > 0.4


def test_the_sender_s_share_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = _shape(64, (0, 0))
    shares, weights = _shares(20, 2), _weights((3, 1, 1))
    run = _run(shape, shares, weights)
    bits = np.unpackbits(run.first.view(np.uint8))
    assert abs(bits.mean() - 0.5) < 0.02  # 8192 fair bits: 3.6 deviations
    assert len(set(run.first.ravel().tolist())) == 128

    monkeypatch.setattr(grouped_sum, "keystream", lambda key, length: bytes(length))
    bare = _run(shape, shares, weights)
    np.testing.assert_array_equal(bare.first, _plain(shape, shares, weights))


def _floor_encode(message: int) -> int:
    return (MODULUS >> 64) * message


class _FloorSecret:
    """The kernel's secret, with floor(q/2^64)·m in place of round(q·m/2^64)."""

    def __init__(self, key: bytes, columns: int) -> None:
        self._secret = _SECRET(key, columns)
        self.public_key = self._secret.public_key
        self.product_constants = self._secret.product_constants

    def encrypt(self, seed: bytes, error_key: bytes, first: int, messages: Words) -> bytes:
        rounded = self._secret.encrypt(seed, error_key, first, messages)
        values = _kernels.rlwe_unpack(rounded, 3, DEGREE).reshape(len(messages), 3, DEGREE)
        for index, row in enumerate(messages.tolist()):
            change = [_floor_encode(word) - encode(word) for word in row]
            for limb, prime in enumerate(PRIMES):
                own = values[index, limb].tolist()
                values[index, limb] = [(x + y) % prime for x, y in zip(own, change, strict=True)]
        return values.reshape(-1, 1).view(np.uint8)[:, :7].tobytes()


def test_encodings_are_rounded_so_that_no_carry_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    n_bins = 5000
    shape = _shape(2, (0,), rows=n_bins, entries_per_bin=2)
    shares = _shares(n_bins, 1)
    assert np.abs(_noises(_run(shape, shares, _heavy(shape, n_bins)), shape)).max() < 1.01

    monkeypatch.setattr(grouped_sum, "encode", _floor_encode)
    monkeypatch.setattr(_kernels, "RlweSecret", _FloorSecret)
    assert np.abs(_noises(_run(shape, shares, _weights()), shape, _floor_encode)).max() < 1.01
    # The carry of the sum past 2^64, times q mod 2^64: the sender reads the total weight off the noise.
    leaked = _noises(_run(shape, shares, _heavy(shape, n_bins)), shape, _floor_encode)
    assert np.abs(leaked).min() > 10


# --- refusals


def test_unreduced_residues_are_the_peer_s_fault() -> None:
    shape = _shape(1)
    for target_step in ("grouped_sum.public_keys", "grouped_sum.ciphertexts", "grouped_sum.answers"):
        steps = {name: (who, index) for who, name, index in _numbered(_run(shape, _shares(4, 1), _weights()))}
        who, index = steps[target_step]

        def tamper(party: int, number: int, frame: bytes, who: int = who, index: int = index) -> bytes:
            if (party, number) == (who, index):
                return frame[:FRAME_HEADER_BYTES] + b"\xff" * (len(frame) - FRAME_HEADER_BYTES)
            return frame

        with pytest.raises(PeerError, match="not under its prime"):
            _run(shape, _shares(4, 1), _weights(), tamper)


def _numbered(run: SumRun) -> list[tuple[int, str, int]]:
    counts = [0, 0]
    found = []
    for who, name, _ in run.frames:
        found.append((who, name, counts[who]))
        counts[who] += 1
    return found


def test_weights_over_the_public_bounds_are_refused() -> None:
    shape = _shape(2, (0,), rows=3, weight_bound=10, entries_per_bin=5)
    shares = _shares(9, 1)
    cases = {
        "more": _weights(*((4, i % 2, 1) for i in range(6))),
        "larger": _weights((0, 0, -11)),
        "in more rows": _weights(*((i, 0, 1) for i in range(4))),
    }
    for text, weights in cases.items():
        with pytest.raises(DataError, match=text):
            _run(shape, shares, weights)


def test_bad_weights_are_found_before_anything_is_sent() -> None:
    """A fault found in the middle of a run would tell the peer something of the data."""
    shape = _shape(2, (0,), rows=3, weight_bound=10, entries_per_bin=5)
    for text, fault, targets, weights in (
        ("more", DataError, [0, 1] * 3, [1] * 6),
        ("larger", DataError, [0], [-11]),
        ("in more rows", DataError, [0] * 4, [1] * 4),
        ("out of range", ValueError, [2], [1]),
        ("one entry each", ValueError, [0], [1, 1]),
    ):
        with pytest.raises(fault, match=text):
            check_entries(
                shape=shape,
                indptr=np.array([0, len(targets)]),
                targets=np.array(targets, np.int32),
                weights=np.array(weights, np.int64),
            )
    check_entries(
        shape=shape, indptr=np.zeros(1, np.int64), targets=np.zeros(0, np.int32), weights=np.zeros(0, np.int64)
    )


@pytest.mark.parametrize("indptr", [[0], [1, 1], [0, 2], [0, 2, 1]])
def test_rows_that_do_not_cut_the_weights_are_refused(indptr: list[int]) -> None:
    with pytest.raises(ValueError, match="cuts all of them"):
        check_entries(
            shape=_shape(1), indptr=np.array(indptr), targets=np.zeros(1, np.int32), weights=np.ones(1, np.int64)
        )


def test_two_rows_in_one_bin_are_refused() -> None:
    weights = Weights(
        bins=np.array([3, 3]), indptr=np.array([0, 1, 2]), targets=np.zeros(2, np.int32), weights=np.ones(2, np.int64)
    )
    with pytest.raises(ValueError, match="two rows"):
        _run(_shape(1), _shares(9, 1), weights)


def test_padding_fills_every_bin_whatever_is_in_it() -> None:
    """However the blocks are cut, they hold the weights and as many of zero as the bound leaves, over all targets."""
    shape, n_bins = _shape(10, (0, 1), entries_per_bin=5), 2 * DEGREE + 100
    rng = np.random.default_rng(5)
    rows, held = rng.permutation(n_bins)[:9000], rng.integers(0, 6, 9000)
    count = int(held.sum())
    weights = Weights(
        bins=rows,
        indptr=np.concatenate(([0], np.cumsum(held))),
        targets=rng.integers(0, 20, count).astype(np.int32),
        weights=rng.integers(1, 100, count),
    )
    padded = grouped_sum._padded(weights, n_bins, shape)
    wanted = np.zeros((n_bins, 20), dtype=np.int64)
    np.add.at(wanted, (np.repeat(rows, held), weights.targets), weights.weights)
    for start, stop in ((0, 3), (1, 2), (2, 3)):
        entries = padded.of_blocks(start, stop)
        low, high = start * DEGREE, min(stop * DEGREE, n_bins)
        assert np.array_equal(entries.bins, np.repeat(np.arange(low, high), 5))
        found = np.zeros((n_bins, 20), dtype=np.int64)
        np.add.at(found, (entries.bins, entries.targets), entries.weights)
        assert np.array_equal(found[low:high], wanted[low:high])
        idle = np.bincount(entries.targets[entries.weights == 0], minlength=20)
        assert (stop == 3 and start == 2) or idle.min() > 0.8 * idle.mean()
        order, edges = entries.by_target(20)
        ranked = entries.targets[order]
        assert all((ranked[edges[i] : edges[i + 1]] == i).all() for i in range(20)) and edges[-1] == len(ranked)
        assert (np.diff(entries.bins[order])[np.diff(ranked) == 0] >= 0).all()


@pytest.mark.parametrize("entry", [(-1, 0, 1), (9, 0, 1), (0, -1, 1), (0, 2, 1)])
def test_entries_out_of_range_are_refused(entry: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        _run(_shape(2), _shares(9, 1), _weights(entry))


def test_a_shape_without_slack_is_refused() -> None:
    with pytest.raises(AgreementError, match="no room"):
        _shape(2, rows=1 << 50)


@pytest.mark.parametrize("bad", [{"groups": 0}, {"class_position": ()}, {"class_position": (0, 2)}])
def test_a_shape_without_cells_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|has a column"):
        _shape(**({"groups": 1, "class_position": (0,)} | bad))


def test_nothing_secret_is_shown() -> None:
    weights = _weights((1, 0, 4095))
    assert "4095" not in repr(weights)
    assert repr(_kernels.RlweSecret(bytes(32), 2)) == "RlweSecret(columns=2)"
    assert weights != _weights((1, 0, 4095))


# --- the kernels' own refusals


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("32 bytes", lambda: _kernels.RlweSecret(bytes(31), 1)),
        ("columns", lambda: _kernels.RlweSecret(bytes(32), 0)),
        ("whole number", lambda: _kernels.rlwe_unpack(bytes(20), 3, 1)),
        ("whole number", lambda: _kernels.rlwe_unpack(bytes(21), 4, 1)),
        ("its prime", lambda: _kernels.rlwe_unpack(PRIMES[0].to_bytes(7, "little"), 1, 1)),
        ("8192", lambda: _SECRET(bytes(32), 1).encrypt(bytes(32), bytes(32), 0, np.zeros((1, 9), np.uint64))),
    ],
)
def test_kernels_refuse_malformed_arguments(text: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=text):
        call()
