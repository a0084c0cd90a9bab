"""What every command that uses an identity shares: its folder, and the passphrase of its key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cleanroom.passphrase import read_passphrase

__all__ = ["PASSPHRASE_VARIABLE", "passphrase_of", "passphrase_option"]

F = TypeVar("F", bound=Callable[..., Any])  # Any: click decorates functions of every shape
PASSPHRASE_VARIABLE = "CLEANROOM_PASSPHRASE_FILE"


def passphrase_option(function: F) -> F:
    """Adds `--passphrase-file`, which the environment may give as well; nothing ever asks for a passphrase."""
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path),
        envvar=PASSPHRASE_VARIABLE,
        help=f"Holds the key's passphrase; a file (0600) or /dev/fd/N. Also ${PASSPHRASE_VARIABLE}.",
    )(function)


def passphrase_of(path: Path | None) -> bytes | None:
    """The passphrase in a file; None without one.

    Raises:
        UsageError: the file cannot be used.
    """
    return None if path is None else read_passphrase(path)
