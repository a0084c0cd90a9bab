"""Openings of a release: with noise, without, with differences suppressed, and with a sole recipient."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from tools.recipes.record import EXPOSURE, OUTCOME, SIDES, Json, head, listed, parties, streams, table
from tools.slow import opening
from tools.slow.frames import Sent
from tools.slow.transcript import Frame, numbered
from tools.slow.transfers import Transfers

__all__ = ["CASES", "listed_terms", "opening_frames", "opening_of"]

WORD: Final = 1 << 64
# columns: matched, buyers in 15 days, orders in 15 days, sales in 7 days, the automatic gate of the sales
TRUTH: Final = [[900, 700, 2100, 5_000_000, 500], [400, 49, 80, 90_000, 45], [300, 120, 260, 70_000, 10]]
GATES: Final = (0, 1, 1, 4, 4)
DECLARED: Final = (True, True, True, True, False)
LIFT: Final = [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, -300, 0, 0]]
SINK: Final = [[-3, 0, 9, -1, 0], [0, 0, 0, 0, 0], [0, -71, 0, 0, 0]]
ZERO: Final = [[0] * 5] * 3
CASES: Final = {
    "conjunction": (True, True),
    "differences": (True, True),
    "gaussian": (True, True),
    "none": (True, True),
    "sole_recipient": (True, False),
}
"""Name of the case and whether exposure and outcome side receive the figures."""
CHAINS: Final = {"conjunction": (((1,),), ((4,),)), "differences": (((4,), (1,)),)}
"""The two gates as windows of two events; as the shorter and the longer window of one. Matched people contain both."""
LABEL: Final = "from exposure"


def _terms(name: str) -> opening.Terms:
    noise = "none" if name in CHAINS or name == "none" else "gaussian"
    return opening.Terms(
        groups=len(TRUTH),
        gates=GATES,
        declared=DECLARED,
        noise=noise,
        min_people=250 if name in CHAINS else 50,
        receives=CASES[name],
        scales=(0.0 if noise == "none" else 2.5,) * len(GATES),
        writer="the vectors",
        chains=CHAINS.get(name, ()),
    )


def _shares() -> list[list[list[int]]]:
    drawn = hashlib.shake_256(b"shares of the exposure side").digest(8 * 15)
    mine = [[int.from_bytes(drawn[40 * g + 8 * j :][:8], "little") for j in range(5)] for g in range(3)]
    theirs = [[(t - own) % WORD for t, own in zip(*pair, strict=True)] for pair in zip(TRUTH, mine, strict=True)]
    return [mine, theirs]


@cache
def _opened(name: str) -> tuple[list[tuple[int, Sent]], opening.Opened]:
    """The messages before the opening, which without noise set up its transfers; and the opening."""
    terms = _terms(name)
    exposure, outcome = streams()
    before: list[tuple[int, Sent]] = []
    transfers = None
    if terms.noise == "none":
        transfers = Transfers(sender=exposure, receiver=outcome, label=LABEL)
        before = [(EXPOSURE if own else OUTCOME, message) for own, message in transfers.messages()]
    noises = (ZERO, ZERO) if terms.noise == "none" else (LIFT, SINK)
    made = opening.run(terms=terms, shares=_shares(), noises=noises, streams=(exposure, outcome), transfers=transfers)
    return before, made


def opening_frames(name: str) -> list[Frame]:
    """The frames of release/v1/NAME.json."""
    before, made = _opened(name)
    return numbered(before + made.sent)


def listed_terms(terms: opening.Terms) -> Json:
    """Terms as a file lists them."""
    return {
        "groups": terms.groups,
        "gates": list(terms.gates),
        "declared": list(terms.declared),
        "noise": terms.noise,
        "scales": list(terms.scales),
        "min_people": terms.min_people,
        "recipients": [side for side, own in zip(SIDES, terms.receives, strict=True) if own],
        "writer": terms.writer,
        "chains": [[list(level) for level in chain] for chain in terms.chains],
    }


def opening_of(name: str) -> Json:
    """release/v1/NAME.json."""
    terms, made = _terms(name), _opened(name)[1]
    noises = (ZERO, ZERO) if terms.noise == "none" else (LIFT, SINK)
    return {
        **head("release", "wire/release.md"),
        **parties(),
        "terms": listed_terms(terms),
        "truth": TRUTH,
        "shares_exposure": table(_shares()[0]),
        "noise": dict(zip(SIDES, noises, strict=True)),
        "passed": made.passed,
        "values": made.values,
        "frames": listed(opening_frames(name)),
    }
