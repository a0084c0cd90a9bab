"""Every error that leaves the toolkit, with the exit code that the command line gives it.

A message names the field, what was expected and what was found in kind; it never holds a value from the data.
"""

from __future__ import annotations

__all__ = [
    "AgreementError",
    "BudgetError",
    "CleanroomError",
    "DataError",
    "PeerError",
    "UsageError",
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
