"""What the terminal shows while a demonstration works: a line a step from each party, and a sign of life between."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Final, TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text

__all__ = ["Talk"]

QUIET_SECONDS: Final = 1.5
"""After this long without a line, where no spinner can turn, a line says that the work goes on."""
_STYLES: Final = {"media": "cyan", "shop": "magenta"}
_DEMO: Final = "demo"


class Talk:
    """Lines on stderr, each under the name of who says it. Use as a context manager."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Args:
        stream: where to talk; stderr if None.
        """
        self._console = Console(file=sys.stderr if stream is None else stream, highlight=False, soft_wrap=True)
        self._status = Status("", console=self._console) if self._console.is_terminal else None
        self._doing = ""
        self._started = self._spoke = time.monotonic()
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Talk:
        if self._status is None:
            self._ticker.start()
        else:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._status is None:
            self._ticker.join()
        else:
            self._status.stop()

    def doing(self, what: str) -> None:
        """Says what the work is at, until something else is said."""
        self._doing = what
        if self._status is not None:
            self._status.update(what)

    def say(self, line: str, *, who: str = _DEMO) -> None:
        """Prints a line under a name."""
        self._spoke = time.monotonic()
        self._console.print(Text.assemble((f"{who:>5} ", _STYLES.get(who, "bold")), line))

    def _tick(self) -> None:
        while not self._done.wait(0.25):
            now = time.monotonic()
            if now - self._spoke >= QUIET_SECONDS:
                self.say(f"… {self._doing} ({now - self._started:.0f} s since the start)")
