"""A commitment to a party's prepared rows: the root of a blinded, padded Merkle tree.

Functionality: 32 bytes that bind a list of rows, in order, and tell nothing of them, nor of how many there are. With
an unchanged key and unchanged rows the root is unchanged, so that a repeat of a run can be recognised.

Security model: binding by collision resistance of SHA-256; hiding while the key is secret, HMAC as a PRF. What the
peer learns: whether two runs under one key had the same rows, and nothing else. No rounds; 32 bytes.

The tree is that of RFC 9162, section 2.1.1 (SHA-256; 0x00 before a leaf, 0x01 before a node) over exactly `padded`
leaves:

    salt_i  = HMAC-SHA-256(key, b"cleanroom/merkle/v1" ‖ i u64 LE)
    leaf_i  = SHA-256(0x00 ‖ salt_i ‖ 0x01 ‖ row_i)     for the rows
              SHA-256(0x00 ‖ salt_i ‖ 0x00)             for the padding
    row_i   = key ‖ value i64 LE …                      of the outcome side, one value a column
              key ‖ (target u32 LE ‖ weight i64 LE) …   of the exposure side

Departures from RFC 9162: the salt before each leaf. A leaf can be opened by its salt without the key, so one row can
be shown to an auditor with an inclusion proof and no other row with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels

__all__ = ["KEY_BYTES", "NODE_LEAVES", "ROOT_BYTES", "lookups_root", "merkle_root", "root_of_nodes", "rows_root"]

KEY_BYTES: Final = 32
ROOT_BYTES: Final = 32
NODE_LEAVES: Final = 1 << 16
"""Leaves that are hashed at once where not all rows are at hand: a power of two, so that they share a node."""


def merkle_root(
    *, key: bytes, data: bytes | bytearray | memoryview | NDArray[np.uint8], offsets: NDArray[np.uint64], padded: int
) -> bytes:
    """Commits to rows.

    Args:
        key: 32 secret bytes, used for nothing else.
        data: the rows' encodings, one after the other.
        offsets: n + 1 positions in `data`: row i is data[offsets[i]:offsets[i + 1]].
        padded: number of leaves, at least max(n, 1): the public bound.

    Returns:
        The root, 32 bytes.

    Raises:
        ValueError: the key is not 32 bytes, there are more rows than `padded`, or offsets do not rise from 0 to the
            length of the data.
    """
    rows = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    return _kernels.merkle_root(key, rows, np.ascontiguousarray(offsets, dtype=np.uint64), padded)


def rows_root(*, key: bytes, keys: NDArray[np.uint8], values: NDArray[np.int64], padded: int, origin: int = 0) -> bytes:
    """Commits to the outcome side's rows, or to those under one node of the tree.

    Args:
        key: 32 secret bytes, used for nothing else.
        keys: n × 16 bytes.
        values: n × m.
        padded: number of leaves, at least max(n, 1): the public bound, or what of it is under the node.
        origin: number of the node's first leaf.

    Returns:
        The root, or the node, 32 bytes.

    Raises:
        ValueError: the key is not 32 bytes, there are more rows than `padded`, or the shapes differ from the above.
    """
    return _kernels.valued_root(key, keys, values, padded, origin)


def lookups_root(
    *,
    key: bytes,
    keys: NDArray[np.uint8],
    indptr: NDArray[np.int64],
    target: NDArray[np.int32],
    weight: NDArray[np.int64],
    padded: int,
    origin: int = 0,
) -> bytes:
    """Commits to the exposure side's lookups, or to those under one node of the tree.

    Args:
        key: 32 secret bytes, used for nothing else.
        keys: n × 16 bytes.
        indptr: n + 1 positions: key i has the targets and weights from indptr[i] to indptr[i + 1].
        target: of each weight.
        weight: one for each target.
        padded: number of leaves, at least max(n, 1): the public bound, or what of it is under the node.
        origin: number of the node's first leaf.

    Returns:
        The root, or the node, 32 bytes.

    Raises:
        ValueError: the key is not 32 bytes, there are more rows than `padded`, or the arrays differ from the above.
    """
    return _kernels.weighted_root(key, keys, indptr, target, weight, padded, origin)


def root_of_nodes(nodes: Sequence[bytes]) -> bytes:
    """Joins nodes above `NODE_LEAVES` leaves each, the last one above what is left, to the root.

    Args:
        nodes: at least one, in their order.

    Returns:
        The root, 32 bytes.
    """
    level = list(nodes)
    while len(level) > 1:  # a last one without a neighbour moves up as it is, which is RFC 9162's split
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [sha256(b"\x01" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]
