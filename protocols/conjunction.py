"""Conjunction of shared bits: XOR shares of "all of these bits are 1".

Functionality: both sides input XOR shares of n × k bits; they get n bits whose XOR is the AND of each row. Used where
a figure may be opened only if several comparisons hold, and which of them failed is nobody's business.
Security: semi-honest, that of `equality`. What each learns: nothing.
Rounds, bytes: those of an equality of k bits a row, in blocks of 64.
Source: all bits are 1 exactly if one side's shares are the complement of the other's, which is an equality
(Chandran, Gupta and Shah, ePrint 2021/034, use the same step between the layers of theirs).
Departures: none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols import equality
from cleanroom.protocols.tables import TransferReceiver, TransferSender
from cleanroom.protocols.traffic import Traffic, total
from cleanroom.protocols.wire import Protocol, chunks

__all__ = ["receiver", "sender", "traffic"]

Bits = NDArray[np.uint8]


def traffic(count: int, *, width: int) -> Traffic:
    """What sender and receiver send for `count` rows of `width` bits."""
    steps: list[Traffic] = []
    while width > 1:
        blocks = list(chunks(width, equality.WIDTH))
        steps += [equality.traffic(count, width=stop - start) for start, stop in blocks]
        width = len(blocks)
    return total(first for first, _ in steps), total(second for _, second in steps)


def sender(ot: TransferSender, bits: Bits) -> Protocol[Bits]:
    """Runs the sender's side.

    Args:
        ot: this side's transfers.
        bits: n × k shares (0 or 1), k >= 1.

    Returns:
        This side's shares of the n conjunctions (0 or 1).
    """
    while bits.shape[1] > 1:
        blocks = []
        for start, stop in chunks(bits.shape[1], equality.WIDTH):
            blocks.append((yield from equality.sender(ot, _words(bits[:, start:stop]), width=stop - start)))
        bits = np.stack(blocks, axis=1)
    return bits[:, 0]


def receiver(ot: TransferReceiver, bits: Bits) -> Protocol[Bits]:
    """Runs the receiver's side; see `sender`."""
    while bits.shape[1] > 1:
        blocks = []
        for start, stop in chunks(bits.shape[1], equality.WIDTH):
            own = _words(bits[:, start:stop] ^ np.uint8(1))
            blocks.append((yield from equality.receiver(ot, own, width=stop - start)))
        bits = np.stack(blocks, axis=1)
    return bits[:, 0]


def _words(bits: Bits) -> NDArray[np.uint64]:
    """Packs up to 64 bits a row into a number, the first bit lowest."""
    places = np.arange(bits.shape[1], dtype=np.uint64)
    words: NDArray[np.uint64] = (bits.astype(np.uint64) << places).sum(axis=1, dtype=np.uint64)
    return words
