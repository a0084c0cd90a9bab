"""A world on the disk: all of it or nothing, the same values again, and memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import cleanroom
from cleanroom.agreement import load_agreement, verify_signatures
from cleanroom.errors import UsageError
from cleanroom.simulate import Parameters, simulate

SMALL = Parameters(people=300, seed=4)
ROOT = Path(cleanroom.__file__).resolve().parents[1]
OWN = {".crt", ".key", ".sig"}
"""What is fresh in every world."""


def files_of(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def test_a_world_is_written_whole_and_again_the_same(tmp_path: Path) -> None:
    one, two = simulate(SMALL, tmp_path / "deep" / "one"), simulate(SMALL, tmp_path / "two")
    first, second = files_of(one.folder), files_of(two.folder)
    assert set(first) == set(second)
    for name, path in first.items():
        same = path.read_bytes() == second[name].read_bytes()
        assert same is (path.suffix not in OWN), name
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "two"}
    agreement = load_agreement(one.agreement)
    verify_signatures(one.agreement, agreement)
    assert (one.touches, one.outcomes) == (
        pq.read_metadata(one.own("media") / "touches.parquet").num_rows,
        pq.read_metadata(one.own("shop") / "outcomes.parquet").num_rows,
    )
    assert one.identity("media").stat().st_mode & 0o077 == 0 or one.own("media").stat().st_mode & 0o077 == 0


def test_the_size_of_blocks_is_not_seen_in_the_values(tmp_path: Path) -> None:
    one, two = simulate(SMALL, tmp_path / "one"), simulate(SMALL, tmp_path / "two", block_people=37)
    for name, path in files_of(one.folder).items():
        other = two.folder / name
        if path.suffix == ".parquet":
            assert pq.read_table(path).equals(pq.read_table(other)), name
        elif path.suffix not in OWN:
            assert path.read_bytes() == other.read_bytes(), name


def test_an_empty_folder_is_filled_and_another_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    inode = out.stat().st_ino
    simulate(SMALL, out)
    assert out.stat().st_ino == inode
    assert not [entry for entry in out.iterdir() if entry.name.startswith(".")]
    before = {name: path.stat().st_mtime_ns for name, path in files_of(out).items()}
    with pytest.raises(UsageError, match="this one holds something"):
        simulate(SMALL, out)
    assert {name: path.stat().st_mtime_ns for name, path in files_of(out).items()} == before
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UsageError, match="a folder expected"):
        simulate(SMALL, file)
    with pytest.raises(UsageError):
        simulate(SMALL, file / "below")


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("limit", [1_000, 60_000, 150_000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, existing: bool, limit: int) -> None:
    out = tmp_path / "new" / "out"
    if existing:
        out.mkdir(parents=True)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "from cleanroom.cli import main;"
        "main(['simulate', '--people', '6000', '--seed', '1', '--out', sys.argv[1]])"
    )
    command = [sys.executable, "-B", "-c", code, str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "cannot be written: File too large" in done.stderr.splitlines()[-1]
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert sorted(left) == (["new", "new/out"] if existing else [])


def test_an_interrupted_world_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path / "out", progress=stop, block_people=50)
    assert list(tmp_path.iterdir()) == []


def peak_mib(people: int, out: Path) -> float:
    """Peak memory of a process that makes a world of so many people, some 12.5 rows each."""
    code = (
        "import resource, sys; from pathlib import Path; from cleanroom.simulate import Parameters, simulate;"
        f"simulate(Parameters(people={people}, seed=1), Path(sys.argv[1]));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(out)], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_world(tmp_path: Path) -> None:
    small, large = (peak_mib(people, tmp_path / str(people)) for people in (80_000, 800_000))
    assert large < small + 64


def test_worlds_differ_by_what_they_match_on(tmp_path: Path) -> None:
    for match in ("phone", "phone_md5", "email"):
        made = simulate(replace(SMALL, match=match), tmp_path / match)
        agreement = load_agreement(made.agreement)
        assert agreement.match.identifiers[0].type == match.partition("_")[0]
        assert ("phone_md5" in made.binding("shop").read_text()) == (match == "phone_md5")
