"""The machine under a benchmark: its description, how busy others keep it, and a network to count bytes in."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

__all__ = [
    "busy_seconds",
    "children_cpu",
    "cores",
    "describe",
    "enter_private_network",
    "free_port",
    "loopback_bytes",
    "no_namespaces",
    "speed",
    "unshare",
]

_PRIVATE: Final = "CLEANROOM_BENCH_NETWORK"
_LOOPBACK_UP: Final = ("ip", "link", "set", "lo", "up")


def describe() -> dict[str, Any]:  # JSON
    """What a table of results says about where it was measured."""
    fields = _first_fields(Path("/proc/cpuinfo"))
    flags = set(fields.get("flags", "").split())
    wanted = ("avx2", "aes", "pclmulqdq", "vpclmulqdq", "avx512f", "avx512ifma")
    identity = [fields.get(name, "") for name in ("cpu family", "model", "stepping")]
    memory = _first_fields(Path("/proc/meminfo")).get("MemTotal", "")
    return {
        "cpu": fields.get("model name", platform.processor()),
        "family_model_stepping": "/".join(identity),
        "features": [flag for flag in wanted if flag in flags],
        "cores": len(cores()),
        "memory": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": list(os.getloadavg()),
    }


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def speed() -> float:
    """Millions of empty loop turns a CPU second now, the best of three: hosts drift, and ratios need equal footing."""
    best = 0.0
    for _ in range(3):
        start, turns = time.process_time(), 0
        while turns < 500_000:
            turns += 1
        best = max(best, 0.5 / (time.process_time() - start))
    return round(best, 1)


def busy_seconds() -> float:
    """CPU seconds that the whole machine has spent on anything since it started; 0 where the system has no /proc."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    fields = [int(word) for word in stat.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def children_cpu() -> float:
    """CPU seconds of the processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def loopback_bytes() -> int | None:
    """Bytes that went over loopback with all headers; None unless this network is the benchmark's own."""
    if os.environ.get(_PRIVATE) != "1":
        return None
    for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    return None


def unshare() -> list[str]:
    """What stands before a command that is to run in a network namespace of its own."""
    return ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


def no_namespaces() -> str | None:
    """Says why network namespaces cannot be made here; None where they can."""
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    tried = subprocess.run([*unshare(), *_LOOPBACK_UP], capture_output=True, check=False)
    return None if tried.returncode == 0 else "this user may not make network namespaces"


def enter_private_network(module: str, arguments: list[str]) -> None:
    """Starts this program again in a network namespace of its own, so that loopback counts its packets alone.

    Args:
        module: what `python -m` is to run.
        arguments: its arguments.

    Returns only where that is not possible (`no_namespaces`), or was done before.
    """
    if _PRIVATE in os.environ or no_namespaces() is not None:
        return
    os.environ[_PRIVATE] = "1"
    shell = f'{" ".join(_LOOPBACK_UP)} && exec "$@"'
    os.execvp("unshare", [*unshare(), "sh", "-c", shell, "sh", sys.executable, "-m", module, *arguments])


def _first_fields(path: Path) -> dict[str, str]:
    """NAME: VALUE lines up to the first empty one."""
    if not path.exists():
        return {}
    fields: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line:
            break
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    return fields
