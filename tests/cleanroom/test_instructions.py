"""The paths for some processors give the bytes of the portable one: known answers and whole runs, with both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cleanroom import _kernels

ROOT = Path(__file__).resolve().parents[2]
FEATURES = {"avx2": "avx2", "vaes": "vaes", "avx512": "avx512vl", "ifma": "avx512ifma", "pclmulqdq": "pclmulqdq"}
"""Names in the kernels' record, and in Linux's list of what the processor has."""


def python(*arguments: str, folder: Path, instructions: str) -> str:
    """What a process of its own prints: the choice is made once in a process."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CLEANROOM_INSTRUCTIONS": instructions},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout


def used(folder: Path, instructions: str) -> str:
    code = "from cleanroom import _kernels; print(_kernels.INSTRUCTIONS)"
    return python("-c", code, folder=folder, instructions=instructions).strip()


def test_the_environment_forces_the_portable_path(tmp_path: Path) -> None:
    assert used(tmp_path, "portable") == "portable"
    assert used(tmp_path, "") == used(tmp_path, "anything else")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the system does not list what the processor has")
def test_what_the_processor_has_is_used(tmp_path: Path) -> None:
    text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    flags = next((line.split(":")[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    expected = [name for name, flag in FEATURES.items() if flag in flags]
    assert used(tmp_path, "") == (" ".join(expected) or "portable")


def test_known_answers_hold_on_the_portable_path(tmp_path: Path) -> None:
    # whole runs of every profile are among them; that they hold on this machine's own path is tested elsewhere
    said = python("-m", "cleanroom", "vectors", "check", folder=tmp_path, instructions="portable")
    assert "known answers" in said
    assert f"kernels: {_kernels.BACKEND}, instructions: portable" in said
