"""The opening: from additive shares with noise on them to the figures that may be seen, and nothing else.

Functionality: each side holds a share mod 2^64 of every cell (group, column) and its own noise. The recipients learn
the noised value of every gate, then of every cell whose gate is at least `min_people`; a side that is not a recipient
learns only which cells are suppressed. With noise "none" no gate is opened unless it passed and is itself a declared
metric: its verdict is computed on the shares (`verdicts.py`), only that bit is opened, then only the declared cells
that passed.

Security model: semi-honest, with accountability: every share is committed to before any is opened, so neither side
can choose its share after seeing the other's. There is no fairness: a side can stop after seeing the other's opening.
A sole recipient that lies about which gates passed is caught by an audit that holds both folders, not by the peer.

Learned by each party: its role's output above. The shares and salts of suppressed cells are never sent, to anybody.
A recipient sees the noised value of a gate that stays under the threshold (it was paid for); the released table does
not carry it.

Complementary suppression: no total over groups is ever opened, so no suppressed cell is a released total minus the
released cells. With noise "none" counts that contain each other are judged one by one, or by their differences if the
agreement says so (`docs/reference/release.md`).

Messages, exposure side first in each pair; a side sends openings only if the other one is a recipient:
terms (32 bytes) both; commitments (32 a cell) both;
noise: gates (40 a gate cell) each to a recipient, a bit a gate cell from a sole recipient to the other side;
no noise: those of `verdicts.py`;
cells (40 a cell that passed) each to a recipient.
Source: `private-join`'s release rules; commitments are the usual hash commitments in the random oracle model.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise, Role
from cleanroom.errors import PeerError
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.traffic import NOTHING, Traffic, Volume, in_chunks, messages
from cleanroom.protocols.wire import (
    CHUNK_BYTES,
    Message,
    Progress,
    Protocol,
    ProtocolId,
    Send,
    chunks,
    expect,
)
from cleanroom.release import verdicts
from cleanroom.release.commitments import COMMITMENT_BYTES, SALT_BYTES, check_openings, commit_shares
from cleanroom.release.terms import ReleaseTerms
from cleanroom.release.verdicts import BITS, BITS_COMMITMENT, Compare, Conjoin, unpack_bits

__all__ = ["MESSAGES", "OPENED_BYTES", "Opening", "SideOpening", "exposure", "outcome", "traffic"]

_TERMS: Final = Message(protocol=ProtocolId.RELEASE, type=1, step="release.terms")
_COMMITMENTS: Final = Message(protocol=ProtocolId.RELEASE, type=2, step="release.commitments")
_GATES: Final = Message(protocol=ProtocolId.RELEASE, type=3, step="release.gates")
_SUPPRESSION: Final = Message(protocol=ProtocolId.RELEASE, type=4, step="release.suppression")
_CELLS: Final = Message(protocol=ProtocolId.RELEASE, type=7, step="release.cells")
MESSAGES: Final = {
    message.step: message for message in (_TERMS, _COMMITMENTS, _GATES, _SUPPRESSION, BITS_COMMITMENT, BITS, _CELLS)
}
"""The messages of this module by their steps, for whoever checks a transcript."""
_TERMS_BYTES: Final = 32
OPENED_BYTES: Final = SALT_BYTES + 8
"""Bytes of an opened cell: its salt, its share."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideOpening:
    """What one side committed to and opened, as far as this party holds it.

    `cells` are the indices of this side's opened cells, ascending; `salts` (k × 32) and `shares` (k) belong to them.
    Nothing of a cell that was not opened is kept here.
    """

    commitments: NDArray[np.uint8] = field(repr=False)  # cells × 32
    cells: NDArray[np.int64] = field(repr=False)
    salts: NDArray[np.uint8] = field(repr=False)
    shares: NDArray[np.uint64] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opening:
    """The result of the opening at one party.

    `passed` (groups × columns, bool) says whether a cell's gate reached `min_people`: all that a side that is not a
    recipient learns. `opened` (same shape) says which cells `values` (int64, 0 elsewhere) holds; at a side that is
    not a recipient nothing is opened. A gate under the threshold is opened but not passed when there is noise.
    """

    passed: NDArray[np.bool_] = field(repr=False)
    opened: NDArray[np.bool_] = field(repr=False)
    values: NDArray[np.int64] = field(repr=False)
    exposure: SideOpening
    outcome: SideOpening


