"""The exposure side of a world: who is assigned to which campaign, what they see, and what they do with it.

At a campaign's start each person of its audience is drawn into test or control, and both get an `assigned` event; only
the test group is exposed. A targeted campaign exposes its audience without a draw. Everybody also meets notes that
belong to no campaign. An exposure may be read, and a read note liked, saved, commented on or clicked.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.simulate.draws import Draws, Ints, Table, probability_of
from cleanroom.simulate.parameters import DAY, Parameters
from cleanroom.simulate.people import Crowd

__all__ = [
    "ARMS",
    "CONTROL",
    "DELAYS",
    "NOBODY",
    "TARGETED",
    "TEST",
    "TOUCH_EVENTS",
    "Assignments",
    "Touches",
    "assignments_of",
    "note_ranges",
    "touches_of",
]

TOUCH_EVENTS: Final = ("assigned", "exposure", "read", "like", "save", "comment", "click")
ARMS: Final = ("control", "test", "targeted")
CONTROL, TEST, TARGETED = range(3)
NOBODY: Final = -1
"""Stands for no campaign, no arm or no note."""
DELAYS: Final = Table((6, 3, 1))
"""Days from assignment to the first exposure."""

_FREQUENCY: Final = Table((30, 25, 18, 12, 9, 6))
_SLOTS: Final = 16  # exposures of one person and campaign are numbered below it
_ROWS: Final = 4096  # of one person, at most
_MORNING: Final = 8 * 3600
_WAKING: Final = 14 * 3600
# An exposed person's first exposure is from 8:00 to 22:00, so that what it causes within two hours is on the same day.
_READ: Final = probability_of(Decimal("0.4"))
_AFTER_READ: Final = tuple(
    (TOUCH_EVENTS.index(event), probability_of(Decimal(share)))
    for event, share in (("like", "0.12"), ("save", "0.06"), ("comment", "0.03"), ("click", "0.1"))
)
_TARGETING: Final = (Decimal("0.25"), Decimal(1), Decimal(2))  # by activity, times the usual share


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Assignments:
    """Who is in which campaign: n pairs of a person and a campaign.

    row: position in the crowd; person; campaign; arm: position in `ARMS`; first: seconds from the world's start to the
    first exposure, also where a control person would have had it; slot: the pair's own number.
    """

    row: Ints = field(repr=False)
    person: Ints = field(repr=False)
    campaign: Ints = field(repr=False)
    arm: Ints = field(repr=False)
    first: Ints = field(repr=False)
    slot: Ints = field(repr=False)

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Touches:
    """Rows of the exposure side, sorted by (person, time, event): n entries each.

    row: position in the crowd; seconds from the world's start; event: position in `TOUCH_EVENTS`; campaign, arm and
    note: -1 for none; account: 0 or 1.
    """

    row: Ints = field(repr=False)
    seconds: Ints = field(repr=False)
    event: Ints = field(repr=False)
    campaign: Ints = field(repr=False)
    arm: Ints = field(repr=False)
    note: Ints = field(repr=False)
    account: Ints = field(repr=False)

    def __len__(self) -> int:
        return len(self.row)


def note_ranges(parameters: Parameters) -> list[tuple[int, int]]:
    """Each campaign's notes and, last, those of no campaign, as half-open ranges of note numbers."""
    each = parameters.notes // (parameters.campaigns + 1)
    edges = [each * number for number in range(parameters.campaigns + 1)] + [parameters.notes]
    return list(itertools.pairwise(edges))


def assignments_of(draws: Draws, parameters: Parameters, crowd: Crowd) -> Assignments:
    """Everybody's campaigns; people whom the exposure side does not know are in none."""
    plan = parameters.plan()
    grid = crowd.person[:, None] * len(plan) + np.arange(len(plan))
    usual = min(Decimal("0.6"), Decimal(2) / len(plan))
    shares = np.full((3, len(plan)), probability_of(usual), dtype=np.uint64)
    for place, campaign in enumerate(plan):
        if campaign.targeted:
            shares[:, place] = [probability_of(min(Decimal("0.9"), usual * times)) for times in _TARGETING]
    inside = draws.chance("audience", grid, shares[crowd.activity]) & crowd.media[:, None]
    row, number = np.nonzero(inside)
    slot = grid[row, number]
    held_out = draws.chance("arm", slot, probability_of(parameters.control))
    targeted = np.array([campaign.targeted for campaign in plan])
    start = np.array([campaign.start_day for campaign in plan])
    day = start[number] + draws.pick("delay", slot, DELAYS)
    return Assignments(
        row=row,
        person=crowd.person[row],
        campaign=number,
        arm=np.where(targeted[number], TARGETED, np.where(held_out, CONTROL, TEST)),
        first=day * DAY + _MORNING + draws.below("first exposure", slot, _WAKING),
        slot=slot,
    )


