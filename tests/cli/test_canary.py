"""Unusual identifiers and values planted in both inputs must be in nothing that a run leaves behind or prints."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

import cleanroom
from tests.cli.canaries import forms, left_behind, search
from tests.cli.world import PARTIES, Scene
from tests.ports import free_port

LIBRARIES = str(Path(cleanroom.__file__).parent)
IDENTIFIERS = ("zq-canary-7731", "zq-canary-9042")
LABEL = "zq-label-5518"
AMOUNT = "2718281828.45"
UNITS = int(AMOUNT.replace(".", ""))
ORDER = "zq-order-6620"
MOMENT = "2025-03-07T03:17:41"


def plant(scene: Scene) -> None:
    """Two people whom both sides know, with a label, an amount, an order number and a moment of their own."""
    with (scene.root / "touches.csv").open("a") as touches:
        touches.write("".join(f"{person},{MOMENT}Z,spring\n{person},{MOMENT}Z,{LABEL}\n" for person in IDENTIFIERS))
    with (scene.root / "orders.csv").open("a") as orders:
        orders.write("".join(f"{person},{MOMENT}Z,{AMOUNT},{ORDER}\n" for person in IDENTIFIERS))


def canaries(scene: Scene) -> dict[str, bytes]:
    """Everything that must be nowhere: the values, what they become inside, and both private keys."""
    found = {value: value.encode() for value in (*IDENTIFIERS, LABEL, AMOUNT, ORDER, MOMENT)}
    for person in IDENTIFIERS:
        for name, digest in (
            ("SHA-256", hashlib.sha256(person.encode()).digest()),
            ("MD5", hashlib.md5(person.encode()).digest()),
        ):
            found |= forms(f"{name} of {person}", digest[:12])
    for value in (*IDENTIFIERS, LABEL, ORDER):
        found |= forms(value, value.encode())
        found[f"{value} in UTF-16"] = value.encode("utf-16-le")
        found[f"{value} in capitals"] = value.upper().encode()
    found["the amount in units"] = str(UNITS).encode()
    found["the amount as a word"] = UNITS.to_bytes(8, "little")
    for party in PARTIES:
        pem = scene.identity(party).key_pem
        raw = load_pem_private_key(pem, None).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        found |= forms(f"{party}'s key", raw)
        found[f"{party}'s key in PEM"] = pem.splitlines()[1]
    return found


def run_secrets(scene: Scene) -> dict[str, bytes]:
    """What each finished side's audit.private holds; nothing else may, but that side's own ledger."""
    found: dict[str, bytes] = {}
    for party in PARTIES:
        account = json.loads((scene.out(party) / "audit.private").read_text())
        for name in ("seed", "group_cap_key", "commitment_key"):
            found |= forms(f"{party}'s {name}", bytes.fromhex(account[name]))
    return found


def shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()} if Path("/dev/shm").is_dir() else set()


def open_files(process: int) -> Iterator[tuple[str, bytes]]:
    """Every file that a living process has mapped or open, with or without a name, but programs and libraries."""
    seen: set[tuple[int, int]] = set()
    links = [*Path(f"/proc/{process}/fd").iterdir(), *Path(f"/proc/{process}/map_files").iterdir()]
    for link in links:
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found = link.stat()
            target = str(link.readlink())
            if not stat.S_ISREG(found.st_mode) or target.startswith(("/usr", "/lib", "/opt", sys.prefix, LIBRARIES)):
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                yield target, link.read_bytes()


def test_the_search_finds_what_is_there(scene: Scene) -> None:
    plant(scene)
    (scene.root / "media-cwd" / "log.txt").write_text(f"matched {IDENTIFIERS[1]}")
    found = [where for where, content in left_behind(scene) if canaries(scene)[IDENTIFIERS[1]] in content]
    assert found == [str(scene.root / "media-cwd" / "log.txt")]


@pytest.mark.parametrize("profile", ["ecdh", "kkrt", "vole"])
def test_a_finished_run_leaves_no_canary(scene: Scene, profile: str) -> None:
    plant(scene)
    scene.agree(noise="gaussian", profile=profile)
    shared = shared_memory()
    ended = scene.pair("--json")
    assert [ended[party].code for party in PARTIES] == [0, 0], ended
    assert shared_memory() <= shared
    assert (scene.root / "shop" / "ledger.sqlite").exists()
    search(scene, ended, canaries(scene))
    for what, secret in run_secrets(scene).items():
        owner = what.split("'")[0]
        allowed = {str(scene.out(owner) / "audit.private")}
        allowed |= {str(path) for path in (scene.root / owner).glob("ledger.sqlite*")}
        traces = [*left_behind(scene), *((party, end.stderr.encode()) for party, end in ended.items())]
        held = {where for where, content in traces if secret in content}
        assert held <= allowed, f"{what} is in {held - allowed}"
        assert held == allowed or not what.endswith("in hex"), f"{what} is not where it must be"


@pytest.mark.skipif(not Path("/proc/self/map_files").is_dir(), reason="needs /proc")
def test_a_waiting_run_and_a_killed_one_hold_no_canary_in_files(scene: Scene) -> None:
    plant(scene)
    scene.agree()
    media = scene.start("media", "--listen", f"127.0.0.1:{free_port()}")
    pid = media.process.pid
    for _ in range(600):  # until the data are prepared and the ledger is open
        assert media.process.poll() is None
        names = {target for target, _ in files_of(pid)}
        if any(name.endswith("ledger.sqlite") for name in names):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the ledger was never opened")
    for where, content in files_of(pid):
        if where.endswith(("touches.csv", "media.key")):
            continue
        for what, canary in canaries(scene).items():
            assert canary not in content, f"{what} is in {where}"
    media.signal(signal.SIGKILL)
    search(scene, {"media": media.ended()}, canaries(scene))


def files_of(process: int) -> list[tuple[str, bytes]]:
    try:
        return list(open_files(process))
    except PermissionError:
        pytest.skip("another process's memory is closed to this user, as it should be")


def test_failed_runs_leave_no_canary(scene: Scene) -> None:
    plant(scene)
    scene.agree()
    orders, touches = scene.root / "orders.csv", scene.root / "touches.csv"
    kept = {path: path.read_text() for path in (orders, touches)}
    address = f"127.0.0.1:{free_port()}"
    spoilt = {
        orders: (
            (AMOUNT, f"{AMOUNT}{ORDER}"),
            (MOMENT, f"{MOMENT}{ORDER}"),
            (AMOUNT, f"-{AMOUNT}"),
            (f"{AMOUNT},", ""),
        ),
        touches: ((MOMENT, LABEL), (f",{LABEL}", ""), (f"{IDENTIFIERS[0]},", "")),
    }
    for path, changes in spoilt.items():
        party = "shop" if path == orders else "media"
        for old, new in changes:
            path.write_text(kept[path].replace(old, new))
            ended = scene.start(party, "--connect", address).ended()
            assert ended.code == 4, (old, ended.stderr)
            search(scene, {party: ended}, canaries(scene))
            shutil.rmtree(scene.out(party))
        path.write_text(kept[path])


def test_a_run_that_breaks_in_the_middle_leaves_no_canary(scene: Scene) -> None:
    plant(scene)
    changed = scene.agree(file="changed.toml", noise="gaussian")
    scene.agree()
    address = f"127.0.0.1:{free_port()}"
    media = scene.start("media", "--listen", address)
    shop = scene.start("shop", "--connect", address, agreement=changed)
    ended = {"media": media.ended(), "shop": shop.ended()}
    assert 0 not in {end.code for end in ended.values()}
    search(scene, ended, canaries(scene))