def exposure(
    *,
    terms: ReleaseTerms,
    shares: NDArray[np.uint64],
    noise: NDArray[np.int64],
    streams: Streams,
    compare: Compare | None = None,
    conjoin: Conjoin | None = None,
) -> Protocol[Opening]:
    """The exposure side's half of the opening.

    Args:
        terms: the release's terms; the peer must hold the same.
        shares: groups × columns, this side's additive shares mod 2^64, without noise.
        noise: groups × columns, this side's noise; all zero with noise "none".
        streams: for the salts; `streams.session_id` is bound into every commitment.
        compare: this side's half of the secure comparison; needed with noise "none".
        conjoin: this side's half of the conjunction; needed where differences are suppressed (`verdicts.py`).

    Returns:
        The opening.

    Raises:
        PeerError: the peer's terms differ, or it opens something that it did not commit to.
        ValueError: the arrays are not of the terms' shape.
    """
    return _open(Role.EXPOSURE, terms, shares, noise, streams, compare, conjoin)


def outcome(
    *,
    terms: ReleaseTerms,
    shares: NDArray[np.uint64],
    noise: NDArray[np.int64],
    streams: Streams,
    compare: Compare | None = None,
    conjoin: Conjoin | None = None,
) -> Protocol[Opening]:
    """The outcome side's half of the opening; see `exposure`."""
    return _open(Role.OUTCOME, terms, shares, noise, streams, compare, conjoin)


def traffic(terms: ReleaseTerms, *, opened: int | None = None) -> Traffic:
    """What exposure and outcome side send.

    Args:
        terms: the release's terms.
        opened: cells that are opened after the gates; None for the most there can be.
    """
    gates = len(terms.gate_columns) * terms.groups
    others = sum(terms.declared)
    if terms.noise is not Noise.NONE:
        others -= sum(terms.declared[column] for column in terms.gate_columns)
    opened = others * terms.groups if opened is None else opened
    both = messages(_TERMS_BYTES) + in_chunks(terms.groups * terms.columns * COMMITMENT_BYTES, CHUNK_BYTES, 1)
    sides = {role: both for role in Role}
    packed = (gates + 7) // 8
    if terms.noise is Noise.NONE:
        for role, volume in zip(Role, verdicts.traffic(terms), strict=True):
            sides[role] += volume
    for role, other in ((Role.EXPOSURE, Role.OUTCOME), (Role.OUTCOME, Role.EXPOSURE)):
        if other in terms.recipients:
            sides[role] += _openings(opened) + (NOTHING if terms.noise is Noise.NONE else _openings(gates))
        elif terms.noise is not Noise.NONE:
            sides[role] += in_chunks(packed, CHUNK_BYTES, 1)
    return sides[Role.EXPOSURE], sides[Role.OUTCOME]


