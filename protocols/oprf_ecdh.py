"""Step 2 of the private join, profile `ecdh`: one oblivious PRF answer a bin, over ristretto255.

Functionality: the receiver holds one query a bin, q_1 … q_N; the sender holds nothing. The receiver learns
F(i, q_i) for each bin i, once; the sender learns an object that evaluates F at any (bin, input).

Security model: semi-honest (see `oprf`). What each party learns: the receiver its N outputs, which look random at
every other (bin, input); the sender nothing of the queries. That the receiver gets no second answer in a bin is
enforced by the keys: bin i is answered under a key of its own, DeriveKeyPair(seed, i), exactly once. A receiver with
two answers under one key could compare two decodings of the hint and learn that both keys are in the sender's set.

Rounds: N / 16,384 round trips; the receiver blinds the next chunk while the sender evaluates the last one.
Bytes per bin: 32 each way. Multiplications: receiver 2N; sender N, and one for each point that it evaluates.

Source: RFC 9497 mode OPRF, ristretto255-SHA512; a key a bin and the use in a circuit PSI after Pinkas, Schneider,
Tkachenko, Yanai (ePrint 2019/241).

Departures: the 64-byte output of RFC 9497 is expanded to `output_bytes`, as two parts of different domains:
the first 8 bytes (for the equality test) and the others (masks of the values). Part p in {0, 1} is cut from

    SHA-512(b"cleanroom/oprf-ecdh/v1" ‖ session id (32) ‖ p u8 ‖ counter u32 LE ‖ RFC 9497 output (64))

for counter = 0, 1, … The session id is bound here and, through the seed, in the keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import oprf
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import Traffic, in_chunks
from cleanroom.protocols.wire import Expect, Message, Progress, Protocol, ProtocolId, Send, chunks

__all__ = [
    "CHUNK_BINS",
    "QUERY_BYTES",
    "TARGET_BYTES",
    "Evaluator",
    "check_output_bytes",
    "receiver",
    "sender",
    "traffic",
]

QUERY_BYTES: Final = 26
"""Payload 16, position j 1, domain 1, bin 8; see `cuckoo`. Profiles `kkrt` and `vole` take all of them."""
TARGET_BYTES: Final = 8
"""The part of an output that the equality test is run on."""
CHUNK_BINS: Final = 16_384
"""Bins a message: 512 KiB, a second of work, so that both sides are soon busy."""

_WORK_BINS: Final = 4_096  # between two progress reports: about 0.2 s on one core
_STEP: Final = "oprf"
_BLINDED: Final = Message(protocol=ProtocolId.OPRF_ECDH, type=1, step="oprf.blinded")
_EVALUATED: Final = Message(protocol=ProtocolId.OPRF_ECDH, type=2, step="oprf.evaluated")
_LABEL: Final = b"cleanroom/oprf-ecdh/v1"
_PART_TARGET: Final = b"\x00"
_PART_MASKS: Final = b"\x01"


def check_output_bytes(output_bytes: int) -> None:
    """Raises ValueError unless it is `TARGET_BYTES` and 8 for each of one or more columns, in any profile."""
    if output_bytes <= TARGET_BYTES or output_bytes % 8:
        raise ValueError(f"output_bytes is a multiple of 8 above {TARGET_BYTES}, {output_bytes} found")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluator:
    """The sender's PRF. Pure: the same (input, bin) gives the same output, in whatever slices it is asked."""

    n_bins: int
    output_bytes: int
    session_id: bytes
    seed: bytes = field(repr=False)

    def evaluate(self, inputs: NDArray[np.uint8], bins: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Evaluates F; one multiplication an item.

        Args:
            inputs: k × L bytes.
            bins: k bin numbers in [0, n_bins).

        Returns:
            k × output_bytes bytes.

        Raises:
            ValueError: shapes do not fit, or a bin is out of range.
        """
        keys = self._keys(bins)
        try:
            return _expand(oprf.evaluate(inputs, keys), self.session_id, self.output_bytes)
        finally:
            keys.fill(0)

    def answer(self, first_bin: int, blinded_elements: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Answers the receiver's elements for consecutive bins. Each bin must be answered once in a session.

        Args:
            first_bin: the bin of the first element.
            blinded_elements: k × 32 bytes from the peer.

        Returns:
            evaluated_elements, k × 32 bytes.

        Raises:
            PeerError: an element is the identity or not a canonical encoding.
            ValueError: a bin is out of range.
        """
        keys = self._keys(np.arange(first_bin, first_bin + len(blinded_elements), dtype=np.int64))
        try:
            return oprf.blind_evaluate(keys, blinded_elements)
        finally:
            keys.fill(0)

    def _keys(self, bins: NDArray[np.int64]) -> NDArray[np.uint8]:
        if bins.size and (int(bins.min()) < 0 or int(bins.max()) >= self.n_bins):
            raise ValueError(f"bins are in [0, {self.n_bins})")
        infos = np.ascontiguousarray(bins, dtype="<u8").view(np.uint8).reshape(-1, 8)
        return oprf.derive_keys(self.seed, infos)


def receiver(
    *, queries: NDArray[np.uint8], output_bytes: int, streams: Streams, bucket: int = 0
) -> Protocol[NDArray[np.uint8]]:
    """The receiver's side (the exposure side's).

    Args:
        queries: N × L bytes, one query a bin.
        output_bytes: bytes of an output, `TARGET_BYTES` + 8 a column.
        streams: this party's random streams.
        bucket: number of the bucket, in the labels of the streams.

    Returns:
        N × output_bytes bytes, in the order of the bins.

    Raises:
        PeerError: an evaluated element is the identity or not a canonical encoding.
        ValueError: output_bytes is not a multiple of 8 above 8.
    """
    check_output_bytes(output_bytes)
    blinds_key = streams.key(step=_STEP, direction="receiver", bucket=bucket, purpose="blinds")
    n_bins = len(queries)
    evaluated = np.empty((n_bins, oprf.ELEMENT_BYTES), np.uint8)
    done = 0

    # Blinded ahead of the answer that is awaited, so that neither side idles; finalised only when the last answer is
    # in, while the sender evaluates its own points.
    ready = bytearray()
    pieces = list(chunks(n_bins, CHUNK_BINS))
    for number in range(len(pieces) + 1):
        if number:
            yield Send(_BLINDED, bytes(ready))
            ready.clear()
        if number < len(pieces):
            for start, stop in _slices(*pieces[number]):
                blinds = oprf.random_scalars(blinds_key, first=start, count=stop - start)
                ready += oprf.blind(queries[start:stop], blinds).tobytes()
                blinds.fill(0)
                done += stop - start
                yield Progress(_STEP, done, 2 * n_bins)
        if number:
            first, last = pieces[number - 1]
            payload = yield Expect(_EVALUATED, (last - first) * oprf.ELEMENT_BYTES)
            assert payload is not None
            evaluated[first:last] = np.frombuffer(payload, np.uint8).reshape(-1, oprf.ELEMENT_BYTES)

    outputs = np.empty((n_bins, output_bytes), np.uint8)
    for start, stop in _slices(0, n_bins):
        blinds = oprf.random_scalars(blinds_key, first=start, count=stop - start)
        hashes = oprf.finalize(queries[start:stop], blinds, evaluated[start:stop])
        outputs[start:stop] = _expand(hashes, streams.session_id, output_bytes)
        blinds.fill(0)
        done += stop - start
        yield Progress(_STEP, done, 2 * n_bins)
    return outputs


def sender(*, n_bins: int, output_bytes: int, streams: Streams, bucket: int = 0) -> Protocol[Evaluator]:
    """The sender's side (the outcome side's).

    Args:
        n_bins: number of bins, public.
        output_bytes: bytes of an output, `TARGET_BYTES` + 8 a column.
        streams: this party's random streams.
        bucket: number of the bucket, in the labels of the streams.

    Returns:
        The PRF, for the sender's own points.

    Raises:
        PeerError: a blinded element is the identity or not a canonical encoding.
        ValueError: output_bytes is not a multiple of 8 above 8.
    """
    check_output_bytes(output_bytes)
    evaluator = Evaluator(
        n_bins=n_bins,
        output_bytes=output_bytes,
        session_id=streams.session_id,
        seed=streams.key(step=_STEP, direction="sender", bucket=bucket, purpose="bin keys"),
    )
    for first, last in chunks(n_bins, CHUNK_BINS):
        payload = yield Expect(_BLINDED, (last - first) * oprf.ELEMENT_BYTES)
        assert payload is not None
        blinded = np.frombuffer(payload, np.uint8).reshape(-1, oprf.ELEMENT_BYTES)
        answers = bytearray()
        for start, stop in _slices(first, last):
            answers += evaluator.answer(start, blinded[start - first : stop - first]).tobytes()
            yield Progress(_STEP, stop, n_bins)
        yield Send(_EVALUATED, bytes(answers))
    return evaluator


def traffic(n_bins: int) -> Traffic:
    """What receiver and sender send for `n_bins` bins."""
    volume = in_chunks(n_bins, CHUNK_BINS, oprf.ELEMENT_BYTES)
    return volume, volume


def _slices(first: int, last: int) -> list[tuple[int, int]]:
    return [(first + start, first + stop) for start, stop in chunks(last - first, _WORK_BINS)]


def _expand(hashes: NDArray[np.uint8], session_id: bytes, output_bytes: int) -> NDArray[np.uint8]:
    prefix = _LABEL + session_id
    target = _kernels.expand_hashes(hashes, prefix + _PART_TARGET, TARGET_BYTES)
    masks = _kernels.expand_hashes(hashes, prefix + _PART_MASKS, output_bytes - TARGET_BYTES)
    return np.hstack((target, masks))
