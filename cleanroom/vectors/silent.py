"""Silent vector OLE over both fields, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from cleanroom.protocols import ot, silent_vole
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol
from cleanroom.vectors.joins import digest_of, frames_hold, streams_of
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["silent_vole_run", "silent_vole_scene"]

Outputs: TypeAlias = dict[str, dict[str, str]]
"""By field what one side gets, by digest."""


def silent_vole_scene(content: Any) -> Scene[Outputs, Outputs]:
    """The exposure side is the receiver over GF(2^128), and the sender over F16."""
    count = content["count"]
    return (
        lambda: Side(protocol=_exposure(streams_of(content, "exposure"), count)),
        lambda: Side(protocol=_outcome(streams_of(content, "outcome"), count)),
    )


def _exposure(streams: Streams, count: int) -> Protocol[Outputs]:
    received = yield from silent_vole.receiver(streams=streams, label="elements", length=count)
    transfers = yield from ot.sender_setup(streams=streams, label="rows")
    rows = yield from silent_vole.extend_sender(transfers, streams=streams, label="rows", batch=0, count=count)
    delta = transfers.delta[0::2] | transfers.delta[1::2] << np.uint8(4)
    return {
        "elements": {"u": digest_of(received.u), "v": digest_of(received.v)},
        "rows": {"delta": delta.tobytes().hex(), "k": digest_of(rows)},
    }


def _outcome(streams: Streams, count: int) -> Protocol[Outputs]:
    made = yield from silent_vole.sender(streams=streams, label="elements", length=count)
    transfers = yield from ot.receiver_setup(streams=streams, label="rows")
    received = yield from silent_vole.extend_receiver(transfers, streams=streams, label="rows", batch=0, count=count)
    yield from received.until(count)
    return {
        "elements": {"delta": made.delta.hex(), "k": digest_of(made.k)},
        "rows": {"u": digest_of(received.choices), "v": digest_of(received.rows)},
    }


def silent_vole_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Every frame, and digests of what both sides got."""
    run = run_scene(silent_vole_scene(content))
    yield from frames_hold(content, run.frames)
    for field, expected in content["outputs"].items():
        found = run.first[field] | run.second[field]
        for name, value in expected.items():
            yield f"{name} of {field}", found[name] == value
