"""The shape of the code: which way imports go, how long a module is, what may stand in a tracked file."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from cleanroom import _kernels

ROOT = Path(__file__).parents[1]
MODULES = [path for folder in ("cleanroom", "protocols", "cli") for path in sorted((ROOT / folder).rglob("*.py"))]
MAX_LINES = 600


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    full = parts if parts[0] == "cleanroom" else ("cleanroom", *parts)
    return ".".join(full[:-1] if full[-1] == "__init__" else full)


def layer(name: str) -> int:
    """0 for the kernels and errors, 1 protocols, 2 the product, 3 the command line."""
    if name in ("cleanroom._kernels", "cleanroom.errors"):
        return 0
    if name.startswith("cleanroom.protocols"):
        return 1
    return 3 if name.startswith("cleanroom.cli") or name == "cleanroom.__main__" else 2


def imports(path: Path) -> set[str]:
    """The modules of this project that a module imports, wherever in it."""
    known = {name_of(module) for module in MODULES} | {"cleanroom._kernels"}
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "cleanroom"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            if module.split(".")[0] == "cleanroom":
                parts = {f"{module}.{alias.name}" for alias in node.names} & known
                names |= parts or {module}
    return names


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_go_one_way(path: Path) -> None:
    own = layer(name_of(path))
    for name in imports(path):
        if name == "cleanroom" and own == 3:
            continue  # the version
        assert layer(name) <= own, f"{relative(path)} imports {name}"
    if name_of(path) == "cleanroom.errors":
        assert not imports(path)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_has_a_docstring_and_is_not_too_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= MAX_LINES
    assert path.stem not in ("utils", "helpers", "util", "helper", "misc", "common")


def stub_names() -> tuple[set[str], dict[str, set[str]]]:
    """Names of the stub: its functions, classes and values, and the public methods of its classes."""
    names: set[str] = set()
    members: dict[str, set[str]] = {}
    for node in ast.parse((ROOT / "cleanroom" / "_kernels.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
            members[node.name] = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}, members


def test_the_stub_names_exactly_what_the_kernels_export() -> None:
    names, members = stub_names()
    assert names == {name for name in dir(_kernels) if not name.startswith("_")}
    for name, methods in members.items():
        found = {method for method in vars(getattr(_kernels, name)) if not method.startswith("_")}
        assert found == methods - {"__new__", "__init__"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listed.decode().split("\0")[:-1]]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


MACHINE = re.compile(r"(?<![\w.$}~-])/(?:work|root|home|Users|opt|mnt)/[\w.-]+|(?<![\w.$}~-])/tmp/[\w.-]+")
REGISTRY = re.compile(
    r"https?://[\w.-]*(?:pypi|pythonhosted|crates\.io|npmjs|proxy\.golang)[\w.-]*|index-url|--registry"
)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout: what is tracked is not known")
def test_no_tracked_file_names_a_place_of_a_machine_or_a_registry() -> None:
    faults = []
    for path in tracked():
        if relative(path) == "tests/test_layout.py":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path.name == "Cargo.lock":  # names the registry that every lock file names
            text = text.replace('"registry+https://github.com/rust-lang/crates.io-index"', "")
        for number, line in enumerate(text.splitlines(), start=1):
            in_docs = relative(path).startswith("docs/") or path.suffix == ".md"
            if REGISTRY.search(line) or (MACHINE.search(line) and not in_docs):
                faults.append(f"{relative(path)}:{number}: {line.strip()[:80]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("cd /tmp/fresh", True),
        ('open("/root/data.csv")', True),
        ("PYTHONPATH=/home/someone/lib", True),
        ("a/tmp/b and $HOME/tmp/x", False),
        ("docs/root/page", False),
    ],
)
def test_the_search_for_places_finds_them(line: str, found: bool) -> None:
    assert bool(MACHINE.search(line)) is found


CWD = re.compile(
    r"Path\.cwd\(|os\.getcwd\(|Path\(\"(?!/)[\w./-]+\"\)\.(?:read|open|exists|iterdir)|(?<!\.)open\(\"(?!/)[\w.]"
)


def test_no_test_depends_on_the_working_directory() -> None:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name == "test_layout.py":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not CWD.search(line), f"{relative(path)}:{number}: {line.strip()}"
