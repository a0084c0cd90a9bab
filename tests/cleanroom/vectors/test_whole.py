"""The whole runs' files hold what they say: the figures are the plain join of their rows, with their noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cleanroom.vectors import check_file

FOLDER = Path(__file__).parents[2] / "vectors" / "private_join" / "v1"
NAMES = ("ecdh_gaussian", "kkrt_none", "vole_none")
CLASSES = (0, 1, 1)


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def plain_join(case: dict[str, Any]) -> list[list[int]]:
    groups = case["terms"]["groups"]
    values = {row["key"]: row["values"] for row in case["outcome"]}
    totals = [[0] * len(CLASSES) for _ in range(groups)]
    for row in case["exposure"]:
        for target, weight in row["weights"]:
            position, group = divmod(target, groups)
            for column, value in enumerate(values.get(row["key"], [0] * len(CLASSES))):
                totals[group][column] += weight * value * (CLASSES[column] == position)
    return totals


@pytest.mark.parametrize("name", NAMES)
def test_the_build_runs_them_frame_by_frame(name: str) -> None:
    assert check_file(f"private_join/v1/{name}.json").vectors > 50


def test_with_noise_the_gates_of_eligible_groups_are_open() -> None:
    case = load("ecdh_gaussian")
    sides = list(case["sides"].values())
    chosen = [group for group in range(3) if all(side["eligible"][group] for side in sides)]
    assert chosen == [0, 2]
    truth = plain_join(case)
    noised = [
        [sum(cells) for cells in zip(truth[group], *(side["noise"][group] for side in sides), strict=True)]
        for group in chosen
    ]
    assert case["values"] == noised
    assert case["passed"] == [[value >= case["terms"]["min_people"] for value in row] for row in noised]
    assert {value for row in case["passed"] for value in row} == {True, False}


@pytest.mark.parametrize("name", ["kkrt_none", "vole_none"])
def test_without_noise_differences_from_released_counts_are_suppressed(name: str) -> None:
    case = load(name)
    least = case["terms"]["min_people"]
    expected = []
    for matched, buyers, visitors in plain_join(case):
        released = [buyers >= least, visitors >= least]
        above = [
            matched - (count if is_open else 0) for count, is_open in zip((buyers, visitors), released, strict=True)
        ]
        expected.append([all(rest >= least for rest in above), *released])
    assert case["passed"] == expected
    assert case["values"] == [
        [value if is_open else 0 for value, is_open in zip(row, passed, strict=True)]
        for row, passed in zip(plain_join(case), expected, strict=True)
    ]
    assert expected != [[cell >= least for cell in row] for row in plain_join(case)]
