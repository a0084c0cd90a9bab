"""The tutorial's commands do what the tutorial says."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from tests.docs.shell_blocks import run_blocks, shell_blocks
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PORT = "47100"


def cleanroom_command(folder: Path, python: str) -> Path:
    """Writes the `cleanroom` command of this checkout into a folder."""
    command = folder / "cleanroom"
    command.write_text(f'#!/bin/sh\nexec "{python}" -m cleanroom "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


def released(path: Path) -> dict[tuple[str, str], tuple[float, float] | None]:
    """A release.csv: (value, std_error) of each released figure, None for a suppressed one."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row["group"], row["metric"]): (float(row["value"]), float(row["std_error"])) if row["value"] else None
            for row in csv.DictReader(file)
        }


def test_the_tutorial_works_and_its_figures_are_near_the_truth_that_it_prints(tmp_path: Path, python: str) -> None:
    page = (ROOT / "docs" / "tutorial" / "two-owners.md").read_text(encoding="utf-8")
    place, path = tmp_path / "reader", tmp_path / "bin"
    place.mkdir()
    path.mkdir()
    blocks = shell_blocks(page.replace(PORT, str(free_port())))
    printed = run_blocks(blocks, place, path=cleanroom_command(path, python), source=ROOT)
    for run in ("run-1", "run-2"):
        files = [(place / side / run / "release.csv").read_bytes() for side in ("media", "shop")]
        assert files[0] == files[1]
    figures = released(place / "media" / "run-1" / "release.csv")
    truths = re.findall(r"^(note-\d): (\S+) (\d+), (\S+) (\d+), (\S+) ([\d.]+)$", printed, re.MULTILINE)
    assert len(truths) == 3
    for group, *pairs in truths:
        assert f"{group}: {' '.join(pairs[:1])} {pairs[1]}, {pairs[2]} {pairs[3]}, {pairs[4]} {pairs[5]}" in page
        for metric, truth in zip(pairs[::2], pairs[1::2], strict=True):
            figure = figures[group, metric]
            assert (figure is None) == (group == "note-3")
            if figure is not None:
                assert abs(figure[0] - float(truth)) < 6 * figure[1]
    assert "the same release" in printed
    assert "exit code 3" in printed
    assert [entry.name for entry in (place / "shop" / "run-3").iterdir()] == ["failure.json"]
