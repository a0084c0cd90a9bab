"""Unusual identifiers and values planted in both inputs must be in nothing that a run leaves behind or prints."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.cli.world import PARTIES, Ended, Scene, free_port

IDENTIFIERS = ("zq-canary-7731", "zq-canary-9042")
LABEL = "zq-label-5518"
AMOUNT = "137.31"
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
        digest = hashlib.sha256(person.encode()).digest()
        found[f"SHA-256 of {person}"] = digest[:12]
        found[f"SHA-256 of {person} in hex"] = digest.hex()[:24].encode()
    for party in PARTIES:
        pem = scene.identity(party).key_pem
        raw = load_pem_private_key(pem, None).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        found[f"{party}'s key"] = raw
        found[f"{party}'s key in hex"] = raw.hex().encode()
        found[f"{party}'s key in Base64"] = base64.b64encode(raw)[:-2]
        found[f"{party}'s key in PEM"] = pem.splitlines()[1]
    return found


def left_behind(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Every file in the scene but the owners' own inputs, keys and certificates; the names count as content."""
    own = {scene.root / name for name in ("touches.csv", "orders.csv", "media/media.key", "shop/shop.key")}
    for folder, _, names in os.walk(scene.root):
        for name in names:
            path = Path(folder) / name
            if path not in own:
                yield str(path), str(path).encode() + path.read_bytes()


def search(scene: Scene, ended: dict[str, Ended]) -> None:
    """Looks for every canary in every trace."""
    traces = list(left_behind(scene))
    for party, end in ended.items():
        traces += [(f"{party}'s stdout", end.stdout.encode()), (f"{party}'s stderr", end.stderr.encode())]
    assert len(traces) > 8
    for what, canary in canaries(scene).items():
        for where, content in traces:
            assert canary not in content, f"{what} is in {where}"


def test_the_search_finds_what_is_there(scene: Scene) -> None:
    plant(scene)
    (scene.root / "media-cwd" / "log.txt").write_text(f"matched {IDENTIFIERS[1]}")
    found = [where for where, content in left_behind(scene) if canaries(scene)[IDENTIFIERS[1]] in content]
    assert found == [str(scene.root / "media-cwd" / "log.txt")]


def test_a_finished_run_leaves_no_canary(scene: Scene) -> None:
    plant(scene)
    scene.agree(noise="gaussian")
    ended = scene.pair()
    assert [ended[party].code for party in PARTIES] == [0, 0], ended
    assert (scene.root / "shop" / "ledger.sqlite").exists()
    search(scene, ended)


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
            search(scene, {party: ended})
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
    search(scene, ended)
