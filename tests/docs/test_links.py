"""Every relative link of every page leads somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cleanroom.agreement.schema import SCHEMA

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def _pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])  # a source archive without git


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in _anchors(there.read_text(encoding="utf-8")), f"{page.name}: {target}"


def test_tests_that_pages_name_are_there() -> None:
    files = list((ROOT / "tests").rglob("test_*.py"))
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    defined = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE)) | {path.stem for path in files}
    named = {
        name for page in _pages() for name in re.findall(r"`(test_\w+)(?:\.py)?`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    keys = {key for section in SCHEMA.values() for key in section}
    assert named - defined - keys == set()


def test_every_page_of_the_docs_is_on_the_map() -> None:
    start = ROOT / "docs" / "index.md"
    seen: set[Path] = set()
    queue = [start]
    while queue:
        page = queue.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:|#", target):
                queue.append((page.parent / target.partition("#")[0]).resolve())
    missing = [
        str(page.relative_to(ROOT)) for page in _pages() if page.is_relative_to(start.parent) and page not in seen
    ]
    assert missing == []
