"""The Chinese tutorial of the whole funnel runs from top to bottom; its figures are near the truth that it prints."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.shell_blocks import run_blocks, shell_blocks
from tests.docs.test_tutorial import cleanroom_command, released
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


def test_the_whole_funnel_runs_from_two_folders_to_the_report(tmp_path: Path, python: str) -> None:
    page = (ROOT / "docs" / "tutorial" / "quan-lian-lu.md").read_text(encoding="utf-8")
    place, path = tmp_path / "reader", tmp_path / "bin"
    place.mkdir()
    path.mkdir()
    blocks = shell_blocks(page.replace("47220", str(free_port())))
    printed = run_blocks(blocks, place, path=cleanroom_command(path, python), source=ROOT)
    assert "两边的结果相同" in printed
    figures = released(place / "media-run" / "release.csv")
    truths = re.findall(r"^(c0\d): 真实 (\d+), 发布 (-?\d+) ± (\d+)$", printed, re.MULTILINE)
    assert len(truths) == 5
    for group, truth, _, _ in truths:
        figure = figures[group, "buyers_15d"]
        assert figure is not None
        assert abs(figure[0] - int(truth)) < 6 * figure[1] + 0.08 * int(truth)  # the cap on groups, shared accounts
    report, shop = (place / name for name in ("roi.html", "shop-run/report.html"))
    text = report.read_text(encoding="utf-8")
    for title in ("一眼看懂", "转化漏斗", "投入产出 ROI（T+x）", "归因：每个分组分到多少", "交叉表：分组 × 标签"):
        assert title in text
    spent = re.search(r'id="run-0-at-roi".*?<th scope="row">c01</th><td class="number">([\d,.]+)', text, re.DOTALL)
    assert spent is not None
    others = [
        shop,
        *(place / side / name for side in ("media-run", "shop-run") for name in ("release.json", "local.json")),
    ]
    for other in others:  # what was spent is on the one page that was asked for
        assert spent[1] not in other.read_text(encoding="utf-8")
        assert spent[1].replace(",", "") not in other.read_text(encoding="utf-8")
