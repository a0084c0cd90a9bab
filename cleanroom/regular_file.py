"""Reading small files whose path somebody else may have chosen: regular files only, and never more than a bound."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["WITHOUT_WAITING", "read_regular"]

WITHOUT_WAITING: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""How to open what may be a named pipe or a device."""


def read_regular(path: Path, *, at_most: int) -> bytes:
    """Reads a file, or its first bytes where it is longer than it may be.

    A named pipe would block for ever and opening a device may act on it, so both are refused without waiting.

    Args:
        path: the file; a symbolic link is followed.
        at_most: bytes; one more is returned of a file that is longer, so that a caller can tell.

    Raises:
        OSError: it cannot be read or is no regular file.
    """
    descriptor = os.open(path, WITHOUT_WAITING)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        return file.read(at_most + 1)
