"""From the figures of a release to rows of lift: one for each comparison and metric, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum

from cleanroom.agreement.lift import Comparison, Denominator, Design
from cleanroom.lift.estimate import Arm, Estimate, Noisy, assigned_lift, change_lift, matched_lift, per_person
from cleanroom.lift.intervals import Interval
from cleanroom.lift.terms import LiftColumns, LiftTerms

__all__ = ["Cell", "LiftColumn", "LiftRow", "LiftStatus", "lift_rows"]


class LiftStatus(Enum):
    """What became of a comparison."""

    ESTIMATED = "estimated"
    SUPPRESSED = "suppressed"
    NOT_ELIGIBLE = "not_eligible"
    TOO_FEW = "too_few"
    """Noise is too large beside an arm's people to divide by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One released figure in integer units, or the status that it has instead."""

    units: int | None = field(repr=False)
    status: str = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftColumn:
    """What a release says of a column."""

    cap: int  # per person and group, integer units
    std_error: float  # of its figures, integer units: the noise of both sides
    unit: float  # one integer unit in released units: 1 for counts, `precision` for money
    sampling: float | None = 1.0  # the share of people whom the data hold; None where periods of several meet


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftRow:
    """The lift of one metric in one comparison; figures are None unless estimated, and where `note` says so.

    Figures are in people, events or units of the currency; `relative` is a fraction (0.1 is +10 %). Ends of
    `relative` are None where the control arm is not clearly above zero. Intervals are for `confidence`.
    """

    comparison: str
    metric: str
    status: LiftStatus
    note: str = ""
    confidence: float = 0.95
    test_people: float | None = field(default=None, repr=False)
    control_people: float | None = field(default=None, repr=False)
    test_total: float | None = field(default=None, repr=False)
    expected_total: float | None = field(default=None, repr=False)  # of the test arm, without the campaign
    incremental: float | None = field(default=None, repr=False)
    incremental_low: float | None = field(default=None, repr=False)
    incremental_high: float | None = field(default=None, repr=False)
    std_error: float | None = field(default=None, repr=False)  # of incremental: both parts that follow
    sampling_error: float | None = field(default=None, repr=False)
    noise_error: float | None = field(default=None, repr=False)
    per_1000: float | None = field(default=None, repr=False)  # matched people of the test arm
    per_1000_low: float | None = field(default=None, repr=False)
    per_1000_high: float | None = field(default=None, repr=False)
    relative: float | None = field(default=None, repr=False)
    relative_low: float | None = field(default=None, repr=False)
    relative_high: float | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, object]:
        """The row as JSON values."""
        return {**asdict(self), "status": self.status.value}


def lift_rows(
    terms: LiftTerms, columns: Mapping[str, LiftColumn], cells: Mapping[tuple[str, str], Cell]
) -> tuple[LiftRow, ...]:
    """Estimates every comparison of a release.

    Args:
        terms: what is compared.
        columns: by name, every column that the terms name.
        cells: by group and column.

    Returns:
        Comparisons in the agreement's order, in each the metrics in theirs.

    Raises:
        KeyError: a column or a cell that the terms name is not there.
    """
    return tuple(_row(terms, one, what, columns, cells) for one in terms.comparisons for what in terms.columns)


def _row(
    terms: LiftTerms,
    comparison: Comparison,
    what: LiftColumns,
    columns: Mapping[str, LiftColumn],
    cells: Mapping[tuple[str, str], Cell],
) -> LiftRow:
    needed = [what.metric, what.compared, what.squares]
    if what.people is not None and terms.denominator is Denominator.MATCHED:
        needed.append(what.people)
    hidden = _hidden(comparison, needed, cells)
    frame = LiftRow(
        comparison=comparison.name, metric=what.metric, status=LiftStatus.ESTIMATED, confidence=terms.confidence
    )
    if hidden is not None:
        return replace(frame, status=hidden[0], note=hidden[1])
    test, control = (_arm(groups, what, columns, cells) for groups in (comparison.test, comparison.control))
    if terms.denominator is Denominator.MATCHED and not (test.counted and control.counted):
        arm = "control" if test.counted else "test"
        note = f"the {arm} arm has too few matched people for the noise"
        return replace(frame, status=LiftStatus.TOO_FEW, note=note)
    if terms.design is Design.PRE_PERIOD:
        after = _total(comparison.test, what.metric, columns, cells)
        estimate = change_lift(test, control, after)
    elif comparison.test_share is not None:
        after = test.total
        estimate = assigned_lift(test, control, share=float(comparison.test_share), cap=columns[what.compared].cap)
    else:
        after = test.total
        estimate = matched_lift(test, control)
    return _estimated(frame, terms, columns[what.metric], estimate, test=test, control=control, after=after)


