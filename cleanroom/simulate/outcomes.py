"""The outcome side of a world: sessions in the shop, some of a person's own accord, some caused by a campaign.

A session is a search, then perhaps a visit, a cart and an order of one to three lines, each a little later; an order
may be refunded days later. What a campaign causes is a session of its own, on top of those that happen anyway: its
depth is drawn for everybody assigned, test or control, and happens for those who were exposed. So both potential
outcomes of every person are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.simulate.draws import Draws, Ints, Table, Words, probability_of
from cleanroom.simulate.exposures import CONTROL, DELAYS, NOBODY, Assignments
from cleanroom.simulate.parameters import DAY, Parameters
from cleanroom.simulate.people import CATEGORIES, Crowd

__all__ = [
    "MEAN_FEN",
    "OUTCOME_EVENTS",
    "STAGES",
    "Outcomes",
    "Sessions",
    "arrived_within",
    "caused_sessions",
    "outcomes_of",
    "own_sessions",
    "stage_probability",
]

STAGES: Final = ("search", "visit", "add_to_cart", "order")
OUTCOME_EVENTS: Final = (*STAGES, "refund")

_DEPTHS: Final = Table((0, 40, 30, 15, 15))  # of a session that a person begins alone: how many stages it reaches
_CAUSED_STAGES: Final = (6, 4, 2, 1)
"""A campaign that adds an order with probability e adds a search with 6e, a visit with 4e, a cart with 2e."""
_SECONDS_BETWEEN: Final = ((20, 400), (20, 900), (20, 1200))
_LINES: Final = Table((6, 3, 1))
_REFUND: Final = probability_of(Decimal("0.08"))
_REFUND_DAYS: Final = 10
_LONGEST_SESSION: Final = 3600
_CAUSED_SLOT: Final = 64
_SLOTS: Final = 128  # sessions of one person: of its own accord below 64, caused by campaign c at 64 + c
_LINE_SLOTS: Final = 4
_PRICES: Final = np.array(
    [
        [3900, 8900, 12900, 19900, 29900, 59900],  # beauty
        [4900, 9900, 15800, 23900, 32900, 45900],  # baby
        [5900, 12900, 19900, 39900, 69900, 99900],  # sports
        [4990, 9990, 14990, 25990, 39990, 79990],  # fashion
        [990, 1990, 2990, 4990, 8990, 12990],  # food
        [1990, 4990, 9990, 19990, 49990, 99990],  # home
        [2990, 9900, 29900, 99900, 199900, 499900],  # digital
        [1590, 3990, 6990, 11990, 19990, 29990],  # pets
    ],
    dtype=np.int64,
)
"""Fen, a row a category, equally likely."""

MEAN_FEN: Final = Fraction(int(_PRICES.sum()), _PRICES.size) * Fraction(
    sum((lines + 1) * weight for lines, weight in enumerate(_LINES.weights)), sum(_LINES.weights)
)
"""The expected amount of an order."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sessions:
    """n sessions, also those that only would have happened.

    row: position in the crowd; slot: the session's own number; campaign: what caused it, -1 for nothing; depth: 0 to 4
    stages; happened; at: 4 × n, seconds from the world's start of each stage; category; fen: the order's total; refund:
    seconds, -1 for none.
    """

    row: Ints = field(repr=False)
    slot: Ints = field(repr=False)
    campaign: Ints = field(repr=False)
    depth: Ints = field(repr=False)
    happened: NDArray[np.bool_] = field(repr=False)
    at: Ints = field(repr=False)
    category: Ints = field(repr=False)
    lines: Ints = field(repr=False)
    fen: Ints = field(repr=False)
    refund: Ints = field(repr=False)

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Outcomes:
    """Rows of the outcome side, sorted by (person, time, event): n entries each.

    row: position in the crowd; seconds; event: position in `OUTCOME_EVENTS`; slot: the session's number; fen: -1 where
    there is no amount; category; account: 0 or 1.
    """

    row: Ints = field(repr=False)
    seconds: Ints = field(repr=False)
    event: Ints = field(repr=False)
    slot: Ints = field(repr=False)
    fen: Ints = field(repr=False)
    category: Ints = field(repr=False)
    account: Ints = field(repr=False)

    def __len__(self) -> int:
        return len(self.row)


def stage_probability(effect: Decimal, stage: int) -> Decimal:
    """The probability that a campaign of this effect adds a session that reaches a stage."""
    return min(Decimal(1), effect * _CAUSED_STAGES[stage])


def own_sessions(draws: Draws, parameters: Parameters, crowd: Crowd) -> Sessions:
    """The sessions that people begin of their own accord, over all days alike."""
    row = np.repeat(np.arange(len(crowd)), crowd.sessions)
    ends = np.cumsum(crowd.sessions)
    k = np.arange(len(row)) - np.repeat(ends - crowd.sessions, crowd.sessions)
    slot = crowd.person[row] * _SLOTS + k
    return _sessions(
        draws,
        parameters,
        row=row,
        slot=slot,
        campaign=np.full(len(row), NOBODY),
        depth=draws.pick("depth", slot, _DEPTHS),
        happened=np.ones(len(row), dtype=np.bool_),
        begin=draws.below("session", slot, parameters.days * DAY - _LONGEST_SESSION),
    )


