"""How this process's allocator treats large blocks: what is freed is kept for the next, instead of given back.

A preparation and a join make and free blocks of some megabytes all the time. Memory that the system is asked for comes
page by page, zeroed, which costs more than most of the work on it; what the process has already costs nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Final

__all__ = ["keep_freed_memory"]

# <malloc.h> of the GNU C library
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_BLOCK_BYTES: Final = 32 << 20
"""Blocks up to this size come from the heap, the most that the library allows; larger ones from the system, as ever."""
_HEAP_BYTES: Final = 256 << 20
"""What is free at the heap's end before any of it is given back."""


def keep_freed_memory() -> None:
    """Tells the GNU C library to keep freed memory; elsewhere, or where it refuses, nothing changes.

    It is for a process that does nothing else: the command's, not one that calls this library beside other work.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # a C library without mallopt
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _HEAP_BYTES)
