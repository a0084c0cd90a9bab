"""Verdicts without noise: which counts may be opened, decided on the shares; only the verdicts are opened.

Functionality: both sides hold shares of every gate, a count of people. Each gate gets one bit, opened to both: whether
it is at least `min_people`. Where the agreement suppresses differences, counts that contain each other are a chain
(the windows of one event; matched people contain all of them), and the bit says whether the count is at least
`min_people` above the largest one of its chain that is released, 0 if none is. Neither a released count nor the
difference of two released counts of a chain is then below `min_people`. There is no exception for a difference of 0:
it would say of everybody in a group that they did not come later, and the sums of two windows with equal counts can
still differ by what one person did. Conversely `min_people` more people in the longer window are that many who did
something in between, so sums are covered by the counts.

Security model: semi-honest; the opened bits are committed to first. Learned by each party: the verdicts, which the
released table shows as its statuses, and nothing else: a chain is decided from its shortest window on, one comparison
a count, and matched people by the conjunction of their comparisons, of which only the result is opened.

Messages of a round: the comparison; the conjunction in the last one, if there is more than one chain; a commitment to
the bits (32) both; salt and bits (32 + 1/8 a gate cell) both. One round; with differences one for each window of the
longest chain and one for matched people.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Role
from cleanroom.errors import PeerError
from cleanroom.protocols import comparison, conjunction
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.traffic import Traffic, messages, total
from cleanroom.protocols.wire import Event, Expect, Message, Progress, Protocol, ProtocolId, Send
from cleanroom.release.commitments import COMMITMENT_BYTES, SALT_BYTES, commit_bits
from cleanroom.release.terms import ReleaseTerms

__all__ = ["BITS", "BITS_COMMITMENT", "Compare", "Conjoin", "Trade", "secret_verdicts", "traffic", "unpack_bits"]

Bits: TypeAlias = NDArray[np.uint8]
Compare: TypeAlias = Callable[[NDArray[np.uint64], int], Protocol[Bits]]
"""This side's half of the secure comparison: shares of k counts and a public threshold in, k bits out (0 or 1) whose
XOR with the peer's says whether each count is at least the threshold."""
Conjoin: TypeAlias = Callable[[Bits], Protocol[Bits]]
"""This side's half of the conjunction: shares of n × k bits in, shares of the n conjunctions out."""
Trade: TypeAlias = Callable[[Message, bytes, int], Protocol[bytes]]
"""Sends one payload and receives one of a length, the exposure side's first."""

