"""The hint: matches decode to T and v - r, misses to noise, and nothing but public bounds shapes the messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom.errors import CleanroomError, PeerError
from cleanroom.protocols import cuckoo, hint, okvs, oprf_ecdh
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.traffic import NOTHING
from cleanroom.protocols.wire import CHUNK_BYTES, FRAME_HEADER_BYTES, Progress, Protocol, Send
from tests.harness import Run, run_pair
from tests.protocols import slow_arrays as reference

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
SESSION = bytes(range(32))


@dataclass
class KeyedHash:
    """Stands for the OPRF: SHAKE-256 under one key a bin; records what it was asked."""

    columns: int
    with_choice: bool = True
    key_a_bin: bool = True
    asked: list[tuple[Bytes, NDArray[np.int64]]] = field(default_factory=list)

    def evaluate(self, inputs: Bytes, bins: NDArray[np.int64]) -> Bytes:
        self.asked.append((inputs.copy(), bins.copy()))
        length = hint.output_bytes(self.columns)
        answers = [self._answer(bytes(row), int(at), length) for row, at in zip(inputs, bins, strict=True)]
        return np.frombuffer(b"".join(answers), dtype=np.uint8).reshape(len(inputs), length)

    def _answer(self, row: bytes, at: int, length: int) -> bytes:
        if not self.with_choice:
            row = row[: cuckoo.KEY_BYTES] + row[cuckoo.KEY_BYTES + 1 :]
        key = at.to_bytes(8, "little") if self.key_a_bin else b""
        return hashlib.shake_256(b"test double" + key + b"|" + row).digest(length)


@dataclass
class World:
    """Both sides' inputs and what came out."""

    exposure: Bytes
    outcome: Bytes
    values: Words
    n_bins: int
    seed: bytes
    table: cuckoo.Table
    queries: Bytes
    evaluator: KeyedHash
    run: Run[tuple[Words, Words], tuple[Words, Words]]


def streams(role: str, run: int = 0) -> Streams:
    seed = hashlib.sha256(f"{role} {run}".encode()).digest()
    return Streams(seed=seed, session_id=SESSION)


def make_rows(count: int, start: int = 0) -> Bytes:
    rows = b"".join(hashlib.sha256(b"row %d" % (start + index)).digest()[:16] for index in range(count))
    return np.frombuffer(rows, dtype=np.uint8).reshape(count, 16)


def make_world(
    *,
    exposure: int = 40,
    outcome: int = 30,
    overlap: int = 10,
    columns: int = 2,
    rows_outcome: int = 32,
    evaluator: KeyedHash | None = None,
    run: int = 0,
) -> World:
    exposure_keys = make_rows(exposure)
    outcome_keys = make_rows(outcome, exposure - overlap)
    values = np.random.default_rng(5).integers(0, 1 << 62, (outcome, columns), dtype=np.uint64)
    n_bins = cuckoo.bin_count(exposure)
    receiver_streams = streams("receiver", run)
    table, attempt = cuckoo.place(
        exposure_keys,
        rows=exposure,
        padding_key=receiver_streams.key(step="bins", purpose="padding"),
        n_bins=n_bins,
        session_id=SESSION,
    )
    seed = cuckoo.bin_seed(session_id=SESSION, attempt=attempt)
    queries = cuckoo.queries(table, exposure_keys, receiver_streams.key(step="bins", purpose="dummies"))
    evaluator = KeyedHash(columns) if evaluator is None else evaluator
    answers = evaluator.evaluate(queries, np.arange(n_bins, dtype=np.int64))
    evaluator.asked.clear()
    sender = hint.sender(
        prepared=hint.prepare(
            streams=streams("sender", run), keys=outcome_keys, values=values, rows_outcome=rows_outcome, n_bins=n_bins
        ),
        streams=streams("sender", run),
        bin_seed=seed,
        evaluator=evaluator,
    )
    receiver = hint.receiver(streams=receiver_streams, queries=queries, answers=answers, rows_outcome=rows_outcome)
    return World(
        exposure=exposure_keys,
        outcome=outcome_keys,
        values=values,
        n_bins=n_bins,
        seed=seed,
        table=table,
        queries=queries,
        evaluator=evaluator,
        run=run_pair(sender, receiver),
    )


