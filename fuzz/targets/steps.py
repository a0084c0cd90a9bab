"""Every message of every protocol step, changed on its way into a live party.

An input names a step, a side, one of the messages that this side receives, and a change of it. All messages but that
one are those of an honest run of the same step with tiny inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np

from cleanroom.agreement.completeness import Verdict
from cleanroom.agreement.model import Noise, Role
from cleanroom.declared import DECLARATION_PURPOSE, Declaration, declare
from cleanroom.errors import AgreementError, PeerError
from cleanroom.identity import signed_bytes
from cleanroom.protocols import (
    base_ot,
    comparison,
    conjunction,
    cuckoo,
    equality,
    grouped_sum,
    hint,
    mux,
    oprf_ecdh,
    oprf_kkrt,
    oprf_vole,
    ot,
    session,
    silent_ot,
)
from cleanroom.protocols.grouped_sum import Shape, Weights
from cleanroom.protocols.ot import OtReceiver, OtSender
from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.session import Hello
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol, encode_frame
from cleanroom.release import opening
from fuzz.reader import Reader
from fuzz.target import Target
from tests.cleanroom.release.test_document import KEYS
from tests.cleanroom.release.test_opening import TRUTH, make_terms
from tests.cleanroom.whole_run import GROUPS, agreement_of

__all__ = ["CASES", "STEPS", "Case"]

_SESSION: Final = bytes(range(32))
_NONCES: Final = (b"o" * 32, b"e" * 32)
_BINS: Final = 8
_ROWS: Final = 6
_WORDS: Final = 2
_SILENT: Final = 5  # numbers of one chunk: the last half byte of their correction is none of theirs
_OUTPUT: Final = hint.output_bytes(_WORDS)
_SHAPE: Final = Shape(groups=2, class_position=(0,), rows=64, weight_bound=4, entries_per_bin=4)
_LIMIT: Final = 1 << 16

Make = Callable[[], Protocol[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A step with tiny inputs, both sides; each call starts a side anew."""

    name: str
    first: Make
    second: Make

    def party(self, side: int) -> Party[Any]:
        """One side, at its start."""
        return Party(self.second() if side else self.first())


def _streams(party: int) -> Streams:
    return Streams(seed=bytes([party + 1]) * 32, session_id=_SESSION)


def _rng() -> np.random.Generator:
    return np.random.default_rng(5)


def _hello(*, exposure: bool) -> Hello:
    return Hello(
        exposure=exposure,
        profile=1,
        rows_exposure=1024,
        rows_outcome=1024,
        columns=3,
        groups=2,
        agreement_hash=b"\1" * 32,
        terms_digest=b"\2" * 32,
        seed_commitment=b"\3" * 32,
        nonce_commitment=session.nonce_commitment(_NONCES[exposure]),
        input_root=b"\4" * 32,
        build=b"\5" * 32,
    )


def _handshake(*, exposure: bool) -> Protocol[Any]:
    return session.handshake(own=_hello(exposure=exposure), nonce=_NONCES[exposure], stored=lambda root: root)


def _transcript(*, exposure: bool) -> Transcript:
    return Transcript(from_exposure=Direction.SENT if exposure else Direction.RECEIVED)


def _seal(*, exposure: bool) -> Protocol[Any]:
    def sign(digest: bytes) -> bytes:
        return digest + digest

    def verify(digest: bytes, signature: bytes) -> None:
        if signature != digest + digest:
            raise PeerError("another signature")

    return session.seal_transcript(
        transcript=_transcript(exposure=exposure), exposure=exposure, sign=sign, verify=verify
    )


def _declaration(*, exposure: bool) -> Protocol[Any]:
    key = KEYS["media" if exposure else "shop"]
    return declare(
        agreement_of(),
        role=Role.EXPOSURE if exposure else Role.OUTCOME,
        session_id=_SESSION,
        own=Declaration(verdict=Verdict.WARNING, eligible=(True,) * GROUPS, signature=b""),
        sign=lambda digest: key.sign(signed_bytes(DECLARATION_PURPOSE, digest)),
    )


def _queries() -> mux.Bits:
    return _rng().integers(0, 256, (_BINS, oprf_ecdh.QUERY_BYTES), dtype=np.uint8)


def _hint_sender() -> Protocol[Any]:
    rng = _rng()
    return hint.sender(
        prepared=hint.prepare(
            streams=_streams(1),
            keys=rng.integers(0, 256, (_ROWS, cuckoo.KEY_BYTES), dtype=np.uint8),
            values=rng.integers(0, 1 << 64, (_ROWS, _WORDS), dtype=np.uint64),
            rows_outcome=_ROWS,
            n_bins=_BINS,
        ),
        streams=_streams(1),
        bin_seed=bytes(32),
        evaluator=oprf_ecdh.Evaluator(n_bins=_BINS, output_bytes=_OUTPUT, session_id=_SESSION, seed=bytes(32)),
    )


