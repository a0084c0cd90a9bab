"""Whether the numbers of an agreement fit the join's arithmetic, and what its owners should be warned about.

Convention 10 of the attribution page: sums are shares mod 2^64 and must stay below 2^63, noise included; the answers of
the grouped sum must decode with bits to spare.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import cleanroom.plan  # as modules: they import this package's model
import cleanroom.sampling
from cleanroom.agreement.durations import tick_length
from cleanroom.agreement.model import Agreement, Noise, Period, Resolution, TimeRules
from cleanroom.errors import AgreementError
from cleanroom.identity import read_certificate
from cleanroom.protocols.rlwe import slack_bits

__all__ = [
    "LEAST_SLACK_BITS",
    "MAX_ROW_VALUES",
    "agreement_warnings",
    "check_capacity",
    "noise_bound",
]

MAX_ROW_VALUES = 1024  # each is 64 bits of every row on the wire, and of the memory of both sides

LEAST_SLACK_BITS = 2.0
SUM_LIMIT = 2**63
DEVIATIONS = 40  # noise beyond this many standard deviations is less likely than 2^-1000

FEW_PEOPLE = 10  # below it a threshold without noise says little; the public systems begin at 50
LARGE_EPSILON = 8.0
LARGE_DELTA = 1e-4


def check_capacity(agreement: Agreement) -> None:
    """Refuses an agreement whose sums could overflow, or whose answers could decode wrongly.

    Raises:
        AgreementError: naming the metric.
    """
    plan = cleanroom.plan.plan_of(agreement)
    _check_names(plan)
    if len(plan.row_values) > MAX_ROW_VALUES:
        raise AgreementError(
            f"metrics: {len(plan.row_values)} columns with labels, thresholds and their parts, expected at most "
            f"{MAX_ROW_VALUES}; declare fewer metrics, label values or windows"
        )
    _check_differences(agreement, plan)
    rows = min(agreement.protocol.rows_exposure, agreement.protocol.rows_outcome)
    for column in plan.columns:
        noise = DEVIATIONS * noise_bound(agreement, columns=len(plan.columns), cap=column.bound)
        largest = max(_largest(agreement, plan.row_values[index]) for index in column.values)
        if rows * column.unit * largest + noise >= SUM_LIMIT:
            credit = ", times the credit's fixed-point unit and its windows in the horizon" if column.credit else ""
            raise AgreementError(
                f"metrics[{column.name}].cap: protocol.max_rows times the cap{credit}, with noise, would pass 2^63 "
                "units; lower one of them, or raise outcome.precision or release.epsilon"
            )
    outputs = plan.groups * len(plan.row_values)
    slack = slack_bits(rows=agreement.protocol.rows_exposure, weight_bound=plan.unit, outputs=outputs)
    if slack < LEAST_SLACK_BITS:
        raise AgreementError(
            f"metrics[{plan.columns[0].name}]: {outputs} cells over protocol.max_rows.exposure = "
            f"{agreement.protocol.rows_exposure} leave {slack:.1f} bits to decode sums, expected at least "
            f"{LEAST_SLACK_BITS:.0f}; declare fewer groups or rows"
        )


def _check_differences(agreement: Agreement, plan: cleanroom.plan.Plan) -> None:
    """Refuses to suppress differences of counts that form no chain: see `cleanroom.release.terms`."""
    if not agreement.release.suppress_differences:
        return
    for index in sorted({column.gate for column in plan.columns}):
        column = plan.columns[index]
        plain = column.event is None or column.window_ticks is None
        if not plain and (
            column.credit or column.change or column.label or column.via or column.period is not Period.AFTER
        ):
            raise AgreementError(
                "release.differences: suppress is built for matched people and windows of all touches alone, not for "
                f"{column.name}; leave labels, credit, via, period and lift out, or use noise"
            )


def _largest(agreement: Agreement, value: cleanroom.plan.RowValue) -> int:
    """The largest absolute value of a row: a suffix sum holds every window of the horizon."""
    if value.squared:
        return value.cap**2
    if not value.suffix:
        return value.cap
    time = agreement.time
    ticks = _ticks_until_end(time, time.start)
    return value.cap * -(-ticks // (value.window_ticks or 1))


def _check_names(plan: cleanroom.plan.Plan) -> None:
    names = [column.name for column in plan.columns]
    twice = next((name for position, name in enumerate(names) if name in names[:position]), None)
    if twice is not None:
        raise AgreementError(f"metrics: two columns would have the name {twice!r}; rename a metric")


def noise_bound(agreement: Agreement, *, columns: int, cap: int) -> int:
    """Bounds the standard deviation of one side's noise on a cell, before any accountant is asked.

    Every opened column is scaled to its bound, so a person moves at most `max_groups_per_person` cells of each column
    by one bound. Gaussian: rho-zCDP implies (rho + 2·sqrt(rho·ln(1/delta)), delta)-DP (Bun–Steinke, ePrint 2016/816,
    proposition 1.3), solved for rho; an accountant finds less noise than that. Laplace: sqrt(2) times the scale.

    Args:
        agreement: for its release rules.
        columns: how many columns are opened, automatic gates included.
        cap: the most that one person adds to one cell of the column, in integer units.

    Returns:
        Integer units, rounded up; 0 without noise.
    """
    rules = agreement.release
    moved = rules.max_groups_per_person * columns
    if rules.noise is Noise.NONE:
        return 0
    if rules.noise is Noise.LAPLACE:
        return math.ceil(math.sqrt(2) * cap * moved / rules.epsilon)
    tail = math.log(1 / rules.delta)
    rho = (math.sqrt(tail + rules.epsilon) - math.sqrt(tail)) ** 2
    return math.ceil(cap * math.sqrt(moved / (2 * rho)))


def agreement_warnings(agreement: Agreement) -> tuple[str, ...]:
    """What is allowed but should be meant: one line each, naming the key."""
    return (
        *_time_warnings(agreement),
        *_credit_warnings(agreement),
        *_release_warnings(agreement),
        *_sampling_warnings(agreement),
    )


def _time_warnings(agreement: Agreement) -> list[str]:
    found: list[str] = []
    left = _ticks_after_last_touch(agreement)
    cut = ", ".join(
        metric.name
        for metric in agreement.metrics
        if (metric.window_ticks or 0) > left and metric.period is Period.AFTER
    )
    if cut:
        found.append(f"exposure.end: windows that begin at the last touches pass time.end and are cut: {cut}")
    if agreement.time.resolution is Resolution.DAY:
        zone = ZoneInfo(agreement.time.zone)
        for name, instant in (("start", agreement.time.start), ("end", agreement.time.end)):
            if instant.astimezone(zone).time() != datetime.min.time():
                found.append(f"time.{name}: is not midnight in {agreement.time.zone}: that day is a partial one")
    for party in agreement.parties:
        if _not_after(party.certificate_pem).date() < agreement.valid_until:
            found.append(f"parties.{party.name}.certificate: expires before valid_until")
    return found


def _credit_warnings(agreement: Agreement) -> list[str]:
    """A touch earns for a whole window from its own tick on, so one window holds the touches of one tick alone."""
    windows = [metric.window_ticks for metric in agreement.metrics if metric.credit and metric.window_ticks is not None]
    if not windows or agreement.release.max_windows > 1:
        return []
    exposure = agreement.exposure
    last_touch = exposure.end - timedelta(microseconds=1)
    later = _ticks_until_end(agreement.time, exposure.start) - _ticks_until_end(agreement.time, last_touch)
    if later == 0:
        return []
    # w windows side by side hold all that touches up to (w - 1) windows after the first one earn in
    enough = max(-(-later // window) + 1 for window in windows)
    return [
        "release.max_windows: 1 lets a person earn credit by the touches of the first touch's tick alone; "
        f"{enough} would let every touch earn, for {enough} times the noise on credited figures"
    ]


def _sampling_warnings(agreement: Agreement) -> list[str]:
    columns = cleanroom.plan.plan_of(agreement).columns if agreement.sampling else ()
    mixed = ", ".join(
        column.name
        for column in columns
        if column.declared and cleanroom.sampling.column_fraction(agreement, column) is None
    )
    return [f"sampling.periods: periods of different shares meet, so nothing scales these: {mixed}"] if mixed else []


def _release_warnings(agreement: Agreement) -> list[str]:
    rules = agreement.release
    found: list[str] = []
    if rules.noise is Noise.NONE and rules.min_people < FEW_PEOPLE:
        found.append(f"release.min_people: {rules.min_people} without noise shows groups of very few people")
    if rules.noise is Noise.NONE and not rules.suppress_differences and _has_differences(agreement):
        found.append(
            "release.differences: exact counts of nested windows, or of matched people, subtract to few people; "
            '"suppress" prevents it'
        )
    if rules.noise is not Noise.NONE and rules.epsilon > LARGE_EPSILON:
        found.append(f"release.epsilon: {rules.epsilon:g} hides a person only weakly; usual values are 0.5 to 8")
    if rules.noise is Noise.GAUSSIAN and rules.delta > LARGE_DELTA:
        found.append(f"release.delta: {rules.delta:g} is large; usual values are below one in the number of people")
    return found


def _has_differences(agreement: Agreement) -> bool:
    """Whether a count that a figure stands on contains another one's people."""
    plan = cleanroom.plan.plan_of(agreement)
    gates = {column.gate for column in plan.columns}
    events = [plan.columns[gate].event for gate in gates]
    return len(set(events)) < len(events) or (None in events and len(events) > 1)


def _ticks_after_last_touch(agreement: Agreement) -> int:
    """How many ticks, its own included, lie between the last possible touch and the end of the horizon."""
    instants = agreement.exposure.instants
    last_touch = agreement.exposure.end - timedelta(microseconds=1) if instants is None else instants[-1]
    return _ticks_until_end(agreement.time, last_touch)


def _ticks_until_end(time: TimeRules, moment: datetime) -> int:
    """How many ticks there are from that of a moment, itself included, to the end of the horizon."""
    last = time.end - timedelta(microseconds=1)
    if time.resolution is Resolution.DAY:
        zone = ZoneInfo(time.zone)
        return (last.astimezone(zone).date() - moment.astimezone(zone).date()).days + 1
    length = tick_length(time.resolution)
    return (last - time.start) // length - (moment - time.start) // length + 1


def _not_after(pem: bytes) -> datetime:
    return read_certificate(pem, where="certificate").not_after
