"""No kernel reads an array in column order as if it were in row order: that would mix rows without a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols.rlwe import DEGREE

KEY = bytes(32)
SHORT = bytes(16)
Array = NDArray[Any]


def rows(count: int, width: int, dtype: type[np.generic] = np.uint8) -> Array:
    return np.random.default_rng(1).integers(0, 100, (count, width)).astype(dtype)


def rings(count: int, limbs: int = 3) -> Array:
    return np.random.default_rng(2).integers(0, 100, (count, limbs, DEGREE)).astype(np.uint64)


def offsets(*values: int) -> Array:
    return np.array(values, dtype=np.int64)


WORDS = rows(20, 2, np.uint64)
TABLE = rows(22 + 255, 2, np.uint64)


def step_pieces(person: Array, label: Array | None) -> object:
    labels = None if label is None else (label, np.zeros(9, np.int64))
    three, two = (np.zeros((0, width), np.int64) for width in (3, 2))
    tables = (three, np.zeros((0, 4), np.int64), two, np.zeros((0, 9), np.int64), three)
    nine = np.zeros(9, np.int64)
    return _kernels.step_pieces(person, nine, np.zeros(9, np.int32), nine, labels, tables, (0, 1, 1), None, [(0, 1)])


KERNELS: list[tuple[str, Array, Callable[[Array], object]]] = [
    ("okvs keys", rows(20, 26), lambda a: _kernels.okvs_encode(a, WORDS, SHORT, KEY, 22, 256)),
    ("okvs values", WORDS, lambda a: _kernels.okvs_encode(rows(20, 26), a, SHORT, KEY, 22, 256)),
    ("okvs decoded keys", rows(20, 26), lambda a: _kernels.okvs_decode(a, TABLE, SHORT, 22, 256)),
    ("okvs table", TABLE, lambda a: _kernels.okvs_decode(rows(20, 26), a, SHORT, 22, 256)),
    ("bin positions", rows(20, 16), lambda a: _kernels.bin_positions(a, KEY, 50)),
    ("placement", rows(20, 3, np.int64), lambda a: _kernels.cuckoo_place(a, 100)),
    ("messages", rows(2, DEGREE, np.uint64), lambda a: _kernels.RlweSecret(KEY, 1).encrypt(KEY, KEY, 0, a)),
    (
        "answers",
        rings(2, 2),
        lambda a: _kernels.RlweSecret(KEY, 1).product_constants(a, np.zeros(1, np.uint32)),
    ),
    (
        "ciphertexts",
        rings(2),
        lambda a: _kernels.rlwe_weigh_ciphertexts(
            np.zeros((1, 1, 3), np.uint64),
            a,
            0,
            np.zeros(1, np.uint32),
            offsets(3),
            np.zeros(1, np.int32),
            offsets(1),
        ),
    ),
    (
        "constants",
        np.zeros((2, 2, 3), np.uint64),
        lambda a: _kernels.rlwe_weigh_ciphertexts(
            a, rings(2), 0, np.zeros(2, np.uint32), offsets(3), np.zeros(1, np.int32), offsets(1)
        ),
    ),
    (
        "sums of elements",
        rings(2),
        lambda a: _kernels.rlwe_weigh_dense(a, KEY, 0, 1, offsets(0, 0, 0), offsets(), offsets(), 1),
    ),
    ("public keys", rings(2), lambda a: _kernels.rlwe_encrypt_zeros(KEY, KEY, 0, 1, a)),
    ("switched sums", rings(2), lambda a: _kernels.rlwe_switch(a, rings(2))),
    ("switched zeros", rings(2), lambda a: _kernels.rlwe_switch(rings(2), a)),
    ("scalars", rows(2, 32), lambda a: _kernels.ristretto_multiply(a, rows(2, 32))),
    ("uniform bytes", rows(2, 64), lambda a: _kernels.ristretto_from_uniform(a)),
    ("sorted rows", rows(9, 2, np.uint64), lambda a: _kernels.sort_rows([a])),
    ("grouped rows", rows(9, 2, np.uint64), lambda a: _kernels.group_rows([a], [])),
    ("changing rows", rows(9, 2, np.uint64), lambda a: _kernels.row_changes(a)),
    ("parts of rows", rows(9, 2, np.uint64), lambda a: _kernels.side_by_side([a, a])),
    ("keys of rows", rows(9, 16), lambda a: _kernels.keyed_rows(a, rows(9, 2, np.uint64))),
    ("words behind keys", rows(9, 2, np.uint64), lambda a: _kernels.keyed_rows(rows(9, 16), a)),
    ("rows behind keys", rows(9, 3, np.uint64), lambda a: _kernels.keyed_in_order([a])),
    ("rows to split", rows(9, 3, np.uint64), lambda a: _kernels.split_in_order([a])),
    ("rows to split as they are", rows(9, 3, np.uint64), lambda a: _kernels.split_as_is(a)),
    ("rows and padding", rows(9, 3, np.uint64), lambda a: _kernels.real_rows(a)),
    ("values to pack", rows(9, 2, np.int64), lambda a: _kernels.pack_values(a, [(0, 255)] * 2)),
    ("packed words", rows(9, 2, np.uint64), lambda a: _kernels.unpack_values(a, [(0, 1 << 62)] * 2)),
    ("touches", rows(9, 4, np.uint64), lambda a: _kernels.touch_columns(a)),
    ("outcomes", rows(9, 7, np.uint64), lambda a: _kernels.outcome_columns(a)),
    ("people of rows", rows(9, 4, np.uint64), lambda a: _kernels.whole_people(a, 2)),
    ("halves", rows(9, 2, np.int64), lambda a: _kernels.decimal_amounts(a, np.ones(9, np.bool_), unit=1, limit=1)),
    ("leading keys", rows(9, 4, np.uint64), lambda a: _kernels.leading_keys(a)),
    ("people within", rows(9, 7, np.uint64), lambda a: _kernels.people_within(a, 0, 1)),
    ("lines", rows(9, 7, np.uint64), lambda a: _kernels.merge_lines([a])),
    (
        "people",
        rows(9, 16),
        lambda a: _kernels.row_keys(a, 1, np.zeros(9, np.uint8), np.zeros(9, np.int64)),
    ),
    ("keys", rows(9, 16), lambda a: _kernels.valued_root(bytes(32), a, rows(9, 2, np.int64), 9, 0)),
    ("values", rows(9, 2, np.int64), lambda a: _kernels.valued_root(bytes(32), rows(9, 16), a, 9, 0)),
    (
        "keys of weights",
        rows(9, 16),
        lambda a: _kernels.weighted_root(
            bytes(32), a, np.arange(10), np.zeros(9, np.int32), np.zeros(9, np.int64), 9, 0
        ),
    ),
    (
        "people of pieces",
        rows(9, 16),
        lambda a: _kernels.rows_of_pieces(
            a, np.arange(9), 1, np.arange(9), np.arange(1, 10), rows(9, 2, np.uint64), [1], np.ones(9, np.int64)
        ),
    ),
    (
        "words of pieces",
        rows(9, 2, np.uint64),
        lambda a: _kernels.rows_of_pieces(
            rows(9, 16), np.arange(9), 1, np.arange(9), np.arange(1, 10), a, [1], np.ones(9, np.int64)
        ),
    ),
    ("people of outcomes", rows(9, 16), lambda a: step_pieces(a, None)),
    ("labels of outcomes", rows(9, 2, np.int16), lambda a: step_pieces(rows(9, 16), a)),
    (
        "keys of lookups",
        rows(9, 16),
        lambda a: _kernels.sort_lookups(a, np.ones(9, np.int64), np.zeros(9, np.int32), np.zeros(9, np.int64)),
    ),
]


@pytest.mark.parametrize(("array", "call"), [case[1:] for case in KERNELS], ids=[case[0] for case in KERNELS])
def test_column_order_is_refused(array: Array, call: Callable[[Array], object]) -> None:
    for moved in (np.asfortranarray(array), np.repeat(array, 2, axis=0)[::2]):
        assert np.array_equal(moved, array) and not moved.flags.c_contiguous
        with pytest.raises(ValueError, match="contiguous"):
            call(moved)
