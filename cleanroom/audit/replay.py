"""`audit replay`: both sides' halves of a finished run once more, from their inputs and their private audit files.

Every random byte of a run follows from the two recorded seeds, the noise is read from the record, and signatures are
those of the files: so the replay must produce every message of both transcripts to the last byte, and then the same
files. It opens no connection, charges nothing and signs nothing.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from cleanroom.account import AUDIT_FILE, LOCAL_FILE
from cleanroom.agreement import Agreement, Role, load_agreement, verify_signatures
from cleanroom.audit.accounts import check_audit, check_local, check_own_signatures, record_of, terms_and_handshake
from cleanroom.audit.faults import AuditReport
from cleanroom.audit.folder import RunFolder, read_folder
from cleanroom.audit.lines import TranscriptFile
from cleanroom.data import Binding
from cleanroom.drive import ProgressSink
from cleanroom.errors import CleanroomError, DataError
from cleanroom.execute import Executed, RunInputs, execute
from cleanroom.handshake import BUILD, Handshake
from cleanroom.plan import Plan, plan_of
from cleanroom.prepare import PreparationKeys, Prepared, prepare
from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.transcript import Direction, Transcript, TranscriptEntry
from cleanroom.protocols.wire import Progress
from cleanroom.release.document import first_difference
from cleanroom.release.noise import load_noise
from cleanroom.release.terms import WRITER, ReleaseTerms
from cleanroom.transcripts import transcript_lines, verify_transcript

__all__ = ["replay"]

_MALFORMED: Final = (AttributeError, KeyError, TypeError, ValueError)
_QUEUE_FRAMES: Final = 8
"""Frames that may wait for a side: bounds the memory of a replay."""


class _DifferenceError(Exception):
    """The replay and the record part; the report has the fault."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Recorded:
    """What a side's files say of the run beyond its data."""

    seed: bytes = field(repr=False)
    noise: NDArray[np.int64] = field(repr=False)
    keys: PreparationKeys = field(repr=False)
    signatures: tuple[bytes, ...] = field(repr=False)  # this side's over the release, in the order of their making


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    """What the replay of one run works with."""

    agreement: Agreement
    plan: Plan
    terms: ReleaseTerms
    handshake: Handshake
    report: AuditReport
    progress: ProgressSink = field(repr=False)


def replay(
    agreement_path: Path,
    *,
    exposure: Path,
    exposure_data: Binding,
    outcome: Path,
    outcome_data: Binding,
    progress: ProgressSink,
) -> AuditReport:
    """Replays a finished run.

    Args:
        agreement_path: the agreement, of any age; both signatures are beside it.
        exposure: the exposure side's folder, audit.private included.
        exposure_data: where that side's data are.
        outcome: the outcome side's folder, audit.private included.
        outcome_data: where that side's data are.
        progress: told what the replay is doing.

    Returns:
        What was found; it stops at the first message that differs.

    Raises:
        UsageError: there is no folder.
        AgreementError: the agreement is invalid or not signed by both.
        DataError: a side's data cannot be read or do not fit the agreement.
    """
    agreement = load_agreement(agreement_path, any_age=True)
    verify_signatures(agreement_path, agreement)
    plan = plan_of(agreement)
    report = AuditReport()
    report.checked.append("the agreement and both signatures over it")
    folders = {Role.EXPOSURE: exposure, Role.OUTCOME: outcome}
    sides = {role: _folder(role, path, agreement, report) for role, path in folders.items()}
    first, second = sides[Role.EXPOSURE], sides[Role.OUTCOME]
    if first is None or second is None or not (_complete(first) and _complete(second)):
        return report
    fixed = [terms_and_handshake(side, agreement, plan, report) for side in (first, second)]
    if fixed[0] is None or fixed[1] is None:
        return report
    terms, handshake = fixed[0]
    where = first_difference(record_of(first).get("handshake"), record_of(second).get("handshake"), "record.handshake")
    if where is not None:
        report.add(f"{first.path} and {second.path}", where, "differs: these are not the two sides of one run")
        return report
    for side in (first, second):
        check_own_signatures(side, agreement, report)
        check_local(side, agreement, plan, terms, handshake, report)
        check_audit(side, agreement, terms, handshake, report)
    if terms.writer != WRITER:
        what = f"was written by {terms.writer}, here is {WRITER}: its bytes can only be reproduced by that version"
        report.add(first.name("release.parquet"), "", what)
        return report
    run = _Run(agreement=agreement, plan=plan, terms=terms, handshake=handshake, report=report, progress=progress)
    bindings = {Role.EXPOSURE: exposure_data, Role.OUTCOME: outcome_data}
    recorded = [_recorded(side, terms, report) for side in (first, second)]
    if recorded[0] is None or recorded[1] is None:
        return report
    with ExitStack() as kept:
        prepared = [
            kept.enter_context(closing(_prepare(run, side, known, bindings[side.role])))
            for side, known in ((first, recorded[0]), (second, recorded[1]))
        ]
        if all(rows.input_root == handshake.side(rows.role).input_root for rows in prepared):
            _replay(run, _Side(run, first, recorded[0], prepared[0]), _Side(run, second, recorded[1], prepared[1]))
    return report


