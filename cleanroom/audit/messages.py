"""The messages of a transcript against what the other files imply: which steps, in which order, of which length.

Whatever a record and an opening fix is built again to the last byte: hellos, nonces, the digest that both sides
confirmed, terms, commitments, opened cells, verdicts and signatures. Of the join itself an auditor without the
inputs knows each step's number of messages and of bytes; `audit replay` knows the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import declared
from cleanroom.agreement.model import Agreement, Noise, Role
from cleanroom.audit.faults import AuditReport
from cleanroom.audit.lines import TranscriptFile
from cleanroom.execute import join_parameters
from cleanroom.handshake import Handshake
from cleanroom.plan import Plan
from cleanroom.protocols import private_join, session
from cleanroom.protocols.traffic import NOTHING, Volume
from cleanroom.protocols.wire import CHUNK_BYTES, FRAME_HEADER_BYTES, chunks, encode_frame
from cleanroom.release import opening as release_opening
from cleanroom.release import signatures as release_signatures
from cleanroom.release import verdicts
from cleanroom.release.commitments import COMMITMENT_BYTES
from cleanroom.release.opening import OPENED_BYTES, Opening, SideOpening
from cleanroom.release.terms import ReleaseTerms
from cleanroom.transcripts import SEAL_STEP

__all__ = ["Implied", "check_messages"]

_MESSAGES: Final = {
    **session.MESSAGES,
    **declared.MESSAGES,
    **release_opening.MESSAGES,
    **release_signatures.MESSAGES,
}
_VERDICTS: Final = ("release.comparison.", "release.equality.", "release.bits_commitment", "release.bits")
"""Steps by which gates are judged without noise; their order follows from the agreement, and a replay checks it."""
_SET_UP: Final = {"base_ot": "ot", "ot": "ot", "silent_vole": "equality"}
"""Families of messages that a step uses, which are counted with it: before the hint the OPRF, after it these."""
_CONFIRM: Final = "session.confirm"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Implied:
    """What the other files of a run say about its messages."""

    agreement: Agreement
    plan: Plan
    terms: ReleaseTerms
    handshake: Handshake
    passed: NDArray[np.bool_]  # groups × columns
    opening: Opening | None = field(repr=False)  # None at a side that is not a recipient
    signatures: Mapping[Role, bytes] = field(repr=False)  # those that were exchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A message as it must be: its payload if that is known, else the payload's length."""

    step: str
    sender: Role
    length: int
    payload: bytes | None = field(default=None, repr=False)


def check_messages(transcript: TranscriptFile, implied: Implied, report: AuditReport) -> None:
    """Compares every line of a transcript with what the other files imply.

    Args:
        transcript: of the right form.
        implied: what the other files say.
        report: gets a fault for each line that is not the expected one.
    """
    steps = [entry.step for entry in transcript.entries]
    head = list(_head(implied))
    _check_run(transcript, 0, head, report)
    if _CONFIRM not in steps:
        report.add(transcript.name, "", f"has no {_CONFIRM}: the two sides never compared their transcripts")
        return
    confirm = steps.index(_CONFIRM)
    _check_join(transcript, len(head), confirm, implied, report)
    before, after = list(_before_comparison(transcript, implied, confirm)), list(_after_comparison(transcript, implied))
    comparison_start, comparison_stop = confirm + len(before), len(steps) - len(after)
    if comparison_stop < comparison_start:
        _check_run(transcript, confirm, before + after, report)
        report.add(transcript.name, "", f"{len(steps)} lines are too few for the messages of such a run")
        return
    _check_run(transcript, confirm, before, report)
    _check_comparison(transcript, comparison_start, comparison_stop, implied, report)
    _check_run(transcript, comparison_stop, after, report)


def _head(implied: Implied) -> Iterator[_Line]:
    hellos = implied.handshake.hellos(implied.agreement, implied.plan, implied.terms.digest)
    for role, hello in zip(Role, hellos, strict=True):
        yield _known("session.hello", role, hello.encode())
    for role in Role:
        side = implied.handshake.side(role)
        yield _known("session.nonce", role, side.nonce + side.claim)
    if implied.handshake.declarations is not None:
        for role in Role:
            yield _known("session.declaration", role, implied.handshake.declarations.side(role).payload)


def _before_comparison(transcript: TranscriptFile, implied: Implied, confirm: int) -> Iterator[_Line]:
    for role in Role:
        yield _known(_CONFIRM, role, transcript.digest(confirm))
    for role in Role:
        yield _known("release.terms", role, implied.terms.digest)
    yield from _commitments(implied)


def _after_comparison(transcript: TranscriptFile, implied: Implied) -> Iterator[_Line]:
    """Everything after the verdicts; with noise the gates too, as nothing is compared in secret then."""
    terms = implied.terms
    gates = np.zeros((terms.groups, terms.columns), dtype=np.bool_)
    gates[:, list(terms.gate_columns)] = True
    gate_cells = np.flatnonzero(gates)
    packed = (len(gate_cells) + 7) // 8
    wanted = implied.passed & np.array(terms.declared)
    if terms.noise is not Noise.NONE:
        yield from _opened("release.gates", gate_cells, implied)
        if len(terms.recipients) == 1:
            (recipient,) = terms.recipients
            bits = np.packbits(implied.passed.reshape(-1)[gate_cells], bitorder="little").tobytes()
            for start, stop in chunks(packed, CHUNK_BYTES):
                yield _known("release.suppression", recipient, bits[start:stop])
        wanted &= ~gates
    yield from _opened("release.cells", np.flatnonzero(wanted), implied)
    for role in Role:
        yield _known("release.signature", role, implied.signatures[role])
    yield _known(SEAL_STEP, Role.EXPOSURE, transcript.seal.exposure)
    yield _known(SEAL_STEP, Role.OUTCOME, transcript.seal.outcome)


