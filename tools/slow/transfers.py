"""Oblivious transfer extension (SoftSpokenOT, ePrint 2022/192, k = 4), both sides at once, with its two checks.

A column of field elements is four integers, one a coefficient: bit i belongs to transfer i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tools.slow import base_ot
from tools.slow.aes import encrypt, xor
from tools.slow.frames import Sent, pieces
from tools.slow.streams import Streams, keystream

__all__ = [
    "Batch",
    "Transfers",
    "challenge",
    "extend_receiver",
    "extend_sender",
    "fold",
    "ggm",
    "leaf_digests",
    "multiply",
    "multiply_128",
    "row_of",
    "stream_of",
    "tmmo",
]

TREES: Final = 32
DEPTH: Final = 4
LEAVES: Final = 16
GROUP: Final = 128
Column = list[int]


def multiply(left: int, right: int) -> int:
    """In GF(2)[α]/(α⁴ + α + 1)."""
    product = 0
    for bit in range(DEPTH):
        if right >> bit & 1:
            product ^= left << bit
    for bit in range(6, 3, -1):
        if product >> bit & 1:
            product ^= 0b10011 << (bit - 4)
    return product


def multiply_128(left: int, right: int) -> int:
    """In GF(2)[x]/(x^128 + x^7 + x^2 + x + 1), bit i being the coefficient of x^i."""
    product = 0
    for bit in range(127, -1, -1):
        product <<= 1
        if product >> 128:
            product ^= 1 << 128 | 0b10000111
        if right >> bit & 1:
            product ^= left
    return product


def scale(factor: int, column: Column) -> Column:
    """A column times one element."""
    total = [0] * DEPTH
    for bit in range(DEPTH):
        if factor >> bit & 1:
            total = [one ^ other for one, other in zip(total, column, strict=True)]
        column = [column[3], column[0] ^ column[3], column[1], column[2]]
    return total


def ggm(root: bytes) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Grows a tree; returns the sums of left and right children of each level, and the sixteen leaves."""
    sums, nodes = [], [root]
    for _ in range(DEPTH):
        both = [encrypt(node, bytes(16) + (1).to_bytes(16, "little")) for node in nodes]
        sums.append((xor(*(pair[:16] for pair in both)), xor(*(pair[16:] for pair in both))))
        nodes = [child for pair in both for child in (pair[:16], pair[16:])]
    return sums, nodes


def tmmo(key: bytes, first: int, rows: Sequence[int], choices: Sequence[int], blocks: int) -> list[bytes]:
    """H of each row under (transfer, choice, block), transfers counted from `first`: blocks × 16 bytes a row."""
    out = [b""] * len(rows)
    inner = encrypt(key, b"".join(row.to_bytes(16, "little") for row in rows))
    for block in range(blocks):
        tweaks = b"".join(
            (first + place).to_bytes(8, "little") + block.to_bytes(4, "little") + choice.to_bytes(4, "little")
            for place, choice in enumerate(choices)
        )
        hashed = pieces(xor(encrypt(key, xor(inner, tweaks)), inner), 16)
        out = [one + other for one, other in zip(out, hashed, strict=True)]
    return out


