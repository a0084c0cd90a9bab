"""One demonstration from the empty folder to the verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cleanroom.demo.check import SelfCheck, self_check, unit_of
from cleanroom.demo.journey import load_journey
from cleanroom.demo.pair import LOG_FILE, Said, commands, free_port, run_pair
from cleanroom.demo.scene import PARTIES, Scene, build_scene, check_folder
from cleanroom.demo.talk import Talk
from cleanroom.report import RunFiles

__all__ = ["Demo", "new_folder", "run_demo"]

_HOME: Final = "cleanroom-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A finished demonstration."""

    scene: Scene
    release: RunFiles = field(repr=False)
    check: SelfCheck = field(repr=False)
    seconds: float  # of the run itself: both processes, from start to the released files

    @property
    def reports(self) -> dict[str, Path]:
        """Each party's HTML report."""
        return {party: self.scene.run(party) / "report.html" for party in PARTIES}

    def as_json(self) -> dict[str, object]:
        """Everything, in released units, as JSON values."""
        units = {metric.name: unit_of(self.scene.agreement, metric.name) for metric in self.scene.agreement.metrics}
        return {
            "out": str(self.scene.folder),
            "agreement": self.release.agreement_hash,
            "session": self.release.session,
            "reports": {party: str(path) for party, path in self.reports.items()},
            "seconds": round(self.seconds, 1),
            "cells": [
                {
                    "group": cell.group,
                    "metric": cell.metric,
                    "status": self.release.cells[cell.group, cell.metric].status.value,
                    "released": None if cell.released is None else float(cell.released * units[cell.metric]),
                    "std_error": self.release.cells[cell.group, cell.metric].std_error,
                    "plain_join": float(cell.capped * units[cell.metric]),
                    "deviation": round(cell.deviation, 3),
                    "plain_join_uncapped": float(cell.uncapped * units[cell.metric]),
                    "caps_cost_percent": round(100 * cell.caps_cost, 2),
                }
                for cell in self.check.cells
            ],
            "exact_without_noise": self.check.exact,
            "worst_deviation": round(self.check.worst.deviation, 3),
        }


def new_folder(now: datetime | None = None) -> Path:
    """A name for the next demonstration in the current folder: `cleanroom-demo/` and the UTC time."""
    now = datetime.now(UTC) if now is None else now
    return Path(_HOME) / f"{now:%Y%m%dT%H%M%SZ}"


def run_demo(folder: Path, talk: Talk) -> Demo:
    """Sets the stage, lets both parties run as two processes, and compares what they released with the truth.

    Args:
        folder: new or empty; everything is put there.
        talk: told what happens.

    Returns:
        The demonstration; whether its check holds is for `check.require` to say.

    Raises:
        UsageError: the folder is in use, or the real data are not installed.
        PairError: one of the two processes failed.
        CleanroomError: the two sides hold different releases.
    """
    check_folder(folder)
    talk.doing("reading the real year")
    journey = load_journey()
    talk.say(
        f"a year of {len(journey.lines):,} purchase lines for the shop, {len(journey.touches):,} mailings for the "
        f"media side; {len(journey.campaigns)} campaigns are in the agreement"
    )
    talk.doing("writing both sides' files")
    scene = build_scene(folder, journey)
    own = {party: scene.own(party) for party in PARTIES}
    halves = commands(scene.agreement_path, own, port=free_port())
    talk.say(f"two identities, one agreement signed by both, each side's data: {folder}")
    talk.say("two processes, mutual TLS on loopback; each shows the other nothing but what the agreement allows")
    started = time.monotonic()
    talk.doing("both parties start")
    run_pair(halves, {party: path / LOG_FILE for party, path in own.items()}, said=_relay(talk))
    seconds = time.monotonic() - started
    talk.say(f"both sides finished after {seconds:.1f} s; now the check that only a demo can make")
    talk.doing("joining the clear data")
    check = self_check(scene.agreement, media=own["media"], shop=own["shop"])
    return Demo(scene=scene, release=RunFiles.read(scene.run("media")), check=check, seconds=seconds)


def _relay(talk: Talk) -> Said:
    def said(party: str | None, line: str) -> None:
        if party is None:
            talk.doing(line)
        else:
            talk.say(line, who=party)

    return said
