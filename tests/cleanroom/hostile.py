"""A recorded honest run, and one side of it alone with a peer that says whatever a test wants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cleanroom.agreement.model import Agreement, Noise, Profile, Role
from cleanroom.execute import Executed, execute
from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.transcript import Transcript
from tests.cleanroom.whole_run import COLUMNS, GROUPS, Told, agreement_of, inputs, lookups, rows

RELEASE = 10
"""ProtocolId.RELEASE: no frame of it is sent before both transcripts were compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What sort of run."""

    profile: Profile
    noise: Noise
    recipients: tuple[str, ...] = ("media", "shop")

    @property
    def agreement(self) -> Agreement:
        agreement = agreement_of(self.noise, self.recipients)
        return replace(agreement, protocol=replace(agreement.protocol, profile=self.profile))


KINDS = {
    "ecdh, without noise": Kind(profile=Profile.ECDH, noise=Noise.NONE),
    "kkrt, with noise": Kind(profile=Profile.KKRT, noise=Noise.GAUSSIAN),
    "vole, without noise": Kind(profile=Profile.VOLE, noise=Noise.NONE),
    "ecdh, one recipient": Kind(profile=Profile.ECDH, noise=Noise.GAUSSIAN, recipients=("shop",)),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attacked:
    """One side of a run: what it is asked to take, what it told the world."""

    party: Party[Executed]
    transcript: Transcript
    told: Told

    def sends(self) -> list[tuple[str, bytes]]:
        """Lets the side go on until it waits or is done; returns (step, frame) of what it sent."""
        sent = []
        while (event := self.party.advance()) is not None:
            if isinstance(event, Outgoing):
                sent.append((event.message.step, event.frame))
        return sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A frame of an honest run as it arrives at a side."""

    step: str
    frame: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An honest run: what each side received and sent, 0 the exposure side."""

    received: tuple[tuple[Arrival, ...], tuple[Arrival, ...]]

    def sent(self, side: int) -> tuple[Arrival, ...]:
        return self.received[1 - side]


def side_of(kind: str, side: int, *, session: int = 0) -> Attacked:
    """A side at its start; runs with another `session` number share nothing but the data and the agreement."""
    role = (Role.EXPOSURE, Role.OUTCOME)[side]
    told = Told()
    prepared = inputs(
        role,
        KINDS[kind].agreement,
        lookups(range(60)) if role is Role.EXPOSURE else rows(range(30, 90)),
        told=told,
        noise=np.zeros((GROUPS, COLUMNS), dtype=np.int64),
        seed=bytes([10 * session + side + 1]) * 32,
        nonce=bytes([10 * session + side + 3]) * 32,
    )
    return Attacked(party=Party(execute(prepared), prepared.transcript), transcript=prepared.transcript, told=told)


@cache
def recorded(kind: str, session: int = 0) -> Recorded:
    """Runs both sides honestly."""
    sides = [side_of(kind, side, session=session) for side in (0, 1)]
    arrived: list[list[Arrival]] = [[], []]
    taken = [0, 0]
    while not all(attacked.party.state is PartyState.DONE for attacked in sides):
        for side, attacked in enumerate(sides):
            arrived[1 - side] += [Arrival(step=step, frame=frame) for step, frame in attacked.sends()]
            if taken[side] < len(arrived[side]):
                attacked.party.feed(arrived[side][taken[side]].frame)
                taken[side] += 1
    return Recorded(received=(tuple(arrived[0]), tuple(arrived[1])))
