"""The completeness check: every date and event against a manifest, both bounds of a band, and what cannot be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cleanroom.agreement.completeness import Band, Completeness, OnFailure, Verdict
from cleanroom.agreement.model import Agreement, Role
from cleanroom.data import Binding, read_exposure, read_outcome
from cleanroom.declared import Census, check_completeness
from cleanroom.errors import DataError
from tests.cleanroom.data.worlds import agreement, bind, outcomes, touches

RULES = Completeness(
    parties=("exposure", "outcome"),
    warning=Band(fraction=Decimal("0.01"), rows=10),
    failure=Band(fraction=Decimal("0.05"), rows=100),
    on_failure=OnFailure.STOP,
)


def manifest(lines: str, folder: Path) -> Binding:
    (folder / "manifest.csv").write_text("date,event,rows\n" + lines, encoding="utf-8")
    (folder / "source.csv").write_text("a\n1\n", encoding="utf-8")
    binding = bind(folder, "source.csv", 'id = "a"\n[manifest]\npath = "manifest.csv"')
    found = binding.listed("manifest", ("date", "event", "rows"))
    assert found is not None
    return found


def census(rows: dict[tuple[str, str], int], *, zone: str = "UTC", role: Role = Role.OUTCOME) -> Census:
    found = Census(agreement(zone=zone), role)
    for (day, event), count in rows.items():
        at = int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()) * 10**6
        found.add(np.full(count, at), np.full(count, found.events.index(event), dtype=np.int32))
    return found


@pytest.mark.parametrize(
    ("expected", "read", "verdict"),
    [
        (1000, 1000, Verdict.COMPLETE),
        (1000, 990, Verdict.COMPLETE),  # one per cent is not more than one per cent
        (1000, 989, Verdict.WARNING),
        (1000, 1011, Verdict.WARNING),  # too many is a deviation as well
        (100, 89, Verdict.WARNING),  # eleven per cent, but not more than 100 rows
        (2000, 1900, Verdict.WARNING),
        (2000, 1899, Verdict.FAILURE),
        (100_000, 99_500, Verdict.COMPLETE),  # many rows, but a small share
        (20, 10, Verdict.COMPLETE),  # a large share, but few rows
        (0, 10, Verdict.COMPLETE),
        (0, 11, Verdict.WARNING),
        (0, 101, Verdict.FAILURE),
        (101, 0, Verdict.FAILURE),
    ],
)
def test_a_band_needs_both_bounds(tmp_path: Path, expected: int, read: int, verdict: Verdict) -> None:
    found = check_completeness(
        RULES, census({("2017-03-04", "order"): read}), manifest(f"2017-03-04,order,{expected}\n", tmp_path)
    )
    assert found.verdict is verdict
    assert (found.expected, found.read) == (expected, read)
    assert [(entry.date, entry.event, entry.verdict) for entry in found.deviations] == (
        [] if verdict is Verdict.COMPLETE else [(date(2017, 3, 4), "order", verdict)]
    )


def test_each_date_and_event_stands_alone(tmp_path: Path) -> None:
    """What is missing on one date is not made good by another, nor by another event."""
    lines = "2017-03-04,order,500\n2017-03-05,order,500\n2017-03-04,search,500\n2016-01-01,order,9\n2017-03-04,else,7\n"
    rows = {("2017-03-04", "order"): 250, ("2017-03-05", "order"): 750, ("2017-03-04", "search"): 500}
    found = check_completeness(RULES, census(rows), manifest(lines, tmp_path))
    assert found.verdict is Verdict.FAILURE
    assert [(entry.date.day, entry.event, entry.expected, entry.read) for entry in found.deviations] == [
        (4, "order", 500, 250),
        (5, "order", 500, 750),
    ]


def test_dates_are_those_of_the_agreed_zone(tmp_path: Path) -> None:
    late = int(datetime(2017, 3, 4, 20, tzinfo=UTC).timestamp()) * 10**6  # already the fifth in Shanghai
    found = Census(agreement(zone="Asia/Shanghai"), Role.OUTCOME)
    found.add(np.full(600, late), np.zeros(600, dtype=np.int32))
    assert check_completeness(RULES, found, manifest("2017-03-05,order,600\n", tmp_path)).verdict is Verdict.COMPLETE


def test_rows_are_counted_before_any_filter(tmp_path: Path) -> None:
    body = "7,2017-03-04,1,b\n7,2017-03-04,1,b\n,2017-03-04,1,b\nx,2019-03-04,1,c\n"
    found = Census(agreement(max_invalid="1"), Role.OUTCOME)
    read_outcome(agreement(max_invalid="1"), outcomes(tmp_path, body), choice_key=bytes(32), count=found.add)
    assert int(found.rows.sum()) == 3  # merged lines and lines without an identifier were delivered too
    body = "7,2017-03-04,mail,1\n7,2017-03-04,mail,1\n8,2017-03-04,mail,undeclared\n8,2017-12-04,mail,1\n"
    body += "8,2017-03-04,x,1\n"
    found = Census(agreement(), Role.EXPOSURE)
    read_exposure(agreement(), touches(tmp_path, body), count=found.add)
    assert int(found.rows.sum()) == 3  # of the touch period, which ends before December


def plain(expected: dict[tuple[int, str], int], read: dict[tuple[int, str], int]) -> Verdict:
    worst = 0
    for key in expected.keys() | read.keys():
        should, has = expected.get(key, 0), read.get(key, 0)
        off = abs(should - has)
        worst = max(worst, 2 if off > 100 and off * 20 > should else 1 if off > 10 and off * 100 > should else 0)
    return list(Verdict)[worst]


@pytest.mark.parametrize("seed", range(20))
def test_random_manifests(tmp_path: Path, seed: int) -> None:
    chooser = np.random.default_rng(seed)
    expected, read = {}, {}
    for day in range(int(chooser.integers(1, 30))):
        for event in ("order", "search"):
            expected[day, event] = int(chooser.integers(0, 3000))
            read[day, event] = max(0, expected[day, event] + int(chooser.normal(0, 10 ** chooser.uniform(0, 2.2))))
    start = date(2017, 1, 1)
    lines = "".join(f"{start + timedelta(days=day)},{event},{rows}\n" for (day, event), rows in expected.items())
    counted = census({((start + timedelta(days=day)).isoformat(), event): rows for (day, event), rows in read.items()})
    assert check_completeness(RULES, counted, manifest(lines, tmp_path)).verdict is plain(expected, read)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("2017-03-04,order,x\n", "manifest.csv, row 1, column rows: expected a whole number of rows"),
        ("2017-03-04,order,\n", "manifest.csv, row 1, column rows: expected a whole number of rows"),
        ("2017-03-04,order,-1\n", "manifest.csv, row 1, column rows: expected a whole number of rows"),
        ("2017-03-04,order,1.5\n", "manifest.csv, row 1, column rows: expected a whole number of rows"),
        ("yesterday,order,1\n", "row 1, column date: expected an ISO 8601 time"),
        (
            "2017-03-04,order,1\n2017-03-05,order,1\n2017-03-04,order,1\n",
            "row 3, column date: expected one line a date",
        ),
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path: Path, lines: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        check_completeness(RULES, census({}), manifest(lines, tmp_path))


def test_parquet_manifests_and_partial_days(tmp_path: Path) -> None:
    """A period that begins within a day is compared by whole dates, as manifests count them."""
    import pyarrow.parquet as pq

    base: Agreement = agreement()
    partial = replace(base, time=replace(base.time, start=datetime(2017, 1, 1, 18, tzinfo=UTC)))
    found = Census(partial, Role.OUTCOME)
    at = int(datetime(2017, 1, 1, 3, tzinfo=UTC).timestamp()) * 10**6
    found.add(np.full(500, at), np.zeros(500, dtype=np.int32))
    table = pa.table({"date": pa.array([date(2017, 1, 1)]), "event": ["order"], "rows": pa.array([500])})
    source = manifest("", tmp_path)
    pq.write_table(table, tmp_path / "manifest.csv")
    assert check_completeness(RULES, found, source).verdict is Verdict.COMPLETE
