"""The opening of a release: commitments, gates, verdicts, and the cells that pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.slow.frames import Sent, pieces
from tools.slow.selections import compare, conjoin
from tools.slow.streams import Streams, keystream
from tools.slow.transfers import Transfers

__all__ = ["Opened", "Terms", "commit_bits", "commit_cell", "packed", "run"]

_WORD: Final = 1 << 64
_CHUNK_BYTES: Final = 1 << 20
_OPENED_BYTES: Final = 40
_NAMES: Final = ("exposure", "outcome")
_SIDES: Final = (0, 1)  # the exposure side, the outcome side


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What decides an opening."""

    groups: int  # eligible or not
    gates: Sequence[int]  # by column
    declared: Sequence[bool]  # by column
    noise: str
    min_people: int
    receives: tuple[bool, bool]  # whether each side is a recipient
    scales: Sequence[float]  # by column: one side's noise, integer units
    writer: str  # what writes the Parquet file
    chains: Sequence[Sequence[Sequence[int]]] = ()  # chain, level, column

    def digest(self) -> bytes:
        """The 32 bytes that both sides compare: SHA-256 of JSON with sorted keys and no spaces."""
        terms = {
            "label": "cleanroom/release/terms/v1",
            "groups": self.groups,
            "gates": list(self.gates),
            "declared": list(self.declared),
            "noise": self.noise,
            "scales": [scale.hex() for scale in self.scales],
            "min_people": self.min_people,
            "recipients": [name for name, own in zip(_NAMES, self.receives, strict=True) if own],
            "writer": self.writer,
        }
        if self.chains:
            terms["chains"] = self.chains
        return hashlib.sha256(json.dumps(terms, sort_keys=True, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The messages, (side, message) in their order, and what the recipients hold: groups × columns."""

    sent: list[tuple[int, Sent]]
    passed: list[list[bool]]
    values: list[list[int]]
    commitments: tuple[bytes, bytes]  # of each side, 32 bytes a cell


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


def rounds(terms: Terms) -> list[list[tuple[int, Sequence[int]]]]:
    """Without noise: what each round decides, (column, the chains that it is above) by column."""
    below = range(len(terms.chains))
    levels = max((len(chain) for chain in terms.chains), default=0)
    decided: list[list[tuple[int, Sequence[int]]]] = [
        sorted((column, [number]) for number in below for column in (*terms.chains[number], *[()] * levels)[level])
        for level in range(levels)
    ]
    inside = {column for chain in terms.chains for level in chain for column in level}
    above: list[tuple[int, Sequence[int]]] = [(column, below) for column in sorted(set(terms.gates) - inside)]
    return [*decided, above] if above else decided


def run(
    *,
    terms: Terms,
    shares: Sequence[Sequence[Sequence[int]]],
    noises: Sequence[Sequence[Sequence[int]]],
    streams: Sequence[Streams],
    transfers: Transfers | None = None,
) -> Opened:
    """Opens a release.

    Args:
        terms: public.
        shares: of each side, eligible groups × columns words, without noise.
        noises: of each side, likewise.
        streams: of each side.
        transfers: those in which the exposure side sends; needed without noise.
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
    sent = [(side, Sent("release.terms", terms.digest())) for side in _SIDES]
    first, second = (
        b"".join(
            commit_cell(session_id=session_id, side=side, cell=k, salt=salts[side][k], word=words[side][k])
            for k in cells
        )
        for side in _SIDES
    )
    for side, commitments in zip(_SIDES, (first, second), strict=True):
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
        assert transfers is not None
        verdict_of, messages = _compared(terms, words, streams, transfers)
        sent += messages
    else:
        verdicts = [signed[k] >= terms.min_people for k in gates]
        verdict_of = dict(zip(gates, verdicts, strict=True))
        sent += opened("release.gates", gates)
        if not all(terms.receives):
            sole = terms.receives.index(True)
            sent += [(sole, Sent("release.suppression", part)) for part in pieces(packed(verdicts), _CHUNK_BYTES)]
    passed = [[verdict_of[group * columns + gate] for gate in terms.gates] for group in range(groups)]
    already = set() if terms.noise == "none" else set(gates)
    rest = [k for k in cells if passed[k // columns][k % columns] and terms.declared[k % columns] and k not in already]
    sent += opened("release.cells", rest)
    seen = already | set(rest)
    values = [
        [signed[g * columns + j] if g * columns + j in seen else 0 for j in range(columns)] for g in range(groups)
    ]
    return Opened(sent=sent, passed=passed, values=values, commitments=(first, second))


def _compared(
    terms: Terms, words: Sequence[Sequence[int]], streams: Sequence[Streams], transfers: Transfers
) -> tuple[dict[int, bool], list[tuple[int, Sent]]]:
    """The verdicts of all gate cells, round by round, and the messages."""
    columns = len(terms.gates)
    groups = range(len(words[0]) // columns)
    verdicts: dict[int, bool] = {}
    released: dict[tuple[int, int], list[int]] = {}  # (group, chain) -> both shares of its last released count
    sent: list[tuple[int, Sent]] = []
    for number, decided in enumerate(rounds(terms)):
        cells = [(group, column, above) for group in groups for column, above in decided]
        width = max(1, len(decided[0][1]))
        asked: list[list[int]] = [[], []]
        for group, column, above in cells:
            for chain in above or (0,):
                base = released.get((group, chain), [0, 0])
                for side in _SIDES:
                    asked[side].append((words[side][group * columns + column] - base[side]) % _WORD)
        one, other, messages = compare(transfers, asked[0], asked[1], terms.min_people)
        if width > 1:
            rows = [[bits[at : at + width] for at in range(0, len(bits), width)] for bits in (one, other)]
            one, other, more = conjoin(transfers, rows[0], rows[1])
            messages += more
        sent += [(side, Sent(f"release.{step}", payload)) for side, (step, payload) in messages]
        sent += _opened_bits(streams, [packed(one), packed(other)], number)
        for (group, column, above), a, b in zip(cells, one, other, strict=True):
            cell = group * columns + column
            verdicts[cell] = a != b
            if len(above) == 1 and a != b:
                released[group, above[0]] = [words[side][cell] for side in _SIDES]
    return verdicts, sent


def _opened_bits(streams: Sequence[Streams], parts: Sequence[bytes], number: int) -> list[tuple[int, Sent]]:
    """The bits of a round: commitments, then salts and bits."""
    keys = [
        own.key("release", "bits salt", direction=name, attempt=number)
        for own, name in zip(streams, _NAMES, strict=True)
    ]
    salts = [keystream(key, 32) for key in keys]
    session_id = streams[0].session_id
    commitments = [commit_bits(session_id=session_id, side=side, salt=salts[side], bits=parts[side]) for side in _SIDES]
    sent = [(side, Sent("release.bits_commitment", commitments[side])) for side in _SIDES]
    return sent + [(side, Sent("release.bits", salts[side] + parts[side])) for side in _SIDES]
