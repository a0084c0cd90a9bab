"""The handshake refuses every difference, and no random stream is opened twice."""

from __future__ import annotations

import dataclasses

import pytest

from cleanroom.errors import AgreementError, PeerError
from cleanroom.protocols import seeds
from cleanroom.protocols.seeds import Streams, fresh_seed, keystream
from cleanroom.protocols.session import (
    HELLO_BYTES,
    Hello,
    Session,
    StoredSession,
    build_digest,
    confirm,
    handshake,
    nonce_commitment,
    seed_commitment,
    session_id,
)
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol
from tests.harness import run_pair


def nothing(root: bytes) -> None:
    del root


EXPOSURE = Hello(
    exposure=True,
    profile=1,
    rows_exposure=1024,
    rows_outcome=4096,
    columns=3,
    groups=2,
    agreement_hash=bytes(32),
    terms_digest=b"\5" * 32,
    seed_commitment=seed_commitment(b"\1" * 32),
    nonce_commitment=nonce_commitment(b"a" * 32),
    input_root=b"\2" * 32,
    build=build_digest("one build"),
)
OUTCOME = dataclasses.replace(
    EXPOSURE,
    exposure=False,
    seed_commitment=seed_commitment(b"\3" * 32),
    nonce_commitment=nonce_commitment(b"b" * 32),
    input_root=b"\4" * 32,
)


def shake(own: Hello, nonce: bytes, stored: StoredSession = nothing) -> Protocol[Session]:
    """A handshake of a side that commits to the nonce that it opens."""
    return handshake(own=dataclasses.replace(own, nonce_commitment=nonce_commitment(nonce)), nonce=nonce, stored=stored)


def test_both_sides_name_the_same_session() -> None:
    run = run_pair(
        shake(EXPOSURE, b"a" * 32),
        shake(OUTCOME, b"b" * 32),
    )
    assert run.first.id == run.second.id
    assert run.first.peer.input_root == b"\4" * 32 and run.second.peer.input_root == b"\2" * 32
    assert (run.first.own, run.first.peer) == (run.second.peer, run.second.own)
    assert run.first.stored is None
    other = run_pair(
        shake(EXPOSURE, b"c" * 32),
        shake(OUTCOME, b"b" * 32),
    )
    assert other.first.id != run.first.id
    again = session_id(agreement_hash=bytes(32), hellos=(EXPOSURE, OUTCOME), nonces=(b"a" * 32, b"b" * 32))
    assert again == run.first.id
    built = dataclasses.replace(OUTCOME, build=build_digest("another build"))
    assert run.first.id != session_id(agreement_hash=bytes(32), hellos=(EXPOSURE, built), nonces=(b"a" * 32, b"b" * 32))
    assert len(EXPOSURE.encode()) == HELLO_BYTES == len(OUTCOME.encode())


def test_the_session_is_bound_to_everything_that_was_said_and_to_who_said_it() -> None:
    def name(
        first: Hello = EXPOSURE, second: Hello = OUTCOME, nonces: tuple[bytes, bytes] = (b"a" * 32, b"b" * 32)
    ) -> bytes:
        return run_pair(
            shake(first, nonces[0]),
            shake(second, nonces[1]),
        ).first.id

    names = {
        name(),
        name(nonces=(b"c" * 32, b"b" * 32)),
        name(nonces=(b"a" * 32, b"c" * 32)),
        name(nonces=(b"b" * 32, b"a" * 32)),
        name(first=dataclasses.replace(EXPOSURE, input_root=b"\6" * 32)),
        name(second=dataclasses.replace(OUTCOME, input_root=b"\6" * 32)),
        name(first=dataclasses.replace(EXPOSURE, seed_commitment=b"\6" * 32)),
        name(second=dataclasses.replace(OUTCOME, seed_commitment=b"\6" * 32)),
        name(*(dataclasses.replace(side, terms_digest=b"\6" * 32) for side in (EXPOSURE, OUTCOME))),
        name(*(dataclasses.replace(side, agreement_hash=b"\6" * 32) for side in (EXPOSURE, OUTCOME))),
        name(*(dataclasses.replace(side, groups=9) for side in (EXPOSURE, OUTCOME))),
    }
    assert len(names) == 11


def test_a_seed_is_committed_to_before_the_nonces_and_comes_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = fresh_seed(), fresh_seed()
    assert len(first) == 32 and first != second
    assert len({seed_commitment(first), seed_commitment(second), seed_commitment(bytes(32))}) == 3
    assert seed_commitment(first) in dataclasses.replace(EXPOSURE, seed_commitment=seed_commitment(first)).encode()
    asked: list[int] = []

    def token_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    monkeypatch.setattr(seeds.secrets, "token_bytes", token_bytes)
    assert fresh_seed() == bytes(32) and asked == [32]


@pytest.mark.parametrize("mine", [b"r" * 32, None])
@pytest.mark.parametrize("theirs", [b"r" * 32, b"s" * 32, None])
def test_a_stored_release_counts_only_if_both_sides_hold_it(mine: bytes | None, theirs: bytes | None) -> None:
    run = run_pair(
        shake(EXPOSURE, b"a" * 32, {b"\4" * 32: mine}.get),
        shake(OUTCOME, b"b" * 32, {b"\2" * 32: theirs}.get),
    )
    expected = mine if mine is not None and mine == theirs else None
    assert run.first.stored == run.second.stored == expected


