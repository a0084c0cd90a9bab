"""Refusals: a frame of a valid run with one fault in it, and the error that the receiving side must stop with.

A fault is a named mutation of one frame. `everywhere` lists those that every message refuses, `POINTED` those of one
message. A file holds the edits alone: applied to the valid frame, which its SHA-256 names, they give the faulty one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Final

from tools.recipes import (
    openings,
    records,
    run_faults,
    silent,
    silent_transfers,
    steps,
    transfers,
    whole_runs,
)
from tools.recipes.fault import Edit, Fault, applied, flipped, overwritten
from tools.recipes.record import SESSION_ID, SIDES, Json
from tools.slow import base_ot, ed25519, ristretto, transcript
from tools.slow.frames import HEADER_BYTES, MAX_PAYLOAD_BYTES, number_of
from tools.slow.ring import PRIMES
from tools.slow.ristretto import P
from tools.slow.transcript import Frame

__all__ = ["VALID", "refusals"]


ITEM_BYTES: Final = {
    "base_ot.receiver_elements": 64,
    "base_ot.sender_elements": 32,
    "ot.tree_sums": 32,
    "equality.correction": 16,
    "equality.tables": 2,
    "mux.exposure_correction": 16,
    "mux.outcome_correction_and_difference": 8,
    "mux.exposure_difference": 8,
    "comparison.correction": 16,
    "comparison.tables": 4,
    "oprf.correction": 16,
    "oprf.masked": 16,
    "silent_vole.positions": 16,
    "silent_vole.values": 16,
    "silent_vole.sums": 16,
    "oprf.blinded": 32,
    "oprf.evaluated": 32,
    "hint.table": 24,
    "grouped_sum.public_keys": 7,
    "grouped_sum.ciphertexts": 7,
    "grouped_sum.answers": 7,
    "release.commitments": 32,
    "release.gates": 40,
    "release.cells": 40,
}
"""Bytes of one item, where a message holds several; elsewhere a message has one length and a byte is taken."""


NOT_CANONICAL: Final = "an element is not canonically encoded"


def everywhere(frame: Frame, number: int) -> Iterator[Fault]:
    """The faults that every message refuses, by its header and its length."""
    data, step = frame.data, frame.step
    protocol, kind = number_of(step)
    payload = len(data) - HEADER_BYTES
    item = ITEM_BYTES.get(step, ITEM_BYTES.get(step.removeprefix("release."), 1))

    def length(value: int) -> Edit:
        return Edit(8, 8, value.to_bytes(8, "little"))

    yield Fault(
        name="empty",
        says="the frame has no byte",
        edits=[Edit(0, len(data), b"")],
        phrase=f"{step}: a frame of 0 bytes is shorter than its header",
    )
    yield Fault(
        name="cut_in_the_header",
        says="the frame ends one byte before its header does",
        edits=[Edit(HEADER_BYTES - 1, payload + 1, b"")],
        phrase=f"{step}: a frame of {HEADER_BYTES - 1} bytes is shorter than its header",
    )
    yield Fault(
        name="truncated",
        says="the last byte of the payload is missing, the header announces it",
        edits=[Edit(len(data) - 1, 1, b"")],
        phrase=f"{step}: {payload} bytes announced, {payload - 1} arrived",
    )
    yield Fault(
        name="trailing_byte",
        says="a byte follows the payload that the header does not announce",
        edits=[Edit(len(data), 0, b"\x00")],
        phrase=f"{step}: {payload} bytes announced, {payload + 1} arrived",
    )
    yield Fault(
        name="one_item_less",
        says=f"the last {item} bytes of the payload are missing, and the header announces the shorter payload",
        edits=[length(payload - item), Edit(len(data) - item, item, b"")],
        phrase=f"{step}: {payload} bytes expected, {payload - item} announced",
    )
    yield Fault(
        name="one_item_more",
        says=f"the last {item} bytes of the payload come twice, and the header announces the longer payload",
        edits=[length(payload + item), Edit(len(data), 0, data[-item:])],
        phrase=f"{step}: {payload} bytes expected, {payload + item} announced",
    )
    yield Fault(
        name="over_the_limit",
        says="the header announces a byte more than any payload may have",
        edits=[length(MAX_PAYLOAD_BYTES + 1)],
        phrase=f"{step}: {payload} bytes expected, {MAX_PAYLOAD_BYTES + 1} announced",
    )
    yield Fault(
        name="wrong_version",
        says="the header names wire version 2",
        edits=[Edit(0, 1, b"\x02")],
        phrase=f"{step}: wire version 1 expected, 2 found",
    )
    yield Fault(
        name="wrong_protocol",
        says="the header names a protocol that does not exist",
        edits=[Edit(1, 1, b"\xfe")],
        phrase=f"{step}: message {protocol}.{kind} expected, 254.{kind} found",
    )
    yield Fault(
        name="wrong_type",
        says="the header names a message that the protocol does not have",
        edits=[Edit(2, 2, b"\xfe\x00")],
        phrase=f"{step}: message {protocol}.{kind} expected, {protocol}.254 found",
    )
    yield Fault(
        name="wrong_sequence",
        says="the header gives the number of the next frame",
        edits=[Edit(4, 4, (number + 1).to_bytes(4, "little"))],
        phrase=f"{step}: frame {number} expected, frame {number + 1} found",
    )


def points(frame: Frame, phrase: str) -> Iterator[Fault]:
    """What is wrong with an element, here the second."""
    own = int.from_bytes(frame.data[HEADER_BYTES + 32 : HEADER_BYTES + 64], "little")
    bad: dict[str, tuple[str, int]] = {
        "identity": ("the second element is the identity", 0),
        "negative": ("the second element is encoded by the negative of its field element", P - own),
        "unreduced": ("the second element is the field element 2^255 - 18, which is not reduced", P + 1),
        "high_bit": ("the highest bit of the second element is set", own | 1 << 255),
        "no_square": ("the second element is a field element that encodes no point", 2),
    }
    for name, (says, value) in bad.items():
        encoded = value.to_bytes(32, "little")
        yield Fault(name=f"point_{name}", says=says, edits=overwritten(32, encoded), phrase=phrase)


def _base_points(frame: Frame, step: str) -> Iterator[Fault]:
    """The identity is named apart from what is no element."""
    for fault in points(frame, f"{step}: "):
        reason = "an element is the identity" if fault.name == "point_identity" else NOT_CANONICAL
        yield replace(fault, phrase=f"{step}: {reason}")


def _base_elements(frame: Frame) -> Iterator[Fault]:
    """Points; and a first element that cancels the hash of the second, so that the sender would add up to nothing."""
    yield from _base_points(frame, frame.step)
    label = f"oprf-kkrt {steps.KKRT_BUCKET}".encode()
    domain = SESSION_ID + len(label).to_bytes(2, "little") + label
    second = frame.data[HEADER_BYTES + 32 : HEADER_BYTES + 64]
    hashed = base_ot.hash_to_point(domain, 0, 0, second)
    cancelling = ristretto.encode(ristretto.multiply(ristretto.ORDER - 1, hashed))
    yield Fault(
        name="cancelling",
        says="the first element is minus the hash of the second: their sum is the identity",
        edits=overwritten(0, cancelling),
        phrase=f"{frame.step}: an element is the identity",
    )


def residues(frame: Frame, offset: int, prime: int) -> Iterator[Fault]:
    """What is wrong with a residue: it is its prime, or all ones."""
    phrase = "grouped_sum: the peer sent a residue that is not under its prime"
    for name, value in (("the_prime", prime), ("all_ones", 2**56 - 1)):
        says = f"the residue at byte {offset} of the payload is {name.replace('_', ' ')}"
        edits = overwritten(offset, value.to_bytes(7, "little"))
        yield Fault(name=f"residue_{offset}_is_{name}", says=says, edits=edits, phrase=phrase)


def _hello(frame: Frame) -> Iterator[Fault]:
    differ = "session: the peer's profile or sizes differ although its agreement does not"
    yield Fault(
        name="protocol_version",
        says="the hello names protocol version 1",
        edits=overwritten(0, b"\x01\x00"),
        phrase="session: protocol version 2 expected, 1 found",
    )
    yield Fault(
        name="same_role",
        says="the hello claims the role of the other side",
        edits=overwritten(2, b"\x02"),
        phrase="session: both sides claim the same role",
    )
    yield Fault(
        name="no_role", says="the hello claims role 3", edits=overwritten(2, b"\x03"), phrase="claim the same role"
    )
    for name, offset in (("profile", 3), ("rows_exposure", 4), ("rows_outcome", 12), ("columns", 20), ("groups", 24)):
        yield Fault(name=f"other_{name}", says=f"{name} differs", edits=flipped(frame, offset), phrase=differ)
    yield Fault(
        name="other_agreement",
        says="the hash of the agreement differs",
        edits=flipped(frame, 28),
        phrase="session: the peer runs another agreement than this one",
        error="AgreementError",
        exit_code=3,
    )
    yield Fault(
        name="other_terms",
        says="the digest of the release's terms differs",
        edits=flipped(frame, 60),
        phrase="session: the peer derives other release terms",
    )
    yield Fault(
        name="other_seed_commitment",
        says="the commitment to the seed was changed on its way: the session ids differ, and so do the transcripts",
        edits=flipped(frame, 92),
        phrase="session: the two transcripts differ",
    )


def _nonce(frame: Frame) -> Iterator[Fault]:
    opens = "session: the peer opens another nonce than its hello commits to"
    yield Fault(name="other_nonce", says="the nonce is not the committed one", edits=flipped(frame, 0), phrase=opens)
    yield Fault(
        name="own_nonce",
        says="the receiving side's own nonce comes back",
        edits=overwritten(0, records.NONCES[1 - frame.sender]),
        phrase=opens,
    )
    yield Fault(
        name="other_claim",
        says="the claim of a stored release was changed on its way",
        edits=flipped(frame, 32),
        phrase="session: the two transcripts differ",
    )


def _confirm(frame: Frame) -> Iterator[Fault]:
    differ = "session: the two transcripts differ, so a message was changed on its way"
    yield Fault(name="bit_flipped", says="one bit of the digest differs", edits=flipped(frame, 31), phrase=differ)
    yield Fault(
        name="of_nothing",
        says="the digest is that of a transcript without frames",
        edits=overwritten(0, transcript.digest([])),
        phrase=differ,
    )


def _seal(frame: Frame) -> Iterator[Fault]:
    own, other = records.SIGNING_KEYS[frame.sender], records.SIGNING_KEYS[1 - frame.sender]
    earlier = [one for one in records.handshake_frames() if one.step != "session.seal"]
    digest = transcript.digest(earlier)
    phrase = "session: media's signature is not over this side's transcript"
    bad = {
        "bit_flipped": ("one bit of the signature differs", None),
        "another_key": (
            "the signature is by the other side's key",
            ed25519.sign(other, ed25519.signed_bytes("transcript", digest)),
        ),
        "another_purpose": (
            "the signature is for another purpose",
            ed25519.sign(own, ed25519.signed_bytes("release", digest)),
        ),
        "another_transcript": (
            "the signature is over the transcript without its last frame",
            ed25519.sign(own, ed25519.signed_bytes("transcript", transcript.digest(earlier[:-1]))),
        ),
    }
    for name, (says, signature) in bad.items():
        edits = flipped(frame, 0) if signature is None else overwritten(0, signature)
        yield Fault(name=f"signature_{name}", says=says, edits=edits, phrase=phrase)


def _commitments(frame: Frame) -> Iterator[Fault]:
    yield Fault(
        name="other_commitment",
        says="the commitment to the first cell, which is a gate, is not to its share and salt",
        edits=flipped(frame, 0),
        phrase="release: an opened share of the exposure side is not the one that it committed to",
    )
    one, two = (frame.data[HEADER_BYTES + at : HEADER_BYTES + at + 32] for at in (0, 32))
    yield Fault(
        name="commitments_swapped",
        says="the commitments to the first two cells have changed places",
        edits=overwritten(0, two + one),
        phrase="release: an opened share of the exposure side is not the one that it committed to",
    )


def _opened(frame: Frame) -> Iterator[Fault]:
    phrase = "release: an opened share of the exposure side is not the one that it committed to"
    rows = [frame.data[HEADER_BYTES + at : HEADER_BYTES + at + 40] for at in (0, 40)]
    yield Fault(name="other_salt", says="a salt is not the committed one", edits=flipped(frame, 0), phrase=phrase)
    yield Fault(
        name="other_share",
        says="a share is not the committed one",
        edits=flipped(frame, 32),
        phrase=phrase,
    )
    yield Fault(
        name="cells_swapped",
        says="the openings of the first two cells have changed places",
        edits=overwritten(0, rows[1] + rows[0]),
        phrase=phrase,
    )


def _bits(frame: Frame) -> Iterator[Fault]:
    phrase = "release: the opened comparison bits are not the committed ones"
    yield Fault(name="other_salt", says="the salt is not the committed one", edits=flipped(frame, 0), phrase=phrase)
    yield Fault(name="other_bits", says="a bit is not the committed one", edits=flipped(frame, 32), phrase=phrase)


def _suppression(frame: Frame) -> Iterator[Fault]:
    last = frame.data[-1]
    yield Fault(
        name="spare_bit",
        says="a bit after the last gate is set",
        edits=overwritten(len(frame.data) - HEADER_BYTES - 1, bytes([last | 0x80])),
        phrase="release: the bits after the last gate must be zero",
    )


def _bits_commitment(frame: Frame) -> Iterator[Fault]:
    yield Fault(
        name="other_commitment",
        says="the commitment is not to the bits that are opened",
        edits=flipped(frame, 0),
        phrase="release: the opened comparison bits are not the committed ones",
    )


def _terms(frame: Frame) -> Iterator[Fault]:
    yield Fault(
        name="other_terms",
        says="the digest of the terms differs",
        edits=flipped(frame, 0),
        phrase="release: the peer derives other release terms",
    )


def _both(frame: Frame, *places: tuple[int, int]) -> Iterator[Fault]:
    for offset, prime in places:
        yield from residues(frame, offset, prime)


_RING: Final = 8192 * 7
POINTED: Final[dict[str, Callable[[Frame], Iterator[Fault]]]] = {
    "session.hello": _hello,
    "session.nonce": _nonce,
    "session.confirm": _confirm,
    "session.seal": _seal,
    "oprf.blinded": partial(points, phrase="oprf: blinded_element: a canonical non-identity element expected"),
    "oprf.evaluated": partial(points, phrase="oprf: evaluated_element: a canonical non-identity element expected"),
    "session.declaration": run_faults.declaration,
    "bins.attempt": run_faults.attempt,
    "base_ot.receiver_elements": _base_elements,
    "base_ot.sender_elements": partial(_base_points, step="base_ot.sender_elements"),
    "ot.tree_sums": run_faults.tree_sums,
    **dict.fromkeys(run_faults.CORRECTIONS, run_faults.correction),
    "grouped_sum.public_keys": lambda frame: _both(frame, (0, PRIMES[0]), (_RING, PRIMES[1]), (2 * _RING, PRIMES[2])),
    "grouped_sum.ciphertexts": lambda frame: _both(frame, (7, PRIMES[0]), (3 * _RING - 7, PRIMES[2])),
    "grouped_sum.answers": lambda frame: _both(frame, (0, PRIMES[0]), (2 * _RING - 7, PRIMES[1])),
    "release.terms": _terms,
    "release.commitments": _commitments,
    "release.gates": _opened,
    "release.cells": _opened,
    "release.suppression": _suppression,
    "release.bits_commitment": _bits_commitment,
    "release.bits": _bits,
    "release.signature": run_faults.signature,
}
"""The faults of one message, by its step."""

POINTED_IN: Final[dict[tuple[str, str], Callable[[Frame], Iterator[Fault]]]] = {
    ("silent_ot/v1/run.json", "equality.correction"): run_faults.silent_correction,
}
"""The same where a step has another form: by the valid file too."""

VALID: Final[dict[str, tuple[Callable[[], list[Frame]], tuple[str, ...]]]] = {
    "session/v1/handshake.json": (
        records.handshake_frames,
        ("session.hello", "session.nonce", "session.confirm", "session.seal"),
    ),
    "oprf_ecdh/v1/run.json": (lambda: steps.oprf_ecdh_frames()[0], ("oprf.blinded", "oprf.evaluated")),
    "oprf_kkrt/v1/run.json": (
        steps.oprf_kkrt_frames,
        ("base_ot.receiver_elements", "base_ot.sender_elements", "oprf.correction"),
    ),
    "oprf_vole/v1/run.json": (steps.oprf_vole_frames, ("oprf.masked",)),
    "ot/v1/run.json": (
        transfers.transfers_frames,
        (
            "ot.tree_sums",
            "equality.correction",
            "equality.tables",
            "mux.exposure_correction",
            "mux.outcome_correction_and_difference",
            "mux.exposure_difference",
            "comparison.correction",
            "comparison.tables",
        ),
    ),
    "silent_ot/v1/run.json": (
        silent_transfers.silent_transfers_frames,
        ("equality.correction", "equality.tables"),
    ),
    "silent_vole/v1/run.json": (
        silent.silent_vole_frames,
        ("silent_vole.positions", "silent_vole.values", "silent_vole.sums"),
    ),
    "private_join/v1/ecdh_gaussian.json": (
        partial(whole_runs.whole_frames, "ecdh_gaussian"),
        ("session.declaration", "release.signature"),
    ),
    "private_join/v1/kkrt_none.json": (partial(whole_runs.whole_frames, "kkrt_none"), ("bins.attempt",)),
    "hint/v1/run.json": (steps.hint_frames, ("hint.seed", "hint.table")),
    "grouped_sum/v1/run.json": (
        steps.grouped_sum_frames,
        ("grouped_sum.seed", "grouped_sum.public_keys", "grouped_sum.ciphertexts", "grouped_sum.answers"),
    ),
    "release/v1/gaussian.json": (
        partial(openings.opening_frames, "gaussian"),
        ("release.terms", "release.commitments", "release.gates", "release.cells"),
    ),
    "release/v1/conjunction.json": (
        partial(openings.opening_frames, "conjunction"),
        ("release.equality.correction", "release.equality.tables"),
    ),
    "release/v1/none.json": (
        partial(openings.opening_frames, "none"),
        ("release.comparison.correction", "release.comparison.tables", "release.bits_commitment", "release.bits"),
    ),
    "release/v1/sole_recipient.json": (partial(openings.opening_frames, "sole_recipient"), ("release.suppression",)),
}
"""Of each valid file: its frames, and the messages whose refusals are made from it."""


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@cache
def refusals() -> dict[str, Json]:
    """Every refusal: path -> content. The first frame of a step is the one that is changed."""
    found: dict[str, Json] = {}
    for valid, (frames_of, names) in VALID.items():
        frames = frames_of()
        for step in names:
            place = next(at for at, frame in enumerate(frames) if frame.step == step)
            frame = frames[place]
            number = sum(earlier.sender == frame.sender for earlier in frames[:place])
            pointed = POINTED_IN.get((valid, step)) or POINTED.get(step)
            for fault in (*everywhere(frame, number), *(() if pointed is None else pointed(frame))):
                path = f"{valid.rpartition('/')[0]}/refused/{step}/{fault.name}.json"
                found[path] = {
                    "$schema": "../../../../schemas/refused.json",
                    "source": "the project's own: docs/reference/known-answers.md",
                    "generator": "tools/vectors.py",
                    "fault": fault.name,
                    "says": fault.says,
                    "valid": valid,
                    "frame": {"from": SIDES[frame.sender], "number": number, "step": step, "sha256": _sha(frame.data)},
                    "edits": [{"at": at, "remove": remove, "insert": new.hex()} for at, remove, new in fault.edits],
                    "faulty_sha256": _sha(applied(fault.edits, frame.data)),
                    "expect": {"error": fault.error, "exit_code": fault.exit_code, "phrase": fault.phrase},
                }
    return found
