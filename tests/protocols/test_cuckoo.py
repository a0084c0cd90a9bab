"""Bins: three distinct positions a row, an exact placement, and one query a bin."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import cuckoo
from cleanroom.protocols.seeds import keystream
from tests.protocols import slow_arrays as reference

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]
SESSION = bytes(range(32))
SEED = cuckoo.bin_seed(session_id=SESSION)
DUMMY_KEY = bytes(reversed(range(32)))


def make_keys(count: int, label: bytes = b"row") -> Bytes:
    rows = b"".join(hashlib.sha256(label + b"%d" % index).digest()[:16] for index in range(count))
    return np.frombuffer(rows, dtype=np.uint8).reshape(count, 16)


def independent_positions(keys: Bytes, seed: bytes, n_bins: int) -> Positions:
    """The mutant: three draws that know nothing of each other."""
    out = np.empty((len(keys), 3), dtype=np.int64)
    for row, key in enumerate(keys):
        digest = hashlib.sha256(b"bins/v1" + seed + key.tobytes()).digest()
        out[row] = [int.from_bytes(digest[8 * j : 8 * j + 8], "little") * n_bins >> 64 for j in range(3)]
    return out


@pytest.mark.parametrize(("rows", "bins"), [(0, 1301), (1, 1301), (1024, 1301), (1025, 1302), (1 << 20, 1331692)])
def test_bin_count(rows: int, bins: int) -> None:
    assert cuckoo.bin_count(rows) == bins


def test_bin_count_needs_a_bound() -> None:
    with pytest.raises(ValueError, match="not negative"):
        cuckoo.bin_count(-1)


@pytest.mark.parametrize("n_bins", [3, 4, 5, 64, 1301, (1 << 32) - 2])
def test_positions_equal_the_reference(n_bins: int) -> None:
    keys = make_keys(300)
    np.testing.assert_array_equal(cuckoo.positions(keys, SEED, n_bins), reference.positions(keys, SEED, n_bins))


def coinciding(positions_of: Callable[[Bytes, bytes, int], Positions]) -> int:
    found = positions_of(make_keys(3000), SEED, 50)
    assert found.min() >= 0
    assert found.max() < 50
    return sum(len(set(row)) < 3 for row in found.tolist())


def test_positions_are_distinct_by_construction() -> None:
    assert coinciding(cuckoo.positions) == 0
    assert coinciding(independent_positions) > 100


def test_each_position_is_uniform() -> None:
    found = cuckoo.positions(make_keys(20_000), SEED, 40)
    for column in range(3):
        counts = np.bincount(found[:, column], minlength=40)
        assert ((counts - 500.0) ** 2 / 500).sum() < 80  # chi-squared, 39 degrees of freedom: 80 is one in 8,000


def test_positions_depend_on_the_whole_seed_and_the_whole_key() -> None:
    key = make_keys(1)
    base = cuckoo.positions(key, SEED, 1 << 31)
    for index in range(32):
        seed = bytearray(SEED)
        seed[index] ^= 1
        assert (cuckoo.positions(key, bytes(seed), 1 << 31) != base).any()
    for index in range(16):
        other = key.copy()
        other[0, index] ^= 1
        assert (cuckoo.positions(other, SEED, 1 << 31) != base).any()


def test_seeds_differ_by_session_bucket_and_attempt() -> None:
    seeds = {
        cuckoo.bin_seed(session_id=session, bucket=bucket, attempt=attempt)
        for session in (SESSION, bytes(32))
        for bucket in (0, 1)
        for attempt in (0, 1)
    }
    assert len(seeds) == 8


@pytest.mark.parametrize(
    ("keys", "seed", "n_bins"),
    [
        (np.zeros((2, 15), np.uint8), SEED, 100),
        (np.zeros((2, 16), np.uint8), SEED[:31], 100),
        (np.zeros((2, 16), np.uint8), SEED, 2),
        (np.zeros((2, 16), np.uint8), SEED, 1 << 32),
    ],
)
def test_malformed_arguments_are_refused(keys: Bytes, seed: bytes, n_bins: int) -> None:
    with pytest.raises(ValueError, match=r"16 bytes|number of bins"):
        cuckoo.positions(keys, seed, n_bins)


@pytest.mark.parametrize("outside", [-1, 10])
def test_placement_refuses_positions_outside_the_table(outside: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        _kernels.cuckoo_place(np.array([[0, 1, outside]], dtype=np.int64), 10)


def check_table(table: cuckoo.Table, found: Positions) -> None:
    """Every row lies in exactly one bin, and that bin is the position that the table names."""
    occupied = np.flatnonzero(table.row >= 0)
    rows = table.row[occupied]
    assert sorted(rows.tolist()) == list(range(len(found)))
    np.testing.assert_array_equal(found[rows, table.choice[occupied]], occupied)
    assert not table.choice[table.row < 0].any()


@pytest.mark.parametrize("rows", [0, 1, 2, 100, 1024])
def test_every_row_gets_one_of_its_bins(rows: int) -> None:
    keys, n_bins = make_keys(rows), cuckoo.bin_count(rows)
    check_table(cuckoo.Table.build(keys, n_bins, SEED), cuckoo.positions(keys, SEED, n_bins))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_placement_equals_the_reference_and_fails_only_where_no_matching_exists(data: st.DataObject) -> None:
    n_bins = data.draw(st.integers(3, 12))
    row = st.lists(st.integers(0, n_bins - 1), min_size=3, max_size=3)
    found = np.array(data.draw(st.lists(row, max_size=n_bins)), dtype=np.int64).reshape(-1, 3)
    placed, expected = _kernels.cuckoo_place(found, n_bins), reference.place(found, n_bins)
    assert (placed is None) == (expected is None) == (not matching_exists(found.tolist()))
    if placed is not None and expected is not None:
        np.testing.assert_array_equal(placed[0], expected[0])
        np.testing.assert_array_equal(placed[1], expected[1])


def matching_exists(rows: list[list[int]]) -> bool:
    """Hall's condition by the classic recursion: depth first, nothing shared with the code under test."""
    holder: dict[int, int] = {}

    def free(row: int, seen: set[int]) -> bool:
        for index in rows[row]:
            if index not in seen:
                seen.add(index)
                if index not in holder or free(holder[index], seen):
                    holder[index] = row
                    return True
        return False

    return all(free(row, set()) for row in range(len(rows)))


