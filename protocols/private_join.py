"""The private join: additive shares of grouped sums over the rows that both sides hold, and nothing else.

Functionality: the exposure side holds distinct keys with sparse integer weights per target (class, group); the outcome
side holds distinct keys with m integers each. Both obtain additive shares mod 2^64 of
S[g, j] = sum over common keys of weight[key, (class of j, g)] * value[key, j], for every group g and column j.
Model: semi-honest, 128-bit computational and 40-bit statistical security.
Leakage: none beyond the public parameters; which keys match, how many, and per group, stays hidden from both.
Rounds: bins 1/2, OPRF 1 (`ecdh`), 3/2 (`kkrt`) or 5/2 (`vole`, and 1 for each further batch of outputs), hint 1/2,
equality 3, mux 1, ciphertexts of the grouped sum 1/2, for each bucket; once the base OTs 1, the key of the grouped sum
1/2 and its answers 1/2.
Bytes: a function of `JoinParameters` alone; see each step.
Buckets: above `buckets.BUCKET_ROWS` rows a side the join runs bucket by bucket, with bins, keys of the OPRF, targets,
masks and hashes of its own in each. Carried over all of them are the transfers of `ot`, which number theirs, and the
accumulators of the grouped sum with one flood: **nothing is opened of a bucket**, its shares only add up.
Source: circuit PSI after Pinkas, Schneider, Tkachenko, Yanai (ePrint 2019/241) and Rindal, Raghuraman (2022/320);
the exposure side is the cuckoo side, so all that follows the equality is linear in what it knows in the clear.
Departures: the grouped sum replaces a generic circuit; the OPRF input is (key, position) with one answer a bin.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.errors import PeerError
from cleanroom.protocols import cuckoo, equality, grouped_sum, hint, mux
from cleanroom.protocols.buckets import BUCKET_ROWS, Division, Partition, Source
from cleanroom.protocols.join_rows import Lookups, Rows
from cleanroom.protocols.ot import OtReceiver, OtSender, receiver_setup, sender_setup, setup_traffic
from cleanroom.protocols.profiles import Oprf, steps_of
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import NOTHING, Traffic, messages
from cleanroom.protocols.wire import Message, Progress, Protocol, ProtocolId, Send, expect

__all__ = ["JoinOutput", "JoinParameters", "Oprf", "exposure", "outcome", "traffic"]

_ATTEMPT: Final = struct.Struct("<I")
_ATTEMPT_MESSAGE: Final = Message(protocol=ProtocolId.SESSION, type=4, step="bins.attempt")
_BUCKET: Final = "bins.bucket"
"""Progress that tells which bucket begins, where there are several; the number after the last: none does."""
_FROM_EXPOSURE: Final = "from exposure"
_FROM_OUTCOME: Final = "from outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinParameters:
    """The public shape of a join; every message length follows from it."""

    oprf: Oprf = Oprf.ECDH
    rows_exposure: int  # padded bound on the exposure side's rows
    rows_outcome: int  # padded bound on the outcome side's rows
    groups: int
    class_positions: tuple[int, ...]  # per column: which weight class it belongs to
    weight_bound: int  # the largest absolute weight of a row for a target
    targets_per_row: int  # the most targets, of all classes, for which a row has a weight
    bucket_rows: int = BUCKET_ROWS  # rows in a bucket on average, on the side with more; a constant outside tests

    @property
    def columns(self) -> int:
        """m, the integers that a row of the outcome side holds."""
        return len(self.class_positions)

    @property
    def division(self) -> Division:
        """How many buckets there are, and how many rows each holds."""
        return Division.of(
            rows_exposure=self.rows_exposure, rows_outcome=self.rows_outcome, bucket_rows=self.bucket_rows
        )

    @property
    def n_bins(self) -> int:
        """N, the cuckoo bins of a bucket."""
        return cuckoo.bin_count(self.division.exposure)

    @property
    def sum_shape(self) -> grouped_sum.Shape:
        """The public parameters of the grouped sum."""
        return grouped_sum.Shape(
            groups=self.groups,
            class_position=self.class_positions,
            rows=self.rows_exposure,
            weight_bound=self.weight_bound,
            entries_per_bin=self.targets_per_row,
        )

    @property
    def prf_bytes(self) -> int:
        """Output bytes of the OPRF: 64 bits for the equality, 64 a column for the values."""
        return 8 + 8 * self.columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JoinOutput:
    """One side's shares, and the OTs that the release may go on with."""

    shares: NDArray[np.uint64] = field(repr=False)  # groups × columns, mod 2^64
    ot_sender: OtSender = field(repr=False)
    ot_receiver: OtReceiver = field(repr=False)


