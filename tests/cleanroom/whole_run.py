"""Two sides of a whole run in one process: handshake, join, opening, signatures, with data made up from keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.completeness import Verdict
from cleanroom.agreement.model import Agreement, Noise, Profile, Role
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.declared import DECLARATION_PURPOSE, Declared
from cleanroom.errors import AgreementError, PeerError
from cleanroom.execute import Executed, RunInputs, execute
from cleanroom.identity import read_certificate, signed_bytes
from cleanroom.plan import plan_of
from cleanroom.prepare import Prepared
from cleanroom.protocols.session import Session
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.release.signatures import SIGNATURE_PURPOSE
from cleanroom.release.terms import terms_of
from tests.cleanroom.release.test_document import CERTIFICATES, KEYS
from tests.cleanroom.release.worlds import BUYERS, MATCHED, ORDERS, make_agreement
from tests.harness import Run, Tamper, run_pair

GROUPS: Final = 2
COLUMNS: Final = 3
MIN_PEOPLE: Final = 20
Noises = tuple[NDArray[np.int64], NDArray[np.int64]]
NO_NOISE: Final[Noises] = (np.zeros((GROUPS, COLUMNS), np.int64), np.zeros((GROUPS, COLUMNS), np.int64))
BUILD: Final = "test build"
SEEDS: Final = (b"e" * 32, b"o" * 32)
NONCES: Final = (b"1" * 32, b"2" * 32)
ROOTS: Final = {Role.EXPOSURE: b"\xe1" * 32, Role.OUTCOME: b"\x0a" * 32}


def agreement_of(noise: Noise = Noise.GAUSSIAN, recipients: tuple[str, ...] = ("media", "shop")) -> Agreement:
    agreement = make_agreement(
        metrics=(MATCHED, BUYERS, ORDERS), groups=GROUPS, noise=noise, min_people=MIN_PEOPLE, recipients=recipients
    )
    entries = [replace(entry, certificate_pem=CERTIFICATES[entry.name]) for entry in agreement.parties]
    return replace(agreement, parties=(entries[0], entries[1]))


def row_keys(people: range, kind: str) -> NDArray[np.uint8]:
    data = b"".join(hashlib.sha256(f"{kind} {person}".encode()).digest()[:16] for person in people)
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, 16)


def lookups(people: range) -> Lookups:
    """Everybody is in group 0, and every third person in group 1 too; the window's row has the same weights."""
    keys = np.concatenate([row_keys(people, "member"), row_keys(people, "window")])
    targets = [[0, 1] if person % 3 == 0 else [0] for person in people]
    flat = [target for row in targets for target in row]
    flat += [GROUPS + target for row in targets for target in row]
    counts = [len(row) for row in targets] * 2
    return Lookups(
        keys=keys,
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        target=np.array(flat, dtype=np.int32),
        weight=np.ones(len(flat), dtype=np.int64),
    )


def rows(people: range) -> Rows:
    """Everybody is a member; everybody bought, once or twice."""
    keys = np.concatenate([row_keys(people, "member"), row_keys(people, "window")])
    values = [[1, 0, 0] for _ in people] + [[0, 1, 1 + person % 2] for person in people]
    return Rows(keys=keys, values=np.array(values, dtype=np.int64).reshape(-1, COLUMNS))


@dataclass
class Told:
    """What the two sides told the world: (side, what, frames of the run's transcript at that time)."""

    events: list[tuple[str, str, int]] = field(default_factory=list)


def inputs(
    role: Role,
    agreement: Agreement,
    data: Lookups | Rows,
    *,
    told: Told,
    noise: NDArray[np.int64],
    seed: bytes,
    nonce: bytes,
    stored: Callable[[bytes], bytes | None] = lambda root: None,
    refuse: Exception | None = None,
    declared: Declared | None = None,
) -> RunInputs:
    plan = plan_of(agreement)
    exposure = role is Role.EXPOSURE
    transcript = Transcript(from_exposure=Direction.SENT if exposure else Direction.RECEIVED)
    own, peer = ("media", "shop") if exposure else ("shop", "media")

    def charge(session: Session) -> None:
        told.events.append((own, "charge", len(transcript.entries)))
        if refuse is not None:
            raise refuse

    def verify(digest: bytes, signature: bytes) -> None:
        try:
            read_certificate(CERTIFICATES[peer], where=peer).verify(
                purpose="transcript", message=digest, signature=signature
            )
        except AgreementError:
            raise PeerError("another transcript") from None

    if declared is None:
        eligible = (True,) * len(agreement.exposure.groups)
        declared = Declared(verdict=Verdict.COMPLETE, eligible=eligible, completeness=None)
    return RunInputs(
        agreement=agreement,
        plan=plan,
        terms=terms_of(agreement, plan),
        build=BUILD,
        prepared=Prepared(role=role, rows=data, input_root=ROOTS[role], counts={}, declared=declared),
        seed=seed,
        nonce=nonce,
        noise=noise,
        stored=stored,
        transcript=transcript,
        sign=lambda statement: KEYS[own].sign(signed_bytes(SIGNATURE_PURPOSE, statement)),
        sign_declaration=lambda digest: KEYS[own].sign(signed_bytes(DECLARATION_PURPOSE, digest)),
        sign_transcript=lambda digest: KEYS[own].sign(signed_bytes("transcript", digest)),
        verify_transcript=verify,
        charge=charge,
    )


def whole_run(
    *,
    noise: Noise = Noise.GAUSSIAN,
    profile: Profile = Profile.ECDH,
    recipients: tuple[str, ...] = ("media", "shop"),
    exposure: Lookups | None = None,
    outcome: Rows | None = None,
    noises: Noises = NO_NOISE,
    tamper: Tamper | None = None,
    told: Told | None = None,
    **change: Any,
) -> Run[Executed, Executed]:
    """Runs both sides; `change` goes to both sides' inputs."""
    agreement = agreement_of(noise, recipients)
    agreement = replace(agreement, protocol=replace(agreement.protocol, profile=profile))
    shared = {"told": Told() if told is None else told, **change}
    first = inputs(
        Role.EXPOSURE,
        agreement,
        lookups(range(60)) if exposure is None else exposure,
        noise=noises[0],
        seed=SEEDS[0],
        nonce=NONCES[0],
        **shared,
    )
    second = inputs(
        Role.OUTCOME,
        agreement,
        rows(range(30, 90)) if outcome is None else outcome,
        noise=noises[1],
        seed=SEEDS[1],
        nonce=NONCES[1],
        **shared,
    )
    return run_pair(execute(first), execute(second), tamper, (first.transcript, second.transcript))