@pytest.mark.parametrize(
    "change",
    [
        {"profile": 2},
        {"rows_exposure": 2048},
        {"rows_outcome": 1},
        {"columns": 4},
        {"groups": 3},
        {"terms_digest": bytes(32)},
        {"exposure": True},
    ],
)
def test_a_peer_that_differs_is_refused(change: dict[str, object]) -> None:
    other = dataclasses.replace(OUTCOME, **change)  # type: ignore[arg-type]
    frames = run_pair if other.exposure is False else None
    if frames is None:  # both claim to be the exposure side: both would speak first
        first = shake(EXPOSURE, b"a" * 32)
        next(first)
        next(first)
        with pytest.raises(PeerError, match="same role"):
            first.send(other.encode())
        return
    with pytest.raises(PeerError):
        frames(
            shake(EXPOSURE, b"a" * 32),
            shake(other, b"b" * 32),
        )


def test_another_agreement_is_an_agreement_error() -> None:
    other = dataclasses.replace(OUTCOME, agreement_hash=b"\1" * 32)
    with pytest.raises(AgreementError):
        run_pair(
            shake(EXPOSURE, b"a" * 32),
            shake(other, b"b" * 32),
        )


def test_a_reflected_nonce_is_refused() -> None:
    with pytest.raises(PeerError, match="nonce"):
        run_pair(
            shake(EXPOSURE, b"a" * 32),
            shake(OUTCOME, b"a" * 32),
        )


@pytest.mark.parametrize("party", [0, 1])
def test_a_nonce_that_is_drawn_again_is_refused(party: int) -> None:
    """A side that has seen the other's nonce cannot choose another one of its own for the bins that it likes."""

    def redraw(sender: int, number: int, frame: bytes) -> bytes:
        at = FRAME_HEADER_BYTES
        return frame[:at] + b"n" * 32 + frame[at + 32 :] if (sender, number) == (party, 1) else frame

    with pytest.raises(PeerError, match="another nonce than its hello commits to"):
        run_pair(shake(EXPOSURE, b"a" * 32), shake(OUTCOME, b"b" * 32), redraw)


def test_the_hellos_say_nothing_of_the_nonces_but_fix_them() -> None:
    run = run_pair(shake(EXPOSURE, b"a" * 32), shake(OUTCOME, b"b" * 32))
    assert [step for _, step, _ in run.frames] == ["session.hello"] * 2 + ["session.nonce"] * 2
    for (_, _, hello), nonce in zip(run.frames[:2], (b"a" * 32, b"b" * 32), strict=True):
        assert nonce not in hello and nonce_commitment(nonce) in hello
    assert nonce_commitment(b"a" * 32) != seed_commitment(b"a" * 32)


def test_a_side_commits_to_the_nonce_that_it_has() -> None:
    with pytest.raises(ValueError, match="commits to another nonce"):
        next(handshake(own=EXPOSURE, nonce=b"c" * 32, stored=nothing))


def test_confirm_refuses_a_transcript_that_differs() -> None:
    one, two = Transcript(from_exposure=Direction.SENT), Transcript(from_exposure=Direction.RECEIVED)
    one.record("x", Direction.SENT, b"frame")
    two.record("x", Direction.RECEIVED, b"frame")
    run = run_pair(confirm(transcript=one, exposure=True), confirm(transcript=two, exposure=False))
    assert run.first == run.second
    two.record("x", Direction.RECEIVED, b"another")
    with pytest.raises(PeerError, match="transcripts differ"):
        run_pair(confirm(transcript=one, exposure=True), confirm(transcript=two, exposure=False))


def test_a_stream_opens_once_and_depends_on_every_part_of_its_label() -> None:
    streams = Streams(seed=bytes(32), session_id=bytes(32))
    label = {"step": "hint", "purpose": "T", "direction": "", "bucket": 0, "attempt": 0}
    keys = {streams.key(**label)}  # type: ignore[arg-type]
    for part, value in {"step": "mux", "purpose": "r", "direction": "x", "bucket": 1, "attempt": 1}.items():
        keys.add(streams.key(**{**label, part: value}))  # type: ignore[arg-type]
    assert len(keys) == 6
    with pytest.raises(AssertionError, match="twice"):
        streams.key(**label)  # type: ignore[arg-type]
    assert Streams(seed=b"\1" * 32, session_id=bytes(32)).key(step="hint", purpose="T") not in keys
    assert Streams(seed=bytes(32), session_id=b"\1" * 32).key(step="hint", purpose="T") not in keys


def test_keystream_is_chacha20_from_block_zero() -> None:
    # RFC 8439 appendix A.1, test vector 1: key 0, nonce 0, counter 0.
    assert keystream(bytes(32), 8).hex() == "76b8e0ada0f13d90"
    assert keystream(bytes(32), 100)[:64] == keystream(bytes(32), 64)
