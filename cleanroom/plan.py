"""What the agreement makes the join compute and the release open. A function of the agreement alone.

Two layers. A **row value** is one integer that the outcome side holds for each of its rows; it meets the weights of one
**family** of the exposure side (`attribution.md`): on the wire the exposure side's targets are the pairs (family,
group). A **column** is what the release opens: the sum of one or several row values, under a gate, the column of people
that decides whether its cells may be opened.

- member: weight 1 for every person of a group, under a key that is no time.
- window, by the events that anchor it: weight 1 at the anchor.
- credit, by window and events: signed weights at breakpoints, in fractions of `unit`, under suffix sums.
- gate, by credit family, event and span: weight 1 at the start of a person's longest interval with credit, if that is
  the largest span it holds.
  A credit column's gate is the sum of people with an outcome over the spans, a lower bound of the people behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.lift import Design
from cleanroom.agreement.model import Agreement, Measure, Metric, Period
from cleanroom.lift.terms import MATCHED_COLUMN, compared_metrics, lift_terms

__all__ = ["Column", "Family", "FamilyKind", "Plan", "Purpose", "RowValue", "Wanted", "plan_of"]


class FamilyKind(Enum):
    """What a family of weights says about a touch or a breakpoint."""

    MEMBER = 0
    WINDOW = 1
    CREDIT = 2
    GATE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of weights: one weight for each (lookup, group)."""

    kind: FamilyKind
    via: tuple[str, ...] | None = None  # window, credit, gate: the touches' events that it looks at; None for all
    window_ticks: int | None = None  # credit, gate: how long a touch may earn
    event: str | None = None  # gate: the outcomes whose declared windows are the spans
    span_ticks: int | None = None  # gate: the largest of these windows that a person's longest interval holds


