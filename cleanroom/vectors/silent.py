"""Silent vector OLE over both fields, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols import ot, silent_vole
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol
from cleanroom.vectors.joins import frames_hold
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["silent_vole_run", "silent_vole_scene"]

Outputs: TypeAlias = dict[str, dict[str, str]]
"""By field what one side gets, by digest."""


def silent_vole_scene(content: Any) -> Scene[Outputs, Outputs]:
    """The exposure side is the receiver over GF(2^128), and the sender over F16."""
    streams = {
        name: Streams(seed=bytes.fromhex(seed), session_id=bytes.fromhex(content["session_id"]))
        for name, seed in content["seeds"].items()
    }
    count = content["count"]
    return (
        lambda: Side(protocol=_exposure(streams["exposure"], count)),
        lambda: Side(protocol=_outcome(streams["outcome"], count)),
    )


def _exposure(streams: Streams, count: int) -> Protocol[Outputs]:
    received = yield from silent_vole.receiver(streams=streams, label="elements", length=count)
    transfers = yield from ot.sender_setup(streams=streams, label="rows")
    rows = yield from silent_vole.extend_sender(transfers, streams=streams, label="rows", batch=0, count=count)
    delta = transfers.delta[0::2] | transfers.delta[1::2] << np.uint8(4)
    return {
        "elements": {"u": _digest(received.u), "v": _digest(received.v)},
        "rows": {"delta": delta.tobytes().hex(), "k": _digest(rows)},
    }


def _outcome(streams: Streams, count: int) -> Protocol[Outputs]:
    made = yield from silent_vole.sender(streams=streams, label="elements", length=count)
    transfers = yield from ot.receiver_setup(streams=streams, label="rows")
    choices, rows = yield from silent_vole.extend_receiver(
        transfers, streams=streams, label="rows", batch=0, count=count
    )
    return {
        "elements": {"delta": made.delta.hex(), "k": _digest(made.k)},
        "rows": {"u": _digest(choices), "v": _digest(rows)},
    }


def _digest(array: NDArray[Any]) -> str:
    return sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def silent_vole_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Every frame, and digests of what both sides got."""
    run = run_scene(silent_vole_scene(content))
    yield from frames_hold(content, run.frames)
    for field, expected in content["outputs"].items():
        found = run.first[field] | run.second[field]
        for name, value in expected.items():
            yield f"{name} of {field}", found[name] == value
