"""Multiplexer: additive shares of (a XOR b)·(z + r) modulo 2^64.

Functionality: the exposure side inputs a bit a and m words z for each bin, the outcome side a bit b and m words r;
they get u^A and u^B with u^A + u^B = (a XOR b)·(z + r). After the equality test a XOR b says whether the bin matched,
and then z + r is the row's values; otherwise both shares are random and add up to zero.
Security: semi-honest, in the 1-of-2 transfer model of `ot`, which holds both receivers to one choice a bin; a sender
can add a multiple of the other's bit to the sum. What each learns: nothing; all that arrives is masked by transfer
keys.
Rounds: three messages a slice of bins, the first of the next slice beside the last. While a side's message is made the
other adds up the shares of the slice before and makes its own transfers of the next. Bytes a bin: 2·(4 + 8·m), and
5,152 a slice for the checks.
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

from collections.abc import Iterator
from dataclasses import dataclass, field
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


def _signed(bits: Bits, words: Words) -> Words:
    """Returns the correlation (1 - 2·bit)·words, n × m words."""
    sign = np.uint64(1) - np.uint64(2) * bits.astype(np.uint64)
    signed: Words = sign[:, None] * words
    return signed


def _slices(words: Words) -> list[tuple[int, int]]:
    return list(chunks(len(words), slice_bins(words.shape[1])))


def _choices(ot: OtReceiver, bits: Bits, slices: list[tuple[int, int]]) -> Iterator[ReceiverBatch]:
    """Makes the transfers of slice after slice, each when it is asked for."""
    return (ot.extend(bits[start:stop], choice_bits=1) for start, stop in slices)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slice:
    """A slice of which all messages are through, and the shares are not added up yet: the peer need not wait for it."""

    start: int
    total: int  # bins of all slices
    choice: ReceiverBatch
    mine: Words = field(repr=False)  # z or r
    own: Words = field(repr=False)  # s
    received: bytes = field(repr=False)  # d

    def finish(self, shares: Words) -> Progress:
        """Writes the slice's shares, b·mine - s + q."""
        stop = self.start + len(self.mine)
        selected = _select(self.choice, self.received, self.mine.shape[1])
        shares[self.start : stop] = self.choice.choices[:, None] * self.mine - self.own + selected
        return Progress("mux", stop, self.total)


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
    slices, shares, before = _slices(z), np.empty_like(z), None
    choices = _choices(ot_receiver, bits, slices)
    choice = next(choices, None)
    for start, stop in slices:
        assert choice is not None
        yield Send(CHOICE, choice.correction)
        coming, mine, size = next(choices, None), z[start:stop], stop - start
        if before is not None:
            yield before.finish(shares)
        half = correction_bytes(size, 1)
        reply = yield Expect(REPLY, half + 8 * mine.size)
        assert reply is not None
        sent = ot_sender.extend(reply[:half], size, choice_bits=1)
        own, difference = _correlate(sent, _signed(bits[start:stop], mine))
        yield Send(LAST, difference)
        before = _Slice(start=start, total=len(z), choice=choice, mine=mine, own=own, received=reply[half:])
        choice = coming
    if before is not None:
        yield before.finish(shares)
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
    slices, shares, before = _slices(r), np.empty_like(r), None
    choices = _choices(ot_receiver, bits, slices)
    choice = next(choices, None)
    for start, stop in slices:
        assert choice is not None
        mine, size = r[start:stop], stop - start
        correction = yield Expect(CHOICE, correction_bytes(size, 1))
        assert correction is not None
        sent = ot_sender.extend(correction, size, choice_bits=1)
        own, difference = _correlate(sent, _signed(bits[start:stop], mine))
        yield Send(REPLY, choice.correction + difference)
        coming = next(choices, None)
        if before is not None:
            yield before.finish(shares)
        last = yield Expect(LAST, 8 * mine.size)
        assert last is not None
        before = _Slice(start=start, total=len(r), choice=choice, mine=mine, own=own, received=last)
        choice = coming
    if before is not None:
        yield before.finish(shares)
    return shares
