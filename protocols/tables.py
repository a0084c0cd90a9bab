"""Transfer of short messages by tables: one of sixteen, for any number of transfers, from any source of them.

Functionality: for each transfer the sender inputs sixteen messages of a few bits and the receiver a choice; the
receiver gets the message of its choice, the sender nothing.
Security: that of the source, which holds the receiver to one choice a transfer; the sender may offer what it likes.
What each learns: nothing else. Messages go under the keys of the transfers, corrections under the source's randomness.
Rounds: one exchange a batch, with later corrections on their way meanwhile; and what the source takes for a stock.
Neither side waits where a lot ends and the next begins: the receiver asks for that as soon as it knows its choices.
Bytes: 2 a transfer for each bit of a message, and the source's corrections and preparations.
Source: derandomisation of random transfers (Beaver, CRYPTO 1995); the order of the messages is our own.

A source has its transfers in stocks and its corrections in batches. A stock is prepared by both sides together, which
may take messages either way; a batch is a correction of the receiver's and the sender's masked tables. `ot` needs no
preparation, `silent_ot` makes a stock of a million transfers by few bytes. **Each side's messages keep one order**: the
receiver begins a stock behind the last correction of the one before, the sender answers behind its last tables.

Departures: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol as Structural

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.traffic import Traffic, messages, total
from cleanroom.protocols.wire import Expect, Message, Progress, Protocol, Send, chunks

__all__ = [
    "Lot",
    "ReceiverBatch",
    "TableMessages",
    "TransferReceiver",
    "TransferSender",
    "TransferSource",
    "receive_lots",
    "receive_tables",
    "send_tables",
    "table_traffic",
]

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSource:
    """The public shape of a source of 1-of-16 transfers; all lengths and places of its messages follow from it."""

    stock: int | None  # transfers that are prepared together; None: a correction brings all that its transfers need
    batch: int  # transfers of one correction
    ahead: int  # corrections that are sent before the tables of the first of them are awaited
    correction_bytes: Callable[[int], int]  # transfers of a batch -> length of its correction
    preparation: Callable[[int], Traffic]  # transfers of a stock -> what sender and receiver send to prepare it

    def stocks(self, count: int) -> Iterator[tuple[int, int]]:
        """Cuts `count` transfers into what is prepared together: (start, stop), ascending."""
        return chunks(count, self.stock or max(1, count))

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
        """Begins a stock of `count` transfers, and waits for nothing; the one before is used up."""
        ...

    def supply(self, count: int) -> Protocol[None]:
        """Waits for what the next `count` transfers of the stock still lack."""
        ...

    def extend(self, choices: Bytes) -> ReceiverBatch:
        """Takes the next transfers, one a choice; they are supplied."""
        ...


class Lot(Structural):
    """Transfers of one vector of choices, some of which may depend on what was received before."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def choices(self, start: int, stop: int) -> Bytes | None:
        """The choices of some of them; None while those depend on tables that have not arrived."""
        ...

    def put(self, start: int, stop: int, received: Bytes) -> None:
        """Takes the bits of the messages of some of them, (stop - start) × bits; in ascending order."""
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

    Args:
        ot: the receiver's state.
        messages: what the corrections and the tables are called.
        choices: values below 16.
        bits: bits a message, 1 to 32.
        report: transfers done -> the progress to yield.

    Returns:
        The messages' bits, count × bits, each 0 or 1.
    """
    lot = _Chosen(choices, bits)
    yield from receive_lots(ot, messages=messages, lots=[lot], bits=bits, report=report)
    return lot.received


def receive_lots(
    ot: TransferReceiver,
    *,
    messages: TableMessages,
    lots: Iterable[Lot],
    bits: int,
    report: Callable[[int], Progress],
) -> Protocol[None]:
    """Receives one message of `bits` bits out of sixteen for each choice of lot after lot.

    Corrections of later batches are sent before the tables of this one are awaited, in the next lot too as far as its
    choices are known, so that both parties work at the same time. Of a stock that takes messages to prepare they are
    not: it is begun, and what the sender answers comes behind the tables that are awaited. The carrier must be able to
    hold what is ahead of the sender, four corrections and the beginning of a stock, while the sender sends.

    Args:
        ot: the receiver's state.
        messages: what the corrections and the tables are called.
        lots: in the sender's order; one is asked for when its turn comes.
        bits: bits a message, 1 to 32.
        report: transfers done, of all lots -> the progress to yield.
    """
    source = ot.source
    ahead: deque[tuple[_Piece, ReceiverBatch]] = deque()
    pieces = _pieces(source, lots)
    coming, begun, done = next(pieces, None), False, 0
    while coming is not None or ahead:
        while coming is not None and len(ahead) < source.ahead:
            if coming.opens and not begun:
                yield from ot.prepare(coming.closed - coming.start)
                begun = True
            behind = coming.opens and source.stock is not None and ahead
            choices = None if behind else coming.lot.choices(coming.start, coming.stop)
            if choices is None:
                break
            yield from ot.supply(coming.stop - coming.start)
            ahead.append((coming, ot.extend(choices)))
            yield Send(messages.correction, ahead[-1][1].correction)
            coming, begun = next(pieces, None), False
        if not ahead:
            raise ValueError("a lot whose choices depend on its own tables, or on later ones")
        if coming is not None and not coming.opens:
            yield from ot.supply(coming.closed - coming.start)  # of a stock all comes before its first tables
        piece, batch = ahead.popleft()
        masked = yield Expect(messages.tables, (piece.stop - piece.start) * bits * 2)
        assert masked is not None
        words = np.frombuffer(masked, dtype="<u2").reshape(piece.stop - piece.start, bits)
        piece.lot.put(piece.start, piece.stop, batch.open_tables(words))
        done += piece.stop - piece.start
        yield report(done)


class _Chosen:
    """A lot whose choices are all known."""

    def __init__(self, choices: Bytes, bits: int) -> None:
        self._choices = choices
        self.received = np.empty((choices.size, bits), dtype=np.uint8)

    @property
    def count(self) -> int:
        return self._choices.size

    def choices(self, start: int, stop: int) -> Bytes:
        return self._choices[start:stop]

    def put(self, start: int, stop: int, received: Bytes) -> None:
        self.received[start:stop] = received


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Piece:
    """A batch of a lot: transfers `start` to `stop` of it, in a stock that ends at `closed`."""

    lot: Lot
    start: int
    stop: int
    closed: int
    opens: bool  # the first batch of its stock


def _pieces(source: TransferSource, lots: Iterable[Lot]) -> Iterator[_Piece]:
    for lot in lots:
        for opened, closed in source.stocks(lot.count):
            for start, stop in source.batches(opened, closed):
                yield _Piece(lot=lot, start=start, stop=stop, closed=closed, opens=start == opened)
