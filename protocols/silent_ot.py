"""Silent 1-of-16 transfers: random ones from a silent VOLE, and half a byte each to choose.

Functionality: that of `ot` with 4-bit choices; a source of transfers for `tables`.
Security: semi-honest, under the assumptions of `silent_vole` (a dual LPN over F16) and of `ot`'s hash. What each
learns: the sender nothing of the choices, which go under random ones; the receiver nothing of the other keys. Of a
malicious receiver: **here it cannot choose twice.** A correction is a half byte of its own, used in all 32 columns; any
value of it is some one choice, and none is refused. What it takes from the stock is fixed by the base transfers under
it, whose trees and choices `ot` checks. Of a malicious sender: no check of `ot` covers what it sends to prepare a
stock. Inconsistent trees spoil the keys of those transfers that the receiver's noise reaches from there: who can tell
which, by figures that are opened, learns up to a bit about that noise for each, and the noise hides the choices.
Rounds: those of `silent_vole` for each stock of `STOCK` transfers, and one correction a batch.
Bytes: half a byte a transfer, receiver to sender; a stock takes what `silent_vole` says, whatever its use.
Source: Boyle et al., "Efficient Two-Round OT Extension and Silent Non-Interactive Secure Computation", CCS 2019,
ePrint 2019/1159 (silent transfers, corrected like this); Roy, ePrint 2022/192, for transfers of one in sixteen from a
VOLE over a subfield; Raghuraman, Rindal and Tanguy, ePrint 2023/882, for the code.

For each transfer the receiver holds a random u in F16 and a row V, the sender Q = V + u·Δ: 32 elements of F16, under
the Δ of the sender's `ot`. For the choice c that it wants, the receiver sends d = u + c; the sender takes Q + d·Δ =
V + c·Δ, and from there on all is as in `ot`: the key of choice x is H(Q + d·Δ - x·Δ), which the receiver computes as
H(V). **Each u serves one transfer**: two corrections under one u show the sum of two choices.

H is that of `ot` under a public key of its own, so that no tweak serves twice although both number their transfers
from zero under one Δ.

Departures: none from the sources; the transfers of `ot` that prepare a stock are those of the same set-up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import base_ot, silent_vole
from cleanroom.protocols.ot import OtReceiver, OtSender, ReceiverBatch, SenderBatch
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.tables import TransferSource
from cleanroom.protocols.traffic import Traffic
from cleanroom.protocols.wire import Protocol

__all__ = ["SILENT", "SilentReceiver", "SilentSender", "receiver", "sender"]

Bytes = NDArray[np.uint8]
ROW_BYTES: Final = 16
_NONE: Final = np.zeros(0, dtype=np.uint8)


def _preparation(count: int) -> Traffic:
    receiver, sender = silent_vole.extension_traffic(count)
    return sender, receiver


SILENT: Final = TransferSource(
    stock=1 << 20,  # 16 MiB of rows, and what the VOLE needs to make them
    batch=1 << 18,  # 128 KiB of corrections, 512 KiB of tables for each bit of a message
    ahead=4,  # all of a stock
    correction_bytes=lambda count: -(-count // 2),
    preparation=_preparation,
)
"""These transfers as a source for `tables`."""


def _hash_key(streams: Streams, label: str) -> bytes:
    """Returns the public key of π for these transfers of this session and label."""
    return sha256(b"cleanroom/silent-ot/hash/v1" + base_ot.domain(streams, label)).digest()[:16]


@dataclass(slots=True, kw_only=True, eq=False)
class _Stock:
    """Transfers that are prepared and not used yet, and how far the numbering has come; both parties move alike."""

    choices: Bytes = field(default_factory=lambda: _NONE, repr=False)
    rows: Bytes = field(default_factory=lambda: _NONE, repr=False)
    extension: silent_vole.Extension | None = None  # the receiver's, while it still makes the stock
    used: int = 0  # of the stock
    number: int = 0  # of the next stock
    transfer: int = 0  # number of the next transfer

    def fill(self, rows: Bytes, extension: silent_vole.Extension | None = None) -> None:
        """Puts in a stock: the sender's rows, or the receiver's with what makes them and its choices by and by."""
        self.rows, self.extension = rows.reshape(-1), extension
        self.choices = _NONE if extension is None else extension.choices
        self.used = 0
        self.number += 1

    def available(self) -> int:
        """How many transfers may be taken now."""
        return self.rows.size // ROW_BYTES if self.extension is None else self.extension.done - self.used

    def take(self, count: int) -> tuple[int, Bytes, Bytes]:
        """Takes out transfers: the first one's number, their random choices, their rows."""
        if count > self.available():
            raise ValueError("more transfers than are prepared")
        first, choices, rows = self.transfer, self.choices[:count], self.rows[: count * ROW_BYTES]
        self.choices, self.rows = self.choices[count:], self.rows[count * ROW_BYTES :]
        if not self.rows.size:
            self.choices = self.rows = _NONE  # an empty view would hold the whole stock
            self.extension = None
        self.used += count
        self.transfer += count
        return first, choices, rows

    def check_empty(self) -> None:
        """A stock that is not used up would be lost, and the two sides' order with it."""
        if self.rows.size:
            raise ValueError("the stock before is not used up")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SilentReceiver:
    """Makes batches of transfers on the receiver's side; prepared and extended in the same order as the sender."""

    base: OtReceiver
    streams: Streams
    label: str
    hash_key: bytes
    _stock: _Stock = field(default_factory=_Stock, repr=False)

    @property
    def source(self) -> TransferSource:
        """The shape of these transfers."""
        return SILENT

    def prepare(self, count: int) -> Protocol[None]:
        """Begins a stock of `count` transfers; what the sender sends for it is awaited by `supply`.

        Raises:
            ValueError: the stock before is not used up.
        """
        self._stock.check_empty()
        extension = yield from silent_vole.extend_receiver(
            self.base, streams=self.streams, label=self.label, batch=self._stock.number, count=count
        )
        self._stock.fill(extension.rows, extension)

    def supply(self, count: int) -> Protocol[None]:
        """Makes the next `count` transfers of the stock, as far as they are not made.

        Raises:
            PeerError: the sender's messages are malformed.
        """
        if self._stock.extension is not None:
            yield from self._stock.extension.until(self._stock.used + count)

    def extend(self, choices: Bytes) -> ReceiverBatch:
        """Takes the next transfers of the stock.

        Args:
            choices: n values below 16.

        Returns:
            The batch; its correction, a half byte a transfer, goes to the sender.

        Raises:
            ValueError: there are fewer transfers, or `supply` has not made them yet.
        """
        choices = np.ascontiguousarray(choices)
        first, random, rows = self._stock.take(choices.size)
        correction = _kernels.silent_ot_correct(random, choices).tobytes()
        return ReceiverBatch(correction=correction, choices=choices, rows=rows, hash_key=self.hash_key, first=first)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SilentSender:
    """Makes batches of transfers on the sender's side; prepared and extended in the same order as the receiver."""

    base: OtSender
    streams: Streams
    label: str
    hash_key: bytes
    _stock: _Stock = field(default_factory=_Stock, repr=False)

    @property
    def source(self) -> TransferSource:
        """The shape of these transfers."""
        return SILENT

    def prepare(self, count: int) -> Protocol[None]:
        """Makes a stock of `count` transfers with the receiver.

        Raises:
            PeerError: the receiver's messages are malformed, or do not pass the checks of `ot`.
            ValueError: the stock before is not used up.
        """
        self._stock.check_empty()
        rows = yield from silent_vole.extend_sender(
            self.base, streams=self.streams, label=self.label, batch=self._stock.number, count=count
        )
        self._stock.fill(rows)

    def extend(self, correction: bytes, count: int) -> SenderBatch:
        """Takes the next `count` transfers of the stock.

        Args:
            correction: ⌈count/2⌉ bytes.
            count: number of transfers.

        Raises:
            PeerError: a last half byte that belongs to no transfer is not zero.
            ValueError: the correction has another length.
        """
        if len(correction) != SILENT.correction_bytes(count):
            raise ValueError("the correction is not of the length that the batch has")
        if count % 2 and correction[-1] >> 4:
            raise PeerError("silent_ot: the last half byte of a correction belongs to no transfer and is not zero")
        first, _, rows = self._stock.take(count)
        shifted = _kernels.silent_ot_shift(rows, self.base.delta, correction)
        return SenderBatch(count=count, rows=shifted, delta=self.base.delta, hash_key=self.hash_key, first=first)

    def random_bits(self, count: int) -> Bytes:
        """Draws `count` fresh bits from this side's stream, for the sender's shares of what it transfers."""
        return self.base.random_bits(count)


def receiver(base: OtReceiver, *, streams: Streams, label: str) -> SilentReceiver:
    """Makes the receiver of silent transfers; nothing is sent.

    Args:
        base: set-up transfers in the same direction; they go on being of use beside these.
        streams: this party's streams; opens what `silent_vole` opens.
        label: that of the base transfers, once in a session.
    """
    return SilentReceiver(base=base, streams=streams, label=label, hash_key=_hash_key(streams, label))


def sender(base: OtSender, *, streams: Streams, label: str) -> SilentSender:
    """Makes the sender of silent transfers; nothing is sent.

    Args:
        base: set-up transfers in the same direction; they go on being of use beside these.
        streams: this party's streams; opens what `silent_vole` opens.
        label: that of the base transfers, once in a session.
    """
    return SilentSender(base=base, streams=streams, label=label, hash_key=_hash_key(streams, label))
