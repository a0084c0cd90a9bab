"""Whether a release is as private as its agreement says, measured: many releases of two neighbouring inputs.

The neighbours differ by one person who does as much as the agreement lets count (`neighbours.py`): in as many groups as
one may be in, every column at its cap. Each run draws the noise by which one side is protected from the other, adds it
to the table, judges the gates and leaves out what is suppressed: that is what a recipient holds when it has taken its
own noise off, before any rounding or signing. The join and the opening are replaced by what they compute; that the
opening's messages give exactly this is checked on some of the runs (`through_the_opening`). The two samples are then
told apart as well as we can (`distinguish.py`), by

- the likelihood ratio of all cells together, of each column and of each cell, under the noise that the agreement
  states;
- the best linear combination of all cells, learned from the runs: finds a cell without noise, or noise that is shared;
- the remainders of the cells by 2 and by 3, learned: finds noise on a coarser grid than the counts.

What this shows: a broken mechanism, by a bound above the promise. What it cannot show: that no better attack exists;
that is what the proof is for (`cleanroom.release.accounting`). The noise comes from the operating system, so no two
audits draw the same; a sound mechanism is called broken with probability at most 2e-6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Noise
from cleanroom.audit.distinguish import Bounds, Statistic, bounds
from cleanroom.audit.neighbours import contribution, unreached
from cleanroom.errors import AgreementError
from cleanroom.plan import Plan, plan_of
from cleanroom.protocols.seeds import Streams
from cleanroom.release import opening
from cleanroom.release.accounting import privacy_cost
from cleanroom.release.noise import draw_noise
from cleanroom.release.terms import ReleaseTerms, terms_of
from cleanroom.vectors.pairs import exchange

__all__ = ["DEFAULT_RUNS", "PrivacyAudit", "audit_privacy", "through_the_opening"]

DEFAULT_RUNS: Final = 100_000
"""Releases of each of the two inputs."""
_SMOOTH_SCALE: Final = 1.0
"""From this scale on the normal quantiles of a discrete Gaussian exceed mu by at most 5 %."""
_ROOM: Final = 1.12
"""How far rho = mu²/2 may be exceeded: the 5 % of `_SMOOTH_SCALE`, twice and a little."""
_RIDGE: Final = 1e-9
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyAudit:
    """What was promised and what was found; `faults` is empty for a sound mechanism."""

    runs: int
    groups: int  # that the person is counted in
    cells: int  # that the person moves
    epsilon: float
    delta: float
    rho: float
    found: Bounds
    faults: tuple[str, ...]
    notes: tuple[str, ...]  # what the audit could not reach


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _World:
    """The neighbours: what the person adds, to which table, in the groups that the person moves."""

    terms: ReleaseTerms  # of those groups
    table: NDArray[np.int64]
    person: NDArray[np.int64]


def audit_privacy(agreement: Agreement, *, runs: int = DEFAULT_RUNS) -> PrivacyAudit:
    """Audits the release of an agreement.

    Args:
        agreement: with noise; no data is read.
        runs: releases of each of the two inputs, at least 100.

    Raises:
        AgreementError: the agreement has no noise, so that nothing is promised.
    """
    plan = plan_of(agreement)
    cost = privacy_cost(agreement, plan)
    if cost.epsilon is None or cost.delta is None or cost.rho is None:
        raise AgreementError("release.noise: a release without noise promises no epsilon that could be measured")
    added = contribution(agreement, plan)
    faults = _over_the_caps(agreement, plan, added)
    world = _world(agreement, plan, added)
    promise = terms_of(agreement, plan).scales
    halves = [_releases(world, world.table + world.person, runs), _releases(world, world.table, runs)]
    found = bounds(_statistics(world, promise, halves), delta=cost.delta)
    if found.epsilon > cost.epsilon:
        faults.append(
            f"epsilon: at most {cost.epsilon:g} promised, at least {found.epsilon:.3f} found ({found.epsilon_by})"
        )
    smooth = cost.noise is Noise.GAUSSIAN and min(promise) >= _SMOOTH_SCALE
    if smooth and found.rho > _ROOM * cost.rho:
        faults.append(f"rho: at most {cost.rho:.4g} promised, at least {found.rho:.4g} found ({found.mu_by})")
    return PrivacyAudit(
        runs=runs,
        groups=int(added.any(axis=1).sum()),
        cells=int((added != 0).sum()),
        epsilon=cost.epsilon,
        delta=cost.delta,
        rho=cost.rho,
        found=found,
        faults=tuple(faults),
        notes=unreached(agreement, plan),
    )


def through_the_opening(terms: ReleaseTerms, table: NDArray[np.int64], noise: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a recipient holds of a table after the messages of the real opening.

    Args:
        terms: of the release, groups and all.
        table: groups × columns.
        noise: the other side's; this side's is none.

    Returns:
        groups × columns, NaN where nothing was opened.
    """
    shares = np.random.default_rng(1).integers(0, 2**64, table.shape, dtype=np.uint64)  # public here: any will do
    halves = {}
    for open_side, seed, mine, own in (
        (opening.exposure, b"e" * 32, shares, np.zeros_like(noise)),
        (opening.outcome, b"o" * 32, table.view(np.uint64) - shares, noise),
    ):
        streams = Streams(seed=seed, session_id=bytes(32))
        halves[open_side] = open_side(terms=terms, shares=mine, noise=own, streams=streams)
    opened = exchange(halves[opening.exposure], halves[opening.outcome]).first
    return np.where(opened.opened, opened.values, np.nan)


