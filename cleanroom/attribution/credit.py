"""Credit as signed weights: which touches an outcome's credit goes to, for every tick that it could have.

An outcome at tick t is credited to the touches with tick k <= t < k + X. Between breakpoints (a touch begins or ends
to earn, or decays by a step) nobody's credit changes, so a person's credit is a few segments of time, each with one
integer for every group; the credits of a segment sum to the unit. The weight of a group at a breakpoint is the credit
there less the credit before: with suffix sums G of outcomes, sum of weight(b) * G(b) = sum of credit * outcomes.

Touches are in the order of (tick, exact time, position in `groups`). Conventions 7, 8, 9 and 13.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cleanroom._kernels import longest_runs
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.runs import changes, distinct, expand
from cleanroom.attribution.touched import Tally, Touched

__all__ = ["Credited", "Impulses", "breakpoints", "credited"]

_SLICE_PAIRS: Final = 1 << 20
"""(segment, touch) pairs worked on at once: some tens of megabytes."""
_EXACT_STEPS: Final = 40
"""Steps of decay up to which 2^steps times the unit, for 16 touches, stays inside 63 bits."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Impulses:
    """Weights at ticks, in no order; equal (owner, tick, group) add up."""

    owner: Ints = field(repr=False)
    tick: Ints = field(repr=False)
    group: Ints = field(repr=False)
    weight: Ints = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """Credits of some touches in segments of time: (k,) each, owners ascending; `group` is a released one or -1."""

    owner: Ints = field(repr=False)
    start: Ints = field(repr=False)  # ticks, half-open
    end: Ints = field(repr=False)  # at most the horizon
    group: Ints = field(repr=False)
    event: Ints = field(repr=False)
    amount: Ints = field(repr=False)  # above 0, in fractions of the unit

    def of(self, events: tuple[int, ...] | None) -> Credited:
        """The part that falls to touches of these events (None for all) in groups that are released."""
        chosen = self.group >= 0
        if events is not None:
            chosen &= np.isin(self.event, events)
        return Credited(
            owner=self.owner[chosen],
            start=self.start[chosen],
            end=self.end[chosen],
            group=self.group[chosen],
            event=self.event[chosen],
            amount=self.amount[chosen],
        )

    def impulses(self, horizon: int) -> Impulses:
        """The signed weights: up at the start of a segment, down at its end."""
        ends = self.end < horizon
        return Impulses(
            owner=np.concatenate([self.owner, self.owner[ends]]),
            tick=np.concatenate([self.start, self.end[ends]]),
            group=np.concatenate([self.group, self.group[ends]]),
            weight=np.concatenate([self.amount, -self.amount[ends]]),
        )

    def longest(self) -> tuple[Ints, Ints, Ints, Ints]:
        """The longest interval with credit of each (owner, group), the earliest of equals: those, start and length."""
        return longest_runs(self.owner, self.group, self.start, self.end)


