"""A peer that lies at one message, for every message of a whole run, both sides and every profile.

Only PeerError comes out (AgreementError where the peer names another agreement), the side is FAILED, and what cannot be
told from an honest message is found when the two transcripts are compared, before a charge and before any opening.
"""

from __future__ import annotations

import copy
import random
import struct
import tracemalloc
from collections.abc import Iterator

import pytest

from cleanroom.errors import AgreementError, PeerError
from cleanroom.protocols.grouped_sum import CIPHERTEXT_BYTES
from cleanroom.protocols.party import PartyState
from cleanroom.protocols.rlwe import PRIME_BYTES, PRIMES
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.cleanroom.hostile import KINDS, RELEASE, Attacked, recorded, side_of

SIDES = [(kind, side) for kind in KINDS for side in (0, 1)]
IDENTITY = bytes(32)
FIELD_PRIME = (1 << 255) - 19
NON_CANONICAL = (FIELD_PRIME + 2).to_bytes(32, "little")  # 2 in a form that is not reduced (RFC 9496, section 4.3.1)
NEGATIVE = (1).to_bytes(32, "little")  # an odd field element: RFC 9496 calls it negative
HIGH_BIT = bytes(31) + b"\x80"
POINT_STEPS = ("oprf.blinded", "oprf.evaluated", "base_ot.receiver_elements", "base_ot.sender_elements")
RESIDUE_STEPS = ("grouped_sum.public_keys", "grouped_sum.ciphertexts", "grouped_sum.answers")


def header(frame: bytes, **changes: int) -> bytes:
    """A frame with fields of its header replaced."""
    names = ("version", "protocol", "kind", "number", "length")
    fields = dict(zip(names, struct.unpack("<BBHIQ", frame[:FRAME_HEADER_BYTES]), strict=True))
    fields.update(changes)
    return struct.pack("<BBHIQ", *(fields[name] for name in names)) + frame[FRAME_HEADER_BYTES:]