def caused_sessions(draws: Draws, parameters: Parameters, crowd: Crowd, assigned: Assignments) -> Sessions:
    """What each assignment of a person known to both sides causes or would cause; depth 0 for nothing."""
    known = crowd.shop[assigned.row]
    campaign, first, arm = assigned.campaign[known], assigned.first[known], assigned.arm[known]
    slot = assigned.person[known] * _SLOTS + _CAUSED_SLOT + campaign
    limits: Words = np.array(
        [[probability_of(stage_probability(c.effect, stage)) for c in parameters.plan()] for stage in range(4)],
        dtype=np.uint64,
    )
    word = draws.words("caused depth", slot) >> np.uint64(1)
    depth = (word < limits[:, campaign]).sum(axis=0)
    days = draws.pick("lag", slot, _lags(parameters))
    return _sessions(
        draws,
        parameters,
        row=assigned.row[known],
        slot=slot,
        campaign=campaign,
        depth=depth,
        happened=(arm != CONTROL) & (depth > 0),
        begin=first + days * DAY + 300 + draws.below("caused session", slot, 1500),
    )


def arrived_within(parameters: Parameters, window: int) -> Fraction:
    """The probability that what is caused happens within so many days of the assignment, its own day the first."""
    lags, chance = _lags(parameters).weights, Fraction(0)
    for delay, weight in enumerate(DELAYS.weights):
        inside = sum(lags[: max(0, window - delay)])
        chance += Fraction(weight, sum(DELAYS.weights)) * Fraction(inside, sum(lags))
    return chance


def outcomes_of(crowd: Crowd, draws: Draws, *sessions: Sessions) -> Outcomes:
    """All rows of the crowd's people at the outcome side: one a stage, one a line of an order, one a refund."""
    columns = []
    for source in sessions:
        account = np.where(source.campaign == NOBODY, source.slot & 1, 0) * crowd.second["shop"][source.row]
        for stage in range(4):
            reached = np.nonzero(source.happened & (source.depth > stage))[0]
            fen = np.full(len(reached), -1)
            if STAGES[stage] == "order":
                lines = source.lines[reached]
                reached = np.repeat(reached, lines)
                ends = np.cumsum(lines)
                nth = np.arange(len(reached)) - np.repeat(ends - lines, lines)
                fen = _line_fen(draws, source.slot[reached], source.category[reached], nth)
            columns.append(_rows(source, reached, source.at[stage], stage, fen, account))
        back = np.nonzero(source.happened & (source.refund >= 0))[0]
        columns.append(_rows(source, back, source.refund, OUTCOME_EVENTS.index("refund"), source.fen[back], account))
    rows = np.concatenate(columns, axis=1)
    rows = rows[:, np.argsort((rows[0] << 40) | (rows[1] << 8) | rows[2], kind="stable")]
    return Outcomes(
        row=rows[0], seconds=rows[1], event=rows[2], slot=rows[3], fen=rows[4], category=rows[5], account=rows[6]
    )


def _lags(parameters: Parameters) -> Table:
    """Days from the first exposure to what it causes: most come soon."""
    return Table([10**6 // (day + 2) for day in range(parameters.flight_days)])


def _sessions(
    draws: Draws,
    parameters: Parameters,
    *,
    row: Ints,
    slot: Ints,
    campaign: Ints,
    depth: Ints,
    happened: NDArray[np.bool_],
    begin: Ints,
) -> Sessions:
    at = np.empty((4, len(row)), dtype=np.int64)
    at[0] = begin
    for stage, (least, spread) in enumerate(_SECONDS_BETWEEN, start=1):
        at[stage] = at[stage - 1] + least + draws.below(f"until {STAGES[stage]}", slot, spread)
    category = draws.below("category", slot, len(CATEGORIES))
    lines = 1 + draws.pick("lines", slot, _LINES)
    ordered = depth == len(STAGES)
    fen = np.zeros(len(row), dtype=np.int64)
    for nth in range(len(_LINES.weights)):
        has = ordered & (lines > nth)
        fen[has] += _line_fen(draws, slot[has], category[has], np.full(int(np.count_nonzero(has)), nth))
    back = at[3] + DAY * (1 + draws.below("refund after", slot, _REFUND_DAYS))
    refunded = ordered & draws.chance("refund", slot, _REFUND) & (back < parameters.days * DAY)
    return Sessions(
        row=row,
        slot=slot,
        campaign=campaign,
        depth=depth,
        happened=happened,
        at=at,
        category=category,
        lines=lines,
        fen=fen,
        refund=np.where(refunded, back, -1),
    )


def _line_fen(draws: Draws, slot: Ints, category: Ints, nth: Ints) -> Ints:
    product = draws.below("product", slot * _LINE_SLOTS + nth, _PRICES.shape[1])
    return _PRICES[category, product]


def _rows(source: Sessions, which: Ints, seconds: Ints, event: int, fen: Ints, account: Ints) -> Ints:
    return np.stack(
        [
            source.row[which],
            seconds[which],
            np.full(len(which), event),
            source.slot[which],
            fen,
            source.category[which],
            account[which],
        ]
    )
