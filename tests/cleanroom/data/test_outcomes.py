"""The outcome side: lines into events, the horizon, order, everybody whom the file names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cleanroom import _kernels
from cleanroom.agreement.model import Label
from cleanroom.data import OutcomeData, read_outcome
from cleanroom.errors import DataError
from tests.cleanroom.data.worlds import OUTCOME_COLUMNS, agreement, outcomes
from tests.cleanroom.match_keys.slow_forms import person_key

BY_COLUMN = OUTCOME_COLUMNS.replace("\"'order'\"", '"basket"').replace('event_id = "basket"', "")
DAY = 86400 * 10**6
START = 1483228800 * 10**6


def rows_of(data: OutcomeData) -> list[tuple[bytes, int, int, int, int]]:
    return [
        (key.tobytes(), int(event), int(time), int(value), int(tag))
        for batch in data.batches()
        for key, event, time, value, tag in zip(
            batch.person, batch.event, batch.time_us, batch.value, batch.event_key, strict=True
        )
    ]


def members_of(data: OutcomeData) -> list[bytes]:
    return [key.tobytes() for batch in data.members() for key in batch]


def test_lines_of_one_basket_are_one_order(tmp_path: Path) -> None:
    body = """\
7,2017-01-03,1.50,b
7,2017-01-02,2.25,b
8,2017-01-04,9,b
7,2017-01-01,1,
7,2017-01-01,1,
7,2017-01-05,0,c
"""
    data = read_outcome(agreement(), outcomes(tmp_path, body), choice_key=bytes(32))
    seven, eight = (person_key(type="id", form=form) for form in ("7", "8"))
    rows = rows_of(data)
    assert [row[:4] for row in rows if row[0] == seven] == [
        (seven, 0, START, 100),
        (seven, 0, START, 100),
        (seven, 0, START + DAY, 375),
        (seven, 0, START + 4 * DAY, 0),
    ]
    assert [row[:4] for row in rows if row[0] == eight] == [(eight, 0, START + 3 * DAY, 900)]
    tags = {row[:4]: row[4] for row in rows}
    assert tags[(seven, 0, START, 100)] == -1
    assert tags[(seven, 0, START + DAY, 375)] == tags[(eight, 0, START + 3 * DAY, 900)] >= 0
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    summary = data.summary
    assert (summary.rows, summary.duplicates, summary.kept) == (6, 1, 5)


def test_merging_comes_before_the_period(tmp_path: Path) -> None:
    body = "7,2016-12-31T23:59:59Z,1,b\n7,2017-01-01T00:00:00Z,1,b\n8,2017-12-31T23:59:59Z,1,c\n8,2018-01-01,1,c\n"
    data = read_outcome(agreement(), outcomes(tmp_path, body + "9,2018-01-01,1,d\n"), choice_key=bytes(32))
    assert [row[3] for row in rows_of(data)] == [200]
    assert (data.summary.out_of_period, data.summary.duplicates, data.summary.kept) == (2, 2, 1)
    assert members_of(data) == sorted(person_key(type="id", form=form) for form in ("7", "8", "9"))


def test_members_are_everybody_with_an_identifier(tmp_path: Path) -> None:
    body = """\