def exposure(*, parameters: JoinParameters, lookups: Source[Lookups], streams: Streams) -> Protocol[JoinOutput]:
    """Runs the exposure side.

    Args:
        parameters: the public shape.
        lookups: at most `rows_exposure` of them, weights at most `weight_bound` in absolute value; targets are class
            position × groups + group.
        streams: this side's random streams.

    Returns:
        This side's shares.

    Raises:
        DataError: the weights pass the public bounds. Lookups in memory are checked before anything is sent; another
            source checks when it takes them, and each bucket is checked again.
        BucketOverflowError: too many lookups fell into one bucket; nothing has been sent.
        PeerError: the peer's bytes are malformed.
    """
    division, shape, n_bins = parameters.division, parameters.sum_shape, parameters.n_bins
    if isinstance(lookups, Lookups):
        grouped_sum.check_entries(shape=shape, indptr=lookups.indptr, targets=lookups.target, weights=lookups.weight)
    bucket_lookups = yield from lookups.divided(
        Partition(
            session_id=streams.session_id,
            buckets=division.count,
            rows=parameters.rows_exposure,
            capacity=division.exposure,
        )
    )
    local = np.zeros((shape.groups, shape.columns), dtype=np.uint64)
    waiting = deque([_Placed(parameters, bucket_lookups, streams, 0)])
    for bucket in range(division.count):
        if division.count > 1:
            yield Progress(_BUCKET, bucket, division.count)
        placed = waiting.popleft()
        answers = yield from _answered(parameters, placed, streams)
        if bucket + 1 < division.count:  # while the peer makes its hint, which takes longer
            waiting.append(_Placed(parameters, bucket_lookups, streams, bucket + 1))
            waiting[0].queries()
        t, z = yield from hint.receiver(
            streams=streams,
            queries=placed.queries(),
            answers=answers,
            rows_outcome=division.outcome,
            bucket=bucket,
        )
        weights = placed.weights()
        del placed, answers
        if bucket == 0:
            ot_sender = yield from sender_setup(streams=streams, label=_FROM_EXPOSURE)
            ot_receiver = yield from receiver_setup(streams=streams, label=_FROM_OUTCOME)
            transfers = steps_of(parameters.oprf).sender(ot_sender, streams=streams, label=_FROM_EXPOSURE)
        bits = yield from equality.sender(transfers, t)
        words = yield from mux.exposure(ot_sender, ot_receiver, bits, z)
        del t, z, bits
        if bucket == 0:
            sums = grouped_sum.Receiver(streams=streams, shape=shape)
            yield from sums.setup()
        local += grouped_sum.local_sum(shape=shape, weights=weights, shares=words)  # while the peer encrypts
        yield from sums.add(n_bins=n_bins, weights=weights)
        del weights, words  # before those of the next bucket are taken
    if division.count > 1:
        yield Progress(_BUCKET, division.count, division.count)
    shares = yield from sums.finish()
    return JoinOutput(shares=shares + local, ot_sender=ot_sender, ot_receiver=ot_receiver)


class _Placed:
    """One bucket's lookups in their bins. While it waits it holds their keys: the weights are most of the memory."""

    def __init__(
        self, parameters: JoinParameters, taken: Callable[[int], Lookups], streams: Streams, bucket: int
    ) -> None:
        self.bucket = bucket
        self._taken = taken
        self._keys = taken(bucket).keys
        self._table, self.attempt = cuckoo.place(
            self._keys,
            rows=parameters.division.exposure,
            padding_key=streams.key(step="bins", purpose="padding", bucket=bucket),
            n_bins=parameters.n_bins,
            session_id=streams.session_id,
            bucket=bucket,
        )
        self._dummy_key = streams.key(step="bins", purpose="dummies", bucket=bucket)
        self._queries: NDArray[np.uint8] | None = None

    def queries(self) -> NDArray[np.uint8]:
        """The one query of each bin, made when first asked for."""
        if self._queries is None:
            self._queries = cuckoo.queries(self._table, self._keys, self._dummy_key)
        return self._queries

    def weights(self) -> grouped_sum.Weights:
        """The lookups' weights, taken anew and moved to the bins that the rows landed in."""
        lookups, row = self._taken(self.bucket), self._table.row
        occupied = np.flatnonzero(row >= 0)
        bin_of_row = np.empty(len(lookups), dtype=np.int64)
        bin_of_row[row[occupied]] = occupied
        return grouped_sum.Weights(
            bins=bin_of_row, indptr=lookups.indptr, targets=lookups.target, weights=lookups.weight
        )


