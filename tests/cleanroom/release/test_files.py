"""The folder of a run: all of its files or one reason, and never over anything else."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cleanroom.errors import CleanroomError, DataError, UsageError
from cleanroom.release import files as files_module
from cleanroom.release.files import check_out, clear_leftovers, write_failure, write_finished

FILES = {"release.csv": b"group\n", "release.json": b"{}\n", "audit.private": b"secret"}


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("state", ["absent", "deep", "empty", "failed"])
def test_a_finished_run_leaves_its_files_and_nothing_else(tmp_path: Path, state: str) -> None:
    out = tmp_path / "a" / "b" / "run" if state == "deep" else tmp_path / "run"
    if state in ("empty", "failed"):
        out.mkdir()
    if state == "failed":
        write_failure(out, DataError("touches.csv, row 3, column time: a time expected"))
    check_out(out)
    write_finished(out, FILES)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == FILES
    assert [path.name for path in out.parent.iterdir()] == ["run"]
    assert stat.S_IMODE((out / "audit.private").stat().st_mode) == 0o600


@pytest.mark.parametrize("left", ["release.csv", ".hidden", "notes.txt"])
def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path, left: str) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / left).write_bytes(b"mine")
    for attempt in (lambda: check_out(out), lambda: write_finished(out, FILES)):
        with pytest.raises(UsageError, match="not empty"):
            attempt()
    write_failure(out, DataError("x"))
    assert everything(tmp_path) == ["run", f"run/{left}"]
    assert (out / left).read_bytes() == b"mine"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"mine")
    with pytest.raises(UsageError, match="a folder expected"):
        check_out(tmp_path / "run")
    with pytest.raises(UsageError, match="no folder can be made"):
        check_out(tmp_path / "run" / "below")
    write_failure(tmp_path / "run", DataError("x"))
    assert (tmp_path / "run").read_bytes() == b"mine"


def test_a_full_disk_leaves_nothing_but_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    written = files_module._write

    def full(path: Path, data: bytes, mode: int) -> None:
        if path.name == "release.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, data, mode)

    monkeypatch.setattr(files_module, "_write", full)
    with pytest.raises(CleanroomError, match="No space left on device") as caught:
        write_finished(out, FILES)
    assert everything(tmp_path) == []
    write_failure(out, caught.value)
    assert everything(tmp_path) == ["run", "run/failure.json"]


def test_a_disk_that_takes_no_reason_is_no_second_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes, mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files_module, "_write", full)
    write_failure(tmp_path, DataError("x"))
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError("two\nlines"), {"version": 1, "exit_code": 4, "reason": "two lines"}),
        (UsageError("x"), {"version": 1, "exit_code": 2, "reason": "x"}),
        # the text of a foreign exception may hold data: only its kind is written
        (
            KeyError("13800138000"),
            {
                "version": 1,
                "exit_code": 1,
                "reason": "internal error: KeyError in an unknown place; please report this line as a bug",
            },
        ),
        (KeyboardInterrupt(), {"version": 1, "exit_code": 1, "reason": "interrupted"}),
        (
            OSError(errno.ENOSPC, "13800138000"),
            {
                "version": 1,
                "exit_code": 1,
                "reason": "this machine refused: No space left on device (in an unknown place)",
            },
        ),
    ],
)
def test_a_failure_is_one_readable_line(tmp_path: Path, error: BaseException, expected: dict[str, object]) -> None:
    out = tmp_path / "run"
    write_failure(out, DataError("an older one"))
    write_failure(out, error)
    assert json.loads((out / "failure.json").read_text()) == expected
    assert everything(tmp_path) == ["run", "run/failure.json"]


def test_the_folder_one_stands_in_is_filled_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    out.mkdir()
    monkeypatch.chdir(out)
    write_failure(Path(), DataError("x"))
    write_finished(Path(), FILES)
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == FILES
    assert everything(tmp_path) == ["run", *(f"run/{name}" for name in sorted(FILES))]


def test_a_move_that_breaks_off_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replaced = Path.replace

    def broken(self: Path, target: Path) -> Path:
        if self.name == "release.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(CleanroomError, match="could not be written"):
        write_finished(Path(), FILES)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "failure.json"])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="plain file name"):
        write_finished(tmp_path / "run", {name: b""})
    assert everything(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_found_early(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(UsageError, match="no folder can be made"):
        check_out(locked / "run")
    with pytest.raises(UsageError, match="cannot be written"):
        check_out(locked)


KILLED = """
import os, signal, sys
from pathlib import Path
from cleanroom.release import files
FILES = {"release.csv": b"group", "release.json": b"{}", "audit.private": b"secret"}
out, point = Path(sys.argv[1]), sys.argv[2]
replace, write = Path.replace, files._write
def die(): os.kill(os.getpid(), signal.SIGKILL)
def replacing(self, target):
    if self.name == point: die()
    replace(self, target)
    if point == "after " + self.name: die()
