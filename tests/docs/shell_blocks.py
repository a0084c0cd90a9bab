"""Runs the blocks of a page as its reader would: in order, from one folder, two terminals side by side.

A block that begins with three backticks and `sh` or `python` is run in the page's folder; `sh NAME` is run in the
folder NAME below it, and `sh NAME &` runs side by side with the block after it. Blocks of other kinds (`console`,
`text`, `toml`) are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "run_blocks", "shell_blocks"]

SECONDS = 120
_BLOCK = re.compile(r"^```(?P<kind>sh|python)\b(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block: what runs it, where, whether the next one runs beside it, and its text."""

    kind: str
    folder: str
    background: bool
    text: str


def shell_blocks(page: str) -> list[Block]:
    """Returns a page's blocks in order."""
    blocks = []
    for match in _BLOCK.finditer(page):
        words = match["info"].split()
        background = words[-1:] == ["&"]
        names = words[:-1] if background else words
        blocks.append(
            Block(kind=match["kind"], folder=names[0] if names else ".", background=background, text=match["text"])
        )
    return blocks


def run_blocks(blocks: list[Block], where: Path, *, path: Path, source: Path) -> str:
    """Runs blocks; any that fails is an AssertionError with what it printed.

    Args:
        blocks: from `shell_blocks`.
        where: an empty folder.
        path: a folder that holds the `cleanroom` command.
        source: the checkout that the command runs from.

    Returns:
        Everything that the blocks printed on stdout, in the order in which they ended.
    """
    environment = {
        **os.environ,
        "PATH": f"{path}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(source),
    }
    printed: list[str] = []
    running: list[tuple[Block, subprocess.Popen[str]]] = []
    try:
        for block in blocks:
            process = subprocess.Popen(
                ["sh", "-eu", "-c", block.text] if block.kind == "sh" else [sys.executable, "-c", block.text],
                cwd=where / block.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.append((block, process))
            while running and not block.background:
                printed.append(_finish(*running[-1]))
                running.pop()
    finally:
        for _, process in running:
            process.kill()
            process.communicate()
    assert not running, "the last block has nothing to run beside"
    return "".join(printed)


def _finish(block: Block, process: subprocess.Popen[str]) -> str:
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
    assert process.returncode == 0, f"{block.text}\nended with {process.returncode}\n{output}\n{errors}"
    return output
