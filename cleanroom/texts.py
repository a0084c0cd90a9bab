"""A column of text as Arrow lays it out and as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Texts", "not_null"]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A column of text as the kernels take it: offsets n + 1, bytes, not-null flags n."""

    offsets: NDArray[np.int32] = field(repr=False)
    data: NDArray[np.uint8] = field(repr=False)
    valid: NDArray[np.bool_] = field(repr=False)

    @staticmethod
    def of(values: pa.StringArray) -> Texts:
        """The parts of an Arrow string array, without a copy."""
        _, offsets, data = values.buffers()
        if len(values) == 0 or offsets is None:
            offsets_part = np.zeros(len(values) + 1, dtype=np.int32)
        else:
            offsets_part = np.frombuffer(offsets, dtype=np.int32)[values.offset : values.offset + len(values) + 1]
        bytes_part = np.empty(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
        return Texts(offsets_part, bytes_part, not_null(values))


def not_null(values: pa.Array) -> NDArray[np.bool_]:
    """Which of n entries hold a value."""
    if values.null_count == 0:
        return np.ones(len(values), dtype=np.bool_)
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
