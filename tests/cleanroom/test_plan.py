"""The plan: which columns there are, under which gates, on which families of weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

import cleanroom.plan as plan_module
from cleanroom.agreement.model import CREDIT_UNIT, Agreement, Label, Measure, Metric, Period
from cleanroom.plan import Family, FamilyKind, Plan, Purpose, Wanted, plan_of
from tests.cleanroom.release.worlds import BUYERS, MATCHED, ORDERS, SALES, SALES_7, make_agreement

TIERS = Label(column="tier", values=("gold", "none"))
CREDITED = replace(SALES, name="credited", credit=True)


def credit_agreement(*metrics: Metric, credit: str = "linear") -> Agreement:
    agreement = make_agreement(metrics=metrics)
    return replace(
        agreement,
        exposure=replace(agreement.exposure, events=("read", "click"), credit=credit),
        outcome=replace(agreement.outcome, labels=(TIERS,)),
        release=replace(agreement.release, max_windows=3),
    )


def names(plan: Plan) -> list[str]:
    return [column.name for column in plan.columns]


def gates(plan: Plan) -> list[str]:
    return [plan.columns[column.gate].name for column in plan.columns]


def test_window_metrics_have_one_value_a_column_and_two_families() -> None:
    plan = plan_of(make_agreement())
    assert names(plan) == ["matched", "buyers", "orders", "sales", "sales_7", "gate_order_7d"]
    assert gates(plan) == ["matched", "buyers", "buyers", "buyers", "gate_order_7d", "gate_order_7d"]
    assert plan.families == (Family(kind=FamilyKind.MEMBER), Family(kind=FamilyKind.WINDOW))
    assert plan.class_positions == (0, 1, 1, 1, 1, 1)
    assert [column.values for column in plan.columns] == [(index,) for index in range(6)]
    assert (plan.unit, plan.families_per_row) == (1, 1)
    assert [column.bound for column in plan.columns] == [column.cap for column in plan.columns]


def test_a_label_makes_a_column_and_a_gate_of_each_value() -> None:
    plan = plan_of(credit_agreement(BUYERS, replace(ORDERS, by="tier")))
    assert names(plan) == [
        "buyers", "orders[tier=gold]", "orders[tier=none]",
        "gate_order_15d[tier=gold]", "gate_order_15d[tier=none]",
    ]  # fmt: skip
    assert gates(plan)[1:3] == names(plan)[3:]
    assert [value.label for value in plan.row_values][1:3] == [("tier", "gold"), ("tier", "none")]
    asked = plan_of(credit_agreement(replace(BUYERS, by="tier"), replace(ORDERS, by="tier")))
    assert gates(asked) == ["buyers[tier=gold]", "buyers[tier=none]"] * 2


def test_touches_and_periods_have_gates_of_their_own() -> None:
    clicks = replace(ORDERS, name="clicked", via=("click",))
    before = replace(ORDERS, name="earlier", period=Period.BEFORE)
    plan = plan_of(credit_agreement(BUYERS, ORDERS, clicks, before))
    assert gates(plan)[:4] == ["buyers", "buyers", "gate_order_15d_via_click", "gate_order_15d_before"]
    assert plan.families == (
        Family(kind=FamilyKind.WINDOW),
        Family(kind=FamilyKind.WINDOW, via=("click",)),
    )
    assert plan.families_per_row == 2


@pytest.mark.parametrize(("credit", "unit"), [("last_touch", 1), ("first_touch", 1), ("position", CREDIT_UNIT)])
def test_credit_has_a_unit_and_a_gate_over_the_declared_windows(credit: str, unit: int) -> None:
    other = replace(BUYERS, name="visitors", event="visit", window_ticks=3, window="3d")
    plan = plan_of(credit_agreement(CREDITED, SALES_7, other, credit=credit))
    credited, gate = plan.columns[0], plan.columns[plan.columns[0].gate]
    assert (credited.unit, credited.bound, credited.spread) == (unit, SALES.cap * 3 * unit, 1)  # type: ignore[operator]
    assert (credited.additive, plan.columns[1].additive, gate.additive) == (True, False, False)
    assert (gate.name, gate.purpose, gate.bound, gate.unit) == ("gate_order_15d_credit", Purpose.GATE, 1, 1)
    spans = [plan.families[plan.row_values[index].family] for index in gate.values]
    assert spans == [Family(kind=FamilyKind.GATE, window_ticks=15, event="order", span_ticks=span) for span in (7, 15)]
    assert [plan.row_values[index].window_ticks for index in gate.values] == [7, 15]
    assert plan.row_values[credited.values[0]].suffix and not plan.row_values[gate.values[0]].suffix
    assert (plan.unit, plan.families_per_row) == (unit, 3)


def test_what_a_person_reaches_is_bounded_by_column() -> None:
    plan = plan_of(credit_agreement(MATCHED, SALES, CREDITED))
    assert [column.spread for column in plan.columns] == [2, 2, 1, 2, 2]


def test_cells_of_the_release_add_up_those_of_the_join() -> None:
    plan = plan_of(credit_agreement(CREDITED, SALES_7))
    cells = np.arange(plan.groups * len(plan.row_values), dtype=np.uint64).reshape(plan.groups, -1)
    cells[0, 0] = 2**64 - 1
    combined = plan.combined(cells)
    assert combined.shape == (plan.groups, len(plan.columns)) and combined[0, 0] == 2**64 - 1
    gate = plan.columns[0].gate
    assert combined[1, gate] == sum(cells[1, list(plan.columns[gate].values)])


def test_bands_multiply_the_groups() -> None:
    agreement = make_agreement(groups=2)
    banded = replace(agreement, exposure=replace(agreement.exposure, frequency=(1, 2, 4, 10)))
    first = agreement.exposure.groups[0]
    assert plan_of(banded).groups == 8
    assert plan_of(banded).group_labels[:4] == (f"{first}/1", f"{first}/2-3", f"{first}/4-9", f"{first}/10+")
    assert [column.bound for column in plan_of(banded).columns] == [c.bound for c in plan_of(agreement).columns]


def test_another_table_may_ask_for_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lift needs: squares, and squares of the change against the time before."""

    def squares(agreement: Agreement) -> Iterable[Wanted]:
        sales = Wanted(
            name="sales_squared", measure=Measure.SUM, event="order", window="15d", window_ticks=15, cap=200_000,
            squared=True, purpose=Purpose.SUPPORT,
        )  # fmt: skip
        yield sales
        yield replace(sales, name="change_squared", change=True)

    monkeypatch.setattr(plan_module, "_SOURCES", (*plan_module._SOURCES, squares))
    plan = plan_of(make_agreement())
    squared = plan.columns[5]
    assert names(plan)[5:] == ["sales_squared", "change_squared", "gate_order_7d"]
    assert (squared.bound, squared.opened, squared.declared) == (200_000**2, True, False)
    assert gates(plan)[5:7] == ["buyers", "buyers"]
    assert plan.row_values[6].change and plan.row_values[6].squared
