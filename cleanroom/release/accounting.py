"""What a release costs and how exact it is: sensitivities, noise scales, errors. A function of the agreement alone.

Unit of privacy: one person, with all their rows, added or removed on either side. One person adds at most the
column's bound to at most `spread` groups of every opened column, automatic gates included: for what looks at windows
the cap to `max_groups_per_person` groups; for credit cap × max_windows × unit to all groups together, because the
credits of one outcome sum to one. Each side adds its own discrete noise to every opened cell, so that either side's
noise alone gives (epsilon, delta) against the other side; whoever sees only the released table is protected by both.

The noise of a column is in proportion to its bound: scale = multiplier * bound, one multiplier for the whole release.
The multiplier is the smallest thousandth for which OpenDP's own privacy map of the whole release, every column
composed, stays within the agreed (epsilon, delta). Rounding it up to a thousandth makes both sides agree on it to the
last bit.

Sources: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020) for the mechanism
and for zero-concentrated privacy; Ghosh, Roughgarden, Sundararajan (STOC 2009) for the discrete Laplace (geometric)
mechanism; OpenDP for the maps and the samplers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cleanroom.agreement.model import Agreement, Measure, Noise
from cleanroom.errors import AgreementError
from cleanroom.plan import Plan

if TYPE_CHECKING:
    from opendp.mod import Measurement

__all__ = [
    "ExpectedError",
    "PrivacyCost",
    "column_sensitivities",
    "composed_epsilon",
    "expected_errors",
    "figure_error",
    "noise_measurement",
    "privacy_cost",
]

MULTIPLIER_STEP: Final = 1000
"""The multiplier is a whole number of 1/1000 of a cap."""
MAX_MULTIPLIER: Final = 1 << 31
"""Caps of noise beyond which the agreed epsilon is taken for a mistake: such a release could hold no figure."""
_EXACT_STD_BELOW: Final = 8.0
"""Scales under this get the discrete distribution's own standard deviation; above it differs by less than 1e-15
(Gaussian) or by a closed form (Laplace)."""
WITHIN: Final[Mapping[Noise, float]] = MappingProxyType({Noise.GAUSSIAN: 1.96, Noise.LAPLACE: 2.06, Noise.NONE: 0.0})
"""Standard errors to either side of a figure within which 19 truths of 20 lie. Laplace: of the sum of two equal
variables (1 + x/2b) e^(-x/b) lies beyond x, 0.05 at x = 4.113 b; std = 2b."""


_Reaches = tuple[tuple[int, int], ...]
"""By column: the most that one person adds to one group, integer units, and to how many groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyCost:
    """What one run of an agreement costs, and the noise that each side adds for it.

    `epsilon` and `delta` are what the ledger charges: the agreed ones (delta 0 with Laplace), for the whole release.
    With noise "none" both are None: such a release has no privacy loss that could be stated.
    """

    noise: Noise
    epsilon: float | None
    delta: float | None
    rho: float | None  # the same run in zero-concentrated privacy, for composition with other runs
    groups_per_person: int
    opened_columns: int  # declared metrics and automatic gates: all of them are paid for
    multiplier: float  # scale of a column's noise in caps; 0 with noise "none"
    scales: tuple[float, ...]  # one side's scale, by column of the plan, integer units
    std_errors: tuple[float, ...]  # of a released figure (both sides' noise), by column, integer units


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedError:
    """How far a metric's released figures will be from the truth, before any run."""

    metric: str
    std_error: Decimal  # in released units: people, events, or money
    within: Decimal  # 19 figures of 20 are at most this far off
    text: str  # a sentence for people


def column_sensitivities(plan: Plan, *, norm: int) -> tuple[float, ...]:
    """How much one person can change a column of the table (all groups together).

    Args:
        plan: the columns, with their bounds per person and cell and their spreads.
        norm: 1 (Laplace) or 2 (Gaussian).

    Returns:
        The sensitivity of each column in that norm, in integer units, never rounded down.
    """
    return tuple(_sensitivity(reach, norm) for reach in _reaches(plan))


