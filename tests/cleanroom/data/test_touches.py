"""The exposure side: filters in their order, order of rows, equal touches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cleanroom import _kernels
from cleanroom.data import TouchBatch, read_exposure
from tests.cleanroom.data.worlds import agreement, touches
from tests.cleanroom.match_keys.slow_forms import person_key

ROWS = """\
7,2017-03-01T00:00:00Z,mail,2
7,2017-03-01T00:00:00Z,mail,1
7,2017-03-01T00:00:00Z,click,1
7,2017-03-01T00:00:00Z,mail,1
8,2017-02-01 08:00:00,mail,3
,2017-02-01,mail,3
null,2017-02-01,mail,3
8,2017-02-01,read,3
8,2017-02-01,read,9
8,2017-02-01,mail,9
8,2018-02-01,mail,9
8,2017-12-01T00:00:00Z,mail,3
8,2016-12-31T23:59:59.999999Z,mail,3
"""


def rows_of(batches: list[TouchBatch]) -> list[tuple[bytes, int, int, int]]:
    return [
        (batch.person[row].tobytes(), int(batch.time_us[row]), int(batch.event[row]), int(batch.group[row]))
        for batch in batches
        for row in range(len(batch))
    ]


def test_filters_in_their_order(tmp_path: Path) -> None:
    data = read_exposure(agreement(max_invalid="1"), touches(tmp_path, ROWS))
    seven, eight = (person_key(type="id", form=form) for form in ("7", "8"))
    march, february = 1488326400 * 10**6, 1485936000 * 10**6
    expected = {
        seven: [(seven, march, 0, 0), (seven, march, 1, 0), (seven, march, 0, 1)],
        eight: [(eight, february, 0, 2)],
    }
    assert rows_of(list(data.batches())) == [row for person in sorted(expected) for row in expected[person]]
    summary = data.summary
    assert (summary.rows, summary.null_identifiers, summary.malformed_identifiers) == (13, 2, 0)
    assert (summary.other_event, summary.out_of_scope, summary.out_of_period) == (2, 2, 2)
    assert (summary.duplicates, summary.kept) == (1, 4)


def test_batches_may_be_read_again(tmp_path: Path) -> None:
    data = read_exposure(agreement(max_invalid="1"), touches(tmp_path, ROWS))
    assert rows_of(list(data.batches())) == rows_of(list(data.batches()))


def test_batches_are_of_whole_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut by cut: nobody is in two batches, whatever the bound, and a person of more rows than it is in one."""
    generator = np.random.default_rng(4)
    people = [*generator.integers(0, 40, 300), *[99] * 70]
    lines = [f"{person},{1488326400 + second},mail,1" for second, person in enumerate(people)]
    data = read_exposure(agreement(), touches(tmp_path, "\n".join(lines)))
    (whole,) = data.batches()
    for bound in (1, 10, 64, 369, 370, 2**40):
        monkeypatch.setattr("cleanroom.data.rows.BATCH_ROWS", bound)
        batches = list(data.batches())
        assert rows_of(batches) == rows_of([whole])
        named = [{key.tobytes() for key in batch.person} for batch in batches]
        assert sum(map(len, named)) == len(set().union(*named)) == 41
        assert all(len(batch) >= bound for batch in batches[:-1])
    with pytest.raises(ValueError, match="at least one at once"):
        _kernels.whole_people(np.zeros((3, 2), np.uint64), 0)


def test_scratch_file_changes_nothing(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    lines = [
        f"{person},{second + 1488326400},mail,{group}"
        for person, second, group in zip(
            generator.integers(0, 300, 5000),
            generator.integers(0, 50, 5000),
            generator.integers(1, 4, 5000),
            strict=True,
        )
    ]
    binding = touches(tmp_path, "\n".join(lines))
    whole = read_exposure(agreement(), binding)
    pieces = read_exposure(agreement(), binding, memory_bytes=1 << 12)
    assert "on_disk=True" in repr(pieces._touches)
    assert whole.summary == pieces.summary
    assert 0 < whole.summary.duplicates < 5000
    rows = rows_of(list(whole.batches()))
    assert rows == rows_of(list(pieces.batches()))
    assert len(set(rows)) == len(rows) == whole.summary.kept
    assert [(person, time, group) for person, time, _, group in rows] == sorted(
        (person, time, group) for person, time, _, group in rows
    )
