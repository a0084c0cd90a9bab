"""Runs as the report reads them: every fault of a folder is one explained line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.errors import DataError
from cleanroom.report import RunFiles
from tests.cleanroom.report.samples import METRICS, sample_files

FILES = sample_files()


def changed(change: Callable[[Any], None], name: str = "release.json") -> dict[str, bytes]:
    document = json.loads(FILES[name])
    change(document)
    return {**FILES, name: json.dumps(document).encode()}


def test_a_run_is_read_back() -> None:
    run = RunFiles.of(FILES)
    assert [metric.name for metric in run.declared] == [metric.name for metric in METRICS]
    assert run.parties == ("media", "shop")
    assert run.groups == ("c0", "c1", "c2", "c3", "c4")
    assert [run.window(metric) for metric in run.declared] == [None, "7 d", "15 d", "30 d", "15 d", "15 d"]
    assert run.own is not None and run.own.counts["source"]["rows"] == 6589


def test_a_release_alone_is_enough() -> None:
    assert RunFiles.of({"release.json": FILES["release.json"]}).own is None


def test_windows_of_hours_are_days_where_they_are_whole() -> None:
    run = RunFiles.of(changed(lambda document: document["parameters"].update(resolution="1h")))
    assert run.window(run.declared[1]) == "7 h"
    hours = changed(lambda d: (d["parameters"].update(resolution="1h"), d["metrics"][1].update(window_ticks=48)))
    run = RunFiles.of(hours)
    assert run.window(run.declared[1]) == "2 d"


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(version=2),
        lambda document: document.pop("rows"),
        lambda document: document["rows"].pop(),
        lambda document: document["rows"].append(document["rows"][0]),
        lambda document: document["rows"][0].update(units="1076"),
        lambda document: document["rows"][0].update(value=True),
        lambda document: document["rows"][0].update(status="perhaps"),
        lambda document: document["parameters"].update(precision="a cent"),
        lambda document: document["parameters"].update(epsilon=10**400),
        lambda document: document["agreement"].update(hash="<b>"),
        lambda document: document["signatures"].pop(),
        lambda document: document.update(rows={}),
    ],
)
def test_another_form_is_refused(change: Callable[[Any], None]) -> None:
    with pytest.raises(DataError, match=r"^release\.json: not of the documented form"):
        RunFiles.of(changed(change))


def test_another_form_of_the_own_account_is_refused() -> None:
    with pytest.raises(DataError, match=r"^local\.json: not of the documented form"):
        RunFiles.of(changed(lambda document: document["counts"].update(source=[1]), "local.json"))


@settings(derandomize=True, max_examples=60)
@given(st.binary(max_size=60) | st.text(max_size=20).map(lambda text: json.dumps({"version": 1, "a": text}).encode()))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        RunFiles.of({"release.json": data})


def test_a_folder_without_a_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"release\.json is missing: only a recipient"):
        RunFiles.read(tmp_path)
    with pytest.raises(DataError, match="expected the folder of a finished run"):
        RunFiles.read(tmp_path / "none")


def test_a_folder_is_read(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    assert RunFiles.read(tmp_path) == RunFiles.of(FILES)