def _folder(role: Role, path: Path, agreement: Agreement, report: AuditReport) -> RunFolder | None:
    folder = read_folder(path, agreement, report)
    if folder is None:
        return None
    if folder.role is not role:
        report.add(folder.name(LOCAL_FILE), "role", f"this is not the {role.value} side's folder")
    if folder.audit is None and AUDIT_FILE not in folder.files:
        report.add(folder.name(AUDIT_FILE), "", "is missing: a replay needs it")
    return folder


def _complete(folder: RunFolder) -> bool:
    return folder.audit is not None and folder.transcript is not None


def _recorded(folder: RunFolder, terms: ReleaseTerms, report: AuditReport) -> _Recorded | None:
    """Reads what the files record; None, and a fault, if something is not of its form."""
    party = str(folder.local.get("party"))
    source = folder.local.get("record") if folder.release is None else folder.release
    try:
        entries = [entry for entry in _json(source)["signatures"] if entry["party"] == party]
        audit = _json(folder.audit)
        return _Recorded(
            seed=bytes.fromhex(audit["seed"]),
            noise=load_noise(audit["noise"], terms.whole),
            keys=PreparationKeys(
                group_cap=bytes.fromhex(audit["group_cap_key"]),
                shared_identifier=bytes.fromhex(audit["shared_identifier_key"]),
                commitment=bytes.fromhex(audit["commitment_key"]),
            ),
            signatures=tuple(bytes.fromhex(entry["signature"]) for entry in entries),
        )
    except (*_MALFORMED, DataError):
        report.add(str(folder.path), "", "the recorded secrets or signatures are not of their form: no replay")
        return None


def _prepare(run: _Run, folder: RunFolder, recorded: _Recorded, binding: Binding) -> Prepared:
    """Prepares a side's data as it did, and compares with what it committed to and counted."""
    try:
        prepared = prepare(
            run.agreement, run.plan, role=folder.role, binding=binding, keys=recorded.keys, progress=run.progress
        )
    except DataError as error:
        raise DataError(f"the {folder.role.value} side's data: {error}") from None
    counts = {part: dict(values) for part, values in prepared.counts.items()}
    where = first_difference(counts, folder.local.get("counts"), "counts")
    if where is not None:
        run.report.add(folder.name(LOCAL_FILE), where, f"is not what the {folder.role.value} side's data give now")
    if prepared.input_root != run.handshake.side(folder.role).input_root:
        what = "is not the one of the data given now: these are not the rows, or not the keys, of the run"
        run.report.add(folder.name(LOCAL_FILE), "input_root", what)
    return prepared


def _declared_signature(handshake: Handshake, role: Role) -> bytes:
    return b"" if handshake.declarations is None else handshake.declarations.side(role).signature


class _Compared(Transcript):
    """A transcript that is compared with a recorded one as it grows: each direction with the file's lines of it.

    Which of two messages that pass each other a side sees first may change from one build to another: it is no
    deviation, and `read_transcript` has checked that the file's own order is chained.
    """

    def __init__(self, *, role: Role, recorded: TranscriptFile, report: AuditReport) -> None:
        super().__init__(from_exposure=Direction.SENT if role is Role.EXPOSURE else Direction.RECEIVED)
        self._name = recorded.name
        self._report = report
        self._coming: dict[Direction, deque[tuple[int, TranscriptEntry]]] = {way: deque() for way in Direction}
        for number, entry in enumerate(recorded.entries, start=1):
            self._coming[entry.direction].append((number, entry))

    @property
    def next_line(self) -> int:
        """The first line of the file that has not come, or the one behind its end."""
        return min((lines[0][0] for lines in self._coming.values() if lines), default=len(self.entries) + 1)

    def append(self, step: str, direction: Direction, *, length: int, sha256: bytes) -> TranscriptEntry:
        entry = super().append(step, direction, length=length, sha256=sha256)
        message = f"{step} ({direction.value})"
        if not self._coming[direction]:
            self._differs(len(self.entries), f"step: the replay has {message}, the file ends before it")
        line, found = self._coming[direction].popleft()
        if found.step != step:
            self._differs(line, f"step: the replay has {message}, the file {found.step} ({direction.value})")
        for name in ("length", "sha256"):
            if getattr(found, name) != getattr(entry, name):
                self._differs(line, f"{name}: the replay's {message} has another one")
        return entry

    def _differs(self, line: int, what: str) -> NoReturn:
        self._report.add(self._name, f"line {line}", what)
        raise _DifferenceError


