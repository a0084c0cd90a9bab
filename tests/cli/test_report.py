from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cleanroom.report.samples import sample_files


def report(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "cleanroom", "report", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={"PYTHONPATH": str(root)}, capture_output=True, encoding="utf-8", check=False
    )


def finished(folder: Path) -> Path:
    folder.mkdir()
    for name, data in sample_files().items():
        (folder / name).write_bytes(data)
    return folder


def test_the_report_goes_to_the_current_folder(tmp_path: Path) -> None:
    done = report(str(finished(tmp_path / "run")), "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"version": 1, "report": "report.html", "sessions": ["22" * 32]}
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
    again = report("run", cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr == "cleanroom: --out report.html: the file exists, and is never overwritten\n"


def test_costs_come_from_the_binding_and_the_language_from_the_option(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    (tmp_path / "spend.csv").write_text("campaign,spend\nc0,1000\nc4,0\n", encoding="utf-8")
    binding = '[source]\npath = "none.csv"\n[columns]\nid = "id"\n[spend]\npath = "spend.csv"\n'
    (tmp_path / "binding.toml").write_text(binding, encoding="utf-8")
    done = report("run", "--data", "binding.toml", "--lang", "en", "--out", "p.html", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    costs = json.loads(done.stdout)["costs"]["22" * 32]
    released = json.loads((tmp_path / "run" / "release.json").read_text(encoding="utf-8"))
    value = next(row["value"] for row in released["rows"] if (row["group"], row["metric"]) == ("c0", "sales_15d"))
    roi = [(one["group"], one["metric"], one["value"]) for one in costs["roi"]]
    assert roi == [("c0", "sales_15d", value / 1000)]  # nothing was spent on c4: no quotient
    assert '<html lang="en">' in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_a_folder_without_a_run_is_exit_4_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    done = report("run", "--out", "page.html", cwd=tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith("cleanroom: run: release.json is missing")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    assert report(cwd=tmp_path).returncode == 2