def privacy_cost(agreement: Agreement, plan: Plan) -> PrivacyCost:
    """Calibrates the noise of an agreement.

    Raises:
        AgreementError: no useful noise gives the agreed epsilon and delta.
    """
    rules = agreement.release
    groups = max(1, min(rules.max_groups_per_person, plan.groups))
    reaches = _reaches(plan)
    if rules.noise is Noise.NONE:
        zeros = tuple(0.0 for _ in reaches)
        return PrivacyCost(
            noise=rules.noise,
            epsilon=None,
            delta=None,
            rho=None,
            groups_per_person=groups,
            opened_columns=len(reaches),
            multiplier=0.0,
            scales=zeros,
            std_errors=zeros,
        )
    delta = rules.delta if rules.noise is Noise.GAUSSIAN else 0.0
    thousandths = _calibrate(rules.noise, float(rules.epsilon), float(delta), reaches)
    scales = tuple(_scale(thousandths, bound) for bound, _ in reaches)
    return PrivacyCost(
        noise=rules.noise,
        epsilon=float(rules.epsilon),
        delta=float(delta),
        rho=_rho(rules.noise, float(rules.epsilon), reaches, thousandths),
        groups_per_person=groups,
        opened_columns=len(reaches),
        multiplier=thousandths / MULTIPLIER_STEP,
        scales=scales,
        std_errors=tuple(figure_error(rules.noise, scale) for scale in scales),
    )


def expected_errors(agreement: Agreement, plan: Plan) -> tuple[ExpectedError, ...]:
    """Says for every declared metric how far its figures will be from the truth, in the agreement's order.

    Raises:
        AgreementError: as `privacy_cost`.
    """
    cost = privacy_cost(agreement, plan)
    factor = WITHIN[cost.noise]
    errors: list[ExpectedError] = []
    for column, std_error in zip(plan.columns, cost.std_errors, strict=True):
        if not column.declared:
            continue
        unit, words = Decimal(1), ""
        if column.measure is Measure.SUM:
            unit = agreement.outcome.precision or Decimal(1)
            words = f" {agreement.outcome.currency}" if agreement.outcome.currency else ""
        std_error /= column.unit
        within = (Decimal(factor * std_error).quantize(Decimal(1), rounding=ROUND_CEILING)) * unit
        if cost.noise is Noise.NONE:
            text = f"each {column.name} figure that is released is exact"
        else:
            text = f"each {column.name} figure will be within about ± {within:,}{words} of the truth, 19 times of 20"
        errors.append(
            ExpectedError(metric=column.name, std_error=Decimal(repr(std_error)) * unit, within=within, text=text)
        )
    return tuple(errors)


def figure_error(noise: Noise, scale: float) -> float:
    """The standard deviation of both sides' noise in one figure, integer units; 0 with noise none.

    Args:
        noise: the mechanism.
        scale: of one side's noise.
    """
    return 0.0 if noise is Noise.NONE or scale <= 0 else math.sqrt(2.0) * _std(noise, scale)


def noise_measurement(noise: Noise, scale: float) -> Measurement:
    """Builds OpenDP's discrete mechanism for one column: a vector of integers in, the same with noise out.

    Args:
        noise: gaussian or laplace.
        scale: the discrete Gaussian's sigma, or the discrete Laplace's scale, in integer units, > 0.
    """
    dp = _opendp()
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    built: Measurement
    if noise is Noise.GAUSSIAN:
        built = dp.m.make_gaussian(domain, dp.l2_distance(T=float), scale=scale)
    elif noise is Noise.LAPLACE:
        built = dp.m.make_laplace(domain, dp.l1_distance(T=float), scale=scale)
    else:
        raise AssertionError("noise none has no mechanism")
    return built


def composed_epsilon(rho: float, delta: float) -> float:
    """Converts zero-concentrated privacy, added up over runs, to the epsilon at a delta (OpenDP's conversion).

    Args:
        rho: the sum over the runs, >= 0.
        delta: in (0, 1).

    Returns:
        epsilon; infinite where no finite one holds.
    """
    dp = _opendp()
    runs = dp.m.make_user_measurement(
        dp.vector_domain(dp.atom_domain(T="i64")),
        dp.symmetric_distance(),
        dp.zero_concentrated_divergence(),
        lambda cells: 0,
        lambda people: rho * people,
        TO="i32",
    )
    epsilon, _ = dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(runs), delta).map(1)
    return float(epsilon)


