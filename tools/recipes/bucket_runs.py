"""A join in two buckets: both sides' rows, the bucket of each, every frame, and both shares."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from tools.recipes.record import SESSION_ID, Json, head, listed, parties, streams, table
from tools.slow import join
from tools.slow.join import Exposure, Joined, Outcome, Shape
from tools.slow.transcript import numbered

__all__ = ["buckets_run"]

SHAPE: Final = Shape(
    profile="kkrt",
    rows_exposure=32,
    rows_outcome=64,
    groups=2,
    class_position=(0, 1),
    weight_bound=3,
    bucket_rows=32,
)
TARGETS_PER_ROW: Final = 2
HELD: Final = range(30)
BOUGHT: Final = range(10, 70)


def _key(number: int) -> bytes:
    return hashlib.sha256(b"row %d" % number).digest()[:16]


EXPOSURE_ROWS: Final = Exposure(
    keys=[_key(number) for number in HELD],
    weights=[[(number % 2, 1 + number % 3)] + ([(2 + number % 2, -1)] if number % 4 else []) for number in HELD],
)
OUTCOME_ROWS: Final = Outcome(
    keys=[_key(number) for number in BOUGHT],
    values=[[1 + number, (1 << 63) + number] for number in BOUGHT],
)


@cache
def _made() -> Joined:
    return join.run(SHAPE, streams(), EXPOSURE_ROWS, OUTCOME_ROWS)


def _bucket(key: bytes) -> int:
    return join.bucket_of(key, SESSION_ID, SHAPE.buckets)


def buckets_run() -> Json:
    """buckets/v1/kkrt.json."""
    made = _made()
    return {
        **head("buckets", "wire/buckets.md"),
        **parties(),
        "profile": SHAPE.profile,
        "rows_exposure": SHAPE.rows_exposure,
        "rows_outcome": SHAPE.rows_outcome,
        "bucket_rows": SHAPE.bucket_rows,
        "groups": SHAPE.groups,
        "class_position": list(SHAPE.class_position),
        "weight_bound": SHAPE.weight_bound,
        "targets_per_row": TARGETS_PER_ROW,
        "exposure": [
            {"key": key.hex(), "bucket": _bucket(key), "weights": [list(entry) for entry in entries]}
            for key, entries in zip(EXPOSURE_ROWS.keys, EXPOSURE_ROWS.weights, strict=True)
        ],
        "outcome": [
            {"key": key.hex(), "bucket": _bucket(key), "values": [str(word) for word in words]}
            for key, words in zip(OUTCOME_ROWS.keys, OUTCOME_ROWS.values, strict=True)
        ],
        "frames": listed(numbered(made.sent)),
        "shares_outcome": table(made.shares[1]),
        "shares_exposure": table(made.shares[0]),
    }
