"""The oblivious PRF of profile `vole`, one bin at a time: field elements are Python integers, bit i is x^i."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.slow import silent_vole
from tools.slow.frames import Sent
from tools.slow.kkrt import two_parts
from tools.slow.streams import Streams
from tools.slow.transfers import Transfers, multiply_128, row_of

__all__ = ["Answered", "evaluate", "hash_element", "masked", "point", "run", "sender_row"]

PREFIX_BYTES: Final = 64
ELEMENT_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What both sides hold of a bucket, an element a bin, and what they sent."""

    delta: int
    rows: list[int]  # w, the sender's
    values: list[int]  # v, the receiver's: each is hashed to its bin's answer
    messages: list[tuple[bool, Sent]]  # (whether the receiver sends it, message)


def _prefix(label: bytes, session_id: bytes, bucket: int) -> bytes:
    prefix = label + session_id + bucket.to_bytes(4, "little")
    return prefix + bytes(PREFIX_BYTES - len(prefix))


def point(session_id: bytes, bucket: int, data: bytes) -> int:
    """H: the field element of 26 bytes."""
    prefix = _prefix(b"cleanroom/oprf-vole/input/v1", session_id, bucket)
    return int.from_bytes(hashlib.sha256(prefix + data).digest()[:ELEMENT_BYTES], "little")


def masked(session_id: bytes, bucket: int, query: bytes, mask: int) -> bytes:
    """What the receiver sends for a bin: u + H(query)."""
    return (mask ^ point(session_id, bucket, query)).to_bytes(ELEMENT_BYTES, "little")


def sender_row(key: int, delta: int, message: bytes) -> int:
    """The sender's w of a bin: k + c · Δ."""
    return key ^ multiply_128(int.from_bytes(message, "little"), delta)


def hash_element(session_id: bytes, bucket: int, index: int, element: int, output_bytes: int) -> bytes:
    """G: an element of a bin to the two parts of an output."""
    head = _prefix(b"cleanroom/oprf-vole/v1", session_id, bucket)
    head += index.to_bytes(8, "little") + element.to_bytes(ELEMENT_BYTES, "little")
    return two_parts(head, output_bytes)


def evaluate(
    row: int, delta: int, session_id: bytes, bucket: int, *, index: int, data: bytes, output_bytes: int
) -> bytes:
    """F at one (bin, input), by who holds the sender's row and Δ."""
    element = row ^ multiply_128(point(session_id, bucket, data), delta)
    return hash_element(session_id, bucket, index, element, output_bytes)


def run(*, receiver: Streams, sender: Streams, queries: Sequence[bytes], bucket: int) -> Answered:
    """Both sides of a bucket, a query a bin."""
    label = f"oprf-vole {bucket}"
    transfers = Transfers(sender=sender, receiver=receiver, label=label)
    made = silent_vole.run(
        transfers, flavour=silent_vole.ELEMENTS, sender=sender, receiver=receiver, label=label, count=len(queries)
    )
    delta = row_of(transfers.delta)
    points = [masked(receiver.session_id, bucket, query, u) for query, u in zip(queries, made.u, strict=True)]
    return Answered(
        delta=delta,
        rows=[sender_row(k, delta, message) for k, message in zip(made.k, points, strict=True)],
        values=made.v,
        messages=[
            *((not own, message) for own, message in transfers.messages()),
            *made.messages,
            (True, Sent("oprf.masked", b"".join(points))),
        ],
    )
