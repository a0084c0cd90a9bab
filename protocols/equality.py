"""Equality of shared secrets: XOR shares of [a_i = b_i] for vectors of numbers of up to 64 bits.

Functionality: the sender inputs a, the receiver b; they get bits s and r with s_i XOR r_i = [a_i = b_i].
Security: semi-honest, in the 1-of-16 transfer model, where a receiver has one choice a transfer; either side can make
an equality come out otherwise. What each learns: nothing; every bit that the receiver gets is masked with a fresh bit
of the sender's, and that bit is the sender's share.
Rounds: one exchange a layer (three for 64 bits) for each slice of `SLICE` numbers; from layer to layer and slice to
slice neither side waits for more than the choices depend on, or a stock of silent transfers.
Bytes: those of 21 transfers for a number of 64 bits (16 + 4 + 1), which are 378 from `ot`.
Source: Couteau, ePrint 2016/544; Chandran, Gupta and Shah, "Circuit-PSI with linear complexity", ePrint 2021/034.

Each number is cut into 4-bit chunks. For a chunk the sender offers the table m XOR [a = v] over the sixteen v and the
receiver chooses v = b: both hold a share of "this chunk is equal". All chunks are equal when the sender's shares are
the complement of the receiver's, which is again an equality, of a quarter of the bits; this repeats until one bit is
left. **The receiver complements its shares first and both sides pad with zeros after that**, so that a pad is equal on
both sides.

Departures: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.ot import SOFT_SPOKEN
from cleanroom.protocols.tables import (
    TableMessages,
    TransferReceiver,
    TransferSender,
    TransferSource,
    receive_lots,
    send_tables,
    table_traffic,
)
from cleanroom.protocols.traffic import Traffic, total
from cleanroom.protocols.wire import Message, Progress, Protocol, ProtocolId, chunks

__all__ = ["MESSAGES", "SLICE", "WIDTH", "layers", "receiver", "sender", "traffic", "transfers"]

WIDTH: Final = 64
"""Bits of a number unless said otherwise."""
SLICE: Final = 1 << 18
"""Numbers that go through all layers together: about 32 MB of chunks and shares."""
CHUNK_BITS: Final = 4
MESSAGES: Final = TableMessages(
    correction=Message(protocol=ProtocolId.EQUALITY, type=1, step="equality.correction"),
    tables=Message(protocol=ProtocolId.EQUALITY, type=2, step="equality.tables"),
)

Bits = NDArray[np.uint8]
Chosen: TypeAlias = Callable[[int, int], Bits | None]


def layers(width: int) -> list[int]:
    """Returns the number of chunks of each layer: [16, 4, 1] for 64 bits."""
    if not 1 <= width <= 64:
        raise ValueError("width is 1 to 64 bits")
    counts = [-(-width // CHUNK_BITS)]
    while counts[-1] > 1:
        counts.append(-(-counts[-1] // CHUNK_BITS))
    return counts


def transfers(width: int) -> int:
    """Returns how many transfers one number takes: 21 for 64 bits."""
    return sum(layers(width))


def traffic(count: int, *, width: int = WIDTH, source: TransferSource = SOFT_SPOKEN) -> Traffic:
    """What sender and receiver send for `count` numbers."""
    steps = [
        table_traffic(source, count=(stop - start) * layer, bits=1)
        for start, stop in chunks(count, SLICE)
        for layer in layers(width)
    ]
    return total(sender for sender, _ in steps), total(receiver for _, receiver in steps)


def _halves(octets: Bits) -> Bits:
    """Cuts octets into chunks, the lower half first: n × k octets become n × 2k chunks."""
    pieces = np.empty((*octets.shape, 2), dtype=np.uint8)
    np.bitwise_and(octets, 15, out=pieces[..., 0])
    np.right_shift(octets, 4, out=pieces[..., 1])
    return pieces.reshape(*octets.shape[:-1], -1)


def _chunks_of_numbers(values: NDArray[np.uint64], width: int) -> Bits:
    """Cuts numbers into their chunks, least significant first: n × layers(width)[0]."""
    kept = values & np.uint64((1 << width) - 1)
    count = layers(width)[0]
    octets = np.ascontiguousarray(kept, dtype="<u8").view(np.uint8).reshape(-1, 8)[:, : (count + 1) // 2]
    return _halves(octets)[:, :count]


def _chunks_of_bits(bits: Bits) -> Bits:
    """Packs n × k bits into n × ⌈k/4⌉ chunks; missing bits are zero on both sides."""
    count = -(-bits.shape[1] // CHUNK_BITS)
    padded = np.zeros((bits.shape[0], count * CHUNK_BITS), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    packed = _halves(np.packbits(padded.reshape(-1), bitorder="little"))
    return packed[: bits.shape[0] * count].reshape(-1, count)


def _next_choices(bits: Bits) -> Bits:
    """Returns the receiver's chunks for the next layer: complemented first, padded after that."""
    return _chunks_of_bits(bits ^ np.uint8(1))


