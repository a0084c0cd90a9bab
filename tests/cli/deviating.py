"""The shop's side of a run in this process, which deviates, against media's side as a real process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cleanroom.data import load_binding
from cleanroom.errors import PeerError
from cleanroom.flight import Address, connect
from cleanroom.ledger import Ledger
from cleanroom.link import Link
from cleanroom.node import Side, run, side_of
from tests.cli.world import Scene, Started
from tests.ports import free_port

__all__ = ["PATIENCE", "DeviatingShop", "met_by", "runs_charged"]

PATIENCE = 60
"""Seconds for a run of a test's world and the end of both sides; it needs some three."""


class DeviatingShop:
    """Runs the protocol; `tap` may change what goes through the link, knowing the step of now."""

    now: str = ""

    def tap(self, link: Link) -> None:
        """Puts itself between the protocol and the link."""
        raise NotImplementedError

    def progress(self, step: str, done: int, total: int) -> None:
        del done, total
        self.now = step

    def run(self, scene: Scene, port: int) -> None:
        side = side_of(scene.root / "agreement.toml", party="shop", identity=scene.root / "shop")
        binding = load_binding(scene.root / "shop.toml")

        def tapped(side: Side) -> Link:
            address = Address(f"127.0.0.1:{port}")
            link = connect(address, identity=side.identity, peer=side.peer_certificate, timeout=PATIENCE)
            self.tap(link)
            return link

        try:
            run(side, binding, tapped, progress=self.progress, step_timeout=20)
        except PeerError:
            return  # the honest side has stopped; who deviates in the very last message never hears of it


@contextmanager
def met_by(scene: Scene, shop: DeviatingShop) -> Iterator[Started]:
    """Starts media; the test waits for its end inside the block. The shop must have come to an end after it."""
    port = free_port()
    media = scene.start("media", "--listen", f"127.0.0.1:{port}", "--step-timeout", "8")
    faults: list[BaseException] = []

    def act() -> None:
        try:
            shop.run(scene, port)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            faults.append(error)

    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    yield media
    acting.join(PATIENCE)
    assert not acting.is_alive()
    assert not faults, faults


def runs_charged(scene: Scene) -> int:
    """How many runs media's ledger was charged for."""
    with Ledger(scene.root / "media") as ledger:
        return sum(spent.runs for spent in ledger.spending(now=datetime.now(UTC)))
