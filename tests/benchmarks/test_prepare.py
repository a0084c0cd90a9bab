"""The benchmark of the preparation: every event counts, and it measures what a run does; never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.events import CASES, make_agreement, write_events
from benchmarks.page import begin_mark, end_mark
from benchmarks.prepare import TREES, main, measure
from cleanroom.agreement.model import Role
from cleanroom.plan import plan_of

EVENTS = 1 << 10


@pytest.mark.parametrize("case", CASES)
def test_every_event_is_prepared_and_fits_the_bound(case: str, tmp_path: Path) -> None:
    write_events(tmp_path, events=EVENTS)
    for role in Role:
        assert pq.read_metadata(tmp_path / f"{role.value}.parquet").num_rows == EVENTS
        found = measure(tmp_path, case, role, events=EVENTS, tree=(1,))
        assert EVENTS / 4 < found.rows <= found.bound
        assert 0 < found.rows_cpu < found.cpu and 0 < found.commitment_cpu < found.cpu - found.rows_cpu
        assert found.peak_mib >= found.before_mib > 0


def test_the_cases_are_what_they_say(tmp_path: Path) -> None:
    columns = {}
    for case in CASES:
        agreement = make_agreement(tmp_path / case, CASES[case], events=EVENTS, tree=(1, 2, 4))
        assert agreement.time.tree == (1, 2, 4) and len(agreement.exposure.groups) == 64
        columns[case] = sum(column.declared for column in plan_of(agreement).columns)
    assert columns == {"four": 4, "nine": 9, "credit": 6}


def test_the_command_prints_a_line_for_each_preparation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["2^8", "--case", "four", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    sides = [(tree, role.value) for tree in TREES for role in (Role.EXPOSURE, Role.OUTCOME)]
    assert [(tuple(one["tree"]), one["role"]) for one in found["preparations"]] == sides
    assert found["machine"]["cores"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{begin_mark('prepare')}\nold\n{end_mark('prepare')}\nafter\n")
    assert main(["200", "--case", "four", "--tree", "1", "2", "--page", str(page)]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| four | 1, 2 |")]
    assert len(printed) == 2
    text = page.read_text()
    assert "old" not in text and all(line in text for line in printed)
    assert "`python -m benchmarks.prepare 200 --case four --tree 1 2` on " in text
