"""Every error that leaves the toolkit, with the exit code that the command line gives it.

A message names the field, what was expected and what was found in kind; it never holds a value from the data.
"""

from __future__ import annotations

import os
import traceback

__all__ = [
    "AgreementError",
    "BudgetError",
    "CleanroomError",
    "DataError",
    "PeerError",
    "UsageError",
    "exit_code_of",
    "one_line",
    "reason_of",
]


class CleanroomError(Exception):
    """Something went wrong inside the toolkit itself; please report it with the line above."""

    exit_code = 1


class UsageError(CleanroomError):
    """The command or call was not of the form that the reference describes."""

    exit_code = 2


class AgreementError(CleanroomError):
    """The agreement, an identity or a signature is missing, invalid, expired or not the one that was signed."""

    exit_code = 3


class DataError(CleanroomError):
    """This side's own data, its binding, or the size of what was prepared from it does not fit the agreement."""

    exit_code = 4


class PeerError(CleanroomError):
    """The peer, or the connection to it, did something that the protocol does not allow; nothing was released."""

    exit_code = 5


class BudgetError(CleanroomError):
    """The privacy budget or the release policy does not allow this run; nothing was sent."""

    exit_code = 6


def exit_code_of(error: BaseException) -> int:
    """The exit code of any end."""
    return error.exit_code if isinstance(error, CleanroomError) else CleanroomError.exit_code


def one_line(text: str) -> str:
    """A text as one line on which no terminal acts: names and paths in it may come from a partner's file.

    Returns:
        The words with one space between them; characters that are not printable are question marks.
    """
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def reason_of(error: BaseException) -> str:
    """Says any end in one line.

    Args:
        error: our own errors speak for themselves; the text of a foreign one is left out, since it may quote data.

    Returns:
        One line without a value from the data.
    """
    if isinstance(error, CleanroomError) and str(error):
        return one_line(str(error))
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, MemoryError):
        return "this machine has not enough memory for the run"
    if isinstance(error, OSError) and error.errno is not None:
        return f"this machine refused: {os.strerror(error.errno)} (in {_place(error)})"
    return f"internal error: {type(error).__name__} in {_place(error)}; please report this line as a bug"


def _place(error: BaseException) -> str:
    """The last line of our own code that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "cleanroom" in frame.filename] or frames
    return f"{ours[-1].name}, line {ours[-1].lineno}" if ours else "an unknown place"