def _inputs(run: _Run, folder: RunFolder, recorded: _Recorded, prepared: Prepared, compared: _Compared) -> RunInputs:
    """What a side brought to the run: its data prepared again, all else as it was recorded."""
    own, seal = run.handshake.side(folder.role), _transcript(folder).seal
    peer = run.agreement.parties[1] if folder.role is Role.EXPOSURE else run.agreement.parties[0]
    signatures = iter(recorded.signatures)
    return RunInputs(
        agreement=run.agreement,
        plan=run.plan,
        terms=run.terms.whole,
        prepared=prepared,
        seed=recorded.seed,
        nonce=own.nonce,
        noise=recorded.noise,
        build=str(folder.local.get("build")),
        stored=lambda _root: own.claim if any(own.claim) else None,
        transcript=compared,
        sign=lambda _statement: next(signatures, b""),
        sign_declaration=lambda _digest: _declared_signature(run.handshake, folder.role),
        sign_transcript=lambda _digest: seal.exposure if folder.role is Role.EXPOSURE else seal.outcome,
        verify_transcript=lambda digest, signature: verify_transcript(peer, digest, signature),
        charge=lambda _session: None,
    )


class _Side:
    """One side of a replay: its party, and the frames that wait for it."""

    def __init__(self, run: _Run, folder: RunFolder, recorded: _Recorded, prepared: Prepared) -> None:
        self.folder = folder
        self.file = _transcript(folder)
        self.transcript = _Compared(role=folder.role, recorded=self.file, report=run.report)
        self.waiting: deque[bytes] = deque()
        inputs = _inputs(run, folder, recorded, prepared, self.transcript)
        self.party: Party[Executed] = Party(execute(inputs), self.transcript)

    @property
    def next_line(self) -> str:
        """Where the file goes on."""
        return f"line {self.transcript.next_line}"

    @property
    def done(self) -> bool:
        return self.party.state is PartyState.DONE


def _replay(run: _Run, first: _Side, second: _Side) -> None:
    report = run.report
    for side in (first, second):
        if side.folder.local.get("build") != BUILD:
            report.note(f"{side.folder.name(LOCAL_FILE)}: build: another one ran then; here is {BUILD}")
    active = first
    try:
        while not (first.done and second.done):
            moved = False
            for active, other in ((first, second), (second, first)):
                moved = _step(run, active, other) or moved
            if not moved:
                report.add(active.file.name, active.next_line, "the replay stands still here")
                return
    except _DifferenceError:
        return
    except CleanroomError as error:
        report.add(active.file.name, active.next_line, f"the replay fails: {' '.join(str(error).split())}")
        return
    for side in (first, second):
        if len(side.transcript.entries) != len(side.file.entries):
            report.add(side.file.name, side.next_line, "the replay has ended before it")
        _check_files(run, side)
    report.checked.append("both inputs give the committed roots, both seeds the commitments")
    report.checked.append(
        f"{len(first.transcript.entries)} messages replayed to the last byte, and the files of both sides"
    )


def _step(run: _Run, side: _Side, other: _Side) -> bool:
    """Lets a side go on by one event; False if it cannot."""
    party = side.party
    moved = False
    if party.state is PartyState.WAITING and side.waiting:
        party.feed(side.waiting.popleft())
        moved = True
    if party.state is not PartyState.RUNNING or len(other.waiting) >= _QUEUE_FRAMES:
        return moved
    event = party.advance()
    if isinstance(event, Outgoing):
        other.waiting.append(event.frame)
        run.progress(event.message.step, 0, 0)
    elif isinstance(event, Progress):
        run.progress(event.step, event.done, event.total)
    return True


def _check_files(run: _Run, side: _Side) -> None:
    """Compares the replay's files with the recorded ones, byte for byte."""
    executed, folder = side.party.result, side.folder
    if executed.signed is None or executed.seal is None:
        run.report.add(folder.name(LOCAL_FILE), "", "the replay ends with a stored release: nothing was executed")
        return
    files = dict(executed.signed.files)
    in_order = side.file.again()  # the same messages, in the order in which the side saw them then
    files["transcript.jsonl"] = transcript_lines(in_order, executed.seal, exposure=folder.role is Role.EXPOSURE)
    for name, data in files.items():
        if folder.files.get(name) != data:
            run.report.add(folder.name(name), "", "is not what the replay writes")
    where = first_difference(dict(executed.signed.record), folder.local.get("record"), "record")
    if where is not None:
        run.report.add(folder.name(LOCAL_FILE), where, "is not what the replay gives")


def _transcript(folder: RunFolder) -> TranscriptFile:
    if folder.transcript is None:
        raise AssertionError("checked before")
    return folder.transcript


def _json(value: object) -> dict[str, Any]:  # Any: a parsed JSON object
    if not isinstance(value, dict):
        raise TypeError("a JSON object expected")
    return value
