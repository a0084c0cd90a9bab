"""Both halves of a run as two processes of this machine, and what they say on the way.

Each is the very command that an owner would type, `cleanroom run`, with nothing shared but the loopback interface.
What a party says goes to its own log; of it the lines that end a step, and a failure's one line, are passed on.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cleanroom.errors import CleanroomError, PeerError

__all__ = ["PairError", "Said", "commands", "free_port", "run_pair"]

LOG_FILE: Final = "run.log"
_STEP: Final = re.compile(r"^(?P<step>[^:]+): (?P<took>\d+\.\d+ s\b.*)$")
_FAILURE: Final = "cleanroom: "
_GRACE_SECONDS: Final = 5.0
"""How long the other side may take to notice that its peer failed, before it is ended."""
_KILL_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.2

Said = Callable[[str | None, str], None]
"""Told (party, line) as a step ends, and (None, what both are at) while there is nothing to pass on."""


class PairError(CleanroomError):
    """One of the two processes failed; it carries that process's own reason and exit code."""

    def __init__(self, party: str, reason: str, exit_code: int) -> None:
        super().__init__(f"{party}: {reason}")
        self.party = party
        self.exit_code = exit_code  # an instance's own: the command line passes it on


@dataclass(slots=True, eq=False)
class _Half:
    """A running party and what it said last."""

    party: str
    process: subprocess.Popen[str]
    reader: threading.Thread
    doing: str = "starting"
    failure: str = ""


def commands(agreement: Path, folders: Mapping[str, Path], *, port: int) -> dict[str, list[str]]:
    """The two commands, by party; the first listens on loopback and the second connects.

    Args:
        agreement: the signed agreement.
        folders: each party's private folder: identity, binding.toml, and `run` for the files.
        port: free on loopback.
    """
    found = {}
    for (party, folder), how in zip(folders.items(), ("--listen", "--connect"), strict=True):
        found[party] = [
            *(sys.executable, "-m", "cleanroom", "run"),
            *("--agreement", str(agreement), "--party", party, "--identity", str(folder)),
            *("--data", str(folder / "binding.toml"), how, f"127.0.0.1:{port}", "--out", str(folder / "run")),
        ]
    return found


def free_port() -> int:
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_pair(halves: Mapping[str, Sequence[str]], logs: Mapping[str, Path], *, said: Said) -> None:
    """Runs both commands to their end.

    Args:
        halves: the commands, by party.
        logs: where each party's stderr is kept whole.
        said: told what happens.

    Raises:
        PairError: one of them failed. If both did, the reason is that of the side that did not just lose its peer.
    """
    lines: queue.Queue[tuple[str, str]] = queue.Queue()
    with contextlib.ExitStack() as stack:
        running = {party: stack.enter_context(_started(party, halves[party], logs[party], lines)) for party in halves}
        _relay(running, lines, said)
        ended = [half for half in running.values() if half.process.poll() is None]
        for half in running.values():
            _end(half.process)
            half.reader.join()
        while not lines.empty():
            _pass_on(running, *lines.get(), said)
    failed = [half for half in running.values() if half.process.returncode != 0 and half not in ended]
    if failed:
        half = next((half for half in failed if half.process.returncode != PeerError.exit_code), failed[0])
        code = half.process.returncode
        if code < 0:
            raise PairError(half.party, f"the process was ended by signal {-code}", CleanroomError.exit_code)
        raise PairError(half.party, half.failure or f"ended with exit code {code}", code)


def _relay(running: Mapping[str, _Half], lines: queue.Queue[tuple[str, str]], said: Said) -> None:
    """Passes lines on until both have ended; a side whose peer failed gets a moment to notice."""
    ends_at: float | None = None
    while any(half.process.poll() is None for half in running.values()):
        try:
            _pass_on(running, *lines.get(timeout=_POLL_SECONDS), said)
        except queue.Empty:
            at_work = [f"{half.party} {half.doing}" for half in running.values() if half.process.poll() is None]
            said(None, ", ".join(at_work))
        if ends_at is None and any(half.process.poll() not in (None, 0) for half in running.values()):
            ends_at = time.monotonic() + _GRACE_SECONDS
        if ends_at is not None and time.monotonic() > ends_at:
            return


def _pass_on(running: Mapping[str, _Half], party: str, line: str, said: Said) -> None:
    half = running[party]
    step = _STEP.match(line)
    if step is not None:
        half.doing = f"after {step['step']}"
        said(party, line)
    elif line.startswith(_FAILURE):
        half.failure = line.removeprefix(_FAILURE)


@contextlib.contextmanager
def _started(party: str, command: Sequence[str], log: Path, lines: queue.Queue[tuple[str, str]]) -> Iterator[_Half]:
    """Starts a process and reads what it says; whatever happens, it has ended when the context has."""
    with log.open("x", encoding="utf-8") as kept:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # the demonstration's own keys are plain: a passphrase for others' keys is none of theirs
            env={name: value for name, value in os.environ.items() if name != "CLEANROOM_PASSPHRASE_FILE"},
            encoding="utf-8",
            errors="replace",
        )
        if process.stderr is None:
            raise AssertionError("a pipe was asked for")
        reader = threading.Thread(target=_read, args=(party, process.stderr, kept, lines), daemon=True)
        reader.start()
        try:
            yield _Half(party=party, process=process, reader=reader)
        finally:
            _end(process)
            reader.join()
            process.stderr.close()


def _read(party: str, source: IO[str], kept: IO[str], lines: queue.Queue[tuple[str, str]]) -> None:
    for line in source:
        kept.write(line)
        kept.flush()
        lines.put((party, line.rstrip("\n")))


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
