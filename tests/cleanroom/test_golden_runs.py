"""Whole runs from fixed seeds: every frame of the handshake, the join and the opening is the recorded one."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.cleanroom.whole_run import BUILD, NONCES, ROOTS, SEEDS, agreement_of

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests/vectors/private_join/v1"
TOOL: dict[str, Any] = runpy.run_path(str(ROOT / "tools/private_join_vectors.py"))
NAMES = sorted(TOOL["CASES"])


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_is_the_recorded_one(name: str) -> None:
    case = load(name)
    found = TOOL["replay"](case)
    assert found["session_id"] == case["session_id"]
    for index, (frame, recorded) in enumerate(zip(found["frames"], case["frames"], strict=True)):
        assert frame == recorded, f"frame {index}, {recorded['step']}, is not the recorded one"
    assert (found["passed"], found["values"]) == (case["passed"], case["values"])


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_figures_are_the_plain_join_and_the_recorded_noise(name: str) -> None:
    case = load(name)
    members = dict(zip(case["outcome"]["keys"], case["outcome"]["values"], strict=True))
    exposure = case["exposure"]
    totals = [[0] * 3 for _ in range(2)]
    for row, key in enumerate(exposure["keys"]):
        for entry in range(exposure["indptr"][row], exposure["indptr"][row + 1]):
            position, group = divmod(exposure["target"][entry], 2)
            for column, value in enumerate(members.get(key, [0] * 3)):
                if (column > 0) == (position == 1):
                    totals[group][column] += exposure["weight"][entry] * value
    for group, row in enumerate(totals):
        noised = [sum(cells) for cells in zip(row, *(noise[group] for noise in case["noises"]), strict=True)]
        passed = [noised[0] >= 20, noised[1] >= 20, noised[1] >= 20]
        assert case["passed"][group] == passed
        gates_are_open = case["noise"] != "none"
        opened = [passed[0] or gates_are_open, passed[1] or gates_are_open, passed[2]]
        assert case["values"][group] == [value if is_open else 0 for value, is_open in zip(noised, opened, strict=True)]


def test_the_recorded_inputs_are_those_of_the_tests() -> None:
    for name in NAMES:
        case = load(name)
        assert case["seeds"] == [seed.hex() for seed in SEEDS]
        assert case["nonces"] == [nonce.hex() for nonce in NONCES]
        assert case["input_roots"] == [root.hex() for root in ROOTS.values()]
        assert case["agreement_hash"] == agreement_of().hash.hex()
        assert case["build"] == BUILD
        steps = {frame["step"] for frame in case["frames"]}
        assert not steps & set(case["left_out"])
        assert len(steps) >= 20