def check_functionality(world: World) -> int:
    """Checks every bin; returns the number of matches."""
    (targets, masks), (decoded, payloads) = world.run.first, world.run.second
    row_of = {bytes(key): index for index, key in enumerate(world.outcome)}
    matches = 0
    for index, row in enumerate(world.table.row):
        held = row_of.get(bytes(world.exposure[row])) if row >= 0 else None
        assert (decoded[index] == targets[index]) == (held is not None)
        if held is not None:
            np.testing.assert_array_equal(payloads[index] + masks[index], world.values[held])
            matches += 1
    return matches


@pytest.mark.parametrize(
    ("exposure", "outcome", "overlap", "columns", "rows_outcome"),
    [(40, 30, 10, 2, 32), (40, 40, 40, 1, 64), (40, 30, 0, 4, 30), (1, 1, 1, 1, 1), (60, 0, 0, 3, 2), (5, 9, 5, 9, 16)],
)
def test_matches_decode_to_the_targets_and_misses_do_not(
    exposure: int, outcome: int, overlap: int, columns: int, rows_outcome: int
) -> None:
    world = make_world(exposure=exposure, outcome=outcome, overlap=overlap, columns=columns, rows_outcome=rows_outcome)
    assert check_functionality(world) == overlap


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.data())
def test_any_two_sets_meet_exactly_in_their_intersection(data: st.DataObject) -> None:
    exposure, outcome = data.draw(st.integers(0, 25)), data.draw(st.integers(0, 25))
    overlap = data.draw(st.integers(0, min(exposure, outcome)))
    rows_outcome = max(1, outcome) + data.draw(st.integers(0, 9))
    columns = data.draw(st.integers(1, 4))
    world = make_world(exposure=exposure, outcome=outcome, overlap=overlap, columns=columns, rows_outcome=rows_outcome)
    assert check_functionality(world) == overlap


def test_the_table_goes_in_chunks_and_has_the_stated_size() -> None:
    world = make_world(exposure=10, outcome=4, overlap=2, columns=5, rows_outcome=8000)
    assert check_functionality(world) == 2
    sizes = [length - FRAME_HEADER_BYTES for sender, _, length in world.run.lengths() if sender == 0]
    assert len(sizes) == 3
    assert max(sizes) <= CHUNK_BYTES
    sent, received = hint.traffic(rows_outcome=8000, columns=5)
    assert (sent.messages, sent.bytes) == (len(sizes), sum(sizes) + len(sizes) * FRAME_HEADER_BYTES)
    assert received == NOTHING
    assert len(sizes) == len(world.run.frames)  # the receiver says nothing


def shape_of_work(world: World) -> tuple[object, ...]:
    """What an observer of the wire or of the clock sees: frames, and how much was evaluated when."""
    return tuple(world.run.lengths()), tuple((inputs.shape, bins.shape) for inputs, bins in world.evaluator.asked)


def test_sizes_and_work_depend_on_public_bounds_alone() -> None:
    worlds = [
        make_world(exposure=exposure, outcome=outcome, overlap=overlap, rows_outcome=1500)
        for exposure, outcome, overlap in ((40, 0, 0), (40, 7, 7), (900, 1500, 800), (1, 1025, 0))
    ]
    assert len({shape_of_work(world) for world in worlds}) == 1
    unpadded = [make_world(outcome=outcome, rows_outcome=outcome) for outcome in (30, 31)]
    assert len({shape_of_work(world) for world in unpadded}) == 2  # what a sender that does not pad would show


def test_padding_rows_are_real_points_of_their_own_domain() -> None:
    world = make_world(exposure=40, outcome=30, rows_outcome=100)
    inputs = np.concatenate([inputs for inputs, _ in world.evaluator.asked])
    bins = np.concatenate([bins for _, bins in world.evaluator.asked])
    assert inputs[:, 17].tolist() == [cuckoo.REAL_DOMAIN] * 90 + [cuckoo.PADDING_DOMAIN] * 210
    assert len({bytes(row) for row in inputs}) == 300
    assert len({bytes(row[:16]) for row in inputs}) == 100
    np.testing.assert_array_equal(inputs[:, 16], np.tile([0, 1, 2], 100))
    keys = np.ascontiguousarray(inputs[::3, :16])
    np.testing.assert_array_equal(bins, cuckoo.positions(keys, world.seed, world.n_bins).ravel())