def writing(path, data, mode):
    write(path, data, mode)
    if point == "written " + path.name: die()
Path.replace, files._write = replacing, writing
if len(sys.argv) > 3: os.chdir(out)
files.write_finished(out, FILES)
"""


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    "point",
    ["written release.csv", "written audit.private", "release.csv", "release.json", "audit.private"],
)
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path, inside: bool, point: str) -> None:
    """In a hidden sibling, or, where the folder itself must be filled, in it: half of its files are there already."""
    out = tmp_path / "run"
    out.mkdir()
    write_failure(out, DataError("an older one"))
    program = [sys.executable, "-c", KILLED, str(out), point, *(["inside"] if inside else [])]
    ended = subprocess.run(program, cwd=Path(__file__).parents[3], check=False, capture_output=True, timeout=60)
    if not inside and not point.startswith("written"):
        assert ended.returncode == 0, ended.stderr  # it is moved as a whole
        return
    assert ended.returncode == -9, ended.stderr
    left = everything(tmp_path)
    assert any(".partial-" in name for name in left)
    clear_leftovers(tmp_path / "run")
    assert everything(tmp_path) in (["run"], ["run", "run/failure.json"])
    write_finished(out, FILES)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == FILES


def test_a_move_that_was_complete_when_its_process_was_killed_stays(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    program = [sys.executable, "-c", KILLED, str(out), "after audit.private", "inside"]
    ended = subprocess.run(program, cwd=Path(__file__).parents[3], check=False, capture_output=True, timeout=60)
    assert ended.returncode == -9, ended.stderr
    clear_leftovers(out)
    assert everything(tmp_path) == ["run", *(f"run/{name}" for name in sorted(FILES))]


def test_what_a_living_run_writes_and_what_is_no_run_s_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / ".mine.partial-notes"
    own.write_bytes(b"mine")
    with files_module._stage(tmp_path, "other") as stage:
        (stage / "release.csv").write_bytes(b"group\n")
        clear_leftovers(tmp_path / "run")
        write_finished(tmp_path / "run", FILES)
        assert (stage / "release.csv").exists()
    assert everything(tmp_path) == [".mine.partial-notes", "run", *(f"run/{name}" for name in sorted(FILES))]


def test_a_stage_is_removed_under_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins beside one that fails finds a stage that lives, or none: never one that goes meanwhile."""
    removed = files_module.shutil.rmtree
    cleared: list[Path] = []

    def remove(path: Path, ignore_errors: bool = False) -> None:
        clear_leftovers(tmp_path / "other")
        assert path.exists(), "somebody else could remove it"
        cleared.append(path)
        removed(path, ignore_errors=ignore_errors)

    with pytest.raises(KeyboardInterrupt), files_module._stage(tmp_path, "run") as stage:
        (stage / "release.csv").write_bytes(b"group\n")
        monkeypatch.setattr(files_module.shutil, "rmtree", remove)
        raise KeyboardInterrupt
    assert cleared == [stage]
    assert everything(tmp_path) == []


def test_a_reason_that_was_being_written_does_not_fill_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / f".failure.json.partial-{'0' * 16}").write_bytes(b"{")
    clear_leftovers(out)
    check_out(out)
    assert everything(tmp_path) == ["run"]


def test_runs_that_end_together_beside_each_other_do_not_clear_each_other_s_files(tmp_path: Path) -> None:
    def finish(side: int) -> None:
        for run in range(40):
            write_finished(tmp_path / f"{side}-{run}", FILES)

    with ThreadPoolExecutor(max_workers=4) as threads:
        list(threads.map(finish, range(4)))
    assert len(list(tmp_path.iterdir())) == 160
    assert all({entry.name for entry in out.iterdir()} == set(FILES) for out in tmp_path.iterdir())
