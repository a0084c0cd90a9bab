"""Credit as signed weights: which touches an outcome's credit goes to, for every tick that it could have.

An outcome at tick t is credited to the touches with tick k <= t < k + X. Between breakpoints (a touch begins or ends
to earn, or decays by a step) nobody's credit changes, so a person's credit is a few segments of time, each with one
integer for every group; the credits of a segment sum to the unit. The weight of a group at a breakpoint is the credit
there less the credit before: with suffix sums G of outcomes, sum of weight(b) * G(b) = sum of credit * outcomes. A
credit's gates have weight 1 at the start of a group's longest interval with credit, in the family of the largest span
that it holds.

Touches are in the order of (tick, exact time, position in `groups`). Conventions 7, 8, 9 and 13.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cleanroom._kernels import credit_weights
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.clock import TickClock
from cleanroom.attribution.runs import distinct
from cleanroom.attribution.touched import Tally, Touched
from cleanroom.plan import Family, FamilyKind, Plan

__all__ = ["Credit", "Impulses", "breakpoints"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Impulses:
    """Weights at ticks, in no order; equal (owner, tick, group) add up."""

    owner: Ints = field(repr=False)
    tick: Ints = field(repr=False)
    group: Ints = field(repr=False)
    weight: Ints = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Credit:
    """The rule of an agreement and the families of its plan that it fills, as `credit_weights` takes them."""

    rule: tuple[str, int, int, int, int | None, int]  # model, unit, step, most windows, most touches, horizon
    rank: Ints = field(repr=False)  # (events,): the class of each event, 0 the highest
    windows: Ints = field(repr=False)  # (w,) ticks, ascending
    families: Ints = field(repr=False)  # (f, 2): position of the window, target of the first group
    via: NDArray[np.bool_] = field(repr=False)  # (f, events): whether a family looks at touches of an event
    gates: Ints = field(repr=False)  # (g, 4): position of the family, of the outcomes' event, span, first target

    @staticmethod
    def of(agreement: Agreement, plan: Plan) -> Credit:
        """That of an agreement and its plan."""
        exposure = agreement.exposure
        earning = [family for family in plan.families if family.kind is FamilyKind.CREDIT]
        windows = sorted({family.window_ticks or 0 for family in earning})
        families = [(windows.index(family.window_ticks or 0), _target(plan, family)) for family in earning]
        via = [[family.via is None or event in family.via for event in exposure.events] for family in earning]
        places = {(family.window_ticks, family.via): place for place, family in enumerate(earning)}
        gates = sorted(
            (
                places[family.window_ticks, family.via],
                agreement.outcome.events.index(str(family.event)),
                family.span_ticks or 0,
                _target(plan, family),
            )
            for family in plan.families
            if family.kind is FamilyKind.GATE
        )
        return Credit(
            rule=(
                exposure.credit or "",
                exposure.credit_unit,
                exposure.credit_step_ticks or 0,
                agreement.release.max_windows,
                exposure.max_touches,
                TickClock.of(agreement.time).horizon,
            ),
            rank=_ranks(agreement),
            windows=np.array(windows, dtype=np.int64),
            families=np.array(families, dtype=np.int64).reshape(-1, 2),
            via=np.array(via, dtype=np.bool_).reshape(-1, len(exposure.events)),
            gates=np.array(gates, dtype=np.int64).reshape(-1, 4),
        )

    def impulses(self, touches: Touched, tally: Tally) -> Impulses:
        """The weights of some persons' credit and of its gates, with targets for groups.

        Args:
            touches: of whole persons.
            tally: counts what the bounds on windows and touches drop.
        """
        (owner, tick, target, weight), dropped = credit_weights(
            np.ascontiguousarray(touches.owner, dtype=np.int64),
            np.ascontiguousarray(touches.tick, dtype=np.int64),
            np.ascontiguousarray(touches.group, dtype=np.int64),
            np.ascontiguousarray(touches.event, dtype=np.int64),
            self.rule,
            self.rank,
            self.windows,
            self.families,
            self.via,
            self.gates,
        )
        for window, (over_windows, over_touches) in zip(self.windows.tolist(), dropped.tolist(), strict=True):
            tally.over_windows[window] = tally.over_windows.get(window, 0) + over_windows
            tally.over_touches[window] = tally.over_touches.get(window, 0) + over_touches
        return Impulses(owner=owner, tick=tick, group=target, weight=weight)


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


def _target(plan: Plan, family: Family) -> int:
    """The target of a family's first group."""
    return plan.families.index(family) * plan.groups


def _ranks(agreement: Agreement) -> Ints:
    """The priority class of each event, 0 the highest; events that are not named come last, together."""
    classes = agreement.exposure.priority or ()
    names = agreement.exposure.events
    ranks = np.full(len(names), len(classes), dtype=np.int64)
    for rank, members in enumerate(classes):
        ranks[[names.index(name) for name in members]] = rank
    return ranks
