"""transcript.jsonl as an auditor reads it: the form of every line, the chain computed again, the seal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from cleanroom.agreement.model import Agreement, Role
from cleanroom.audit.faults import AuditReport
from cleanroom.errors import PeerError
from cleanroom.protocols.session import Seal
from cleanroom.protocols.transcript import Direction, Transcript, TranscriptEntry
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, MAX_PAYLOAD_BYTES
from cleanroom.transcripts import SEAL_STEP, verify_transcript

__all__ = ["TranscriptFile", "check_seal", "read_transcript"]

_KEYS: Final = ("step", "direction", "length", "sha256", "chain")
_SEAL_KEYS: Final = (*_KEYS, "digest", "signature")
_SEAL_LINES: Final = 2
_HASH_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_MAX_STEP: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptFile:
    """A transcript of the right form."""

    name: str
    role: Role
    entries: tuple[TranscriptEntry, ...]  # as the file has them, the seal's two included
    seal: Seal

    def sender(self, position: int) -> Role:
        """Whose message a line is."""
        sent = self.entries[position].direction is Direction.SENT
        return self.role if sent else next(role for role in Role if role is not self.role)

    def digest(self, lines: int) -> bytes:
        """The digest that the first lines give, by their steps, lengths and SHA-256 alone."""
        return self.again(lines).digest()

    def again(self, lines: int | None = None) -> Transcript:
        """The transcript of the first lines, of all if None, by their steps, lengths and SHA-256 alone."""
        again = Transcript(from_exposure=Direction.SENT if self.role is Role.EXPOSURE else Direction.RECEIVED)
        for entry in self.entries[:lines]:
            again.append(entry.step, entry.direction, length=entry.length, sha256=entry.sha256)
        return again


def read_transcript(name: str, data: bytes, role: Role, report: AuditReport) -> TranscriptFile | None:
    """Reads a transcript and computes its chain again.

    Args:
        name: how faults name the file.
        data: its bytes.
        role: of the side that kept it.
        report: gets the faults.

    Returns:
        The transcript; None if some line is not of its form.
    """
    lines = data.split(b"\n")
    if lines.pop() != b"":
        report.add(name, f"line {len(lines) + 1}", "does not end: the file is truncated")
        return None
    if len(lines) <= _SEAL_LINES:
        report.add(name, "", "ends before the seal")
        return None
    parsed: list[dict[str, Any]] = []  # Any: the values of a line are checked one by one
    for number, line in enumerate(lines, start=1):
        entry = _line(name, number, line, report)
        if entry is None:
            return None
        parsed.append(entry)
    entries = tuple(
        TranscriptEntry(
            step=entry["step"],
            direction=Direction(entry["direction"]),
            length=entry["length"],
            sha256=bytes.fromhex(entry["sha256"]),
            chain=bytes.fromhex(entry["chain"]),
        )
        for entry in parsed
    )
    _check_chains(name, role, entries, report)
    seal = _seal(name, role, parsed, report)
    return None if seal is None else TranscriptFile(name=name, role=role, entries=entries, seal=seal)


def check_seal(transcript: TranscriptFile, agreement: Agreement, report: AuditReport) -> None:
    """Checks the digest of the seal against the lines, and both signatures over what the lines give."""
    digest = transcript.digest(transcript.seal.messages)
    if digest != transcript.seal.digest:
        lines = f"lines {transcript.seal.messages + 1} and {transcript.seal.messages + 2}"
        report.add(transcript.name, lines, "digest: is not that of the lines before")
    parties = (agreement.exposure_party, agreement.outcome_party)
    for position, party, signature in zip(
        range(_SEAL_LINES), parties, (transcript.seal.exposure, transcript.seal.outcome), strict=True
    ):
        try:
            verify_transcript(party, digest, signature)
        except PeerError:
            where = f"line {transcript.seal.messages + 1 + position}"
            report.add(
                transcript.name, where, f"signature: is not {party.name}'s over the lines before", signature=True
            )


def _line(name: str, number: int, line: bytes, report: AuditReport) -> dict[str, Any] | None:
    where = f"line {number}"
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        report.add(name, where, "is not a JSON object")
        return None
    if not isinstance(entry, dict):
        report.add(name, where, "is not a JSON object")
        return None
    sealing = entry.get("step") == SEAL_STEP
    keys = _SEAL_KEYS if sealing else _KEYS
    if tuple(entry) != keys:
        what = "the seal" if sealing else "a message"
        report.add(name, where, f"{what} has the fields {', '.join(keys)}")
        return None
    for key in keys:
        if not _sound(key, entry[key]):
            report.add(name, where, f"{key}: is not of its form")
            return None
    if json.dumps(entry, separators=(",", ":")).encode() != line:
        report.add(name, where, "is not written as a run writes it")
        return None
    return entry


def _sound(key: str, value: object) -> bool:
    if key == "length":
        least = FRAME_HEADER_BYTES
        return type(value) is int and least <= value <= least + MAX_PAYLOAD_BYTES
    if not isinstance(value, str):
        return False
    if key == "step":
        return 0 < len(value) <= _MAX_STEP and value.isascii() and value.isprintable()
    if key == "direction":
        return value in (Direction.SENT.value, Direction.RECEIVED.value)
    size = _SIGNATURE_BYTES if key == "signature" else _HASH_BYTES
    return len(value) == 2 * size and not set(value) - set("0123456789abcdef")


def _check_chains(name: str, role: Role, entries: tuple[TranscriptEntry, ...], report: AuditReport) -> None:
    """Names the first line whose chain does not follow; that those after it do not is its consequence."""
    again = Transcript(from_exposure=Direction.SENT if role is Role.EXPOSURE else Direction.RECEIVED)
    for number, entry in enumerate(entries, start=1):
        computed = again.append(entry.step, entry.direction, length=entry.length, sha256=entry.sha256)
        if computed.chain != entry.chain:
            report.add(name, f"line {number}", "chain: does not follow from this line and those before it")
            return


def _seal(name: str, role: Role, parsed: list[dict[str, Any]], report: AuditReport) -> Seal | None:
    first, second = parsed[-_SEAL_LINES:]
    number = len(parsed) - 1
    directions = (Direction.SENT, Direction.RECEIVED)
    wanted = directions if role is Role.EXPOSURE else directions[::-1]
    for offset, (line, direction) in enumerate(zip((first, second), wanted, strict=True)):
        if line["step"] != SEAL_STEP or line["direction"] != direction.value:
            report.add(name, f"line {number + offset}", f"the file must end with the seal, here {direction.value}")
            return None
    for position, line in enumerate(parsed[:-_SEAL_LINES], start=1):
        if line["step"] == SEAL_STEP:
            report.add(name, f"line {position}", "step: the seal belongs at the end")
            return None
    if first["digest"] != second["digest"]:
        report.add(name, f"line {number + 1}", "digest: is not that of the line before")
        return None
    return Seal(
        digest=bytes.fromhex(first["digest"]),
        messages=len(parsed) - _SEAL_LINES,
        exposure=bytes.fromhex(first["signature"]),
        outcome=bytes.fromhex(second["signature"]),
    )
