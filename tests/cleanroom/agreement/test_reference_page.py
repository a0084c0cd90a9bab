"""The reference page lists every key of the schema with its type, default and words, in the schema's order."""

from __future__ import annotations

import re
from pathlib import Path

from cleanroom.agreement.schema import DEFAULT_TREES, SCHEMA

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "agreement.md"

HEADINGS = {
    "Top level": "",
    "`[parties.NAME]`": "parties.NAME",
    "`[match]`": "match",
    "Entries of `match.identifiers`": "match.identifiers",
    "`[time]`": "time",
    "`[exposure]`": "exposure",
    "`[outcome]`": "outcome",
    "`[[outcome.labels]]`": "outcome.labels",
    "`[[metrics]]`": "metrics",
    "`[release]`": "release",
    "`[protocol]`": "protocol",
    "`protocol.max_rows`": "protocol.max_rows",
    "`[legal]`": "legal",
    "`[completeness]`": "completeness",
    "Bands of `completeness`": "completeness.BAND",
    "`[sampling]`": "sampling",
    "Entries of `sampling.periods`": "sampling.periods",
    "`[eligibility]`": "eligibility",
    "Entries of `eligibility.rules`": "eligibility.rules",
    "`[lift]`": "lift",
    "`[[lift.comparisons]]`": "lift.comparisons",
}


def _tables() -> dict[str, list[tuple[str, str, str, str]]]:
    tables: dict[str, list[tuple[str, str, str, str]]] = {}
    rows: list[tuple[str, str, str, str]] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch("#+ (.*)", line):
            rows = tables.setdefault(HEADINGS.get(heading[1], heading[1]), [])
        elif row := re.fullmatch(r"\| `([a-z_]+)` \| (.*?) \| (.*?) \| (.*) \|", line):
            rows.append((row[1], row[2], row[3], row[4]))
    return {section: rows for section, rows in tables.items() if rows}


def test_the_page_has_every_key_with_type_and_default() -> None:
    listed = {section: [row[:3] for row in rows] for section, rows in _tables().items()}
    expected = {
        section: [
            (key, entry.kind.value, "required" if entry.required else entry.default) for key, entry in keys.items()
        ]
        for section, keys in SCHEMA.items()
    }
    assert listed == expected


def test_the_page_names_every_allowed_word() -> None:
    meanings = {(section, key): meaning for section, rows in _tables().items() for key, _, _, meaning in rows}
    for section, keys in SCHEMA.items():
        for key, entry in keys.items():
            for word in entry.choices:
                assert f"`{word}`" in meanings[section, key], f"{section}.{key} lacks {word}"


def test_the_default_trees_are_those_of_the_page() -> None:
    written = ", ".join(f"[{','.join(map(str, tree))}] at {resolution}" for resolution, tree in DEFAULT_TREES.items())
    assert SCHEMA["time"]["tree"].default == written
