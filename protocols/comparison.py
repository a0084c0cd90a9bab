"""Comparison of a shared count with a public threshold: XOR shares of [x >= t].

Functionality: both sides input additive shares modulo 2^64 of x < 2^63 and the same public t <= 2^63; they get bits
whose XOR is [x >= t]. Used on gates when nothing is released but what passes them.
Security: semi-honest, in the 1-of-16 transfer model, where a receiver has one choice a transfer; either side can make
a comparison come out otherwise. What each learns: nothing; every bit that the receiver gets is masked with a fresh bit
of the sender's, and that bit is the sender's share.
Rounds: one exchange for the chunks and one for each of four levels of the tree, for each slice.
Bytes: 20 a transfer, 31 transfers a number: 620 bytes.
Source: Rathee et al., "CrypTFlow2", ePrint 2020/1002, section 3 (comparison by a tree, and the most significant
bit from it).

With y = x - t, the answer is the complement of the top bit of y. The top bit of a sum of shares is the XOR of the
shares' top bits and of the carry out of the lower 63 bits, and that carry is [α < β] with α = 2^63 - 1 - (sender's
lower bits) and β = (receiver's lower bits). For each pair of 4-bit chunks the receiver gets masked bits of "less" and
"equal" by one transfer; two neighbours (high, low) then combine to less = less_h XOR equal_h·less_l and equal =
equal_h·equal_l.

Departures: the paper forms the products of the tree from two bit transfers; here the receiver's four share bits are
the choice of one 1-of-16 transfer, whose table holds both results for every value of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.ot import SOFT_SPOKEN
from cleanroom.protocols.tables import (
    TableMessages,
    TransferReceiver,
    TransferSender,
    receive_tables,
    send_tables,
    table_traffic,
)
from cleanroom.protocols.traffic import Traffic, total
from cleanroom.protocols.wire import Message, Progress, Protocol, ProtocolId, chunks

__all__ = ["MAX_THRESHOLD", "MESSAGES", "SLICE", "TRANSFERS", "receiver", "sender", "traffic"]

MAX_THRESHOLD: Final = 1 << 63
SLICE: Final = 1 << 15
"""Numbers that go through the tree together: about 40 MB of tables."""
TRANSFERS: Final = 31
"""Transfers a number: 16 chunks and 15 nodes."""
CHUNKS: Final = 16
MESSAGES: Final = TableMessages(
    correction=Message(protocol=ProtocolId.COMPARISON, type=1, step="comparison.correction"),
    tables=Message(protocol=ProtocolId.COMPARISON, type=2, step="comparison.tables"),
)
_LOW: Final = np.uint64(MAX_THRESHOLD - 1)
_PAIR_WEIGHTS: Final = np.array([1, 2, 4, 8], dtype=np.uint8)

Bits = NDArray[np.uint8]
Words = NDArray[np.uint64]


def traffic(count: int) -> Traffic:
    """What sender and receiver send for `count` numbers."""
    levels = [CHUNKS >> level for level in range(CHUNKS.bit_length())]
    steps = [
        table_traffic(SOFT_SPOKEN, count=(stop - start) * nodes, bits=2)
        for start, stop in chunks(count, SLICE)
        for nodes in levels
    ]
    return total(sender for sender, _ in steps), total(receiver for _, receiver in steps)


def _check(threshold: int) -> None:
    if not 0 <= threshold <= MAX_THRESHOLD:
        raise ValueError("the threshold is 0 to 2^63")


def _chunks(values: Words) -> Bits:
    """Cuts numbers into sixteen 4-bit chunks, most significant first: n × 16."""
    octets = values.astype(">u8").view(np.uint8).reshape(-1, 8)
    return np.stack([octets >> 4, octets & 15], axis=2).reshape(-1, CHUNKS)


def _leaf_tables(own: Bits, masks: Bits) -> NDArray[np.uint16]:
    """Tables of (less, equal) of the sender's chunk against the sixteen chunks, masked: n × 2 words."""
    position = own.astype(np.uint16)
    equal = np.uint16(1) << position
    less = np.uint16(0xFFFE) << position  # bits v > own
    return np.stack([less, equal], axis=1) ^ -masks.astype(np.uint16)


