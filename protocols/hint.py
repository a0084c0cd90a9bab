"""The hint: one message that turns every match into a secret pair in its bin, and every miss into noise.

Functionality: the sender holds rows key → m words, the receiver one query a bin with its OPRF answer. The sender gets
random targets T (one word a bin) and masks r (m words a bin). The receiver gets t and z: in a bin whose query is one of
the sender's rows at that position, t = T and z = v - r mod 2^64; elsewhere both are random.

Security model: semi-honest. The encoded value of point (y, j) in bin b is F_b(y, j) ⊕ (T_b ‖ v - r_b), with F the OPRF
under the sender's key of bin b. The receiver holds one answer of F_b a bin, so at most one decoding a bin means
anything; T and r hide it until the equality step compares t with T in secret.

What each party learns: the sender nothing, the receiver nothing; the sizes are functions of public bounds. A sender
with fewer rows than its bound adds rows with random keys in a domain of their own, evaluated and encoded like the
others, so that work too depends on the bound alone.

Rounds: one message, sender to receiver (`seed`, then the table in chunks). Bytes: 8 (1 + m) · (⌈3.3 n_B⌉ + 255) + 32.

Source: Pinkas, Schneider, Tkachenko, Yanai (EUROCRYPT 2019), the opprf of circuit PSI; Rindal, Raghuraman, ePrint
2022/320, with an OKVS for the hint and the payload inside it.

Departures: the OPRF input and the encoded key hold the position number j, so that one answer serves one bin even if
two positions of a row met; payloads are masked additively mod 2^64, not by XOR, for the sums that follow.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final
from typing import Protocol as Structural

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import CleanroomError
from cleanroom.protocols import cuckoo, okvs
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.traffic import NOTHING, Traffic, in_chunks, messages
from cleanroom.protocols.wire import CHUNK_BYTES, Expect, Message, Progress, Protocol, ProtocolId, Send, chunks

__all__ = ["Evaluator", "Prepared", "output_bytes", "prepare", "receiver", "sender", "traffic"]

STEP: Final = "hint"
SEED: Final = Message(protocol=ProtocolId.HINT, type=1, step="hint.seed")
TABLE: Final = Message(protocol=ProtocolId.HINT, type=2, step="hint.table")
SEED_MESSAGE_BYTES: Final = 32
MAX_ATTEMPTS: Final = 8
"""Seeds tried before giving up; each fails with probability below 2^-40."""
SLICE_ROWS: Final = 1 << 10
"""Rows evaluated between two reports of progress: a fraction of a second at 50 µs a point."""

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]


class Evaluator(Structural):
    """The sender's side of an OPRF with one key a bin."""

    def evaluate(self, inputs: Bytes, bins: NDArray[np.int64]) -> Bytes:
        """Evaluates F of inputs k × 26 bytes under the keys of bins k; returns k × (8 + 8m) bytes."""
        ...


def output_bytes(columns: int) -> int:
    """Returns the OPRF's output length for m columns: one word for the target, m for the payload."""
    return 8 + 8 * columns


def traffic(*, rows_outcome: int, columns: int) -> Traffic:
    """What sender and receiver send; the receiver nothing."""
    shape = okvs.shape_of(cuckoo.CHOICES * rows_outcome, 1 + columns)
    table = in_chunks(shape.columns, _rows_per_chunk(shape.words), 8 * shape.words)
    return messages(SEED_MESSAGE_BYTES) + table, NOTHING


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """What the sender makes of one bucket's rows before it has heard anything of the receiver."""

    bucket: int
    keys: Bytes = field(repr=False)  # n_B × 16 bytes, those of padding rows last
    values: Words = field(repr=False)  # n_B × m words
    points: Bytes = field(repr=False)  # 3·n_B × 26 bytes
    targets: Words = field(repr=False)  # T, N words
    masks: Words = field(repr=False)  # r, N × m words


def prepare(
    *, streams: Streams, keys: Bytes, values: Words, rows_outcome: int, n_bins: int, bucket: int = 0
) -> Prepared:
    """The outcome side's work that needs nothing of the other side: padding rows, the points, targets and masks.

    Args:
        streams: this party's.
        keys: k × 16 bytes, distinct.
        values: k × m words.
        rows_outcome: the public bound n_B on k, at least 1.
        n_bins: N.
        bucket: which bucket this is.

    Raises:
        ValueError: an argument is malformed, or there are more rows than the bound.
    """
    if values.ndim != 2 or keys.shape != (len(values), cuckoo.KEY_BYTES) or not 0 < rows_outcome >= len(keys):
        raise ValueError("keys k × 16 bytes and values k × m words, with k at most rows_outcome, expected")
    columns = values.shape[1]
    targets, masks = _fresh_output(streams, n_bins, columns, bucket)
    padding = _padding_keys(streams, rows_outcome, bucket)[: rows_outcome - len(keys)]
    keys = np.concatenate([keys, padding])
    values = np.ascontiguousarray(np.concatenate([values, np.zeros((len(padding), columns), dtype=np.uint64)]))
    domains = np.full(rows_outcome, cuckoo.REAL_DOMAIN, dtype=np.uint8)
    domains[rows_outcome - len(padding) :] = cuckoo.PADDING_DOMAIN
    points = cuckoo.row_inputs(keys, domains)
    return Prepared(bucket=bucket, keys=keys, values=values, points=points, targets=targets, masks=masks)


