"""Frames and parties: only the frame that was expected gets in, and a failed party accepts nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.errors import PeerError
from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import (
    FRAME_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Expect,
    Message,
    Protocol,
    ProtocolId,
    Send,
    chunks,
    decode_frame,
    encode_frame,
    expect,
)
from tests.harness import run_pair

PING = Message(protocol=ProtocolId.HINT, type=7, step="test.ping")
PONG = Message(protocol=ProtocolId.HINT, type=8, step="test.pong")


def asker() -> Protocol[bytes]:
    yield Send(PING, b"ping")
    return (yield from expect(PONG, 4))


def answerer() -> Protocol[bytes]:
    heard = yield from expect(PING, 4)
    yield Send(PONG, b"pong")
    return heard


@given(payload=st.binary(max_size=300), sequence=st.integers(0, 2**32 - 1))
@settings(derandomize=True, max_examples=50)
def test_a_frame_decodes_to_its_payload(payload: bytes, sequence: int) -> None:
    frame = encode_frame(PING, sequence, payload)
    assert decode_frame(frame, Expect(PING, len(payload)), sequence) == payload
    assert len(frame) == FRAME_HEADER_BYTES + len(payload)


@given(frame=st.binary(max_size=64))
@settings(derandomize=True, max_examples=200)
def test_arbitrary_bytes_raise_only_peer_errors(frame: bytes) -> None:
    with pytest.raises(PeerError):
        decode_frame(frame, Expect(PING, 4), 0)


def test_every_flipped_header_byte_is_refused() -> None:
    frame = encode_frame(PING, 3, b"ping")
    for position in range(FRAME_HEADER_BYTES):
        broken = bytearray(frame)
        broken[position] ^= 1
        with pytest.raises(PeerError):
            decode_frame(bytes(broken), Expect(PING, 4), 3)


@pytest.mark.parametrize("change", [lambda f: f[:-1], lambda f: f + b"\0", lambda f: f[:10], lambda f: b""])
def test_truncated_and_trailing_bytes_are_refused(change: object) -> None:
    with pytest.raises(PeerError):
        decode_frame(change(encode_frame(PING, 0, b"ping")), Expect(PING, 4), 0)  # type: ignore[operator]


def test_an_oversized_payload_is_never_sent() -> None:
    with pytest.raises(AssertionError):
        encode_frame(PING, 0, bytes(MAX_PAYLOAD_BYTES + 1))


def test_a_pair_runs_and_both_transcripts_agree() -> None:
    exposure = Transcript(from_exposure=Direction.SENT)
    outcome = Transcript(from_exposure=Direction.RECEIVED)
    first, second = Party(asker(), exposure), Party(answerer(), outcome)
    frame = first.advance()
    assert isinstance(frame, Outgoing)
    assert first.advance() is None and first.state is PartyState.WAITING
    assert second.advance() is None
    second.feed(frame.frame)
    reply = second.advance()
    assert isinstance(reply, Outgoing)
    first.feed(reply.frame)
    assert first.advance() is None and first.result == b"pong"
    assert second.advance() is None and second.result == b"ping"
    assert exposure.digest() == outcome.digest()
    assert [entry.direction for entry in exposure.entries] == [Direction.SENT, Direction.RECEIVED]


def test_a_changed_payload_changes_the_transcript() -> None:
    digests = []
    for payload in (b"ping", b"pinh"):
        transcript = Transcript(from_exposure=Direction.SENT)
        transcript.record("test.ping", Direction.SENT, encode_frame(PING, 0, payload))
        digests.append(transcript.digest())
    assert digests[0] != digests[1]


def test_a_replayed_frame_is_refused_and_the_party_stays_failed() -> None:
    party = Party(answerer())
    party.advance()
    party.feed(encode_frame(PING, 0, b"ping"))
    party.advance()
    party.advance()
    assert party.state is PartyState.DONE
    with pytest.raises(PeerError):
        party.feed(encode_frame(PING, 0, b"ping"))
    assert party.state is PartyState.FAILED
    with pytest.raises(AssertionError):
        party.feed(encode_frame(PING, 1, b"ping"))
    with pytest.raises(AssertionError):
        party.advance()


def test_every_flipped_byte_of_a_run_is_noticed_or_delivered_as_payload() -> None:
    assert run_pair(asker(), answerer()).second == b"ping"
    with pytest.raises(PeerError):
        run_pair(asker(), answerer(), tamper=lambda sender, number, frame: frame[:-1])


def test_chunks_cover_the_range_once() -> None:
    assert list(chunks(10, 4)) == [(0, 4), (4, 8), (8, 10)]
    assert list(chunks(0, 4)) == []


def test_secrets_stay_out_of_repr() -> None:
    assert "secret" not in repr(Send(PING, b"secret"))
    assert "secret" not in repr(Outgoing(PING, b"secret"))
