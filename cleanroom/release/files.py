"""The folder of a finished run: all of its files at once, or none and one readable reason.

A finished run's files are written to a hidden sibling of the folder, flushed to the disk and put in place by one
rename, so that a killed process or a full disk leaves no half of a run. A folder that holds nothing, or nothing but
`failure.json`, may be used (again); any other is left alone.

What a killed process leaves is named `.NAME.partial-HEX`, and nobody holds its lock any more: the next run that writes
beside it removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cleanroom.errors import CleanroomError, UsageError, exit_code_of, reason_of

__all__ = ["FAILURE_FILE", "PRIVATE_FILES", "check_out", "clear_leftovers", "write_failure", "write_finished"]

FAILURE_FILE: Final = "failure.json"
PRIVATE_FILES: Final = frozenset({"audit.private", "local.json"})
"""Files that only their owner may read: mode 0600 from the moment they exist."""

_PARTIAL: Final = re.compile(r"\..+\.partial-[0-9a-f]{16}")
_MOVING: Final = ".moving"
"""In a stage whose files are being moved one by one: their names, for whoever finds the move unfinished."""


def clear_leftovers(out: Path) -> None:
    """Removes what killed runs left in a folder and beside it; what a living process still writes is left alone.

    Args:
        out: the folder of the run that begins, before `check_out`.

    Raises:
        UsageError: it is no path, or something that a killed run left there cannot be removed.
    """
    out = _resolved(out)
    try:
        for folder in (out, out.parent):
            if folder.is_dir():
                for path in [path for path in folder.iterdir() if _PARTIAL.fullmatch(path.name)]:
                    _clear(path)
    except OSError as error:
        raise UsageError(f"--out {out}: what a killed run left there cannot be removed ({error.strerror})") from error


def check_out(out: Path) -> None:
    """Checks, before any work, that a run may put its files there.

    Raises:
        UsageError: the folder holds something, is no folder, or cannot be made or written.
    """
    out = _resolved(out)
    if out.exists():
        if not out.is_dir():
            raise UsageError(f"--out {out}: a folder expected, a file found")
        if not os.access(out, os.W_OK | os.X_OK):
            raise UsageError(f"--out {out}: the folder cannot be written")
        if {entry.name for entry in out.iterdir()} - {FAILURE_FILE}:
            raise UsageError(f"--out {out}: the folder is not empty, and a finished run is never overwritten")
    parent = out.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not (os.access(parent, os.W_OK | os.X_OK) or _in_place(out)):
        raise UsageError(f"--out {out}: no folder can be made in {parent}")


def write_finished(out: Path, files: Mapping[str, bytes]) -> None:
    """Puts a finished run's files in place together.

    Args:
        out: the folder, as `check_out` accepts it.
        files: bytes by name; those in `PRIVATE_FILES` get mode 0600.

    Raises:
        UsageError: the folder is in use, or a name is not a plain file name.
        CleanroomError: the disk refused; nothing is left behind.
    """
    clear_leftovers(out)
    check_out(out)
    out = _resolved(out)
    for name in files:
        if name != Path(name).name or name in ("", ".", "..", FAILURE_FILE):
            raise UsageError(f"{name!r} is not a plain file name")
    with _disk_faults(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        inside = out.exists() and _in_place(out)
        with _stage(out if inside else out.parent, out.name) as stage:
            for name, data in files.items():
                _write(stage / name, data, 0o600 if name in PRIVATE_FILES else 0o644)
            _sync(stage)
            (out / FAILURE_FILE).unlink(missing_ok=True)
            if inside:
                _move_into(stage, out, list(files))
            else:
                stage.replace(out)
            _sync(out.parent)


def write_failure(out: Path, error: BaseException) -> None:
    """Leaves `failure.json` with one readable reason, where the folder and the disk allow one.

    The reason also goes to the command's stderr, so a disk that refuses loses nothing.

    Args:
        out: the folder; left alone if it holds anything but an older `failure.json`.
        error: why the run failed.
    """
    record = {"version": 1, "exit_code": exit_code_of(error), "reason": reason_of(error)}
    body = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    with contextlib.suppress(OSError, UsageError):
        check_out(out)
        out = _resolved(out)
        out.mkdir(parents=True, exist_ok=True)
        partial = out / f".{FAILURE_FILE}.partial-{secrets.token_hex(8)}"
        try:
            _write(partial, body, 0o644)  # so small that it is written before anybody could take it for a leftover
            partial.replace(out / FAILURE_FILE)
        finally:
            partial.unlink(missing_ok=True)


def _resolved(out: Path) -> Path:
    try:
        return out.expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"--out {out}: not a path that can be used") from error


def _in_place(out: Path) -> bool:
    """Whether the folder itself cannot be replaced by a rename: a mount point, or where this process stands."""
    return out.is_dir() and (out.is_mount() or out == Path.cwd() or not os.access(out.parent, os.W_OK | os.X_OK))


@contextlib.contextmanager
def _stage(folder: Path, name: str) -> Iterator[Path]:
    """A hidden folder, locked for as long as this process lives so that nobody takes it for a leftover."""
    stage, locked = folder, False
    while not locked:  # whoever cleared it before it was locked has removed it
        stage = folder / f".{name}.partial-{secrets.token_hex(8)}"
        stage.mkdir()
        try:
            descriptor = os.open(stage, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks: nobody clears anything there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        locked = stage.exists()
        if not locked:
            os.close(descriptor)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)  # under the lock still: nobody else removes it at the same time
        os.close(descriptor)


def _clear(path: Path) -> None:
    """Removes a file or stage that nobody writes any more, and the files of a move that did not come to its end."""
    try:
        if path.lstat().st_uid != os.geteuid():
            return  # in a shared folder, those of others are theirs
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return  # somebody else was quicker
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # its process lives
        if not path.is_dir():
            path.unlink(missing_ok=True)
            return
        names = _names_to_move(path)
        if any((path / name).exists() for name in names):
            for name in names:
                (path.parent / name).unlink(missing_ok=True)
        shutil.rmtree(path)
    finally:
        os.close(descriptor)


def _names_to_move(stage: Path) -> list[str]:
    """The files of a move that began; none if it did not."""
    try:
        return [name for name in json.loads((stage / _MOVING).read_text()) if name == Path(name).name]
    except (FileNotFoundError, ValueError):
        return []


def _move_into(stage: Path, out: Path, names: list[str]) -> None:
    _write(stage / _MOVING, json.dumps(names).encode(), 0o644)
    _sync(stage)
    moved: list[str] = []
    try:
        for name in names:
            (stage / name).replace(out / name)
            moved.append(name)
    except OSError:
        for name in moved:
            (out / name).unlink(missing_ok=True)
        raise
    _sync(out)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_faults(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or "disk error"
        raise CleanroomError(f"--out {out}: the files could not be written ({reason})") from error
