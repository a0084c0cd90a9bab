"""What a person sees while a run works: bars on a terminal, one line a step elsewhere. All of it on stderr.

Where the join takes several buckets, a step is one of a bucket, which its line names. Steps that come in turns, as
transfers are made while the equality uses them, have one line all the same, for all their stretches.
"""

from __future__ import annotations

import io
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, TextIO

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


_BUCKET: Final = "bins.bucket"
"""No step: says that a bucket begins, its number from 0 and how many there are; the last is followed by that number."""
_IN_TURNS: Final = {"OT set-up", "silent VOLE", "equality in secret"}
_LAST_IN_TURNS: Final = "equality in secret"
"""Once a step that takes no turns follows it, none of these comes back in the same bucket."""


def _title(step: str) -> str:
    family = step.partition(".")[0]
    return _TITLES.get(step) or _TITLES.get(family, family)


@dataclass(slots=True, kw_only=True)
class _Step:
    """What is known of a step that may go on: its time and rows in all stretches."""

    name: str  # its title, and which bucket it is of
    bar: TaskID | None
    seconds: float = 0.0
    rows: int = 0  # of the passes before
    done: int = 0  # in the pass that goes on
    total: int = 0

    def count(self, done: int, total: int) -> None:
        """Takes a report; another total, or fewer rows than before, is another pass over other rows."""
        if total and self.total and (total != self.total or done < self.done):
            self.rows += self.done
            self.done = 0
        self.done, self.total = max(self.done, done), total or self.total

    @property
    def rate(self) -> str:
        """Rows a second, once there is one."""
        rows = self.rows + self.done
        return f"{rows / self.seconds:,.0f} rows/s" if rows and self.seconds > 0 else ""


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        """Shows the speed, once there is one."""
        return Text(task.fields["rate"], style="progress.data.speed")


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
        self._bucket = ""
        self._steps: dict[str, _Step] = {}  # by title, in the order in which they began; those that may go on
        self._current: _Step | None = None
        self._counted: float | None = None  # up to where time belongs to a step; None before the first
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
        self._pass_time()
        self._finish(list(self._steps))
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __call__(self, step: str, done: int, total: int) -> None:
        """Takes a report."""
        self._pass_time()
        if step == _BUCKET:
            self._finish(list(self._steps))
            self._bucket = f", bucket {done + 1} of {total}" if done < total else ""
            return
        title = _title(step)
        if title not in self._steps:
            self._begin(title, total)
        current = self._current = self._steps[title]
        current.count(done, total)
        if self._bars is not None and current.bar is not None:
            self._bars.update(current.bar, rate=current.rate)
            if total:
                self._bars.update(current.bar, completed=done, total=total)

    def _pass_time(self) -> None:
        """Charges what passed to the step that went on; between two buckets the next one gets it."""
        now = time.monotonic()
        if self._counted is None:
            self._counted = now
        if self._current is not None:
            self._current.seconds += now - self._counted
            self._counted = now

    def _begin(self, title: str, total: int) -> None:
        if title not in _IN_TURNS:
            over = _LAST_IN_TURNS in self._steps
            self._finish([other for other in self._steps if over or other not in _IN_TURNS])
        name = self._prefix + title + self._bucket
        bar = None if self._bars is None else self._bars.add_task(name, total=total or None, rate="")
        self._steps[title] = _Step(name=name, bar=bar)

    def _finish(self, titles: list[str]) -> None:
        """Tells of steps that do not go on."""
        for title in titles:
            step = self._steps.pop(title)
            if self._bars is None:
                rate = f", {step.rows + step.done:,} rows, {step.rate}" if step.rate else ""
                print(f"{step.name}: {step.seconds:.1f} s{rate}", file=self._stream, flush=True)
            elif step.bar is not None:
                total = step.total or 1
                self._bars.update(step.bar, completed=total, total=total, rate=step.rate)
        self._current = None
