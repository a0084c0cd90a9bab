"""Multiplexer: additive shares of (a XOR b)·(z + r) modulo 2^64.

Functionality: the exposure side inputs a bit a and m words z for each bin, the outcome side a bit b and m words r;
they get u^A and u^B with u^A + u^B = (a XOR b)·(z + r). After the equality test a XOR b says whether the bin matched,
and then z + r is the row's values; otherwise both shares are random and add up to zero.
Security: semi-honest, in the 1-of-2 transfer model of `ot`, which holds both receivers to one choice a bin; a sender
can add a multiple of the other's bit to the sum. What each learns: nothing; all that arrives is masked by transfer
keys.
Rounds: three messages a slice of bins, the first of the next slice beside the last. Bytes a bin: 2·(4 + 8·m),
and 5,152 a slice for the checks.
Source: Pinkas, Schneider, Tkachenko and Yanai, EUROCRYPT 2019; Asharov, Lindell, Schneider and Zohner, CCS 2013
(correlated transfer).

Two correlated transfers a bin, one in each direction. A correlated transfer with correlation δ gives its sender s and
its receiver, with choice c, s + c·δ: with random keys k_0, k_1 the sender keeps s = k_0 and sends d = k_0 - k_1 + δ,
and the receiver computes k_c + c·d. The exposure side sends with δ = (1 - 2a)·z under choice b, the outcome side with
δ = (1 - 2b)·r under choice a, and

    u^A = a·z - s^A + q^A        u^B = b·r - s^B + q^B.

Departures: none.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.ot import GROUP, OtReceiver, OtSender, ReceiverBatch, SenderBatch, correction_bytes
from cleanroom.protocols.traffic import Traffic, messages, total
from cleanroom.protocols.wire import CHUNK_BYTES, Expect, Message, Progress, Protocol, ProtocolId, Send, chunks

__all__ = ["CHOICE", "LAST", "REPLY", "exposure", "outcome", "slice_bins", "traffic"]

CHOICE: Final = Message(protocol=ProtocolId.MUX, type=1, step="mux.exposure_correction")
REPLY: Final = Message(protocol=ProtocolId.MUX, type=2, step="mux.outcome_correction_and_difference")
LAST: Final = Message(protocol=ProtocolId.MUX, type=3, step="mux.exposure_difference")
MAX_WORDS: Final = 2048
"""Words a bin: with more, one group of transfers would not fit a payload."""

Bits = NDArray[np.uint8]
Words = NDArray[np.uint64]


def slice_bins(words: int) -> int:
    """Returns the bins of one message: whole groups of transfers, about `CHUNK_BYTES`."""
    if not 1 <= words <= MAX_WORDS:
        raise ValueError(f"a bin has 1 to {MAX_WORDS} words")
    return max(1, CHUNK_BYTES // (4 + 8 * words) // GROUP) * GROUP


def traffic(*, count: int, words: int) -> Traffic:
    """What exposure and outcome side send for `count` bins of `words` words."""
    sizes = [stop - start for start, stop in chunks(count, slice_bins(words))]
    choices = [correction_bytes(size, 1) for size in sizes]
    differences = [8 * words * size for size in sizes]
    replies = (choice + difference for choice, difference in zip(choices, differences, strict=True))
    return total(map(messages, choices + differences)), total(map(messages, replies))


def _correlate(batch: SenderBatch, correlation: Words) -> tuple[Words, bytes]:
    """Returns the sender's s and the message d, both n × m words."""
    words = correlation.shape[1]
    own = batch.keys(0, words)
    return own, (own - batch.keys(1, words) + correlation).astype("<u8", copy=False).tobytes()


def _select(batch: ReceiverBatch, difference: bytes, words: int) -> Words:
    """Returns the receiver's s + c·δ, n × m words."""
    received = np.frombuffer(difference, dtype="<u8").reshape(-1, words)
    selected: Words = batch.keys(words) + batch.choices[:, None].astype(np.uint64) * received
    return selected


def _check(bits: Bits, words: Words) -> None:
    if words.ndim != 2 or bits.shape != (words.shape[0],):
        raise ValueError("one bit a bin, and n x m words")


def exposure(ot_sender: OtSender, ot_receiver: OtReceiver, bits: Bits, z: Words) -> Protocol[Words]:
    """Runs the exposure side.

    Args:
        ot_sender: transfers in which this side is the sender.
        ot_receiver: transfers in which this side is the receiver.
        bits: n bits, this side's shares of "the bin matched".
        z: n × m words.

    Yields:
        Progress in bins.

    Returns:
        This side's additive shares, n × m words.
    """
    _check(bits, z)
    count, words = z.shape
    shares = np.empty_like(z)
    for start, stop in chunks(count, slice_bins(words)):
        bit, mine = bits[start:stop], z[start:stop]
        choice = ot_receiver.extend(bit, choice_bits=1)
        yield Send(CHOICE, choice.correction)
        half = correction_bytes(stop - start, 1)
        reply = yield Expect(REPLY, half + 8 * mine.size)
        assert reply is not None
        sign = np.uint64(1) - np.uint64(2) * bit.astype(np.uint64)
        own, difference = _correlate(ot_sender.extend(reply[:half], stop - start, choice_bits=1), sign[:, None] * mine)
        yield Send(LAST, difference)
        shares[start:stop] = bit[:, None] * mine - own + _select(choice, reply[half:], words)
        yield Progress("mux", stop, count)
    return shares


def outcome(ot_sender: OtSender, ot_receiver: OtReceiver, bits: Bits, r: Words) -> Protocol[Words]:
    """Runs the outcome side.

    Args:
        ot_sender: transfers in which this side is the sender.
        ot_receiver: transfers in which this side is the receiver.
        bits: n bits, this side's shares of "the bin matched".
        r: n × m words.

    Yields:
        Progress in bins.

    Returns:
        This side's additive shares, n × m words.
    """
    _check(bits, r)
    count, words = r.shape
    shares = np.empty_like(r)
    for start, stop in chunks(count, slice_bins(words)):
        bit, mine = bits[start:stop], r[start:stop]
        choice = ot_receiver.extend(bit, choice_bits=1)
        correction = yield Expect(CHOICE, correction_bytes(stop - start, 1))
        assert correction is not None
        sign = np.uint64(1) - np.uint64(2) * bit.astype(np.uint64)
        own, difference = _correlate(ot_sender.extend(correction, stop - start, choice_bits=1), sign[:, None] * mine)
        yield Send(REPLY, choice.correction + difference)
        last = yield Expect(LAST, 8 * mine.size)
        assert last is not None
        shares[start:stop] = bit[:, None] * mine - own + _select(choice, last, words)
        yield Progress("mux", stop, count)
    return shares
