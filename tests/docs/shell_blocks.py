"""Runs the shell blocks of a page as its reader would: in order, in a new folder, two terminals side by side.

A block that begins with three backticks and `sh` is run in the page's folder; `sh NAME` is run in its subfolder NAME,
and `sh NAME &` is left running until that terminal is used again, or the page ends. Other blocks are not run.
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
_BLOCK = re.compile(r"^```sh(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One shell block: where it runs, whether it is left running, and its text."""

    folder: str
    background: bool
    text: str


def shell_blocks(page: str) -> list[Block]:
    """Returns a page's shell blocks in order."""
    blocks = []
    for match in _BLOCK.finditer(page):
        words = match["info"].split()
        background = words[-1:] == ["&"]
        names = words[:-1] if background else words
        blocks.append(Block(folder=names[0] if names else ".", background=background, text=match["text"]))
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
    running: tuple[Block, subprocess.Popen[str]] | None = None
    try:
        for block in blocks:
            if running is not None and (block.background or block.folder == running[0].folder):  # one terminal a folder
                printed.append(_finish(*running))
                running = None
            process = subprocess.Popen(
                ["sh", "-eu", "-c", block.text],
                cwd=where / block.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if block.background:
                running = (block, process)
            else:
                printed.append(_finish(block, process))
        if running is not None:
            printed.append(_finish(*running))
            running = None
    finally:
        if running is not None:
            running[1].kill()
            running[1].wait()
    return "".join(printed)


def _finish(block: Block, process: subprocess.Popen[str]) -> str:
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
    assert process.returncode == 0, f"{block.text}\nended with {process.returncode}\n{output}\n{errors}"
    return output
