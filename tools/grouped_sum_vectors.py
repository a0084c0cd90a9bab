"""Writes tests/vectors/grouped_sum/v1/run.json from the plain references alone: no kernel, no protocol code.

Usage: python tools/grouped_sum_vectors.py > tests/vectors/grouped_sum/v1/run.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from cleanroom.protocols.reference import grouped_sum
from cleanroom.protocols.seeds import Streams

SESSION_ID = bytes(range(32))
RECEIVER_SEED = bytes([0xA0]) * 32
SENDER_SEED = bytes([0xB0]) * 32
PUBLIC: dict[str, Any] = {"groups": 2, "class_position": [0, 1], "rows": 16384, "weight_bound": 4096}
BINS = 8194  # a full block and two bins of the next
WEIGHTS = [(0, 0, 7), (5, 0, -4096), (8193, 0, 11), (8191, 1, 1), (5, 2, 3), (8192, 2, 4096)]  # target 3 has none


def word(bin_: int, column: int) -> int:
    """The sender's share of a bin: the first 8 bytes of a hash of its place."""
    return int.from_bytes(hashlib.sha256(b"share %d %d" % (bin_, column)).digest()[:8], "little")


def vectors() -> dict[str, Any]:
    """The vector file's content."""
    shares = [[word(bin_, column) for column in range(2)] for bin_ in range(BINS)]
    messages, sender, receiver = grouped_sum.run(
        sender=Streams(seed=SENDER_SEED, session_id=SESSION_ID),
        receiver=Streams(seed=RECEIVER_SEED, session_id=SESSION_ID),
        shares=shares,
        weights=WEIGHTS,
        **PUBLIC,
    )
    return {
        "schema": "weights: (bin, target, weight); shares: rows of words; messages: all payloads of a step, joined",
        "source": "the project's own: docs/reference/wire/grouped-sum.md",
        "generator": "tools/grouped_sum_vectors.py, from the plain references",
        "independent_check": "tests/protocols/test_grouped_sum.py runs the protocol on the kernels",
        "session_id": SESSION_ID.hex(),
        "receiver_seed": RECEIVER_SEED.hex(),
        "sender_seed": SENDER_SEED.hex(),
        **PUBLIC,
        "bins": BINS,
        "shares": 'word (bin, column) is the first 8 bytes, little endian, of SHA-256("share BIN COLUMN")',
        "weights": WEIGHTS,
        "messages": [
            {"step": step, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for step, data in messages
        ],
        "sender_share": [[str(value) for value in row] for row in sender],
        "receiver_share": [[str(value) for value in row] for row in receiver],
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=2)
    sys.stdout.write("\n")
