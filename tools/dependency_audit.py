"""Holds the crates to deny.toml and runs the scanners that are installed; says plainly what could not run.

The rules on licences, bans and sources are checked with Cargo alone, offline. Known weaknesses need a database that
somebody else keeps: `cargo deny` or `cargo audit`, and `pip-audit`.

    python -m tools.dependency_audit
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "kernels"


def crates() -> list[dict[str, Any]]:
    """What Cargo says of every crate that a build or test uses on the rules' platform; a build must have fetched them.

    Cargo.lock has more: what other platforms need, and features that only those ask for.
    """
    (platform,) = tomllib.loads((ROOT / "deny.toml").read_text())["graph"]["targets"]
    lines = _cargo("tree", "--target", platform, "--prefix", "none", "--format", "{p}").splitlines()
    used = {tuple(line.split()[:2]) for line in lines}
    found = json.loads(_cargo("metadata", "--filter-platform", platform, "--format-version", "1"))["packages"]
    listed = [crate for crate in found if (crate["name"], f"v{crate['version']}") in used]
    return sorted(listed, key=lambda crate: (crate["name"], crate["version"]))


def _cargo(*words: str) -> str:
    command = ["cargo", *words, "--offline", "--locked"]
    return subprocess.run(command, cwd=KERNELS, capture_output=True, check=True, text=True).stdout


def allowed(expression: str, licences: set[str]) -> bool:
    """Whether an SPDX licence expression can be met with some licences ("/" is an old way to write OR)."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    found, rest = _either(words, licences)
    if rest:
        raise ValueError(f"not a licence expression: {expression}")
    return found


def _either(words: list[str], licences: set[str]) -> tuple[bool, list[str]]:
    found, rest = _both(words, licences)
    while rest[:1] == ["OR"]:
        other, rest = _both(rest[1:], licences)
        found = found or other
    return found, rest


def _both(words: list[str], licences: set[str]) -> tuple[bool, list[str]]:
    found, rest = _one(words, licences)
    while rest[:1] == ["AND"]:
        other, rest = _one(rest[1:], licences)
        found = found and other
    return found, rest


def _one(words: list[str], licences: set[str]) -> tuple[bool, list[str]]:
    if not words or words[0] in (")", "AND", "OR", "WITH"):
        raise ValueError("a licence expected")
    if words[0] == "(":
        found, rest = _either(words[1:], licences)
        if rest[:1] != [")"]:
            raise ValueError("a closing bracket expected")
        return found, rest[1:]
    if words[1:2] == ["WITH"]:
        return " ".join(words[:3]) in licences, words[3:]
    return words[0] in licences, words[1:]


def faults(packages: list[dict[str, Any]], rules: dict[str, Any]) -> list[str]:
    """Every breach of the rules, one line each.

    Args:
        packages: as `crates` returns them.
        rules: the content of deny.toml.
    """
    found = []
    licences = set(rules["licenses"]["allow"])
    sources = {f"registry+{url}" for url in rules["sources"]["allow-registry"]}
    denied = {entry["crate"]: entry["reason"] for entry in rules["bans"]["deny"]}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["license"] is None:
            found.append(f"{name}: names no licence")
        elif not allowed(package["license"], licences):
            found.append(f"{name}: licence {package['license']} is not allowed")
        if package["source"] is not None and package["source"] not in sources:
            found.append(f"{name}: comes from {package['source']}")
        if package["name"] in denied:
            found.append(f"{name}: is banned: {denied[package['name']]}")
        if package["source"] is None:
            found += [
                f"{name}: any version of {need['name']}" for need in package["dependencies"] if need["req"] == "*"
            ]
    versions = Counter(package["name"] for package in packages)
    found += [f"{name}: {count} versions" for name, count in sorted(versions.items()) if count > 1]
    return found


def scan(label: str, command: list[str], folder: Path) -> str | None:
    """Runs a scanner. Returns None if it found nothing, else a line; it has printed the rest."""
    print(f"-- {label}: {' '.join(command)}", flush=True)
    return None if subprocess.run(command, cwd=folder, check=False).returncode == 0 else f"{label}: see above"


def main() -> int:
    """Checks, scans, and ends with 1 if anything was found."""
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    packages = crates()
    found = faults(packages, rules)
    print(f"deny.toml: licences, bans and sources of {len(packages)} crates: {len(found)} faults")
    skipped = []
    if shutil.which("cargo-deny"):
        found += filter(
            None,
            [
                scan(
                    "crates",
                    ["cargo", "deny", "--manifest-path", "kernels/Cargo.toml", "check", "--config", "deny.toml"],
                    ROOT,
                )
            ],
        )
    elif shutil.which("cargo-audit"):
        found += filter(None, [scan("crates", ["cargo", "audit"], KERNELS)])
    else:
        skipped.append("known weaknesses of crates: neither cargo-deny nor cargo-audit is installed")
    if shutil.which("pip-audit"):
        command = ["pip-audit", "--strict", "--no-deps", "--disable-pip", "--requirement", "constraints.txt"]
        found += filter(None, [scan("Python packages", command, ROOT)])
    else:
        skipped.append("known weaknesses of Python packages: pip-audit is not installed")
    for line in skipped:
        print(f"NOT CHECKED: {line}")
    for line in found:
        print(f"FAULT: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