7,2017-02-01,1,order
8,2017-02-01,x,return
8,2017-02-01,,return
9,2019-02-01,1,search
,2017-02-01,1,order
"""
    data = read_outcome(agreement(max_invalid="1"), outcomes(tmp_path, body, columns=BY_COLUMN), choice_key=bytes(32))
    assert members_of(data) == sorted(person_key(type="id", form=form) for form in ("7", "8", "9"))
    assert data.people == 3
    summary = data.summary
    assert (summary.null_identifiers, summary.other_event, summary.out_of_period, summary.kept) == (1, 2, 1, 1)


def test_amounts_are_needed_where_they_are_summed(tmp_path: Path) -> None:
    data = read_outcome(
        agreement(), outcomes(tmp_path, "7,2017-02-01,,search\n", columns=BY_COLUMN), choice_key=bytes(32)
    )
    assert [row[1:4] for row in rows_of(data)] == [(1, START + 31 * DAY, 0)]
    with pytest.raises(DataError, match="row 1, column paid: expected an amount, found none"):
        read_outcome(agreement(), outcomes(tmp_path, "7,2017-02-01,,order\n", columns=BY_COLUMN), choice_key=bytes(32))


def test_random_files_agree_with_plain_python(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    lines = []
    merged: dict[tuple[bytes, int, str], list[tuple[int, int]]] = defaultdict(list)
    kinds = ("order", "search", "return")
    for number in range(4000):
        person, basket = int(generator.integers(0, 60)), str(generator.integers(0, 30))
        basket = "" if basket.startswith("1") else basket
        kind, second = int(generator.integers(0, 3)), int(generator.integers(-5000, 40_000) * 1000)
        cents = int(generator.integers(0, 10_000))
        lines.append(f"{person},{START // 10**6 + second},{cents / 100:.2f},{kinds[kind]},{basket}")
        if kind < 2:
            key = (person_key(type="id", form=str(person)), kind, basket or f"line {number}")
            merged[key].append((START + second * 10**6, cents))
    expected = sorted(
        (key[0], key[1], min(time for time, _ in group), sum(value for _, value in group))
        for key, group in merged.items()
        if START <= min(time for time, _ in group) < START + 365 * DAY
    )
    text = "\n".join(lines)
    (tmp_path / "o.csv").write_text("person,at,paid,kind,basket\n" + text)
    columns = OUTCOME_COLUMNS.replace("\"'order'\"", '"kind"')
    binding = outcomes(tmp_path, "", columns=columns)
    (tmp_path / "outcomes.csv").write_text("person,at,paid,kind,basket\n" + text)
    whole = read_outcome(agreement(), binding, choice_key=bytes(32))
    pieces = read_outcome(agreement(), binding, memory_bytes=1 << 12, choice_key=bytes(32))
    rows = rows_of(whole)
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    assert sorted(row[:4] for row in rows) == expected
    assert rows_of(pieces) == rows
    assert members_of(pieces) == members_of(whole) == sorted(person_key(type="id", form=str(n)) for n in range(60))
    assert whole.summary == pieces.summary
    assert whole.summary.rows == 4000


def test_merged_values_that_do_not_fit() -> None:
    line = np.array([[1, 2, 0, 3, 4, 5, 2**62]], dtype=np.uint64)
    assert _kernels.merge_lines([line])[0, 6] == 2**62
    with pytest.raises(ValueError, match="add up"):
        _kernels.merge_lines([line, line])
    unnamed = np.array([[1, 2, 0, 0, 0, 5, 2**63]], dtype=np.uint64)
    with pytest.raises(ValueError, match="add up"):
        _kernels.merge_lines([line, unnamed])
    with pytest.raises(ValueError, match="add up"):
        _kernels.merge_lines([unnamed])
    with pytest.raises(ValueError, match="7 words"):
        _kernels.merge_lines([line[:, :6].copy()])


LABELLED = OUTCOME_COLUMNS + '\ntier = "tier"\nkind = "kind"\ncolour = "tier"'


def labelled_parts(folder: Path, body: str) -> tuple[OutcomeData, list[tuple[int, int, list[int]]]]:
    tier, kind = Label(column="tier", values=("gold", "none")), Label(column="kind", values=("food",))
    unused = Label(column="colour", values=("red",))
    base = agreement()
    signed = replace(
        base,
        outcome=replace(base.outcome, labels=(tier, unused, kind)),
        metrics=(replace(base.metrics[0], by="kind"), replace(base.metrics[1], by="tier")),
    )
    binding = outcomes(folder, b"", columns=LABELLED)
    (folder / "outcomes.csv").write_text("person,at,paid,basket,tier,kind\n" + body, encoding="utf-8")
    data = read_outcome(signed, binding, choice_key=bytes(32))
    rows = [
        (int(time), int(value), label.tolist())
        for batch in data.batches()
        for time, value, label in zip(batch.time_us, batch.value, batch.label, strict=True)
    ]
    return data, sorted(rows)


def test_lines_with_different_labels_are_parts_that_share_time_and_event(tmp_path: Path) -> None:
    data, rows = labelled_parts(
        tmp_path,
        "7,2017-01-03,1,b,gold,food\n7,2017-01-02,2,b,gold,food\n7,2017-01-01,4,b,none,food\n7,2017-01-05,8,c,,toys\n",
    )
    assert rows == [(START, 300, [0, 0]), (START, 400, [1, 0]), (START + 4 * DAY, 800, [-1, -1])]
    (batch,) = data.batches()
    assert len(set(batch.event_key.tolist())) == 2 and set(batch.event.tolist()) == {0}
    assert (data.summary.kept, data.summary.other_labels) == (3, 2)


def test_an_event_is_outside_the_horizon_with_all_its_parts(tmp_path: Path) -> None:
    data, rows = labelled_parts(tmp_path, "7,2016-12-31,1,b,gold,food\n7,2017-01-02,2,b,none,food\n")
    assert rows == [] and data.summary.out_of_period == 2


def test_a_label_in_use_must_be_bound(tmp_path: Path) -> None:
    base = agreement()
    label = Label(column="tier", values=("gold",))
    signed = replace(
        base, outcome=replace(base.outcome, labels=(label,)), metrics=(replace(base.metrics[0], by="tier"),)
    )
    with pytest.raises(DataError, match=r"columns\.tier: expected the name of a column, found nothing"):
        read_outcome(signed, outcomes(tmp_path, "7,2017-01-01,1,b\n"), choice_key=bytes(32))


@pytest.mark.parametrize("count", [0, 1, 400])
def test_people_of_outcomes_and_which_are_within_a_period(count: int) -> None:
    generator = np.random.default_rng(count)
    rows = _kernels.sort_rows([generator.integers(0, 12, (count, 7), dtype=np.uint64)])
    people, within = _kernels.people_within(rows, 3, 7)
    assert people.tolist() == sorted({(row[0], row[1]): [row[0], row[1]] for row in rows.tolist()}.values())
    assert within.tolist() == [3 <= row[5] < 7 for row in rows.tolist()]
    with pytest.raises(ValueError, match="another number of words"):
        _kernels.people_within(rows[:, :6].copy(), 3, 7)
