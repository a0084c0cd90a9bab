"""Silent vector OLE (ePrint 2019/273, 2019/1159; code of ePrint 2023/882), both sides at once, one element at a time.

Elements, rows and nodes are integers. The two fields differ in the transfers that the noise's values take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from hashlib import sha256
from operator import xor
from typing import Final, NamedTuple

from tools.slow.aes import encrypt
from tools.slow.frames import Sent, pieces
from tools.slow.streams import Streams, keystream
from tools.slow.transfers import Transfers, multiply_128, row_of

__all__ = ["ELEMENTS", "ROWS", "Flavour", "Vole", "code_key", "encode", "grow", "run", "tree_keys"]

WINDOW: Final = 25
REGULAR: Final = 11
TAPS: Final = 21
SMALLEST: Final = 1 << 12
LARGEST: Final = 1 << 18


class Flavour(NamedTuple):
    """A field and the noise that it takes."""

    bits: int
    blocks: int


ROWS: Final = Flavour(4, 512)
"""u in F16; v, k and Δ are rows of 32 elements."""
ELEMENTS: Final = Flavour(128, 1024)
"""GF(2^128)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vole:
    """What both sides hold, and their messages: (whether the receiver sends it, message)."""

    u: list[int]
    v: list[int]
    k: list[int]
    messages: list[tuple[bool, Sent]]


def tree_keys(session_id: bytes, label: str) -> bytes:
    """The public keys of a batch's trees."""
    domain = session_id + len(label.encode()).to_bytes(2, "little") + label.encode()
    return sha256(b"cleanroom/silent-vole/trees/v1" + domain).digest()


def code_key(session_id: bytes) -> bytes:
    """The public key of a session's code."""
    return sha256(b"cleanroom/silent-vole/code/v1" + session_id).digest()[:16]


