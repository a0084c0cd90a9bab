"""Step 2 of the private join, profile `vole`: one oblivious PRF answer a bin, by silent vector OLE.

Functionality: that of `oprf_ecdh`. The receiver holds one query a bin, q_1 … q_N; it learns F(i, q_i) for each bin i,
once. The sender learns an object that evaluates F at any (bin, input).

Security model: semi-honest, 128-bit computational, under the assumptions of `silent_vole` (learning parity with noise);
SHA-256 is a random oracle. What each party learns: the receiver its N outputs, the sender nothing, since the vector
that masks the queries is pseudorandom to it. That the receiver gets no second answer in a bin is enforced by what it
can send: one field element a bin, so that it holds the answer of one point H(q) there, and a second input for that
answer is a collision of H, 2^64 evaluations after the session is fixed. **The input is the whole
query, position number and domain too, and the output hash takes the bin**: a receiver with two answers to compare in
one bin, or with answers of one key at two positions, would learn that both keys are in the sender's set.

Rounds: those of `silent_vole`, then one message a chunk from the receiver. Bytes: 16 a bin, receiver to sender, and
those of `silent_vole`.

Source: Raghuraman, Rindal, "Blazing Fast PSI from Improved OKVS and Subfield VOLE", ePrint 2022/320, figure 4, with
the fields both GF(2^128); in bins as Bui, Couteau, ePrint 2022/334 (batched related-key OPRF from VOLE).

The vector OLE gives the receiver random u and v, the sender a random Δ and k with v = k + u·Δ, one element a bin. The
receiver sends c_i = u_i + H(q_i); the sender computes w_i = k_i + c_i·Δ = v_i + H(q_i)·Δ, and
F(i, y) = G(i, w_i + H(y)·Δ), which is G(i, v_i) where y is the query q_i. Elsewhere it is G at v_i + (H(q_i) + H(y))·Δ,
a point that takes a guess of Δ: q hashes hit one of the P points of a bin with probability q·P / 2^128.

H is the first 16 bytes of SHA-256(prefix ‖ input), G's part p (0: target, 1: masks) is cut from
SHA-256(prefix ‖ bin u64 LE ‖ element ‖ p u8 ‖ counter u32 LE), counter = 0, 1, …; a prefix is 64 bytes with a label of
its own, the session id and the bucket. Elements are 16 bytes: bit i of the little-endian number is the coefficient of
x^i, modulo x^128 + x^7 + x^2 + x + 1.

Departures: the bins are the key-value store. The paper's receiver encodes q → H(q) into a store P of 1.1 N + 255
elements and sends u + P, and F(y) takes Decode(w, y). Here every query has a bin of its own, so the store whose row for
(i, q) is the i-th unit vector encodes N queries in N elements: nothing to solve or to decode, no seed, 10 % fewer
bytes, and no room. In a store of more elements than queries a receiver that deviates puts a point in every free one:
0.1 N + 255 more answers than bins, or all 1.1 N + 255 in the bins of its choice. The paper's malicious variant bounds
how many there are and does not take them away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import silent_vole
from cleanroom.protocols.oprf_ecdh import QUERY_BYTES, check_output_bytes
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import Traffic, in_chunks
from cleanroom.protocols.wire import Expect, Message, Progress, Protocol, ProtocolId, Send, chunks

__all__ = [
    "CHUNK_BINS",
    "ELEMENT_BYTES",
    "QUERY_BYTES",
    "Evaluator",
    "input_prefix",
    "output_prefix",
    "receiver",
    "sender",
    "traffic",
]

ELEMENT_BYTES: Final = 16
CHUNK_BINS: Final = 1 << 16
"""Bins a message: 1 MiB."""

_STEP: Final = "oprf"
_MASKED: Final = Message(protocol=ProtocolId.OPRF_VOLE, type=1, step="oprf.masked")
_INPUT_LABEL: Final = b"cleanroom/oprf-vole/input/v1"
_OUTPUT_LABEL: Final = b"cleanroom/oprf-vole/v1"
_PREFIX_BYTES: Final = 64

Bytes = NDArray[np.uint8]
Elements = NDArray[np.uint64]
"""Field elements: n × 2 words, the lower one first."""


def input_prefix(session_id: bytes, bucket: int) -> bytes:
    """Returns the 64 bytes that every hash of an input begins with: label ‖ session id ‖ bucket u32 LE."""
    return (_INPUT_LABEL + session_id + bucket.to_bytes(4, "little")).ljust(_PREFIX_BYTES, b"\x00")


def output_prefix(session_id: bytes, bucket: int) -> bytes:
    """Returns the 64 bytes that every hash to an output begins with: label ‖ session id ‖ bucket u32 LE ‖ zeros."""
    return (_OUTPUT_LABEL + session_id + bucket.to_bytes(4, "little")).ljust(_PREFIX_BYTES, b"\x00")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluator:
    """The sender's PRF. Pure: the same (input, bin) gives the same output, in whatever slices it is asked."""

    output_bytes: int
    session_id: bytes
    bucket: int
    rows: Elements = field(repr=False)  # w, N × 2 words
    delta: bytes = field(repr=False)  # Δ, 16 bytes

    def evaluate(self, inputs: Bytes, bins: NDArray[np.int64]) -> Bytes:
        """Evaluates F.

        Args:
            inputs: k × 26 bytes.
            bins: k bin numbers in [0, N).

        Returns:
            k × output_bytes bytes.

        Raises:
            ValueError: shapes do not fit, or a bin is out of range.
        """
        bins = np.ascontiguousarray(bins, dtype=np.int64)
        if len(bins) and not 0 <= bins.min() <= bins.max() < len(self.rows):
            raise ValueError("bins are in [0, N)")
        points = _kernels.oprf_vole_points(
            input_prefix(self.session_id, self.bucket), np.ascontiguousarray(inputs, dtype=np.uint8)
        )
        if len(points) != len(bins):
            raise ValueError("as many bins as inputs expected")
        values = _kernels.gf128_multiply_add(points, self.delta, np.take(self.rows, bins, axis=0))
        return _kernels.oprf_vole_outputs(output_prefix(self.session_id, self.bucket), bins, values, self.output_bytes)


