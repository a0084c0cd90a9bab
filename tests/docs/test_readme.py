"""The README's blocks do what the README says, and its links to files hold (see `test_links`)."""

from __future__ import annotations

from pathlib import Path

from tests.docs.shell_blocks import run_blocks, shell_blocks
from tests.docs.test_tutorial import cleanroom_command, released
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PORT = "47200"


def test_the_quick_start_and_the_library_snippet_work(tmp_path: Path, python: str) -> None:
    checkout, path = tmp_path / "checkout", tmp_path / "bin"
    checkout.mkdir()
    path.mkdir()
    (checkout / "examples").symlink_to(ROOT / "examples")
    page = (ROOT / "README.md").read_text(encoding="utf-8").replace(PORT, str(free_port()))
    printed = run_blocks(shell_blocks(page), checkout, path=cleanroom_command(path, python), source=ROOT)
    assert "What nobody learns" in printed
    first, second = (released(tmp_path / "quickstart" / "shop" / run / "release.csv") for run in ("run-1", "run-2"))
    assert first == second
    assert first["note-1", "buyers_15d"] is not None
    assert first["note-3", "buyers_15d"] is None
    assert "readers_known_to_shop" in printed
    assert "suppressed" in printed
