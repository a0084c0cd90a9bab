"""What the recipes share: fixed seeds, numbered frames, and the head of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from tools.slow.streams import Streams
from tools.slow.transcript import Frame

__all__ = [
    "EXPOSURE",
    "OUTCOME",
    "OWN",
    "SEEDS",
    "SESSION_ID",
    "SIDES",
    "Answers",
    "Json",
    "head",
    "listed",
    "parties",
    "streams",
    "table",
]

Json: TypeAlias = dict[str, Any]  # Any: values of any JSON type
Answers: TypeAlias = Iterator[tuple[str, bool]]
"""Of a file that was not made here: each answer's name, and whether the slow implementation gives it."""

SESSION_ID: Final = bytes(range(32))
SEEDS: Final = (b"\xa0" * 32, b"\xb0" * 32)
SIDES: Final = ("exposure", "outcome")
EXPOSURE: Final = 0
OUTCOME: Final = 1
OWN: Final = "the project's own"


def streams(session_id: bytes = SESSION_ID, seeds: tuple[bytes, bytes] = SEEDS) -> tuple[Streams, Streams]:
    """Both sides' streams."""
    exposure, outcome = (Streams(seed=seed, session_id=session_id) for seed in seeds)
    return exposure, outcome


def head(schema: str, page: str) -> Json:
    """What every file of the project's own begins with; `page` is where the step is described."""
    return {
        "$schema": f"../../schemas/{schema}.json",
        "source": f"{OWN}: docs/reference/{page}",
        "generator": "tools/vectors.py",
    }


def parties(session_id: bytes = SESSION_ID, seeds: tuple[bytes, bytes] = SEEDS) -> Json:
    """The fields of a run that stands alone: its session and both seeds."""
    return {"session_id": session_id.hex(), "seeds": dict(zip(SIDES, (seed.hex() for seed in seeds), strict=True))}


def listed(frames: Iterable[Frame]) -> list[Json]:
    """Frames as a file lists them: header and payload, by length and SHA-256."""
    return [
        {
            "from": SIDES[one.sender],
            "step": one.step,
            "bytes": len(one.data),
            "sha256": hashlib.sha256(one.data).hexdigest(),
        }
        for one in frames
    ]


def table(rows: Iterable[Iterable[int]]) -> list[list[str]]:
    """Words as decimal text: JSON numbers above 2^53 are not safe everywhere."""
    return [[str(word) for word in row] for row in rows]