def _hint_receiver() -> Protocol[Any]:
    answers = _rng().integers(0, 256, (_BINS, _OUTPUT), dtype=np.uint8)
    return hint.receiver(streams=_streams(0), queries=_queries(), answers=answers, rows_outcome=_ROWS)


@cache
def _transfers(label: str) -> tuple[OtSender, OtReceiver]:
    run = _honest(_setup(label))
    sender, receiver = run.results
    return sender, receiver


def _setup(label: str) -> Case:
    return Case(
        name="ot",
        first=lambda: ot.sender_setup(streams=_streams(0), label=label),
        second=lambda: ot.receiver_setup(streams=_streams(1), label=label),
    )


def _sender(label: str = "forth") -> OtSender:
    """The sending end of ready transfers, none of them used."""
    ready = _transfers(label)[0]
    return replace(ready, _position=type(ready._position)())


def _receiver(label: str = "forth") -> OtReceiver:
    """The receiving end."""
    ready = _transfers(label)[1]
    return replace(ready, _position=type(ready._position)())


def _words(*shape: int) -> mux.Words:
    return _rng().integers(0, 1 << 64, shape, dtype=np.uint64)


def _bits() -> mux.Bits:
    return _rng().integers(0, 2, _BINS, dtype=np.uint8)


def _shared(*shape: int) -> mux.Bits:
    return _rng().integers(0, 2, shape, dtype=np.uint8)


def _weights() -> Weights:
    return Weights(
        bins=np.array([1, 5], dtype=np.int64),
        indptr=np.array([0, 1, 2], dtype=np.int64),
        targets=np.array([0, 1], dtype=np.int32),
        weights=np.array([2, -3], dtype=np.int64),
    )


def _opening(noise: Noise, recipients: tuple[str, ...] = ("media", "shop")) -> Case:
    terms = make_terms(noise, recipients)
    compare: list[Any] = [None, None]
    if noise is Noise.NONE:
        compare = [
            lambda shares, threshold: comparison.sender(_sender(), shares, threshold),
            lambda shares, threshold: comparison.receiver(_receiver(), shares, threshold),
        ]
    mask = _words(*TRUTH.shape)
    zeros = np.zeros(TRUTH.shape, dtype=np.int64)
    return Case(
        name=f"opening_{noise.value}_{len(recipients)}",
        first=lambda: opening.exposure(terms=terms, shares=mask, noise=zeros, streams=_streams(0), compare=compare[0]),
        second=lambda: opening.outcome(
            terms=terms, shares=TRUTH.view(np.uint64) - mask, noise=zeros, streams=_streams(1), compare=compare[1]
        ),
    )


