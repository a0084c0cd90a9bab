"""Transfer extension on single field elements: one byte an element, no bit slices, no batches of blocks.

The arithmetic is that of `cleanroom.protocols.ot`; names and layouts are the kernels'.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

__all__ = [
    "aes",
    "challenge",
    "extend_receiver",
    "extend_sender",
    "fold",
    "ggm_expand",
    "ggm_reconstruct",
    "leaf_digests",
    "mask_tables",
    "multiply",
    "multiply_128",
    "tmmo",
]

Bytes = NDArray[np.uint8]
TREES: Final = 32
DEPTH: Final = 4
LEAVES: Final = 16
GROUP: Final = 128


def aes(key: bytes, blocks: bytes) -> bytes:
    """Encrypts 16-byte blocks one by one with AES-128 (FIPS 197)."""
    return Cipher(AES(key), ECB()).encryptor().update(blocks)


def multiply(left: int, right: int) -> int:
    """Multiplies in GF(2)[α]/(α⁴ + α + 1)."""
    product = 0
    for bit in range(DEPTH):
        if right >> bit & 1:
            product ^= left << bit
    for bit in range(6, 3, -1):
        if product >> bit & 1:
            product ^= 0b10011 << (bit - 4)
    return product


_PRODUCTS: Final = np.array([[multiply(a, b) for b in range(16)] for a in range(16)], dtype=np.uint8)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _children(node: bytes) -> tuple[bytes, bytes]:
    both = aes(node, bytes(16) + (1).to_bytes(16, "little"))
    return both[:16], both[16:]


def ggm_expand(root: bytes) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Grows a tree; returns the sums of left and right children of each level, and the sixteen leaves."""
    sums, nodes = [], [root]
    for _ in range(DEPTH):
        pairs = [_children(node) for node in nodes]
        left = right = bytes(16)
        for pair in pairs:
            left, right = _xor(left, pair[0]), _xor(right, pair[1])
        sums.append((left, right))
        nodes = [child for pair in pairs for child in pair]
    return sums, nodes


def ggm_reconstruct(delta: int, sums: list[bytes]) -> list[bytes]:
    """Rebuilds every leaf but `delta` from, for each level, the sum of the side that leads away from it.

    Returns:
        Leaf y ⊕ delta at position y; zeros at position 0.
    """
    nodes: dict[int, bytes] = {}
    for level in range(DEPTH):
        bit = delta >> (DEPTH - 1 - level) & 1
        path = delta >> (DEPTH - level)
        below = {2 * index + side: child for index, node in nodes.items() for side, child in enumerate(_children(node))}
        sibling = sums[level]
        for index, child in below.items():
            if index & 1 != bit:
                sibling = _xor(sibling, child)
        below[2 * path + (1 - bit)] = sibling
        nodes = below
    return [bytes(16)] + [nodes[y ^ delta] for y in range(1, LEAVES)]


def _elements(leaf: bytes, first: int, width: int, groups: int) -> Bytes:
    """Returns a leaf's stream as groups·128 field elements of `width` bits, from block `first` on."""
    counters = b"".join((first + index).to_bytes(16, "little") for index in range(groups * width))
    return _unpacked(np.frombuffer(aes(leaf, counters), dtype=np.uint8).reshape(groups, width, 16))


def _planes(elements: Bytes, width: int) -> Bytes:
    """The inverse of the layout above: groups × width × 16 bytes."""
    bits: Bytes = elements.reshape(-1, 1, GROUP) >> np.arange(width, dtype=np.uint8)[:, None] & np.uint8(1)
    return np.packbits(bits, axis=2, bitorder="little")


def leaf_digests(binding: bytes, trees: list[list[bytes]]) -> tuple[bytes, bytes]:
    """Computes what checks the trees: the XOR of each tree's leaf digests, one after the other, and the digest of all.

    Args:
        binding: session and label, see `base_ot.domain`.
        trees: 32 lists of sixteen leaves.
    """
    sums, everything = b"", b""
    for number, leaves in enumerate(trees):
        total = bytes(32)
        for leaf in leaves:
            digest = sha256(b"cleanroom/ot/leaf/v1" + binding + bytes([number]) + leaf).digest()
            total, everything = _xor(total, digest), everything + digest
        sums += total
    return sums, sha256(b"cleanroom/ot/leaves/v1" + binding + everything).digest()


def multiply_128(left: int, right: int) -> int:
    """Multiplies in GF(2)[x]/(x^128 + x^7 + x^2 + x + 1), bit i being the coefficient of x^i."""
    product = 0
    for bit in range(127, -1, -1):
        product <<= 1
        if product >> 128:
            product ^= 1 << 128 | 0b10000111
        if right >> bit & 1:
            product ^= left
    return product


def challenge(setup: bytes, first: int, width: int, correction: bytes) -> int:
    """Derives the key of a batch's universal hash."""
    body = setup + first.to_bytes(8, "little") + bytes([width]) + correction
    return int.from_bytes(sha256(b"cleanroom/ot/challenge/v1" + body).digest()[:16], "little")


def fold(key: int, blocks: Iterable[bytes]) -> bytes:
    """Hashes one plane by Horner's rule."""
    total = 0
    for block in blocks:
        total = multiply_128(total, key) ^ int.from_bytes(block, "little")
    return total.to_bytes(16, "little")


