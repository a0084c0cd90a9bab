"""The agreement and the plan import each other's modules: whichever comes first, both load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("first", ["cleanroom.plan", "cleanroom.agreement", "cleanroom.agreement.checks"])
def test_any_module_can_be_imported_first(first: str) -> None:
    code = f"import {first}; from cleanroom.agreement import load_agreement; from cleanroom.plan import plan_of"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
