"""Refusals: each is one fault in a valid frame, each is refused as it says, and a refusal that is none is noticed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from cleanroom.vectors import check_file, refusal_paths
from cleanroom.vectors.pairs import run_scene
from cleanroom.vectors.refusals import SCENES, refused
from tools.recipes.fault import Edit, applied
from tools.recipes.faults import VALID

FOLDER = Path(__file__).parents[2] / "vectors"
PATHS = list(refusal_paths())
STEPS = sorted({path.split("/")[3] for path in PATHS})
GENERIC = {"empty", "truncated", "trailing_byte", "wrong_version", "wrong_protocol", "wrong_type", "wrong_sequence"}


def load(path: str) -> Any:
    return json.loads((FOLDER / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("step", STEPS)
def test_every_fault_of_a_message_is_refused_as_its_file_says(step: str) -> None:
    own = [path for path in PATHS if path.split("/")[3] == step]
    assert {Path(path).stem for path in own} >= GENERIC
    for path in own:
        assert check_file(path).refusal, path


def test_every_message_of_the_valid_files_has_refusals() -> None:
    steps = {frame["step"] for valid in SCENES for frame in load(valid)["frames"]}
    assert steps == set(STEPS)
    assert set(SCENES) == set(VALID)


def test_each_differs_from_the_valid_frame_by_the_one_named_mutation() -> None:
    """The mutation is applied here to the frame of the valid file; nothing but the place that it names differs."""
    seen: set[str] = set()
    for valid, (_, steps) in VALID.items():
        frames = run_scene(SCENES[valid](load(valid))).frames
        for step in steps:
            frame = next(data for _, name, data in frames if name == step)
            for path in [path for path in PATHS if path.split("/")[3] == step and load(path)["valid"] == valid]:
                content = load(path)
                edits = [Edit(e["at"], e["remove"], bytes.fromhex(e["insert"])) for e in content["edits"]]
                faulty = applied(edits, frame)
                assert faulty != frame
                assert len(edits) == (2 if content["fault"].startswith("one_item") else 1)
                if len(edits) == 1 and len(faulty) == len(frame):
                    changed = [at for at, (a, b) in enumerate(zip(faulty, frame, strict=True)) if a != b]
                    start, length = edits[0].at, len(edits[0].insert)
                    assert all(start <= at < start + length for at in changed)
                seen.add(path)
    assert seen == set(PATHS)


@pytest.mark.parametrize(
    ("place", "value", "vector"),
    [
        (("expect", "phrase"), "another reason", "the error"),
        (("expect", "exit_code"), 3, "the error"),
        (("expect", "error"), "AgreementError", "the error"),
        (("edits",), [], "the faulty frame"),
        (("frame", "number"), 1, "the valid frame"),
    ],
)
def test_another_refusal_is_noticed(place: tuple[str, ...], value: Any, vector: str) -> None:
    content = copy.deepcopy(load("release/v1/refused/release.gates/other_salt.json"))
    valid = (FOLDER / content["valid"]).read_text(encoding="utf-8")
    assert all(holds for _, holds in refused(content, valid))
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert dict(refused(content, valid))[vector] is False


def test_a_valid_frame_is_not_refused() -> None:
    content = copy.deepcopy(load("session/v1/refused/session.seal/signature_another_key.json"))
    content["edits"], content["faulty_sha256"] = [], content["frame"]["sha256"]
    valid = (FOLDER / content["valid"]).read_text(encoding="utf-8")
    assert dict(refused(content, valid)) == {"the valid frame": True, "the faulty frame": True, "the error": False}
