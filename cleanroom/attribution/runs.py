"""Runs of equal or consecutive values in flat arrays: what the preparation is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels

__all__ = ["changes", "distinct", "expand", "slices", "whole_people"]


def changes(*columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Marks the rows that differ from the row before in any column; the first row is marked.

    Args:
        columns: at least one, of equal length n.

    Returns:
        (n,) bool.
    """
    marks = np.ones(len(columns[0]), dtype=np.bool_)
    marks[1:] = False
    for column in columns:
        marks[1:] |= column[1:] != column[:-1]
    return marks


def distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct numbers, ascending: (n,) int64 -> (k,) int64. Sorts, which beats `numpy.unique` by hashing here."""
    ranked = np.sort(numbers)
    return ranked[changes(ranked)]


def expand(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """start, start + 1, … for `length` numbers of every run, one run after the other.

    Args:
        start: (k,) int64.
        length: (k,) int64 >= 0.

    Returns:
        (sum of length,) int64.
    """
    before = np.cumsum(length) - length
    return np.repeat(start - before, length) + np.arange(int(length.sum()), dtype=np.int64)


def slices(ends: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Cuts things that lie one after the other into runs no longer than `most`, or of one thing.

    Args:
        ends: (k,) int64, ascending: where each thing ends; the first begins at 0.
        most: how long a run may be, in the same unit.

    Yields:
        Of each run the first thing, and the one past the last.
    """
    low = start = 0
    while low < len(ends):
        high = max(low + 1, int(np.searchsorted(ends, start + most, side="right")))
        yield low, high
        low, start = high, int(ends[high - 1])


def whole_people(rows: NDArray[Any], most: int) -> Iterator[slice]:
    """Cuts rows into slices of whole people, of about `most` rows.

    Args:
        rows: (n, w), each beginning with the sixteen bytes of a person, whose rows are together.
        most: rows of a slice, but a person's rows that begin within them belong to it.

    Yields:
        The rows of each slice.
    """
    start, words = 0, np.ascontiguousarray(rows).view(np.uint64)
    for end in _kernels.whole_people(np.require(words, requirements=["C", "A"]), most):
        yield slice(start, end)
        start = end