def _openings(cells: int) -> Volume:
    return in_chunks(cells, CHUNK_BYTES // OPENED_BYTES, OPENED_BYTES)


def _open(
    role: Role,
    terms: ReleaseTerms,
    shares: NDArray[np.uint64],
    noise: NDArray[np.int64],
    streams: Streams,
    compare: Compare | None,
    conjoin: Conjoin | None,
) -> Protocol[Opening]:
    shape = (terms.groups, terms.columns)
    if shares.shape != shape or noise.shape != shape:
        raise ValueError(f"shares and noise: {shape[0]} × {shape[1]} cells expected")
    if terms.noise is Noise.NONE and bool(noise.any()):
        raise ValueError("noise none takes no noise")
    if not terms.recipients:
        raise ValueError("a release needs a recipient")
    side = _Side(role, terms, streams, (shares.astype(np.uint64) + noise.astype(np.int64).view(np.uint64)).reshape(-1))

    theirs = yield from side.trade(_TERMS, terms.digest, _TERMS_BYTES)
    if not hmac.compare_digest(theirs, terms.digest):
        raise PeerError("release: the peer derives other release terms, or writes files with another pyarrow version")
    yield from side.commit()

    gates = np.zeros(shape, dtype=np.bool_)
    gates[:, list(terms.gate_columns)] = True
    gate_cells = np.flatnonzero(gates)
    if terms.noise is Noise.NONE:
        if compare is None:
            raise ValueError("noise none needs the secure comparison")
        judged = yield from verdicts.secret_verdicts(
            terms=terms,
            role=role,
            words=side.words.reshape(shape),
            streams=streams,
            trade=side.trade,
            compare=compare,
            conjoin=conjoin,
        )
        gate_passed = judged.reshape(-1)[gate_cells]
    else:
        yield from side.open(_GATES, gate_cells)
        gate_passed = yield from _judge_gates(side, gate_cells)
    passed = _spread(terms, gate_cells, gate_passed)

    wanted = passed & np.array(terms.declared)
    if terms.noise is not Noise.NONE:
        wanted &= ~gates  # already open
    yield from side.open(_CELLS, np.flatnonzero(wanted))
    yield Progress("release", terms.groups, terms.groups)
    return side.result(passed)


def _judge_gates(side: _Side, gate_cells: NDArray[np.int64]) -> Protocol[NDArray[np.bool_]]:
    """Compares the noised gates with the threshold; a sole recipient tells the other side which ones passed."""
    terms = side.terms
    bits = np.zeros(len(gate_cells), dtype=np.bool_)
    length = (len(gate_cells) + 7) // 8
    if side.receives:
        bits = side.values(gate_cells) >= terms.min_people
        if len(terms.recipients) == 1:
            for start, stop in chunks(length, CHUNK_BYTES):
                yield Send(_SUPPRESSION, np.packbits(bits, bitorder="little").tobytes()[start:stop])
        return bits
    packed = bytearray()
    for start, stop in chunks(length, CHUNK_BYTES):
        packed += yield from expect(_SUPPRESSION, stop - start)
    return unpack_bits(bytes(packed), len(gate_cells))


def _spread(terms: ReleaseTerms, gate_cells: NDArray[np.int64], gate_passed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Gives every cell its gate's verdict."""
    verdict = np.zeros(terms.groups * terms.columns, dtype=np.bool_)
    verdict[gate_cells] = gate_passed
    return verdict.reshape(terms.groups, terms.columns)[:, list(terms.gates)]


class _Side:
    """One party's state in an opening. Noised shares and salts of cells that are not opened never leave it."""

    def __init__(self, role: Role, terms: ReleaseTerms, streams: Streams, words: NDArray[np.uint64]) -> None:
        self.role = role
        self.other = role.other
        self.terms = terms
        self.streams = streams
        self.words = words
        self.receives = role in terms.recipients
        key = streams.key(step="release", direction=role.value, purpose="salts")
        self._salts = np.frombuffer(keystream(key, SALT_BYTES * len(words)), dtype=np.uint8).reshape(-1, SALT_BYTES)
        self._mine = np.zeros(len(words), dtype=np.bool_)  # cells that this side has opened or counts as its own
        self._theirs = np.zeros(len(words), dtype=np.bool_)
        self._their_words = np.zeros(len(words), dtype=np.uint64)
        self._their_salts = np.zeros((len(words), SALT_BYTES), dtype=np.uint8)
        self._commitments = np.zeros((len(words), COMMITMENT_BYTES), dtype=np.uint8)
        self._their_commitments = np.zeros((len(words), COMMITMENT_BYTES), dtype=np.uint8)

    def trade(self, message: Message, payload: bytes, length: int) -> Protocol[bytes]:
        """Sends one payload and receives one of `length` bytes, the exposure side's first."""
        if self.role is Role.EXPOSURE:
            yield Send(message, payload)
            return (yield from expect(message, length))
        received = yield from expect(message, length)
        yield Send(message, payload)
        return received

    def commit(self) -> Protocol[None]:
        """Commits to every cell, and receives the peer's commitments."""
        self._commitments = commit_shares(
            session_id=self.streams.session_id,
            role=self.role,
            cells=np.arange(len(self.words), dtype=np.int64),
            salts=self._salts,
            shares=self.words,
        )
        received = bytearray()
        payload = self._commitments.tobytes()
        for sender in (Role.EXPOSURE, Role.OUTCOME):
            for start, stop in chunks(len(payload), CHUNK_BYTES):
                if sender is self.role:
                    yield Send(_COMMITMENTS, payload[start:stop])
                else:
                    received += yield from expect(_COMMITMENTS, stop - start)
        self._their_commitments = np.frombuffer(bytes(received), dtype=np.uint8).reshape(-1, COMMITMENT_BYTES)

    def open(self, message: Message, cells: NDArray[np.int64]) -> Protocol[None]:
        """Opens these cells, public to both sides, to the recipients."""
        for sender in (Role.EXPOSURE, Role.OUTCOME):
            if sender.other not in self.terms.recipients:
                continue
            for start, stop in chunks(len(cells), CHUNK_BYTES // OPENED_BYTES):
                part = cells[start:stop]
                if sender is self.role:
                    yield Send(message, self._encode(part))
                else:
                    self._take(part, (yield from expect(message, OPENED_BYTES * len(part))))
        self._mine[cells] = True

    def _encode(self, cells: NDArray[np.int64]) -> bytes:
        rows = np.concatenate(
            [self._salts[cells], self.words[cells].astype("<u8").view(np.uint8).reshape(-1, 8)], axis=1
        )
        return rows.tobytes()

    def _take(self, cells: NDArray[np.int64], payload: bytes) -> None:
        rows = np.frombuffer(payload, dtype=np.uint8).reshape(-1, OPENED_BYTES)
        salts = rows[:, :SALT_BYTES]
        words = np.ascontiguousarray(rows[:, SALT_BYTES:]).view("<u8").reshape(-1).astype(np.uint64)
        check_openings(
            session_id=self.streams.session_id,
            role=self.other,
            cells=cells,
            salts=salts,
            shares=words,
            commitments=self._their_commitments,
        )
        self._their_words[cells] = words
        self._their_salts[cells] = salts
        self._theirs[cells] = True

    def values(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """The noised values of cells that the peer opened: signed, because noise can take a count below zero."""
        if not bool(self._theirs[cells].all()):
            raise AssertionError("a cell is read before it is opened")
        return (self.words[cells] + self._their_words[cells]).view(np.int64)

    def result(self, passed: NDArray[np.bool_]) -> Opening:
        """Collects what this party may keep."""
        shape = (self.terms.groups, self.terms.columns)
        values = np.zeros(len(self.words), dtype=np.int64)
        theirs = np.flatnonzero(self._theirs)
        values[theirs] = self.values(theirs)
        mine = np.flatnonzero(self._mine)
        sides = {
            self.role: SideOpening(
                commitments=self._commitments, cells=mine, salts=self._salts[mine], shares=self.words[mine]
            ),
            self.other: SideOpening(
                commitments=self._their_commitments,
                cells=theirs,
                salts=self._their_salts[theirs],
                shares=self._their_words[theirs],
            ),
        }
        return Opening(
            passed=passed,
            opened=self._theirs.reshape(shape),
            values=values.reshape(shape),
            exposure=sides[Role.EXPOSURE],
            outcome=sides[Role.OUTCOME],
        )