def failures(positions_of: Callable[[Bytes, bytes, int], Positions], tables: int) -> int:
    keys = make_keys(16)
    seeds = [cuckoo.bin_seed(session_id=SESSION, attempt=attempt) for attempt in range(tables)]
    return sum(_kernels.cuckoo_place(positions_of(keys, seed, 21), 21) is None for seed in seeds)


def test_independent_positions_fail_more_often() -> None:
    assert 2 * failures(cuckoo.positions, 2000) < failures(independent_positions, 2000)


def test_the_smallest_table_never_fails() -> None:
    keys, n_bins = make_keys(1024), cuckoo.bin_count(1024)
    for attempt in range(300):
        seed = cuckoo.bin_seed(session_id=SESSION, attempt=attempt)
        assert _kernels.cuckoo_place(cuckoo.positions(keys, seed, n_bins), n_bins) is not None


def test_a_seed_without_placement_is_replaced() -> None:
    keys = make_keys(16)
    seeds = [cuckoo.bin_seed(session_id=SESSION, bucket=bucket) for bucket in range(2000)]
    bad = next(i for i, seed in enumerate(seeds) if _kernels.cuckoo_place(cuckoo.positions(keys, seed, 18), 18) is None)
    with pytest.raises(cuckoo.NoPlacementError):
        cuckoo.Table.build(keys, 18, seeds[bad])
    table, attempt = cuckoo.place(keys, rows=16, padding_key=bytes(32), n_bins=18, session_id=SESSION, bucket=bad)
    assert attempt > 0
    seed = cuckoo.bin_seed(session_id=SESSION, bucket=bad, attempt=attempt)
    check_table(table, cuckoo.positions(keys, seed, 18))


def test_equal_keys_have_no_placement_under_any_seed() -> None:
    with pytest.raises(cuckoo.NoPlacementError, match="any of 8 seeds"):
        cuckoo.place(np.zeros((4, 16), np.uint8), rows=4, padding_key=bytes(32), n_bins=1301, session_id=SESSION)


