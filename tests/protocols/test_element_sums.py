"""Weighted sums of public elements: both ways against the plain product, and a choice from public sizes alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import bin_weights, element_sums
from cleanroom.protocols.bin_weights import PaddedWeights, Weights, blocks_at_once
from cleanroom.protocols.element_sums import ElementSums, Load, Way
from cleanroom.protocols.rlwe import DEGREE, MODULUS, PRIMES, from_residues
from tools.slow import ring as reference

Kernel = Callable[..., None]
Entry = tuple[int, int, int]
WAYS: list[Kernel] = [_kernels.rlwe_weigh_dense, _kernels.rlwe_weigh_sparse]
SEED = bytes(range(32))


@cache
def _element(block: int) -> tuple[int, ...]:
    return tuple(reference.public_element(SEED, 1 + block))


def _sorted(entries: list[Entry], targets: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """indptr, bins and weights of (target, bin, weight)."""
    table = np.array(sorted(entries), dtype=np.int64).reshape(-1, 3)
    indptr = np.searchsorted(table[:, 0], np.arange(targets + 1)).astype(np.int64)
    return indptr, table[:, 1].copy(), table[:, 2].copy()


def _weigh(
    kernel: Kernel, entries: list[Entry], targets: int, blocks: tuple[int, int], bound: int
) -> NDArray[np.uint64]:
    sums = np.zeros((targets, 3, DEGREE), dtype=np.uint64)
    kernel(sums, SEED, *blocks, *_sorted(entries, targets), bound)
    return sums


def _plain(entries: list[Entry], targets: int) -> list[list[int]]:
    """Σ w · X^-k · a_b, coefficient by coefficient."""
    sums = [[0] * DEGREE for _ in range(targets)]
    for target, bin_, weight in entries:
        block, slot = divmod(bin_, DEGREE)
        element = _element(block)
        turned = element[slot:] + tuple(-x for x in element[:slot])
        sums[target] = [(x + weight * y) % MODULUS for x, y in zip(sums[target], turned, strict=True)]
    return sums


def _composed(sums: NDArray[np.uint64]) -> list[list[int]]:
    return [[from_residues(parts, PRIMES) for parts in zip(*ring.tolist(), strict=True)] for ring in sums]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_both_ways_are_the_plain_product(data: st.DataObject) -> None:
    targets = data.draw(st.integers(1, 3))
    bound = data.draw(st.sampled_from([1, 5, 720720, 1 << 30]))
    slot = st.one_of(st.sampled_from([0, 1, 1023, 1024, DEGREE - 1]), st.integers(0, DEGREE - 1))
    bins = st.builds(lambda block, own: block * DEGREE + own, st.integers(2, 4), slot)
    weight = st.one_of(st.sampled_from([-bound, -1, 0, bound]), st.integers(-bound, bound))
    entries = data.draw(st.lists(st.tuples(st.integers(0, targets - 1), bins, weight), max_size=6))
    expected = _plain(entries, targets)
    for kernel in WAYS:
        assert (
            _composed(_weigh(kernel, entries, targets, (2, 3), 6 * bound if kernel is WAYS[0] else bound)) == expected
        )


@pytest.mark.parametrize("bound", [1, 720720, 1 << 30])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (70, 18), (300, 2)])
def test_full_blocks_give_both_ways_the_same(bound: int, shape: tuple[int, int]) -> None:
    """Every bin full, of one sign for one target: sums at their bounds. 18 blocks pass a tile of either kernel."""
    targets, blocks = shape
    rng = np.random.default_rng(targets)
    count = blocks * DEGREE
    table = np.stack(
        [rng.integers(0, targets, count), np.arange(count), rng.integers(-bound, bound + 1, count)], axis=1
    )
    table[table[:, 0] == 0, 2] = -bound
    table = table[np.argsort(table[:, 0], kind="stable")]
    arguments = (np.searchsorted(table[:, 0], np.arange(targets + 1)), table[:, 1].copy(), table[:, 2].copy())
    found = []
    for kernel, own in zip(WAYS, (count * bound, bound), strict=True):
        sums = np.zeros((targets, 3, DEGREE), dtype=np.uint64)
        kernel(sums, SEED, 0, blocks, *arguments, own)
        kernel(sums, SEED, 0, blocks, *arguments, own)  # on top of what is there
        found.append(sums)
    assert np.array_equal(*found)
    # Coefficient 5 of the heaviest target against plain integers.
    mine = table[table[:, 0] == 0]
    total = 0
    for _, bin_, weight in mine.tolist():
        block, slot = divmod(bin_, DEGREE)
        place = 5 + slot
        total += weight * (_element(block)[place] if place < DEGREE else -_element(block)[place - DEGREE])
    assert from_residues(found[0][0, :, 5].tolist(), PRIMES) == 2 * total % MODULUS


def test_the_bound_of_dense_sums_may_be_as_wide_as_the_slack_allows() -> None:
    entries = [(0, 3, 1 << 52), (0, 4, -(1 << 52))]
    assert _composed(_weigh(WAYS[0], entries, 1, (0, 1), 1 << 53)) == _plain(entries, 1)


def _load(**sizes: int) -> Load:
    return Load(**({"targets": 5, "rows": 1 << 20, "weight_bound": 9, "entries_per_bin": 2} | sizes))


@pytest.mark.parametrize("sparse", [False, True])
def test_buckets_and_slices_add_up(monkeypatch: pytest.MonkeyPatch, sparse: bool) -> None:
    monkeypatch.setattr(bin_weights, "_SLICE_ENTRIES", 4 * DEGREE)
    load = _load()
    assert blocks_at_once(load.entries_per_bin) == 2
    whole = [(4, 3, 9), (0, 3, -9), (2, DEGREE + 1, 5), (1, 3 * DEGREE - 1, 7), (2, 4 * DEGREE + 6, -1)]
    sums = ElementSums(load)
    for offset, blocks, n_bins in ((0, 3, 3 * DEGREE - 0), (3, 2, DEGREE + 7)):
        own = [entry for entry in whole if offset <= entry[1] // DEGREE < offset + blocks]
        weights = Weights.of_entries(
            np.array([bin_ - offset * DEGREE for _, bin_, _ in own]),
            np.array([target for target, _, _ in own], dtype=np.int32),
            np.array([weight for _, _, weight in own]),
        )
        padded = PaddedWeights(weights, n_bins=n_bins, width=2, targets=5)
        way = Way(sparse=sparse, blocks=2, targets=2, microseconds=0.0)
        shares = list(sums.add(seed=SEED, padded=padded, way=way, blocks=(0, blocks), offset=offset))
        assert shares == sorted(shares) and shares[-1] == 1.0
    assert _composed(sums.rings) == _plain(whole, 5)


def test_the_work_of_the_sparse_way_does_not_depend_on_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many entries in as many calls, whether bins hold nothing or all that they may, of one target or of all."""
    calls: list[tuple[Any, ...]] = []

    def note(sums: Any, seed: Any, first: int, blocks: int, indptr: Any, bins: Any, weights: Any, bound: int) -> None:
        calls.append((sums.shape, first, blocks, int(indptr[-1] - indptr[0]), len(bins), len(weights), bound))

    monkeypatch.setattr(_kernels, "rlwe_weigh_sparse", note)
    load, n_bins = _load(targets=4096), 20 * DEGREE + 5
    way = load.way(n_bins)
    assert way.sparse
    seen = []
    for target, rows in ((0, 0), (0, n_bins), (None, n_bins)):
        calls.clear()
        targets = np.full(rows, target or 0) if target is not None else np.arange(rows) % 4096
        weights = Weights(
            bins=np.arange(rows),
            indptr=np.arange(rows + 1),
            targets=targets.astype(np.int32),
            weights=np.ones(rows, np.int64),
        )
        padded = PaddedWeights(weights, n_bins=n_bins, width=2, targets=4096)
        list(ElementSums(load).add(seed=SEED, padded=padded, way=way, blocks=(0, 21), offset=0))
        seen.append(list(calls))
    assert len(seen[0]) == 2 and seen[0] == seen[1] == seen[2]
    assert sum(call[3] for call in seen[0]) == 2 * n_bins