def _answered(parameters: JoinParameters, placed: _Placed, streams: Streams) -> Protocol[NDArray[np.uint8]]:
    """Bins and OPRF of one bucket: the answers to its queries."""
    yield Send(_ATTEMPT_MESSAGE, _ATTEMPT.pack(placed.attempt))
    return (
        yield from steps_of(parameters.oprf).oprf.receiver(
            queries=placed.queries(), output_bytes=parameters.prf_bytes, streams=streams, bucket=placed.bucket
        )
    )


def outcome(*, parameters: JoinParameters, rows: Source[Rows], streams: Streams) -> Protocol[JoinOutput]:
    """Runs the outcome side.

    Args:
        parameters: the public shape.
        rows: at most `rows_outcome` of them, one integer a column.
        streams: this side's random streams.

    Returns:
        This side's shares.

    Raises:
        BucketOverflowError: too many rows fell into one bucket; nothing has been sent.
        PeerError: the peer's bytes are malformed.
    """
    division = parameters.division
    bucket_rows = yield from rows.divided(
        Partition(
            session_id=streams.session_id,
            buckets=division.count,
            rows=parameters.rows_outcome,
            capacity=division.outcome,
        )
    )
    for bucket in range(division.count):
        if division.count > 1:
            yield Progress(_BUCKET, bucket, division.count)
        targets, masks = yield from _encoded(parameters, bucket_rows, streams, bucket)
        if bucket == 0:
            ot_receiver = yield from receiver_setup(streams=streams, label=_FROM_EXPOSURE)
            ot_sender = yield from sender_setup(streams=streams, label=_FROM_OUTCOME)
            transfers = steps_of(parameters.oprf).receiver(ot_receiver, streams=streams, label=_FROM_EXPOSURE)
        bits = yield from equality.receiver(transfers, targets)
        words = yield from mux.outcome(ot_sender, ot_receiver, bits, masks)
        del targets, masks, bits
        if bucket == 0:
            sums = grouped_sum.Sender(streams=streams, shape=parameters.sum_shape)
            yield from sums.setup()
        yield from sums.add(words)
        del words  # a bucket is gone before the next one comes
    if division.count > 1:
        yield Progress(_BUCKET, division.count, division.count)
    shares = yield from sums.finish()
    return JoinOutput(shares=shares, ot_sender=ot_sender, ot_receiver=ot_receiver)


def _encoded(
    parameters: JoinParameters, bucket_rows: Callable[[int], Rows], streams: Streams, bucket: int
) -> Protocol[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Bins, OPRF and hint of one bucket: the targets and masks of its bins."""
    rows = bucket_rows(bucket)
    prepared = hint.prepare(  # while the peer places its own rows
        streams=streams,
        keys=rows.keys,
        values=rows.values.view(np.uint64),
        rows_outcome=parameters.division.outcome,
        n_bins=parameters.n_bins,
        bucket=bucket,
    )
    del rows
    (attempt,) = _ATTEMPT.unpack((yield from expect(_ATTEMPT_MESSAGE, _ATTEMPT.size)))
    if attempt >= cuckoo.MAX_ATTEMPTS:
        raise PeerError(f"bins: at most {cuckoo.MAX_ATTEMPTS} attempts are allowed, number {attempt} announced")
    evaluator = yield from steps_of(parameters.oprf).oprf.sender(
        n_bins=parameters.n_bins, output_bytes=parameters.prf_bytes, streams=streams, bucket=bucket
    )
    bin_seed = cuckoo.bin_seed(session_id=streams.session_id, bucket=bucket, attempt=attempt)
    return (yield from hint.sender(streams=streams, prepared=prepared, bin_seed=bin_seed, evaluator=evaluator))


def traffic(parameters: JoinParameters) -> dict[str, Traffic]:
    """What exposure and outcome side send, by step; base transfers are counted with the step that uses them."""
    division, n_bins, columns = parameters.division, parameters.n_bins, parameters.columns
    hint_sender, hint_receiver = hint.traffic(rows_outcome=division.outcome, columns=columns)
    first, second = setup_traffic()
    sum_sender, sum_receiver = grouped_sum.traffic(shape=parameters.sum_shape, n_bins=n_bins, buckets=division.count)
    steps = steps_of(parameters.oprf)
    bucket = {
        "bins": (messages(_ATTEMPT.size), NOTHING),
        "oprf": steps.oprf.traffic(n_bins),
        "hint": (hint_receiver, hint_sender),
        "ot": (NOTHING, NOTHING),
        "equality": equality.traffic(n_bins, source=steps.source),
        "mux": mux.traffic(count=n_bins, words=columns),
    }
    buckets = {step: (division.count * one, division.count * other) for step, (one, other) in bucket.items()}
    return buckets | {"ot": (first + second, first + second), "grouped_sum": (sum_receiver, sum_sender)}
