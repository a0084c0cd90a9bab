"""Two set-ups of transfers and, over the same state, equality, multiplexer, comparison and conjunction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

from tools.recipes.record import EXPOSURE, OUTCOME, SESSION_ID, Json, head, listed, parties, streams
from tools.slow.frames import Sent
from tools.slow.selections import compare, conjoin, equal, select
from tools.slow.transcript import Frame, numbered
from tools.slow.transfers import Transfers

__all__ = ["SEEDS", "transfers_frames", "transfers_run", "words"]

SEEDS = (b"\x01" * 32, b"\x02" * 32)


def words(label: str, count: int) -> list[int]:
    """SHA-256(label ‖ number as text), the first 8 bytes."""
    digests = (hashlib.sha256(f"{label}{number}".encode()).digest() for number in range(count))
    return [int.from_bytes(digest[:8], "little") for digest in digests]


def _pairs(words: Sequence[int]) -> list[list[int]]:
    return [list(words[at : at + 2]) for at in range(0, len(words), 2)]


def _flat(rows: Sequence[Sequence[int]]) -> bytes:
    return b"".join(word.to_bytes(8, "little") for row in rows for word in row)


@cache
def _run() -> tuple[list[Frame], Json]:
    """The frames, and by step what both sides got."""
    exposure, outcome = streams(seeds=SEEDS)
    forth = Transfers(sender=exposure, receiver=outcome, label="exposure-sends")
    back = Transfers(sender=outcome, receiver=exposure, label="outcome-sends")
    sent = [(EXPOSURE if own else OUTCOME, one) for own, one in forth.messages()]
    sent += [(OUTCOME if own else EXPOSURE, one) for own, one in back.messages()]
    outputs: Json = {}

    def add(name: str, messages: Sequence[tuple[int, Sent]], one: bytes, other: bytes) -> None:
        sent.extend(messages)
        outputs[name] = [hashlib.sha256(output).hexdigest() for output in (one, other)]

    a = words("equality", 60)
    b = [word ^ (1 << place if place % 3 == 0 else 0) for place, word in enumerate(a)]
    first, second, messages = equal(forth, a, b)
    equals = [one ^ other for one, other in zip(first, second, strict=True)]
    assert equals == [int(one == other) for one, other in zip(a, b, strict=True)]
    add("equality", messages, bytes(first), bytes(second))

    one, other, messages = select(forth, back, (first, second), _pairs(words("z", 120)), _pairs(words("r", 120)))
    add("mux", messages, _flat(one), _flat(other))

    masks = words("comparison", 40)
    rest = [(count - mask) % (1 << 64) for count, mask in zip(range(30, 70), masks, strict=True)]
    first, second, messages = compare(forth, masks, rest, 50)
    assert [x ^ y for x, y in zip(first, second, strict=True)] == [int(count >= 50) for count in range(30, 70)]
    add("comparison", messages, bytes(first), bytes(second))

    # three rows of 70 bits, so that two blocks are joined once more: all ones, the last one zero, the first one zero
    held = [[word & 1 for word in words(f"conjunction {row} ", 70)] for row in range(3)]
    others = [[bit ^ (place != zero) for place, bit in enumerate(held[row])] for row, zero in enumerate((-1, 69, 0))]
    first, second, messages = conjoin(forth, held, others)
    assert [x ^ y for x, y in zip(first, second, strict=True)] == [1, 0, 0]
    add("conjunction", messages, bytes(first), bytes(second))
    return numbered(sent), outputs


def transfers_frames() -> list[Frame]:
    """The frames of ot/v1/run.json."""
    return _run()[0]


def transfers_run() -> Json:
    """ot/v1/run.json."""
    frames, outputs = _run()
    return {**head("ot", "wire/ot.md"), **parties(SESSION_ID, SEEDS), "outputs": outputs, "frames": listed(frames)}