def sender(
    *, streams: Streams, prepared: Prepared, bin_seed: bytes, evaluator: Evaluator
) -> Protocol[tuple[Words, Words]]:
    """The outcome side's half.

    Args:
        streams: this party's.
        prepared: its rows, from `prepare`.
        bin_seed: 32 bytes, from `cuckoo.bin_seed`.
        evaluator: F with one key a bin, `output_bytes(m)` bytes an answer.

    Returns:
        T, N words, and r, N × m words, in the order of bins.

    Raises:
        CleanroomError: no seed gave a solution, which equal keys would cause.
    """
    keys, values, points = prepared.keys, prepared.values, prepared.points
    targets, masks = prepared.targets, prepared.masks
    (n_bins, columns), rows_outcome = masks.shape, len(keys)
    encoded = np.empty((len(points), 1 + columns), dtype=np.uint64)
    for start, stop in chunks(rows_outcome, SLICE_ROWS):
        part = slice(cuckoo.CHOICES * start, cuckoo.CHOICES * stop)
        bins = cuckoo.positions(keys[start:stop], bin_seed, n_bins).reshape(-1)
        answers = np.ascontiguousarray(evaluator.evaluate(points[part], bins))
        _kernels.hint_mask(encoded[part], answers, bins, values[start:stop], targets, masks)
        yield Progress(STEP, stop, rows_outcome)
    fresh, table = _encode(streams, points, encoded, prepared.bucket)
    del encoded
    yield Send(SEED, fresh)
    for start, stop in chunks(len(table), _rows_per_chunk(1 + columns)):
        yield Send(TABLE, table[start:stop].astype("<u8", copy=False).tobytes())
    return targets, masks


def receiver(
    *,
    streams: Streams,
    queries: Bytes,
    answers: Bytes,
    rows_outcome: int,
    bucket: int = 0,
) -> Protocol[tuple[Words, Words]]:
    """The exposure side's half.

    Args:
        streams: this party's; only the session id is used.
        queries: N × 26 bytes, from `cuckoo.queries`.
        answers: N × (8 + 8m) bytes, F of each query under its bin's key.
        rows_outcome: the public bound n_B of the sender, at least 1.
        bucket: which bucket this is.

    Returns:
        t, N words, and z, N × m words, in the order of bins.

    Raises:
        ValueError: an argument is malformed.
        PeerError: a message is not of the expected kind or length.
    """
    width = answers.shape[-1]
    if answers.shape != (len(queries), width) or width < 8 or width % 8:
        raise ValueError("one answer a query, of 8 + 8m bytes, expected")
    shape = okvs.shape_of(cuckoo.CHOICES * rows_outcome, width // 8)
    fresh = yield Expect(SEED, SEED_MESSAGE_BYTES)
    assert fresh is not None
    table = np.empty((shape.columns, shape.words), dtype=np.uint64)
    for start, stop in chunks(shape.columns, _rows_per_chunk(shape.words)):
        payload = yield Expect(TABLE, 8 * shape.words * (stop - start))
        assert payload is not None
        table[start:stop] = np.frombuffer(payload, dtype="<u8").reshape(stop - start, shape.words)
        yield Progress(STEP, stop, shape.columns)
    decoded = okvs.decode(queries, table, seed=_table_seed(streams, fresh, bucket), shape=shape)
    decoded ^= np.ascontiguousarray(answers).view("<u8")
    yield Progress(STEP, shape.columns, shape.columns)  # decoding takes its time: it belongs to this step
    return decoded[:, 0].copy(), decoded[:, 1:].copy()


def _rows_per_chunk(words: int) -> int:
    return max(1, CHUNK_BYTES // (8 * words))


def _fresh_output(streams: Streams, n_bins: int, columns: int, bucket: int) -> tuple[Words, Words]:
    target = keystream(streams.key(step=STEP, purpose="targets", bucket=bucket), 8 * n_bins)
    mask = keystream(streams.key(step=STEP, purpose="masks", bucket=bucket), 8 * n_bins * columns)
    words = [np.frombuffer(data, dtype="<u8").astype(np.uint64) for data in (target, mask)]
    return words[0], words[1].reshape(n_bins, columns)


def _padding_keys(streams: Streams, count: int, bucket: int) -> Bytes:
    """Keys of rows that nobody holds: 128 random bits each, told from rows by their domain.

    As many as there may be are drawn, however many are used: the peer may see how long that takes.
    """
    data = keystream(streams.key(step=STEP, purpose="padding", bucket=bucket), cuckoo.KEY_BYTES * count)
    return np.frombuffer(data, dtype=np.uint8).reshape(count, cuckoo.KEY_BYTES)


def _table_seed(streams: Streams, fresh: bytes, bucket: int) -> bytes:
    label = b"cleanroom/hint/table/v1" + bucket.to_bytes(4, "little")
    return hashlib.sha256(label + streams.session_id + fresh).digest()[: okvs.SEED_BYTES]


def _encode(streams: Streams, points: Bytes, encoded: Words, bucket: int) -> tuple[bytes, Words]:
    shape = okvs.shape_of(len(points), encoded.shape[1])
    for attempt in range(MAX_ATTEMPTS):
        fresh = streams.key(step=STEP, purpose="table seed", bucket=bucket, attempt=attempt)
        fill_key = streams.key(step=STEP, purpose="fill", bucket=bucket, attempt=attempt)
        seed = _table_seed(streams, fresh, bucket)
        table = okvs.encode(points, encoded, seed=seed, fill_key=fill_key, shape=shape)
        if table is not None:
            return fresh, table
    raise CleanroomError(f"hint: no table exists under any of {MAX_ATTEMPTS} seeds; are the row keys distinct?")
