"""Faults of the messages that only a whole run or the transfers have: declaration, bins, transfers, signature."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from tools.recipes import whole_runs
from tools.recipes.fault import Fault, flipped, overwritten
from tools.recipes.records import SIGNING_KEYS
from tools.slow import ed25519
from tools.slow.frames import HEADER_BYTES
from tools.slow.transcript import Frame
from tools.slow.transfers import DEPTH, TREES
from tools.slow.whole_run import declaration_statement, record_statement

__all__ = ["CORRECTIONS", "attempt", "correction", "declaration", "signature", "silent_correction", "tree_sums"]

CORRECTIONS: Final = (
    "equality.correction",
    "mux.exposure_correction",
    "mux.outcome_correction_and_difference",
    "comparison.correction",
    "release.comparison.correction",
    "release.equality.correction",
    "silent_vole.positions",
    "silent_vole.values",
)
_SIGNATURE_BYTES: Final = 64
_RUN: Final = "ecdh_gaussian"


def attempt(frame: Frame) -> Iterator[Fault]:
    """Which seed of the bins is in use."""
    for name, number in (("attempt_8", 8), ("highest_attempt", 2**32 - 1)):
        yield Fault(
            name=name,
            says=f"attempt {number} is announced; the last one is 7",
            edits=overwritten(0, number.to_bytes(4, "little")),
            phrase=f"bins: at most 8 attempts are allowed, number {number} announced",
        )
    yield Fault(
        name="other_attempt",
        says="another attempt is announced than the one whose bins are asked: the transcripts differ",
        edits=overwritten(0, (1).to_bytes(4, "little")),
        phrase="session: the two transcripts differ",
    )


def tree_sums(frame: Frame) -> Iterator[Fault]:
    """What the check of the trees must find."""
    sums, digests = TREES * DEPTH * 32, TREES * 32
    own = frame.data[HEADER_BYTES:]
    failed = f"{frame.step}: the trees do not pass their consistency check"
    both = bytes([own[0] ^ 1]) + own[1:16] + bytes([own[16] ^ 1])
    last = sums - 32
    both_last = bytes([own[last] ^ 1]) + own[last + 1 : last + 16] + bytes([own[last + 16] ^ 1])
    for name, says, edits in (
        ("other_sums", "both sums of the first level of the first tree differ in a bit", overwritten(0, both)),
        ("other_last_sums", "both sums of the last level of the last tree do", overwritten(last, both_last)),
        ("other_leaf_digests", "the digest of the first tree's leaves differs in a bit", flipped(frame, sums)),
        ("other_setup", "the digest of all leaves differs in a bit", flipped(frame, sums + digests)),
    ):
        yield Fault(name=name, says=says, edits=edits, phrase=failed)


def correction(frame: Frame) -> Iterator[Fault]:
    """What the check of a batch must find: the correction, or what proves it, is another."""
    width = 1 if frame.step.startswith(("mux.", "silent_vole.")) else DEPTH
    size = len(frame.data) - HEADER_BYTES
    if frame.step == "mux.outcome_correction_and_difference":
        size -= 60 * 2 * 8  # two words a bin follow
    checked = size - 16 * (width + TREES * DEPTH)
    phrase = "does not pass its consistency check"
    for name, says, offset in (
        ("other_correction", "a bit of the correction is another", 0),
        ("other_padding", "a bit of the correction's last group, which is no transfer, is another", checked - 1),
        ("other_choice_hash", "a bit of the hash of the choices is another", checked),
        ("other_row_hash", "a bit of the hash of the last row is another", size - 1),
    ):
        yield Fault(name=name, says=says, edits=flipped(frame, offset), phrase=phrase)


def silent_correction(frame: Frame) -> Iterator[Fault]:
    """A correction of an odd number of silent transfers: half a byte too many. Any other change is another choice."""
    yield Fault(
        name="spare_half_byte",
        says="the last half byte, which belongs to no transfer, is not zero",
        edits=overwritten(len(frame.data) - HEADER_BYTES - 1, bytes([frame.data[-1] | 0x10])),
        phrase="silent_ot: the last half byte of a correction belongs to no transfer and is not zero",
    )


def _signatures(
    frame: Frame, *, purpose: str, other: str, statement: bytes, elsewhere: bytes, phrase: str
) -> Iterator[Fault]:
    """What is wrong with a signature at the end of a message."""
    offset = len(frame.data) - HEADER_BYTES - _SIGNATURE_BYTES
    own, peer = SIGNING_KEYS[frame.sender], SIGNING_KEYS[1 - frame.sender]
    yield Fault(
        name="signature_bit_flipped",
        says="one bit of the signature differs",
        edits=flipped(frame, offset),
        phrase=phrase,
    )
    bad: dict[str, tuple[str, Callable[[], bytes]]] = {
        "another_key": (
            "the signature is by the other side's key",
            lambda: ed25519.sign(peer, ed25519.signed_bytes(purpose, statement)),
        ),
        "another_purpose": (
            "the signature is for another purpose",
            lambda: ed25519.sign(own, ed25519.signed_bytes(other, statement)),
        ),
        "another_run": (
            "the signature is over that of another run",
            lambda: ed25519.sign(own, ed25519.signed_bytes(purpose, elsewhere)),
        ),
    }
    for name, (says, sign) in bad.items():
        yield Fault(name=f"signature_{name}", says=says, edits=overwritten(offset, sign()), phrase=phrase)


def declaration(frame: Frame) -> Iterator[Fault]:
    """What a side says of its data must be of its form and signed for this run."""
    malformed = "session.declaration: expected a verdict and a bit a group"
    unsigned = "session.declaration: the peer's signature does not hold"
    body = frame.data[HEADER_BYTES:-_SIGNATURE_BYTES]
    for name, says, offset, value, phrase in (
        ("verdict_3", "the verdict is none of the three", 0, 3, malformed),
        ("spare_bit", "a bit after the last group is set", 1, body[1] | 0x80, malformed),
        ("other_verdict", "the verdict is not the signed one", 0, 1, unsigned),
        ("other_groups", "the bit of a group is not the signed one", 1, body[1] ^ 2, unsigned),
    ):
        yield Fault(name=name, says=says, edits=overwritten(offset, bytes([value])), phrase=phrase)
    agreed, session_id = whole_runs.CASES[_RUN].hash(), whole_runs.made(_RUN).session_id
    statement, elsewhere = (
        declaration_statement(agreed, session, frame.sender, body)
        for session in (session_id, hashlib.sha256(session_id).digest())
    )
    yield from _signatures(
        frame, purpose="declaration", other="release", statement=statement, elsewhere=elsewhere, phrase=unsigned
    )
    other_role = ed25519.signed_bytes("declaration", declaration_statement(agreed, session_id, 1 - frame.sender, body))
    yield Fault(
        name="signature_another_role",
        says="the signature is over the declaration of the other role",
        edits=overwritten(len(body), ed25519.sign(SIGNING_KEYS[frame.sender], other_role)),
        phrase=unsigned,
    )


def signature(frame: Frame) -> Iterator[Fault]:
    """The signature over the record of the opening."""
    record = whole_runs.made(_RUN).record
    elsewhere = record | {"passed": "00" * (len(str(record["passed"])) // 2)}
    yield from _signatures(
        frame,
        purpose="release",
        other="transcript",
        statement=record_statement(record),
        elsewhere=record_statement(elsewhere),
        phrase="release: media's signature is not over the release that this side holds",
    )
