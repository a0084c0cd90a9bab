"""Two owners and a small synthetic world, and the command line run against it as two real processes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import cleanroom
from cleanroom.agreement import load_agreement, sign_agreement
from cleanroom.agreement.model import Agreement
from cleanroom.identity import Identity, load_identity, new_identity
from tests.ports import free_port

PARTIES = ("media", "shop")
GROUPS = ("spring", "summer", "tiny", "empty")
MIN_PEOPLE = 25
START = datetime(2025, 3, 1, tzinfo=UTC)
PATIENCE = 120.0
"""Seconds after which a process that should have ended long ago fails its test."""

AGREEMENT = """\
version = 1
name = "{name}"
purpose = "Tests"
valid_until = {valid_until}

[parties.media]
role = "exposure"
certificate = "{media_certificate}"
[parties.shop]
role = "outcome"
certificate = "{shop_certificate}"

[match]
identifiers = ["id"]

[time]
start = {start}
end = {end}
resolution = "1d"

[exposure]
events = ["mail"]
end = 2025-03-20T00:00:00Z
group_by = "campaign"
groups = ["spring", "summer", "tiny", "empty"]
anchor = "first_touch"

[outcome]
events = ["order"]
value = "amount"
currency = "CNY"

[[metrics]]
name = "known"
measure = "matched"
[[metrics]]
name = "buyers_3d"
event = "order"
measure = "people"
window = "3d"
[[metrics]]
name = "orders_5d"
event = "order"
measure = "events"
window = "5d"
cap = 3
[[metrics]]
name = "sales_5d"
event = "order"
measure = "sum"
window = "5d"
cap = "150.00"

[release]
noise = "{noise}"
epsilon = {epsilon}
delta = 1e-6
min_people = 25
max_groups_per_person = 3
recipients = {recipients}

