"""The slow transfers on the arrays that the product and the kernels pass around: one byte an element."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.slow import transfers
from tools.slow.transfers import DEPTH, GROUP, LEAVES, TREES

Bytes = NDArray[np.uint8]
PRODUCTS: Final = np.array([[transfers.multiply(a, b) for b in range(16)] for a in range(16)], dtype=np.uint8)


def _trees(leaves: Bytes) -> list[list[bytes]]:
    return [[leaf.tobytes() for leaf in tree] for tree in leaves.reshape(TREES, LEAVES, 16)]


def _array(rows: list[int]) -> Bytes:
    return np.frombuffer(b"".join(row.to_bytes(16, "little") for row in rows), dtype=np.uint8).reshape(-1, 16)


def elements(leaf: bytes, first: int, width: int, groups: int) -> Bytes:
    """A leaf's stream as groups·128 field elements of `width` bits, from block `first` on."""
    column = transfers.stream_of(leaf, first, width, groups)
    octets = b"".join(plane.to_bytes(16 * groups, "little") for plane in column[:width])
    return unpacked(np.frombuffer(octets, dtype=np.uint8).reshape(width, groups, 16).transpose(1, 0, 2))


def planes(column: Bytes, width: int) -> Bytes:
    """The bits of elements: groups × width × 16 bytes."""
    bits: Bytes = column.reshape(-1, 1, GROUP) >> np.arange(width, dtype=np.uint8)[:, None] & np.uint8(1)
    return np.packbits(bits, axis=2, bitorder="little")


def unpacked(bits: Bytes) -> Bytes:
    """The inverse: groups·128 elements."""
    single = np.unpackbits(np.ascontiguousarray(bits), axis=2, bitorder="little")
    column: Bytes = (single << np.arange(bits.shape[1], dtype=np.uint8)[:, None]).sum(axis=1, dtype=np.uint8)
    return column.reshape(-1)


def hashes(key: int, column: Bytes, width: int) -> Bytes:
    """The hash of each plane of a column of elements: width × 16 bytes."""
    bits = planes(column, width)
    numbers = [int.from_bytes(np.ascontiguousarray(bits[:, place]).tobytes(), "little") for place in range(width)]
    found = b"".join(transfers.fold(key, number, len(bits)) for number in numbers)
    return np.frombuffer(found, dtype=np.uint8).reshape(width, 16)


def extend_receiver(
    leaves: Bytes, setup: bytes, first: int, width: int, choices: Bytes, mask: bytes
) -> tuple[bytes, Bytes]:
    """The message and the rows V of a batch, those that fill up its last group included.

    Args:
        leaves: 32 × 16 × 16 bytes.
        setup: the digest of all leaves.
        first: the batch's first block.
        width: 1 or 4.
        choices: of `width` bits.
        mask: width × 16 bytes.
    """
    message, rows = transfers.extend_receiver(
        _trees(leaves),
        setup=setup,
        first=first,
        choices=choices.tolist() + [0] * (-choices.size % GROUP),
        width=width,
        mask=[mask[at : at + 16] for at in range(0, len(mask), 16)],
    )
    return message, _array(rows)


def extend_sender(leaves: Bytes, delta: Bytes, setup: bytes, first: int, width: int, message: bytes) -> Bytes:
    """The rows Q of a batch, those that fill up its last group included; raises ValueError as the slow code does."""
    groups = (len(message) // 16 - width - TREES * DEPTH) // (TREES * width)
    rows = transfers.extend_sender(
        _trees(leaves),
        delta.tolist(),
        setup=setup,
        first=first,
        width=width,
        message=message,
        count=GROUP * (groups - 1),
    )
    return _array(rows)


def mask_tables(rows: Bytes, delta: Bytes, key: bytes, index: int, tables: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Masks n × bits tables: bit x of word b with bit b of the key of choice x."""
    numbers = [int.from_bytes(row.tobytes(), "little") for row in rows]
    batch = transfers.Batch(
        correction=b"",
        choices=[0] * len(numbers),
        received=numbers,
        sent=numbers,
        delta=delta.tolist(),
        hash_key=key,
        first=index,
    )
    masked, _ = batch.tables(tables.tolist())
    return np.frombuffer(masked, dtype="<u2").astype(np.uint16).reshape(tables.shape)
