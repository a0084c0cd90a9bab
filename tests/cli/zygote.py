"""Real processes of the command line, forked from one that has imported everything, each with one fault planted.

A run passes named points: before each frame that it sends, after each that it takes, around each change of the ledger,
before each file that it writes and each rename. The process notes them in a file, and at the one that a test names it
does what the test wants: it is killed (SIGKILL to itself), told to stop, stands still until it is let go on, loses its
connection for good, or finds the disk full. Nothing else differs from the command; the pauses between attempts to
resume are shorter.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cli.world import PATIENCE, Ended, Scene, environment

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT, "stop": signal.SIGSTOP}
ACTS = (*SIGNALS, "gone", "full", "")
_NUMBERS = itertools.count()  # of all zygotes: their forks' folders may lie in one


@dataclass(slots=True, kw_only=True)
class Forked:
    """A forked process, as its test sees it."""

    zygote: Zygote
    pid: int
    folder: Path

    def ended(self, *, let_go_on: bool = False) -> Ended:
        """Waits for the end; of a side that stands still, or may come to its point meanwhile, by letting it go on."""
        deadline = time.monotonic() + PATIENCE
        while (status := self.zygote.ask(wait=self.pid)) < 0:
            assert time.monotonic() < deadline, "still running"
            if let_go_on:
                self.go_on()
            time.sleep(0.05)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code=code, **{name: (self.folder / name).read_text() for name in ("stdout", "stderr")})

    def stopped(self) -> None:
        """Waits until it stands still at its point."""
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, "never came to its point"
            time.sleep(0.02)

    def go_on(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def points(self) -> list[str]:
        """The points that it passed, in their order."""
        return (self.folder / "points").read_text().splitlines()


@dataclass(slots=True)
class Zygote:
    """The process that forks; a context manager."""

    process: subprocess.Popen[str] = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: Iterator[int] = field(default_factory=lambda: _NUMBERS)

    def __enter__(self) -> Zygote:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.zygote"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def ask(self, **order: Any) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        with self.lock:
            print(json.dumps(order), file=self.process.stdin, flush=True)
            return int(self.process.stdout.readline())

    def start(
        self, scene: Scene, party: str, *options: str, act: str = "", at: str = "", days: float = 0, out: str = ""
    ) -> Forked:
        """Starts one side of a run.

        Args:
            scene: whose.
            party: which.
            options: where to listen or to connect.
            act: one of `ACTS`.
            at: the point at which it happens.
            days: by how much this process's clock is wrong.
            out: a name for its folder, if it is another than the scene's.
        """
        assert act in ACTS
        folder = scene.root.parent / f"forked-{next(self.numbers)}"
        folder.mkdir()
        arguments = ["run", "--agreement", str(scene.root / "agreement.toml"), "--party", party]
        arguments += ["--identity", str(scene.root / party), "--data", str(scene.root / f"{party}.toml")]
        arguments += ["--out", str(scene.root / out if out else scene.out(party)), *options]
        pid = self.ask(
            arguments=arguments,
            cwd=str(scene.root / f"{party}-cwd"),
            tmp=str(scene.root / f"{party}-tmp"),
            folder=str(folder),
            act=act,
            at=at,
            days=days,
        )
        return Forked(zygote=self, pid=pid, folder=folder)


@dataclass(slots=True)
class Points:
    """In a forked process: notes the points that it passes, and acts at one."""

    notes: int
    act: str
    at: str
    gone: bool = False

    def reach(self, point: str) -> None:
        os.write(self.notes, f"{point}\n".encode())
        if point != self.at:
            return
        if self.act in SIGNALS:
            os.kill(os.getpid(), SIGNALS[self.act])
        elif self.act == "gone":
            self.gone = True
        elif self.act == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def around(self, owner: Any, name: str, point: str) -> None:
        """Makes a function of the product pass two points."""
        original = getattr(owner, name)

        def passing(*arguments: Any, **named: Any) -> Any:
            self.reach(f"{point} before")
            result = original(*arguments, **named)
            self.reach(f"{point} after")
            return result

        setattr(owner, name, passing)

    def plant(self) -> None:
        """Puts the points into this process."""
        from cleanroom.data.spill import Spill
        from cleanroom.ledger import Ledger
        from cleanroom.link import Link
        from cleanroom.release import files

        for name in ("reserve", "charge", "store"):
            self.around(Ledger, name, f"ledger.{name}")
        self.around(Spill, "_write_out", "spill")
        self._plant_frames(Link)
        write, replace = files._write, Path.replace

        def writing(path: Path, data: bytes, mode: int) -> None:
            self.reach(f"write {_plain(path.name)}")
            write(path, data, mode)

        def replacing(path: Path, target: Path) -> Path:
            self.reach(f"rename {_plain(path.name)} before")
            moved = replace(path, target)
            self.reach(f"rename {_plain(path.name)} after")
            return moved

        files._write = writing
        Path.replace = replacing  # type: ignore[method-assign, assignment]

    def _plant_frames(self, link: Any) -> None:
        from cleanroom.protocols.wire import ProtocolId

        send, receive, dial = link.send, link.receive, None
        counts = {"send": 0, "take": 0}

        def cut(of: Any) -> None:
            nonlocal dial
            if self.gone and dial is None:
                from cleanroom.carrier import CarrierLostError

                def dial(timeout: float) -> Any:
                    raise CarrierLostError("the cable is out")

                of._dial = dial
                of._carrier.close()

        def sending(of: Any, frame: bytes, **named: Any) -> None:
            opens = frame[1] == ProtocolId.RELEASE  # the second byte of a frame names its protocol
            self.reach(f"send {counts['send']}" + (" of the opening" if opens else ""))
            counts["send"] += 1
            cut(of)
            send(of, frame, **named)

        def receiving(of: Any, *, waiting_for: str, **named: Any) -> bytes:
            frame: bytes = receive(of, waiting_for=waiting_for, **named)
            self.reach(f"take {counts['take']}")
            counts["take"] += 1
            cut(of)
            return frame

        link.send, link.receive = sending, receiving


def _plain(name: str) -> str:
    return re.sub(r"partial-[0-9a-f]{16}", "partial", name)


def _child(order: dict[str, Any]) -> None:
    folder = Path(order["folder"])
    for number, name in ((0, os.devnull), (1, folder / "stdout"), (2, folder / "stderr")):
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, number)
    notes = os.open(folder / "points", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    os.chdir(order["cwd"])
    os.environ["TMPDIR"] = order["tmp"]
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import cleanroom.link
    from cleanroom.cli.main import main

    cleanroom.link.RESUME_FIRST_PAUSE = 0.03  # type: ignore[misc]
    cleanroom.link.DRAIN_SECONDS = 0.05  # type: ignore[misc]
    cleanroom.link.FINISH_SECONDS = 1.0  # type: ignore[misc]
    if order["days"]:
        _set_clock(timedelta(days=order["days"]))
    Points(notes, order["act"], order["at"]).plant()
    main(order["arguments"])


def _set_clock(offset: timedelta) -> None:
    """Puts the clock wrong wherever the product reads it."""
    import cleanroom.agreement.load
    import cleanroom.identity
    import cleanroom.node

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + offset

    for module in (cleanroom.agreement.load, cleanroom.identity, cleanroom.node):
        module.datetime = Wrong  # type: ignore[attr-defined]


def _serve() -> None:
    _import_everything()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            pid, status = os.waitpid(order["wait"], os.WNOHANG)
            print(status if pid else -1, flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            try:
                _child(order)
            except Exception:  # noqa: BLE001 (whatever it is, the test that looks shows it)
                traceback.print_exc()
            finally:
                os._exit(70)
        print(pid, flush=True)


def _import_everything() -> None:
    """What a run imports; nothing that starts a thread."""
    modules: list[Callable[[], Any]] = [
        lambda: __import__("cleanroom.cli.run"),
        lambda: __import__("cleanroom.cli.main"),
        lambda: __import__("plotly.graph_objects"),
    ]
    for load in modules:
        load()


if __name__ == "__main__":
    _serve()
