"""Step 2 of the private join, profile `kkrt`: one oblivious PRF answer a bin, by oblivious transfer extension.

Functionality: that of `oprf_ecdh`. The receiver holds one query a bin, q_1 … q_N; it learns F(i, q_i) for each bin i,
once. The sender learns an object that evaluates F at any (bin, input).

Security model: semi-honest, 128-bit computational; the receiver's codewords are not checked, since the code is not
linear (docs/THREAT-MODEL.md). SHA-256 is taken as correlation robust in the sense of KKRT16
(d-Hamming correlation robustness: H(i, a_i ⊕ (b_i ∧ s)) looks random for a secret mask s and public b_i of weight
d = 128 and more), which a random oracle is; AES-128 as a PRF, for the streams and for the code. What each party learns:
the receiver its N outputs, the sender nothing. That the receiver gets no second answer in a bin is enforced by the
extension: each bin is an instance of its own, with a row of its own, and its correction holds one codeword. **The code
takes the whole input, position number and domain too, and the hash takes the bin**: a receiver with answers of one key
at two positions, or two answers to compare in one bin, would learn that both keys are in the sender's set.

Rounds: base transfers 1, then one message a chunk from the receiver. Bytes: 56 a bin, receiver to sender; the base
transfers take 448 × (64 + 32). Work: see docs/reference/wire/oprf-kkrt.md.

Source: Kolesnikov, Kumaresan, Rosulek, Trieu, "Efficient Batched Oblivious PRF with Applications to Private Set
Intersection", ePrint 2016/799, figure 2 (BaRK-OPRF); the extension is that of Ishai, Kilian, Nissim, Petrank.

Bin i has a row t_i of 448 bits; column j of all rows is the stream of the base key k_{j,0}. The receiver sends
u_i = t_i ⊕ t'_i ⊕ C(q_i), t' being the streams of k_{j,1}. The sender, who holds k_{j, s_j} for its secret mask s,
computes r_i = t_i ⊕ (C(q_i) ∧ s), and F(i, y) = H(i, r_i ⊕ (C(y) ∧ s)), which is H(i, t_i) where y is the query q_i.

C is a pseudorandom code: with z the CBC-MAC of the input, padded with zeros to two blocks, under the first of five AES
keys, C is AES of z under the other four, cut to 448 bits. The keys are a hash of the session, which is fixed after
both inputs are, so no input can be chosen for its codeword. Width: a point is as hard to guess as its codeword is far
from the query's, and 128 is wanted of every point. At 448 bits two codewords are nearer than that with probability
2^-66.5 (a binomial tail), and any of 3 · 2^24 points with 2^-40.9: see `weak_point_bits`.

H makes D = SHA-256(prefix ‖ bin u64 LE ‖ row), the prefix being 64 bytes with the label, the session id and the bucket.
The output's two parts p (0: target, 1: masks) are cut from SHA-256(D ‖ p u8 ‖ counter u32 LE), counter = 0, 1, …

Departures: the code is keyed by the session and not by the sender's coin; two-part outputs as in `oprf_ecdh`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from math import comb, log2
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import base_ot
from cleanroom.protocols.oprf_ecdh import QUERY_BYTES, check_output_bytes
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.traffic import Traffic, messages
from cleanroom.protocols.wire import Expect, Message, Progress, Protocol, ProtocolId, Send, chunks

__all__ = [
    "CHUNK_BINS",
    "DISTANCE",
    "QUERY_BYTES",
    "WIDTH",
    "Evaluator",
    "code_keys",
    "correction_bytes",
    "hash_prefix",
    "receiver",
    "sender",
    "traffic",
    "weak_point_bits",
]

WIDTH: Final = 448
"""Bits of a codeword, columns of the extension, base transfers."""
DISTANCE: Final = 128
"""Bits of the mask that hide every other point of a bin: the computational security."""
ROW_BYTES: Final = WIDTH // 8
GROUP: Final = 128
"""Bins that share a block of the streams; a chunk is padded to whole groups."""
CHUNK_BINS: Final = 16_384
"""Bins a message: 896 KiB."""

_STEP: Final = "oprf"
_CORRECTION: Final = Message(protocol=ProtocolId.OPRF_KKRT, type=1, step="oprf.correction")
_LABEL: Final = b"cleanroom/oprf-kkrt/v1"
_CODE_LABEL: Final = b"cleanroom/oprf-kkrt/code/v1"
_CODE_KEYS: Final = 5
_PREFIX_BYTES: Final = 64


def weak_point_bits(points: int, width: int = WIDTH) -> float:
    """Bounds the probability that any of a sender's points has a codeword nearer than `DISTANCE` to the bin's query.

    Args:
        points: (bin, input) pairs that the sender evaluates.
        width: bits of a codeword.

    Returns:
        b: the probability is at most 2^-b, by the binomial tail and a union bound.
    """
    near = sum(comb(width, weight) for weight in range(DISTANCE))
    return width - log2(near) - log2(points)


def correction_bytes(bins: int) -> int:
    """Returns the length of the correction of a chunk of `bins` bins."""
    return -(-bins // GROUP) * WIDTH * (GROUP // 8)


def code_keys(session_id: bytes, bucket: int) -> bytes:
    """Derives the five public AES keys of the code, 80 bytes."""
    seed = _CODE_LABEL + session_id + bucket.to_bytes(4, "little")
    return b"".join(sha256(seed + bytes([number])).digest()[:16] for number in range(_CODE_KEYS))


def hash_prefix(session_id: bytes, bucket: int) -> bytes:
    """Returns the 64 bytes that every hash of a row begins with: label ‖ session id ‖ bucket u32 LE ‖ zeros."""
    return (_LABEL + session_id + bucket.to_bytes(4, "little")).ljust(_PREFIX_BYTES, b"\x00")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluator:
    """The sender's PRF. Pure: the same (input, bin) gives the same output, in whatever slices it is asked."""

    output_bytes: int
    session_id: bytes
    bucket: int
    rows: NDArray[np.uint8] = field(repr=False)  # N × 56 bytes
    mask: NDArray[np.uint8] = field(repr=False)  # 56 bytes

    def evaluate(self, inputs: NDArray[np.uint8], bins: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Evaluates F.

        Args:
            inputs: k × 26 bytes.
            bins: k bin numbers in [0, N).

        Returns:
            k × output_bytes bytes.

        Raises:
            ValueError: shapes do not fit, or a bin is out of range.
        """
        return _kernels.kkrt_evaluate(
            self.rows,
            self.mask,
            code_keys(self.session_id, self.bucket),
            hash_prefix(self.session_id, self.bucket),
            np.ascontiguousarray(inputs),
            np.ascontiguousarray(bins),
            self.output_bytes,
        )


def receiver(
    *, queries: NDArray[np.uint8], output_bytes: int, streams: Streams, bucket: int = 0
) -> Protocol[NDArray[np.uint8]]:
    """The receiver's side (the exposure side's).

    Args:
        queries: N × 26 bytes, one query a bin.
        output_bytes: bytes of an output, `oprf_ecdh.TARGET_BYTES` + 8 a column.
        streams: this party's random streams; opens the base transfers' label.
        bucket: number of the bucket, in the labels and in every hash.

    Returns:
        N × output_bytes bytes, in the order of the bins.

    Raises:
        PeerError: the peer's base transfer message is malformed.
        ValueError: queries are not N × 26 bytes, or output_bytes is not a multiple of 8 above 8.
    """
    check_output_bytes(output_bytes)
    if queries.ndim != 2 or queries.shape[1] != QUERY_BYTES:
        raise ValueError(f"queries of {QUERY_BYTES} bytes each expected")
    queries = np.ascontiguousarray(queries)
    n_bins = len(queries)
    keys = (yield from base_ot.sender(streams=streams, label=_base_label(bucket), count=WIDTH)).reshape(-1)
    code, prefix = code_keys(streams.session_id, bucket), hash_prefix(streams.session_id, bucket)
    outputs = np.empty((n_bins, output_bytes), np.uint8)
    for start, stop in chunks(n_bins, CHUNK_BINS):
        correction, outputs[start:stop] = _kernels.kkrt_receive(
            keys, code, prefix, start // GROUP, queries[start:stop], output_bytes
        )
        yield Send(_CORRECTION, correction.tobytes())
        yield Progress(_STEP, stop, n_bins)
    keys.fill(0)
    return outputs


def sender(*, n_bins: int, output_bytes: int, streams: Streams, bucket: int = 0) -> Protocol[Evaluator]:
    """The sender's side (the outcome side's).

    Args:
        n_bins: number of bins, public.
        output_bytes: bytes of an output, `oprf_ecdh.TARGET_BYTES` + 8 a column.
        streams: this party's random streams; opens (oprf, sender, bucket, mask) and the base transfers' label.
        bucket: number of the bucket, in the labels and in every hash.

    Returns:
        The PRF, for the sender's own points. It holds 56 bytes a bin.

    Raises:
        PeerError: the peer's base transfer message is malformed.
        ValueError: output_bytes is not a multiple of 8 above 8.
    """
    check_output_bytes(output_bytes)
    drawn = keystream(streams.key(step=_STEP, direction="sender", bucket=bucket, purpose="mask"), ROW_BYTES)
    mask = np.frombuffer(drawn, np.uint8)
    choices = np.unpackbits(mask, bitorder="little")
    keys = (yield from base_ot.receiver(streams=streams, label=_base_label(bucket), choices=choices)).reshape(-1)
    rows = np.empty((n_bins, ROW_BYTES), np.uint8)
    for start, stop in chunks(n_bins, CHUNK_BINS):
        correction = yield Expect(_CORRECTION, correction_bytes(stop - start))
        assert correction is not None
        rows[start:stop] = _kernels.kkrt_send(keys, mask, start // GROUP, correction)[: stop - start]
        yield Progress(_STEP, stop, n_bins)
    keys.fill(0)
    return Evaluator(output_bytes=output_bytes, session_id=streams.session_id, bucket=bucket, rows=rows, mask=mask)


def traffic(n_bins: int) -> Traffic:
    """What receiver and sender send for `n_bins` bins, the base transfers included."""
    base_sender, base_receiver = base_ot.traffic(WIDTH)
    corrections = messages(*(correction_bytes(stop - start) for start, stop in chunks(n_bins, CHUNK_BINS)))
    return base_sender + corrections, base_receiver


def _base_label(bucket: int) -> str:
    return f"oprf-kkrt {bucket}"