def test_fresh_seeds_give_fresh_targets_masks_padding_and_tables() -> None:
    first, second = make_world(run=0), make_world(run=1)
    for mine, other in zip((*first.run.first, *first.run.second), (*second.run.first, *second.run.second), strict=True):
        assert not np.intersect1d(mine, other).size
    keys = [{bytes(row[:16]) for row in world.evaluator.asked[0][0] if row[17] == 2} for world in (first, second)]
    assert not keys[0] & keys[1]
    assert first.run.frames[0] != second.run.frames[0]


def test_a_run_can_be_replayed() -> None:
    assert make_world().run.frames == make_world().run.frames


def test_targets_masks_and_what_a_miss_decodes_to_are_uniform() -> None:
    world = make_world(exposure=600, outcome=400, overlap=0, columns=1, rows_outcome=512)
    for words in (*world.run.first, *world.run.second):
        bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1), axis=1)
        scores = (2.0 * bits.sum(axis=0) - len(bits)) / np.sqrt(len(bits))
        assert np.abs(scores).max() < 4.5  # 64 standard normal scores: one run in 2,000 would exceed it
        assert len(np.unique(words)) == words.size


@dataclass
class Opened:
    """What the sender sent, as the receiver may read it at any key."""

    seed: bytes
    table: Words
    shape: okvs.Shape

    def decode(self, inputs: Bytes) -> Words:
        return okvs.decode(np.ascontiguousarray(inputs), self.table, seed=self.seed, shape=self.shape)


def open_hint(keys: Bytes, evaluator: KeyedHash, n_bins: int) -> Opened:
    generator: Protocol[tuple[Words, Words]] = hint.sender(
        prepared=hint.prepare(
            streams=streams("sender"),
            keys=keys,
            values=np.ones((len(keys), evaluator.columns), dtype=np.uint64),
            rows_outcome=len(keys),
            n_bins=n_bins,
        ),
        streams=streams("sender"),
        bin_seed=cuckoo.bin_seed(session_id=SESSION),
        evaluator=evaluator,
    )
    payloads = [event.payload for event in generator if isinstance(event, Send)]
    label = b"cleanroom/hint/table/v1" + bytes(4)
    seed = hashlib.sha256(label + SESSION + payloads[0]).digest()[:16]
    shape = okvs.shape_of(3 * len(keys), 1 + evaluator.columns)
    table = np.frombuffer(b"".join(payloads[1:]), dtype="<u8").reshape(shape.columns, shape.words).astype(np.uint64)
    return Opened(seed=seed, table=table, shape=shape)


