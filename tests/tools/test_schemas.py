"""Every vector file is of the form that its JSON Schema says, and the schemas refuse what is not."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[1] / "vectors"
SCHEMAS = FOLDER / "schemas"
FILES = sorted(path for path in FOLDER.rglob("*.json") if SCHEMAS not in path.parents)


def relative(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


@cache
def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def validator(path: Path) -> Draft202012Validator:
    shared = Resource.from_contents(load(SCHEMAS / "definitions.json"))
    registry: Registry[Any] = Registry().with_resource("definitions.json", shared)
    Draft202012Validator.check_schema(load(path))
    return Draft202012Validator(load(path), registry=registry)


def faults(path: Path, content: Any) -> list[str]:
    return [error.message for error in validator((path.parent / content["$schema"]).resolve()).iter_errors(content)]


def test_every_file_is_of_its_schema() -> None:
    assert len(FILES) > 200
    for path in FILES:
        assert faults(path, load(path)) == [], relative(path)


def test_every_schema_is_used() -> None:
    used = {(path.parent / load(path)["$schema"]).resolve().name for path in FILES}
    assert used | {"definitions.json"} == {path.name for path in SCHEMAS.iterdir()}


def positive() -> list[Path]:
    return [path for path in FILES if "refused" not in path.parts]


@pytest.mark.parametrize("path", positive(), ids=relative)
def test_a_field_too_many_or_too_few_is_a_fault(path: Path) -> None:
    content = load(path)
    assert faults(path, {**content, "more": 1})
    for name in content:
        if name != "$schema":
            assert faults(path, {key: value for key, value in content.items() if key != name}), name


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("expect", "error"), "ValueError"),
        (("expect", "exit_code"), 1),
        (("frame", "from"), "media"),
        (("frame", "sha256"), "00"),
        (("edits",), []),
        (("valid",), "../elsewhere.json"),
    ],
)
def test_a_refusal_of_another_form_is_a_fault(place: tuple[str, ...], value: Any) -> None:
    path = next(path for path in FILES if "refused" in path.parts)
    content = copy.deepcopy(load(path))
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert faults(path, content)
