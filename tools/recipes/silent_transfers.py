"""An equality test on silent transfers: 61 numbers of 20 bits, so that the first correction ends in half a byte."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from tools.recipes.record import EXPOSURE, OUTCOME, SESSION_ID, Json, head, listed, parties, streams
from tools.recipes.transfers import SEEDS, words
from tools.slow.selections import equal
from tools.slow.silent_transfers import SilentTransfers
from tools.slow.transcript import Frame, numbered
from tools.slow.transfers import Transfers

__all__ = ["silent_transfers_frames", "silent_transfers_run"]

COUNT: Final = 61
WIDTH: Final = 20
LABEL: Final = "exposure-sends"


@cache
def _run() -> tuple[list[Frame], list[str]]:
    """The frames, and the digests of both sides' shares."""
    exposure, outcome = streams(seeds=SEEDS)
    base = Transfers(sender=exposure, receiver=outcome, label=LABEL)
    transfers = SilentTransfers(base, sender=exposure, receiver=outcome, label=LABEL)
    a = words("equality", COUNT)
    b = [word ^ (1 << place % WIDTH if place % 3 == 0 else 0) for place, word in enumerate(a)]
    first, second, messages = equal(transfers, a, b, width=WIDTH)
    equals = [one ^ other for one, other in zip(first, second, strict=True)]
    assert equals == [int(place % 3 != 0) for place in range(COUNT)]
    sent = [(EXPOSURE if own else OUTCOME, message) for own, message in base.messages()]
    return numbered(sent + messages), [hashlib.sha256(bytes(shares)).hexdigest() for shares in (first, second)]


def silent_transfers_frames() -> list[Frame]:
    """The frames of silent_ot/v1/run.json."""
    return _run()[0]


def silent_transfers_run() -> Json:
    """silent_ot/v1/run.json."""
    frames, shares = _run()
    return {
        **head("silent_ot", "wire/silent-ot.md"),
        **parties(SESSION_ID, SEEDS),
        "count": COUNT,
        "width": WIDTH,
        "shares": shares,
        "frames": listed(frames),
    }