def _hashes(key: int, elements: Bytes, width: int) -> Bytes:
    """Hashes each plane of a column of elements: width × 16 bytes."""
    planes = _planes(elements, width)
    hashed = b"".join(fold(key, (block.tobytes() for block in planes[:, plane])) for plane in range(width))
    return np.frombuffer(hashed, dtype=np.uint8).reshape(width, 16)


def _unpacked(planes: Bytes) -> Bytes:
    """Reads groups × width × 16 bytes of planes as groups·128 elements."""
    bits = np.unpackbits(planes, axis=2, bitorder="little")
    elements: Bytes = (bits << np.arange(planes.shape[1], dtype=np.uint8)[:, None]).sum(axis=1, dtype=np.uint8)
    return elements.reshape(-1)


def _rows(columns: list[Bytes]) -> Bytes:
    """Packs 32 columns of elements into rows of 16 bytes, element j in nibble j."""
    pairs = zip(columns[0::2], columns[1::2], strict=True)
    rows: Bytes = np.stack([low | high << np.uint8(4) for low, high in pairs], axis=1)
    return rows


def extend_receiver(
    leaves: Bytes, setup: bytes, first: int, width: int, choices: Bytes, mask: bytes
) -> tuple[bytes, Bytes]:
    """Computes the message and the rows V of a batch; leaves are 32 × 16 × 16 bytes, the mask width × 16."""
    groups = -(-choices.size // GROUP) + 1
    padded = np.zeros(groups * GROUP, dtype=np.uint8)
    padded[: choices.size] = choices
    padded[-GROUP:] = _unpacked(np.frombuffer(mask, dtype=np.uint8).reshape(1, width, 16))
    corrections, columns = [], []
    for tree in leaves.reshape(TREES, LEAVES, 16):
        u = np.zeros(padded.size, dtype=np.uint8)
        v = np.zeros(padded.size, dtype=np.uint8)
        for x, leaf in enumerate(tree):
            stream = _elements(leaf.tobytes(), first, width, groups)
            u ^= stream
            v ^= _PRODUCTS[x][stream]
        corrections.append(_planes(u ^ padded, width))
        columns.append(v)
    correction = np.stack(corrections, axis=1).tobytes()
    key = challenge(setup, first, width, correction)
    hashes = [_hashes(key, padded, width), *(_hashes(key, column, DEPTH) for column in columns)]
    return correction + b"".join(part.tobytes() for part in hashes), _rows(columns)[:-GROUP]


def extend_sender(leaves: Bytes, delta: Bytes, setup: bytes, first: int, width: int, message: bytes) -> Bytes:
    """Computes the rows Q of a batch; leaf y of a tree is the receiver's leaf y ⊕ Δ.

    Raises:
        ValueError: the message does not pass its check.
    """
    correction, check = message[: -(width + TREES * DEPTH) * 16], message[-(width + TREES * DEPTH) * 16 :]
    received = np.frombuffer(correction, dtype=np.uint8).reshape(-1, TREES, width, 16)
    hashed_choices = _unpacked(np.frombuffer(check[: width * 16], dtype=np.uint8).reshape(1, width, 16))
    key = challenge(setup, first, width, correction)
    columns = []
    for number, (tree, element) in enumerate(zip(leaves.reshape(TREES, LEAVES, 16), delta.tolist(), strict=True)):
        q = _PRODUCTS[element][_unpacked(received[:, number])]
        for y, leaf in enumerate(tree[1:], start=1):
            q ^= _PRODUCTS[y][_elements(leaf.tobytes(), first, width, received.shape[0])]
        start = width * 16 + number * DEPTH * 16
        told = _unpacked(np.frombuffer(check[start : start + DEPTH * 16], dtype=np.uint8).reshape(1, DEPTH, 16))
        expected = _planes(told ^ _PRODUCTS[element][hashed_choices], DEPTH)
        if _hashes(key, q, DEPTH).tobytes() != expected.tobytes():
            raise ValueError("the correction does not pass its consistency check")
        columns.append(q)
    return _rows(columns)[:-GROUP]


def tmmo(key: bytes, row: bytes, *, index: int, choice: int, part: int = 0) -> bytes:
    """Hashes a row under a tweak (ePrint 2019/074): π(π(row) ⊕ tweak) ⊕ π(row)."""
    tweak = index.to_bytes(8, "little") + part.to_bytes(4, "little") + choice.to_bytes(4, "little")
    inner = aes(key, row)
    return _xor(aes(key, _xor(inner, tweak)), inner)


def mask_tables(rows: Bytes, delta: Bytes, key: bytes, index: int, tables: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Masks n × bits tables: bit x of word b with bit b of the key of choice x."""
    masked = tables.copy()
    for number, words in enumerate(masked):
        for choice in range(16):
            products = _PRODUCTS[choice][delta]
            row = rows[number] ^ (products[0::2] | products[1::2] << np.uint8(4))
            pad = int.from_bytes(tmmo(key, row.tobytes(), index=index + number, choice=choice), "little")
            for bit in range(words.size):
                words[bit] ^= np.uint16((pad >> bit & 1) << choice)
    return masked
