"""The page about synthetic worlds: its commands run, and show what it says."""

from __future__ import annotations

from pathlib import Path

from tests.docs.shell_blocks import run_blocks, shell_blocks
from tests.docs.test_tutorial import cleanroom_command
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


def test_the_page_runs_from_top_to_bottom(tmp_path: Path, python: str) -> None:
    page = (ROOT / "docs" / "how-to" / "make-a-world.md").read_text(encoding="utf-8")
    place, path = tmp_path / "reader", tmp_path / "bin"
    place.mkdir()
    path.mkdir()
    blocks = shell_blocks(page.replace("47210", str(free_port())))
    printed = run_blocks(blocks, place, path=cleanroom_command(path, python), source=ROOT)
    assert {entry.name for entry in place.iterdir()} >= {"world", "media-run", "shop-run", "dirty", "sampled", "third"}
    releases = [(place / f"{side}-run" / "release.csv").read_bytes() for side in ("media", "shop")]
    assert releases[0] == releases[1]
    assert "incremental" in printed
    assert "c02/control" in printed
