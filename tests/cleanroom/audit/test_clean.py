"""What a run wrote verifies and replays; so it does elsewhere, and with other threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cleanroom.audit.conftest import KINDS
from tests.cleanroom.audit.runs import PARTIES, AuditedRun


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parties", [PARTIES, ("media",), ("shop",), ("shop", "media")])
def test_a_run_verifies(runs: dict[str, AuditedRun], kind: str, parties: tuple[str, ...]) -> None:
    report = runs[kind].verify(*parties)
    assert [str(fault) for fault in report.faults] == [] and report.exit_code == 0
    assert report.notes == []
    assert any("messages" in line for line in report.checked)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_replays_elsewhere(runs: dict[str, AuditedRun], kind: str, tmp_path: Path) -> None:
    moved = runs[kind].copy(tmp_path / "another place")
    report = moved.replay()
    assert [str(fault) for fault in report.faults] == [] and report.exit_code == 0
    assert any("replayed to the last byte" in line for line in report.checked)
