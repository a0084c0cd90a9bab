"""The handshake: both sides agree that they run the same thing, commit to their inputs and seeds, and name the session.

Functionality: both learn a session id that neither could choose, and that agreement, role, profile, sizes and protocol
version match. Each side binds itself to its seed, its nonce, its prepared input and its build before it sees the
other's nonce, so that neither can draw again until it likes the session's bins.
Model: malicious for the session id, in the random-oracle model; a side can only stop instead of opening its nonce. A
peer that differs in any public field is refused before any data-dependent message.
Leakage: the two commitments (an unchanged input under one agreement gives an unchanged root; see LEAKAGE), whether
the other side's build changed, and whether a stored release for exactly these inputs exists.
Rounds: 2. Bytes: 2 × (HELLO + NONCE) frames, fixed.
Source: style of TLS 1.3's transcript binding (RFC 8446 section 4.4.1); commitments are SHA-256 of 32 uniform bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from cleanroom.errors import AgreementError, PeerError
from cleanroom.protocols.traffic import Volume, messages
from cleanroom.protocols.transcript import Transcript
from cleanroom.protocols.wire import Message, Protocol, ProtocolId, Send, expect

__all__ = [
    "HELLO_BYTES",
    "MESSAGES",
    "Contribution",
    "Hello",
    "Seal",
    "Session",
    "StoredSession",
    "Verify",
    "build_digest",
    "confirm",
    "handshake",
    "nonce_commitment",
    "seal_transcript",
    "seed_commitment",
    "session_id",
    "volume",
]

PROTOCOL_VERSION: Final = 2
NONCE_BYTES: Final = 32
_DIGEST_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_HELLO: Final = struct.Struct("<HBBQQII32s32s32s32s32s32s")
HELLO_BYTES: Final = _HELLO.size

Verify: TypeAlias = Callable[[bytes, bytes], None]
"""(digest, signature): raises PeerError if the signature is not the peer's over the digest."""
StoredSession: TypeAlias = Callable[[bytes], bytes | None]

