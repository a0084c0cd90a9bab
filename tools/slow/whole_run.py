"""A whole run, from the hellos to the seal: both sides' inputs and seeds in, every frame out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tools.slow import ed25519, join, opening, session, transcript
from tools.slow.frames import Sent
from tools.slow.join import Exposure, Outcome
from tools.slow.streams import Streams
from tools.slow.transcript import Frame, numbered

__all__ = [
    "Exposure",
    "Outcome",
    "Parameters",
    "Side",
    "Whole",
    "declaration_statement",
    "record_statement",
    "run",
]

_NAMES: Final = ("exposure", "outcome")
_SIDES: Final = (0, 1)
_VERDICTS: Final = ("complete", "warning", "failure")
Messages: TypeAlias = list[tuple[int, Sent]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What both sides know."""

    agreement_hash: bytes
    profile: str  # "ecdh", "kkrt" or "vole"
    rows_exposure: int  # padded
    rows_outcome: int
    class_position: Sequence[int]  # of every column
    weight_bound: int
    terms: opening.Terms
    declares: bool  # whether both declare what their own data let through


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What each side brings beside its rows."""

    seed: bytes
    nonce: bytes
    input_root: bytes
    build: str
    signing_key: bytes
    noise: Sequence[Sequence[int]]  # groups × columns
    verdict: str = "complete"
    eligible: Sequence[bool] = ()  # a declared group each


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a run gives."""

    session_id: bytes
    frames: list[Frame]
    opened: opening.Opened
    record: dict[str, object]  # of the opening: what both sides sign with a sole recipient
    sealed: bytes  # the digest under the seal


def run(parameters: Parameters, sides: tuple[Side, Side], exposure: Exposure, outcome: Outcome) -> Whole:
    """Runs both sides; the release has one recipient."""
    terms = parameters.terms
    first, second = (_hello(parameters, own, 1 + place) for place, own in enumerate(sides))
    session_id = session.session_id((first, second), (sides[0].nonce, sides[1].nonce))
    sent: Messages = [(0, Sent("session.hello", first.encode())), (1, Sent("session.hello", second.encode()))]
    sent += [(side, Sent("session.nonce", sides[side].nonce + bytes(32))) for side in _SIDES]
    chosen = list(range(terms.groups))
    declared: dict[str, object] = {}
    if parameters.declares:
        chosen = [group for group in chosen if all(own.eligible[group] for own in sides)]
        for side, own in enumerate(sides):
            body = bytes([_VERDICTS.index(own.verdict)]) + opening.packed([int(one) for one in own.eligible])
            statement = declaration_statement(parameters.agreement_hash, session_id, side, body)
            signature = ed25519.sign(own.signing_key, ed25519.signed_bytes("declaration", statement))
            sent.append((side, Sent("session.declaration", body + signature)))
            declared[_NAMES[side]] = {
                "completeness": own.verdict,
                "declaration": body.hex(),
                "signature": signature.hex(),
            }
    streams = (
        Streams(seed=sides[0].seed, session_id=session_id),
        Streams(seed=sides[1].seed, session_id=session_id),
    )
    shape = join.Shape(
        profile=parameters.profile,
        rows_exposure=parameters.rows_exposure,
        rows_outcome=parameters.rows_outcome,
        groups=terms.groups,
        class_position=parameters.class_position,
        weight_bound=parameters.weight_bound,
    )
    joined = join.run(shape, streams, exposure, outcome)
    messages, shares, transfers = joined.sent, joined.shares, joined.transfers
    frames = numbered(sent + messages)
    digest = transcript.digest(frames)
    frames += numbered([(side, Sent("session.confirm", digest)) for side in _SIDES], frames)
    opened = opening.run(
        terms=terms,
        shares=[[table[group] for group in chosen] for table in shares],
        noises=[[own.noise[group] for group in chosen] for own in sides],
        streams=streams,
        transfers=transfers,
    )
    frames += numbered(opened.sent, frames)
    record = _record(parameters, sides, session_id, opened) | ({"declarations": declared} if declared else {})
    frames = _signed(frames, sides, "release.signature", "release", record_statement(record))
    sealed = transcript.digest(frames)
    frames = _signed(frames, sides, "session.seal", "transcript", sealed)
    return Whole(session_id=session_id, frames=frames, opened=opened, record=record, sealed=sealed)


def declaration_statement(agreement_hash: bytes, session_id: bytes, side: int, body: bytes) -> bytes:
    """What a side signs for its declaration."""
    role = _NAMES[side].encode().ljust(8, b"\0")
    return hashlib.sha256(b"cleanroom/declaration/v1" + agreement_hash + session_id + role + body).digest()


def record_statement(record: Mapping[str, object]) -> bytes:
    """What both sides sign of an opening with a sole recipient."""
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return b"cleanroom/release/signature/v1\x01" + hashlib.sha256(canonical).digest()


def _hello(parameters: Parameters, own: Side, role: int) -> session.Hello:
    return session.Hello(
        role=role,
        profile={"ecdh": 1, "kkrt": 2, "vole": 3}[parameters.profile],
        rows_exposure=parameters.rows_exposure,
        rows_outcome=parameters.rows_outcome,
        columns=len(parameters.class_position),
        groups=parameters.terms.groups,
        agreement_hash=parameters.agreement_hash,
        terms_digest=parameters.terms.digest(),
        seed_commitment=session.seed_commitment(own.seed),
        nonce_commitment=session.nonce_commitment(own.nonce),
        input_root=own.input_root,
        build=session.build_digest(own.build),
    )


def _signed(frames: list[Frame], sides: tuple[Side, Side], step: str, purpose: str, statement: bytes) -> list[Frame]:
    signed = ed25519.signed_bytes(purpose, statement)
    messages = [(side, Sent(step, ed25519.sign(own.signing_key, signed))) for side, own in enumerate(sides)]
    return frames + numbered(messages, frames)


def _record(
    parameters: Parameters, sides: tuple[Side, Side], session_id: bytes, opened: opening.Opened
) -> dict[str, object]:
    """What both sides know of the run at its end."""
    handshake = {
        name: {
            "input_root": own.input_root.hex(),
            "seed_commitment": session.seed_commitment(own.seed).hex(),
            "build": session.build_digest(own.build).hex(),
            "nonce": own.nonce.hex(),
            "claim": bytes(32).hex(),
        }
        for name, own in zip(_NAMES, sides, strict=True)
    }
    return {
        "agreement": parameters.agreement_hash.hex(),
        "session": session_id.hex(),
        "handshake": handshake,
        "terms": parameters.terms.digest().hex(),
        "writer": parameters.terms.writer,
        "commitments": {
            name: hashlib.sha256(data).hexdigest() for name, data in zip(_NAMES, opened.commitments, strict=True)
        },
        "passed": opening.packed([int(cell) for row in opened.passed for cell in row]).hex(),
    }
