"""What one side of a join sees, from a real run: its messages, what it makes of them, and its output share.

The views are those of `docs/reference/wire`: the exposure side holds (t, z), its share of every equality bit and u^A,
the outcome side (T, r), its share of every bit, u^B and its share of the sums.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Role
from cleanroom.protocols import equality, mux, private_join
from cleanroom.protocols.join_rows import Lookups, Rows
from cleanroom.protocols.ot import OtReceiver, OtSender
from cleanroom.protocols.private_join import JoinOutput, JoinParameters
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol
from tests.harness import Run, run_pair

SESSION = bytes(range(32))
ROWS = 256
WEIGHT = 4096
VALUE = 5
PARAMETERS = JoinParameters(
    rows_exposure=ROWS, rows_outcome=ROWS, groups=16, class_positions=(0, 1), weight_bound=WEIGHT, targets_per_row=1
)
"""The flood of these is far above the rounding of the switch, so that its absence shows; nobody is in group 15."""
GROUPS_IN_USE = 15
Words = NDArray[np.uint64]
Bits = NDArray[np.uint8]


@dataclass
class Inside:
    """What hooks note of the sides that run: by name, one row a bin."""

    words: dict[Role, dict[str, Words]] = field(default_factory=lambda: {role: {} for role in Role})
    bits: dict[Role, Bits] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class View:
    """One side's view."""

    role: Role
    seed: bytes  # its random tape
    peer_seed: bytes  # advice to a distinguisher: under which the other side of the real run placed its rows
    lengths: tuple[tuple[int, str, int], ...]  # of all frames: sender, step, bytes
    received: dict[str, bytes]  # by step, payloads one after the other
    public_seed: bytes  # of the public ring elements
    words: dict[str, Words]  # by name: bins × something; the order is input, mask, output
    bits: Bits
    share: Words


def keys_of(first: int, count: int) -> NDArray[np.uint8]:
    """Row keys of people."""
    data = b"".join(hashlib.sha256(b"person %d" % (first + index)).digest()[:16] for index in range(count))
    return np.frombuffer(data, dtype=np.uint8).reshape(count, 16)


def lookups_of(own: int) -> Lookups:
    """People 0 to `own`; a weight a row, half of them of one class and half of the other."""
    rows = np.arange(own, dtype=np.int64)
    return Lookups(
        keys=keys_of(0, own),
        indptr=np.arange(own + 1, dtype=np.int64),
        target=(rows % 2 * PARAMETERS.groups + rows // 2 % GROUPS_IN_USE).astype(np.int32),
        weight=np.full(own, WEIGHT, dtype=np.int64),
    )


def exposure_party(parameters: JoinParameters, seed: bytes, own: int = ROWS) -> Protocol[JoinOutput]:
    """The real exposure side with people 0 to `own`."""
    streams = Streams(seed=seed, session_id=SESSION)
    return private_join.exposure(parameters=parameters, lookups=lookups_of(own), streams=streams)


def outcome_party(parameters: JoinParameters, seed: bytes, first: int, count: int = ROWS) -> Protocol[JoinOutput]:
    """The real outcome side with `count` people from `first` on."""
    return private_join.outcome(
        parameters=parameters,
        rows=Rows(keys=keys_of(first, count), values=np.full((count, parameters.columns), VALUE, dtype=np.int64)),
        streams=Streams(seed=seed, session_id=SESSION),
    )


@contextmanager
def hooked() -> Iterator[Inside]:
    """Notes what goes into and comes out of the equality and the multiplexer of whichever side runs."""
    inside = Inside()
    real = equality.sender, equality.receiver, mux.exposure, mux.outcome

    def equality_sender(ot: OtSender, values: Words) -> Protocol[Bits]:
        inside.words[Role.EXPOSURE]["t"] = values[:, None]
        inside.bits[Role.EXPOSURE] = yield from real[0](ot, values)
        return inside.bits[Role.EXPOSURE]

    def equality_receiver(ot: OtReceiver, values: Words) -> Protocol[Bits]:
        inside.words[Role.OUTCOME]["T"] = values[:, None]
        inside.bits[Role.OUTCOME] = yield from real[1](ot, values)
        return inside.bits[Role.OUTCOME]

    def mux_exposure(send: OtSender, receive: OtReceiver, bits: Bits, z: Words) -> Protocol[Words]:
        inside.words[Role.EXPOSURE]["z"] = z
        inside.words[Role.EXPOSURE]["uA"] = yield from real[2](send, receive, bits, z)
        return inside.words[Role.EXPOSURE]["uA"]

    def mux_outcome(send: OtSender, receive: OtReceiver, bits: Bits, r: Words) -> Protocol[Words]:
        inside.words[Role.OUTCOME]["r"] = r
        inside.words[Role.OUTCOME]["uB"] = yield from real[3](send, receive, bits, r)
        return inside.words[Role.OUTCOME]["uB"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equality, "sender", equality_sender)
        patch.setattr(equality, "receiver", equality_receiver)
        patch.setattr(mux, "exposure", mux_exposure)
        patch.setattr(mux, "outcome", mux_outcome)
        yield inside


def view_of(run: Run[Any, Any], role: Role, inside: Inside, *, seed: bytes, peer_seed: bytes) -> View:
    """Cuts one side's view out of a run, the exposure side being the first."""
    own = 0 if role is Role.EXPOSURE else 1
    received: dict[str, bytes] = {}
    public_seed = b""
    for sender, step, frame in run.frames:
        if sender != own:
            received[step] = received.get(step, b"") + frame[FRAME_HEADER_BYTES:]
        if step == "grouped_sum.seed":
            public_seed = frame[FRAME_HEADER_BYTES:]
    output = run.first if role is Role.EXPOSURE else run.second
    return View(
        role=role,
        seed=seed,
        peer_seed=peer_seed,
        lengths=tuple(run.lengths()),
        received=received,
        public_seed=public_seed,
        words=inside.words[role],
        bits=inside.bits[role],
        share=output.shares,
    )


def real_views(parameters: JoinParameters, *, common: int, number: int) -> dict[Role, View]:
    """Both sides' views of a real join of which `common` people are on both sides, under seeds of that number."""
    seeds = {role: hashlib.sha256(b"%s %d" % (role.value.encode(), number)).digest() for role in Role}
    with hooked() as inside:
        run = run_pair(
            exposure_party(parameters, seeds[Role.EXPOSURE]),
            outcome_party(parameters, seeds[Role.OUTCOME], ROWS - common),
        )
    return {
        Role.EXPOSURE: view_of(run, Role.EXPOSURE, inside, seed=seeds[Role.EXPOSURE], peer_seed=seeds[Role.OUTCOME]),
        Role.OUTCOME: view_of(run, Role.OUTCOME, inside, seed=seeds[Role.OUTCOME], peer_seed=seeds[Role.EXPOSURE]),
    }
