"""The commitment to rows: RFC 9162's tree, kernel against reference, and what the root must and must not depend on."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cleanroom.protocols.commitment import lookups_root, merkle_root, root_of_nodes, rows_root
from cleanroom.vectors import check_file
from tools.slow import merkle as reference

KEY = bytes(range(32))


def root(rows: list[bytes], padded: int, key: bytes = KEY) -> bytes:
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.uint64)
    return merkle_root(key=key, data=b"".join(rows), offsets=offsets, padded=padded)


def test_the_tree_is_that_of_certificate_transparency() -> None:
    assert check_file("merkle/rfc9162/certificate-transparency.json").vectors == 2 * 8


@pytest.mark.parametrize("padded", [1, 2, 3, 7, 8, 1023, 1024, 1025, 3000])
def test_kernel_equals_reference(padded: int) -> None:
    rng = np.random.default_rng(padded)
    for count in {0, 1, padded // 2, padded}:
        rows = [rng.bytes(int(length)) for length in rng.integers(0, 90, count)]
        assert root(rows, padded) == reference.merkle_root(KEY, rows, padded)


def test_unchanged_rows_give_an_unchanged_root_and_any_change_another() -> None:
    rows = [b"alpha", b"beta", b"", b"gamma"]
    same = root(rows, 8)
    assert root(list(rows), 8) == same
    changed = {
        "a byte": [b"alphb", *rows[1:]],
        "a bound between rows": [b"alphab", b"eta", *rows[2:]],
        "the order": [rows[1], rows[0], *rows[2:]],
        "one row fewer": rows[:3],
        "an empty row more": [*rows, b""],
    }
    roots = {root(other, 8) for other in changed.values()}
    assert same not in roots
    assert len(roots) == len(changed)
    assert root(rows, 16) != same
    assert root(rows, 8, key=bytes(32)) != same


def test_equal_rows_and_padding_have_unequal_leaves() -> None:
    # With equal leaves a subtree of padding would have a root that anybody can compute from its leaf.
    assert root([b"x"], 1) != root([b"y"], 1)
    two = root([b"x", b"x"], 2)
    leaf = root([b"x"], 1)
    assert two != hashlib.sha256(b"\x01" + leaf + leaf).digest()
    padding = root([], 1)
    assert root([], 2) != hashlib.sha256(b"\x01" + padding + padding).digest()


def test_data_may_be_any_buffer() -> None:
    offsets = np.array([0, 2, 5], np.uint64)
    expected = merkle_root(key=KEY, data=b"abcde", offsets=offsets, padded=4)
    for data in (bytearray(b"abcde"), memoryview(b"abcde"), np.frombuffer(b"abcde", np.uint8)):
        assert merkle_root(key=KEY, data=data, offsets=offsets, padded=4) == expected


@pytest.mark.parametrize(
    ("key", "offsets", "padded", "message"),
    [
        (b"short", [0, 5], 4, "32 bytes"),
        (KEY, [0, 5], 0, "padded"),
        (KEY, [0, 1, 5], 1, "padded"),
        (KEY, [], 4, "offsets"),
        (KEY, [1, 5], 4, "offsets"),
        (KEY, [0, 4], 4, "offsets"),
        (KEY, [0, 6], 4, "offsets"),
        (KEY, [0, 3, 2, 5], 4, "offsets"),
        (KEY, [0, 2**64 - 1, 5], 4, "offsets"),
    ],
)
def test_malformed_arguments_are_refused(key: bytes, offsets: list[int], padded: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merkle_root(key=key, data=b"abcde", offsets=np.array(offsets, np.uint64), padded=padded)


@pytest.mark.parametrize("count", [0, 1, 17, 1500])
@pytest.mark.parametrize("columns", [1, 3, 9])
def test_rows_are_encoded_as_the_page_says(count: int, columns: int) -> None:
    rng = np.random.default_rng(count)
    keys = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    values = rng.integers(-(2**63), 2**63 - 1, (count, columns))
    encoded = [key.tobytes() + row.astype("<i8").tobytes() for key, row in zip(keys, values, strict=True)]
    assert rows_root(key=KEY, keys=keys, values=values, padded=2000) == root(encoded, 2000)


@pytest.mark.parametrize("count", [0, 1, 17, 1500])
def test_lookups_are_encoded_as_the_page_says(count: int) -> None:
    rng = np.random.default_rng(count)
    keys = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    indptr = np.cumsum([0, *rng.integers(0, 12, count)])
    target = rng.integers(0, 2**31 - 1, indptr[-1], dtype=np.int32)
    weight = rng.integers(-(2**63), 2**63 - 1, indptr[-1])
    encoded = [
        key.tobytes()
        + b"".join(
            int(target[at]).to_bytes(4, "little") + int(weight[at]).to_bytes(8, "little", signed=True)
            for at in range(first, last)
        )
        for key, first, last in zip(keys, indptr[:-1], indptr[1:], strict=True)
    ]
    found = lookups_root(key=KEY, keys=keys, indptr=indptr, target=target, weight=weight, padded=2000)
    assert found == root(encoded, 2000)


def test_rows_of_other_shapes_are_refused() -> None:
    keys, values = np.zeros((2, 16), np.uint8), np.zeros((2, 1), np.int64)
    none, ends = np.zeros(0, np.int64), np.zeros(3, np.int64)
    for wrong in (
        lambda: rows_root(key=KEY, keys=keys[:, :15].copy(), values=values, padded=2),
        lambda: rows_root(key=KEY, keys=keys, values=values[:1], padded=2),
        lambda: rows_root(key=KEY, keys=keys, values=values, padded=1),
        lambda: rows_root(key=KEY[:31], keys=keys, values=values, padded=2),
        lambda: lookups_root(key=KEY, keys=keys, indptr=ends[:2], target=none.astype(np.int32), weight=none, padded=2),
        lambda: lookups_root(key=KEY, keys=keys, indptr=ends + 1, target=none.astype(np.int32), weight=none, padded=2),
        lambda: lookups_root(key=KEY, keys=keys, indptr=ends - 1, target=none.astype(np.int32), weight=none, padded=2),
        lambda: lookups_root(key=KEY, keys=keys, indptr=ends, target=np.zeros(1, np.int32), weight=none, padded=2),
        lambda: lookups_root(key=KEY, keys=keys, indptr=ends, target=none.astype(np.int32), weight=none, padded=1),
    ):
        with pytest.raises(ValueError):
            wrong()


@pytest.mark.parametrize("padded", [1, 255, 256, 257, 1024, 1400, 3000])
@pytest.mark.parametrize("count", [0, 1, 255, 700])
def test_nodes_over_stretches_of_rows_join_to_the_root(count: int, padded: int) -> None:
    count = min(count, padded)
    rng = np.random.default_rng(count)
    keys = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    values = rng.integers(-(2**63), 2**63 - 1, (count, 2))
    held = rng.integers(0, 4, count)
    indptr = np.cumsum([0, *held])
    target, weight = rng.integers(0, 99, indptr[-1], dtype=np.int32), rng.integers(1, 99, indptr[-1])
    nodes: tuple[list[bytes], list[bytes]] = ([], [])
    for start in range(0, padded, 256):
        part = slice(start, min(start + 256, count))
        leaves = min(256, padded - start)
        nodes[0].append(rows_root(key=KEY, keys=keys[part], values=values[part], padded=leaves, origin=start))
        ends = indptr[min(start, count) : max(min(start + 256, count), min(start, count)) + 1]
        inner = slice(ends[0], ends[-1])
        nodes[1].append(
            lookups_root(
                key=KEY,
                keys=keys[part],
                indptr=ends - ends[0],
                target=target[inner],
                weight=weight[inner],
                padded=leaves,
                origin=start,
            )
        )
    assert root_of_nodes(nodes[0]) == rows_root(key=KEY, keys=keys, values=values, padded=padded)
    whole = lookups_root(key=KEY, keys=keys, indptr=indptr, target=target, weight=weight, padded=padded)
    assert root_of_nodes(nodes[1]) == whole
