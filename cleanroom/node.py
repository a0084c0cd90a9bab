"""The party node: it owns the connection, the clock, the seeds and the files; all else is pure.

The order of a run is the order of its checks: agreement and signatures, own data, budget, and only then a connection.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd

from cleanroom.account import AUDIT_FILE, LOCAL_FILE, account_bytes, audit_account, local_account, signed_account
from cleanroom.agreement import Agreement, PartyEntry, Role, load_agreement, verify_signatures
from cleanroom.data import Binding
from cleanroom.declared import DECLARATION_PURPOSE
from cleanroom.drive import ProgressSink, drive, silent
from cleanroom.errors import AgreementError, CleanroomError, UsageError
from cleanroom.execute import Executed, RunInputs, execute
from cleanroom.handshake import BUILD
from cleanroom.identity import Certificate, Identity, load_identity, read_certificate
from cleanroom.ledger import Ledger, Run
from cleanroom.link import Link
from cleanroom.plan import Plan, plan_of
from cleanroom.prepare import PreparationKeys, Prepared, prepare
from cleanroom.protocols.party import Party
from cleanroom.protocols.seeds import fresh_seed
from cleanroom.protocols.session import Session
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.release.accounting import privacy_cost
from cleanroom.release.noise import draw_noise, record_noise
from cleanroom.release.signatures import SIGNATURE_PURPOSE
from cleanroom.release.terms import terms_of
from cleanroom.report import RunFiles, render_report
from cleanroom.transcripts import TRANSCRIPT_PURPOSE, transcript_lines, verify_transcript

__all__ = ["STEP_TIMEOUT", "Finished", "Side", "run", "side_of"]

STEP_TIMEOUT: Final = 120.0
"""Seconds without a sign of life after which the peer counts as gone."""

_STORED_BYTES: Final = 256 << 10
_STORED_CELL_BYTES: Final = 4 << 10
"""Room in the ledger for a finished run: two to three times what its files take, per run and per opened cell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """One party of a signed agreement, ready to read its data: nothing has left, nothing was read."""

    agreement: Agreement
    plan: Plan
    entry: PartyEntry
    peer: PartyEntry
    identity: Identity

    @property
    def peer_certificate(self) -> Certificate:
        """The certificate that the agreement pins for the other side."""
        return read_certificate(self.peer.certificate_pem, where=f"parties.{self.peer.name}.certificate")

    def sign_account(self, purpose: str, message: bytes) -> bytes:
        """Signs one of this side's own accounts."""
        return self.identity.sign(purpose=purpose, message=message)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finished:
    """A run that came to its end at one side.

    `files` are the bytes of the files of a finished run, by name; `repeated` says that they are those of an earlier
    run of the same agreement on the same inputs, and that nothing was executed or spent.
    """

    files: Mapping[str, bytes] = field(repr=False)
    repeated: bool

    @property
    def release(self) -> pd.DataFrame | None:
        """The released table (`group, metric, value, std_error, status`); None at a side that is not a recipient."""
        table = self.files.get("release.parquet")
        return None if table is None else pd.read_parquet(io.BytesIO(table))


def side_of(agreement_path: Path, *, party: str, identity: Path | Identity, passphrase: bytes | None = None) -> Side:
    """Loads an agreement as one of its parties, and checks that both signed it.

    Args:
        agreement_path: the agreement; the signatures are beside it.
        party: this side's name in it.
        identity: the folder of this side's identity, or the identity.
        passphrase: of the key in that folder, if it is encrypted.

    Raises:
        AgreementError: the agreement is invalid, expired, or not signed by both; the identity is not the party's.
        UsageError: the agreement has no such party.
    """
    agreement = load_agreement(agreement_path)
    entry = agreement.party(party)
    if entry is None:
        names = " and ".join(other.name for other in agreement.parties)
        raise UsageError(f"--party: the agreement's parties are {names}")
    if isinstance(identity, Path):
        identity = load_identity(identity, fingerprint=entry.fingerprint, passphrase=passphrase)
    elif identity.fingerprint != entry.fingerprint:
        raise AgreementError(f"the identity {identity.name} is not the one that the agreement names for {party}")
    verify_signatures(agreement_path, agreement)
    peer = next(other for other in agreement.parties if other.name != party)
    return Side(agreement=agreement, plan=plan_of(agreement), entry=entry, peer=peer, identity=identity)


