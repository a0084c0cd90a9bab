"""Drives a party over a link: the one place where a pure protocol meets time and a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cleanroom.carrier import PeerSilentError
from cleanroom.errors import AgreementError, BudgetError, PeerError
from cleanroom.link import AbortReason, Link
from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.wire import Progress

__all__ = ["ProgressSink", "drive", "silent"]

T = TypeVar("T")

ProgressSink = Callable[[str, int, int], None]
"""Called with (step, done, total) while a run works, and with (step, 0, 0) when a step without rows begins."""


def silent(step: str, done: int, total: int) -> None:
    """A `ProgressSink` that tells nobody."""
    del step, done, total


def drive(party: Party[T], link: Link, *, step_timeout: float, progress: ProgressSink) -> T:
    """Runs a party to its end.

    Args:
        party: a fresh party.
        link: an open link to the peer.
        step_timeout: seconds without a sign of life after which the peer counts as gone.
        progress: told what the run is doing.

    Returns:
        The protocol's output.

    Raises:
        PeerError: the peer or the connection failed.
        CleanroomError: this side failed; the peer has been told that it stops, and in which of a few ways.
    """
    try:
        result = _loop(party, link, step_timeout, progress)
    except BaseException as error:
        party.fail()
        link.abort(_abort_reason(error))
        raise
    link.finish()
    return result


def _loop(party: Party[T], link: Link, step_timeout: float, progress: ProgressSink) -> T:
    step = ""
    while True:
        event = party.advance()
        if isinstance(event, Outgoing):
            if event.message.step != step:
                step = event.message.step
                progress(step, 0, 0)
            link.send(event.frame, timeout=step_timeout)
        elif isinstance(event, Progress):
            step = event.step
            progress(event.step, event.done, event.total)
            link.heartbeat()
        elif party.state is PartyState.DONE:
            return party.result
        else:
            expected = party.expected
            if expected is None:
                raise AssertionError("a waiting party expects something")
            if expected.message.step != step:
                step = expected.message.step
                progress(step, 0, 0)
            party.feed(link.receive(timeout=step_timeout, waiting_for=step))


def _abort_reason(error: BaseException) -> AbortReason:
    if isinstance(error, PeerSilentError):
        return AbortReason.TIMEOUT
    if isinstance(error, PeerError):
        return AbortReason.PROTOCOL
    if isinstance(error, AgreementError):
        return AbortReason.AGREEMENT
    if isinstance(error, BudgetError):
        return AbortReason.POLICY
    if isinstance(error, KeyboardInterrupt):
        return AbortReason.INTERRUPTED
    return AbortReason.INTERNAL