def frame_faults(frame: bytes, others: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """What every frame can be turned into that its receiver must refuse without reading on."""
    yield "empty", b""
    yield "half a header", frame[: FRAME_HEADER_BYTES // 2]
    yield "a header alone", frame[:FRAME_HEADER_BYTES]
    yield "truncated by one", frame[:-1]
    yield "truncated to half", frame[: FRAME_HEADER_BYTES + (len(frame) - FRAME_HEADER_BYTES) // 2]
    yield "extended by one", frame + b"\0"
    yield "twice in one", frame + frame
    version, protocol, kind, number, length = struct.unpack("<BBHIQ", frame[:FRAME_HEADER_BYTES])
    for value in (0, version + 1, 255):
        yield f"version {value}", header(frame, version=value)
    for value in (0, protocol ^ 1, 255):
        yield f"protocol {value}", header(frame, protocol=value)
    for value in (0, kind + 1, 0xFFFF):
        yield f"type {value}", header(frame, kind=value)
    for value in ((number - 1) % (1 << 32), number + 1, 0xFFFFFFFF):
        yield f"number {value}", header(frame, number=value)
    for value in (0, length - 1, length + 1, 1 << 32, 1 << 63, (1 << 64) - 1):
        yield f"length {value}", header(frame, length=value)
    yield "a longer payload, announced", header(frame, length=length + 32) + bytes(32)
    yield "a shorter payload, announced", header(frame, length=length - 1)[:-1]
    yield from others.items()


@pytest.mark.parametrize(("kind", "side"), SIDES)
def test_a_frame_that_is_not_the_next_one_is_refused_at_every_message(kind: str, side: int) -> None:
    run, attacked = recorded(kind), side_of(kind, side)
    arrivals = run.received[side]
    refused = 0
    for position, arrival in enumerate(arrivals):
        attacked.sends()
        others = {}
        if position:
            others["the one before again"] = arrivals[position - 1].frame
        if position + 1 < len(arrivals):
            others["the next one first"] = arrivals[position + 1].frame
        expected = attacked.party.expected
        assert expected is not None
        before = attacked.transcript.entries
        for name, fault in frame_faults(arrival.frame, others):
            assert fault != arrival.frame
            victim = copy.copy(attacked.party)  # a refusal leaves the protocol, which both share, where it stands
            with pytest.raises(PeerError):
                victim.feed(fault)
                pytest.fail(f"{name} of {arrival.step} was taken")
            assert victim.state is PartyState.FAILED
            with pytest.raises(AssertionError, match="a failed party accepts nothing"):
                victim.feed(arrival.frame)
            with pytest.raises(AssertionError, match="a failed party accepts nothing"):
                victim.advance()
            refused += 1
        assert attacked.transcript.entries == before
        attacked.party.feed(arrival.frame)
    attacked.sends()
    assert attacked.party.state is PartyState.DONE  # the honest frames, and nothing else, ended the run
    assert refused > 20 * len(arrivals)


def replaced(payload: bytes, at: int, piece: bytes) -> bytes:
    return payload[:at] + piece + payload[at + len(piece) :]


def flipped(payload: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(payload))
    return replaced(payload, at, bytes([payload[at] ^ 1 << chance.randrange(8)]))


def payload_faults(kind: str, side: int, position: int) -> Iterator[tuple[str, bytes]]:
    """Payloads of the right length that are not the honest one."""
    arrival = recorded(kind).received[side][position]
    payload = arrival.frame[FRAME_HEADER_BYTES:]
    chance = random.Random(f"{kind} {side} {position}")
    yield "a bit flipped", flipped(payload, chance)
    yield "of another session", recorded(kind, 1).received[side][position].frame[FRAME_HEADER_BYTES:]
    for own in recorded(kind).sent(side):
        if own.step == arrival.step and len(own.frame) == len(arrival.frame):
            yield "this side's own, sent back", own.frame[FRAME_HEADER_BYTES:]
    if arrival.step in POINT_STEPS:
        last = len(payload) - 32
        for name, element in (
            ("the identity", IDENTITY),
            ("a non-canonical element", NON_CANONICAL),
            ("a negative element", NEGATIVE),
            ("an element with the high bit", HIGH_BIT),
        ):
            yield f"{name} first", replaced(payload, 0, element)
            yield f"{name} last", replaced(payload, last, element)
    if arrival.step in RESIDUE_STEPS:
        for limb in range(len(PRIMES) if len(payload) % CIPHERTEXT_BYTES == 0 else 1):
            at = limb * CIPHERTEXT_BYTES // len(PRIMES)
            residue = PRIMES[limb].to_bytes(PRIME_BYTES, "little")
            yield f"residue {limb} equal to its prime", replaced(payload, at, residue)
        yield "the last residue the largest", replaced(payload, len(payload) - PRIME_BYTES, b"\xff" * PRIME_BYTES)


def attack(kind: str, side: int, position: int, payload: bytes) -> tuple[Attacked, int, list[bytes]]:
    """Lets a side run with one payload replaced, to the error that must come.

    Returns:
        The side, the position of the message at which it stopped, and the frames that it sent.
    """
    attacked = side_of(kind, side)
    sent: list[bytes] = []
    stopped = 0
    with pytest.raises((PeerError, AgreementError)) as caught:
        for stopped, arrival in enumerate(recorded(kind).received[side]):
            sent += [frame for _, frame in attacked.sends()]
            changed = arrival.frame[:FRAME_HEADER_BYTES] + payload
            attacked.party.feed(changed if stopped == position else arrival.frame)
        sent += [frame for _, frame in attacked.sends()]
        pytest.fail(f"message {position} was another one, and the run came to its end")
    assert isinstance(caught.value, PeerError) or recorded(kind).received[side][position].step == "session.hello"
    assert attacked.party.state is PartyState.FAILED
    return attacked, stopped, sent


@pytest.mark.parametrize(("kind", "side"), SIDES)
def test_a_payload_that_is_not_the_honest_one_ends_the_run_at_every_message(kind: str, side: int) -> None:
    arrivals = recorded(kind).received[side]
    confirm = [arrival.step for arrival in arrivals].index("session.confirm")
    first = 0 if kind != "ecdh, one recipient" else confirm  # its join is that of the other ecdh run
    for position in range(first, len(arrivals)):
        for name, payload in payload_faults(kind, side, position):
            if payload == arrivals[position].frame[FRAME_HEADER_BYTES:]:
                continue  # the same terms in every session, say
            attacked, stopped, sent = attack(kind, side, position, payload)
            where = f"{name} in message {position}, {arrivals[position].step}"
            assert stopped >= position, where
            if position <= confirm:
                assert stopped <= confirm + 1, where
                assert attacked.told.events == [], f"{where}: charged"
                assert RELEASE not in {frame[1] for frame in sent}, f"{where}: something was opened"
            if "element" in name or "identity" in name or "residue" in name:
                assert stopped == position + 1, f"{where}: was not refused where it arrived"


def test_memory_is_bounded_by_what_arrived_and_not_by_what_was_announced() -> None:
    for kind in KINDS:
        attacked = side_of(kind, 1)
        for arrival in recorded(kind).received[1]:
            attacked.sends()
            victim = copy.copy(attacked.party)
            hostile = header(arrival.frame, length=1 << 60)[:FRAME_HEADER_BYTES]
            tracemalloc.start()
            with pytest.raises(PeerError):
                victim.feed(hostile)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 1 << 16
            attacked.party.feed(arrival.frame)