def ideal_opening(terms: ReleaseTerms, values: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the opening is for: every gate, and the cells whose gate reached the threshold; NaN for the others.

    Args:
        terms: for gates and threshold.
        values: … × columns, noised.
    """
    gates = np.zeros(terms.columns, dtype=np.bool_)
    gates[list(terms.gate_columns)] = True
    passed = values[..., list(terms.gates)] >= terms.min_people
    return np.where(gates | passed, values, np.nan)


def _over_the_caps(agreement: Agreement, plan: Plan, added: NDArray[np.int64]) -> list[str]:
    """The promise that the noise is made for: so many groups, so much in each cell."""
    faults = []
    most, groups = agreement.release.max_groups_per_person, int(added.any(axis=1).sum())
    if groups > most:
        faults.append(f"groups: a person counts in at most {most}, {groups} found")
    for index, column in enumerate(plan.columns):
        largest = int(abs(added[:, index]).max())
        if largest > column.bound:
            faults.append(f"{column.name}: a person adds at most {column.bound} to a group, {largest} found")
    return faults


def _world(agreement: Agreement, plan: Plan, added: NDArray[np.int64]) -> _World:
    """Counts far above the threshold in all groups but the last, where the gates are right at it."""
    person = added[added.any(axis=1)]
    terms = replace(terms_of(agreement, plan), groups=len(person))
    far = [terms.min_people + 50 * (column.bound + round(terms.scales[j])) for j, column in enumerate(plan.columns)]
    table = np.tile(np.array(far, dtype=np.int64), (len(person), 1))
    if len(person) > 1:
        table[-1, list(terms.gate_columns)] = terms.min_people
    return _World(terms=terms, table=table, person=person)


def _releases(world: _World, table: NDArray[np.int64], runs: int) -> Floats:
    """What one side sees in each run, the other side's noise on it: runs × groups × columns."""
    many = replace(world.terms, groups=runs * len(table))
    noise = draw_noise(many).reshape(runs, *table.shape)
    return ideal_opening(world.terms, table + noise)


def _statistics(world: _World, promise: tuple[float, ...], halves: list[Floats]) -> list[Statistic]:
    low, high = world.table.astype(np.float64), (world.table + world.person).astype(np.float64)
    scales = np.array(promise)
    ratios = []
    for seen in halves:
        if world.terms.noise is Noise.GAUSSIAN:
            ratio = ((seen - low) ** 2 - (seen - high) ** 2) / (2 * scales**2)
        else:
            ratio = (abs(seen - low) - abs(seen - high)) / scales
        ratios.append(np.nan_to_num(ratio))  # a cell that is not there says nothing beyond its gate
    first, second = ratios
    found = [Statistic(name="all cells", first=first.sum(axis=(1, 2)), second=second.sum(axis=(1, 2)))]
    for j in range(world.terms.columns):
        found.append(
            Statistic(name=f"column {j}", first=first[:, :, j].sum(axis=1), second=second[:, :, j].sum(axis=1))
        )
        found.append(Statistic(name=f"one cell of column {j}", first=first[:, 0, j], second=second[:, 0, j]))
    found.append(_linear(halves, low))
    return [*found, *(_remainders(halves, modulus) for modulus in (2, 3))]


def _linear(halves: list[Floats], centre: Floats) -> Statistic:
    """Fisher's discriminant of all cells, learned on the first half of the runs."""
    flat = [np.nan_to_num(seen - centre).reshape(len(seen), -1) for seen in halves]
    learned = [cells[: len(cells) // 2] for cells in flat]
    spread = np.sum([np.cov(cells, rowvar=False).reshape(cells.shape[1], -1) for cells in learned], axis=0)
    ridge = _RIDGE * (np.diag(spread).max() + 1.0) * np.eye(len(spread))
    weights = np.linalg.solve(spread + ridge, learned[0].mean(axis=0) - learned[1].mean(axis=0))
    return Statistic(name="a combination of cells", first=flat[0] @ weights, second=flat[1] @ weights)


def _remainders(halves: list[Floats], modulus: int) -> Statistic:
    """The learned log odds of every cell's remainder, added up; a missing cell is a value of its own."""
    codes = [np.where(np.isnan(seen), modulus, np.mod(seen, modulus)).reshape(len(seen), -1) for seen in halves]
    totals = [np.zeros(len(code)) for code in codes]
    for cell in range(codes[0].shape[1]):
        rates = [np.bincount(code[: len(code) // 2, cell].astype(np.int64), minlength=modulus + 1) for code in codes]
        odds = np.log(rates[0] + 0.5) - np.log(rates[1] + 0.5)
        for total, code in zip(totals, codes, strict=True):
            total += odds[code[:, cell].astype(np.int64)]
    return Statistic(name=f"remainders by {modulus}", first=totals[0], second=totals[1])
