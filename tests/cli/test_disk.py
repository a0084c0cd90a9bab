"""A full disk at every file that a run writes before its release: one clear line, nothing sent, nothing spent.

The files of the release itself are in `test_crash_points` and `tests/cleanroom/release/test_files.py`.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleanroom.errors import CleanroomError
from cleanroom.ledger import Ledger
from tests.cleanroom.test_ledger import partner_of, run_of, world
from tests.cli.test_faults import checked, watched_port
from tests.cli.world import PARTIES, Scene

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A disk of its own; the test is skipped where none can be mounted."""
    at.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def fill(disk: Path) -> None:
    """Takes all room that is left."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(1 << 16)):
                pass
        except OSError:
            return


def test_a_ledger_without_room_stops_a_run_before_it_connects(scene: Scene) -> None:
    scene.agree(noise="gaussian")
    keys = {path.name: path.read_bytes() for path in (scene.root / "shop").iterdir()}
    with small_disk(scene.root / "shop", "200k") as disk:
        for name, data in keys.items():
            (disk / name).write_bytes(data)
            (disk / name).chmod(0o600)
        with watched_port() as address:
            line = checked(scene, "shop", 1, scene.start("shop", "--connect", address).ended())
        assert "ledger.sqlite: the ledger refused (the disk is full)" in line
        names = {path.name for path in disk.iterdir()}
        assert names <= {*keys, *(f"ledger.sqlite{end}" for end in ("", "-wal", "-shm"))}
        (disk / "ledger.sqlite").unlink()
    assert [ended.code for ended in scene.pair().values()] == [0, 0]


def limited() -> None:
    """No file of this process may grow past 100 kB, for its writer as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_file_that_cannot_grow_stops_a_run_before_it_connects(scene: Scene) -> None:
    scene.agree(noise="gaussian")
    with watched_port() as address:
        ended = scene.start("shop", "--connect", address, preexec_fn=limited).ended()
    line = checked(scene, "shop", 1, ended)
    assert "ledger.sqlite: the ledger refused (the disk is full" in line
    assert scene.left("shop") == {"failure.json"}
    assert [ended.code for ended in scene.pair().values()] == [0, 0]


def test_what_was_reserved_holds_a_charge_and_a_release_on_a_full_disk(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    files = {"release.json": os.urandom(300_000)}
    with small_disk(tmp_path / "disk", "4m") as disk:
        with Ledger(disk) as ledger:
            ledger.reserve(400_000)
            fill(disk)
            ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
            ledger.store(agreement, partner, run=run_of(1), files=files, now=NOW)
        with Ledger(disk) as ledger:
            stored = ledger.stored(agreement, partner, own_root=run_of(1).own_root, peer_root=run_of(1).peer_root)
            assert stored is not None and dict(stored.files) == files
            assert ledger.spent_with(partner.fingerprint, now=NOW).runs == 1
            with pytest.raises(CleanroomError, match="the disk is full"):
                ledger.reserve(8 << 20)
            assert ledger.spent_with(partner.fingerprint, now=NOW).runs == 1
        (disk / "filler").unlink()
        with Ledger(disk) as ledger:
            ledger.reserve(400_000)
            ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW)


def test_a_disk_that_fills_before_a_charge_opens_nothing(tmp_path: Path) -> None:
    """Without a reservation: the charge is refused whole, and the ledger reads as before."""
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    with small_disk(tmp_path / "disk", "256k") as disk:
        with Ledger(disk) as ledger:
            fill(disk)
            made = 0
            with pytest.raises(CleanroomError, match="the ledger refused"):
                for number in range(1000):
                    ledger.charge(agreement, cost, partner, run=run_of(number), now=NOW)
                    made += 1
            assert ledger.spent_with(partner.fingerprint, now=NOW).runs == made
        (disk / "filler").unlink()
        with Ledger(disk) as ledger:
            assert ledger.spent_with(partner.fingerprint, now=NOW).runs == made
            ledger.charge(agreement, cost, partner, run=run_of(1000), now=NOW)


SPILL = """
import resource, sys, tempfile
import numpy as np
from cleanroom.data.spill import Spill
from cleanroom.errors import CleanroomError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
spill = Spill(4, memory_bytes=10_000)
try:
    for _ in range(100):
        spill.append(np.random.default_rng(1).integers(0, 2**63, (500, 4)).astype(np.uint64))
except CleanroomError as error:
    print(error)
"""


def test_a_scratch_file_that_cannot_grow_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SPILL],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    assert "the scratch file could not be written (" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_not_even_the_reason(scene: Scene) -> None:
    scene.agree()
    (scene.root / "orders.csv").unlink()
    with small_disk(scene.root / "disk", "64k") as disk:
        fill(disk)
        out = disk / "out"
        with watched_port() as address:
            ended = scene.start("shop", "--connect", address, out=out).ended()
        assert ended.code == 4
        assert "expected a file" in ended.line
        assert not out.exists() or list(out.iterdir()) == []
    shutil.rmtree(scene.root / "disk")
    for party in PARTIES:
        scene.assert_nothing_left(party)