def test_the_way_is_the_cheaper_one() -> None:
    few, many = _load(targets=64, entries_per_bin=1), _load(targets=4096, entries_per_bin=1)
    assert not few.way(1 << 20).sparse
    assert many.way(1 << 20).sparse
    assert not _load(targets=4096, entries_per_bin=40).way(1 << 20).sparse
    # The sparse kernel takes no larger weights.
    assert not _load(targets=4096, weight_bound=(1 << 30) + 1).way(1 << 20).sparse
    for load in (few, many):
        way = load.way(1 << 20)
        assert way.microseconds == min(own(1 << 20).microseconds for own in (load._dense, load._sparse))
        assert load.way(1 << 24).microseconds == pytest.approx(16 * way.microseconds, rel=0.02)


def test_a_call_holds_no_more_than_its_bound() -> None:
    assert _load(rows=100).total(1) == 900
    assert _load(rows=1 << 30).total(2) == 9 * 2 * 2 * DEGREE
    assert [element_sums._rows(total) for total in (1, (1 << 20), 1 << 40, 1 << 52)] == [5, 5, 9, 57]


# --- refusals


def _call(
    kernel: Kernel,
    *,
    blocks: tuple[int, int] = (0, 1),
    indptr: tuple[int, ...] = (0, 1),
    bins: tuple[int, ...] = (4,),
    weights: tuple[int, ...] = (1,),
    bound: int = 9,
    limbs: int = 3,
) -> None:
    sums = np.zeros((1, limbs, DEGREE), dtype=np.uint64)
    kernel(sums, SEED, *blocks, np.array(indptr), np.array(bins), np.array(weights), bound)


@pytest.mark.parametrize("kernel", WAYS)
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ascending", {"indptr": (0, 2), "bins": (4, 3), "weights": (1, 1)}),
        ("2\\^55", {"weights": (-(1 << 63),)}),
        ("bound", {"weights": (10,)}),
        ("bound", {"bound": (1 << 53) + 1}),
        ("blocks a call", {"blocks": (0, 1 << 20)}),
        ("3 × 8192", {"limbs": 2}),
        ("cuts bins", {"indptr": (0, 2)}),
        ("cuts bins", {"indptr": (1, 0)}),
        ("cuts bins", {"indptr": (-1, 0)}),
        ("cuts bins", {"indptr": (0,)}),
        ("cuts bins", {"weights": (1, 2)}),
    ],
)
def test_malformed_arguments_are_refused(kernel: Kernel, text: str, wrong: dict[str, Any]) -> None:
    _call(kernel)
    with pytest.raises(ValueError, match=text):
        _call(kernel, **wrong)
