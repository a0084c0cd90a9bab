"""The hint: the outcome side's rows in one table, under the pseudorandom function of their bins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tools.slow import cuckoo, okvs
from tools.slow.frames import Sent, pieces
from tools.slow.streams import Streams, keystream

__all__ = ["Hint", "Prf", "receive", "send", "words_of"]

WORD: Final = 1 << 64
_ATTEMPTS: Final = 8
Prf = Callable[[int, bytes], bytes]
"""F: (bin, input) -> 8 + 8m bytes."""


def words_of(data: bytes) -> list[int]:
    """Little-endian 64-bit words."""
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What the sender keeps, and its messages."""

    targets: list[int]  # a word a bin
    masks: list[list[int]]  # m words a bin
    fresh: bytes
    table: list[int]
    sent: list[Sent]


def _table_seed(session_id: bytes, fresh: bytes, bucket: int) -> bytes:
    number = bucket.to_bytes(4, "little")
    return hashlib.sha256(b"cleanroom/hint/table/v1" + number + session_id + fresh).digest()[:16]


def send(
    *,
    streams: Streams,
    rows: Mapping[bytes, Sequence[int]],
    columns: int,
    rows_outcome: int,
    n_bins: int,
    bin_seed: bytes,
    prf: Prf,
    bucket: int = 0,
) -> Hint:
    """The outcome side: row key -> m words in, targets, masks and the table out."""
    targets = words_of(keystream(streams.key("hint", "targets", bucket=bucket), 8 * n_bins))
    flat = words_of(keystream(streams.key("hint", "masks", bucket=bucket), 8 * n_bins * columns))
    masks = [flat[columns * at : columns * (at + 1)] for at in range(n_bins)]
    padding = keystream(streams.key("hint", "padding", bucket=bucket), 16 * (rows_outcome - len(rows)))
    entries = [(key, 0, list(values)) for key, values in rows.items()]
    entries += [(padding[at : at + 16], 2, [0] * columns) for at in range(0, len(padding), 16)]
    points, encoded = [], []
    for key, domain, values in entries:
        for choice, at in enumerate(cuckoo.positions(key, bin_seed, n_bins)):
            point = key + bytes([choice, domain]) + bytes(8)
            plain = [targets[at], *((value - mask) % WORD for value, mask in zip(values, masks[at], strict=True))]
            points.append(point)
            encoded.append(_joined(plain) ^ int.from_bytes(prf(at, point), "little"))
    shape = okvs.shape_of(len(points), 1 + columns)
    for attempt in range(_ATTEMPTS):
        fresh = streams.key("hint", "table seed", bucket=bucket, attempt=attempt)
        table = okvs.encode(
            points,
            encoded,
            seed=_table_seed(streams.session_id, fresh, bucket),
            fill_key=streams.key("hint", "fill", bucket=bucket, attempt=attempt),
            shape=shape,
        )
        if table is not None:
            size = max(1, (1 << 20) // (8 * shape.words)) * 8 * shape.words
            chunks = [Sent("hint.table", part) for part in pieces(okvs.table_bytes(table, shape), size)]
            sent = [Sent("hint.seed", fresh), *chunks]
            return Hint(targets=targets, masks=masks, fresh=fresh, table=table, sent=sent)
    raise ValueError("no table under any attempt")


def receive(
    *,
    session_id: bytes,
    hint: Hint,
    queries: Sequence[bytes],
    answers: Sequence[bytes],
    rows_outcome: int,
    bucket: int = 0,
) -> list[list[int]]:
    """The exposure side: t and z of each bin, 1 + m words."""
    words = len(answers[0]) // 8
    seed, shape = _table_seed(session_id, hint.fresh, bucket), okvs.shape_of(3 * rows_outcome, words)
    decoded = okvs.decode(queries, hint.table, seed=seed, shape=shape)
    return [
        words_of((value ^ int.from_bytes(answer, "little")).to_bytes(8 * words, "little"))
        for value, answer in zip(decoded, answers, strict=True)
    ]


def _joined(words: Sequence[int]) -> int:
    return sum(word << 64 * place for place, word in enumerate(words))
