"""What the agreement makes the join compute: columns, classes, gates. A function of the agreement alone.

A column is one integer that the outcome side holds for a row. A weight class is a family of the exposure side's
weights (`attribution.md`): on the wire the exposure side's targets are the pairs (class, group). Every column has a
gate: the people column that decides whether its cells may be opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cleanroom.agreement.model import Agreement, Measure, Metric

__all__ = ["Column", "Plan", "WeightClass", "plan_of"]


class WeightClass(Enum):
    """A family of weights, each with keys of its own on the tree's side."""

    MEMBER = 0
    WINDOW = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the outcome side's rows."""

    name: str
    measure: Measure
    weight_class: WeightClass
    event: str | None
    window_ticks: int | None
    cap: int  # the most that one person can add to one group, in integer units
    gate: int  # index of the gating column; its own index for people and matched
    declared: bool  # False for an automatic gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The join's public shape.

    `columns` holds the declared metrics in the agreement's order, then the automatic gates. `classes` are the weight
    classes in use, in the order of their numbers; a target of the exposure side is `class position * groups + group`.
    """

    columns: tuple[Column, ...]
    classes: tuple[WeightClass, ...]
    groups: int
    identifiers: int
    """Under how many keys a person of the outcome side can be looked up, and so add their cap to a cell."""

    def class_position(self, column: int) -> int:
        """Which of `classes` a column belongs to."""
        return self.classes.index(self.columns[column].weight_class)


def plan_of(agreement: Agreement) -> Plan:
    """Works out the columns of an agreement; people metrics serve as gates of their own window and event."""
    metrics = agreement.metrics
    gates: dict[tuple[str | None, int | None], int] = {
        (metric.event, metric.window_ticks): index
        for index, metric in reversed(list(enumerate(metrics)))
        if metric.measure is Measure.PEOPLE
    }
    columns = [_column(metric) for metric in metrics]
    gate_of: list[int] = []
    for index, metric in enumerate(metrics):
        if metric.measure in (Measure.PEOPLE, Measure.MATCHED):
            gate_of.append(index)
            continue
        where = (metric.event, metric.window_ticks)
        if where not in gates:
            gates[where] = len(columns)
            columns.append(
                Column(
                    name=f"gate_{metric.event}_{metric.window}",
                    measure=Measure.PEOPLE,
                    weight_class=WeightClass.WINDOW,
                    event=metric.event,
                    window_ticks=metric.window_ticks,
                    cap=1,
                    gate=len(columns),
                    declared=False,
                )
            )
        gate_of.append(gates[where])
    columns = [
        Column(
            name=column.name,
            measure=column.measure,
            weight_class=column.weight_class,
            event=column.event,
            window_ticks=column.window_ticks,
            cap=column.cap,
            gate=gate_of[index] if index < len(gate_of) else index,
            declared=column.declared,
        )
        for index, column in enumerate(columns)
    ]
    used = {column.weight_class for column in columns}
    classes = tuple(weight_class for weight_class in WeightClass if weight_class in used)
    return Plan(
        columns=tuple(columns),
        classes=classes,
        groups=len(agreement.exposure.groups),
        identifiers=len(agreement.match.identifiers),
    )


def _column(metric: Metric) -> Column:
    matched = metric.measure is Measure.MATCHED
    return Column(
        name=metric.name,
        measure=metric.measure,
        weight_class=WeightClass.MEMBER if matched else WeightClass.WINDOW,
        event=metric.event,
        window_ticks=metric.window_ticks,
        cap=1 if metric.cap is None else metric.cap,
        gate=0,
        declared=True,
    )