_HELLO_MESSAGE: Final = Message(protocol=ProtocolId.SESSION, type=1, step="session.hello")
_NONCE_MESSAGE: Final = Message(protocol=ProtocolId.SESSION, type=2, step="session.nonce")
_CONFIRM_MESSAGE: Final = Message(protocol=ProtocolId.SESSION, type=3, step="session.confirm")
_SEAL_MESSAGE: Final = Message(protocol=ProtocolId.SESSION, type=5, step="session.seal")
MESSAGES: Final = {
    message.step: message for message in (_HELLO_MESSAGE, _NONCE_MESSAGE, _CONFIRM_MESSAGE, _SEAL_MESSAGE)
}
"""The messages of this module by their steps, for whoever checks a transcript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The public shape of a run and one side's commitments."""

    exposure: bool
    profile: int
    rows_exposure: int
    rows_outcome: int
    columns: int
    groups: int
    agreement_hash: bytes
    terms_digest: bytes  # of what both sides would open and write; see `cleanroom.release.terms`
    seed_commitment: bytes
    nonce_commitment: bytes
    input_root: bytes
    build: bytes  # `build_digest` of what runs on that side; it need not be equal on both

    def encode(self) -> bytes:
        """Returns `HELLO_BYTES` bytes, every field of a fixed width."""
        return _HELLO.pack(
            PROTOCOL_VERSION,
            1 if self.exposure else 2,
            self.profile,
            self.rows_exposure,
            self.rows_outcome,
            self.columns,
            self.groups,
            self.agreement_hash,
            self.terms_digest,
            self.seed_commitment,
            self.nonce_commitment,
            self.input_root,
            self.build,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one side brought to the handshake; both sides know it. Each is 32 bytes."""

    input_root: bytes
    seed_commitment: bytes
    build: bytes
    nonce: bytes
    claim: bytes  # id of the session whose release this side holds for these inputs; zeros if it holds none


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the handshake fixed."""

    id: bytes
    own: Contribution
    peer: Contribution
    stored: bytes | None  # id of the earlier session whose release both sides hold for these inputs, or None

    def digest(self, purpose: str) -> bytes:
        """Returns 32 public bytes bound to the session, one value a purpose (a bin seed, say)."""
        return hashlib.sha256(b"cleanroom/session/derive/v1" + self.id + purpose.encode()).digest()


def volume() -> Volume:
    """What each side sends in a whole session: hello, nonce, confirmation and seal."""
    return messages(HELLO_BYTES, 2 * NONCE_BYTES, _DIGEST_BYTES, _SIGNATURE_BYTES)


def seed_commitment(seed: bytes) -> bytes:
    """Commits to a 32-byte seed; hiding because the seed is uniform."""
    return hashlib.sha256(b"cleanroom/seed-commitment/v1" + seed).digest()


def nonce_commitment(nonce: bytes) -> bytes:
    """Commits to a 32-byte nonce; hiding because the nonce is uniform."""
    return hashlib.sha256(b"cleanroom/nonce-commitment/v1" + nonce).digest()


def build_digest(build: str) -> bytes:
    """Names a build (version, kernels) in 32 bytes, so that the transcript says what ran on either side."""
    return hashlib.sha256(b"cleanroom/build/v1" + build.encode()).digest()


def session_id(*, agreement_hash: bytes, hellos: tuple[Hello, Hello], nonces: tuple[bytes, bytes]) -> bytes:
    """Derives the session's 32 bytes from the whole handshake.

    Args:
        agreement_hash: 32 bytes.
        hellos: both sides', the exposure side's first.
        nonces: both sides', the exposure side's first.
    """
    parts = nonces + tuple(hello.encode() for hello in hellos)
    return hashlib.sha256(b"cleanroom/session/v1" + agreement_hash + b"".join(parts)).digest()


def _exchange(message: Message, payload: bytes, *, first: bool) -> Protocol[bytes]:
    """Swaps payloads of equal length; the exposure side goes first, so that both sides see one order."""
    if first:
        yield Send(message, payload)
        return (yield from expect(message, len(payload)))
    theirs = yield from expect(message, len(payload))
    yield Send(message, payload)
    return theirs


def handshake(*, own: Hello, nonce: bytes, stored: StoredSession) -> Protocol[Session]:
    """Runs the handshake.

    Args:
        own: this side's hello, with the commitment to the nonce.
        nonce: 32 bytes, fresh.
        stored: peer's input root -> id of the session whose release is stored for both present roots, or None.

    Returns:
        The session; `stored` is set only if both sides named the same earlier session.

    Raises:
        AgreementError: the peer runs another agreement.
        PeerError: the peer differs in version, role, profile or sizes, or opens another nonce than it committed to.
        ValueError: the hello commits to another nonce.
    """
    if not hmac.compare_digest(own.nonce_commitment, nonce_commitment(nonce)):
        raise ValueError("the hello commits to another nonce")
    theirs = yield from _exchange(_HELLO_MESSAGE, own.encode(), first=own.exposure)
    peer = _checked_hello(own, theirs)
    known = stored(peer.input_root)
    claim = bytes(NONCE_BYTES) if known is None else known
    answer = yield from _exchange(_NONCE_MESSAGE, nonce + claim, first=own.exposure)
    peer_nonce, peer_claim = answer[:NONCE_BYTES], answer[NONCE_BYTES:]
    if not hmac.compare_digest(peer.nonce_commitment, nonce_commitment(peer_nonce)):
        raise PeerError("session: the peer opens another nonce than its hello commits to")
    if hmac.compare_digest(nonce, peer_nonce):
        raise PeerError("session: the peer sent this side's own nonce back")
    return Session(
        id=session_id(
            agreement_hash=own.agreement_hash,
            hellos=(own, peer) if own.exposure else (peer, own),
            nonces=(nonce, peer_nonce) if own.exposure else (peer_nonce, nonce),
        ),
        own=_contribution(own, nonce, claim),
        peer=_contribution(peer, peer_nonce, peer_claim),
        stored=known if known is not None and known == peer_claim else None,
    )


def _contribution(hello: Hello, nonce: bytes, claim: bytes) -> Contribution:
    return Contribution(
        input_root=hello.input_root,
        seed_commitment=hello.seed_commitment,
        build=hello.build,
        nonce=nonce,
        claim=claim,
    )


def _checked_hello(own: Hello, payload: bytes) -> Hello:
    """Reads the peer's hello, and refuses every difference but its commitments and its build."""
    version, role, profile, n_exposure, n_outcome, columns, groups, agreement, terms, seed, nonce, root, build = (
        _HELLO.unpack(payload)
    )
    if version != PROTOCOL_VERSION:
        raise PeerError(f"session: protocol version {PROTOCOL_VERSION} expected, {version} found")
    if agreement != own.agreement_hash:
        raise AgreementError("session: the peer runs another agreement than this one; compare the files")
    if role != (2 if own.exposure else 1):
        raise PeerError("session: both sides claim the same role")
    found = (profile, n_exposure, n_outcome, columns, groups)
    if found != (own.profile, own.rows_exposure, own.rows_outcome, own.columns, own.groups):
        raise PeerError("session: the peer's profile or sizes differ although its agreement does not")
    if terms != own.terms_digest:
        raise PeerError("session: the peer derives other release terms, or writes files with another pyarrow version")
    return replace(
        own,
        exposure=not own.exposure,
        seed_commitment=seed,
        nonce_commitment=nonce,
        input_root=root,
        build=build,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Both sides' signatures over the transcript of everything before the seal."""

    digest: bytes  # 32 bytes
    messages: int  # entries of the transcript that the digest covers
    exposure: bytes  # 64 bytes
    outcome: bytes  # 64 bytes


def seal_transcript(
    *, transcript: Transcript, exposure: bool, sign: Callable[[bytes], bytes], verify: Verify
) -> Protocol[Seal]:
    """Signs the transcript and takes the peer's signature: the last exchange of a run.

    Args:
        transcript: everything so far.
        exposure: this side's role.
        sign: signs the digest with this side's identity.
        verify: checks the peer's signature over a digest; raises PeerError if it does not hold.
    """
    digest, messages = transcript.digest(), len(transcript.entries)
    own = sign(digest)
    theirs = yield from _exchange(_SEAL_MESSAGE, own, first=exposure)
    verify(digest, theirs)
    first, second = (own, theirs) if exposure else (theirs, own)
    return Seal(digest=digest, messages=messages, exposure=first, outcome=second)


def confirm(*, transcript: Transcript, exposure: bool) -> Protocol[bytes]:
    """Compares both sides' transcripts so far, before anything is opened.

    Returns:
        The common 32-byte digest.

    Raises:
        PeerError: the transcripts differ: some message was changed on its way.
    """
    own = transcript.digest()
    theirs = yield from _exchange(_CONFIRM_MESSAGE, own, first=exposure)
    if not hmac.compare_digest(own, theirs):
        raise PeerError("session: the two transcripts differ, so a message was changed on its way")
    return own