BITS_COMMITMENT: Final = Message(protocol=ProtocolId.RELEASE, type=5, step="release.bits_commitment")
BITS: Final = Message(protocol=ProtocolId.RELEASE, type=6, step="release.bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A column that a round decides, and the chains whose last released count it is compared with."""

    column: int
    chains: tuple[int, ...]


def _rounds(terms: ReleaseTerms) -> list[list[_Judged]]:
    """What is decided in which round: columns ascending, every gate once."""
    chained = {column for chain in terms.chains for level in chain for column in level}
    free = [column for column in terms.gate_columns if column not in chained]
    if not terms.chains:
        return [[_Judged(column=column, chains=()) for column in free]]
    rounds = [
        [
            _Judged(column=column, chains=(number,))
            for number, chain in enumerate(terms.chains)
            for column in (chain[depth] if depth < len(chain) else ())
        ]
        for depth in range(max(map(len, terms.chains)))
    ]
    if free:
        rounds.append([_Judged(column=column, chains=tuple(range(len(terms.chains)))) for column in free])
    return [sorted(judged, key=lambda entry: entry.column) for judged in rounds]


def traffic(terms: ReleaseTerms) -> Traffic:
    """What exposure and outcome side send."""
    steps: list[Traffic] = []
    for judged in _rounds(terms):
        count, width = terms.groups * len(judged), max(1, len(judged[0].chains))
        both = messages(COMMITMENT_BYTES, SALT_BYTES + (count + 7) // 8)
        steps += [comparison.traffic(count * width), conjunction.traffic(count, width=width), (both, both)]
    return total(first for first, _ in steps), total(second for _, second in steps)


def secret_verdicts(
    *,
    terms: ReleaseTerms,
    role: Role,
    words: NDArray[np.uint64],
    streams: Streams,
    trade: Trade,
    compare: Compare,
    conjoin: Conjoin | None,
) -> Protocol[NDArray[np.bool_]]:
    """Decides every gate.

    Args:
        terms: the release's, with noise "none".
        role: this side.
        words: groups × columns, this side's shares.
        streams: for the salts of the opened bits.
        trade: swaps payloads with the peer.
        compare: this side's half of the comparison.
        conjoin: this side's half of the conjunction; needed with more than one chain and matched people.

    Returns:
        groups × columns; columns that gate nothing are False.

    Raises:
        PeerError: the peer opens bits that it did not commit to.
    """
    verdicts = np.zeros(words.shape, dtype=np.bool_)
    base = np.zeros((terms.groups, max(1, len(terms.chains))), dtype=np.uint64)  # of the last released count
    for number, judged in enumerate(_rounds(terms)):
        columns = [entry.column for entry in judged]
        chains = np.array([entry.chains or (0,) for entry in judged])  # columns × width; without chains base is 0
        count, width = words.shape[0] * len(columns), chains.shape[1]
        excess = words[:, columns, None] - base[:, chains]
        bits = yield from _named(compare(excess.reshape(-1), terms.min_people))
        if bits.shape != (count * width,) or bool((bits > 1).any()):
            raise AssertionError("the comparison returned something else than one bit a count")
        if width > 1:
            if conjoin is None:
                raise ValueError("matched people beside several events need the conjunction")
            bits = yield from _named(conjoin(bits.reshape(count, width)))
        opened = yield from _open_bits(bits, role=role, number=number, streams=streams, trade=trade)
        verdicts[:, columns] = opened.reshape(words.shape[0], -1)
        for entry in judged:
            if len(entry.chains) == 1:  # a longer window goes on from here; of equal ones the last is as good
                (chain,) = entry.chains
                base[:, chain] = np.where(verdicts[:, entry.column], words[:, entry.column], base[:, chain])
    return verdicts


def _open_bits(bits: Bits, *, role: Role, number: int, streams: Streams, trade: Trade) -> Protocol[NDArray[np.bool_]]:
    """Opens a round's bits, each side's committed to before it sees the other's."""
    mine = np.packbits(bits, bitorder="little").tobytes()
    key = streams.key(step="release", direction=role.value, purpose="bits salt", attempt=number)
    salt = keystream(key, SALT_BYTES)
    session_id = streams.session_id
    commitment = commit_bits(session_id=session_id, role=role, salt=salt, bits=mine)
    committed = yield from trade(BITS_COMMITMENT, commitment, COMMITMENT_BYTES)
    opened = yield from trade(BITS, salt + mine, SALT_BYTES + len(mine))
    their_salt, their_bits = opened[:SALT_BYTES], opened[SALT_BYTES:]
    expected = commit_bits(session_id=session_id, role=role.other, salt=their_salt, bits=their_bits)
    if not hmac.compare_digest(committed, expected):
        raise PeerError("release: the opened comparison bits are not the committed ones")
    return bits.astype(np.bool_) ^ unpack_bits(their_bits, bits.size)


def unpack_bits(packed: bytes, count: int) -> NDArray[np.bool_]:
    """Reads the peer's packed bits, the first lowest.

    Raises:
        PeerError: a spare bit is set.
    """
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
    if bool(bits[count:].any()):
        raise PeerError("release: the bits after the last gate must be zero")
    return bits[:count].astype(np.bool_)


def _named(protocol: Protocol[Bits]) -> Protocol[Bits]:
    """Runs a secure computation with its steps named as the release's."""
    answer: bytes | None = None
    while True:
        try:
            event: Event = protocol.send(answer)
        except StopIteration as stop:
            bits: Bits = stop.value
            return bits
        if isinstance(event, Send | Expect) and not event.message.step.startswith("release."):
            event = replace(event, message=replace(event.message, step=f"release.{event.message.step}"))
        elif isinstance(event, Progress):
            event = replace(event, step=f"release.{event.step}")
        answer = yield event