def _report(done: int, total: int) -> Callable[[int], Progress]:
    """Counts transfers over all slices and layers."""
    return lambda more: Progress("equality", done + more, total)


def sender(ot: TransferSender, values: NDArray[np.uint64], *, width: int = WIDTH) -> Protocol[Bits]:
    """Runs the sender's side.

    Args:
        ot: this side's transfers.
        values: n numbers; bits above `width` are ignored.
        width: bits that are compared, 1 to 64; public.

    Yields:
        Progress in transfers.

    Returns:
        This side's share of [a = b], n bits (0 or 1).
    """
    shares = np.empty(values.size, dtype=np.uint8)
    done, total = 0, values.size * transfers(width)
    for start, stop in chunks(values.size, SLICE):
        pieces = _chunks_of_numbers(values[start:stop], width)
        for count in layers(width):
            flat = pieces.reshape(-1)
            masks = ot.random_bits(flat.size)

            def tables(first: int, last: int, flat: Bits = flat, masks: Bits = masks) -> NDArray[np.uint16]:
                equal = np.uint16(1) << flat[first:last].astype(np.uint16)
                return (equal ^ -masks[first:last].astype(np.uint16))[:, None]

            yield from send_tables(
                ot, messages=MESSAGES, count=flat.size, bits=1, tables=tables, report=_report(done, total)
            )
            done += flat.size
            bits = masks.reshape(stop - start, count)
            pieces = _chunks_of_bits(bits)
        shares[start:stop] = bits[:, 0]
    return shares


def receiver(ot: TransferReceiver, values: NDArray[np.uint64], *, width: int = WIDTH) -> Protocol[Bits]:
    """Runs the receiver's side.

    Args:
        ot: this side's transfers.
        values: n numbers; bits above `width` are ignored.
        width: bits that are compared, 1 to 64; public.

    Yields:
        Progress in transfers.

    Returns:
        This side's share of [a = b], n bits (0 or 1).
    """
    shares = np.empty(values.size, dtype=np.uint8)
    lots = _receiver_layers(values, width, shares)
    yield from receive_lots(ot, messages=MESSAGES, lots=lots, bits=1, report=_report(0, values.size * transfers(width)))
    return shares


def _receiver_layers(values: NDArray[np.uint64], width: int, shares: Bits) -> Iterator[_ReceiverLayer]:
    """All layers of all slices in their order; those of the last layers fill `shares`."""
    for start, stop in chunks(values.size, SLICE):
        chosen: Chosen = partial(_chunks_of_rows, values[start:stop], width)
        for count in layers(width):
            bits = shares[start:stop] if count == 1 else np.empty((stop - start) * count, dtype=np.uint8)
            layer = _ReceiverLayer(chosen, count, bits)
            yield layer
            chosen = layer.next_choices


def _chunks_of_rows(values: NDArray[np.uint64], width: int, first: int, last: int) -> Bits:
    return _chunks_of_numbers(values[first:last], width)


class _ReceiverLayer:
    """One layer of a slice on the receiver's side: its choices are the numbers' chunks, or come from the layer before.

    Args:
        chosen: (first, last) -> the choices of these numbers, (last - first) × `count`.
        count: chunks of a number in this layer.
        bits: what is received, one a chunk; filled in order.
    """

    def __init__(self, chosen: Chosen, count: int, bits: Bits) -> None:
        self._chosen, self._chunks, self._bits = chosen, count, bits
        self._received = 0

    @property
    def count(self) -> int:
        return self._bits.size

    def choices(self, start: int, stop: int) -> Bits | None:
        first = start // self._chunks
        choices = self._chosen(first, -(-stop // self._chunks))
        if choices is None:
            return None
        offset = first * self._chunks
        return choices.reshape(-1)[start - offset : stop - offset]

    def put(self, start: int, stop: int, received: Bits) -> None:
        self._bits[start:stop] = received[:, 0]
        self._received = stop

    def next_choices(self, first: int, last: int) -> Bits | None:
        """The next layer's choices of some numbers; None while not all of their bits are here."""
        if self._received < last * self._chunks:
            return None
        return _next_choices(self._bits[first * self._chunks : last * self._chunks].reshape(-1, self._chunks))
