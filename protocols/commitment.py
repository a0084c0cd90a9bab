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

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels

__all__ = ["KEY_BYTES", "ROOT_BYTES", "lookups_root", "merkle_root", "rows_root"]

KEY_BYTES: Final = 32
ROOT_BYTES: Final = 32


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


def rows_root(*, key: bytes, keys: NDArray[np.uint8], values: NDArray[np.int64], padded: int) -> bytes:
    """Commits to the outcome side's rows.

    Args:
        key: 32 secret bytes, used for nothing else.
        keys: n × 16 bytes.
        values: n × m.
        padded: number of leaves, at least max(n, 1): the public bound.

    Returns:
        The root, 32 bytes.

    Raises:
        ValueError: the key is not 32 bytes, there are more rows than `padded`, or the shapes differ from the above.
    """
    return _kernels.valued_root(key, keys, values, padded)


def lookups_root(
    *,
    key: bytes,
    keys: NDArray[np.uint8],
    indptr: NDArray[np.int64],
    target: NDArray[np.int32],
    weight: NDArray[np.int64],
    padded: int,
) -> bytes:
    """Commits to the exposure side's lookups.

    Args:
        key: 32 secret bytes, used for nothing else.
        keys: n × 16 bytes.
        indptr: n + 1 positions: key i has the targets and weights from indptr[i] to indptr[i + 1].
        target: of each weight.
        weight: one for each target.
        padded: number of leaves, at least max(n, 1): the public bound.

    Returns:
        The root, 32 bytes.

    Raises:
        ValueError: the key is not 32 bytes, there are more rows than `padded`, or the arrays differ from the above.
    """
    return _kernels.weighted_root(key, keys, indptr, target, weight, padded)
