"""How many threads the kernels work on: one pool a process, of all cores unless it is told otherwise.

Results do not depend on it: every kernel gives the same bytes on any number of threads.
"""

from __future__ import annotations

from typing import Final

from cleanroom import _kernels
from cleanroom.errors import UsageError

__all__ = ["MAX_THREADS", "use_threads"]

MAX_THREADS: Final = _kernels.MAX_THREADS


def use_threads(count: int) -> None:
    """Sets how many threads the kernels of this process work on; call it before anything else of this library.

    Without it there are as many as `RAYON_NUM_THREADS` says, or as the process may use cores.

    Args:
        count: 1 to `MAX_THREADS`.

    Raises:
        UsageError: the number is out of range, or the kernels already run on another number of threads.
    """
    if not 1 <= count <= MAX_THREADS:
        raise UsageError(f"threads: 1 to {MAX_THREADS} expected")
    try:
        _kernels.set_threads(count)
    except ValueError as error:
        raise UsageError(f"threads: {error}") from None