def _node_tables(high: Bits, low: Bits, masks: Bits) -> NDArray[np.uint16]:
    """Tables of (less, equal) of a node over the receiver's shares, masked: n × 2 words.

    Args:
        high: the sender's shares of (less, equal) of the higher half, n × 2.
        low: the same of the lower half.
        masks: n × 2 fresh bits.
    """
    choice = np.arange(16, dtype=np.uint16)
    less_h = choice & 1 ^ high[:, :1]
    equal_h = choice >> 1 & 1 ^ high[:, 1:]
    less_l = choice >> 2 & 1 ^ low[:, :1]
    equal_l = choice >> 3 & 1 ^ low[:, 1:]
    less = ((less_h ^ equal_h & less_l) << choice).sum(axis=1, dtype=np.uint16)
    equal = ((equal_h & equal_l) << choice).sum(axis=1, dtype=np.uint16)
    return np.stack([less, equal], axis=1) ^ -masks.astype(np.uint16)


def sender(ot: TransferSender, shares: Words, threshold: int) -> Protocol[Bits]:
    """Runs the sender's side.

    Args:
        ot: this side's transfers.
        shares: k additive shares modulo 2^64 of numbers below 2^63.
        threshold: public, 0 to 2^63.

    Yields:
        Progress in transfers.

    Returns:
        This side's XOR shares of [x >= threshold], k bits (0 or 1).
    """
    _check(threshold)
    results = np.empty(shares.size, dtype=np.uint8)
    done, total = 0, shares.size * TRANSFERS
    for start, stop in chunks(shares.size, SLICE):
        own = shares[start:stop] - np.uint64(threshold)
        pieces = _chunks(_LOW - (own & _LOW)).reshape(-1)
        masks = ot.random_bits(2 * pieces.size).reshape(-1, 2)

        def leaves(first: int, last: int, pieces: Bits = pieces, masks: Bits = masks) -> NDArray[np.uint16]:
            return _leaf_tables(pieces[first:last], masks[first:last])

        def report(more: int, base: int = done) -> Progress:
            return Progress("comparison", base + more, total)

        yield from send_tables(ot, messages=MESSAGES, count=pieces.size, bits=2, tables=leaves, report=report)
        done += pieces.size
        held = masks.reshape(stop - start, CHUNKS, 2)
        while held.shape[1] > 1:
            high, low = held[:, 0::2].reshape(-1, 2), held[:, 1::2].reshape(-1, 2)
            masks = ot.random_bits(high.size).reshape(-1, 2)

            def nodes(
                first: int, last: int, high: Bits = high, low: Bits = low, masks: Bits = masks
            ) -> NDArray[np.uint16]:
                return _node_tables(high[first:last], low[first:last], masks[first:last])

            def report(more: int, base: int = done) -> Progress:
                return Progress("comparison", base + more, total)

            yield from send_tables(ot, messages=MESSAGES, count=len(high), bits=2, tables=nodes, report=report)
            done += len(high)
            held = masks.reshape(stop - start, -1, 2)
        results[start:stop] = (own >> np.uint64(63)).astype(np.uint8) ^ held[:, 0, 0] ^ 1
    return results


def receiver(ot: TransferReceiver, shares: Words, threshold: int) -> Protocol[Bits]:
    """Runs the receiver's side.

    Args:
        ot: this side's transfers.
        shares: k additive shares modulo 2^64 of numbers below 2^63.
        threshold: public, 0 to 2^63; only the sender subtracts it.

    Yields:
        Progress in transfers.

    Returns:
        This side's XOR shares of [x >= threshold], k bits (0 or 1).
    """
    _check(threshold)
    results = np.empty(shares.size, dtype=np.uint8)
    done, total = 0, shares.size * TRANSFERS
    for start, stop in chunks(shares.size, SLICE):
        own = shares[start:stop]
        choices = _chunks(own & _LOW).reshape(-1)
        while True:

            def report(more: int, base: int = done) -> Progress:
                return Progress("comparison", base + more, total)

            received = yield from receive_tables(ot, messages=MESSAGES, choices=choices, bits=2, report=report)
            done += choices.size
            held = received.reshape(stop - start, -1, 2)
            if held.shape[1] == 1:
                break
            # a choice is less_h + 2·equal_h + 4·less_l + 8·equal_l, which is the order that the pairs lie in
            choices = (held.reshape(-1, 4) * _PAIR_WEIGHTS).sum(axis=1, dtype=np.uint8)
        results[start:stop] = (own >> np.uint64(63)).astype(np.uint8) ^ held[:, 0, 0]
    return results
