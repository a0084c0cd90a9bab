"""Builds the kernels with counters on every edge and comparison, and with every arithmetic check on.

The counters are LLVM's; no other compiler than the project's own is needed. What the build leaves lies beside the
ordinary one, under `kernels/target`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["instrumented_kernels"]

_KERNELS: Final = Path(__file__).resolve().parents[1] / "kernels"
_FLAGS: Final = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
)


def instrumented_kernels() -> Path:
    """Compiles them where they are older than their sources.

    Returns:
        The extension module.

    Raises:
        subprocess.CalledProcessError: the compiler failed; it has said why.
    """
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = next(line.removeprefix("host: ") for line in version.splitlines() if line.startswith("host: "))
    target = _KERNELS / "target" / "fuzz"
    # With a target named, the flags are for the kernels alone and not for what runs while they are compiled.
    environment = {**os.environ, "RUSTFLAGS": " ".join(_FLAGS), "CARGO_PROFILE_RELEASE_LTO": "off"}
    command = ["cargo", "build", "--release", "--quiet", "--target", host, "--target-dir", str(target)]
    subprocess.run(command, cwd=_KERNELS, env=environment, check=True)
    module = target / "_kernels.abi3.so"
    fresh = module.with_suffix(f".{os.getpid()}")
    shutil.copyfile(target / host / "release" / "lib_kernels.so", fresh)
    fresh.replace(module)  # never written in place: another fuzzer may have it mapped
    return module
