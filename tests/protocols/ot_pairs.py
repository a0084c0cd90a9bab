"""Set-up pairs of transfers for the tests of everything that uses them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols import ot
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.tables import TableMessages, TransferReceiver, TransferSender, receive_tables, send_tables
from cleanroom.protocols.wire import Message, Progress, ProtocolId
from tests.harness import Run, Tamper, run_pair

SESSION = bytes(range(32))
_MESSAGES = TableMessages(
    correction=Message(protocol=ProtocolId.OT, type=8, step="test.correction"),
    tables=Message(protocol=ProtocolId.OT, type=9, step="test.tables"),
)


@dataclass
class OtPair:
    """One direction of transfers, both ends."""

    sender: ot.OtSender
    receiver: ot.OtReceiver


def ot_pair(label: str, *, session: bytes = SESSION) -> OtPair:
    """Sets up one direction from fixed seeds."""
    run = run_pair(
        ot.sender_setup(streams=Streams(seed=bytes([1]) * 32, session_id=session), label=label),
        ot.receiver_setup(streams=Streams(seed=bytes([2]) * 32, session_id=session), label=label),
    )
    return OtPair(run.first, run.second)


def transfer(
    sender: TransferSender,
    receiver: TransferReceiver,
    tables: NDArray[np.uint16],
    choices: NDArray[np.uint8],
    tamper: Tamper | None = None,
) -> Run[None, NDArray[np.uint8]]:
    """Transfers a message out of each table, from any source."""

    def report(done: int) -> Progress:
        return Progress("test", done, choices.size)

    count, bits = tables.shape
    return run_pair(
        send_tables(sender, messages=_MESSAGES, count=count, bits=bits, tables=lambda a, b: tables[a:b], report=report),
        receive_tables(receiver, messages=_MESSAGES, choices=choices, bits=bits, report=report),
        tamper,
    )
