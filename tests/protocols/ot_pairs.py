"""Set-up pairs of transfers for the tests of everything that uses them."""

from __future__ import annotations

from dataclasses import dataclass

from cleanroom.protocols import ot
from cleanroom.protocols.seeds import Streams
from tests.harness import run_pair

SESSION = bytes(range(32))


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
