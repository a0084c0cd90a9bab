"""A simulator of one side's view of an opening, given that side's noised shares, and what it learns from the opening.

What it learns is an `Opening`'s `passed`, `opened` and `values`. The real side runs against a peer that runs the same
code on made-up words: what a given figure leaves after the side's own word, a word that gives a hidden gate its given
verdict, and uniform words elsewhere. Comparisons and conjunctions are simulated: transfers with choices of zero, or
with uniform messages; the peer's share of a bit is what the given verdict leaves after the side's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise, Role
from cleanroom.protocols import comparison, conjunction, equality
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.tables import TableMessages, receive_tables, send_tables
from cleanroom.protocols.wire import Progress, Protocol
from cleanroom.release import opening, verdicts
from cleanroom.release.opening import Opening
from cleanroom.release.terms import ReleaseTerms
from cleanroom.release.verdicts import Compare, Conjoin
from tests.harness import Run, run_pair
from tests.protocols.ot_pairs import OtPair

SESSION = bytes(range(32))
SIDES: dict[Role, Callable[..., Protocol[Opening]]] = {Role.EXPOSURE: opening.exposure, Role.OUTCOME: opening.outcome}
Bits = NDArray[np.uint8]
Words = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What one side learns from an opening."""

    passed: NDArray[np.bool_]
    opened: NDArray[np.bool_]
    values: NDArray[np.int64]


def own_half(role: Role, pair: OtPair) -> tuple[Compare, Conjoin]:
    """One side's real comparison and conjunction."""
    if role is Role.EXPOSURE:
        return (
            lambda shares, threshold: comparison.sender(pair.sender, shares, threshold),
            lambda bits: conjunction.sender(pair.sender, bits),
        )
    return (
        lambda shares, threshold: comparison.receiver(pair.receiver, shares, threshold),
        lambda bits: conjunction.receiver(pair.receiver, bits),
    )


def simulated_opening(
    role: Role,
    terms: ReleaseTerms,
    *,
    shares: Words,
    noise: NDArray[np.int64],
    learned: Learned,
    seed: bytes,
    pair: OtPair,
    number: int,
) -> Run[Opening, Opening]:
    """Runs one real side against a simulated peer; the exposure side is the first.

    Args:
        role: the real side.
        terms: public.
        shares: its shares, groups × columns.
        noise: its noise.
        learned: its output.
        seed: its tape.
        pair: both ends of fresh transfers; their set-up takes no input.
        number: of the simulation; another one draws anew.
    """
    rng = np.random.default_rng([3, number])
    other = role.other
    simulated = _Peer(role=other, terms=terms, passed=learned.passed, rng=rng, pair=pair)
    compare, conjoin = own_half(role, pair)
    own = SIDES[role](
        terms=terms,
        shares=shares,
        noise=noise,
        streams=Streams(seed=seed, session_id=SESSION),
        compare=simulated.watched(compare),
        conjoin=simulated.watched(conjoin),
    )
    peer = SIDES[other](
        terms=terms,
        shares=_made_up(terms, shares + noise.view(np.uint64), learned, rng),
        noise=np.zeros_like(noise),
        streams=Streams(seed=rng.bytes(32), session_id=SESSION),
        compare=simulated.compare,
        conjoin=simulated.conjoin,
    )
    return run_pair(own, peer) if role is Role.EXPOSURE else run_pair(peer, own)


def _made_up(terms: ReleaseTerms, words: Words, learned: Learned, rng: np.random.Generator) -> Words:
    made = rng.integers(0, 2**64, words.shape, dtype=np.uint64)
    made[learned.opened] = learned.values.view(np.uint64)[learned.opened] - words[learned.opened]
    if terms.noise is not Noise.NONE:
        for column in terms.gate_columns:
            hidden = ~learned.opened[:, column]
            verdict = np.where(learned.passed[:, column], np.uint64(terms.min_people), np.uint64(0))
            made[hidden, column] = verdict[hidden] - words[hidden, column]
    return made


@dataclass(kw_only=True)
class _Peer:
    """The peer's half of comparisons and conjunctions, without inputs."""

    role: Role  # the peer's
    terms: ReleaseTerms
    passed: NDArray[np.bool_]
    rng: np.random.Generator
    pair: OtPair
    inputs: Words | None = None  # of the real side's comparison
    own: Bits | None = None  # the real side's latest share of bits
    round: int = 0

    def watched(self, half: Callable[..., Protocol[Bits]]) -> Callable[..., Protocol[Bits]]:
        """The real side's half; what goes into it and comes out is part of the view."""

        def watching(*arguments: Any) -> Protocol[Bits]:  # Any: those of a comparison or a conjunction
            self.inputs = arguments[0]
            self.own = yield from half(*arguments)
            return self.own

        return watching

    def compare(self, shares: Words, threshold: int) -> Protocol[Bits]:
        """Sends what a comparison sends; its bits are right if the round opens them."""
        last = np.zeros((0, 2), dtype=np.uint8)
        nodes = comparison.CHUNKS
        while nodes:
            last = yield from self._transfer(comparison.MESSAGES, shares.size * nodes, bits=2)
            nodes //= 2
        if self.role is Role.EXPOSURE:
            assert self.inputs is not None
            self.own = (self.inputs >> np.uint64(63)).astype(np.uint8) ^ last[:, 0]
        judged = verdicts._rounds(self.terms)[self.round]
        return self._left() if len(judged[0].chains) < 2 else np.zeros(shares.size, dtype=np.uint8)

    def conjoin(self, bits: Bits) -> Protocol[Bits]:
        """Sends what a conjunction of up to 64 bits sends."""
        last = np.zeros((0, 1), dtype=np.uint8)
        for count in equality.layers(bits.shape[1]):
            last = yield from self._transfer(equality.MESSAGES, len(bits) * count, bits=1)
        if self.role is Role.EXPOSURE:
            self.own = last[:, 0]
        return self._left()

    def _left(self) -> Bits:
        """What the round's verdicts leave after the real side's bits."""
        columns = [entry.column for entry in verdicts._rounds(self.terms)[self.round]]
        self.round += 1
        assert self.own is not None
        return self.passed[:, columns].reshape(-1).astype(np.uint8) ^ self.own

    def _transfer(self, messages: TableMessages, count: int, *, bits: int) -> Protocol[Bits]:
        """Runs transfers without input: choices of zero, or one uniform message for all choices, which is returned."""
        drawn = self.rng.integers(0, 2, (count, bits), dtype=np.uint8)

        def report(done: int) -> Progress:
            return Progress("", done, count)

        if self.role is Role.OUTCOME:
            zeros = np.zeros(count, dtype=np.uint8)
            yield from receive_tables(self.pair.receiver, messages=messages, choices=zeros, bits=bits, report=report)
        else:
            tables = -drawn.astype(np.uint16)
            yield from send_tables(
                self.pair.sender,
                messages=messages,
                count=count,
                bits=bits,
                tables=lambda first, last: tables[first:last],
                report=report,
            )
        return drawn