def one_answer_tells_membership(evaluator: KeyedHash, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """The attack on coinciding positions: one answer at j, tried at the other j' in the same bin.

    Positions that coincide cannot happen, so the test makes them: every row has its first bin twice.
    """
    true_positions = cuckoo.positions

    def coinciding(keys: Bytes, seed: bytes, n_bins: int) -> NDArray[np.int64]:
        found = true_positions(keys, seed, n_bins)
        found[:, 1] = found[:, 0]
        return found

    monkeypatch.setattr(cuckoo, "positions", coinciding)
    members, strangers = make_rows(20), make_rows(20, 1000)
    opened = open_hint(members, evaluator, n_bins=60)
    told = []
    for rows in (members, strangers):
        inputs = cuckoo.row_inputs(rows, np.zeros(len(rows), np.uint8))
        bins = coinciding(rows, cuckoo.bin_seed(session_id=SESSION), 60)[:, 0]
        answers = evaluator.evaluate(np.ascontiguousarray(inputs[0::3]), bins).view("<u8")
        first, second = opened.decode(inputs[0::3]) ^ answers, opened.decode(inputs[1::3]) ^ answers
        told.append(int((first == second).all(axis=1).sum()))
    return told[0], told[1]


def test_the_oprf_input_holds_the_position_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one_answer_tells_membership(KeyedHash(1), monkeypatch) == (0, 0)
    assert one_answer_tells_membership(KeyedHash(1, with_choice=False), monkeypatch) == (20, 0)


def equal_targets_in_one_bin(evaluator: KeyedHash) -> int:
    """The attack with two answers: a second row of a bin is asked in the slot of another bin."""
    n_bins, members = 30, make_rows(20)
    opened = open_hint(members, evaluator, n_bins)
    inputs = cuckoo.row_inputs(members, np.zeros(20, np.uint8))
    bins = cuckoo.positions(members, cuckoo.bin_seed(session_id=SESSION), n_bins).ravel()
    asked_at = np.where(np.arange(60) % 2 == 0, bins, (bins + 1) % n_bins)
    targets = (opened.decode(inputs) ^ evaluator.evaluate(inputs, asked_at).view("<u8"))[:, 0]
    pairs = [(one, two) for one in range(0, 60, 2) for two in range(1, 60, 2) if bins[one] == bins[two]]
    assert len(pairs) > 10
    return sum(int(targets[one] == targets[two]) for one, two in pairs)


def test_an_answer_from_another_bin_is_worthless() -> None:
    assert equal_targets_in_one_bin(KeyedHash(1)) == 0
    assert equal_targets_in_one_bin(KeyedHash(1, key_a_bin=False)) > 10


def test_free_positions_of_the_sent_table_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(open_table: Opened) -> int:
        return int((open_table.table == 0).all(axis=1).sum())

    assert zeros(open_hint(make_rows(50), KeyedHash(2), 60)) == 0

    def encode_with_zeros(keys: Bytes, values: Words, *, seed: bytes, fill_key: bytes, shape: okvs.Shape) -> Words:
        return reference.encode_with_zeros(keys, values, seed=seed, shape=shape)

    monkeypatch.setattr(okvs, "encode", encode_with_zeros)
    assert zeros(open_hint(make_rows(50), KeyedHash(2), 60)) > 200


def test_a_seed_without_solution_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[tuple[bytes, bytes]] = []
    true_encode = okvs.encode

    def fail_once(keys: Bytes, values: Words, *, seed: bytes, fill_key: bytes, shape: okvs.Shape) -> Words | None:
        seeds.append((seed, fill_key))
        return None if len(seeds) == 1 else true_encode(keys, values, seed=seed, fill_key=fill_key, shape=shape)

    monkeypatch.setattr(okvs, "encode", fail_once)
    assert check_functionality(make_world()) == 10
    assert len(seeds) == len(set(seeds)) == 2
    assert seeds[0][1] != seeds[1][1]


def test_equal_keys_end_in_one_readable_line() -> None:
    with pytest.raises(CleanroomError, match="distinct"):
        open_hint(np.zeros((2, 16), np.uint8), KeyedHash(1), 60)


@pytest.mark.parametrize(
    ("keys", "values", "rows_outcome"),
    [
        (make_rows(3), np.zeros((3, 1), np.uint64), 2),
        (make_rows(3), np.zeros((2, 1), np.uint64), 4),
        (make_rows(3), np.zeros(3, np.uint64), 4),
        (make_rows(3)[:, :15], np.zeros((3, 1), np.uint64), 4),
        (make_rows(0), np.zeros((0, 1), np.uint64), 0),
    ],
)
def test_the_sender_refuses_malformed_arguments(keys: Bytes, values: Words, rows_outcome: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        hint.prepare(streams=streams("sender"), keys=keys, values=values, rows_outcome=rows_outcome, n_bins=60)


@pytest.mark.parametrize("rows", [0, 3, 40])
def test_what_is_drawn_follows_from_the_bound(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer sees how long it takes."""
    drawn: list[int] = []

    def noted(key: bytes, length: int) -> bytes:
        drawn.append(length)
        return keystream(key, length)

    monkeypatch.setattr(hint, "keystream", noted)
    values = np.ones((rows, 2), np.uint64)
    prepared = hint.prepare(streams=streams("sender"), keys=make_rows(rows), values=values, rows_outcome=40, n_bins=60)
    assert drawn == [8 * 60, 8 * 60 * 2, 16 * 40]
    assert prepared.points.shape == (120, 26) and prepared.values.shape == (40, 2)


def test_the_receiver_refuses_malformed_arguments() -> None:
    for answers in (
        np.zeros((2, 8), np.uint8),
        np.zeros((3, 12), np.uint8),
        np.zeros((3, 0), np.uint8),
        np.zeros(3, np.uint8),
    ):
        queries = np.zeros((3, cuckoo.INPUT_BYTES), np.uint8)
        generator = hint.receiver(streams=streams("receiver"), queries=queries, answers=answers, rows_outcome=1)
        with pytest.raises(ValueError, match="expected"):
            next(generator)


def test_a_bucket_opens_each_stream_once() -> None:
    shared = streams("sender")

    def targets(bucket: int) -> Words:
        generator = hint.sender(
            prepared=hint.prepare(
                streams=shared,
                keys=make_rows(2),
                values=np.ones((2, 1), np.uint64),
                rows_outcome=2,
                n_bins=60,
                bucket=bucket,
            ),
            streams=shared,
            bin_seed=cuckoo.bin_seed(session_id=SESSION, bucket=bucket),
            evaluator=KeyedHash(1),
        )
        while True:
            try:
                next(generator)
            except StopIteration as stop:
                return np.asarray(stop.value[0])

    assert not np.intersect1d(targets(0), targets(1)).size
    with pytest.raises(AssertionError, match="opened twice"):
        targets(1)


@pytest.mark.parametrize("at", range(FRAME_HEADER_BYTES))
def test_a_changed_header_is_the_peer_s_fault(at: int) -> None:
    with pytest.raises(PeerError):
        tampered(lambda frame: frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])


@pytest.mark.parametrize("change", [lambda frame: frame[:-1], lambda frame: frame + b"x", lambda frame: b""])
def test_a_frame_of_another_length_is_the_peer_s_fault(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(PeerError):
        tampered(change)


def tampered(change: Callable[[bytes], bytes]) -> None:
    evaluator = KeyedHash(1)
    sender = hint.sender(
        prepared=hint.prepare(
            streams=streams("sender"), keys=make_rows(2), values=np.ones((2, 1), np.uint64), rows_outcome=2, n_bins=60
        ),
        streams=streams("sender"),
        bin_seed=bytes(32),
        evaluator=evaluator,
    )
    queries = np.zeros((60, cuckoo.INPUT_BYTES), np.uint8)
    answers = np.zeros((60, hint.output_bytes(1)), np.uint8)
    receiver = hint.receiver(streams=streams("receiver"), queries=queries, answers=answers, rows_outcome=2)
    run_pair(sender, receiver, lambda sender, number, frame: change(frame) if number == 1 else frame)


def test_progress_is_reported_in_rows() -> None:
    generator = hint.sender(
        prepared=hint.prepare(
            streams=streams("sender"),
            keys=make_rows(0),
            values=np.zeros((0, 1), np.uint64),
            rows_outcome=2500,
            n_bins=60,
        ),
        streams=streams("sender"),
        bin_seed=bytes(32),
        evaluator=KeyedHash(1),
    )
    reports = [event for event in generator if isinstance(event, Progress)]
    assert [report.done for report in reports] == [1024, 2048, 2500]
    assert {report.total for report in reports} == {2500}


def test_the_hint_works_on_the_real_oprf() -> None:
    exposure, outcome, columns = make_rows(6), make_rows(5, start=3), 2
    values = np.arange(10, dtype=np.uint64).reshape(5, 2)
    n_bins = 24
    own, other = streams("receiver"), streams("sender")
    table, attempt = cuckoo.place(exposure, rows=6, padding_key=bytes(32), n_bins=n_bins, session_id=SESSION)
    queries = cuckoo.queries(table, exposure, own.key(step="bins", purpose="dummies"))
    size = hint.output_bytes(columns)

    def sender() -> Protocol[tuple[Words, Words]]:
        evaluator = yield from oprf_ecdh.sender(n_bins=n_bins, output_bytes=size, streams=other)
        return (
            yield from hint.sender(
                prepared=hint.prepare(streams=other, keys=outcome, values=values, rows_outcome=8, n_bins=n_bins),
                streams=other,
                bin_seed=cuckoo.bin_seed(session_id=SESSION, attempt=attempt),
                evaluator=evaluator,
            )
        )

    def receiver() -> Protocol[tuple[Words, Words]]:
        answers = yield from oprf_ecdh.receiver(queries=queries, output_bytes=size, streams=own)
        return (yield from hint.receiver(streams=own, queries=queries, answers=answers, rows_outcome=8))

    run = run_pair(sender(), receiver())
    (targets, masks), (decoded, payloads) = run.first, run.second
    matched = np.flatnonzero(decoded == targets)
    assert sorted(table.row[matched].tolist()) == [3, 4, 5]
    found = {int(table.row[index]): (payloads + masks)[index].tolist() for index in matched}
    assert found == {row: values[row - 3].tolist() for row in (3, 4, 5)}
