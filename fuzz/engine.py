"""One target under libFuzzer, in a process of its own: `python -m fuzz.engine TARGET [libFuzzer's arguments]`.

Atheris counts branches of the Python code; kernels that `fuzz.build` made count their own. Both feed the same engine,
which has to be there before the kernels load: `fuzz.__main__` preloads it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

import atheris

__all__ = ["KERNELS_VARIABLE", "main"]

KERNELS_VARIABLE: Final = "CLEANROOM_FUZZ_KERNELS"
"""Names the kernels that were compiled for the engine."""


class _Kernels(importlib.abc.MetaPathFinder):
    """Finds the kernels where the environment says, not beside the package."""

    def __init__(self, path: str) -> None:
        self._path = path

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != "cleanroom._kernels":
            return None
        return importlib.util.spec_from_file_location(fullname, self._path)


def main(arguments: list[str]) -> None:
    """Runs a target until its time is over or an input breaks its promise; never returns."""
    name, *options = arguments
    sys.meta_path.insert(0, _Kernels(os.environ[KERNELS_VARIABLE]))
    with atheris.instrument_imports(include=["cleanroom", "tomllib"]):
        from fuzz.targets import TARGETS
    target = TARGETS[name]
    next(iter(target.seeds()))  # whatever a target prepares once is not part of its first input
    # The engine starts itself again by this line where it merges corpora, so that no input can end the merge.
    atheris.Setup([f"{sys.executable} -m fuzz.engine {name}", *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
