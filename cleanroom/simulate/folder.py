"""A new folder that is whole or not there: made beside its place, and moved into it when everything is written."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from cleanroom.errors import CleanroomError, UsageError

__all__ = ["check_new", "new_folder"]


def check_new(out: Path) -> Path:
    """Checks that a folder may be made, or is empty.

    Returns:
        Its absolute path.

    Raises:
        UsageError: it is a file, holds something, or cannot be read.
    """
    try:
        out = out.expanduser().resolve()
        if out.exists():
            if not out.is_dir():
                raise UsageError(f"--out {out}: a folder expected, a file found")
            if any(out.iterdir()):
                raise UsageError(f"--out {out}: a new or empty folder expected, this one holds something")
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not a path that can be used"
        raise UsageError(f"--out {out}: cannot be read: {reason}") from None
    return out


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into; when the block ends well, its content is at `out`, otherwise nothing is left of it.

    Raises:
        UsageError: as `check_new`, or no folder can be made there.
        CleanroomError: the disk refused.
    """
    out = check_new(out)
    made = [parent for parent in (out, *out.parents) if not parent.exists()]  # nearest first
    existed = out.exists()
    # An empty folder that is there may be a mount point, or where the caller stands: it is kept, and filled.
    stage = (out if existed else out.parent) / f".{out.name}.partial-{secrets.token_hex(8)}"
    done = False
    try:
        try:
            stage.mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"--out {out}: no folder can be made there: {error.strerror}") from None
        yield stage
        if existed:
            for entry in sorted(stage.iterdir()):
                entry.replace(out / entry.name)
            stage.rmdir()
        else:
            stage.replace(out)
        done = True
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "the disk refused"  # Arrow's own text is longer
        raise CleanroomError(f"--out {out}: cannot be written: {reason}") from error
    finally:
        if not done:
            shutil.rmtree(stage, ignore_errors=True)
            if existed:
                _empty(out)
            for parent in made:
                with contextlib.suppress(OSError):  # not made yet, or another program's by now
                    parent.rmdir()


def _empty(folder: Path) -> None:
    """Takes back what was moved into a folder that was empty."""
    for entry in folder.iterdir():
        shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