def grow(root: bytes, keys: bytes, tree: int, depth: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Grows a tree; returns the sums of left and of right children of each level, and the leaves."""
    sides = [(int.from_bytes(key, "little") ^ tree).to_bytes(16, "little") for key in (keys[:16], keys[16:])]
    sums, nodes = [], [root]
    for _ in range(depth):
        both = [
            [_added(made, node) for made, node in zip(pieces(encrypt(key, b"".join(nodes)), 16), nodes, strict=True)]
            for key in sides
        ]
        sums.append((_total(map(_number, both[0])), _total(map(_number, both[1]))))
        nodes = [child for pair in zip(*both, strict=True) for child in pair]
    return sums, [_number(node) for node in nodes]


@cache
def _words(key: bytes, domain: int, count: int) -> list[int]:
    """The first words of 32 bits of a domain of the code's public stream."""
    counters = b"".join(number.to_bytes(8, "little") + domain.to_bytes(8, "little") for number in range(-(-count // 4)))
    return [_number(word) for word in pieces(encrypt(key, counters), 4)][:count]


def _convolve(words: Sequence[int], vector: list[int]) -> list[int]:
    size = len(vector)
    done: list[int] = []
    ends = []
    for row in range(size + WINDOW):
        window = words[row] | 1  # bit k stands for position row - 25 + k
        total = 0
        for bit in range(WINDOW):
            place = row - WINDOW + bit
            if window >> bit & 1 and 0 <= place < size:
                total ^= done[place]
        if row < size:
            done.append(vector[row] ^ total)
        else:
            ends.append(total)
    return [value ^ end for value, end in zip(done, ends + [0] * (size - WINDOW), strict=True)]


def encode(key: bytes, vector: Sequence[int]) -> list[int]:
    """The code's dual encoder: 2n elements to n."""
    size = len(vector) // 2
    right = list(vector[size:])
    for domain in (0, 1):
        right = _convolve(_words(key, domain, size + WINDOW), right)
    out = list(vector[:size])
    part = size // REGULAR
    for tap in range(TAPS):
        start, range_ = (tap * part, part) if tap < REGULAR else (0, size)
        for place, word in enumerate(_words(key, 2 + tap, size)):
            out[place] ^= right[start + (word * range_ >> 32)]
    return out


def run(transfers: Transfers, *, flavour: Flavour, sender: Streams, receiver: Streams, label: str, count: int) -> Vole:
    """Makes `count` outputs of one batch, numbered 0 under the label.

    Args:
        transfers: set up in the same direction.
        flavour: which field.
        sender: the streams of the side that holds Δ.
        receiver: the streams of the side that holds u.
        label: the label, with the number of the call where there is one.
        count: at most 2^18.
    """
    outputs = max(SMALLEST, 1 << (count - 1).bit_length())
    assert 1 <= count <= LARGEST
    block = 2 * outputs // flavour.blocks
    depth = block.bit_length() - 1
    batch = f"{label} 0"
    each = 8 if flavour == ROWS else 16
    drawn = keystream(receiver.key("silent_vole", batch, direction="receiver"), flavour.blocks * (4 + each))
    positions = [_number(word) % block for word in pieces(drawn[: 4 * flavour.blocks], 4)]
    random = [_number(word) for word in pieces(drawn[4 * flavour.blocks :], each)]
    values = [number % 15 + 1 for number in random] if flavour == ROWS else random

    turns = transfers.extend([1 - bit for position in positions for bit in _bits(position, depth)], width=1)
    if flavour == ROWS:
        of_values = transfers.extend(values, width=4)
        w, q = of_values.received, of_values.sent
    else:
        of_values = transfers.extend([value >> bit & 1 for value in values for bit in range(128)], width=1)
        w, q = (_combined(rows) for rows in (of_values.received, of_values.sent))

    keys = tree_keys(sender.session_id, batch)
    roots = pieces(keystream(sender.key("silent_vole", batch, direction="sender"), 16 * flavour.blocks), 16)
    trees = [grow(root, keys, tree, depth) for tree, root in enumerate(roots)]
    pads = [[_number(_joined(key)) for key in turns.sender_keys(side, 2)] for side in (0, 1)]
    sums = [side for levels, _ in trees for level in levels for side in level]
    masked = [one ^ pads[place % 2][place // 2] for place, one in enumerate(sums)]
    words = [_total(leaves) ^ one for (_, leaves), one in zip(trees, q, strict=True)]

    k, v, e = [], [], []
    for (_, leaves), position, value, word, own in zip(trees, positions, values, words, w, strict=True):
        k += leaves
        others = _total(leaves) ^ leaves[position]
        v += [*leaves[:position], word ^ own ^ others, *leaves[position + 1 :]]
        e += [0] * position + [value] + [0] * (block - 1 - position)
    code = code_key(sender.session_id)
    u, v, k = (encode(code, vector)[:count] for vector in (e, v, k))

    def times_delta(factor: int) -> int:
        return row_of(transfers.delta, factor) if flavour == ROWS else multiply_128(factor, row_of(transfers.delta))

    assert all(made == own ^ times_delta(factor) for made, own, factor in zip(k, v, u, strict=True))
    return Vole(
        u=u,
        v=v,
        k=k,
        messages=[
            (True, Sent("silent_vole.positions", turns.correction)),
            (True, Sent("silent_vole.values", of_values.correction)),
            (False, Sent("silent_vole.sums", b"".join(one.to_bytes(16, "little") for one in masked + words))),
        ],
    )


def _bits(position: int, depth: int) -> list[int]:
    """A position's bits, most significant first."""
    return [position >> level & 1 for level in range(depth - 1, -1, -1)]


def _combined(rows: Sequence[int]) -> list[int]:
    """Σ x^b·row b of 128 rows each."""
    out = []
    for at in range(0, len(rows), 128):
        total = 0
        for row in reversed(rows[at : at + 128]):
            total = multiply_128(total, 2) ^ row
        out.append(total)
    return out


def _joined(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(8, "little") for word in words)


def _added(one: bytes, other: bytes) -> bytes:
    return (_number(one) ^ _number(other)).to_bytes(len(one), "little")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _total(numbers: Iterable[int]) -> int:
    return reduce(xor, numbers, 0)
