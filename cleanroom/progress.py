"""What a person sees while a run works: bars on a terminal, one line a step elsewhere. All of it on stderr."""

from __future__ import annotations

import io
import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

__all__ = ["ProgressReport"]

_TITLES = {
    "data": "read and normalise",
    "connect": "find the peer",
    "session": "handshake",
    "session.confirm": "compare the transcripts",
    "session.seal": "sign the transcript",
    "bins": "cuckoo bins",
    "oprf": "oblivious PRF",
    "hint": "hint (OKVS)",
    "base_ot": "OT set-up",
    "ot": "OT set-up",
    "silent_vole": "silent VOLE",
    "equality": "equality in secret",
    "mux": "shares of matched values",
    "grouped_sum": "grouped sums (ring-LWE)",
    "release": "release",
    "simulate": "make people",
}
"""What people call a step, or a family of steps: all that share the part before the dot."""


def _title(step: str) -> str:
    family = step.partition(".")[0]
    return _TITLES.get(step) or _TITLES.get(family, family)


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        """Shows the speed, once there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s", style="progress.data.speed")


class ProgressReport:
    """A `ProgressSink` that draws. Use as a context manager; call it with (step, done, total)."""

    def __init__(self, *, name: str = "", stream: TextIO | None = None) -> None:
        """Args:
        name: put before every line, when two parties share a terminal.
        stream: where to draw; stderr if None.
        """
        self._stream = sys.stderr if stream is None else stream
        if self._stream is None:  # the process was started with its stderr closed
            self._stream = io.StringIO()
        self._prefix = f"{name}: " if name else ""
        self._title = ""
        self._started = time.monotonic()
        self._rows = 0
        self._task: TaskID | None = None
        self._bars: RichProgress | None = None

    def __enter__(self) -> ProgressReport:
        if self._stream.isatty():
            self._bars = RichProgress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish_step()
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __call__(self, step: str, done: int, total: int) -> None:
        """Takes a report."""
        title = _title(step)
        if title != self._title:
            self._finish_step()
            self._title = title
            self._started = time.monotonic()
            self._rows = 0
            if self._bars is not None:
                self._task = self._bars.add_task(self._prefix + title, total=total or None)
        self._rows = max(self._rows, done)
        if self._bars is not None and self._task is not None and total:
            self._bars.update(self._task, completed=done, total=total)

    def _finish_step(self) -> None:
        if not self._title:
            return
        seconds = time.monotonic() - self._started
        if self._bars is None:
            rate = f", {self._rows:,} rows, {self._rows / seconds:,.0f} rows/s" if self._rows and seconds > 0 else ""
            print(f"{self._prefix}{self._title}: {seconds:.1f} s{rate}", file=self._stream, flush=True)
        elif self._task is not None:
            task = next(task for task in self._bars.tasks if task.id == self._task)
            self._bars.update(self._task, completed=task.total or 1, total=task.total or 1)
        self._title = ""
