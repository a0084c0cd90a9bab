"""One party's whole run as one protocol: handshake, join, charge, opening, signatures. No files, no connection.

What touches the world comes in as values or as one callback, so that an audit can replay a run from recorded values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Noise, Profile, Role
from cleanroom.attribution.rows import Lookups
from cleanroom.declared import Declaration, Declarations, asked, check_may_go_on, declare
from cleanroom.handshake import Handshake, hello_of
from cleanroom.kept import KeptLookups
from cleanroom.plan import Plan
from cleanroom.prepare import Prepared
from cleanroom.protocols import buckets, comparison, conjunction, private_join
from cleanroom.protocols.private_join import JoinOutput, JoinParameters, Oprf
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.session import (
    Hello,
    Seal,
    Session,
    StoredSession,
    Verify,
    build_digest,
    confirm,
    handshake,
    seal_transcript,
    seed_commitment,
)
from cleanroom.protocols.transcript import Transcript
from cleanroom.protocols.wire import Protocol
from cleanroom.release import opening as release_opening
from cleanroom.release.opening import Opening
from cleanroom.release.signatures import Sign, SignedRelease, sign_release
from cleanroom.release.terms import ReleaseTerms
from cleanroom.release.verdicts import Compare, Conjoin

__all__ = ["Executed", "RunInputs", "execute", "join_parameters"]

_OPRFS = {Profile.ECDH: Oprf.ECDH, Profile.KKRT: Oprf.KKRT, Profile.VOLE: Oprf.VOLE}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunInputs:
    """All that one side brings to a run."""

    agreement: Agreement
    plan: Plan
    terms: ReleaseTerms
    prepared: Prepared
    seed: bytes = field(repr=False)  # 32 bytes, fresh for every executed run
    nonce: bytes = field(repr=False)  # 32 bytes
    noise: NDArray[np.int64] = field(repr=False)  # groups × columns, this side's
    build: str  # what runs here; a replay gives the recorded one
    stored: StoredSession = field(repr=False)
    transcript: Transcript = field(repr=False)
    sign: Sign = field(repr=False)  # the release, with this side's identity
    sign_declaration: Sign = field(repr=False)
    sign_transcript: Sign = field(repr=False)
    verify_transcript: Verify = field(repr=False)
    charge: Callable[[Session], None] = field(repr=False)
    """Called once, after the join and before anything is opened; must be durable when it returns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Executed:
    """What a run gave one side. All but the session are None when a stored release was agreed on instead."""

    session: Session
    terms: ReleaseTerms | None
    """Those of the release, narrowed to the eligible groups."""
    opening: Opening | None
    signed: SignedRelease | None
    seal: Seal | None


def join_parameters(agreement: Agreement, plan: Plan) -> JoinParameters:
    """The join's public shape, a function of the agreement."""
    return JoinParameters(
        oprf=_OPRFS[agreement.protocol.profile],
        rows_exposure=agreement.protocol.rows_exposure,
        rows_outcome=agreement.protocol.rows_outcome,
        groups=plan.groups,
        class_positions=plan.class_positions,
        weight_bound=plan.unit,
        targets_per_row=plan.targets_per_row(agreement.release.max_groups_per_person),
        bucket_rows=buckets.BUCKET_ROWS,
    )


def execute(inputs: RunInputs) -> Protocol[Executed]:
    """Runs one side from the first message to the last.

    Raises:
        PeerError: the peer did something that the protocol does not allow.
        AgreementError: the peer runs another agreement.
        BudgetError: `charge` refused, the other side's data are not complete, or no group is eligible; nothing was
            opened.
        DataError: this side's data are not complete, and the agreement stops such runs.
    """
    exposure = inputs.prepared.role is Role.EXPOSURE
    session = yield from handshake(own=_hello(inputs), nonce=inputs.nonce, stored=inputs.stored)
    if session.stored is not None:
        return Executed(session=session, terms=None, opening=None, signed=None, seal=None)
    declared = yield from _declare(inputs, session)
    terms = inputs.terms.narrowed(inputs.agreement, None if declared is None else declared.eligible)
    streams = Streams(seed=inputs.seed, session_id=session.id)
    joined = yield from _join(inputs, streams)
    yield from confirm(transcript=inputs.transcript, exposure=exposure)
    inputs.charge(session)
    open_release = release_opening.exposure if exposure else release_opening.outcome
    opened = yield from open_release(
        terms=terms,
        shares=inputs.plan.combined(joined.shares)[terms.chosen],
        noise=inputs.noise[terms.chosen],
        streams=streams,
        compare=_comparison(joined, exposure) if terms.noise is Noise.NONE else None,
        conjoin=_conjunction(joined, exposure) if terms.chains else None,
    )
    signed = yield from sign_release(
        inputs.prepared.role,
        inputs.agreement,
        inputs.plan,
        terms,
        opened,
        handshake=Handshake.of(session, inputs.prepared.role, declared),
        sign=inputs.sign,
    )
    seal = yield from seal_transcript(
        transcript=inputs.transcript, exposure=exposure, sign=inputs.sign_transcript, verify=inputs.verify_transcript
    )
    return Executed(session=session, terms=terms, opening=opened, signed=signed, seal=seal)


def _declare(inputs: RunInputs, session: Session) -> Protocol[Declarations | None]:
    """What both sides say of their data, where the agreement asks; ends a run that may not go on."""
    if not asked(inputs.agreement):
        return None
    found = inputs.prepared.declared
    both = yield from declare(
        inputs.agreement,
        role=inputs.prepared.role,
        session_id=session.id,
        own=Declaration(verdict=found.verdict, eligible=found.eligible, signature=b""),
        sign=inputs.sign_declaration,
    )
    check_may_go_on(inputs.agreement, inputs.prepared.role, both)
    return both


def _hello(inputs: RunInputs) -> Hello:
    return hello_of(
        inputs.agreement,
        inputs.plan,
        role=inputs.prepared.role,
        terms_digest=inputs.terms.digest,
        seed_commitment=seed_commitment(inputs.seed),
        nonce=inputs.nonce,
        input_root=inputs.prepared.input_root,
        build=build_digest(inputs.build),
    )


def _join(inputs: RunInputs, streams: Streams) -> Protocol[JoinOutput]:
    parameters = join_parameters(inputs.agreement, inputs.plan)
    rows = inputs.prepared.rows
    if isinstance(rows, Lookups | KeptLookups):
        return private_join.exposure(parameters=parameters, lookups=rows, streams=streams)
    return private_join.outcome(parameters=parameters, rows=rows, streams=streams)


def _comparison(joined: JoinOutput, exposure: bool) -> Compare:
    """This side's half of the secure comparison; the exposure side is the sender of its transfers."""
    if exposure:
        return lambda shares, threshold: comparison.sender(joined.ot_sender, shares, threshold)
    return lambda shares, threshold: comparison.receiver(joined.ot_receiver, shares, threshold)


def _conjunction(joined: JoinOutput, exposure: bool) -> Conjoin:
    """This side's half of the conjunction, on the same transfers."""
    if exposure:
        return lambda bits: conjunction.sender(joined.ot_sender, bits)
    return lambda bits: conjunction.receiver(joined.ot_receiver, bits)