[protocol]
profile = "{profile}"
max_rows = {{exposure = {rows_exposure}, outcome = {rows_outcome}}}
"""
DEFAULTS = {
    "name": "fixture",
    "valid_until": f"{date.today() + timedelta(days=365)}",
    "media_certificate": "media/media.crt",
    "shop_certificate": "shop/shop.crt",
    "start": "2025-03-01T00:00:00Z",
    "end": "2025-04-01T00:00:00Z",
    "noise": "none",
    "epsilon": "8.0",
    "recipients": '["media", "shop"]',
    "profile": "ecdh",
    "rows_exposure": "1024",
    "rows_outcome": "2048",
}
BINDINGS = {
    "media": '[source]\npath = "touches.csv"\n[columns]\nid = "user"\ntime = "at"\nevent = "\'mail\'"\n'
    'campaign = "campaign"\n',
    "shop": '[source]\npath = "orders.csv"\n[columns]\nid = "buyer"\ntime = "at"\nevent = "\'order\'"\n'
    'amount = "paid"\nevent_id = "order_id"\n',
}
SOURCES = {"media": "touches.csv", "shop": "orders.csv"}


def fixture_data() -> dict[str, str]:
    """Both sides' CSV text. Of the four groups two have people enough, one has five people, one nobody."""
    rng = random.Random(20250301)
    touches, orders = ["user,at,campaign"], ["buyer,at,paid,order_id"]

    def moment(last_day: int) -> str:
        return (START + timedelta(seconds=rng.randrange(last_day * 86400))).isoformat().replace("+00:00", "Z")

    for person in range(240):
        for _ in range(rng.randrange(1, 4)):
            touches.append(f"u{person:04d},{moment(19)},{rng.choice(GROUPS[:2])}")
    touches += [f"u{person:04d},{moment(19)},tiny" for person in range(100, 105)]
    touches += [f"u{person:04d},{moment(19)},undeclared" for person in range(5)]
    for person in range(60, 260):
        for _ in range(rng.randrange(0, 5)):
            cents = rng.randrange(0, 20000)
            orders.append(f"u{person:04d},{moment(30)},{cents / 100:.2f},{rng.randrange(10**9)}")
    return {"media": "\n".join(touches) + "\n", "shop": "\n".join(orders) + "\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """The last line of stderr, after checking that it is the one readable line of a failure."""
        assert "Traceback" not in self.stderr, self.stderr
        lines = self.stderr.splitlines()
        assert lines, "nothing on stderr"
        assert [text for text in lines if text.startswith("cleanroom: ")] == lines[-1:], self.stderr
        return lines[-1].removeprefix("cleanroom: ")


@dataclass(slots=True, kw_only=True)
class Started:
    """A process that runs."""

    process: subprocess.Popen[str]

    def ended(self, patience: float = PATIENCE) -> Ended:
        """Waits for the end; fails the test if it does not come."""
        try:
            stdout, stderr = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            stdout, stderr = self.process.communicate()
            raise AssertionError(f"still running after {patience:g} s; stderr:\n{stderr}") from None
        return Ended(code=self.process.returncode, stdout=stdout, stderr=stderr)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


def environment(**changes: str) -> dict[str, str]:
    """What a process of the command line needs to find this code, from any folder."""
    root = str(Path(cleanroom.__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": root, "RAYON_NUM_THREADS": "1", **changes}


@dataclass(slots=True, kw_only=True)
class Scene:
    """One test's folder: identities, agreement, data, and a place for everything that a run leaves."""

    root: Path
    processes: list[Started] = field(default_factory=list)

    @classmethod
    def make(cls, root: Path, identities: Path) -> Scene:
        """Copies both identities (without a ledger) and writes the fixture's data."""
        scene = cls(root=root)
        for party in PARTIES:
            shutil.copytree(identities / party, root / party)
            for folder in ("cwd", "tmp"):
                (root / f"{party}-{folder}").mkdir()
        for party, text in fixture_data().items():
            (root / SOURCES[party]).write_text(text)
            (root / f"{party}.toml").write_text(BINDINGS[party])
        return scene

    def identity(self, party: str) -> Identity:
        return load_identity(self.root / party)

    def out(self, party: str) -> Path:
        return self.root / f"{party}-out"

    def agree(self, *, file: str = "agreement.toml", signers: tuple[str, ...] = PARTIES, **changes: str) -> Path:
        """Writes an agreement and its signatures."""
        path = self.root / file
        path.write_text(AGREEMENT.format(**{**DEFAULTS, **changes}))
        for signer in signers:
            sign_agreement(path, load_agreement(path), self.identity(signer))
        return path

    def agreement(self) -> Agreement:
        return load_agreement(self.root / "agreement.toml")

    def start(
        self,
        party: str,
        *options: str,
        agreement: Path | None = None,
        identity: Path | None = None,
        out: Path | None = None,
        environ: Mapping[str, str] | None = None,
        **popen: object,
    ) -> Started:
        """Starts one side of a run; `options` say where to listen or to connect."""
        arguments = [
            *("--agreement", str(agreement or self.root / "agreement.toml")),
            *("--party", party),
            *("--identity", str(identity or self.root / party)),
            *("--data", str(self.root / f"{party}.toml")),
            *("--out", str(out or self.out(party))),
            *options,
        ]
        return self.command("run", *arguments, party=party, environ=environ, **popen)

    def command(
        self, *arguments: str, party: str = "media", environ: Mapping[str, str] | None = None, **popen: object
    ) -> Started:
        """Starts any command of the command line in a folder of the party's own."""
        settings: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "cwd": self.root / f"{party}-cwd",
            "env": environment(TMPDIR=str(self.root / f"{party}-tmp"), **(environ or {})),
            **popen,
        }
        command = [sys.executable, "-m", "cleanroom", *arguments]
        started = Started(process=subprocess.Popen(command, **settings))  # type: ignore[call-overload]
        self.processes.append(started)
        return started

    def pair(self, *options: str, listener: str = "media", **changes: object) -> dict[str, Ended]:
        """Runs both sides to their ends."""
        port = free_port()
        connector = PARTIES[1 - PARTIES.index(listener)]
        listening = self.start(listener, "--listen", f"127.0.0.1:{port}", *options, **changes)  # type: ignore[arg-type]
        connecting = self.start(connector, "--connect", f"127.0.0.1:{port}", *options, **changes)  # type: ignore[arg-type]
        return {listener: listening.ended(), connector: connecting.ended()}

    def left(self, party: str) -> set[str]:
        """Names of everything in the out folder, hidden ones too."""
        return {entry.name for entry in self.out(party).iterdir()} if self.out(party).exists() else set()

    def assert_nothing_left(self, party: str) -> None:
        """After a failure: at most `failure.json` in the out folder, nothing beside it, nothing in TMPDIR."""
        assert self.left(party) <= {"failure.json"}
        assert not [entry.name for entry in self.root.iterdir() if entry.name.startswith(".")]
        for folder in ("cwd", "tmp"):
            assert list((self.root / f"{party}-{folder}").iterdir()) == []

    def stop_all(self) -> None:
        """Ends what a failed test left running."""
        for started in self.processes:
            if started.process.poll() is None:
                started.process.kill()
                started.process.communicate()


def wait_for(started: Started, path_or_seconds: float) -> None:
    """Lets a process work for a while."""
    deadline = time.monotonic() + path_or_seconds
    while time.monotonic() < deadline and started.process.poll() is None:
        time.sleep(0.01)


def make_identities(folder: Path) -> None:
    """An identity for each party, and one that no agreement knows, named like the first."""
    for party in PARTIES:
        new_identity(party, folder / party)
    new_identity("media", folder / "stranger")
