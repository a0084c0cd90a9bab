"""What this process and this machine do to secrets in memory: core dumps, readers of the process, swap."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path
from typing import Final

__all__ = ["core_dumps_off", "harden", "swap_in_clear"]

# <linux/prctl.h>
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4

_SWAPS: Final = Path("/proc/swaps")
_BLOCK_DEVICES: Final = Path("/sys/class/block")


def harden() -> None:
    """Switches core dumps off, for this process and its children, and on Linux its memory to other processes.

    A process that is not dumpable cannot be traced, and its memory not read, by other processes of the same user; a new
    program that it starts is dumpable again, and still writes no core file.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library without prctl: the limit above remains
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def core_dumps_off() -> bool:
    """Whether a crash of this process leaves no core: the limit alone does not stop a core that goes to a pipe."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        return False
    if sys.platform != "linux":
        return True
    try:
        return int(ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)) != 1
    except (OSError, AttributeError):
        return False


def swap_in_clear(*, swaps: Path = _SWAPS, devices: Path = _BLOCK_DEVICES) -> tuple[str, ...] | None:
    """The swap areas to which memory can be written unencrypted.

    Compressed memory (zram) and device-mapper devices under dm-crypt do not count.

    Args:
        swaps: the kernel's list.
        devices: the kernel's folder of block devices.

    Returns:
        Their paths; empty if there are none; None if the machine does not say.
    """
    try:
        lines = swaps.read_text().splitlines()[1:]
    except OSError:
        return None
    areas = [Path(line.split()[0]) for line in lines if line.strip()]
    return tuple(str(area) for area in areas if not _is_safe(area, devices))


def _is_safe(area: Path, devices: Path) -> bool:
    name = area.resolve().name
    if name.startswith("zram"):
        return True
    try:
        return (devices / name / "dm" / "uuid").read_text().startswith("CRYPT-")
    except OSError:
        return False
