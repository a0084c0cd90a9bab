"""The command line: one file a command, no logic."""

from __future__ import annotations

if __name__ != "cleanroom.cli":
    raise ImportError("import cleanroom.cli, not cli: a second name would be a second copy of it")

from cleanroom.cli.main import main

__all__ = ["main"]
