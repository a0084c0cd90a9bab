"""The rules for crates hold and can be broken; the SBOM lists what is locked and needed, the same bytes each time."""

from __future__ import annotations

import copy
import importlib.metadata
import json
import re
import tomllib
from typing import Any

import pytest

from tools.dependency_audit import KERNELS, ROOT, allowed, crates, faults
from tools.sbom import CONSTRAINTS, SBOM, canonical_name, constraints_text, needs, packages, project, sbom_text

RULES = tomllib.loads((ROOT / "deny.toml").read_text())


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    return crates()


def test_every_crate_keeps_to_the_rules(found: list[dict[str, Any]]) -> None:
    assert len(found) > 30
    assert faults(found, RULES) == []


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("license", "GPL-3.0-only", "licence GPL-3.0-only is not allowed"),
        ("license", None, "names no licence"),
        ("source", "git+https://example.org/crate", "comes from git"),
        ("name", "tokio", "is banned"),
        ("name", "sha2", "2 versions"),
    ],
)
def test_every_rule_can_be_broken(found: list[dict[str, Any]], key: str, value: object, fault: str) -> None:
    packages = copy.deepcopy(found)
    aes = next(package for package in packages if package["name"] == "aes")
    aes[key] = value
    lines = faults(packages, RULES)
    assert len(lines) == 1
    assert fault in lines[0]


def test_our_own_requirements_name_versions(found: list[dict[str, Any]]) -> None:
    packages = copy.deepcopy(found)
    own = next(package for package in packages if package["source"] is None)
    own["dependencies"][0]["req"] = "*"
    assert ["any version of" in line for line in faults(packages, RULES)] == [True]


def test_licence_expressions() -> None:
    some = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"}
    for expression in ("MIT", "MIT/GPL-2.0", "GPL-2.0 OR MIT", "(MIT OR GPL-2.0) AND Unicode-3.0"):
        assert allowed(expression, some)
    assert allowed("Apache-2.0 WITH LLVM-exception", some)
    for expression in ("GPL-2.0", "MIT AND GPL-2.0", "Apache-2.0 WITH Other", "GPL-2.0 OR (MIT AND GPL-3.0)"):
        assert not allowed(expression, some)
    for expression in ("", "MIT OR", "(MIT", "MIT MIT"):
        with pytest.raises(ValueError, match=r"expected|expression"):
            allowed(expression, some)


def pinned() -> dict[str, str]:
    lines = [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def test_the_sbom_lists_every_crate_and_every_pinned_package(found: list[dict[str, Any]]) -> None:
    sbom = json.loads(SBOM.read_text())
    listed = {component["purl"]: component for component in sbom["components"]}
    built = {(crate["name"], crate["version"]) for crate in found}
    every = tomllib.loads((KERNELS / "Cargo.lock").read_text())["package"]
    locked = [crate for crate in every if (crate["name"], crate["version"]) in built]
    assert len(locked) == len(built)
    expected = {f"pkg:cargo/{crate['name']}@{crate['version']}" for crate in locked}
    expected |= {f"pkg:pypi/{name}@{version}" for name, version in pinned().items()}
    assert listed.keys() == expected
    for crate in locked:
        component = listed[f"pkg:cargo/{crate['name']}@{crate['version']}"]
        if "checksum" in crate:
            assert component["hashes"] == [{"alg": "SHA-256", "content": crate["checksum"]}]
    assert all(component["licenses"] for component in listed.values())
    refs = {sbom["metadata"]["component"]["bom-ref"], *expected}
    assert {edge["ref"] for edge in sbom["dependencies"]} == refs
    assert {need for edge in sbom["dependencies"] for need in edge["dependsOn"]} <= refs
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", sbom["serialNumber"])


def test_every_runtime_dependency_is_pinned() -> None:
    assert set(needs(project()["dependencies"])) <= pinned().keys()
    assert pinned().keys() == packages().keys()


def test_the_files_are_what_the_tool_writes_from_the_pinned_versions() -> None:
    installed = packages()
    versions = {canonical_name(name): package.version for name, package in installed.items()}
    if versions != pinned():
        pytest.skip("other versions are installed than those of constraints.txt")
    assert isinstance(next(iter(installed.values())), importlib.metadata.Distribution)
    assert constraints_text(installed) == CONSTRAINTS.read_text()
    assert sbom_text(installed) == sbom_text(installed) == SBOM.read_text()