def touches_of(draws: Draws, parameters: Parameters, crowd: Crowd, assigned: Assignments) -> Touches:
    """All rows of the crowd's people at the exposure side: sampled, and some delivered twice."""
    columns = [_assigned_events(parameters, assigned)]
    ranges = note_ranges(parameters)
    exposed = np.nonzero(assigned.arm != CONTROL)[0]
    times = 1 + draws.pick("frequency", assigned.slot[exposed], _FREQUENCY)
    pair, k = np.repeat(exposed, times), _counted(times)
    slot = assigned.slot[pair] * _SLOTS + k
    campaign, first = assigned.campaign[pair], assigned.first[pair]
    end = (np.array([c.start_day + c.flight_days for c in parameters.plan()]) * DAY)[campaign]
    # A flight of a day or two can end before a late first exposure.
    later = draws.below("later exposure", slot, np.maximum(end - first, 1))
    each = ranges[0][1] - ranges[0][0]
    note = campaign * each + draws.pick("note", slot, _popularity(each))
    columns += _chain(
        draws,
        "",
        slot,
        row=assigned.row[pair],
        seconds=np.where(k == 0, first, first + later),
        campaign=campaign,
        arm=assigned.arm[pair],
        note=note,
        account=np.zeros_like(pair),
    )
    row, k = np.repeat(np.arange(len(crowd)), crowd.notes), _counted(crowd.notes)
    slot = crowd.person[row] * _SLOTS + k
    low, high = ranges[-1]
    nothing = np.full(len(row), NOBODY)
    columns += _chain(
        draws,
        "organic ",
        slot,
        row=row,
        seconds=draws.below("organic exposure", slot, parameters.days * DAY - 3600),
        campaign=nothing,
        arm=nothing,
        note=low + draws.pick("organic note", slot, _popularity(high - low)),
        account=k & crowd.second["media"][row],
    )
    rows = np.concatenate(columns, axis=1)
    rows = rows[:, _delivered(draws, parameters, crowd, rows)]
    order = np.argsort((rows[0] << 40) | (rows[1] << 8) | rows[2], kind="stable")
    rows = rows[:, order]
    rows = np.repeat(rows, 1 + _repeated(draws, parameters, crowd, rows), axis=1)
    return Touches(
        row=rows[0], seconds=rows[1], event=rows[2], campaign=rows[3], arm=rows[4], note=rows[5], account=rows[6]
    )


def _assigned_events(parameters: Parameters, assigned: Assignments) -> Ints:
    drawn = assigned.arm != TARGETED
    start = np.array([campaign.start_day * DAY for campaign in parameters.plan()])
    count = int(np.count_nonzero(drawn))
    nothing = np.zeros(count, dtype=np.int64)
    campaign = assigned.campaign[drawn]
    return np.stack(
        [assigned.row[drawn], start[campaign], nothing, campaign, assigned.arm[drawn], nothing + NOBODY, nothing]
    )


def _chain(
    draws: Draws,
    kind: str,
    slot: Ints,
    *,
    row: Ints,
    seconds: Ints,
    campaign: Ints,
    arm: Ints,
    note: Ints,
    account: Ints,
) -> list[Ints]:
    """Exposures and what follows from each, as columns row, seconds, event, campaign, arm, note, account."""
    seen = np.stack([row, seconds, np.full_like(row, TOUCH_EVENTS.index("exposure")), campaign, arm, note, account])
    read = draws.chance(f"{kind}read", slot, _READ)
    slot, reading = slot[read], seen[:, read]
    reading[1] += 2 + draws.below(f"{kind}read after", slot, 30)
    reading[2] = TOUCH_EVENTS.index("read")
    chain = [seen, reading]
    for event, share in _AFTER_READ:
        done = draws.chance(f"{kind}{TOUCH_EVENTS[event]}", slot, share)
        doing = reading[:, done]
        doing[1] += 3 + draws.below(f"{kind}{TOUCH_EVENTS[event]} after", slot[done], 300)
        doing[2] = event
        chain.append(doing)
    return chain


def _delivered(draws: Draws, parameters: Parameters, crowd: Crowd, rows: Ints) -> NDArray[np.bool_]:
    """Which rows the sample keeps: in the sampling period a person is in it with all rows, or with none."""
    first, last = parameters.sampling_days
    outside = (rows[1] < first * DAY) | (rows[1] >= last * DAY)
    kept = draws.chance("sample", crowd.person, probability_of(parameters.sample))
    delivered: NDArray[np.bool_] = outside | kept[rows[0]]
    return delivered


def _repeated(draws: Draws, parameters: Parameters, crowd: Crowd, rows: Ints) -> NDArray[np.bool_]:
    """Which rows are delivered twice; the n-th row of a person has a number of its own."""
    new = np.ones(rows.shape[1], dtype=np.bool_)
    new[1:] = rows[0, 1:] != rows[0, :-1]
    starts = np.nonzero(new)[0]
    nth = np.arange(rows.shape[1]) - np.repeat(starts, np.diff(np.append(starts, rows.shape[1])))
    return draws.chance("repeated", crowd.person[rows[0]] * _ROWS + nth, probability_of(parameters.dirt.repeated))


def _counted(times: Ints) -> Ints:
    """0, 1, … below each count in turn."""
    ends = np.cumsum(times)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - times, times)


_TABLES: dict[int, Table] = {}


def _popularity(notes: int) -> Table:
    """Zipf over the notes of a campaign: the k-th is seen 1/k as often as the first."""
    if notes not in _TABLES:
        _TABLES[notes] = Table([10**12 // (rank + 1) for rank in range(notes)])
    return _TABLES[notes]
