"""`python -m fuzz`: every target, or those that are named, for so many seconds each.

An input that breaks a promise is left in `fuzz/found`, and the exit code is 1. `--keep` adds what was found to reach
new code to the kept corpus, as small as it gets.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz.build import instrumented_kernels
from fuzz.target import CORPUS, Target
from fuzz.targets import TARGETS

_ROOT: Final = Path(__file__).resolve().parents[1]
_FOUND: Final = CORPUS.parent / "found"
_MEMORY_MB: Final = 2048
_INPUT_SECONDS: Final = 10
"""One input may take so long; the slowest honest one takes a tenth of a second."""
_PRELOADED: Final = "ubsan_with_fuzzer.so"
"""What Atheris ships for extension modules that were compiled with counters."""


def _engine(target: Target, kernels: Path, options: list[str]) -> int:
    found = importlib.util.find_spec("atheris")
    if found is None or found.origin is None:
        raise SystemExit("fuzz: Atheris is not installed here: pip install '.[fuzz]'")
    environment = {
        **os.environ,
        "CLEANROOM_FUZZ_KERNELS": str(kernels),
        "LD_PRELOAD": str(Path(found.origin).parents[1] / _PRELOADED),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
        "RAYON_NUM_THREADS": "1",
    }
    limits = [
        f"-max_len={target.max_bytes}",
        f"-rss_limit_mb={_MEMORY_MB}",
        f"-timeout={_INPUT_SECONDS}",
        "-len_control=0",
        f"-artifact_prefix={_FOUND}/{target.name}-",
    ]
    command = [sys.executable, "-m", "fuzz.engine", target.name, *limits, *options]
    return subprocess.run(command, env=environment, check=False).returncode


def _fuzz(target: Target, kernels: Path, seconds: int, keep: bool) -> bool:
    """Fuzzes one target; True if every input kept its promise."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        work, seeds, least = (Path(folder) / name for name in ("work", "seeds", "least"))
        for made in (work, seeds, least):
            made.mkdir()
        for number, seed in enumerate(target.seeds()):
            (seeds / f"{number:04d}").write_bytes(seed[: target.max_bytes])
        target.corpus.mkdir(parents=True, exist_ok=True)
        corpora = [str(target.corpus), str(seeds)]
        code = _engine(target, kernels, [f"-max_total_time={seconds}", "-print_final_stats=1", str(work), *corpora])
        if keep and code == 0:
            code = _engine(target, kernels, ["-merge=1", str(least), str(work), *corpora])
            if code == 0:
                for old in target.kept():
                    old.unlink()
                for path in least.iterdir():
                    (target.corpus / path.name[:16]).write_bytes(path.read_bytes())
    return code == 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"by default all: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--keep", action="store_true", help="put what reaches new code into the corpus")
    arguments = parser.parse_args()
    for name in arguments.targets:
        if name not in TARGETS:
            parser.error(f"no target {name!r}; there are {', '.join(TARGETS)}")
    kernels = instrumented_kernels()
    _FOUND.mkdir(exist_ok=True)
    failed = []
    for name in arguments.targets or TARGETS:
        print(f"fuzz: {name}: {TARGETS[name].promise}", flush=True)
        if not _fuzz(TARGETS[name], kernels, arguments.seconds, arguments.keep):
            failed.append(name)
    broken = f"broken: {', '.join(failed)}; the inputs are in {_FOUND}"
    print(f"fuzz: {broken if failed else 'every promise was kept'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
