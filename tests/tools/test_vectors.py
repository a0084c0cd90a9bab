"""`tools/vectors.py`: it knows every file, and it names a file that is not what it should be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cleanroom.vectors import CHECKS
from tools import vectors

SMALL = ("merkle/v1/blinded.json", "row_keys/v1/keys.json", "streams/v1/labels.json")


def test_every_file_of_the_product_is_made_or_computed_here() -> None:
    assert set(vectors.OWN) | set(vectors.PUBLISHED) == set(CHECKS)
    assert not set(vectors.OWN) & set(vectors.PUBLISHED)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, and the small recipes alone."""
    folder = tmp_path / "vectors"
    shutil.copytree(vectors.FOLDER, folder)
    monkeypatch.setattr(vectors, "FOLDER", folder)
    monkeypatch.setattr(vectors, "OWN", {path: vectors.OWN[path] for path in SMALL})
    monkeypatch.setattr(vectors.faults, "refusals", dict)
    for refused in folder.glob("*/*/refused"):
        shutil.rmtree(refused)
    return folder


def test_a_file_that_was_changed_is_named_and_written_anew(copy: Path) -> None:
    assert list(vectors.differences()) == []
    for path in SMALL[:2]:
        text = (copy / path).read_text(encoding="utf-8")
        (copy / path).write_text(text.replace("a", "b", 1), encoding="utf-8")
    (copy / SMALL[2]).unlink()
    assert list(vectors.differences()) == [
        f"{SMALL[0]}: is not what its recipe makes",
        f"{SMALL[1]}: is not what its recipe makes",
        f"{SMALL[2]}: is missing",
    ]
    vectors.write()
    assert list(vectors.differences()) == []
    for path in SMALL:
        assert (copy / path).read_bytes() == (Path(__file__).parents[1] / "vectors" / path).read_bytes()


@pytest.mark.parametrize("path", vectors.PUBLISHED)
def test_another_published_answer_is_noticed(path: str, copy: Path) -> None:
    content = json.loads((copy / path).read_text(encoding="utf-8"))
    entries = next(value for value in content.values() if isinstance(value, list))
    if isinstance(entries[1], dict):
        name = [key for key, value in entries[1].items() if isinstance(value, str)][-1]
        entries[1][name] = entries[1][name][:-1] + ("1" if entries[1][name][-1] != "1" else "2")
    else:
        entries[1] = "ff" + entries[1][2:]
    (copy / path).write_text(json.dumps(content), encoding="utf-8")
    found = list(vectors.differences())
    assert found
    assert all(fault.startswith(f"{path}: ") and "another answer" in fault for fault in found)
