"""The slow bins and tables on the arrays that the product passes around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols.okvs import Shape
from tools.slow import cuckoo, okvs

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]


def _rows(keys: Bytes) -> list[bytes]:
    return [key.tobytes() for key in keys]


def positions(keys: Bytes, seed: bytes, n_bins: int) -> NDArray[np.int64]:
    """What `cuckoo.positions` must compute."""
    found = [cuckoo.positions(key, seed, n_bins) for key in _rows(keys)]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def place(found: NDArray[np.int64], n_bins: int) -> tuple[NDArray[np.int64], Bytes] | None:
    """What the kernel's placement must compute: the row and the choice of each bin, or None."""
    placed = cuckoo.place(found.tolist(), n_bins)
    if placed is None:
        return None
    pairs = [(-1, 0) if entry is None else entry for entry in placed]
    rows, choices = zip(*pairs, strict=True)
    return np.array(rows, dtype=np.int64), np.array(choices, dtype=np.uint8)


def _shape(shape: Shape) -> okvs.Shape:
    return okvs.Shape(starts=shape.starts, band=shape.band, words=shape.words)


def _numbers(values: Words) -> list[int]:
    return [int.from_bytes(row.astype("<u8").tobytes(), "little") for row in values]


def _words(numbers: list[int], shape: Shape) -> Words:
    data = b"".join(number.to_bytes(8 * shape.words, "little") for number in numbers)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(-1, shape.words)


def encode(keys: Bytes, values: Words, *, seed: bytes, fill_key: bytes, shape: Shape) -> Words | None:
    """What `okvs.encode` must compute."""
    table = okvs.encode(_rows(keys), _numbers(values), seed=seed, fill_key=fill_key, shape=_shape(shape))
    return None if table is None else _words(table, shape)


def encode_with_zeros(keys: Bytes, values: Words, *, seed: bytes, shape: Shape) -> Words:
    """The mutant of `okvs.encode` that leaves free columns at zero."""
    table = okvs.solve(_rows(keys), _numbers(values), seed=seed, fill=[0] * shape.columns, shape=_shape(shape))
    assert table is not None
    return _words(table, shape)


def decode(keys: Bytes, table: Words, *, seed: bytes, shape: Shape) -> Words:
    """What `okvs.decode` must compute."""
    return _words(okvs.decode(_rows(keys), _numbers(table), seed=seed, shape=_shape(shape)), shape)
