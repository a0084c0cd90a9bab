"""Silent transfers over a dealer: random u and V from a seed and Q = V + u·Δ by plain arithmetic, without messages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.protocols import silent_ot, silent_vole
from cleanroom.protocols.ot import OtReceiver, OtSender
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import NOTHING
from cleanroom.protocols.wire import Protocol
from tests.protocols.ot_pairs import SESSION, OtPair, ot_pair
from tests.protocols.slow_transfers import PRODUCTS

Bytes = NDArray[np.uint8]


@dataclass
class SilentPair:
    """One direction of silent transfers, both ends."""

    sender: silent_ot.SilentSender
    receiver: silent_ot.SilentReceiver


def dealt(label: str, batch: int, count: int) -> tuple[Bytes, Bytes]:
    """The receiver's half of a stock: n choices, n × 32 elements."""
    rng = np.random.default_rng(list(hashlib.sha256(f"{label} {batch} {count}".encode()).digest()))
    return rng.integers(0, 16, count, dtype=np.uint8), rng.integers(0, 16, (count, 32), dtype=np.uint8)


def rows_of(elements: Bytes) -> Bytes:
    """Rows of 16 bytes, flat: element 2i in the low half of byte i."""
    packed: Bytes = elements[:, 0::2] | elements[:, 1::2] << np.uint8(4)
    return packed.reshape(-1)


class Dealt(silent_vole.Extension):
    """Stands for what makes a receiver's outputs: as many of them are there as were asked for."""

    def __init__(self, choices: Bytes, rows: Bytes) -> None:
        self._outputs, self._made = (choices, rows), 0

    @property
    def choices(self) -> Bytes:
        return self._outputs[0]

    @property
    def rows(self) -> Bytes:
        return self._outputs[1]

    @property
    def done(self) -> int:
        return self._made

    def until(self, count: int) -> Protocol[None]:
        yield from ()
        self._made = max(self._made, count)


def deal_to_receiver(base: OtReceiver, *, label: str, batch: int, count: int, **_: Any) -> Protocol[Dealt]:
    """Stands for `silent_vole.extend_receiver`."""
    yield from ()
    choices, elements = dealt(label, batch, count)
    return Dealt(choices, rows_of(elements))


def deal_to_sender(base: OtSender, *, label: str, batch: int, count: int, **_: Any) -> Protocol[Bytes]:
    """Stands for `silent_vole.extend_sender`."""
    yield from ()
    choices, elements = dealt(label, batch, count)
    return rows_of(elements ^ PRODUCTS[choices[:, None], base.delta[None, :]])


def extended(
    base: OtReceiver, *, streams: Streams, label: str, batch: int, count: int
) -> Protocol[tuple[Bytes, Bytes]]:
    """The receiver's side of the silent VOLE to its end: u and V."""
    extension = yield from silent_vole.extend_receiver(base, streams=streams, label=label, batch=batch, count=count)
    yield from extension.until(count)
    return extension.choices, extension.rows


def supplied(receiver: silent_ot.SilentReceiver, count: int) -> Protocol[None]:
    """Prepares a stock on the receiver's side to its end."""
    yield from receiver.prepare(count)
    yield from receiver.supply(count)


def use_dealer(patch: pytest.MonkeyPatch) -> None:
    """Puts the dealer in the place of the silent VOLE."""
    patch.setattr(silent_vole, "extend_receiver", deal_to_receiver)
    patch.setattr(silent_vole, "extend_sender", deal_to_sender)
    patch.setattr(silent_vole, "extension_traffic", lambda count: (NOTHING, NOTHING))


def use_sizes(patch: pytest.MonkeyPatch, *, stock: int, batch: int, ahead: int = 4) -> None:
    """Makes stocks and batches of other sizes."""
    patch.setattr(silent_ot, "SILENT", replace(silent_ot.SILENT, stock=stock, batch=batch, ahead=ahead))


def silent_over(base: OtPair, label: str, *, session: bytes = SESSION) -> SilentPair:
    """Silent transfers over a direction that is set up, from fixed seeds."""
    return SilentPair(
        silent_ot.sender(base.sender, streams=Streams(seed=bytes([3]) * 32, session_id=session), label=label),
        silent_ot.receiver(base.receiver, streams=Streams(seed=bytes([4]) * 32, session_id=session), label=label),
    )


def silent_pair(label: str, *, session: bytes = SESSION) -> SilentPair:
    """Sets up one direction of silent transfers from fixed seeds."""
    return silent_over(ot_pair(label, session=session), label, session=session)
