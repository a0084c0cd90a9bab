"""The hint: matches decode to T and v - r, misses to noise, and nothing but public bounds shapes the messages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.protocols import cuckoo, hint
from cleanroom.protocols.seeds import Streams
from tests.harness import Run, run_pair

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
    table, attempt = cuckoo.place(exposure_keys, n_bins=n_bins, session_id=SESSION)
    seed = cuckoo.bin_seed(session_id=SESSION, attempt=attempt)
    receiver_streams = streams("receiver", run)
    queries = cuckoo.queries(table, exposure_keys, receiver_streams.key(step="bins", purpose="dummies"))
    evaluator = KeyedHash(columns) if evaluator is None else evaluator
    answers = evaluator.evaluate(queries, np.arange(n_bins, dtype=np.int64))
    evaluator.asked.clear()
    sender = hint.sender(
        streams=streams("sender", run),
        keys=outcome_keys,
        values=values,
        rows_outcome=rows_outcome,
        n_bins=n_bins,
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