@pytest.mark.parametrize("rows", [0, 1, 700, 1024])
def test_as_many_rows_are_placed_as_the_public_bound_allows(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer waits for the placement, so the number of real rows must not decide how long it takes."""
    placed: list[int] = []
    drawn: list[int] = []
    true_place = _kernels.cuckoo_place

    def counted(positions: Positions, n_bins: int) -> tuple[Positions, Bytes] | None:
        placed.append(len(positions))
        return true_place(positions, n_bins)

    def noted(key: bytes, length: int) -> bytes:
        drawn.append(length)
        return keystream(key, length)

    monkeypatch.setattr(_kernels, "cuckoo_place", counted)
    monkeypatch.setattr(cuckoo, "keystream", noted)
    keys, n_bins = make_keys(rows), cuckoo.bin_count(1024)
    table, attempt = cuckoo.place(keys, rows=1024, padding_key=DUMMY_KEY, n_bins=n_bins, session_id=SESSION)
    assert (placed, drawn, attempt) == ([1024], [16 * 1024], 0)
    check_table(table, cuckoo.positions(keys, SEED, n_bins))
    empty = cuckoo.queries(table, keys, DUMMY_KEY)[table.row < 0]
    assert len(empty) == n_bins - rows
    assert set(empty[:, 17].tolist()) == {cuckoo.DUMMY_DOMAIN}


def test_more_rows_than_the_bound_are_refused() -> None:
    with pytest.raises(ValueError, match="public bound"):
        cuckoo.place(make_keys(5), rows=4, padding_key=bytes(32), n_bins=1301, session_id=SESSION)


def test_there_is_one_query_a_bin_whatever_the_rows() -> None:
    n_bins = cuckoo.bin_count(0)
    for rows in (0, 1, 500, 1024):
        keys = make_keys(rows)
        found = cuckoo.queries(cuckoo.Table.build(keys, n_bins, SEED), keys, DUMMY_KEY)
        assert found.shape == (n_bins, cuckoo.INPUT_BYTES)
        assert len({bytes(row) for row in found}) == n_bins


def test_a_query_holds_the_key_and_the_position_number() -> None:
    keys, n_bins = make_keys(700), cuckoo.bin_count(700)
    table = cuckoo.Table.build(keys, n_bins, SEED)
    found = cuckoo.queries(table, keys, DUMMY_KEY)
    inputs = cuckoo.row_inputs(keys, np.full(len(keys), cuckoo.REAL_DOMAIN, np.uint8))
    for index in np.flatnonzero(table.row >= 0):
        assert bytes(found[index]) == bytes(inputs[3 * table.row[index] + table.choice[index]])
        assert bytes(found[index]) == bytes(keys[table.row[index]]) + bytes([table.choice[index]]) + bytes(9)
    assert set(table.choice[table.row >= 0].tolist()) == {0, 1, 2}


def test_an_empty_bin_asks_for_fresh_bits_in_a_domain_of_its_own() -> None:
    keys, n_bins = make_keys(700), cuckoo.bin_count(700)
    table = cuckoo.Table.build(keys, n_bins, SEED)
    empty = np.flatnonzero(table.row < 0)
    found = cuckoo.queries(table, keys, DUMMY_KEY)[empty]
    for index, row in zip(empty.tolist(), found, strict=True):
        assert bytes(row[16:]) == bytes([0, cuckoo.DUMMY_DOMAIN]) + index.to_bytes(8, "little")
    assert len({bytes(row[:16]) for row in found}) == len(empty)
    again = cuckoo.queries(table, keys, bytes(32))[empty]
    assert not {bytes(row[:16]) for row in found} & {bytes(row[:16]) for row in again}


def test_domains_never_meet() -> None:
    keys = make_keys(4)
    domains = np.array([cuckoo.REAL_DOMAIN, cuckoo.PADDING_DOMAIN] * 2, np.uint8)
    inputs = cuckoo.row_inputs(keys, domains)
    assert inputs[:, 17].tolist() == [0, 0, 0, 2, 2, 2, 0, 0, 0, 2, 2, 2]
    assert inputs[:, 16].tolist() == [0, 1, 2] * 4
    assert len({cuckoo.REAL_DOMAIN, cuckoo.DUMMY_DOMAIN, cuckoo.PADDING_DOMAIN}) == 3


def test_a_table_keeps_its_rows_out_of_its_repr() -> None:
    table = cuckoo.Table.build(make_keys(3), cuckoo.bin_count(3), SEED)
    assert repr(table) == "Table(n_bins=1301)"
    assert table != cuckoo.Table.build(make_keys(3), cuckoo.bin_count(3), SEED)
