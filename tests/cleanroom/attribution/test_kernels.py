"""The kernels of the preparation against the same in plain Python, bit for bit."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.attribution.rows import MEMBER_DOMAIN, TREE_DOMAIN
from cleanroom.attribution.touched import group_mark
from cleanroom.attribution.tree import cover
from cleanroom.texts import Texts
from tests.cleanroom.attribution.world import KEY

SIZES = (0, 1, 2, 15, 16, 17, 300, 40_000)
"""The last is more than one task holds."""


def ints(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def owned(rng: random.Random, count: int) -> list[int]:
    """Owners of rows, ascending; a few have none and one has many."""
    return sorted(rng.choice((rng.randrange(count // 4 + 1), 7)) for _ in range(count))


@pytest.mark.parametrize("count", SIZES)
def test_memberships(count: int) -> None:
    rng = random.Random(count)
    rows = [(owner, rng.randrange(5)) for owner in owned(rng, count)]
    places: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row].append(place)
    pairs = sorted(places)
    owner, group, first, last, held, pair = _kernels.memberships(
        *(ints([row[side] for row in rows]) for side in (0, 1))
    )
    assert list(zip(owner.tolist(), group.tolist(), strict=True)) == pairs
    found = zip(first.tolist(), last.tolist(), held.tolist(), strict=True)
    assert list(found) == [(places[one][0], places[one][-1], len(places[one])) for one in pairs]
    assert pair.tolist() == [pairs.index(row) for row in rows] if count < 1000 else [pairs[at] for at in pair] == rows


@pytest.mark.parametrize("limit", [1, 2, 4])
@pytest.mark.parametrize("count", SIZES[:-1])
def test_the_groups_with_the_smallest_marks_are_kept(count: int, limit: int) -> None:
    rng = random.Random(count)
    labels = ["a", "campaign/测试", "x" * 90, "", "b", "c", "d"]
    pairs = sorted({(owner, rng.randrange(len(labels))) for owner in owned(rng, count)})
    people = np.frombuffer(rng.randbytes(16 * (count + 8)), dtype=np.uint8).reshape(-1, 16)
    texts = Texts.of(pa.array(labels, pa.string()))
    kept = _kernels.within_cap(
        KEY, people, ints([owner for owner, _ in pairs]), ints([group for _, group in pairs]),
        texts.offsets, texts.data, texts.valid, limit,
    )  # fmt: skip
    groups: dict[int, list[int]] = defaultdict(list)
    for owner, group in pairs:
        groups[owner].append(group)
    for owner, held in groups.items():
        held.sort(key=lambda group: group_mark(KEY, people[owner].tobytes(), labels[group]))
    assert kept.tolist() == [group in groups[owner][:limit] for owner, group in pairs]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("count", SIZES)
def test_impulses_that_share_a_node_add_up(count: int, size: int) -> None:
    rng = random.Random(count)
    rows = [(owner, rng.randrange(6), rng.randrange(3), rng.choice((-2, -1, 1, 2))) for owner in owned(rng, count)]
    rng.shuffle(rows)
    sums: dict[tuple[int, int, int], int] = defaultdict(int)
    for owner, tick, group, weight in rows:
        sums[owner, tick // size, group] += weight
    expected = [(*place, sums[place]) for place in sorted(sums) if sums[place]]
    columns = [ints([row[side] for row in rows]) for side in range(4)]
    merged = _kernels.merge_impulses(*columns, size, max((row[0] for row in rows), default=-1) + 1)
    assert list(zip(*(column.tolist() for column in merged), strict=True)) == expected


@pytest.mark.parametrize("count", SIZES)
def test_the_longest_run_is_the_earliest_of_equals(count: int) -> None:
    rng = random.Random(count)
    rows = []
    for owner in owned(rng, count):
        start = rng.randrange(12)
        rows.append((owner, rng.randrange(2), start * 3, start * 3 + 3 if rng.randrange(4) else start * 3 + 2))
    ends = {(owner, group, start): end for owner, group, start, end in rows}  # equal starts have equal ends
    rows = [(*row[:3], ends[row[:3]]) for row in rows]
    ticks: dict[tuple[int, int], set[int]] = defaultdict(set)
    for owner, group, start, end in rows:
        ticks[owner, group].update(range(start, end))
    expected = []
    for (owner, group), covered in sorted(ticks.items()):
        starts = [tick for tick in covered if tick - 1 not in covered]
        length = {start: next(n for n in range(99) if start + n not in covered) for start in starts}
        best = min(starts, key=lambda start: (-length[start], start))
        expected.append((owner, group, best, length[best]))
    found = _kernels.longest_runs(*(ints([row[side] for row in rows]) for side in range(4)))
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def some_keys(rng: random.Random, count: int) -> list[bytes]:
    """Digests, as keys are, and some that are alike for many bytes."""
    return [rng.randbytes(16) if place % 3 else bytes(12) + place.to_bytes(4, "big") for place in range(count)]


@pytest.mark.parametrize("count", SIZES)
def test_lookups_come_in_the_order_of_their_keys(count: int) -> None:
    rng = random.Random(count)
    rows = [(key, [(rng.randrange(9), rng.randrange(-5, 6)) for _ in range(rng.randrange(4))])
            for key in some_keys(rng, count)]  # fmt: skip
    rng.shuffle(rows)
    entries = [entry for _, held in rows for entry in held]
    keys, indptr, target, weight = _kernels.sort_lookups(
        np.frombuffer(b"".join(key for key, _ in rows), dtype=np.uint8).reshape(-1, 16),
        ints([len(held) for _, held in rows]),
        np.array([entry[0] for entry in entries], dtype=np.int32),
        ints([entry[1] for entry in entries]),
    )
    found = list(zip(target.tolist(), weight.tolist(), strict=True))
    ends = indptr.tolist()
    assert [(key.tobytes(), found[ends[at] : ends[at + 1]]) for at, key in enumerate(keys)] == sorted(rows)


@pytest.mark.parametrize("tree", [(1,), (1, 2, 4), (1, 6, 24)])
@pytest.mark.parametrize("count", [0, 1, 5, 16, 700, 9000])
def test_rows_of_pieces_are_their_cover(count: int, tree: tuple[int, ...]) -> None:
    rng = random.Random(count)
    person = np.frombuffer(rng.randbytes(16 * (count + 1)), dtype=np.uint8).reshape(-1, 16)
    owner = ints([rng.randrange(count + 1) for _ in range(count)])
    first = ints([rng.randrange(50) for _ in range(count)])
    last = first + ints([rng.randrange(40) for _ in range(count)])
    vector = ints([rng.randrange(-9, 10) for _ in range(3 * count)]).reshape(-1, 3)
    piece, level, node = cover(first, last, tree)
    sizes = _kernels.cover_sizes(first, last, list(tree))
    assert sizes.tolist() == np.bincount(piece, minlength=count).tolist()
    for domain in (MEMBER_DOMAIN, TREE_DOMAIN):
        keys = _kernels.row_keys(person[owner[piece]], domain, level, node)
        expected = [(key.tobytes(), vector[at].tolist()) for key, at in zip(keys, piece, strict=True)]
        keys, values = _kernels.rows_of_pieces(person, owner, domain, first, last, vector, list(tree), len(piece))
        found = [(key.tobytes(), row) for key, row in zip(keys, values.tolist(), strict=True)]
        assert sorted(found) == sorted(expected)
        assert [row for _, row in found] == vector[np.repeat(np.arange(count), sizes)].tolist()


def pieces(**changed: object) -> Callable[[], object]:
    given: dict[str, object] = {
        "person": np.arange(32, dtype=np.uint8).reshape(2, 16), "owner": ints([0, 1]), "domain": TREE_DOMAIN,
        "first": ints([0, 3]), "last": ints([2, 4]), "vector": np.ones((2, 1), dtype=np.int64),
        "tree": [1, 2], "rows": 2,
    }  # fmt: skip
    return lambda: _kernels.rows_of_pieces(*(given | changed).values())  # type: ignore[arg-type] # faulty on purpose


def steps(**changed: object) -> Callable[[], object]:
    """Two outcomes of one person, one value: how many are in [p, p + 3)."""
    given: dict[str, object] = {
        "person": np.ones((2, 16), dtype=np.uint8), "tick": ints([4, 5]), "event": np.zeros(2, dtype=np.int32),
        "value": ints([1, 2]), "labels": None,
    }  # fmt: skip
    tables = {
        "sources": [[0, -1, 0]], "totals": [[0, 0, 9, 0]], "cursors": [[0, -2], [0, 1]],
        "figures": [[0, 0, 0, 1, 1, 1, 9, 0, 0]], "looks": [[0, 1, 0]],
    }  # fmt: skip
    program = tuple(np.array(changed.get(name, table), dtype=np.int64) for name, table in tables.items())
    frame = {"frame": (0, 9, 9), "points": None, "columns": 1}
    own = {name: value for name, value in changed.items() if name not in tables}
    arguments = {**given, "program": program, **frame, **own}
    return lambda: _kernels.step_pieces(*arguments.values())  # type: ignore[arg-type] # faulty on purpose


def figure(**changed: int) -> list[list[int]]:
    row = {"column": 0, "total": 0, "a": 0, "b": 1, "c": 1, "d": 1, "cap": 9, "squared": 0, "touch_only": 0}
    return [list((row | changed).values())]


def test_the_pieces_that_the_refusals_change_are_right() -> None:
    assert len(pieces()()[0]) == 2  # type: ignore[index] # two arrays
    assert [part.tolist() for part in steps()()] == [[0, 0, 0], [2, 3, 5], [3, 5, 6], [[1], [2], [1]]]  # type: ignore[attr-defined]


def capped(*, key: bytes = KEY, owner: int = 0, group: int = 0) -> Callable[[], object]:
    texts = Texts.of(pa.array(["a"], pa.string()))
    person = np.ones((1, 16), dtype=np.uint8)
    return lambda: _kernels.within_cap(
        key, person, ints([owner]), ints([group]), texts.offsets, texts.data, texts.valid, 1
    )


ONE, TWO = ints([0]), ints([0, 0])
KEYS = np.ones((2, 16), dtype=np.uint8)
TARGETS = np.zeros(1, dtype=np.int32)
REFUSED: dict[str, Callable[[], object]] = {
    "rows that are not made": pieces(rows=3),
    "rows that no memory holds": pieces(last=ints([2, 1 << 62])),
    "owners of pieces that are nobody": pieces(owner=ints([0, 2])),
    "owners of pieces below the people": pieces(owner=ints([0, -1])),
    "few owners of pieces": pieces(owner=ints([0])),
    "a piece that ends before it begins": pieces(last=ints([2, 2])),
    "a piece before time": pieces(first=ints([-1, 3])),
    "a tree that is no chain": pieces(tree=[2, 3]),
    "a tree that shrinks": pieces(tree=[2, 1]),
    "no tree": pieces(tree=[]),
    "a level of no ticks": pieces(tree=[0, 0]),
    "short people": pieces(person=np.ones((2, 15), dtype=np.uint8)),
    "no columns": pieces(vector=np.ones((2, 0), dtype=np.int64)),
    "covers that end before they begin": lambda: _kernels.cover_sizes(ints([1]), ints([0]), [1]),
    "covers without ends": lambda: _kernels.cover_sizes(TWO, ONE, [1]),
    "covers by no tree": lambda: _kernels.cover_sizes(ONE, ONE, [2, 3]),
    "outcomes without ticks": steps(tick=ints([4])),
    "outcomes of short people": steps(person=np.ones((2, 15), dtype=np.uint8)),
    "outcomes before time": steps(tick=ints([-1, 5])),
    "outcomes after all time": steps(tick=ints([4, 1 << 62])),
    "values below zero": steps(value=ints([1, -2])),
    "no row values": steps(columns=0),
    "labels without keys": steps(labels=(np.zeros((2, 1), dtype=np.int16), ONE)),
    "few labels": steps(labels=(np.zeros((1, 1), dtype=np.int16), TWO)),
    "a label that no outcome has": steps(sources=[[0, 1, 0]], labels=(np.zeros((2, 1), dtype=np.int16), TWO)),
    "a label where none are": steps(sources=[[0, 0, 0]]),
    "an event that is no number of 32 bits": steps(sources=[[1 << 32, -1, 0]]),
    "a total of no source": steps(totals=[[1, 0, 9, 0]]),
    "a total of neither kind": steps(totals=[[0, 2, 9, 0]]),
    "a total below zero": steps(totals=[[0, 0, -1, 0]]),
    "a window below zero": steps(totals=[[0, 0, 9, -1]]),
    "a cursor of no source": steps(cursors=[[1, -2], [0, 1]]),
    "a cursor beyond time": steps(cursors=[[0, -(1 << 62)], [0, 1]]),
    "cursors the wrong way round": steps(figures=figure(a=1, b=0)),
    "a cursor that is not there": steps(figures=figure(a=2)),
    "a cursor of another source": steps(
        sources=[[0, -1, 0], [1, -1, 0]], cursors=[[0, -2], [0, 1], [1, 1]], figures=figure(c=2, d=2)
    ),
    "a figure of no total": steps(figures=figure(total=1)),
    "a figure of no column": steps(figures=figure(column=1)),
    "a cap below zero": steps(figures=figure(cap=-1)),
    "a flag that is none": steps(figures=figure(squared=2)),
    "a narrow table": steps(figures=[[0] * 8]),
    "a look at two sources": steps(
        sources=[[0, -1, 0], [1, -1, 0]], cursors=[[0, -2], [0, 1], [1, 1]], looks=[[0, 2, 0]]
    ),
    "a frame before time": steps(frame=(-1, 9, 9)),
    "points that descend": steps(points=(ints([5, 4]), np.ones(2, dtype=np.bool_))),
    "points that no flag says more of": steps(points=(ints([4, 5]), np.ones(1, dtype=np.bool_))),
    "owners that descend": lambda: _kernels.memberships(ints([1, 0]), TWO),
    "owners without groups": lambda: _kernels.memberships(TWO, ONE),
    "segments without ends": lambda: _kernels.longest_runs(TWO, TWO, TWO, ONE),
    "segments of owners that descend": lambda: _kernels.longest_runs(ints([1, 0]), TWO, TWO, TWO),
    "owners beyond the people": lambda: _kernels.merge_impulses(ints([3]), ONE, ONE, ONE, 1, 3),
    "owners below the people": lambda: _kernels.merge_impulses(ints([-1]), ONE, ONE, ONE, 1, 3),
    "nodes of no ticks": lambda: _kernels.merge_impulses(ONE, ONE, ONE, ONE, 0, 3),
    "impulses without weights": lambda: _kernels.merge_impulses(TWO, TWO, TWO, ONE, 1, 3),
    "equal keys": lambda: _kernels.sort_lookups(KEYS, TWO, TARGETS[:0], ONE[:0]),
    "weights that no key has": lambda: _kernels.sort_lookups(KEYS[:1], ONE, TARGETS, ONE),
    "fewer weights than none": lambda: _kernels.sort_lookups(KEYS[:1], ints([-1]), TARGETS[:0], ONE[:0]),
    "groups without a label": capped(group=1),
    "owners that are nobody": capped(owner=1),
    "a short key": capped(key=KEY[:31]),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_malformed_arguments_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()
