"""Writes constraints.txt and sbom.cdx.json: what the toolkit is made of, Python packages and crates, with licences.

CycloneDX 1.5. The same inputs give the same bytes: there is no date, and the serial number follows from the content.
Python packages are those that the toolkit needs to run, as installed beside this tool; crates are those of Cargo.lock
that the platform of deny.toml builds.

    python -m tools.sbom            # write both files
    python -m tools.sbom --check    # end with 1 if they are not what this environment gives
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

from tools.dependency_audit import KERNELS, ROOT, crates

CONSTRAINTS = ROOT / "constraints.txt"
SBOM = ROOT / "sbom.cdx.json"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:cleanroom-toolkit:sbom")
_HEAD = """\
# The versions of the Python packages that the toolkit was tested with; written by `python -m tools.sbom`.
#   pip install --constraint constraints.txt .
"""

Json = dict[str, Any]  # a JSON object: its values are of any JSON type


def canonical_name(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project() -> Json:
    """The `[project]` table of pyproject.toml."""
    found: Json = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def needs(requirements: list[str] | None) -> list[str]:
    """The names of the packages that some requirements name for this machine, extras left out."""
    parsed = [Requirement(text) for text in requirements or []]
    return sorted(
        canonical_name(one.name) for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})
    )


def packages() -> dict[str, metadata.Distribution]:
    """Every installed package that the toolkit needs to run, directly or not, by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = needs(project()["dependencies"])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = metadata.distribution(name)
            waiting += needs(found[name].requires)
    return dict(sorted(found.items()))


def licence_of(package: metadata.Distribution) -> list[Json]:
    """A package's licence as it states it: an SPDX expression, else its classifiers, else its first line of text."""
    stated = package.metadata
    for expression in stated.get_all("License-Expression", []):
        return [{"expression": expression}]
    classes = [text.split(" :: ")[-1] for text in stated.get_all("Classifier", []) if text.startswith("License ::")]
    lines = classes or [text.splitlines()[0] for text in stated.get_all("License", []) if text] or ["not stated"]
    return [{"license": {"name": line}} for line in sorted(set(lines))]


def python_components(found: dict[str, metadata.Distribution]) -> tuple[list[Json], list[Json]]:
    """Components and dependencies of the Python packages."""
    refs = {name: f"pkg:pypi/{name}@{package.version}" for name, package in found.items()}
    components = [
        {
            "type": "library",
            "bom-ref": refs[name],
            "name": name,
            "version": package.version,
            "licenses": licence_of(package),
            "purl": refs[name],
        }
        for name, package in found.items()
    ]
    edges = [
        {"ref": refs[name], "dependsOn": [refs[need] for need in needs(package.requires)]}
        for name, package in found.items()
    ]
    return components, edges


def rust_components() -> tuple[list[Json], list[Json]]:
    """Components and dependencies of the platform's crates, from Cargo.lock; licences from Cargo."""
    licences = {(crate["name"], crate["version"]): crate["license"] for crate in crates()}
    every = tomllib.loads((KERNELS / "Cargo.lock").read_text())["package"]
    locked = [crate for crate in every if (crate["name"], crate["version"]) in licences]
    refs = {crate["name"]: f"pkg:cargo/{crate['name']}@{crate['version']}" for crate in locked}
    components = [
        {
            "type": "library",
            "bom-ref": refs[crate["name"]],
            "name": crate["name"],
            "version": crate["version"],
            "licenses": [{"expression": licences[crate["name"], crate["version"]].replace("/", " OR ")}],
            "purl": refs[crate["name"]],
        }
        | ({"hashes": [{"alg": "SHA-256", "content": crate["checksum"]}]} if "checksum" in crate else {})
        for crate in locked
    ]
    edges = [{"ref": refs[crate["name"]], "dependsOn": sorted(_needed(crate, refs))} for crate in locked]
    return components, edges


def _needed(crate: Json, refs: dict[str, str]) -> Iterator[str]:
    """What a crate needs on the platform: Cargo.lock has a name, and the version where it holds several."""
    for need in crate.get("dependencies", []):
        name, *version = need.split()
        if name in refs and (not version or refs[name].endswith(f"@{version[0]}")):
            yield refs[name]


def constraints_text(found: dict[str, metadata.Distribution]) -> str:
    """The content of constraints.txt."""
    return _HEAD + "".join(f"{name}=={package.version}\n" for name, package in found.items())


def sbom_text(found: dict[str, metadata.Distribution]) -> str:
    """The content of sbom.cdx.json."""
    own = project()
    ref = f"pkg:pypi/{own['name']}@{own['version']}"
    python, python_edges = python_components(found)
    rust, rust_edges = rust_components()
    direct = [component["bom-ref"] for component in python if component["name"] in needs(own["dependencies"])]
    kernels = next(component["bom-ref"] for component in rust if component["name"] == "cleanroom-kernels")
    body: Json = {
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ref,
                "name": own["name"],
                "version": own["version"],
                "licenses": [{"expression": own["license"]}],
                "purl": ref,
            }
        },
        "components": python + rust,
        "dependencies": [{"ref": ref, "dependsOn": [*direct, kernels]}, *python_edges, *rust_edges],
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    head = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
    }
    return json.dumps({**head, **body}, indent=1) + "\n"


def main() -> int:
    """Writes or compares both files."""
    found = packages()
    texts = {CONSTRAINTS: constraints_text(found), SBOM: sbom_text(found)}
    if "--check" not in sys.argv[1:]:
        for path, text in texts.items():
            path.write_text(text)
        return 0
    stale = [path.name for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    for name in stale:
        print(f"{name} is not what this environment gives: run python -m tools.sbom")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
