"""One side's noise: drawn by OpenDP from the operating system's randomness, recorded, and read back by a replay.

The noise is apart from the protocol's seed: nothing that a peer or an auditor of the protocol is given predicts it.
It is drawn once a run, kept in the party's private audit file, and never drawn again for the same opened cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise
from cleanroom.errors import DataError
from cleanroom.release.accounting import noise_measurement
from cleanroom.release.terms import ReleaseTerms

__all__ = ["draw_noise", "load_noise", "record_noise"]


def draw_noise(terms: ReleaseTerms) -> NDArray[np.int64]:
    """Draws this side's noise for every cell.

    Returns:
        groups × columns, integer units; zeros with noise "none".
    """
    noise = np.zeros((terms.groups, terms.columns), dtype=np.int64)
    if terms.noise is Noise.NONE:
        return noise
    for column, scale in enumerate(terms.scales):
        noise[:, column] = noise_measurement(terms.noise, scale)([0] * terms.groups)
    return noise


def record_noise(noise: NDArray[np.int64]) -> list[list[int]]:
    """Turns drawn noise into what the private audit file holds: one list of integers a group."""
    return [[int(cell) for cell in row] for row in noise]


def load_noise(recorded: Sequence[Sequence[int]], terms: ReleaseTerms) -> NDArray[np.int64]:
    """Reads recorded noise back, for a replay.

    Raises:
        DataError: the record is not groups × columns of 64-bit integers.
    """
    shape = f"{terms.groups} × {terms.columns} integers"
    try:
        noise = np.array(recorded, dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"recorded noise: {shape} expected") from error
    if noise.shape != (terms.groups, terms.columns):
        raise DataError(f"recorded noise: {shape} expected")
    return noise
