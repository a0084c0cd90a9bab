"""The frame that carries every message, and every message's number."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["HEADER_BYTES", "MAX_PAYLOAD_BYTES", "Sent", "frame", "number_of", "pieces"]

HEADER_BYTES: Final = 16
MAX_PAYLOAD_BYTES: Final = 1 << 22
NUMBERS: Final = {
    "session.hello": (1, 1),
    "session.nonce": (1, 2),
    "session.confirm": (1, 3),
    "bins.attempt": (1, 4),
    "session.seal": (1, 5),
    "session.declaration": (1, 6),
    "oprf.blinded": (2, 1),
    "oprf.evaluated": (2, 2),
    "hint.seed": (3, 1),
    "hint.table": (3, 2),
    "base_ot.receiver_elements": (4, 1),
    "base_ot.sender_elements": (4, 2),
    "ot.tree_sums": (5, 1),
    "equality.correction": (6, 1),
    "equality.tables": (6, 2),
    "mux.exposure_correction": (7, 1),
    "mux.outcome_correction_and_difference": (7, 2),
    "mux.exposure_difference": (7, 3),
    "grouped_sum.seed": (8, 1),
    "grouped_sum.public_keys": (8, 2),
    "grouped_sum.ciphertexts": (8, 3),
    "grouped_sum.answers": (8, 4),
    "comparison.correction": (9, 1),
    "comparison.tables": (9, 2),
    "release.terms": (10, 1),
    "release.commitments": (10, 2),
    "release.gates": (10, 3),
    "release.suppression": (10, 4),
    "release.bits_commitment": (10, 5),
    "release.bits": (10, 6),
    "release.cells": (10, 7),
    "release.signature": (10, 8),
    "oprf.correction": (11, 1),
    "silent_vole.positions": (12, 1),
    "silent_vole.values": (12, 2),
    "silent_vole.sums": (12, 3),
    "oprf.masked": (13, 1),
}
"""Protocol and type of each message. In an opening those of comparison and equality are named release.STEP."""


class Sent(NamedTuple):
    """One message: the name of its step and its payload."""

    step: str
    payload: bytes


def number_of(step: str) -> tuple[int, int]:
    """Protocol and type of a step's message."""
    return NUMBERS[step] if step in NUMBERS else NUMBERS[step.removeprefix("release.")]


def frame(step: str, sequence: int, payload: bytes) -> bytes:
    """version u8 | protocol u8 | type u16 | sequence u32 | length u64 | payload, little endian."""
    protocol, kind = number_of(step)
    header = bytes([1, protocol]) + kind.to_bytes(2, "little") + sequence.to_bytes(4, "little")
    return header + len(payload).to_bytes(8, "little") + payload


def pieces(data: bytes, size: int) -> list[bytes]:
    """Data cut into pieces of `size` bytes, the last perhaps shorter."""
    return [data[at : at + size] for at in range(0, len(data), size)]
