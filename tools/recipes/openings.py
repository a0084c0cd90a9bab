"""Openings of a release: with noise, without, and with a sole recipient."""

from __future__ import annotations

import hashlib
from typing import Final

from tools.recipes.record import SIDES, Json, head, listed, numbered, parties, streams, table
from tools.slow import opening
from tools.slow.transcript import Frame

__all__ = ["CASES", "opening_frames", "opening_of"]

WORD: Final = 1 << 64
# columns: matched, buyers in 15 days, orders in 15 days, sales in 7 days, the automatic gate of the sales
TRUTH: Final = [[900, 700, 2100, 5_000_000, 500], [400, 49, 80, 90_000, 45], [300, 120, 260, 70_000, 10]]
GATES: Final = (0, 1, 1, 4, 4)
DECLARED: Final = (True, True, True, True, False)
LIFT: Final = [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, -300, 0, 0]]
SINK: Final = [[-3, 0, 9, -1, 0], [0, 0, 0, 0, 0], [0, -71, 0, 0, 0]]
ZERO: Final = [[0] * 5] * 3
CASES: Final = {"gaussian": (True, True), "none": (True, True), "sole_recipient": (True, False)}
"""Name of the case and whether exposure and outcome side receive the figures."""


def _terms(name: str) -> opening.Terms:
    noise = "none" if name == "none" else "gaussian"
    return opening.Terms(
        gates=GATES,
        declared=DECLARED,
        noise=noise,
        min_people=50,
        receives=CASES[name],
        scales=(0.0 if noise == "none" else 2.5,) * len(GATES),
        writer="the vectors",
    )


def _shares() -> list[list[list[int]]]:
    drawn = hashlib.shake_256(b"shares of the exposure side").digest(8 * 15)
    mine = [[int.from_bytes(drawn[40 * g + 8 * j :][:8], "little") for j in range(5)] for g in range(3)]
    theirs = [[(t - own) % WORD for t, own in zip(*pair, strict=True)] for pair in zip(TRUTH, mine, strict=True)]
    return [mine, theirs]


def _opened(name: str) -> opening.Opened:
    terms, shares = _terms(name), _shares()
    bits = None
    if terms.noise == "none":  # the comparison has vectors of its own: here its bits are given
        count = len(opening.gate_cells(terms, len(TRUTH)))
        bits = opening.compared_bits(shares, terms, [1] * count)
    noises = (ZERO, ZERO) if terms.noise == "none" else (LIFT, SINK)
    return opening.run(terms=terms, shares=shares, noises=noises, streams=streams(), bits=bits)


def opening_frames(name: str) -> list[Frame]:
    """The frames of release/v1/NAME.json."""
    return numbered(_opened(name).sent)


def opening_of(name: str) -> Json:
    """release/v1/NAME.json."""
    terms, made = _terms(name), _opened(name)
    noises = (ZERO, ZERO) if terms.noise == "none" else (LIFT, SINK)
    return {
        **head("release", "wire/release.md"),
        **parties(),
        "terms": {
            "groups": len(TRUTH),
            "gates": list(GATES),
            "declared": list(DECLARED),
            "noise": terms.noise,
            "scales": list(terms.scales),
            "min_people": terms.min_people,
            "recipients": [side for side, own in zip(SIDES, terms.receives, strict=True) if own],
            "writer": terms.writer,
        },
        "truth": TRUTH,
        "shares_exposure": table(_shares()[0]),
        "noise": dict(zip(SIDES, noises, strict=True)),
        "passed": made.passed,
        "values": made.values,
        "frames": listed(numbered(made.sent)),
    }