def run(
    side: Side,
    binding: Binding,
    open_link: Callable[[Side], Link],
    *,
    progress: ProgressSink = silent,
    step_timeout: float = STEP_TIMEOUT,
) -> Finished:
    """Runs one side to its end.

    Args:
        side: from `side_of`.
        binding: where this side's data are.
        open_link: connects to the peer; called after everything that can fail without it.
        progress: told what the run is doing; by default nobody is.
        step_timeout: seconds of silence after which the peer counts as gone.

    Returns:
        The finished run; nothing has been written yet but the ledger.

    Raises:
        DataError: this side's data do not fit the agreement.
        BudgetError: the budget or the release policy does not allow the run.
        PeerError: the peer or the connection failed.
    """
    cost = privacy_cost(side.agreement, side.plan)
    keys = PreparationKeys.of(side.identity, side.agreement)
    prepared = prepare(side.agreement, side.plan, role=side.entry.role, binding=binding, keys=keys, progress=progress)
    with closing(prepared), Ledger(side.identity.folder) as ledger:
        ledger.check(side.agreement, cost, side.peer, own_root=prepared.input_root, now=datetime.now(UTC))
        ledger.reserve(_STORED_BYTES + _STORED_CELL_BYTES * side.plan.groups * len(side.plan.columns))

        def stored(peer_root: bytes) -> bytes | None:
            found = ledger.stored(side.agreement, side.peer, own_root=prepared.input_root, peer_root=peer_root)
            return None if found is None else found.session_id

        def charge(session: Session) -> None:
            ledger.charge(side.agreement, cost, side.peer, run=_run_of(session), now=datetime.now(UTC))

        transcript = Transcript(from_exposure=Direction.SENT if _is_exposure(prepared) else Direction.RECEIVED)
        terms = terms_of(side.agreement, side.plan)
        inputs = RunInputs(
            agreement=side.agreement,
            plan=side.plan,
            terms=terms,
            prepared=prepared,
            seed=fresh_seed(),
            nonce=secrets.token_bytes(32),
            noise=draw_noise(terms),
            build=BUILD,
            stored=stored,
            transcript=transcript,
            sign=lambda statement: side.identity.sign(purpose=SIGNATURE_PURPOSE, message=statement),
            sign_declaration=lambda digest: side.identity.sign(purpose=DECLARATION_PURPOSE, message=digest),
            sign_transcript=lambda digest: side.identity.sign(purpose=TRANSCRIPT_PURPOSE, message=digest),
            verify_transcript=lambda digest, signature: verify_transcript(side.peer, digest, signature),
            charge=charge,
        )
        progress("connect", 0, 0)
        with open_link(side) as link:
            executed = drive(Party(execute(inputs), transcript), link, step_timeout=step_timeout, progress=progress)
        return _finish(side, keys, inputs, executed, ledger)


def _is_exposure(prepared: Prepared) -> bool:
    return prepared.role is Role.EXPOSURE


def _run_of(session: Session) -> Run:
    return Run(session_id=session.id, own_root=session.own.input_root, peer_root=session.peer.input_root)


def _finish(side: Side, keys: PreparationKeys, inputs: RunInputs, executed: Executed, ledger: Ledger) -> Finished:
    session = executed.session
    terms = executed.terms
    if executed.signed is None or executed.opening is None or executed.seal is None or terms is None:
        run_of = _run_of(session)
        found = ledger.stored(side.agreement, side.peer, own_root=run_of.own_root, peer_root=run_of.peer_root)
        if found is None:
            raise CleanroomError("the ledger lost the stored release while the run was on")
        return Finished(files=_with_report(found.files), repeated=True)
    files = dict(executed.signed.files)
    files["transcript.jsonl"] = transcript_lines(
        inputs.transcript, executed.seal, exposure=_is_exposure(inputs.prepared)
    )
    local = local_account(
        side.agreement,
        side.plan,
        prepared=inputs.prepared,
        session=session,
        terms=terms,
        opening=executed.opening,
        record=executed.signed.record,
        transcript=files["transcript.jsonl"],
        build=inputs.build,
    )
    report = _report({**files, LOCAL_FILE: account_bytes(local)})
    if report is not None:
        local["report"] = hashlib.sha256(report).hexdigest()
    secrets_of_run = audit_account(
        side.agreement,
        role=side.entry.role,
        session=session,
        seed=inputs.seed,
        noise=record_noise(inputs.noise),
        keys=keys,
    )
    files[LOCAL_FILE] = signed_account(LOCAL_FILE, local, side.sign_account)
    files[AUDIT_FILE] = signed_account(AUDIT_FILE, secrets_of_run, side.sign_account)
    ledger.store(side.agreement, side.peer, run=_run_of(session), files=files, now=datetime.now(UTC))
    return Finished(files=_with_report(files), repeated=False)


def _with_report(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Adds the report, which follows from the other files and is not stored."""
    report = _report(files)
    return files if report is None else {**files, "report.html": report}


def _report(files: Mapping[str, bytes]) -> bytes | None:
    """The report of a recipient's files; the other side has none."""
    return render_report([RunFiles.of(files)]).encode() if "release.json" in files else None
