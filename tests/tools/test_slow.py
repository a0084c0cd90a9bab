"""The slow implementation stands alone, and what its vectors do not reach is as published."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools.slow.streams import hkdf

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "tools" / "slow").glob("*.py")) + sorted((ROOT / "tools" / "recipes").glob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_imports_the_standard_library_and_itself_alone(path: Path) -> None:
    allowed = ("tools.slow",) if path.parent.name == "slow" else ("tools.slow", "tools.recipes")
    for name in imported(path):
        assert name.startswith(allowed) or name.split(".")[0] in sys.stdlib_module_names, name
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


def test_the_vectors_are_made_without_any_package() -> None:
    """With no site-packages on the path there is no numpy, no cryptography and no installed toolkit to lean on."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tools.vectors as v; print(len(v.OWN), sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(ROOT)], capture_output=True, text=True, check=True
    )
    for package in ("numpy", "cryptography", "cleanroom"):
        assert f"'{package}" not in done.stdout


def test_hkdf_is_that_of_rfc_5869() -> None:
    """Appendix A.1."""
    key = hkdf(b"\x0b" * 22, salt=bytes(range(13)), info=bytes(range(0xF0, 0xFA)), length=42)
    assert key.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