def receiver(*, queries: Bytes, output_bytes: int, streams: Streams, bucket: int = 0) -> Protocol[Bytes]:
    """The receiver's side (the exposure side's).

    Args:
        queries: N × 26 bytes, one query a bin, N at least 1.
        output_bytes: bytes of an output, `oprf_ecdh.TARGET_BYTES` + 8 a column.
        streams: this party's random streams; opens those of `silent_vole`.
        bucket: number of the bucket, in the labels and in every hash.

    Returns:
        N × output_bytes bytes, in the order of the bins.

    Raises:
        PeerError: a message of the peer is malformed.
        ValueError: queries are not N × 26 bytes, or output_bytes is not a multiple of 8 above 8.
    """
    check_output_bytes(output_bytes)
    if queries.ndim != 2 or queries.shape[1] != QUERY_BYTES:
        raise ValueError(f"queries of {QUERY_BYTES} bytes each expected")
    n_bins = len(queries)
    vole = yield from silent_vole.receiver(streams=streams, label=_label(bucket), length=n_bins)
    prefix = input_prefix(streams.session_id, bucket)
    for start, stop in chunks(n_bins, CHUNK_BINS):
        points = _kernels.oprf_vole_points(prefix, np.ascontiguousarray(queries[start:stop]))
        points ^= vole.u[start:stop]
        yield Send(_MASKED, points.astype("<u8", copy=False).tobytes())
        yield Progress(_STEP, stop, n_bins)
    bins = np.arange(n_bins, dtype=np.int64)
    outputs = _kernels.oprf_vole_outputs(output_prefix(streams.session_id, bucket), bins, vole.v, output_bytes)
    vole.u.fill(0)
    vole.v.fill(0)
    return outputs


def sender(*, n_bins: int, output_bytes: int, streams: Streams, bucket: int = 0) -> Protocol[Evaluator]:
    """The sender's side (the outcome side's).

    Args:
        n_bins: number of bins, public.
        output_bytes: bytes of an output, `oprf_ecdh.TARGET_BYTES` + 8 a column.
        streams: this party's random streams; opens those of `silent_vole`.
        bucket: number of the bucket, in the labels and in every hash.

    Returns:
        The PRF, for the sender's own points. It holds 16 bytes a bin.

    Raises:
        PeerError: a message of the peer is malformed.
        ValueError: output_bytes is not a multiple of 8 above 8.
    """
    check_output_bytes(output_bytes)
    vole = yield from silent_vole.sender(streams=streams, label=_label(bucket), length=n_bins)
    delta, rows = vole.delta, vole.k
    for start, stop in chunks(n_bins, CHUNK_BINS):
        payload = yield Expect(_MASKED, ELEMENT_BYTES * (stop - start))
        assert payload is not None
        masked = np.frombuffer(payload, dtype="<u8").astype(np.uint64, copy=False).reshape(-1, 2)
        rows[start:stop] = _kernels.gf128_multiply_add(masked, delta, rows[start:stop])
        yield Progress(_STEP, stop, n_bins)
    return Evaluator(output_bytes=output_bytes, session_id=streams.session_id, bucket=bucket, rows=rows, delta=delta)


def traffic(n_bins: int) -> Traffic:
    """What receiver and sender send for `n_bins` bins, the vector OLE included."""
    receiver_sends, sender_sends = silent_vole.traffic(n_bins)
    return receiver_sends + in_chunks(n_bins, CHUNK_BINS, ELEMENT_BYTES), sender_sends


def _label(bucket: int) -> str:
    return f"oprf-vole {bucket}"
