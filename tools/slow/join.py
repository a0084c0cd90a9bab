"""The private join: both sides' rows and streams in; every message, both shares and the transfers out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final, TypeAlias

from tools.slow import base_ot, cuckoo, grouped_sum, hint, kkrt, oprf, oprf_vole
from tools.slow.frames import Sent, pieces
from tools.slow.hint import Prf
from tools.slow.selections import equal, select
from tools.slow.silent_transfers import SilentTransfers
from tools.slow.streams import Streams, keystream
from tools.slow.transfers import Transfers

__all__ = ["Exposure", "Joined", "Outcome", "Shape", "bucket_of", "run"]

_WORD: Final = 1 << 64
Messages: TypeAlias = list[tuple[int, Sent]]
Table: TypeAlias = list[list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What both sides know."""

    profile: str  # "ecdh", "kkrt" or "vole"
    rows_exposure: int  # padded
    rows_outcome: int
    groups: int
    class_position: Sequence[int]  # of every column
    weight_bound: int
    bucket_rows: int = 1 << 20

    @property
    def buckets(self) -> int:
        """How many."""
        return max(1, -(-max(self.rows_exposure, self.rows_outcome) // self.bucket_rows))

    def capacity(self, rows: int) -> int:
        """Rows that a bucket has room for on the side with this bound."""
        mean = max(-(-rows // self.buckets), 1024)
        return rows if self.buckets == 1 else min(rows, mean + isqrt(81 * mean - 1) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The exposure side's rows: distinct keys of 16 bytes, each with (target, weight)."""

    keys: Sequence[bytes]
    weights: Sequence[Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome side's rows: distinct keys, each with a word a column."""

    keys: Sequence[bytes]
    values: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a join gives."""

    sent: Messages
    shares: tuple[Table, Table]  # groups × columns
    transfers: Transfers  # those in which the exposure side is the sender, for what follows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Front:
    """A bucket up to its hint."""

    sent: Messages
    placed: cuckoo.Placement
    decoded: list[list[int]]  # t and z of each bin
    made: hint.Hint


def bucket_of(key: bytes, session_id: bytes, buckets: int) -> int:
    """The bucket of a row's key."""
    seed = hashlib.sha256(b"cleanroom/buckets/v1" + session_id).digest()
    word = int.from_bytes(hashlib.sha256(b"bins/v1" + seed + key).digest()[:8], "little")
    return (word >> 33) * buckets >> 31


def run(shape: Shape, streams: tuple[Streams, Streams], exposure: Exposure, outcome: Outcome) -> Joined:
    """Bins, oblivious PRF, hint, equality, multiplexer, bucket by bucket; and the grouped sum over all."""
    mine, theirs = streams
    sums = grouped_sum.Shape(
        groups=shape.groups,
        class_position=shape.class_position,
        rows=shape.rows_exposure,
        weight_bound=shape.weight_bound,
    )
    transfers: tuple[Transfers, Transfers] | None = None
    before: list[Messages] = []
    shares: tuple[list[Table], list[Table]] = ([], [])
    weights: list[list[tuple[int, int, int]]] = []
    for bucket in range(shape.buckets):
        at_home = [row for row, key in enumerate(exposure.keys) if _belongs(shape, mine, key, bucket)]
        away = [row for row, key in enumerate(outcome.keys) if _belongs(shape, mine, key, bucket)]
        held = Exposure(
            keys=[exposure.keys[row] for row in at_home], weights=[exposure.weights[row] for row in at_home]
        )
        front = _front(
            shape,
            streams,
            held,
            Outcome(keys=[outcome.keys[row] for row in away], values=[outcome.values[row] for row in away]),
            bucket,
        )
        sent = list(front.sent)
        if transfers is None:
            forth = Transfers(sender=mine, receiver=theirs, label="from exposure")
            back = Transfers(sender=theirs, receiver=mine, label="from outcome")
            sent += [(0 if own else 1, message) for own, message in forth.messages()]
            sent += [(1 if own else 0, message) for own, message in back.messages()]
            transfers = forth, back
            silent = SilentTransfers(forth, sender=mine, receiver=theirs, label="from exposure")
            compared = silent if shape.profile == "vole" else forth
        one, other, messages = equal(compared, [row[0] for row in front.decoded], front.made.targets)
        sent += messages
        first, second, messages = select(*transfers, (one, other), [row[1:] for row in front.decoded], front.made.masks)
        before.append(sent + messages)
        shares[0].append(first)
        shares[1].append(second)
        bin_of = {entry[0]: at for at, entry in enumerate(front.placed) if entry is not None}
        weights.append(
            [(bin_of[row], target, weight) for row, own in enumerate(held.weights) for target, weight in own]
        )
    assert transfers is not None
    total = grouped_sum.run_buckets(sender=theirs, receiver=mine, shape=sums, shares=shares[1], weights=weights)
    sent = []
    for number, (messages, ciphertexts) in enumerate(zip(before, total.ciphertexts, strict=True)):
        sent += messages
        sent += [(1, message) for message in (total.set_up if number == 0 else []) + ciphertexts]
    sent += [(0, message) for message in total.from_receiver]
    own = total.receiver
    for part, held_weights in zip(shares[0], weights, strict=True):
        local = grouped_sum.local_sum(shape=sums, weights=held_weights, shares=part)
        own = [[(x + y) % _WORD for x, y in zip(*rows, strict=True)] for rows in zip(own, local, strict=True)]
    return Joined(sent=sent, shares=(own, total.sender), transfers=transfers[0])


def _belongs(shape: Shape, streams: Streams, key: bytes, bucket: int) -> bool:
    return shape.buckets == 1 or bucket_of(key, streams.session_id, shape.buckets) == bucket


def _front(shape: Shape, streams: tuple[Streams, Streams], exposure: Exposure, outcome: Outcome, bucket: int) -> _Front:
    """Bins, oblivious PRF and hint of one bucket."""
    mine, theirs = streams
    rows_exposure, rows_outcome = shape.capacity(shape.rows_exposure), shape.capacity(shape.rows_outcome)
    n_bins, columns = cuckoo.bin_count(rows_exposure), len(shape.class_position)
    placed, attempt = cuckoo.place_padded(exposure.keys, rows=rows_exposure, n_bins=n_bins, streams=mine, bucket=bucket)
    queries = cuckoo.queries(placed, exposure.keys, mine, bucket)
    oblivious = {"ecdh": _ecdh, "kkrt": _kkrt, "vole": _vole}[shape.profile]
    messages, answers, prf = oblivious(mine, theirs, queries, 8 + 8 * columns, bucket)
    made = hint.send(
        streams=theirs,
        rows=dict(zip(outcome.keys, outcome.values, strict=True)),
        columns=columns,
        rows_outcome=rows_outcome,
        n_bins=n_bins,
        bin_seed=cuckoo.bin_seed(mine.session_id, bucket=bucket, attempt=attempt),
        prf=prf,
        bucket=bucket,
    )
    decoded = hint.receive(
        session_id=mine.session_id,
        hint=made,
        queries=queries,
        answers=answers,
        rows_outcome=rows_outcome,
        bucket=bucket,
    )
    sent = [(0, Sent("bins.attempt", attempt.to_bytes(4, "little"))), *messages]
    sent += [(1, message) for message in made.sent]
    return _Front(sent=sent, placed=placed, decoded=decoded, made=made)


def _ecdh(
    receiver: Streams, sender: Streams, queries: Sequence[bytes], output_bytes: int, bucket: int
) -> tuple[Messages, list[bytes], Prf]:
    """Messages, the receiver's answer of each bin, and F for the sender."""
    session_id = receiver.session_id
    blinds_key = receiver.key("oprf", "blinds", direction="receiver", bucket=bucket)
    seed = sender.key("oprf", "bin keys", direction="sender", bucket=bucket)
    keys = [oprf.derive_key(seed, at.to_bytes(8, "little")) for at in range(len(queries))]
    blinded, evaluated, answers = [], [], []
    for at, (query, key) in enumerate(zip(queries, keys, strict=True)):
        scalar = oprf.random_scalar(blinds_key, at)
        blinded.append(oprf.blind(query, scalar))
        evaluated.append(oprf.blind_evaluate(key, blinded[at]))
        answers.append(oprf.expand_output(oprf.finalize(query, scalar, evaluated[at]), session_id, output_bytes))

    def prf(at: int, point: bytes) -> bytes:
        return oprf.expand_output(oprf.evaluate(keys[at], point), session_id, output_bytes)

    sent = [(0, Sent("oprf.blinded", b"".join(blinded))), (1, Sent("oprf.evaluated", b"".join(evaluated)))]
    return sent, answers, prf


def _kkrt(
    receiver: Streams, sender: Streams, queries: Sequence[bytes], output_bytes: int, bucket: int
) -> tuple[Messages, list[bytes], Prf]:
    """Likewise, in profile kkrt."""
    session_id, label = receiver.session_id, f"oprf-kkrt {bucket}"
    domain = session_id + len(label).to_bytes(2, "little") + label.encode()
    drawn = keystream(sender.key("oprf", "mask", direction="sender", bucket=bucket), 56)
    mask = int.from_bytes(drawn, "little")
    bits = [mask >> column & 1 for column in range(8 * len(drawn))]
    base_key = receiver.key("base_ot", label, direction="sender")
    elements = base_ot.receiver_message(sender.key("base_ot", label, direction="receiver"), domain, bits)
    flat = pieces(base_ot.sender_keys(base_key, domain, elements), 16)
    pairs = list(zip(flat[0::2], flat[1::2], strict=True))
    chosen = [pair[bit] for pair, bit in zip(pairs, bits, strict=True)]
    message = kkrt.correction(pairs, kkrt.code_keys(session_id, bucket), queries)
    rows = [kkrt.receiver_row(pairs, at) for at in range(len(queries))]
    answers = [kkrt.hash_row(session_id, bucket, at, row, output_bytes) for at, row in enumerate(rows)]
    held = [kkrt.sender_row(chosen, mask, message, at) for at in range(len(queries))]

    def prf(at: int, point: bytes) -> bytes:
        return kkrt.evaluate(held[at], mask, session_id, bucket, index=at, data=point, output_bytes=output_bytes)

    sent = [
        (1, Sent("base_ot.receiver_elements", elements)),
        (0, Sent("base_ot.sender_elements", base_ot.sender_message(base_key, len(bits)))),
        (0, Sent("oprf.correction", message)),
    ]
    return sent, answers, prf


def _vole(
    receiver: Streams, sender: Streams, queries: Sequence[bytes], output_bytes: int, bucket: int
) -> tuple[Messages, list[bytes], Prf]:
    """Likewise, in profile vole."""
    session_id = receiver.session_id
    made = oprf_vole.run(receiver=receiver, sender=sender, queries=queries, bucket=bucket)
    answers = [oprf_vole.hash_element(session_id, bucket, at, v, output_bytes) for at, v in enumerate(made.values)]

    def prf(at: int, point: bytes) -> bytes:
        return oprf_vole.evaluate(
            made.rows[at], made.delta, session_id, bucket, index=at, data=point, output_bytes=output_bytes
        )

    return [(0 if own else 1, message) for own, message in made.messages], answers, prf
