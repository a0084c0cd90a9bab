"""The page: self-contained, escaped, and true to the folders that it was made from."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from cleanroom.agreement.lift import Comparison, Denominator, Design, Lift
from cleanroom.agreement.model import Agreement, Noise
from cleanroom.errors import DataError, UsageError
from cleanroom.lift import LiftStatus
from cleanroom.release.table import Status
from cleanroom.report import RunFiles, lift_of, render_report, write_report
from cleanroom.report.page import MAX_FIGURES, MAX_GROUPS
from tests.cleanroom.report.samples import full_agreement, full_files, sample_agreement, sample_files


def other_partner() -> Agreement:
    """The same questions to another partner."""
    agreement = sample_agreement(name="second partner")
    media, shop = agreement.parties
    return replace(agreement, parties=(media, replace(shop, fingerprint=b"j" * 32)))


def outside_scripts(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_the_page_shows_every_figure_and_what_it_stands_on() -> None:
    run = RunFiles.of(sample_files())
    page = outside_scripts(render_report([run]))
    for metric in run.declared:
        assert metric.name in page
        for group in run.groups:
            cell = run.cells[group, metric.name]
            assert cell.units is None or f"{cell.units:,}" in page or metric.name == "sales_15d"
    assert f"{run.cells['c0', 'sales_15d'].value:,.2f}" in page
    for text in (run.agreement_hash, run.session, "signature of media", "signature of shop", "Own data of media"):
        assert text in page
    assert "a person who is in several groups counts in each" in page
    assert "6,589" in page


def test_a_suppressed_group_has_no_figure_in_table_or_chart() -> None:
    run = RunFiles.of(sample_files())
    assert {run.cells["c3", metric.name].value for metric in run.declared} == {None}
    page = render_report([run])
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    funnel = next(figure for figure in figures if figure["id"].endswith("funnel"))
    for trace in funnel["data"]:
        assert [value is None for value in trace["x"]] == [False, False, False, True, False]


def test_the_page_asks_nobody_for_anything() -> None:
    page = outside_scripts(render_report([RunFiles.of(sample_files())]))
    assert not re.search(r"https?:|//\w|\b(src|href|action)=|@import|url\(", page)
    assert "default-src 'none'" in html.unescape(page)


def test_the_same_runs_give_the_same_bytes() -> None:
    files = sample_files()
    assert render_report([RunFiles.of(files)]) == render_report([RunFiles.of(dict(reversed(files.items())))])


def test_labels_are_text_and_never_markup() -> None:
    agreement = sample_agreement(name="</script><script>alert(1)</script>")
    page = render_report([RunFiles.of(sample_files(agreement))])
    assert "alert(1)</script>" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page


def test_several_runs_stand_side_by_side() -> None:
    first = RunFiles.of(sample_files())
    second = RunFiles.of(sample_files(other_partner(), session=b"\x33" * 32, seed=2))
    page = outside_scripts(render_report([first, second]))
    assert "People are not deduplicated across partners" in page
    assert page.count('class="chart" id="both-') == len(first.declared)
    assert 'id="both-' not in render_report([first])


def test_both_sides_of_one_run_are_one_run() -> None:
    page = outside_scripts(render_report([RunFiles.of(sample_files()), RunFiles.of(sample_files(party="shop"))]))
    assert "side by side" not in page
    assert "Own data of media" in page
    assert "Own data of shop" in page


def test_two_releases_of_one_session_are_refused() -> None:
    with pytest.raises(DataError, match="different releases of session"):
        render_report([RunFiles.of(sample_files(seed=1)), RunFiles.of(sample_files(seed=2))])


def test_without_noise_figures_are_called_exact() -> None:
    page = outside_scripts(render_report([RunFiles.of(sample_files(sample_agreement(noise=Noise.NONE)))]))
    assert "the figures are exact" in page
    assert not re.search(r"± ?\d", page)


@pytest.mark.parametrize(("noise", "factor"), [(Noise.GAUSSIAN, 1.96), (Noise.LAPLACE, 2.06), (Noise.NONE, 0.0)])
def test_errors_hold_the_truth_19_times_of_20_under_each_noise(noise: Noise, factor: float) -> None:
    run = RunFiles.of(sample_files(sample_agreement(noise=noise)))
    page = render_report([run])
    cell = run.cells["c0", "sales_15d"]
    assert (f"± {math.ceil(factor * cell.std_error):,}" in outside_scripts(page)) is (noise is not Noise.NONE)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    bars = next(figure for figure in figures if figure["id"].endswith("funnel"))["data"][0]["error_x"]
    assert bars["visible"] is (noise is not Noise.NONE)
    assert bars["array"][0] == round(factor * run.cells["c0", "matched"].std_error, 4)


def test_many_groups_stay_readable_and_the_file_bounded() -> None:
    names = tuple(f"note {'x' * 40} {k}" for k in range(700))
    run = RunFiles.of(full_files(full_agreement(groups=names, windows=(7, 15, 30))))
    page = render_report([run])
    shown = min(MAX_GROUPS, MAX_FIGURES // len(run.metrics))
    assert f"the first {shown} of 700 groups" in page
    assert len(page.encode()) < 20_000_000
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert max(len(trace["y"]) for figure in figures for trace in figure["data"]) <= 12
    assert max(len(figure["data"]) for figure in figures) <= 8


def test_sections_come_in_the_order_in_which_people_ask() -> None:
    run = RunFiles.of(full_files(full_agreement(frequency=(1, 2, 4))))
    names = re.findall(r'<section id="run-0-at-(\w+)"', render_report([run]))
    assert names == [
        *("headline", "funnel", "roi", "growth", "credit", "frequency", "crosstab", "suppressed", "quality", "figures"),
        *("adding", "privacy", "own", "signed", "reading"),
    ]


def test_credited_columns_have_a_sum_and_counts_of_people_none() -> None:
    run = RunFiles.of(full_files())
    part = render_report([run]).split('id="run-0-at-credit"')[1].split("</section>")[0]
    total = part.split('class="total"')[1]
    shown = [run.cells[group, "orders_credit"].value for group in run.groups]
    expected = math.fsum(value for value in shown if value is not None)
    figures = re.findall(r'<td class="number[^"]*">\s*([^<]+?)<', total)
    assert figures[0] == f"{expected:,.2f}"
    assert [text for text in re.findall(r">\s*(–)\s*<", total)] == ["–", "–"]


def test_one_partner_twice_is_not_called_across_partners() -> None:
    first = RunFiles.of(sample_files())
    again = RunFiles.of(sample_files(sample_agreement(name="spring"), session=b"\x33" * 32, seed=2))
    page = outside_scripts(render_report([first, again]))
    assert "2 of these are runs with one partner" in page
    beside = page.split('id="both-at-beside"')[1].split("</section>")[0]
    assert "across partners" not in beside


def test_other_definitions_are_flagged_and_only_like_metrics_stand_together() -> None:
    agreement = other_partner()
    metrics = tuple(replace(one, cap=20) if one.name == "orders_15d" else one for one in agreement.metrics)
    other = RunFiles.of(sample_files(replace(agreement, metrics=metrics), session=b"\x33" * 32))
    page = render_report([RunFiles.of(sample_files()), other])
    assert "do not share one definition" in page
    shared = page.split('id="both-at-shared"')[1].split("</section>")[0]
    assert "orders_15d" not in shared
    assert "buyers_15d" in shared
    assert "do not share one definition" not in render_report(
        [RunFiles.of(sample_files()), RunFiles.of(sample_files(other_partner(), session=b"\x33" * 32))]
    )


def test_lift_stands_with_its_interval_or_the_reason_why_not() -> None:
    agreement = full_agreement(groups=("c01/test", "c01/control", "x", "c02/test", "c02/control"), windows=(15,))
    names = tuple(metric.name for metric in agreement.metrics if metric.name in ("search_15d", "gmv_15d"))
    lift = Lift(
        design=Design.RANDOMISED,
        denominator=Denominator.MATCHED,
        confidence=Decimal("0.95"),
        metrics=names,
        comparisons=(
            Comparison(name="c01", test=("c01/test",), control=("c01/control",), test_share=None),
            Comparison(name="c02", test=("c02/control",), control=("c02/test",), test_share=None),
        ),
    )
    run = RunFiles.of(full_files(replace(agreement, lift=lift)))
    rows = {(row.comparison, row.metric): row for row in lift_of(run)}
    assert rows["c01", "search_15d"].status is LiftStatus.ESTIMATED
    assert rows["c02", "search_15d"].status is LiftStatus.SUPPRESSED
    part = render_report([run]).split('id="run-0-at-lift"')[1].split("</section>")[0]
    assert f"{rows['c01', 'search_15d'].incremental:+,.0f}" in part
    assert f"{rows['c01', 'search_15d'].incremental_low:+,.0f} …" in part
    assert "suppressed" in part


def test_groups_that_are_not_eligible_are_named() -> None:
    run = RunFiles.of(sample_files())
    cells = {
        key: replace(cell, units=None, value=None, status=Status.NOT_ELIGIBLE) if key[0] == "c1" else cell
        for key, cell in run.cells.items()
    }
    page = render_report([replace(run, cells=cells)])
    assert (
        "1 groups do not fulfil the agreed rules of eligibility, and none of their figures were computed: c1." in page
    )
    assert "不符合准入" in page


def test_completeness_and_samples_are_said_and_scaled() -> None:
    run = RunFiles.of(sample_files())
    metrics = tuple(replace(one, sampling=0.5) if one.name == "matched" else one for one in run.metrics)
    page = render_report([replace(run, metrics=metrics, verdicts={"media": "complete", "shop": "failure"})])
    assert "a sample of 50 % of the people: matched" in page
    assert "未通过" in page
    value = run.cells["c0", "matched"].value
    assert value is not None and f"everybody: about {round(2 * value):,} ±" in page


@pytest.mark.parametrize(
    ("name", "currency", "language"), [("x", "CNY", "zh-CN"), ("x", "EUR", "en"), ("春", "EUR", "zh-CN")]
)
def test_the_first_language_is_the_agreements_or_the_one_asked_for(name: str, currency: str, language: str) -> None:
    run = replace(RunFiles.of(sample_files()), name=name, currency=currency)
    assert f'<html lang="{language}">' in render_report([run])
    assert '<html lang="en">' in render_report([run], language="en")
    with pytest.raises(UsageError, match="zh and en"):
        render_report([run], language="fr")


def test_a_report_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        render_report([])


def test_a_report_is_written_whole_and_never_over_another(tmp_path: Path) -> None:
    run = RunFiles.of(sample_files())
    path = tmp_path / "report.html"
    write_report(path, [run])
    assert path.read_text(encoding="utf-8") == render_report([run])
    path.write_text("mine")
    with pytest.raises(UsageError, match="never overwritten"):
        write_report(path, [run])
    assert path.read_text() == "mine"
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_report(tmp_path / "none" / "report.html", [run])
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
