"""The report in a real browser: it draws all of its charts, and nothing is blocked, missing or too wide for a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from cleanroom.report import RunFiles, Spend, render_report
from tests.cleanroom.report.samples import full_agreement, full_files, sample_agreement, sample_files

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

PHONE_PIXELS = 390
PROBE = f"""<style>main {{ width: {PHONE_PIXELS}px; margin: 0; }}</style><script>
window.addEventListener("load", function () {{
  const main = document.querySelector("main");
  const wide = Array.from(main.querySelectorAll("*")).filter(function (element) {{
    return !element.closest(".wide, svg, .chart") && element.getBoundingClientRect().right > {PHONE_PIXELS} + 1;
  }});
  document.documentElement.dataset.wide = wide.length;
}});
</script></body>"""


def opened(page: str, tmp_path: Path, *, width: int) -> tuple[str, str]:
    """The page as the browser has it after its scripts ran, and what the browser complained about."""
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    command = [
        str(BROWSER),
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"),
        *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1200", "--virtual-time-budget=10000"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--dump-dom", path.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def attributes(dom: str) -> dict[str, str]:
    root = re.search(r"<html([^>]*)>", dom)
    assert root is not None
    return dict(re.findall(r'data-(\w+)="([^"]*)"', root[1]))


def points(dom: str, chart: str) -> int:
    """How many marks a chart drew: bars (of no length where a figure is missing), or the dots of lines."""
    parts = re.split(r'<div class="chart[^"]*" id="', dom)
    drawn = next(part for part in parts[1:] if part.startswith(f'{chart}"'))
    ends = re.findall(r'<g class="point"><path d="M0,[\d.]+V[\d.]+H(-?[\d.]+)V', drawn)
    return sum(float(end) != 0 for end in ends) + len(re.findall(r'<path class="point"', drawn))


def test_every_chart_is_drawn_and_nothing_is_wrong(tmp_path: Path) -> None:
    run = RunFiles.of(sample_files())
    dom, complaints = opened(render_report([run]), tmp_path, width=1200)
    assert complaints == ""
    assert attributes(dom) == {"charts": "2"}
    assert points(dom, "run-0-funnel") == 2 * 4  # two stages of the four groups that were released
    assert points(dom, "run-0-people") == 3 * 4  # three windows


def test_runs_side_by_side_are_drawn_too(tmp_path: Path) -> None:
    first = RunFiles.of(sample_files())
    hostile = sample_agreement(name='</script><script>document.documentElement.dataset.error="ran"</script>')
    second = RunFiles.of(sample_files(hostile, session=b"\x33" * 32, seed=2))
    dom, complaints = opened(render_report([first, second]), tmp_path, width=1200)
    assert complaints == ""
    assert attributes(dom) == {"charts": str(6 + 2 * 2)}
    assert points(dom, "both-0") == 2 * 4


def test_the_policy_lets_no_other_script_run(tmp_path: Path) -> None:
    page = render_report([RunFiles.of(sample_files())])
    page = page.replace("</body>", "<script>document.documentElement.dataset.stranger = 1</script></body>")
    dom, complaints = opened(page, tmp_path, width=1200)
    assert "stranger" not in attributes(dom)
    assert "Content Security Policy" in complaints


HOSTILE = ('</script><img src=x onerror="document.documentElement.dataset.error=1">', "<b>粗</b>&amp;" + "长" * 90)


def whole_page(language: str) -> str:
    """Every section that a release can have, with hostile names of groups, and costs."""
    run = RunFiles.of(full_files(full_agreement(groups=("note-1", "note-2", "note-3", "note-4", *HOSTILE))))
    by_group = {group: Decimal(5000) for group in run.groups}
    spend = Spend(by_group=by_group, dated=True, other_lines=0, outside_lines=0)
    page = render_report([run], language=language, spend={run.session: spend})
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # the probe is a script of its own


@pytest.mark.parametrize(
    ("language", "shown", "hidden"), [("zh", "匹配人数", "matched people"), ("en", "matched people", "匹配人数")]
)
def test_charts_speak_the_language_that_the_page_shows(tmp_path: Path, language: str, shown: str, hidden: str) -> None:
    dom, complaints = opened(whole_page(language), tmp_path, width=1200)
    drawn = "".join(re.findall(r"<text[^>]*>(.*?)</text>", dom))
    assert complaints == ""
    assert shown in drawn
    assert hidden not in drawn
    assert "error" not in attributes(dom)


def test_the_switch_changes_page_and_charts(tmp_path: Path) -> None:
    probe = """<script>window.addEventListener("load", function () {
      setTimeout(function () {
        const root = document.documentElement;
        const seen = function (of) {
          return Array.from(document.querySelectorAll("main [lang='" + of + "']:not(.both)")).filter(
            function (one) { return one.offsetParent !== null; }).length;
        };
        root.dataset.before = seen("zh-CN") > 50 && seen("en") === 0;
        document.querySelector("label[for=en]").click();
        root.dataset.after = seen("en") > 50 && seen("zh-CN") === 0;
        root.dataset.requests = performance.getEntriesByType("resource").length;
      }, 2000);
    });</script></body>"""
    dom, complaints = opened(whole_page("zh").replace("</body>", probe), tmp_path, width=1200)
    found = attributes(dom)
    assert complaints == ""
    assert (found["before"], found["after"], found["requests"]) == ("true", "true", "0")
    assert re.search(r'<html[^>]*lang="en"', dom)
    assert "matched people" in "".join(re.findall(r"<text[^>]*>(.*?)</text>", dom))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_whole_page_fits_a_phone_whatever_groups_are_called(tmp_path: Path, language: str) -> None:
    dom, complaints = opened(whole_page(language).replace("</body>", PROBE), tmp_path, width=500)
    assert complaints == ""
    assert attributes(dom)["wide"] == "0"
    assert "error" not in attributes(dom)


def test_a_phone_needs_no_sideways_scrolling(tmp_path: Path) -> None:
    page = render_report([RunFiles.of(sample_files())])
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # the probe is a script of its own
    dom, _ = opened(page.replace("</body>", PROBE), tmp_path, width=500)
    assert attributes(dom) == {"charts": "2", "wide": "0"}
