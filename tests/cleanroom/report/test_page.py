"""The page: self-contained, escaped, and true to the folders that it was made from."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cleanroom.agreement.model import Agreement, Noise
from cleanroom.errors import DataError, UsageError
from cleanroom.report import RunFiles, render_report, write_report
from tests.cleanroom.report.samples import sample_agreement, sample_files


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
