"""The library's example: both sides in one process, and the figures of the plain join."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("both_sides", ROOT / "examples" / "both_sides.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_released_figure_is_that_of_pandas(example: ModuleType, tmp_path: Path) -> None:
    clicks, orders = example.tables()
    release: pd.DataFrame = example.both_sides(tmp_path, clicks, orders)
    plain: pd.DataFrame = example.plain_join(clicks, orders)
    assert len(release) == 6
    for row in release.itertuples():
        if row.group == "tiny":
            assert row.status == "suppressed"
            assert pd.isna(row.value)
        else:
            assert row.status == "released"
            assert row.value == plain.loc[row.group, row.metric]


def test_importing_the_library_imports_nothing_heavy() -> None:
    code = "import sys, cleanroom; print([n for n in ('pandas', 'pyarrow', 'numpy', 'opendp') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