class Purpose(Enum):
    """Why a column is there."""

    METRIC = "metric"
    """Declared: its cells are rows of the released table."""
    GATE = "gate"
    """Automatic: decides whether other cells are opened."""
    SUPPORT = "support"
    """Automatic: opened like a metric, but only release.json holds it; a later step computes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowValue:
    """One integer of each of the outcome side's rows: what a person did as seen from the row's tick τ.

    A window value is the capped count or sum over [τ, τ + window_ticks) (before: [τ − window_ticks, τ)), or with
    `change` the former less the latter, and then its square if `squared`. A `suffix` value, of a credit family, is the
    sum over all t >= τ of outcomes clipped so that no window holds more than the cap.
    """

    family: int  # position in the plan's families
    measure: Measure
    event: str | None
    window_ticks: int | None
    cap: int  # 1 for people and matched
    label: tuple[str, str] | None = None  # (column, value): outcomes with this label only
    period: Period = Period.AFTER
    change: bool = False
    squared: bool = False
    suffix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A column that is asked for, by a metric or by another table of the agreement."""

    name: str
    measure: Measure
    event: str | None = None
    window: str | None = None
    window_ticks: int | None = None
    cap: int = 1
    credit: bool = False
    label: tuple[str, str] | None = None
    via: tuple[str, ...] | None = None
    period: Period = Period.AFTER
    change: bool = False
    squared: bool = False
    purpose: Purpose = Purpose.METRIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Wanted):
    """One column of the release, in integer units of 1/`unit`."""

    unit: int = 1  # credit: the fixed-point unit
    bound: int = 1  # the most that one person can add to one cell, in integer units
    spread: int = 1  # in how many groups a person can reach the bound; credit is shared between groups: 1
    gate: int = 0  # index of the gating column; its own index for people and matched
    values: tuple[int, ...] = ()  # the row values whose cells it adds up

    @property
    def declared(self) -> bool:
        """Whether its cells are rows of the released table."""
        return self.purpose is Purpose.METRIC

    @property
    def opened(self) -> bool:
        """Whether its cells are opened where their gate passes, also without noise."""
        return self.purpose is not Purpose.GATE

    @property
    def additive(self) -> bool:
        """Whether its figures add up over groups: credits of one outcome sum to one, people and windows overlap."""
        return self.credit and self.measure is not Measure.PEOPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The public shape of a join and its release.

    `columns` holds the declared metrics in the agreement's order (broken down by their label's values), then the
    automatic ones. A target of the exposure side is `position in families * groups + group`; `group_labels` names the
    groups.
    """

    columns: tuple[Column, ...]
    row_values: tuple[RowValue, ...]
    families: tuple[Family, ...]
    group_labels: tuple[str, ...] = field(repr=False)

    @property
    def groups(self) -> int:
        """How many groups the release has."""
        return len(self.group_labels)

    @property
    def class_positions(self) -> tuple[int, ...]:
        """The family of every row value: the classes of the join's columns."""
        return tuple(value.family for value in self.row_values)

    @property
    def unit(self) -> int:
        """The largest absolute weight that a row can have for a target."""
        return max(column.unit for column in self.columns)

    @property
    def families_per_row(self) -> int:
        """In how many families a person can have a weight under one key and for one group.

        Of the gate families of a credit family and event only one holds a person: that of their longest interval.
        """
        of_touches = [family for family in self.families if family.kind is not FamilyKind.MEMBER]
        return max(1, len({replace(family, span_ticks=None) for family in of_touches}))

    def targets_per_row(self, max_groups_per_person: int) -> int:
        """The most targets, of all families, for which a lookup has a weight."""
        return max(1, min(max_groups_per_person, self.groups)) * self.families_per_row

    def has(self, kind: FamilyKind) -> bool:
        """Whether any family is of this kind."""
        return any(family.kind is kind for family in self.families)

    def combined(self, cells: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Shares of the release's cells from the join's.

        Args:
            cells: groups × row values, mod 2^64.

        Returns:
            groups × columns, mod 2^64.
        """
        parts = [cells[:, list(column.values)].sum(axis=1, dtype=np.uint64) for column in self.columns]
        return np.stack(parts, axis=1)


def plan_of(agreement: Agreement) -> Plan:
    """Works out what an agreement computes; people metrics serve as gates of their own window, event and label."""
    return _Builder(agreement).build()


def _declared(agreement: Agreement) -> Iterable[Wanted]:
    for metric in agreement.metrics:
        yield from _by_label(agreement, metric)


def _by_label(agreement: Agreement, metric: Metric) -> Iterable[Wanted]:
    label = None if metric.by is None else agreement.outcome.label(metric.by)
    if label is None:
        yield _wanted(metric, metric.name, None)
        return
    for value in label.values:
        yield _wanted(metric, f"{metric.name}[{label.column}={value}]", (label.column, value))


def _lifted(agreement: Agreement) -> Iterable[Wanted]:
    """What `[lift]` needs beside the metrics: changes, squares, matched people."""
    terms = lift_terms(agreement)
    if agreement.lift is None or terms is None:
        return
    metrics = compared_metrics(agreement, agreement.lift)
    compared = [wanted for metric in metrics for wanted in _by_label(agreement, metric)]
    for wanted, names in zip(compared, terms.columns, strict=True):
        value = replace(wanted, change=agreement.lift.design is Design.PRE_PERIOD, purpose=Purpose.SUPPORT)
        if names.compared != names.metric:
            yield replace(value, name=names.compared)
        if names.squares != names.compared:
            yield replace(value, name=names.squares, squared=True)
    if any(names.people == MATCHED_COLUMN for names in terms.columns):
        yield Wanted(name=MATCHED_COLUMN, measure=Measure.MATCHED, purpose=Purpose.SUPPORT)


def _wanted(metric: Metric, name: str, label: tuple[str, str] | None) -> Wanted:
    return Wanted(
        name=name,
        measure=metric.measure,
        event=metric.event,
        window=metric.window,
        window_ticks=metric.window_ticks,
        cap=1 if metric.cap is None else metric.cap,
        credit=metric.credit,
        label=label,
        via=metric.via,
        period=metric.period,
    )


_SOURCES: Final[tuple[Callable[[Agreement], Iterable[Wanted]], ...]] = (_declared, _lifted)
"""Who asks for columns, in the order in which they come. A table of the agreement that needs columns of its own adds
its function here, after the metrics; what it yields has the purpose SUPPORT. Gates follow by themselves."""


class _Builder:
    """Columns first, then their gates, then the families that both need."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._wanted = [wanted for source in _SOURCES for wanted in source(agreement)]
        self._families: list[Family] = []
        self._values: list[tuple[Family, RowValue]] = []
        self._columns: list[Column] = []

    def build(self) -> Plan:
        own: dict[object, int] = {
            _gate_key(wanted): index for index, wanted in reversed(list(enumerate(self._wanted))) if _is_gate(wanted)
        }
        for wanted in self._wanted:
            self._columns.append(self._column(wanted))
        for index, wanted in enumerate(self._wanted):
            gate = index
            if wanted.measure is not Measure.MATCHED and not _is_gate(wanted):
                key = _gate_key(wanted)
                if key not in own:
                    own[key] = len(self._columns)
                    self._columns.append(replace(self._column(_gate(wanted)), gate=len(self._columns)))
                gate = own[key]
            self._columns[index] = replace(self._columns[index], gate=gate)
        families = tuple(sorted(dict.fromkeys(family for family, _ in self._values), key=lambda one: one.kind.value))
        return Plan(
            columns=tuple(self._columns),
            row_values=tuple(replace(value, family=families.index(family)) for family, value in self._values),
            families=families,
            group_labels=self._agreement.exposure.released_groups,
        )

    def _column(self, wanted: Wanted) -> Column:
        rules = self._agreement.release
        first = len(self._values)
        for family, span in self._families_of(wanted):
            value = RowValue(
                family=0,  # set when all families are known
                measure=wanted.measure,
                event=wanted.event,
                window_ticks=wanted.window_ticks if span is None else span,
                cap=wanted.cap,
                label=wanted.label,
                period=wanted.period,
                change=wanted.change,
                squared=wanted.squared,
                suffix=family.kind is FamilyKind.CREDIT,
            )
            self._values.append((family, value))
        groups = len(self._agreement.exposure.groups)
        bound, unit, spread = wanted.cap, 1, max(1, min(rules.max_groups_per_person, groups))
        if wanted.squared:
            bound = wanted.cap**2
        if wanted.credit and wanted.measure is not Measure.PEOPLE:
            unit = self._agreement.exposure.credit_unit
            bound, spread = wanted.cap * rules.max_windows * unit, 1
        # An outcome side's person stands under each of their identifiers, and different people of the exposure side may
        # look up different ones.
        bound *= len(self._agreement.match.identifiers)
        fields = {name: getattr(wanted, name) for name in Wanted.__dataclass_fields__}
        values = tuple(range(first, len(self._values)))
        return Column(**fields, unit=unit, bound=bound, spread=spread, values=values)

    def _families_of(self, wanted: Wanted) -> list[tuple[Family, int | None]]:
        """The families of a column's row values, with the span of each where it is a credit column's gate."""
        if wanted.measure is Measure.MATCHED:
            return [(Family(kind=FamilyKind.MEMBER), None)]
        if not wanted.credit:
            return [(Family(kind=FamilyKind.WINDOW, via=wanted.via), None)]
        if wanted.measure is not Measure.PEOPLE:
            return [(Family(kind=FamilyKind.CREDIT, via=wanted.via, window_ticks=wanted.window_ticks), None)]
        gate = Family(kind=FamilyKind.GATE, via=wanted.via, window_ticks=wanted.window_ticks)
        spans = {
            metric.window_ticks
            for metric in self._agreement.metrics
            if metric.event == wanted.event and metric.window_ticks is not None
        }
        return [(replace(gate, event=wanted.event, span_ticks=span), span) for span in sorted(spans)]


def _is_gate(wanted: Wanted) -> bool:
    return wanted.measure is Measure.PEOPLE and not wanted.change and not wanted.squared


def _gate_key(wanted: Wanted) -> object:
    """What columns under one gate have in common; a change is gated by the people after the touch."""
    return (wanted.event, wanted.window_ticks, wanted.label, wanted.via, wanted.period, wanted.credit)


def _gate(wanted: Wanted) -> Wanted:
    """The people whose count decides over a column: those with at least one outcome that it could count."""
    parts = [f"gate_{wanted.event}_{wanted.window}"]
    if wanted.credit:
        parts.append("credit")
    if wanted.via is not None:
        parts.append(f"via_{'+'.join(wanted.via)}")
    if wanted.period is Period.BEFORE:
        parts.append("before")
    label = "" if wanted.label is None else f"[{wanted.label[0]}={wanted.label[1]}]"
    return replace(
        wanted,
        name="_".join(parts) + label,
        measure=Measure.PEOPLE,
        cap=1,
        change=False,
        squared=False,
        purpose=Purpose.GATE,
    )
