"""Writes tests/vectors/hint/v1/run.json from the plain references alone: no kernel, no protocol code.

F, which the OPRF gives in a run, is SHAKE-256(bin u64 LE ‖ input) here.

Usage: python tools/hint_vectors.py > tests/vectors/hint/v1/run.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np

from cleanroom.protocols.okvs import Shape
from cleanroom.protocols.reference import cuckoo, okvs
from cleanroom.protocols.seeds import Streams, keystream

SESSION_ID = bytes(range(32))
RECEIVER_SEED = bytes([0xA0]) * 32
SENDER_SEED = bytes([0xB0]) * 32
BINS = 12
COLUMNS = 2
ROWS_OUTCOME = 4
BAND = 256
WORD = 1 << 64


def row_key(name: str) -> bytes:
    """A row's 16 bytes."""
    return hashlib.sha256(name.encode()).digest()[:16]


def prf(at: int, query: bytes) -> bytes:
    """F of a query under the key of a bin: 8 bytes, and 8 for each column."""
    return hashlib.shake_256(at.to_bytes(8, "little") + query).digest(8 + 8 * COLUMNS)


def positions(keys: list[bytes], seed: bytes) -> Any:
    """The three bins of each key."""
    return cuckoo.positions(np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16), seed, BINS)


def pieces(data: bytes, size: int) -> list[bytes]:
    """Data cut into equal pieces."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def vectors() -> dict[str, Any]:
    """The vector file's content."""
    seed = hashlib.sha256(b"cleanroom/bins/v1" + bytes(8) + SESSION_ID).digest()
    exposure = [row_key(name) for name in "abcdef"]
    outcome = {row_key("b"): [1, 2], row_key("e"): [WORD - 1, 7], row_key("x"): [5, 0]}

    placed = cuckoo.place(positions(exposure, seed), BINS)
    assert placed is not None
    dummy_key = Streams(seed=RECEIVER_SEED, session_id=SESSION_ID).key(step="bins", purpose="dummies")
    dummies = pieces(keystream(dummy_key, 16 * BINS), 16)
    queries = [
        exposure[row] + bytes([choice, 0]) + bytes(8) if row >= 0 else dummies[at] + b"\0\1" + at.to_bytes(8, "little")
        for at, (row, choice) in enumerate(zip(*placed, strict=True))
    ]

    streams = Streams(seed=SENDER_SEED, session_id=SESSION_ID)
    own = {purpose: streams.key(step="hint", purpose=purpose) for purpose in ("targets", "masks", "padding", "fill")}
    fresh = streams.key(step="hint", purpose="table seed")
    targets = [int.from_bytes(piece, "little") for piece in pieces(keystream(own["targets"], 8 * BINS), 8)]
    words = [int.from_bytes(piece, "little") for piece in pieces(keystream(own["masks"], 8 * BINS * COLUMNS), 8)]
    masks = [words[COLUMNS * at : COLUMNS * (at + 1)] for at in range(BINS)]
    padding = pieces(keystream(own["padding"], 16 * (ROWS_OUTCOME - len(outcome))), 16)
    rows = [(key, 0, values) for key, values in outcome.items()] + [(key, 2, [0] * COLUMNS) for key in padding]
    points, encoded = [], []
    for (key, domain, values), bins in zip(rows, positions([row[0] for row in rows], seed), strict=True):
        for choice, at in enumerate(int(index) for index in bins):
            point = key + bytes([choice, domain]) + bytes(8)
            plain = [targets[at], *((value - mask) % WORD for value, mask in zip(values, masks[at], strict=True))]
            answer = [int.from_bytes(piece, "little") for piece in pieces(prf(at, point), 8)]
            points.append(point)
            encoded.append([one ^ other for one, other in zip(plain, answer, strict=True)])
    shape = Shape(starts=-(-33 * ROWS_OUTCOME // 10), band=BAND, words=1 + COLUMNS)
    table_seed = hashlib.sha256(b"cleanroom/hint/table/v1" + bytes(4) + SESSION_ID + fresh).digest()[:16]
    table = okvs.encode(
        np.frombuffer(b"".join(points), np.uint8).reshape(len(points), 26),
        np.array(encoded, dtype=np.uint64),
        seed=table_seed,
        fill_key=own["fill"],
        shape=shape,
    )
    assert table is not None
    return {
        "schema": "hex; words as decimal text; bins in order; messages: SHA-256 of each payload, in order",
        "source": "the project's own: docs/reference/wire/hint.md",
        "generator": "tools/hint_vectors.py, from the plain references",
        "independent_check": "tests/protocols/test_hint.py runs bins and hint on the kernels",
        "session_id": SESSION_ID.hex(),
        "receiver_seed": RECEIVER_SEED.hex(),
        "sender_seed": SENDER_SEED.hex(),
        "bin_seed": seed.hex(),
        "n_bins": BINS,
        "rows_outcome": ROWS_OUTCOME,
        "exposure": [
            {"key": key.hex(), "positions": [int(index) for index in bins]}
            for key, bins in zip(exposure, positions(exposure, seed), strict=True)
        ],
        "outcome": [{"key": key.hex(), "values": [str(value) for value in row]} for key, row in outcome.items()],
        "queries": [query.hex() for query in queries],
        "targets": [str(word) for word in targets],
        "masks": [str(word) for word in words],
        "messages": [
            {"step": "hint.seed", "sha256": hashlib.sha256(fresh).hexdigest()},
            {"step": "hint.table", "sha256": hashlib.sha256(table.astype("<u8").tobytes()).hexdigest()},
        ],
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=2)
    sys.stdout.write("\n")
