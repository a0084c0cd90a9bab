"""A whole run, from the hellos to the seal: both sides' inputs and seeds in, every frame out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tools.slow import (
    base_ot,
    cuckoo,
    ed25519,
    grouped_sum,
    hint,
    kkrt,
    opening,
    oprf,
    oprf_vole,
    session,
    silent_vole,
    transcript,
)
from tools.slow.frames import Sent, pieces
from tools.slow.hint import Prf
from tools.slow.selections import equal, select
from tools.slow.silent_transfers import SilentTransfers
from tools.slow.streams import Streams, keystream
from tools.slow.transcript import Frame, numbered
from tools.slow.transfers import Transfers

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

_WORD: Final = 1 << 64
_NAMES: Final = ("exposure", "outcome")
_SIDES: Final = (0, 1)
_VERDICTS: Final = ("complete", "warning", "failure")
Messages: TypeAlias = list[tuple[int, Sent]]
Table: TypeAlias = list[list[int]]


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
class Exposure:
    """The exposure side's rows: distinct keys of 16 bytes, each with (target, weight)."""

    keys: Sequence[bytes]
    weights: Sequence[Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome side's rows: distinct keys, each with a word a column."""

    keys: Sequence[bytes]
    values: Sequence[Sequence[int]]


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
    messages, shares, transfers = _join(parameters, streams, exposure, outcome)
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


def _join(
    parameters: Parameters, streams: tuple[Streams, Streams], exposure: Exposure, outcome: Outcome
) -> tuple[Messages, tuple[Table, Table], Transfers]:
    """Bins, oblivious PRF, hint, equality, multiplexer, grouped sum: the messages and both shares of every cell."""
    mine, theirs = streams
    n_bins, columns = cuckoo.bin_count(parameters.rows_exposure), len(parameters.class_position)
    placed, attempt = cuckoo.place_padded(exposure.keys, rows=parameters.rows_exposure, n_bins=n_bins, streams=mine)
    queries = cuckoo.queries(placed, exposure.keys, mine)
    oblivious = {"ecdh": _ecdh, "kkrt": _kkrt, "vole": _vole}[parameters.profile]
    sent: Messages = [(0, Sent("bins.attempt", attempt.to_bytes(4, "little")))]
    messages, answers, prf = oblivious(mine, theirs, queries, 8 + 8 * columns)
    sent += messages
    made = hint.send(
        streams=theirs,
        rows=dict(zip(outcome.keys, outcome.values, strict=True)),
        columns=columns,
        rows_outcome=parameters.rows_outcome,
        n_bins=n_bins,
        bin_seed=cuckoo.bin_seed(mine.session_id, attempt=attempt),
        prf=prf,
    )
    sent += [(1, message) for message in made.sent]
    decoded = hint.receive(
        session_id=mine.session_id,
        hint=made,
        queries=queries,
        answers=answers,
        rows_outcome=parameters.rows_outcome,
    )
    forth = Transfers(sender=mine, receiver=theirs, label="from exposure")
    back = Transfers(sender=theirs, receiver=mine, label="from outcome")
    sent += [(0 if own else 1, message) for own, message in forth.messages()]
    sent += [(1 if own else 0, message) for own, message in back.messages()]
    silent = SilentTransfers(forth, sender=mine, receiver=theirs, label="from exposure")
    chosen = silent if parameters.profile == "vole" else forth
    one, other, messages = equal(chosen, [row[0] for row in decoded], made.targets)
    sent += messages
    first, second, messages = select(forth, back, (one, other), [row[1:] for row in decoded], made.masks)
    sent += messages

    shape = grouped_sum.Shape(
        groups=parameters.terms.groups,
        class_position=parameters.class_position,
        rows=parameters.rows_exposure,
        weight_bound=parameters.weight_bound,
    )
    bin_of = {entry[0]: at for at, entry in enumerate(placed) if entry is not None}
    weights = [
        (bin_of[row], target, weight) for row, entries in enumerate(exposure.weights) for target, weight in entries
    ]
    total = grouped_sum.run(sender=theirs, receiver=mine, shape=shape, shares=second, weights=weights)
    sent += [(1, message) for message in total.from_sender] + [(0, message) for message in total.from_receiver]
    local = grouped_sum.local_sum(shape=shape, weights=weights, shares=first)
    own = [[(x + y) % _WORD for x, y in zip(*rows, strict=True)] for rows in zip(total.receiver, local, strict=True)]
    return sent, (own, total.sender), forth


def _ecdh(
    receiver: Streams, sender: Streams, queries: Sequence[bytes], output_bytes: int
) -> tuple[Messages, list[bytes], Prf]:
    """Messages, the receiver's answer of each bin, and F for the sender."""
    session_id = receiver.session_id
    blinds_key = receiver.key("oprf", "blinds", direction="receiver")
    seed = sender.key("oprf", "bin keys", direction="sender")
    keys = [oprf.derive_key(seed, at.to_bytes(8, "little")) for at in range(len(queries))]
    blinded, evaluated, answers = [], [], []
    for at, (query, key) in enumerate(zip(queries, keys, strict=True)):
        scalar = oprf.random_scalar(blinds_key, at)
        blinded.append(oprf.blind(query, scalar))
        evaluated.append(oprf.blind_evaluate(key, blinded[at]))
        answers.append(oprf.expand_output(oprf.finalize(query, scalar, evaluated[at]), session_id, output_bytes))

    def prf(at: int, point: bytes) -> bytes:
        return oprf.expand_output(oprf.evaluate(keys[at], point), session_id, output_bytes)

    sent = [(0, Sent("oprf.blinded", b"".join(blinded))), (1, Sent("oprf.evaluated", b"".join(evaluated)))]
    return sent, answers, prf


def _kkrt(
    receiver: Streams, sender: Streams, queries: Sequence[bytes], output_bytes: int
) -> tuple[Messages, list[bytes], Prf]:
    """Likewise, in profile kkrt."""
    session_id, label = receiver.session_id, "oprf-kkrt 0"
    domain = session_id + len(label).to_bytes(2, "little") + label.encode()
    drawn = keystream(sender.key("oprf", "mask", direction="sender"), 56)
    mask = int.from_bytes(drawn, "little")
    bits = [mask >> column & 1 for column in range(8 * len(drawn))]
    base_key = receiver.key("base_ot", label, direction="sender")
    elements = base_ot.receiver_message(sender.key("base_ot", label, direction="receiver"), domain, bits)
    flat = pieces(base_ot.sender_keys(base_key, domain, elements), 16)
    pairs = list(zip(flat[0::2], flat[1::2], strict=True))
    chosen = [pair[bit] for pair, bit in zip(pairs, bits, strict=True)]
    message = kkrt.correction(pairs, kkrt.code_keys(session_id, 0), queries)
    rows = [kkrt.receiver_row(pairs, at) for at in range(len(queries))]
    answers = [kkrt.hash_row(session_id, 0, at, row, output_bytes) for at, row in enumerate(rows)]
    held = [kkrt.sender_row(chosen, mask, message, at) for at in range(len(queries))]

    def prf(at: int, point: bytes) -> bytes:
        return kkrt.evaluate(held[at], mask, session_id, 0, index=at, data=point, output_bytes=output_bytes)

    sent = [
        (1, Sent("base_ot.receiver_elements", elements)),
        (0, Sent("base_ot.sender_elements", base_ot.sender_message(base_key, len(bits)))),
        (0, Sent("oprf.correction", message)),
    ]
    return sent, answers, prf


def _vole(
    receiver: Streams, sender: Streams, queries: Sequence[bytes], output_bytes: int
) -> tuple[Messages, list[bytes], Prf]:
    """Likewise, in profile vole."""
    session_id, label = receiver.session_id, "oprf-vole 0"
    transfers = Transfers(sender=sender, receiver=receiver, label=label)
    made = silent_vole.run(
        transfers, flavour=silent_vole.ELEMENTS, sender=sender, receiver=receiver, label=label, count=len(queries)
    )
    delta = sum(element << 4 * place for place, element in enumerate(transfers.delta))
    masked = [oprf_vole.masked(session_id, 0, query, u) for query, u in zip(queries, made.u, strict=True)]
    answers = [oprf_vole.hash_element(session_id, 0, at, v, output_bytes) for at, v in enumerate(made.v)]
    rows = [oprf_vole.sender_row(k, delta, message) for k, message in zip(made.k, masked, strict=True)]

    def prf(at: int, point: bytes) -> bytes:
        return oprf_vole.evaluate(rows[at], delta, session_id, 0, index=at, data=point, output_bytes=output_bytes)

    sent = [(1 if own else 0, message) for own, message in transfers.messages()]
    sent += [(0 if own else 1, message) for own, message in made.messages]
    return [*sent, (0, Sent("oprf.masked", b"".join(masked)))], answers, prf
