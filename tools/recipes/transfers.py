"""Two set-ups of transfers and, over the same state, an equality test, a multiplexer and a comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tools.recipes.record import EXPOSURE, OUTCOME, SESSION_ID, SIDES, Json, head, numbered, parties, streams
from tools.slow.frames import Sent
from tools.slow.selections import compare, equal, select
from tools.slow.transfers import Transfers

__all__ = ["transcripts"]

SEEDS = (b"\x01" * 32, b"\x02" * 32)


def _words(label: str, count: int) -> list[int]:
    """SHA-256(label ‖ number as text), the first 8 bytes."""
    digests = (hashlib.sha256(f"{label}{number}".encode()).digest() for number in range(count))
    return [int.from_bytes(digest[:8], "little") for digest in digests]


def _run(name: str, sent: Sequence[tuple[int, Sent]], *outputs: bytes) -> Json:
    frames = [
        {
            "from": SIDES[one.sender],
            "step": one.step,
            "length": len(one.data),
            "sha256": hashlib.sha256(one.data).hexdigest(),
        }
        for one in numbered(sent)
    ]
    digests = [hashlib.sha256(output).hexdigest() for output in outputs]
    return {"run": name, **({"outputs": digests} if outputs else {}), "frames": frames}


def _pairs(words: Sequence[int]) -> list[list[int]]:
    return [list(words[at : at + 2]) for at in range(0, len(words), 2)]


def _flat(rows: Sequence[Sequence[int]]) -> bytes:
    return b"".join(word.to_bytes(8, "little") for row in rows for word in row)


def transcripts() -> Json:
    """ot/v1/transcripts.json."""
    exposure, outcome = streams(seeds=SEEDS)
    forth = Transfers(sender=exposure, receiver=outcome, label="exposure-sends")
    back = Transfers(sender=outcome, receiver=exposure, label="outcome-sends")
    runs = [
        _run("setup exposure-sends", [(EXPOSURE if own else OUTCOME, one) for own, one in forth.messages()]),
        _run("setup outcome-sends", [(OUTCOME if own else EXPOSURE, one) for own, one in back.messages()]),
    ]
    a = _words("equality", 60)
    b = [word ^ (1 << place if place % 3 == 0 else 0) for place, word in enumerate(a)]
    first, second, sent = equal(forth, a, b)
    assert [one ^ other for one, other in zip(first, second, strict=True)] == [
        int(one == other) for one, other in zip(a, b, strict=True)
    ]
    runs.append(_run("equality", sent, bytes(first), bytes(second)))
    one, other, sent = select(forth, back, (first, second), _pairs(_words("z", 120)), _pairs(_words("r", 120)))
    runs.append(_run("mux", sent, _flat(one), _flat(other)))
    masks = _words("comparison", 40)
    rest = [(count - mask) % (1 << 64) for count, mask in zip(range(30, 70), masks, strict=True)]
    first, second, sent = compare(forth, masks, rest, 50)
    assert [x ^ y for x, y in zip(first, second, strict=True)] == [int(count >= 50) for count in range(30, 70)]
    runs.append(_run("comparison", sent, bytes(first), bytes(second)))
    return {**head("ot", "wire/ot.md"), **parties(SESSION_ID, SEEDS), "runs": runs}
