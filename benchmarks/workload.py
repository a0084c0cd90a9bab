"""Synthetic inputs of one size and the sums that a join of them must give, made a stretch of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.attribution.packing import Packing
from cleanroom.kept import KeptLookups, KeptRows
from cleanroom.protocols.buckets import BUCKET_ROWS
from cleanroom.protocols.join_rows import Lookups, Rows
from cleanroom.protocols.private_join import JoinParameters, Oprf

__all__ = [
    "PROFILES",
    "STRETCH_ROWS",
    "Shape",
    "expected_sums",
    "exposure_rows",
    "exposure_source",
    "outcome_rows",
    "outcome_source",
]

KEY_BYTES: Final = 16
STRETCH_ROWS: Final = 1 << 20
"""Rows that are made at once: a join of one bucket is one stretch."""
ORDERS: Final = 5
"""The most events that a row holds; the first column is the gate (0 or 1), the second counts events."""
AMOUNT: Final = 100_000
"""Sums are below this in integer units: 1,000.00 in cents."""


PROFILES: Final = tuple(member.value for member in Oprf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A benchmark's size: everything that the inputs depend on."""

    rows: int  # each side's, and its public bound
    overlap: float = 0.5  # share of the rows that both sides hold
    columns: int = 4  # a people gate, events, then sums, all of one window
    groups: int = 64
    families: int = 1  # of weights, each with columns of its own, in turn
    groups_per_row: int = 1  # at most, with a weight in every family
    weight_bound: int = 1
    bucket_rows: int = BUCKET_ROWS
    seed: int = 7

    @property
    def buckets(self) -> int:
        """How many buckets the join takes."""
        return self.parameters(PROFILES[0]).division.count

    @property
    def stretches(self) -> int:
        """In how many stretches the rows are made."""
        return -(-self.rows // STRETCH_ROWS)

    @property
    def class_positions(self) -> tuple[int, ...]:
        """The family of every column."""
        return tuple(column % self.families for column in range(self.columns))

    def parameters(self, profile: str) -> JoinParameters:
        """The join's public shape in a profile."""
        return JoinParameters(
            oprf=Oprf(profile),
            rows_exposure=self.rows,
            rows_outcome=self.rows,
            groups=self.groups,
            class_positions=self.class_positions,
            weight_bound=self.weight_bound,
            targets_per_row=self.groups_per_row * self.families,
            bucket_rows=self.bucket_rows,
        )


def exposure_source(shape: Shape) -> Lookups | KeptLookups:
    """Makes all of the exposure side's rows: in memory if a join takes one bucket, else out of core."""
    if shape.buckets == 1:
        return exposure_rows(shape, 0)
    kept = KeptLookups(shape.groups_per_row * shape.families, weight_bound=shape.weight_bound)
    for stretch in range(shape.stretches):
        kept.append(exposure_rows(shape, stretch))
    kept.pad(shape.rows)
    return kept


def outcome_source(shape: Shape) -> Rows | KeptRows:
    """Makes all of the outcome side's rows, likewise."""
    if shape.buckets == 1:
        return outcome_rows(shape, 0)
    kept = KeptRows(Packing.whole(shape.columns))
    for stretch in range(shape.stretches):
        kept.append(outcome_rows(shape, stretch))
    kept.pad(shape.rows)
    return kept


def exposure_rows(shape: Shape, stretch: int) -> Lookups:
    """Makes a stretch of the exposure side's rows."""
    generator = np.random.default_rng([shape.seed, 1, stretch])
    keys = _sorted_keys(shape, stretch, generator)
    count = len(keys)
    held = generator.integers(1, shape.groups_per_row + 1, size=count)
    row = np.repeat(np.arange(count), held)
    place = np.arange(len(row)) - np.repeat(np.cumsum(held) - held, held)
    first = generator.integers(shape.groups, size=count, dtype=np.int32)
    group = (first[row] + place.astype(np.int32)) % np.int32(shape.groups)
    family = np.tile(np.arange(shape.families, dtype=np.int32), len(group))
    target = family * np.int32(shape.groups) + np.repeat(group, shape.families)
    weight = generator.integers(1, shape.weight_bound + 1, size=len(target))
    weight[generator.integers(2, size=len(weight)) == 1] *= -1 if shape.weight_bound > 1 else 1
    indptr = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(held * shape.families)))
    return Lookups(keys=keys, indptr=indptr, target=target, weight=weight)


def outcome_rows(shape: Shape, stretch: int) -> Rows:
    """Makes a stretch of the outcome side's rows."""
    generator = np.random.default_rng([shape.seed, 2, stretch])
    keys = _sorted_keys(shape, stretch, generator)
    values = generator.integers(AMOUNT, size=(len(keys), shape.columns), dtype=np.int64)
    if shape.columns > 1:
        values[:, 1] %= ORDERS + 1
    values[:, 0] %= 2
    return Rows(keys=keys, values=values)


def expected_sums(shape: Shape) -> NDArray[np.uint64]:
    """Joins in the clear, stretch by stretch: what both sides hold is in the same one.

    Returns:
        groups × columns.
    """
    sums = np.zeros((shape.groups, shape.columns), dtype=np.uint64)
    for stretch in range(shape.stretches):
        left, right = exposure_rows(shape, stretch), outcome_rows(shape, stretch)
        _, at_left, at_right = np.intersect1d(_opaque(left.keys), _opaque(right.keys), return_indices=True)
        values = np.zeros((len(left), shape.columns), dtype=np.uint64)
        values[at_left] = right.values[at_right].view(np.uint64)
        row = np.repeat(np.arange(len(left)), np.diff(left.indptr))
        family, group = np.divmod(left.target, shape.groups)
        weight = left.weight.astype(np.uint64)  # mod 2^64
        for column, own in enumerate(shape.class_positions):
            chosen = family == own
            np.add.at(sums[:, column], group[chosen], weight[chosen] * values[row[chosen], column])
    return sums


def _sorted_keys(shape: Shape, stretch: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """The shared keys and this side's own: 128 random bits each, so distinct."""
    rows = min(STRETCH_ROWS, shape.rows - stretch * STRETCH_ROWS)
    common = int(rows * shape.overlap)
    shared = np.random.default_rng([shape.seed, 0, stretch]).bytes(KEY_BYTES * common)
    own = generator.bytes(KEY_BYTES * (rows - common))
    keys = np.frombuffer(shared + own, dtype=np.uint8).reshape(rows, KEY_BYTES)
    return keys[np.argsort(_opaque(keys))]


def _opaque(keys: NDArray[np.uint8]) -> NDArray[np.void]:
    return np.ascontiguousarray(keys).view(f"V{KEY_BYTES}").reshape(-1)