def _known(step: str, sender: Role, payload: bytes) -> _Line:
    return _Line(step=step, sender=sender, length=len(payload), payload=payload)


def _commitments(implied: Implied) -> Iterator[_Line]:
    total = implied.terms.groups * implied.terms.columns * COMMITMENT_BYTES
    for role in Role:
        side = _side(implied.opening, role)
        payload = None if side is None else side.commitments.tobytes()
        for start, stop in chunks(total, CHUNK_BYTES):
            part = None if payload is None else payload[start:stop]
            yield _Line(step="release.commitments", sender=role, length=stop - start, payload=part)


def _opened(step: str, cells: NDArray[np.int64], implied: Implied) -> Iterator[_Line]:
    """The openings of these cells, from each side whose peer is a recipient."""
    for role, other in ((Role.EXPOSURE, Role.OUTCOME), (Role.OUTCOME, Role.EXPOSURE)):
        if other not in implied.terms.recipients:
            continue
        side = _side(implied.opening, role)
        for start, stop in chunks(len(cells), CHUNK_BYTES // OPENED_BYTES):
            payload = None if side is None else _opened_payload(side, cells[start:stop])
            yield _Line(step=step, sender=role, length=OPENED_BYTES * (stop - start), payload=payload)


def _opened_payload(side: SideOpening, cells: NDArray[np.int64]) -> bytes:
    where = np.searchsorted(side.cells, cells)
    rows = np.concatenate([side.salts[where], side.shares[where].astype("<u8").view(np.uint8).reshape(-1, 8)], axis=1)
    return rows.tobytes()


def _side(opening: Opening | None, role: Role) -> SideOpening | None:
    if opening is None:
        return None
    return opening.exposure if role is Role.EXPOSURE else opening.outcome


def _check_run(transcript: TranscriptFile, start: int, lines: list[_Line], report: AuditReport) -> None:
    """Compares a stretch of lines with what they must be; stops at the first that is another message."""
    for position, line in enumerate(lines, start=start):
        if position >= len(transcript.entries):
            return
        entry, sender = transcript.entries[position], transcript.sender(position)
        where = f"line {position + 1}"
        if entry.step != line.step:
            report.add(transcript.name, where, f"step: {line.step} expected, {entry.step} found")
            return
        if sender is not line.sender:
            report.add(transcript.name, where, f"direction: {line.step} of the {line.sender.value} side expected")
            return
        if entry.length != FRAME_HEADER_BYTES + line.length:
            what = f"length: {FRAME_HEADER_BYTES + line.length} bytes expected, {entry.length} found"
            report.add(transcript.name, where, what)
            continue
        if line.payload is not None and entry.sha256 != _frame_hash(transcript, position, line.payload):
            report.add(transcript.name, where, f"sha256: is not that of the {line.step} that the other files imply")


def _frame_hash(transcript: TranscriptFile, position: int, payload: bytes) -> bytes:
    direction = transcript.entries[position].direction
    sequence = sum(entry.direction is direction for entry in transcript.entries[:position])
    frame = encode_frame(_MESSAGES[transcript.entries[position].step], sequence, payload)
    return hashlib.sha256(frame).digest()


def _check_join(transcript: TranscriptFile, start: int, stop: int, implied: Implied, report: AuditReport) -> None:
    """Compares the join's messages and bytes, step by step and side by side, with what the agreement gives."""
    expected = private_join.traffic(join_parameters(implied.agreement, implied.plan))
    order = list(expected)
    found = {(step, role): NOTHING for step in order for role in Role}
    last = 0
    for position in range(start, stop):
        entry = transcript.entries[position]
        family = entry.step.split(".")[0]
        if family == order[0] and last == len(order) - 1:  # the next bucket; the sums say how many there are
            last = 0
        if last < order.index("hint") and family in _SET_UP:
            family = "oprf"
        family = _SET_UP.get(family, family)
        if family not in expected or order.index(family) < last:
            report.add(transcript.name, f"line {position + 1}", f"step: {entry.step} does not belong here")
            return
        last = order.index(family)
        found[family, transcript.sender(position)] += Volume(messages=1, bytes=entry.length)
    for step, volumes in expected.items():
        for role, volume in zip(Role, volumes, strict=True):
            if found[step, role] != volume:
                what = (
                    f"{volume.messages} messages of {volume.bytes} bytes from the {role.value} side expected, "
                    f"{found[step, role].messages} of {found[step, role].bytes} found"
                )
                report.add(transcript.name, f"step {step}", what)


def _check_comparison(transcript: TranscriptFile, start: int, stop: int, implied: Implied, report: AuditReport) -> None:
    """Compares the secret verdicts' messages and bytes with what the agreement gives: none if there is noise."""
    found = {role: NOTHING for role in Role}
    for position in range(start, stop):
        entry = transcript.entries[position]
        if implied.terms.noise is not Noise.NONE or not entry.step.startswith(_VERDICTS):
            report.add(transcript.name, f"line {position + 1}", f"step: {entry.step} does not belong here")
            return
        found[transcript.sender(position)] += Volume(messages=1, bytes=entry.length)
    if implied.terms.noise is Noise.NONE and tuple(found.values()) != verdicts.traffic(implied.terms):
        report.add(transcript.name, "step release.comparison", "another number of messages or bytes expected")
