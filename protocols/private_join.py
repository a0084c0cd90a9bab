"""The private join: additive shares of grouped sums over the rows that both sides hold, and nothing else.

Functionality: the exposure side holds distinct keys with sparse integer weights per target (class, group); the outcome
side holds distinct keys with m integers each. Both obtain additive shares mod 2^64 of
S[g, j] = sum over common keys of weight[key, (class of j, g)] * value[key, j], for every group g and column j.
Model: semi-honest, 128-bit computational and 40-bit statistical security.
Leakage: none beyond the public parameters; which keys match, how many, and per group, stays hidden from both.
Rounds: bins 1/2, OPRF 1 (`ecdh`) or 3/2 (`kkrt`), hint 1/2, base OTs 1, equality 3, mux 1, grouped sum 1.
Bytes: a function of `JoinParameters` alone; see each step.
Source: circuit PSI after Pinkas, Schneider, Tkachenko, Yanai (ePrint 2019/241) and Rindal, Raghuraman (2022/320);
the exposure side is the cuckoo side, so all that follows the equality is linear in what it knows in the clear.
Departures: the grouped sum replaces a generic circuit; the OPRF input is (key, position) with one answer a bin.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.errors import PeerError
from cleanroom.protocols import cuckoo, equality, grouped_sum, hint, mux
from cleanroom.protocols.ot import OtReceiver, OtSender, receiver_setup, sender_setup, setup_traffic
from cleanroom.protocols.profiles import Oprf, steps_of
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import NOTHING, Traffic, messages
from cleanroom.protocols.wire import Message, Protocol, ProtocolId, Send, expect

__all__ = ["JoinOutput", "JoinParameters", "Oprf", "exposure", "outcome", "traffic"]

_ATTEMPT: Final = struct.Struct("<I")
_ATTEMPT_MESSAGE: Final = Message(protocol=ProtocolId.SESSION, type=4, step="bins.attempt")
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

    @property
    def columns(self) -> int:
        """m, the integers that a row of the outcome side holds."""
        return len(self.class_positions)

    @property
    def n_bins(self) -> int:
        """N, the cuckoo bins."""
        return cuckoo.bin_count(self.rows_exposure)

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


def exposure(
    *,
    parameters: JoinParameters,
    keys: NDArray[np.uint8],
    indptr: NDArray[np.int64],
    target: NDArray[np.int32],
    weight: NDArray[np.int64],
    streams: Streams,
) -> Protocol[JoinOutput]:
    """Runs the exposure side.

    Args:
        parameters: the public shape.
        keys: n × 16 bytes, distinct, n <= rows_exposure.
        indptr: n + 1 offsets into `target` and `weight`, one slice a row.
        target: class position × groups + group.
        weight: signed, at most `weight_bound` in absolute value.
        streams: this side's random streams.

    Returns:
        This side's shares.

    Raises:
        DataError: the weights pass the public bounds; nothing has been sent.
        PeerError: the peer's bytes are malformed.
    """
    n_bins = parameters.n_bins
    shape = parameters.sum_shape
    grouped_sum.check_entries(shape=shape, indptr=indptr, targets=target, weights=weight)
    table, attempt = cuckoo.place(
        keys,
        rows=parameters.rows_exposure,
        padding_key=streams.key(step="bins", purpose="padding"),
        n_bins=n_bins,
        session_id=streams.session_id,
    )
    yield Send(_ATTEMPT_MESSAGE, _ATTEMPT.pack(attempt))
    queries = cuckoo.queries(table, keys, streams.key(step="bins", purpose="dummies"))
    steps = steps_of(parameters.oprf).oprf
    answers = yield from steps.receiver(queries=queries, output_bytes=parameters.prf_bytes, streams=streams)
    t, z = yield from hint.receiver(
        streams=streams, queries=queries, answers=answers, rows_outcome=parameters.rows_outcome
    )
    del queries, answers
    ot_sender = yield from sender_setup(streams=streams, label=_FROM_EXPOSURE)
    ot_receiver = yield from receiver_setup(streams=streams, label=_FROM_OUTCOME)
    bits = yield from equality.sender(ot_sender, t)
    words = yield from mux.exposure(ot_sender, ot_receiver, bits, z)
    weights = _weights_of_bins(table, indptr, target, weight)
    shares = yield from grouped_sum.receiver(streams=streams, shape=shape, n_bins=n_bins, weights=weights)
    shares = shares + grouped_sum.local_sum(shape=shape, weights=weights, shares=words)
    return JoinOutput(shares=shares, ot_sender=ot_sender, ot_receiver=ot_receiver)


def traffic(parameters: JoinParameters) -> dict[str, Traffic]:
    """What exposure and outcome side send, by step; base transfers are counted with the step that uses them."""
    n_bins, columns = parameters.n_bins, parameters.columns
    hint_sender, hint_receiver = hint.traffic(rows_outcome=parameters.rows_outcome, columns=columns)
    first, second = setup_traffic()
    sum_sender, sum_receiver = grouped_sum.traffic(shape=parameters.sum_shape, n_bins=n_bins)
    return {
        "bins": (messages(_ATTEMPT.size), NOTHING),
        "oprf": steps_of(parameters.oprf).oprf.traffic(n_bins),
        "hint": (hint_receiver, hint_sender),
        "ot": (first + second, first + second),
        "equality": equality.traffic(n_bins),
        "mux": mux.traffic(count=n_bins, words=columns),
        "grouped_sum": (sum_receiver, sum_sender),
    }


def _weights_of_bins(
    table: cuckoo.Table, indptr: NDArray[np.int64], target: NDArray[np.int32], weight: NDArray[np.int64]
) -> grouped_sum.Weights:
    """Moves the weights of rows to the bins that the rows landed in."""
    occupied = np.flatnonzero(table.row >= 0)
    bin_of_row = np.empty(len(indptr) - 1, dtype=np.int64)
    bin_of_row[table.row[occupied]] = occupied
    return grouped_sum.Weights(bins=bin_of_row, indptr=indptr, targets=target, weights=weight)


def outcome(
    *,
    parameters: JoinParameters,
    keys: NDArray[np.uint8],
    values: NDArray[np.uint64],
    streams: Streams,
) -> Protocol[JoinOutput]:
    """Runs the outcome side.

    Args:
        parameters: the public shape.
        keys: n × 16 bytes, distinct, n <= rows_outcome.
        values: n × m integers mod 2^64.
        streams: this side's random streams.

    Returns:
        This side's shares.
    """
    n_bins = parameters.n_bins
    (attempt,) = _ATTEMPT.unpack((yield from expect(_ATTEMPT_MESSAGE, _ATTEMPT.size)))
    if attempt >= cuckoo.MAX_ATTEMPTS:
        raise PeerError(f"bins: at most {cuckoo.MAX_ATTEMPTS} attempts are allowed, number {attempt} announced")
    steps = steps_of(parameters.oprf).oprf
    evaluator = yield from steps.sender(n_bins=n_bins, output_bytes=parameters.prf_bytes, streams=streams)
    targets, masks = yield from hint.sender(
        streams=streams,
        keys=keys,
        values=values,
        rows_outcome=parameters.rows_outcome,
        n_bins=n_bins,
        bin_seed=cuckoo.bin_seed(session_id=streams.session_id, attempt=attempt),
        evaluator=evaluator,
    )
    ot_receiver = yield from receiver_setup(streams=streams, label=_FROM_EXPOSURE)
    ot_sender = yield from sender_setup(streams=streams, label=_FROM_OUTCOME)
    bits = yield from equality.receiver(ot_receiver, targets)
    words = yield from mux.outcome(ot_sender, ot_receiver, bits, masks)
    shares = yield from grouped_sum.sender(streams=streams, shape=parameters.sum_shape, shares=words)
    return JoinOutput(shares=shares, ot_sender=ot_sender, ot_receiver=ot_receiver)
