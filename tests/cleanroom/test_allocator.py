"""Memory that is freed is used again by the process that asked for that."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = """
import resource
from cleanroom.allocator import keep_freed_memory

def fresh_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(7 << 20) for _ in range(12)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{call}
print([fresh_pages() for _ in range(4)][1:])
"""


def fresh_pages(call: str) -> int:
    ended = subprocess.run([sys.executable, "-c", ROUNDS.format(call=call)], capture_output=True, check=True, text=True)
    return sum(map(int, ended.stdout.strip("[]\n").split(", ")))


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's allocator")
def test_blocks_are_made_of_what_was_freed() -> None:
    usual = fresh_pages("")
    assert usual > 10_000, "or nothing is tested"
    assert fresh_pages("keep_freed_memory()") < usual / 50
