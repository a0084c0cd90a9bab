"""The opening of a release: commitments, gates, verdicts, and the cells that pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.slow.frames import Sent, pieces
from tools.slow.streams import Streams, keystream

__all__ = ["Opened", "Terms", "commit_bits", "commit_cell", "compared_bits", "run"]

_WORD: Final = 1 << 64
_CHUNK_BYTES: Final = 1 << 20
_OPENED_BYTES: Final = 40
_NAMES: Final = ("exposure", "outcome")
_SIDES: Final = (0, 1)  # the exposure side, the outcome side


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What decides an opening."""

    gates: Sequence[int]  # by column
    declared: Sequence[bool]  # by column
    noise: str
    min_people: int
    receives: tuple[bool, bool]  # whether each side is a recipient
    scales: Sequence[float]  # by column: one side's noise, integer units
    writer: str  # what writes the Parquet file

    def digest(self, groups: int) -> bytes:
        """The 32 bytes that both sides compare: SHA-256 of JSON with sorted keys and no spaces."""
        terms = {
            "label": "cleanroom/release/terms/v1",
            "groups": groups,
            "gates": list(self.gates),
            "declared": list(self.declared),
            "noise": self.noise,
            "scales": [scale.hex() for scale in self.scales],
            "min_people": self.min_people,
            "recipients": [name for name, own in zip(("exposure", "outcome"), self.receives, strict=True) if own],
            "writer": self.writer,
        }
        return hashlib.sha256(json.dumps(terms, sort_keys=True, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The messages, (side, message) in their order, and what the recipients hold: groups × columns."""

    sent: list[tuple[int, Sent]]
    passed: list[list[bool]]
    values: list[list[int]]


def commit_cell(*, session_id: bytes, side: int, cell: int, salt: bytes, word: int) -> bytes:
    """The commitment to one share."""
    label = b"cleanroom/release/cell/v1" + session_id + bytes([side])
    return hashlib.sha256(label + cell.to_bytes(8, "little") + salt + word.to_bytes(8, "little")).digest()


def commit_bits(*, session_id: bytes, side: int, salt: bytes, bits: bytes) -> bytes:
    """The commitment to a side's shares of the verdicts."""
    return hashlib.sha256(b"cleanroom/release/bits/v1" + session_id + bytes([side]) + salt + bits).digest()


def packed(bits: Sequence[int]) -> bytes:
    """Bits in bytes, the first one lowest."""
    return sum(bit << place for place, bit in enumerate(bits)).to_bytes(-(-len(bits) // 8), "little")


def gate_cells(terms: Terms, groups: int) -> list[int]:
    """The cells that are gates, ascending."""
    columns = len(terms.gates)
    return [group * columns + column for group in range(groups) for column in sorted(set(terms.gates))]


def compared_bits(shares: Sequence[Sequence[Sequence[int]]], terms: Terms, first: Sequence[int]) -> list[list[int]]:
    """Both sides' shares of the verdicts where the exposure side's are `first`."""
    columns = len(terms.gates)
    cells = gate_cells(terms, len(shares[0]))
    total = [sum(side[cell // columns][cell % columns] for side in shares) % _WORD for cell in cells]
    return [list(first), [int(x >= terms.min_people) ^ bit for x, bit in zip(total, first, strict=True)]]


def run(
    *,
    terms: Terms,
    shares: Sequence[Sequence[Sequence[int]]],
    noises: Sequence[Sequence[Sequence[int]]],
    streams: Sequence[Streams],
    bits: Sequence[Sequence[int]] | None = None,
) -> Opened:
    """Opens a release.

    Args:
        terms: public.
        shares: of each side, groups × columns words, without noise.
        noises: of each side, groups × columns.
        streams: of each side.
        bits: of each side, its shares of the verdicts, from the comparison; only without noise.
    """
    groups, columns = len(shares[0]), len(terms.gates)
    cells = range(groups * columns)
    words = [
        [(shares[side][k // columns][k % columns] + noises[side][k // columns][k % columns]) % _WORD for k in cells]
        for side in _SIDES
    ]
    keys = [own.key("release", "salts", direction=name) for own, name in zip(streams, _NAMES, strict=True)]
    salts = [pieces(keystream(key, 32 * len(cells)), 32) for key in keys]
    total = [(words[0][k] + words[1][k]) % _WORD for k in cells]
    signed = [value - _WORD if value >= _WORD // 2 else value for value in total]
    session_id = streams[0].session_id
    sent = [(side, Sent("release.terms", terms.digest(groups))) for side in _SIDES]
    for side in _SIDES:
        commitments = b"".join(
            commit_cell(session_id=session_id, side=side, cell=k, salt=salts[side][k], word=words[side][k])
            for k in cells
        )
        sent += [(side, Sent("release.commitments", part)) for part in pieces(commitments, _CHUNK_BYTES)]

    def opened(step: str, which: Sequence[int]) -> list[tuple[int, Sent]]:
        per_message = _CHUNK_BYTES // _OPENED_BYTES * _OPENED_BYTES
        found = []
        for side in _SIDES:
            if terms.receives[1 - side]:
                data = b"".join(salts[side][k] + words[side][k].to_bytes(8, "little") for k in which)
                found += [(side, Sent(step, part)) for part in pieces(data, per_message)]
        return found

    gates = gate_cells(terms, groups)
    if terms.noise == "none":
        assert bits is not None
        verdicts = [bool(one ^ other) for one, other in zip(*bits, strict=True)]
        sent += _opened_bits(streams, [packed(part) for part in bits])
    else:
        verdicts = [signed[k] >= terms.min_people for k in gates]
        sent += opened("release.gates", gates)
        if not all(terms.receives):
            sole = terms.receives.index(True)
            sent += [(sole, Sent("release.suppression", part)) for part in pieces(packed(verdicts), _CHUNK_BYTES)]
    verdict_of = dict(zip(gates, verdicts, strict=True))
    passed = [[verdict_of[group * columns + gate] for gate in terms.gates] for group in range(groups)]
    already = set() if terms.noise == "none" else set(gates)
    rest = [k for k in cells if passed[k // columns][k % columns] and terms.declared[k % columns] and k not in already]
    sent += opened("release.cells", rest)
    seen = already | set(rest)
    values = [
        [signed[g * columns + j] if g * columns + j in seen else 0 for j in range(columns)] for g in range(groups)
    ]
    return Opened(sent=sent, passed=passed, values=values)


def _opened_bits(streams: Sequence[Streams], parts: Sequence[bytes]) -> list[tuple[int, Sent]]:
    keys = [own.key("release", "bits salt", direction=name) for own, name in zip(streams, _NAMES, strict=True)]
    salts = [keystream(key, 32) for key in keys]
    session_id = streams[0].session_id
    commitments = [commit_bits(session_id=session_id, side=side, salt=salts[side], bits=parts[side]) for side in _SIDES]
    sent = [(side, Sent("release.bits_commitment", commitments[side])) for side in _SIDES]
    return sent + [(side, Sent("release.bits", salts[side] + parts[side])) for side in _SIDES]
