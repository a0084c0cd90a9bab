"""The random-band system with integers as rows: solved column by column, one row at a time."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.okvs import Shape
from cleanroom.protocols.seeds import keystream

__all__ = ["band_of", "decode", "encode", "solve"]

Words = NDArray[np.uint64]


def band_of(key: bytes, seed: bytes, shape: Shape) -> tuple[int, int]:
    """Returns a key's first column and its coefficients, bit i for column first + i."""
    first, coefficients = (hashlib.sha256(b"okvs/v1" + bytes([tag]) + seed + key).digest() for tag in (0, 1))
    start = int.from_bytes(first[:8], "little") * shape.starts >> 64
    return start, int.from_bytes(coefficients, "little") & ((1 << shape.band) - 1)


def encode(keys: NDArray[np.uint8], values: Words, *, seed: bytes, fill_key: bytes, shape: Shape) -> Words | None:
    """Computes what `okvs.encode` computes."""
    fill = np.frombuffer(keystream(fill_key, shape.size), dtype="<u8").reshape(shape.columns, shape.words)
    return solve(keys, values, seed=seed, fill=fill, shape=shape)


def solve(keys: NDArray[np.uint8], values: Words, *, seed: bytes, fill: Words, shape: Shape) -> Words | None:
    """Solves the system with `fill`, columns × w words, in the columns that no row decides."""
    table = fill.astype(np.uint64)
    claimed: dict[int, tuple[int, Words]] = {}
    rows = [(*band_of(key.tobytes(), seed, shape), value) for key, value in zip(keys, values, strict=True)]
    for start, coefficients, value in sorted(rows, key=lambda row: row[0]):
        band = coefficients << start
        while band:
            column = (band & -band).bit_length() - 1
            if column not in claimed:
                claimed[column] = (band, value)
                break
            band, value = band ^ claimed[column][0], value ^ claimed[column][1]
        if not band:
            return None
    for column in sorted(claimed, reverse=True):
        band, value = claimed[column]
        table[column] = value ^ _product(band ^ (1 << column), table)
    return table


def decode(keys: NDArray[np.uint8], table: Words, *, seed: bytes, shape: Shape) -> Words:
    """Computes what `okvs.decode` computes."""
    out = np.zeros((len(keys), shape.words), dtype=np.uint64)
    for row, key in enumerate(keys):
        start, coefficients = band_of(key.tobytes(), seed, shape)
        out[row] = _product(coefficients << start, table)
    return out


def _product(band: int, table: Words) -> Words:
    total = np.zeros(table.shape[1], dtype=np.uint64)
    while band:
        lowest = band & -band
        total ^= table[lowest.bit_length() - 1]
        band ^= lowest
    return total