CASES: Final = (
    Case(name="handshake", first=lambda: _handshake(exposure=True), second=lambda: _handshake(exposure=False)),
    Case(
        name="confirm",
        first=lambda: session.confirm(transcript=_transcript(exposure=True), exposure=True),
        second=lambda: session.confirm(transcript=_transcript(exposure=False), exposure=False),
    ),
    Case(name="seal", first=lambda: _seal(exposure=True), second=lambda: _seal(exposure=False)),
    Case(
        name="oprf_ecdh",
        first=lambda: oprf_ecdh.receiver(queries=_queries(), output_bytes=_OUTPUT, streams=_streams(0)),
        second=lambda: oprf_ecdh.sender(n_bins=_BINS, output_bytes=_OUTPUT, streams=_streams(1)),
    ),
    Case(
        name="oprf_kkrt",
        first=lambda: oprf_kkrt.receiver(queries=_queries(), output_bytes=_OUTPUT, streams=_streams(0)),
        second=lambda: oprf_kkrt.sender(n_bins=_BINS, output_bytes=_OUTPUT, streams=_streams(1)),
    ),
    Case(name="hint", first=_hint_receiver, second=_hint_sender),
    Case(
        name="base_ot",
        first=lambda: base_ot.receiver(streams=_streams(0), label="fuzz", choices=_bits()),
        second=lambda: base_ot.sender(streams=_streams(1), label="fuzz", count=_BINS),
    ),
    _setup("fuzz"),
    Case(
        name="equality",
        first=lambda: equality.sender(_sender(), _words(_BINS)),
        second=lambda: equality.receiver(_receiver(), _words(_BINS)),
    ),
    Case(
        name="mux",
        first=lambda: mux.exposure(_sender(), _receiver("back"), _bits(), _words(_BINS, _WORDS)),
        second=lambda: mux.outcome(_sender("back"), _receiver(), _bits(), _words(_BINS, _WORDS)),
    ),
    Case(
        name="grouped_sum",
        first=lambda: grouped_sum.receiver(streams=_streams(0), shape=_SHAPE, n_bins=_BINS, weights=_weights()),
        second=lambda: grouped_sum.sender(streams=_streams(1), shape=_SHAPE, shares=_words(_BINS, 1)),
    ),
    Case(
        name="comparison",
        first=lambda: comparison.sender(_sender(), _words(3), 50),
        second=lambda: comparison.receiver(_receiver(), _words(3), 50),
    ),
    _opening(Noise.GAUSSIAN),
    _opening(Noise.GAUSSIAN, ("shop",)),
    _opening(Noise.NONE),
    Case(name="declaration", first=lambda: _declaration(exposure=True), second=lambda: _declaration(exposure=False)),
    Case(
        name="conjunction",
        first=lambda: conjunction.sender(_sender(), _shared(3, 66)),
        second=lambda: conjunction.receiver(_receiver(), _shared(3, 66)),
    ),
    Case(
        name="oprf_vole",
        first=lambda: oprf_vole.receiver(queries=_queries(), output_bytes=_OUTPUT, streams=_streams(0)),
        second=lambda: oprf_vole.sender(n_bins=_BINS, output_bytes=_OUTPUT, streams=_streams(1)),
    ),
    Case(
        name="silent_equality",
        first=lambda: equality.sender(
            silent_ot.sender(_sender(), streams=_streams(0), label="forth"), _words(_SILENT), width=4
        ),
        second=lambda: equality.receiver(
            silent_ot.receiver(_receiver(), streams=_streams(1), label="forth"), _words(_SILENT), width=4
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    """What an honest run of a case gives: results, and the frames that each side receives."""

    results: tuple[Any, Any]
    frames: tuple[list[bytes], list[bytes]]


def _honest(case: Case) -> Honest:
    parties = (case.party(0), case.party(1))
    received: tuple[list[bytes], list[bytes]] = ([], [])
    taken = [0, 0]
    while not all(party.state is PartyState.DONE for party in parties):
        for side, party in enumerate(parties):
            if party.state is PartyState.WAITING and taken[side] < len(received[side]):
                party.feed(received[side][taken[side]])
                taken[side] += 1
            while party.state is PartyState.RUNNING:
                event = party.advance()
                if isinstance(event, Outgoing):
                    received[1 - side].append(event.frame)
    return Honest(results=(parties[0].result, parties[1].result), frames=received)


@cache
def honest(position: int) -> Honest:
    """The honest run of one of the cases."""
    return _honest(CASES[position])


def _changed(frame: bytes, reader: Reader, party: Party[Any]) -> bytes:
    """A frame instead of an honest one: other bytes in its payload, another payload, or anything at all."""
    expected = party.expected
    assert expected is not None
    kind = reader.number() % 4
    if kind == 0:
        return reader.rest()
    payload = bytearray(frame[FRAME_HEADER_BYTES:])
    if kind == 1:  # some bytes of the payload
        while reader.more:
            at = reader.number(3) % max(1, len(payload))
            piece = reader.block()[: max(0, len(payload) - at)]
            payload[at : at + len(piece)] = piece
    else:  # a pattern all over it
        pattern = reader.rest()[:_LIMIT] or b"\0"
        payload[:] = (pattern * (len(payload) // len(pattern) + 1))[: len(payload)]
    if kind == 3:  # the header too
        header = bytearray(frame[:FRAME_HEADER_BYTES])
        header[payload[0] % FRAME_HEADER_BYTES if payload else 0] ^= 1
        return bytes(header) + bytes(payload)
    sequence = int.from_bytes(frame[4:8], "little")
    return encode_frame(expected.message, sequence, bytes(payload))


def check_steps(data: bytes) -> None:
    """One changed message ends a step in PeerError (AgreementError if it names another agreement), or in a result."""
    reader = Reader(data)
    position = reader.number() % len(CASES)
    side = reader.number() % 2
    frames = honest(position).frames[side]
    if not frames:
        return
    target = reader.number() % len(frames)
    party = CASES[position].party(side)
    number = 0
    try:
        while party.state is not PartyState.DONE:
            if party.state is PartyState.WAITING:
                if number == len(frames):
                    return  # a change can make a side expect more than an honest run has
                frame = frames[number]
                party.feed(_changed(frame, reader, party) if number == target else frame)
                number += 1
            party.advance()
    except (PeerError, AgreementError) as error:
        assert party.state is PartyState.FAILED
        assert isinstance(error, PeerError) or CASES[position].name == "handshake"


def _seeds() -> Iterator[bytes]:
    for position in range(len(CASES)):
        for side in (0, 1):
            for target, frame in enumerate(honest(position).frames[side]):
                head = bytes([position, side, target])
                yield head + b"\1\0\0\0\1\0" + frame[FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + 1]
                yield head + b"\2\xff"
                yield head + b"\2\0"


STEPS: Final = Target(
    name="steps",
    promise="a changed message ends the step in PeerError or in a result, at every message of every step",
    check=check_steps,
    seeds=_seeds,
    max_bytes=1024,
)