def _estimated(
    frame: LiftRow,
    terms: LiftTerms,
    column: LiftColumn,
    estimate: Estimate,
    *,
    test: Arm,
    control: Arm,
    after: Noisy,
) -> LiftRow:
    unit, confidence = column.unit, terms.confidence
    averaged = terms.denominator is Denominator.MATCHED
    scale = None if column.sampling is None else unit / column.sampling
    whole = estimate if column.sampling in (None, 1.0) or not averaged else _widened(estimate, test, column.sampling)
    inside = whole.interval(confidence)
    ratio = estimate.relative_interval(confidence, least=-1.0)
    each = per_person(estimate, test, control if averaged else None) if test.counted else None
    around = Interval(low=None, high=None) if each is None else each.interval(confidence)
    expected = after.value - estimate.value
    return replace(
        frame,
        note="" if scale is not None else "periods of different sampling: totals cannot be scaled",
        test_people=None if test.people is None else float(test.people.value),
        control_people=None if control.people is None else float(control.people.value),
        test_total=_times(after.value, scale),
        expected_total=_times(expected, scale),
        incremental=_times(whole.value, scale),
        incremental_low=_times(inside.low, scale),
        incremental_high=_times(inside.high, scale),
        std_error=_times(whole.std_error, scale),
        sampling_error=_times(math.sqrt(whole.sampling), scale),
        noise_error=_times(math.sqrt(whole.noise), scale),
        per_1000=None if each is None else 1000 * unit * each.value,
        per_1000_low=_times(around.low, 1000 * unit),
        per_1000_high=_times(around.high, 1000 * unit),
        relative=estimate.relative,
        relative_low=ratio.low,
        relative_high=ratio.high,
    )


def _widened(estimate: Estimate, test: Arm, fraction: float) -> Estimate:
    """With the chance of who is in the sample: N people found stand for N/f, give or take √(N(1 − f))/f.

    Totals of everybody assigned need none of it: whoever is not in the sample is one more lottery, and the squares of
    those who are, divided by f², already hold it.
    """
    people = 0 if test.people is None else test.people.value
    chance = (estimate.value / people) ** 2 * people * (1 - fraction)
    return replace(estimate, sampling=estimate.sampling + chance)


def _times(value: float | None, scale: float | None) -> float | None:
    return None if value is None or scale is None else value * scale


def _hidden(
    comparison: Comparison, needed: list[str], cells: Mapping[tuple[str, str], Cell]
) -> tuple[LiftStatus, str] | None:
    """Why a comparison has no estimate: the first arm, and in it the first group, whose figure is not there."""
    for arm, groups in (("test", comparison.test), ("control", comparison.control)):
        for group in groups:
            for name in needed:
                cell = cells[group, name]
                if cell.units is not None:
                    continue
                status = LiftStatus.NOT_ELIGIBLE if cell.status == "not_eligible" else LiftStatus.SUPPRESSED
                what = "is not eligible" if status is LiftStatus.NOT_ELIGIBLE else f"has no released {name}"
                return status, f"the {arm} arm's group {group} {what}"
    return None


def _arm(
    groups: tuple[str, ...],
    what: LiftColumns,
    columns: Mapping[str, LiftColumn],
    cells: Mapping[tuple[str, str], Cell],
) -> Arm:
    people = None
    if what.people is not None and all(cells[group, what.people].units is not None for group in groups):
        people = _total(groups, what.people, columns, cells)
    return Arm(
        total=_total(groups, what.compared, columns, cells),
        squares=_total(groups, what.squares, columns, cells),
        people=people,
    )


def _total(
    groups: tuple[str, ...],
    name: str,
    columns: Mapping[str, LiftColumn],
    cells: Mapping[tuple[str, str], Cell],
) -> Noisy:
    total = Noisy(value=0, noise=0.0)
    for group in groups:
        units = cells[group, name].units
        if units is None:
            raise AssertionError("a figure that is not there cannot be added")
        total += Noisy(value=units, noise=columns[name].std_error ** 2)
    return total
