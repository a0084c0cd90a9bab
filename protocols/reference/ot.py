"""Transfer extension on single field elements: one byte an element, no bit slices, no batches of blocks.

The arithmetic is that of `cleanroom.protocols.ot`; names and layouts are the kernels'.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

__all__ = [
    "aes",
    "extend_receiver",
    "extend_sender",
    "ggm_expand",
    "ggm_reconstruct",
    "mask_tables",
    "multiply",
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
    planes = np.frombuffer(aes(leaf, counters), dtype=np.uint8).reshape(groups, width, 16)
    bits = np.unpackbits(planes, axis=2, bitorder="little")
    elements: Bytes = (bits << np.arange(width, dtype=np.uint8)[:, None]).sum(axis=1, dtype=np.uint8)
    return elements.reshape(-1)


def _planes(elements: Bytes, width: int) -> Bytes:
    """The inverse of the layout above: groups × width × 16 bytes."""
    bits: Bytes = elements.reshape(-1, 1, GROUP) >> np.arange(width, dtype=np.uint8)[:, None] & np.uint8(1)
    return np.packbits(bits, axis=2, bitorder="little")


def _rows(columns: list[Bytes]) -> Bytes:
    """Packs 32 columns of elements into rows of 16 bytes, element j in nibble j."""
    pairs = zip(columns[0::2], columns[1::2], strict=True)
    rows: Bytes = np.stack([low | high << np.uint8(4) for low, high in pairs], axis=1)
    return rows


def extend_receiver(leaves: Bytes, first: int, width: int, choices: Bytes) -> tuple[bytes, Bytes]:
    """Computes the correction and the rows V of a batch; leaves are 32 × 16 × 16 bytes."""
    groups = -(-choices.size // GROUP)
    padded = np.zeros(groups * GROUP, dtype=np.uint8)
    padded[: choices.size] = choices
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
    return np.stack(corrections, axis=1).tobytes(), _rows(columns)


def extend_sender(leaves: Bytes, delta: Bytes, first: int, width: int, correction: bytes) -> Bytes:
    """Computes the rows Q of a batch; leaf y of a tree is the receiver's leaf y ⊕ Δ."""
    received = np.frombuffer(correction, dtype=np.uint8).reshape(-1, TREES, width, 16)
    columns = []
    for number, (tree, element) in enumerate(zip(leaves.reshape(TREES, LEAVES, 16), delta.tolist(), strict=True)):
        q = np.zeros(received.shape[0] * GROUP, dtype=np.uint8)
        for y, leaf in enumerate(tree[1:], start=1):
            q ^= _PRODUCTS[y][_elements(leaf.tobytes(), first, width, received.shape[0])]
        bits = np.unpackbits(received[:, number], axis=2, bitorder="little")
        c = (bits << np.arange(width, dtype=np.uint8)[:, None]).sum(axis=1, dtype=np.uint8).reshape(-1)
        columns.append(q ^ _PRODUCTS[element][c])
    return _rows(columns)


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
