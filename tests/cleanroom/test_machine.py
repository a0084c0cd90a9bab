"""Core dumps off for a process and its children, and which swap counts as in clear."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cleanroom.machine import swap_in_clear

HARDENED = """
import ctypes, os, resource, subprocess, sys
from cleanroom.machine import core_dumps_off, harden
before = core_dumps_off()
harden()
child = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
limits = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip()
print(before, core_dumps_off(), limits, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_neither_a_process_nor_its_children_leave_a_core() -> None:
    ended = subprocess.run([sys.executable, "-c", HARDENED], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True", "(0,", "0)", "0"]


def test_swap_that_is_encrypted_or_in_memory_does_not_count(tmp_path: Path) -> None:
    swaps, devices = tmp_path / "swaps", tmp_path / "block"
    for name, uuid in (("dm-0", "CRYPT-LUKS2-1"), ("dm-1", "LVM-1")):
        (devices / name / "dm").mkdir(parents=True)
        (devices / name / "dm" / "uuid").write_text(uuid)
    head = "Filename Type Size Used Priority\n"
    swaps.write_text(head)
    assert swap_in_clear(swaps=swaps, devices=devices) == ()
    swaps.write_text(head + "/dev/zram0 partition 1 0 -2\n/dev/dm-0 partition 1 0 -2\n")
    assert swap_in_clear(swaps=swaps, devices=devices) == ()
    swaps.write_text(head + "/dev/dm-1 partition 1 0 -2\n/swapfile file 1 0 -2\n")
    assert swap_in_clear(swaps=swaps, devices=devices) == ("/dev/dm-1", "/swapfile")
    assert swap_in_clear(swaps=tmp_path / "none", devices=devices) is None
