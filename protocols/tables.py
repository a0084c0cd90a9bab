"""Transfer of short messages by tables: one of sixteen, for any number of transfers, from any source of them.

Functionality: for each transfer the sender inputs sixteen messages of a few bits and the receiver a choice; the
receiver gets the message of its choice, the sender nothing.
Security: that of the source, which holds the receiver to one choice a transfer; the sender may offer what it likes.
What each learns: nothing else. Messages go under the keys of the transfers, corrections under the source's randomness.
Rounds: one exchange a batch, with later corrections on their way meanwhile; and what the source takes for a stock.
Bytes: 2 a transfer for each bit of a message, and the source's corrections and preparations.
Source: derandomisation of random transfers (Beaver, CRYPTO 1995); the order of the messages is our own.

A source has its transfers in stocks and its corrections in batches. A stock is prepared by both sides together, which
may take messages either way; a batch is a correction of the receiver's and the sender's masked tables. `ot` needs no
preparation, `silent_ot` makes a stock of a million transfers by few bytes. **Both sides prepare at the same place of
their order of messages**: before the first batch of a stock, and after the last tables of the stock before.

Departures: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol as Structural

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.traffic import Traffic, messages, total
from cleanroom.protocols.wire import Expect, Message, Progress, Protocol, Send, chunks

__all__ = [
    "ReceiverBatch",
    "TableMessages",
    "TransferReceiver",
    "TransferSender",
    "TransferSource",
    "receive_tables",
    "send_tables",
    "table_traffic",
]

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSource:
    """The public shape of a source of 1-of-16 transfers; all lengths and places of its messages follow from it."""

    stock: int  # transfers that are prepared together
    batch: int  # transfers of one correction
    ahead: int  # corrections that are sent before the tables of the first of them are awaited
    correction_bytes: Callable[[int], int]  # transfers of a batch -> length of its correction
    preparation: Callable[[int], Traffic]  # transfers of a stock -> what sender and receiver send to prepare it

    def stocks(self, count: int) -> Iterator[tuple[int, int]]:
        """Cuts `count` transfers into what is prepared together: (start, stop), ascending."""
        return chunks(count, self.stock)

    def batches(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Cuts a stock into batches: (start, stop), ascending."""
        return ((start + first, start + last) for first, last in chunks(stop - start, self.batch))


class SenderBatch(Structural):
    """The sender's half of a batch."""

    def mask_tables(self, tables: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Masks n × bits words, bit x of a word with a key of choice x."""
        ...


class ReceiverBatch(Structural):
    """The receiver's half of a batch."""

    @property
    def correction(self) -> bytes:
        """What goes to the sender."""
        ...

    def open_tables(self, masked: NDArray[np.uint16]) -> Bytes:
        """Reads the chosen bits, n × bits, out of masked words."""
        ...


class TransferSender(Structural):
    """What sends: prepared and extended in the same order as its peer."""

    @property
    def source(self) -> TransferSource:
        """The public shape."""
        ...

    def prepare(self, count: int) -> Protocol[None]:
        """Makes a stock of `count` transfers with the peer; the one before is used up."""
        ...

    def extend(self, correction: bytes, count: int) -> SenderBatch:
        """Takes the next `count` transfers; raises PeerError if the correction is malformed."""
        ...

    def random_bits(self, count: int) -> Bytes:
        """Draws fresh bits, for the shares of what is transferred."""
        ...


class TransferReceiver(Structural):
    """What receives: prepared and extended in the same order as its peer."""

    @property
    def source(self) -> TransferSource:
        """The public shape."""
        ...

    def prepare(self, count: int) -> Protocol[None]:
        """Makes a stock of `count` transfers with the peer; the one before is used up."""
        ...

    def extend(self, choices: Bytes) -> ReceiverBatch:
        """Takes the next transfers, one a choice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMessages:
    """The two messages of a table transfer, named by the step that uses it."""

    correction: Message
    tables: Message


def table_traffic(source: TransferSource, *, count: int, bits: int) -> Traffic:
    """What sender and receiver send for `count` tables of sixteen messages of `bits` bits."""
    prepared = [source.preparation(stop - start) for start, stop in source.stocks(count)]
    batches = [batch for start, stop in source.stocks(count) for batch in source.batches(start, stop)]
    tables = (messages(2 * bits * (stop - start)) for start, stop in batches)
    corrections = (messages(source.correction_bytes(stop - start)) for start, stop in batches)
    return (
        total(tables) + total(sender for sender, _ in prepared),
        total(corrections) + total(receiver for _, receiver in prepared),
    )


def send_tables(
    ot: TransferSender,
    *,
    messages: TableMessages,
    count: int,
    bits: int,
    tables: Callable[[int, int], NDArray[np.uint16]],
    report: Callable[[int], Progress],
) -> Protocol[None]:
    """Transfers one message of `bits` bits out of sixteen, `count` times.

    Args:
        ot: the sender's state.
        messages: what the corrections and the tables are called.
        count: number of transfers.
        bits: bits a message, 1 to 32.
        tables: (start, stop) -> (stop - start) × bits words; bit x of a word belongs to choice x.
        report: transfers done -> the progress to yield.
    """
    source = ot.source
    for opened, closed in source.stocks(count):
        yield from ot.prepare(closed - opened)
        for start, stop in source.batches(opened, closed):
            correction = yield Expect(messages.correction, source.correction_bytes(stop - start))
            assert correction is not None
            batch = ot.extend(correction, stop - start)
            yield Send(messages.tables, batch.mask_tables(tables(start, stop)).astype("<u2", copy=False).tobytes())
            yield report(stop)


def receive_tables(
    ot: TransferReceiver,
    *,
    messages: TableMessages,
    choices: Bytes,
    bits: int,
    report: Callable[[int], Progress],
) -> Protocol[Bytes]:
    """Receives one message of `bits` bits out of sixteen for each choice.

    Within a stock the corrections of later batches are sent before the tables of this one are awaited, so that both
    parties work at the same time. The carrier must be able to hold what is ahead of the sender, 2 MiB at most, while
    the sender sends.

    Args:
        ot: the receiver's state.
        messages: what the corrections and the tables are called.
        choices: values below 16.
        bits: bits a message, 1 to 32.
        report: transfers done -> the progress to yield.

    Returns:
        The messages' bits, count × bits, each 0 or 1.
    """
    source = ot.source
    received = np.empty((choices.size, bits), dtype=np.uint8)
    for opened, closed in source.stocks(choices.size):
        yield from ot.prepare(closed - opened)
        pieces = list(source.batches(opened, closed))
        ahead: deque[ReceiverBatch] = deque()
        for number, (start, stop) in enumerate(pieces):
            for first, last in pieces[number + len(ahead) : number + source.ahead]:
                ahead.append(ot.extend(choices[first:last]))
                yield Send(messages.correction, ahead[-1].correction)
            masked = yield Expect(messages.tables, (stop - start) * bits * 2)
            assert masked is not None
            words = np.frombuffer(masked, dtype="<u2").reshape(stop - start, bits)
            received[start:stop] = ahead.popleft().open_tables(words)
            yield report(stop)
    return received
