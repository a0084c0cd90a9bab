"""The kernels of the preparation against the same in plain Python, bit for bit."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

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


LABELS = ["a", "campaign/测试", "x" * 90, "", "b", "c", "d"]
"""One is longer than a block of the hash, so that none is hashed in one."""


def texts_of(labels: list[str]) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.bool_]]:
    texts = Texts.of(pa.array(labels, pa.string()))
    return texts.offsets, texts.data, texts.valid


@pytest.mark.parametrize("bounds", [None, (1,), (2, 3, 7)])
@pytest.mark.parametrize("instants", [None, (1, 4, 5)])
@pytest.mark.parametrize("limit", [1, 2, 4, 7])
@pytest.mark.parametrize("count", SIZES[:-1])
def test_touches_that_count(
    count: int, limit: int, instants: tuple[int, ...] | None, bounds: tuple[int, ...] | None
) -> None:
    check_counting(count, limit, instants, bounds, LABELS)


@pytest.mark.parametrize("longest", [38, 39, 40])
def test_labels_that_fit_a_block_of_the_hash_and_one_that_does_not(longest: int) -> None:
    for count in SIZES[:-1]:
        check_counting(count, 2, None, None, ["a", "花" * 13, "x" * longest, "", "b", "c"])


def test_touches_of_several_tasks_that_count() -> None:
    check_counting(SIZES[-1], 3, (0, 1, 2, 3, 5), (1, 3), [f"note-{group}" for group in range(9)])


def check_counting(
    count: int, limit: int, instants: tuple[int, ...] | None, bounds: tuple[int, ...] | None, labels: list[str]
) -> None:
    rng = random.Random(count)
    people = [rng.randbytes(16) for _ in range(count + 8)]
    touches = [
        (people[owner], rng.randrange(6), rng.randrange(9), rng.randrange(len(labels))) for owner in owned(rng, count)
    ]
    own: dict[bytes, list[tuple[int, int, int]]] = defaultdict(list)
    for who, *touch in touches:
        if instants is None or touch[0] in instants:
            own[who].append((touch[0], touch[1], touch[2]))
    expected, counts = [], [count - sum(map(len, own.values())), 0, 0, 0, 0]
    for owner, (who, held) in enumerate(own.items()):
        groups = sorted({touch[2] for touch in held}, key=lambda group: group_mark(KEY, who, labels[group]))
        released = {}
        for group in groups[:limit]:
            number = sum(touch[2] == group for touch in held)
            band = 0 if bounds is None else sum(bound <= number for bound in bounds) - 1
            released[group] = -1 if band < 0 else group * len(bounds or (1,)) + band
        kept, over = len(released), max(0, len(groups) - limit)
        own_counts = [0, kept, list(released.values()).count(-1), over, int(over > 0)]
        counts = [one + other for one, other in zip(counts, own_counts, strict=True)]
        expected += [(owner, tick, event, released[group]) for tick, event, group in held if group in released]
    who, columns, found = _kernels.counting_touches(
        np.frombuffer(b"".join(touch[0] for touch in touches), dtype=np.uint8).reshape(-1, 16),
        ints([touch[1] for touch in touches]),
        np.array([touch[2] for touch in touches], dtype=np.int32),
        np.array([touch[3] for touch in touches], dtype=np.int32),
        None if instants is None else ints(list(instants)),
        texts_of(labels),
        limit,
        KEY,
        None if bounds is None else ints(list(bounds)),
    )
    assert [one.tobytes() for one in who] == list(own)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert found == counts


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("count", SIZES)
def test_anchors_are_the_first_or_the_last_touches(count: int, last: bool) -> None:
    rng = random.Random(count)
    families: list[tuple[int, tuple[int, ...] | None]] = [(0, None), (10, (1,)), (5, (0, 2)), (20, ())]
    touches = [(owner, rng.randrange(9), rng.randrange(3), rng.randrange(-1, 5)) for owner in owned(rng, count)]
    expected: dict[tuple[int, int], int] = {}
    for first_target, events in families:
        for owner, tick, event, group in touches:
            place = (owner, first_target + group)
            if group >= 0 and (events is None or event in events) and (last or place not in expected):
                expected[place] = tick
    columns = [ints([touch[side] for touch in touches]) for side in range(4)]
    owner, tick, target = (column.tolist() for column in _kernels.anchors(*columns, 5, families, last))
    assert dict(zip(zip(owner, target, strict=True), tick, strict=True)) == expected
    assert len(owner) == len(expected) and owner == sorted(owner)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("count", SIZES)
def test_a_lookup_has_the_sums_at_its_node(count: int, size: int) -> None:
    rng = random.Random(count)
    rows = [(owner, rng.randrange(6), rng.randrange(3), rng.choice((-2, -1, 1, 2))) for owner in owned(rng, count)]
    rng.shuffle(rows)
    columns = [ints([row[side] for row in rows]) for side in range(4)]
    people = np.frombuffer(rng.randbytes(16 * (count + 8)), dtype=np.uint8).reshape(-1, 16)
    merged = zip(*(column.tolist() for column in _kernels.merge_impulses(*columns, size, len(people))), strict=True)
    expected: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for owner, node, target, weight in merged:
        expected[owner, node].append((target, weight))
    for domain, level in ((MEMBER_DOMAIN, 0), (TREE_DOMAIN, 3)):
        keys, indptr, target, weight = _kernels.lookups_of(people, *columns, domain, level, size)
        owners = ints([owner for owner, _ in expected])
        nodes = ints([node for _, node in expected])
        levels = np.full(len(nodes), level, dtype=np.uint8)
        assert np.array_equal(keys, _kernels.row_keys(people[owners], domain, levels, nodes))
        entries, ends = list(zip(target.tolist(), weight.tolist(), strict=True)), indptr.tolist()
        assert [entries[start:end] for start, end in pairwise(ends)] == list(expected.values())


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
@pytest.mark.parametrize(("count", "width"), [(0, 1), (1, 1), (5, 4), (16, 2), (700, 6), (9000, 3)])
def test_rows_of_pieces_are_their_cover(count: int, width: int, tree: tuple[int, ...]) -> None:
    rng = random.Random(count)
    person = np.frombuffer(rng.randbytes(16 * (count + 1)), dtype=np.uint8).reshape(-1, 16)
    owner = ints([rng.randrange(count + 1) for _ in range(count)])
    first = ints([rng.randrange(50) for _ in range(count)])
    last = first + ints([rng.randrange(40) for _ in range(count)])
    words = np.array([rng.getrandbits(64) for _ in range(width * count)], dtype=np.uint64).reshape(-1, width)
    piece, level, node = cover(first, last, tree)
    sizes = _kernels.cover_sizes(first, last, list(tree))
    assert sizes.tolist() == np.bincount(piece, minlength=count).tolist()
    for domain in (MEMBER_DOMAIN, TREE_DOMAIN):
        keys = _kernels.row_keys(person[owner[piece]], domain, level, node)
        expected = [(key.tobytes(), words[at].tolist()) for key, at in zip(keys, piece, strict=True)]
        rows = _kernels.rows_of_pieces(person, owner, domain, first, last, words, list(tree), sizes)
        found = [(row[:2].astype(">u8").tobytes(), row[2:].tolist()) for row in rows]
        assert sorted(found) == sorted(expected)
        assert [row for _, row in found] == words[np.repeat(np.arange(count), sizes)].tolist()


def pieces(**changed: object) -> Callable[[], object]:
    given: dict[str, object] = {
        "person": np.arange(32, dtype=np.uint8).reshape(2, 16), "owner": ints([0, 1]), "domain": TREE_DOMAIN,
        "first": ints([0, 3]), "last": ints([2, 4]), "words": np.ones((2, 1), dtype=np.uint64),
        "tree": [1, 2], "sizes": ints([1, 1]),
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
    frame = {"frame": (0, 9, 9), "points": None, "bounds": [(0, 9)]}
    own = {name: value for name, value in changed.items() if name not in tables}
    arguments = {**given, "program": program, **frame, **own}
    return lambda: _kernels.step_pieces(*arguments.values())  # type: ignore[arg-type] # faulty on purpose


def figure(**changed: int) -> list[list[int]]:
    row = {"column": 0, "total": 0, "a": 0, "b": 1, "c": 1, "d": 1, "cap": 9, "squared": 0, "touch_only": 0}
    return [list((row | changed).values())]


def test_what_the_refusals_change_is_right() -> None:
    assert counting()()[2] == [1, 1, 0, 0, 0]  # type: ignore[index] # people, columns, counts
    assert [part.tolist() for part in anchored()()] == [[0, 1], [4, 5], [0, 1]]  # type: ignore[attr-defined]
    assert [part.tolist() for part in looked_up()()[1:]] == [[0, 1, 2], [1, 0], [-1, 1]]  # type: ignore[index]
    assert np.shape(pieces()()) == (2, 3)  # type: ignore[arg-type] # an array
    assert steps()()[0] == 1  # type: ignore[index] # people, columns
    assert [part.tolist() for part in steps()()[1:]] == [[0, 0, 0], [2, 3, 5], [3, 5, 6], [[1], [2], [1]]]  # type: ignore[index]


def counting(**changed: object) -> Callable[[], object]:
    """Two touches of one person, one at the instant."""
    given: dict[str, object] = {
        "person": np.ones((2, 16), dtype=np.uint8), "tick": ints([4, 5]), "event": np.zeros(2, dtype=np.int32),
        "group": np.zeros(2, dtype=np.int32), "instants": ints([4]), "labels": texts_of(["a"]), "limit": 1,
        "key": KEY, "bounds": ints([1, 2]),
    }  # fmt: skip
    return lambda: _kernels.counting_touches(*(given | changed).values())  # type: ignore[arg-type] # faulty on purpose


def anchored(**changed: object) -> Callable[[], object]:
    given: dict[str, object] = {
        "owner": ints([0, 1]), "tick": ints([4, 5]), "event": ints([0, 0]), "group": ints([0, 1]), "groups": 2,
        "families": [(0, None)], "last": False,
    }  # fmt: skip
    return lambda: _kernels.anchors(*(given | changed).values())  # type: ignore[arg-type] # faulty on purpose


def looked_up(**changed: object) -> Callable[[], object]:
    given: dict[str, object] = {
        "person": np.ones((2, 16), dtype=np.uint8), "owner": ints([1, 0]), "tick": ints([4, 5]),
        "target": ints([0, 1]), "weight": ints([1, -1]), "domain": TREE_DOMAIN, "level": 0, "size": 1,
    }  # fmt: skip
    return lambda: _kernels.lookups_of(*(given | changed).values())  # type: ignore[arg-type] # faulty on purpose


ONE, TWO = ints([0]), ints([0, 0])
KEYS = np.ones((2, 16), dtype=np.uint8)
TARGETS = np.zeros(1, dtype=np.int32)
REFUSED: dict[str, Callable[[], object]] = {
    "rows that are not made": pieces(last=ints([2, 6]), sizes=ints([1, 3])),
    "rows that are not counted": pieces(last=ints([3, 4])),
    "rows beyond a piece's ticks": pieces(sizes=ints([1, 2])),
    "rows below zero": pieces(sizes=ints([2, -1])),
    "few sizes of pieces": pieces(sizes=ints([1])),
    "rows that no memory holds": pieces(last=ints([2, 1 << 62]), sizes=ints([1, (1 << 62) - 3])),
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
    "no columns": pieces(words=np.ones((2, 0), dtype=np.uint64)),
    "values of no bounds": lambda: _kernels.pack_values(TWO.reshape(1, 2), [(0, 1)]),
    "no bounds": lambda: _kernels.packed_words([]),
    "bounds above zero": lambda: _kernels.packed_words([(0, 1), (1, 2)]),
    "bounds below zero": lambda: _kernels.packed_words([(-2, -1)]),
    "words of other bounds": lambda: _kernels.unpack_values(np.zeros((1, 2), dtype=np.uint64), [(0, 1)]),
    "covers that end before they begin": lambda: _kernels.cover_sizes(ints([1]), ints([0]), [1]),
    "covers without ends": lambda: _kernels.cover_sizes(TWO, ONE, [1]),
    "covers by no tree": lambda: _kernels.cover_sizes(ONE, ONE, [2, 3]),
    "outcomes without ticks": steps(tick=ints([4])),
    "outcomes of short people": steps(person=np.ones((2, 15), dtype=np.uint8)),
    "outcomes before time": steps(tick=ints([-1, 5])),
    "outcomes after all time": steps(tick=ints([4, 1 << 62])),
    "values below zero": steps(value=ints([1, -2])),
    "no row values": steps(bounds=[]),
    "row values beyond their bounds": steps(bounds=[(0, 1)]),
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
    "touches of short people": counting(person=np.ones((2, 15), dtype=np.uint8)),
    "touches of few people": counting(person=np.ones((1, 16), dtype=np.uint8)),
    "touches without ticks": counting(tick=ints([4])),
    "touches without events": counting(event=np.zeros(1, dtype=np.int32)),
    "touches without groups": counting(group=np.zeros(1, dtype=np.int32)),
    "groups without a label": counting(group=np.ones(2, dtype=np.int32)),
    "groups below the labels": counting(group=np.full(2, -1, dtype=np.int32)),
    "instants that descend": counting(instants=ints([5, 4])),
    "bounds that descend": counting(bounds=ints([2, 1])),
    "a short key": counting(key=KEY[:31]),
    "owners that descend": anchored(owner=ints([1, 0])),
    "owners without touches": anchored(tick=ints([4])),
    "owners without events": anchored(event=ints([0])),
    "owners without groups": anchored(group=ints([0])),
    "groups beyond their number": anchored(group=ints([0, 2])),
    "lookups of short people": looked_up(person=np.ones((2, 15), dtype=np.uint8)),
    "lookups of nobody": looked_up(owner=ints([2, 0])),
    "lookups of people below the first": looked_up(owner=ints([-1, 0])),
    "lookups without ticks": looked_up(tick=ints([4])),
    "lookups without weights": looked_up(weight=ints([4])),
    "targets beyond 32 bits": looked_up(target=ints([1 << 31, 0])),
    "lookups at nodes of no ticks": looked_up(size=0),
    "owners beyond the people": lambda: _kernels.merge_impulses(ints([3]), ONE, ONE, ONE, 1, 3),
    "owners below the people": lambda: _kernels.merge_impulses(ints([-1]), ONE, ONE, ONE, 1, 3),
    "nodes of no ticks": lambda: _kernels.merge_impulses(ONE, ONE, ONE, ONE, 0, 3),
    "impulses without weights": lambda: _kernels.merge_impulses(TWO, TWO, TWO, ONE, 1, 3),
    "equal keys": lambda: _kernels.sort_lookups(KEYS, TWO, TARGETS[:0], ONE[:0]),
    "weights that no key has": lambda: _kernels.sort_lookups(KEYS[:1], ONE, TARGETS, ONE),
    "fewer weights than none": lambda: _kernels.sort_lookups(KEYS[:1], ints([-1]), TARGETS[:0], ONE[:0]),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_malformed_arguments_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()
