"""The number of threads: set once a process, from the library and the command line, and no result depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SETTING = """
import cleanroom
from cleanroom import _kernels

def refused(count):
    try:
        cleanroom.use_threads(count)
    except cleanroom.UsageError as error:
        return str(error)

print(refused(0), refused(-1), refused(5000), sep="; ")
print(refused(3), refused(3), _kernels.threads(), refused(2), sep="; ")
"""

COMMAND = """
import sys
import cleanroom
from cleanroom import _kernels
from cleanroom.cli.run import command

words = "--agreement a --party p --identity i --data d --out o --listen 127.0.0.1:0 --threads 3 --checklist"
try:
    command(words.split(), standalone_mode=False)
except cleanroom.AgreementError:
    print(_kernels.threads())
"""

RUN = "run --agreement a --party p --identity i --data d --out o --listen 127.0.0.1:0"

RESULTS = """
import hashlib
import numpy as np
from cleanroom import _kernels
from cleanroom.threads import use_threads

use_threads({count})
draw = np.random.default_rng(1)
keys = draw.integers(0, 256, (5000, 26), dtype=np.uint8)
values = draw.integers(0, 1 << 63, (5000, 5), dtype=np.uint64)
table = _kernels.okvs_encode(keys, values, bytes(16), bytes(32), 5500, 256)
leaves = draw.integers(0, 256, 32 * 16 * 16, dtype=np.uint8)
choices = draw.integers(0, 16, 5000, dtype=np.uint8)
message, rows = _kernels.ot_extend_receiver(leaves, bytes(32), 0, 4, choices, bytes(64))
print(_kernels.threads(), hashlib.sha256(table.tobytes() + message.tobytes() + rows.tobytes()).hexdigest())
"""


def said(code: str, folder: Path, **changes: str) -> str:
    """What a fresh interpreter prints: the pool is made once in a process."""
    environment = {name: value for name, value in os.environ.items() if name != "RAYON_NUM_THREADS"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), **changes},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


def test_a_process_sets_its_threads_once(tmp_path: Path) -> None:
    out_of_range, once = said(SETTING, tmp_path).splitlines()
    assert out_of_range == "; ".join(["threads: 1 to 1024 expected"] * 3)
    assert once == "None; None; 3; threads: the kernels already run on 3 threads"


def test_without_a_number_the_environment_or_the_cores_decide(tmp_path: Path) -> None:
    code = "from cleanroom import _kernels; print(_kernels.threads())"
    assert said(code, tmp_path, RAYON_NUM_THREADS="5") == "5"
    assert 1 <= int(said(code, tmp_path)) <= (os.cpu_count() or 1)


def test_the_command_sets_them_before_it_reads_anything(tmp_path: Path) -> None:
    assert said(COMMAND, tmp_path) == "3"


@pytest.mark.parametrize("nonsense", ["99999999", "-3", "0", "abc"])
def test_the_command_refuses_an_environment_that_names_no_number(tmp_path: Path, nonsense: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cleanroom", *RUN.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAYON_NUM_THREADS": nonsense},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2 and "--threads" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1 and not list(tmp_path.iterdir())


def test_no_result_depends_on_them(tmp_path: Path) -> None:
    found = [said(RESULTS.format(count=count), tmp_path).split() for count in (1, 3)]
    assert [threads for threads, _ in found] == ["1", "3"]
    assert found[0][1] == found[1][1]
