"""What is installed: the package list is the tree, links are tracked, guards refuse second names, a wheel is whole."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import cleanroom

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))  # Any: TOML
LINKS = {
    "cleanroom/cli": ("../cli", "cleanroom.cli"),
    "cleanroom/protocols": ("../protocols", "cleanroom.protocols"),
    "cleanroom/vectors/files": ("../../tests/vectors", "cleanroom.vectors.files"),
}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, check=True, text=True, encoding="utf-8"
    ).stdout


needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout: what is tracked is not known")


def test_the_package_list_is_the_tree() -> None:
    found = {"cleanroom.vectors.files"}  # data alone
    for start in ("cleanroom", "protocols", "cli"):
        for marker in (ROOT / start).rglob("__init__.py"):
            parts = marker.parent.relative_to(ROOT).parts
            found.add(".".join(parts if start == "cleanroom" else ("cleanroom", *parts)))
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert set(listed) == found
    assert listed == sorted(listed)


def test_every_folder_with_modules_is_a_package() -> None:
    for path in sources("cleanroom", "protocols", "cli", "tests"):
        assert (path.parent / "__init__.py").exists(), path


@needs_git
def test_the_links_are_tracked_and_relative_and_agree_with_the_mapping() -> None:
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    assert set(mapping) == {name for _, name in LINKS.values()}
    for path, (target, name) in LINKS.items():
        mode, _, _, listed = git("ls-files", "--stage", "--", path).split()
        assert (mode, listed) == ("120000", path)
        assert git("cat-file", "blob", f":{path}") == target
        assert (ROOT / path).resolve() == (ROOT / mapping[name]).resolve()
    links = [line.split("\t")[1] for line in git("ls-files", "--stage").splitlines() if line.startswith("120000")]
    assert set(links) == set(LINKS)


@pytest.mark.parametrize("name", ["protocols", "cli", "protocols.wire", "cli.main"])
def test_a_second_import_name_is_refused(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"ImportError: import cleanroom.{name.split('.')[0]}, not {name.split('.')[0]}" in done.stderr


def test_the_version_is_one() -> None:
    assert PROJECT["project"]["version"] == cleanroom.__version__


def imported(paths: list[Path]) -> set[str]:
    """The top-level names that modules import, wherever in them."""
    names: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"cleanroom"}


def requirements(lines: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_-]", line)[0].lower().replace("_", "-") for line in lines}


def test_shipped_code_imports_its_dependencies_and_nothing_else() -> None:
    """A name of the extra `demo` may be imported, and only where its absence is handled: inside a function."""
    distributions = packages_distributions()
    paths = sources("cleanroom", "protocols", "cli")
    used = {distributions[name][0].lower().replace("_", "-") for name in imported(paths)}
    extras = PROJECT["project"]["optional-dependencies"]
    required = requirements(PROJECT["project"]["dependencies"])
    assert used - requirements(extras["demo"]) == required


def test_a_bound_from_above_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.search(r'"[A-Za-z0-9_-]+[^"]*(<|==|~=)', line):
            assert "#" in line, line


@needs_git
@pytest.mark.slow
def test_a_wheel_holds_everything_and_runs(tmp_path: Path) -> None:
    """Built from the tracked files alone; the kernels' build folder is shared, so that they are not compiled twice."""
    tree = tmp_path / "tree"
    for path in git("ls-files", "-z").split("\0")[:-1]:
        source, target = ROOT / path, tree / path
        if source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source.readlink())
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", "."],
        cwd=tree,
        env={**os.environ, "CARGO_TARGET_DIR": str(ROOT / "kernels" / "target")},
        check=True,
    )
    (wheel,) = (tree / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    expected = {path.relative_to(ROOT).as_posix() for path in sources("cleanroom")}
    expected |= {f"cleanroom/{path.relative_to(ROOT).as_posix()}" for path in sources("protocols", "cli")}
    vectors = ROOT / "tests" / "vectors"
    expected |= {f"cleanroom/vectors/files/{path.relative_to(vectors).as_posix()}" for path in vectors.rglob("*.json")}
    templates = ROOT / "cleanroom" / "report" / "templates"
    expected |= {path.relative_to(ROOT).as_posix() for path in templates.iterdir()}
    expected |= {"cleanroom/py.typed", "cleanroom/_kernels.pyi"}
    assert expected <= names
    modules = {name for name in names if name.startswith("cleanroom/_kernels") and name.endswith(".so")}
    assert len(modules) == 1
    others = {name for name in names - expected - modules if ".dist-info/" not in name}
    assert not others
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHECK_WHEEL, str(tmp_path / "installed")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "known answers" in done.stdout


CHECK_WHEEL = """
import sys
sys.path.insert(0, sys.argv[1])
import cleanroom
assert cleanroom.__file__.startswith(sys.argv[1]), cleanroom.__file__
from cleanroom.cli import main
main(["vectors", "check"])
"""
