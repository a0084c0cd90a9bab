"""Spend and what follows from it: read from the owner's list, never part of a run, ROI and costs by hand."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from cleanroom.agreement.model import Noise
from cleanroom.data import load_binding
from cleanroom.data.binding import Binding
from cleanroom.errors import DataError
from cleanroom.report import Costs, RunFiles, read_spend, render_report
from cleanroom.report.stages import by_window, money
from tests.cleanroom.report.samples import full_agreement, full_files

RUN = RunFiles.of(full_files())
BINDING = '[source]\npath = "touches.csv"\n[columns]\nid = "id"\n'


def bound(folder: Path, rows: list[dict[str, str]]) -> Binding:
    with (folder / "spend.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "binding.toml").write_text(BINDING + '[spend]\npath = "spend.csv"\n', encoding="utf-8")
    return load_binding(folder / "binding.toml")


def test_lines_are_added_up_by_group_and_others_are_counted(tmp_path: Path) -> None:
    rows = [("note-1", "1200.50"), ("note-1", "0.0005"), ("note-2", "7"), ("elsewhere", "99")]
    spend = read_spend(bound(tmp_path, [{"note_id": g, "spend": s} for g, s in rows]), RUN)
    assert spend.by_group == {"note-1": Decimal("1200.5005"), "note-2": Decimal(7)}
    assert (spend.dated, spend.other_lines, spend.outside_lines) == (False, 1, 0)
    assert "1200" not in repr(spend)


def test_with_dates_only_the_touch_period_counts(tmp_path: Path) -> None:
    run = replace(RUN, scope=replace(RUN.scope, zone="Asia/Shanghai"))  # the period is 2017 in UTC
    days = {"2016-12-31": 1, "2017-01-01": 2, "2017-12-31": 4, "2018-01-01": 8, "2018-01-02": 16}
    rows = [{"note_id": "note-1", "date": day, "spend": str(amount)} for day, amount in days.items()]
    spend = read_spend(bound(tmp_path, rows), run)
    # The last touch is before 08:00 on 2018-01-01 in Shanghai, so that day is still one of the campaign.
    assert spend.by_group == {"note-1": Decimal(2 + 4 + 8)}
    assert spend.outside_lines == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"note_id": "note-1", "spend": "-3"}],
            "spend.csv, row 1, column spend: expected an amount that is not negat",
        ),
        ([{"note_id": "note-1", "spend": "many"}], "row 1, column spend: expected an amount"),
        ([{"campaign": "note-1", "spend": "3"}], "column note_id: expected a column of this name"),
    ],
)
def test_a_faulty_list_is_one_line_without_a_value(tmp_path: Path, rows: list[dict[str, str]], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_spend(bound(tmp_path, rows), RUN)
    assert "many" not in str(caught.value)


def test_a_binding_without_spend_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "binding.toml").write_text(BINDING, encoding="utf-8")
    with pytest.raises(DataError, match=r"binding.toml: expected a section \[spend\]"):
        read_spend(load_binding(tmp_path / "binding.toml"), RUN)


def test_bands_of_frequency_have_no_spend(tmp_path: Path) -> None:
    run = RunFiles.of(full_files(full_agreement(frequency=(1, 2, 4))))
    with pytest.raises(DataError, match="frequency bands"):
        read_spend(bound(tmp_path, [{"note_id": "note-1", "spend": "3"}]), run)


def test_roi_and_costs_are_the_released_figures_over_the_spend(tmp_path: Path) -> None:
    spend = read_spend(bound(tmp_path, [{"note_id": "note-1", "spend": "8000"}]), RUN)
    costs = Costs(RUN, spend)
    assert costs.groups == ("note-1",)
    gmv = money(RUN)[30]
    cell = RUN.cells["note-1", "gmv_30d"]
    found = costs.roi("note-1", gmv)
    assert found is not None and cell.value is not None
    assert found.value == pytest.approx(cell.value / 8000)
    assert found.std_error == pytest.approx(cell.std_error / 8000)
    assert costs.roi("note-2", gmv) is None
    buyers = by_window(RUN, "order", RUN.declared[1].measure)[30]
    cost = costs.cost("note-1", buyers)
    count = RUN.cells["note-1", buyers.name]
    assert cost is not None and count.value is not None and cost.high is not None
    assert cost.value == pytest.approx(8000 / count.value)
    assert cost.low == pytest.approx(8000 / (count.value + 1.96 * count.std_error))
    assert cost.high == pytest.approx(8000 / (count.value - 1.96 * count.std_error))


def test_refunds_are_taken_from_sales(tmp_path: Path) -> None:
    spend = read_spend(bound(tmp_path, [{"note_id": "note-1", "spend": "100"}]), RUN)
    key = ("note-1", "refunds_30d")
    back = replace(RUN.cells["note-1", "gmv_30d"], value=1000.0, units=100_000, std_error=30.0)
    run = replace(RUN, cells={**RUN.cells, key: back})
    sold = RUN.cells["note-1", "gmv_30d"]
    found = Costs(run, spend).roi("note-1", money(run)[30], net=True)
    assert found is not None and sold.value is not None
    assert found.value == pytest.approx((sold.value - 1000) / 100)
    assert found.std_error == pytest.approx(math.hypot(sold.std_error, 30.0) / 100)


def test_spend_stands_on_the_page_that_was_asked_for_and_on_no_other(tmp_path: Path) -> None:
    spend = read_spend(bound(tmp_path, [{"note_id": "note-1", "spend": "8123.45"}]), RUN)
    page = render_report([RUN], spend={RUN.session: spend})
    assert "8,123.45" in page
    assert "ROI, less refunds" in page or "ROI less refunds" in page
    without = render_report([RUN])
    assert "8,123.45" not in without
    assert "This page knows no spend" in without


def test_exact_figures_have_exact_roi(tmp_path: Path) -> None:
    run = RunFiles.of(full_files(full_agreement(noise=Noise.NONE)))
    spend = read_spend(bound(tmp_path, [{"note_id": "note-1", "spend": "8000"}]), run)
    page = render_report([run], spend={run.session: spend})
    assert "±" not in page.split('id="run-0-at-roi"')[1].split("</section>")[0]