def _rho(noise: Noise, epsilon: float, reaches: _Reaches, thousandths: int) -> float:
    """The run's zero-concentrated cost; pure epsilon is at most epsilon²/2 (Bun and Steinke, TCC 2016, prop. 1.4)."""
    if noise is Noise.LAPLACE:
        return math.nextafter(epsilon * epsilon / 2.0, math.inf)
    release: Any = _whole_release(noise, reaches, thousandths)  # OpenDP's map has no types
    return float(release.map(1))


def _release_map(noise: Noise, delta: float, reaches: _Reaches, thousandths: int) -> float:
    """Returns the epsilon (at `delta`) that OpenDP gives one side's noise on the whole release, for one person."""
    release: Any = _whole_release(noise, reaches, thousandths)  # OpenDP's map has no types
    if noise is Noise.LAPLACE:
        return float(release.map(1))
    dp = _opendp()
    epsilon, _ = dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(release), delta).map(1)
    return float(epsilon)


def _whole_release(noise: Noise, reaches: _Reaches, thousandths: int) -> Measurement:
    """One side's noise on every column, composed, as a measurement of people."""
    dp = _opendp()
    norm = 2 if noise is Noise.GAUSSIAN else 1
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    metric = dp.l2_distance(T=float) if norm == 2 else dp.l1_distance(T=float)
    columns = []
    for reach in reaches:
        sensitivity = _sensitivity(reach, norm)
        # one person more or less moves this column by at most its sensitivity: the caps of preparation see to it
        person = dp.t.make_user_transformation(
            domain,
            dp.symmetric_distance(),
            domain,
            metric,
            lambda cells: cells,
            lambda people, sensitivity=sensitivity: math.nextafter(sensitivity * people, math.inf),
        )
        columns.append(person >> noise_measurement(noise, _scale(thousandths, reach[0])))
    composed: Measurement = dp.c.make_composition(columns)
    return composed


@lru_cache(maxsize=64)
def _calibrate(noise: Noise, epsilon: float, delta: float, reaches: _Reaches) -> int:
    """Returns the smallest multiplier, in thousandths of a bound, whose release costs at most (epsilon, delta)."""
    low, high = 0, MULTIPLIER_STEP  # low is never enough, high will be
    while _release_map(noise, delta, reaches, high) > epsilon:
        low, high = high, high * 2
        if high > MAX_MULTIPLIER * MULTIPLIER_STEP:
            raise AgreementError("release.epsilon: no useful amount of noise gives the agreed epsilon and delta")
    while high - low > 1:
        middle = (low + high) // 2
        if _release_map(noise, delta, reaches, middle) > epsilon:
            low = middle
        else:
            high = middle
    return high


def _reaches(plan: Plan) -> _Reaches:
    return tuple((column.bound, column.spread) for column in plan.columns)


def _scale(thousandths: int, bound: int) -> float:
    return (thousandths * bound) / MULTIPLIER_STEP


def _sensitivity(reach: tuple[int, int], norm: int) -> float:
    bound, groups = reach
    if norm == 1:
        return float(bound * groups)
    return math.nextafter(math.sqrt(groups) * bound, math.inf)


def _std(noise: Noise, scale: float) -> float:
    """Standard deviation of one draw of the discrete distribution."""
    if noise is Noise.LAPLACE:
        # geometric on both sides with p = e^(-1/b): variance 2p / (1 - p)^2
        decay = math.exp(-1.0 / scale)
        return math.sqrt(2.0 * decay) / -math.expm1(-1.0 / scale)
    if scale >= _EXACT_STD_BELOW:
        return scale
    reach = range(-128, 129)
    weights = [math.exp(-(x * x) / (2.0 * scale * scale)) for x in reach]
    return math.sqrt(math.fsum(w * x * x for w, x in zip(weights, reach, strict=True)) / math.fsum(weights))


def _opendp() -> Any:  # OpenDP's prelude is a bag of dynamic names
    import opendp.prelude as dp

    dp.enable_features("contrib", "honest-but-curious")
    return dp