def row_of(delta: Sequence[int], factor: int = 1) -> int:
    """factor·Δ as a row of 128 bits."""
    return sum(multiply(factor, element) << 4 * place for place, element in enumerate(delta))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch of transfers: the receiver's message, its rows V, the sender's rows Q."""

    correction: bytes
    choices: list[int]
    received: list[int]  # V, a row a transfer
    sent: list[int]  # Q
    delta: list[int]
    hash_key: bytes
    first: int
    preparation: tuple[tuple[bool, Sent], ...] = ()  # messages before it: (whether the sender sends it, message)

    def receiver_keys(self, words: int) -> list[list[int]]:
        """The chosen key of each transfer."""
        return [
            _words(key, words) for key in tmmo(self.hash_key, self.first, self.received, self.choices, -(-words // 2))
        ]

    def sender_keys(self, choice: int, words: int) -> list[list[int]]:
        """The key of one choice of each transfer."""
        shift = row_of(self.delta, choice)
        rows = [row ^ shift for row in self.sent]
        return [
            _words(key, words) for key in tmmo(self.hash_key, self.first, rows, [choice] * len(rows), -(-words // 2))
        ]

    def tables(self, tables: Sequence[Sequence[int]]) -> tuple[bytes, list[list[int]]]:
        """Masks tables of sixteen messages; returns what is sent and the bits that the receiver opens."""
        pads = [self.sender_keys(choice, 1) for choice in range(LEAVES)]
        masked = [
            [
                word ^ sum((pads[choice][place][0] >> bit & 1) << choice for choice in range(LEAVES))
                for bit, word in enumerate(words)
            ]
            for place, words in enumerate(tables)
        ]
        own = self.receiver_keys(1)
        opened = [
            [(word >> self.choices[place] ^ own[place][0] >> bit) & 1 for bit, word in enumerate(words)]
            for place, words in enumerate(masked)
        ]
        return b"".join(word.to_bytes(2, "little") for words in masked for word in words), opened


def _words(key: bytes, count: int) -> list[int]:
    return [int.from_bytes(key[at : at + 8], "little") for at in range(0, 8 * count, 8)]


class Transfers:
    """Both sides of a set-up; `extend` makes batches."""

    def __init__(self, *, sender: Streams, receiver: Streams, label: str) -> None:
        self._sender, self._receiver, self._label = sender, receiver, label
        domain = sender.session_id + len(label).to_bytes(2, "little") + label.encode()
        drawn = keystream(sender.key("ot", label, direction="sender"), TREES * DEPTH // 8)
        bits = [byte >> bit & 1 for byte in drawn for bit in range(7, -1, -1)]
        self.delta = [int("".join(map(str, part)), 2) for part in zip(*[iter(bits)] * DEPTH, strict=True)]
        self.elements = base_ot.receiver_message(
            sender.key("base_ot", label, direction="receiver"), domain, [1 - bit for bit in bits]
        )
        base_key = receiver.key("base_ot", label, direction="sender")
        self.answer = base_ot.sender_message(base_key, len(bits))
        trees = [ggm(root) for root in pieces(keystream(receiver.key("ot", label, direction="receiver"), 512), 16)]
        self._leaves = [leaves for _, leaves in trees]
        sums = b"".join(side for levels, _ in trees for pair in levels for side in pair)
        self._shifted = [  # leaf y ⊕ Δ at position y; the sender lacks leaf Δ
            [bytes(16), *(leaves[y ^ delta] for y in range(1, LEAVES))]
            for leaves, delta in zip(self._leaves, self.delta, strict=True)
        ]
        digests, self._setup = leaf_digests(domain, self._leaves)
        masked = xor(sums, base_ot.sender_keys(base_key, domain, self.elements))
        self.tree_sums = masked + digests + self._setup
        self._hash_key = sha256(b"cleanroom/ot/hash/v1" + domain).digest()[:16]
        self._block = self._transfer = self._drawn = self._masked = 0

    def messages(self) -> list[tuple[bool, Sent]]:
        """The set-up: (whether the later sender sends it, message)."""
        first = Sent("base_ot.receiver_elements", self.elements)
        return [
            (True, first),
            (False, Sent("base_ot.sender_elements", self.answer)),
            (False, Sent("ot.tree_sums", self.tree_sums)),
        ]

    def random_bits(self, count: int) -> list[int]:
        """Fresh bits of the sender's; every call begins with a whole byte."""
        size = -(-count // 8)
        key = self._sender.key("ot", self._label, direction="sender-masks")
        drawn = keystream(key, self._drawn + size)[self._drawn :]
        self._drawn += size
        return [drawn[place // 8] >> place % 8 & 1 for place in range(count)]

    def extend(self, choices: Sequence[int], *, width: int = DEPTH) -> Batch:
        """Makes a batch for choices of `width` bits."""
        groups = -(-len(choices) // GROUP) + 1
        first, transfer = self._block, self._transfer
        self._block, self._transfer = first + groups * width, transfer + groups * GROUP
        key = self._receiver.key("ot", self._label, direction="receiver-masks")
        mask = pieces(keystream(key, self._masked + 16 * width)[self._masked :], 16)
        self._masked += 16 * width
        message, received = extend_receiver(
            self._leaves, setup=self._setup, first=first, choices=choices, width=width, mask=mask
        )
        sent = extend_sender(
            self._shifted, self.delta, setup=self._setup, first=first, width=width, message=message, count=len(choices)
        )
        return Batch(
            correction=message,
            choices=list(choices),
            received=received,
            sent=sent,
            delta=self.delta,
            hash_key=self._hash_key,
            first=transfer,
        )


def leaf_digests(domain: bytes, trees: Sequence[Sequence[bytes]]) -> tuple[bytes, bytes]:
    """What checks the trees: the XOR of each tree's leaf digests, one after the other, and the digest of all."""
    digests = [
        [sha256(b"cleanroom/ot/leaf/v1" + domain + bytes([tree]) + leaf).digest() for leaf in leaves]
        for tree, leaves in enumerate(trees)
    ]
    everything = b"".join(digest for row in digests for digest in row)
    return b"".join(xor(*row) for row in digests), sha256(b"cleanroom/ot/leaves/v1" + domain + everything).digest()


def challenge(setup: bytes, first: int, width: int, correction: bytes) -> int:
    """The key of a batch's universal hash."""
    body = setup + first.to_bytes(8, "little") + bytes([width]) + correction
    return int.from_bytes(sha256(b"cleanroom/ot/challenge/v1" + body).digest()[:16], "little")


def extend_receiver(
    leaves: Sequence[Sequence[bytes]],
    *,
    setup: bytes,
    first: int,
    choices: Sequence[int],
    width: int,
    mask: Sequence[bytes],
) -> tuple[bytes, list[int]]:
    """The receiver's message of a batch, and its rows V.

    Args:
        leaves: sixteen of each tree.
        setup: the digest of all leaves.
        first: the batch's first block of the leaves' streams.
        choices: of `width` bits.
        width: 1 or 4.
        mask: the choices of the last group, which is no transfer: 16 bytes a bit.
    """
    groups = -(-len(choices) // GROUP) + 1
    x = [
        sum((choice >> p & 1) << place for place, choice in enumerate(choices))
        | int.from_bytes(mask[p], "little") << GROUP * (groups - 1)
        for p in range(width)
    ]
    corrections, columns = [], []
    for tree in leaves:
        u, v = [0] * DEPTH, [0] * DEPTH
        for number, leaf in enumerate(tree):
            stream = stream_of(leaf, first, width, groups)
            u, v = _sum(u, stream), _sum(v, scale(number, stream))
        corrections.append([u[p] ^ x[p] for p in range(width)])
        columns.append(v)
    correction = b"".join(_block(c[p], group) for group in range(groups) for c in corrections for p in range(width))
    key = challenge(setup, first, width, correction)
    planes = x + [plane for column in columns for plane in column]
    return correction + b"".join(fold(key, plane, groups) for plane in planes), _rows(columns, len(choices))


def extend_sender(
    leaves: Sequence[Sequence[bytes]],
    delta: Sequence[int],
    *,
    setup: bytes,
    first: int,
    width: int,
    message: bytes,
    count: int,
) -> list[int]:
    """The sender's rows Q of a batch.

    Args:
        leaves: of each tree leaf y ⊕ Δ at position y; position 0 is not read.
        delta: Δ of each tree.
        setup: the digest of all leaves.
        first: the batch's first block of the leaves' streams.
        width: 1 or 4.
        message: the receiver's.
        count: transfers.

    Raises:
        ValueError: the message does not pass its check.
    """
    groups = -(-count // GROUP) + 1
    blocks = [int.from_bytes(block, "little") for block in pieces(message, 16)]
    sent, checks = blocks[: groups * TREES * width], blocks[groups * TREES * width :]
    key = challenge(setup, first, width, message[: 16 * len(sent)])
    told = checks[:width] + [0] * (DEPTH - width)
    columns = []
    for tree, (own, element) in enumerate(zip(leaves, delta, strict=True)):
        q = [0] * DEPTH
        for y in range(1, LEAVES):
            q = _sum(q, scale(y, stream_of(own[y], first, width, groups)))
        c = [
            sum(sent[(group * TREES + tree) * width + p] << GROUP * group for group in range(groups))
            for p in range(width)
        ]
        q = _sum(q, scale(element, c + [0] * (DEPTH - width)))
        expected = _sum(checks[width + DEPTH * tree : width + DEPTH * (tree + 1)], scale(element, told))
        if [int.from_bytes(fold(key, plane, groups), "little") for plane in q] != expected:
            raise ValueError("the correction does not pass its consistency check")
        columns.append(q)
    return _rows(columns, count)


def stream_of(leaf: bytes, first: int, width: int, groups: int) -> Column:
    """A leaf's stream from block `first` on, as elements of `width` bits."""
    counters = b"".join((first + number).to_bytes(16, "little") for number in range(groups * width))
    blocks = pieces(encrypt(leaf, counters), 16)
    planes = [int.from_bytes(b"".join(blocks[p::width]), "little") for p in range(width)]
    return planes + [0] * (DEPTH - width)


def _sum(one: Column, other: Column) -> Column:
    return [left ^ right for left, right in zip(one, other, strict=True)]


def _block(plane: int, group: int) -> bytes:
    return (plane >> GROUP * group & (1 << GROUP) - 1).to_bytes(16, "little")


def fold(key: int, plane: int, groups: int) -> bytes:
    """Hashes a plane by Horner's rule, first group first."""
    total = 0
    for group in range(groups):
        total = multiply_128(total, key) ^ int.from_bytes(_block(plane, group), "little")
    return total.to_bytes(16, "little")


def _rows(columns: Sequence[Column], count: int) -> list[int]:
    """Columns to rows of 128 bits: element j in bits 4j to 4j + 3."""
    planes = [plane for column in columns for plane in column]
    digits = [f"{plane:0{count}b}"[::-1][:count] for plane in reversed(planes)]  # highest bit of a row first
    return [int("".join(row), 2) for row in zip(*digits, strict=True)]