def credited(agreement: Agreement, touches: Touched, *, window: int, horizon: int, tally: Tally) -> Iterator[Credited]:
    """Yields the credit of some persons' touches for outcomes within `window` ticks after them, some persons at a time.

    Args:
        agreement: decides the rule, its bounds and priorities.
        touches: of whole persons.
        window: X, how long a touch may earn.
        horizon: ticks; nothing is earned from it on.
        tally: counts what the bounds on windows and touches drop.
    """
    columns = (touches.owner, touches.tick, touches.group, touches.event)
    code = touches.owner * (horizon + 1) + touches.tick
    if (code[1:] < code[:-1]).any():  # a date can go back where a zone's clocks do
        columns = _chosen(columns, np.argsort(code, kind="stable"))  # the order of time within a tick
    kept = _in_windows(columns[0], columns[1], window, agreement.release.max_windows, horizon)
    tally.over_windows[window] = tally.over_windows.get(window, 0) + int((~kept).sum())
    columns = _chosen(columns, kept)
    limit = agreement.exposure.max_touches
    if limit is not None:
        kept = _first_and_latest(columns[0], limit)
        tally.over_touches[window] = tally.over_touches.get(window, 0) + int((~kept).sum())
        columns = _chosen(columns, kept)
    owner, tick, group, event = columns
    offsets = _offsets(agreement, window)
    per_touch = len(offsets) * (1 if limit is None or not _shared(agreement) else limit)
    edges = np.append(np.flatnonzero(changes(owner)), len(owner)) if len(owner) else np.zeros(1, dtype=np.int64)
    low, end = 0, len(owner)
    while low < end:
        wanted = min(low + max(1, _SLICE_PAIRS // per_touch), end)
        high = int(edges[np.searchsorted(edges, wanted, side="left")])
        part = slice(low, high)
        yield _segments(agreement, owner[part], tick[part], group[part], event[part], window, horizon, offsets)
        low = high


def _chosen(columns: tuple[Ints, Ints, Ints, Ints], which: Ints | NDArray[np.bool_]) -> tuple[Ints, Ints, Ints, Ints]:
    if which.dtype == np.bool_ and which.all():
        return columns
    owner, tick, group, event = columns
    return owner[which], tick[which], group[which], event[which]


def breakpoints(agreement: Agreement, instants: Ints, windows: set[int], horizon: int) -> Ints:
    """Every tick before the horizon at which touches at these instants can change anybody's credit, ascending."""
    points = [np.zeros(0, dtype=np.int64)]
    for window in windows:
        points.append((instants[:, None] + _offsets(agreement, window)).reshape(-1))
    found = distinct(np.concatenate(points))
    return found[found < horizon]


def _offsets(agreement: Agreement, window: int) -> Ints:
    """How long after a touch its credit can change: at once, when it ends, and at every step of decay."""
    step = agreement.exposure.credit_step_ticks
    if agreement.exposure.credit != "time_decay" or step is None:
        return np.array([0, window], dtype=np.int64)
    return np.append(np.arange(0, window, step, dtype=np.int64), window)


def _shared(agreement: Agreement) -> bool:
    return agreement.exposure.credit not in ("last_touch", "first_touch")


def _in_windows(owner: Ints, tick: Ints, window: int, most: int, horizon: int) -> NDArray[np.bool_]:
    """Which touches, in order, earn inside a person's first `most` disjoint windows.

    A touch at k earns in [k, k + X). The windows cover that from left to right: one that the present cover [.., end)
    does not hold needs one more, [max(k, end), max(k, end) + X).
    """
    stride = horizon + 1
    code = owner * stride + tick
    first = np.flatnonzero(changes(owner)) if len(owner) else np.zeros(0, dtype=np.int64)
    last = np.append(first[1:], len(owner))
    at = first.copy()
    end = np.full(len(first), -1, dtype=np.int64)
    active = np.flatnonzero(at < last)
    for _ in range(most):
        if len(active) == 0:
            break
        begin = np.maximum(tick[at[active]], end[active])
        end[active] = begin + window
        # the next touch that is not covered: k + X > end, so k > begin
        beyond = owner[first[active]] * stride + np.minimum(begin, horizon)
        at[active] = np.minimum(np.searchsorted(code, beyond, side="right"), last[active])
        active = active[at[active] < last[active]]
    kept: NDArray[np.bool_] = np.arange(len(owner)) < np.repeat(at, last - first)
    return kept


def _first_and_latest(owner: Ints, limit: int) -> NDArray[np.bool_]:
    """A person's first touch and the latest `limit` − 1."""
    first = np.flatnonzero(changes(owner)) if len(owner) else np.zeros(0, dtype=np.int64)
    count = np.diff(np.append(first, len(owner)))
    place = np.arange(len(owner)) - np.repeat(first, count)
    kept: NDArray[np.bool_] = (place == 0) | (place > np.repeat(count, count) - limit)
    return kept


def _segments(
    agreement: Agreement, owner: Ints, tick: Ints, group: Ints, event: Ints, window: int, horizon: int, offsets: Ints
) -> Credited:
    stride = horizon + 1
    code = owner * stride + tick
    cuts = distinct((owner[:, None] * stride + np.minimum(tick[:, None] + offsets, horizon)).reshape(-1))
    holder, start = cuts // stride, cuts % stride
    end = np.append(start[1:], 0)
    follows = np.append(holder[1:] == holder[:-1], False)  # the last cut of a person begins nothing
    holder, start, end = holder[follows], start[follows], end[follows]
    rank = _ranks(agreement, event)
    if _shared(agreement):
        segment, touch, amount = _share(agreement, code, tick, rank, holder, start, window, stride)
    else:
        segment, touch = _single(agreement, code, rank, holder, start, window, stride)
        amount = np.ones(len(segment), dtype=np.int64)
    return Credited(
        owner=holder[segment],
        start=start[segment],
        end=end[segment],
        group=group[touch],
        event=event[touch],
        amount=amount,
    )


def _ranks(agreement: Agreement, event: Ints) -> Ints:
    """The priority class of each touch, 0 the highest; events that are not named come last, together."""
    classes = agreement.exposure.priority or ()
    names = agreement.exposure.events
    of_event = np.full(len(names), len(classes), dtype=np.int64)
    for rank, members in enumerate(classes):
        of_event[[names.index(name) for name in members]] = rank
    return of_event[event]


def _single(
    agreement: Agreement, code: Ints, rank: Ints, holder: Ints, start: Ints, window: int, stride: int
) -> tuple[Ints, Ints]:
    """The one touch that earns in each segment: of the highest class present the first or the last."""
    base = holder * stride
    earliest, latest = base + np.maximum(start - window + 1, 0), base + start
    chosen = np.full(len(holder), -1, dtype=np.int64)
    for level in np.flatnonzero(np.bincount(rank)).tolist():
        places = np.flatnonzero(rank == level)
        at = code[places]
        if agreement.exposure.credit == "first_touch":
            found = np.searchsorted(at, earliest, side="left")
        else:
            found = np.searchsorted(at, latest, side="right") - 1
        inside = (found >= 0) & (found < len(at))
        found = np.clip(found, 0, len(at) - 1)
        inside &= (at[found] >= earliest) & (at[found] <= latest) & (chosen < 0)
        chosen[inside] = places[found[inside]]
    segment = np.flatnonzero(chosen >= 0)
    return segment, chosen[segment]


def _share(
    agreement: Agreement, code: Ints, tick: Ints, rank: Ints, holder: Ints, start: Ints, window: int, stride: int
) -> tuple[Ints, Ints, Ints]:
    """(segment, touch, amount) of every touch that earns something."""
    base = holder * stride
    low = np.searchsorted(code, base + np.maximum(start - window + 1, 0), side="left")
    high = np.searchsorted(code, base + start, side="right")
    count = high - low
    segment = np.repeat(np.arange(len(holder)), count)
    touch = expand(low, count)
    if agreement.exposure.priority is not None and len(segment):
        best = np.minimum.reduceat(rank[touch], np.flatnonzero(changes(segment)))
        top = rank[touch] == np.repeat(best, count[count > 0])
        segment, touch = segment[top], touch[top]
        count = np.bincount(segment, minlength=len(holder))
    several = np.repeat(count, count)
    place = np.arange(len(segment)) - np.repeat(np.cumsum(count) - count, count)
    unit = agreement.exposure.credit_unit
    if agreement.exposure.credit == "time_decay":
        steps = (start[segment] - tick[touch]) // (agreement.exposure.credit_step_ticks or 1)
        amount = _decayed(steps, segment, unit)
    else:
        weight = np.ones(len(segment), dtype=np.int64)
        if agreement.exposure.credit == "position":
            outer = (several > 2) & ((place == 0) | (place == several - 1))
            weight[outer] = 2 * (several[outer] - 2)
        amount = _floored(weight, segment, unit)
    earns = amount > 0
    return segment[earns], touch[earns], amount[earns]


def _decayed(steps: Ints, segment: Ints, unit: int) -> Ints:
    """Shares in proportion to 2^-steps, exactly: in Python's integers where 64 bits do not hold them."""
    if len(segment) == 0:
        return steps
    starts = np.flatnonzero(changes(segment))
    count = np.diff(np.append(starts, len(segment)))
    oldest = np.repeat(np.maximum.reduceat(steps, starts), count)
    height = oldest - steps
    wide = np.repeat(np.maximum.reduceat(height, starts), count) > _EXACT_STEPS
    amount = np.zeros(len(segment), dtype=np.int64)
    amount[~wide] = _floored(np.left_shift(np.int64(1), height[~wide]), segment[~wide], unit)
    if wide.any():
        powers = np.array([1 << height for height in height[wide].tolist()], dtype=np.object_)
        amount[wide] = _floored(powers, segment[wide], unit)
    return amount


def _floored(weight: NDArray[Any], segment: Ints, unit: int) -> Ints:
    """Splits the unit in proportion to the weights of each segment; shares are floored, the last touch gets the rest.

    Args:
        weight: (k,) positive integers, int64 or Python's.
        segment: (k,) ascending.
        unit: what the shares of a segment sum to.
    """
    if len(segment) == 0:
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(changes(segment))
    count = np.diff(np.append(starts, len(segment)))
    total = np.repeat(np.add.reduceat(weight, starts), count)
    amount: Ints = (unit * weight // total).astype(np.int64)
    amount[np.append(starts[1:], len(segment)) - 1] += unit - np.add.reduceat(amount, starts)
    return amount
