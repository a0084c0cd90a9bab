"""A session of nothing but itself from fixed seeds: handshake, confirmation, seal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cleanroom.agreement.model import PartyEntry, Role
from cleanroom.identity import signed_bytes
from cleanroom.protocols.session import (
    Hello,
    Seal,
    Session,
    build_digest,
    confirm,
    handshake,
    nonce_commitment,
    seal_transcript,
    seed_commitment,
)
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import Protocol
from cleanroom.transcripts import TRANSCRIPT_PURPOSE, verify_transcript
from cleanroom.vectors.joins import frames_hold
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["session_run", "session_scene"]

_NAMES = {Role.EXPOSURE: "media", Role.OUTCOME: "shop"}


def session_scene(content: Any) -> Scene[tuple[Session, bytes, Seal], tuple[Session, bytes, Seal]]:
    """Both sides; each verifies the other's signature with its certificate."""
    return lambda: _side(content, Role.EXPOSURE), lambda: _side(content, Role.OUTCOME)


def _side(content: Any, role: Role) -> Side[tuple[Session, bytes, Seal]]:
    transcript = Transcript(from_exposure=Direction.SENT if role is Role.EXPOSURE else Direction.RECEIVED)
    return Side(protocol=_whole(content, role, transcript), transcript=transcript)


def hello_of(content: Any, role: Role) -> Hello:
    """One side's hello."""
    name = role.value
    return Hello(
        exposure=role is Role.EXPOSURE,
        **content["public"],
        agreement_hash=bytes.fromhex(content["agreement_hash"]),
        terms_digest=bytes.fromhex(content["terms_digest"]),
        seed_commitment=seed_commitment(bytes.fromhex(content["seeds"][name])),
        nonce_commitment=nonce_commitment(bytes.fromhex(content["nonces"][name])),
        input_root=bytes.fromhex(content["input_roots"][name]),
        build=build_digest(content["builds"][name]),
    )


def _whole(content: Any, role: Role, transcript: Transcript) -> Protocol[tuple[Session, bytes, Seal]]:
    exposure = role is Role.EXPOSURE
    other = Role.OUTCOME if exposure else Role.EXPOSURE
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(content["signing_keys"][role.value]))
    pem = content["certificates"][other.value].encode()
    peer = PartyEntry(name=_NAMES[other], role=other, certificate_pem=pem, fingerprint=bytes(32))
    nonce = bytes.fromhex(content["nonces"][role.value])
    session = yield from handshake(own=hello_of(content, role), nonce=nonce, stored=lambda root: None)
    confirmed = yield from confirm(transcript=transcript, exposure=exposure)
    seal = yield from seal_transcript(
        transcript=transcript,
        exposure=exposure,
        sign=lambda digest: key.sign(signed_bytes(TRANSCRIPT_PURPOSE, digest)),
        verify=lambda digest, signature: verify_transcript(peer, digest, signature),
    )
    return session, confirmed, seal


def session_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Hellos, session id, both digests, the chain, and every frame."""
    for role in Role:
        yield f"hello of the {role.value} side", hello_of(content, role).encode().hex() == content["hellos"][role.value]
    run = run_scene(session_scene(content))
    yield from frames_hold(content, run.frames)
    frames = [entry["frame"] for entry in content["frames"] if entry["from"] == "exposure"]
    yield "frames", [frame.hex() for sender, _, frame in run.frames if sender == 0] == frames
    for session, confirmed, seal in (run.first, run.second):
        yield "session id", session.id.hex() == content["session_id"]
        yield "confirmed digest", confirmed.hex() == content["confirmed"]
        yield "sealed digest", seal.digest.hex() == content["sealed"]
    again = Transcript(from_exposure=Direction.SENT)
    for entry, link in zip(content["frames"], content["chain"], strict=True):
        direction = Direction.SENT if entry["from"] == "exposure" else Direction.RECEIVED
        found = again.record(entry["step"], direction, bytes.fromhex(entry["frame"]))
        yield f"chain up to {entry['step']} of the {entry['from']} side", found.chain.hex() == link
