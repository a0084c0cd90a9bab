"""Credit, bands, labels, kinds of touches, the time before: preparation and join against the plain definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

import cleanroom.plan as plan_module
from cleanroom.agreement.model import CREDIT_UNIT, Measure
from cleanroom.attribution import credit, exposure, functions, touched
from cleanroom.errors import CleanroomError
from cleanroom.plan import plan_of
from tests.cleanroom.attribution.funnel import (
    MODELS,
    Funnel,
    joined,
    plain,
    prepared,
    random_funnel,
    squares,
    touch_batches,
)
from tests.cleanroom.attribution.mutants import mutated
from tests.cleanroom.attribution.world import KEY, make_agreement, metric, person, us


@pytest.fixture(autouse=True)
def squared_columns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every window metric brings its squares, as a table of lift will ask for them."""
    monkeypatch.setattr(plan_module, "_SOURCES", (*plan_module._SOURCES, squares))
    yield


def check_funnels(seeds: range) -> None:
    for seed in seeds:
        funnel = random_funnel(seed)
        plan = plan_of(funnel.agreement)
        assert joined(funnel, plan).tolist() == plain(funnel, plan).tolist(), seed


def test_the_join_is_the_plain_one() -> None:
    check_funnels(range(500))


@pytest.mark.slow
def test_the_join_is_the_plain_one_on_many_funnels() -> None:
    check_funnels(range(1000, 11000))


def test_weights_stay_inside_the_bounds_of_the_join() -> None:
    for seed in range(300):
        funnel = random_funnel(seed)
        plan = plan_of(funnel.agreement)
        lookups, found = prepared(funnel, plan)
        assert (abs(lookups.weight) <= plan.unit).all() and (lookups.weight != 0).all(), seed
        most = min(funnel.agreement.release.max_groups_per_person, plan.groups) * plan.families_per_row
        assert np.diff(lookups.indptr).max(initial=0) <= most, seed
        assert found.values.any(axis=1).all(), seed


def without(funnel: Funnel, who: bytes, *, side: str) -> Funnel:
    """The same world in which one side does not know a person."""
    if side == "exposure":
        return replace(funnel, touches=[touch for touch in funnel.touches if touch[0] != who])
    return replace(
        funnel,
        parts=[part for part in funnel.parts if part[0] != who],
        known=[one for one in funnel.known if one != who],
    )


@pytest.mark.parametrize("side", ["exposure", "outcome"])
def test_no_person_moves_a_column_by_more_than_is_paid_for(side: str) -> None:
    moved = 0
    for seed in range(250):
        funnel = random_funnel(seed)
        plan = plan_of(funnel.agreement)
        whole = joined(funnel, plan)
        for who in sorted({touch[0] for touch in funnel.touches}):
            change = np.abs(whole - joined(without(funnel, who, side=side), plan))
            moved += int(change.any())
            for index, column in enumerate(plan.columns):
                cells = change[:, index]
                assert cells.max() <= column.bound, (seed, column.name)
                assert cells.sum() <= column.bound * column.spread, (seed, column.name)
                assert (cells.astype(float) ** 2).sum() <= column.bound**2 * column.spread * 1.0000001, (seed, column)
    assert moved > 100


def one_person(model: str, *, cap: int = 10**6, windows: int = 50, limit: int | None = None, ticks: int = 10) -> Funnel:
    """Days 0, 4 and 8 by groups a, b and a, of which the second is a click; orders of 1, 10, 100 … from day 0 on."""
    agreement = make_agreement(
        metrics=(replace(metric(Measure.SUM, ticks=ticks, cap=cap, name="credit"), credit=True),), groups=("a", "b")
    )
    agreement = replace(
        agreement,
        exposure=replace(
            agreement.exposure, events=("read", "click"), credit=model, max_touches=limit,
            credit_step_ticks=2 if model == "time_decay" else None,
        ),
        release=replace(agreement.release, max_windows=windows),
    )  # fmt: skip
    start, day = us(agreement.time.start), 86_400_000_000
    touches = [(person(1), start + at * day, group, event) for at, group, event in [(0, 0, 0), (4, 1, 1), (8, 0, 0)]]
    parts = [(person(1), 0, start + 3 * at * day, 10**at, -1, ()) for at in range(7)]
    return Funnel(agreement=agreement, touches=touches, parts=parts, known=[])


def credits(funnel: Funnel) -> list[int]:
    plan = plan_of(funnel.agreement)
    cells: NDArray[np.int64] = joined(funnel, plan)
    assert cells.tolist() == plain(funnel, plan).tolist()
    return cells[:, 0].tolist()


Q = CREDIT_UNIT
# Orders on days 0, 3, 6, 9, 12, 15 (18 is too late); the touches of days 0, 4 and 8 earn ten days each.
KNOWN = {
    "last_touch": [1 + 10 + 1000 + 10000 + 100000, 100],
    "first_touch": [1 + 10 + 100 + 1000 + 100000, 10000],
    "linear": [
        Q * 11 + Q * 50 + Q * 1000 * 2 // 3 + Q * 5000 + Q * 100000,
        Q * 50 + Q * 1000 // 3 + Q * 5000,
    ],
    "position": [
        Q * 11 + Q * 50 + Q * 1000 * 4 // 5 + Q * 5000 + Q * 100000,
        Q * 50 + Q * 1000 // 5 + Q * 5000,
    ],
    # by half steps of two days: order 6 has ages 6 and 2, order 9 ages 9, 5 and 1, order 12 ages 8 and 4
    "time_decay": [
        Q * 11 + 100 * (Q // 5) + 1000 * (Q - 4 * Q // 21) + 10000 * (Q - Q // 5) + Q * 100000,
        100 * (Q - Q // 5) + 1000 * (4 * Q // 21) + 10000 * (Q // 5),
    ],
}


@pytest.mark.parametrize("model", MODELS)
def test_credit_of_one_person_by_hand(model: str) -> None:
    assert credits(one_person(model)) == KNOWN[model]
    assert sum(KNOWN[model]) == 111111 * (1 if model.endswith("touch") else Q)


def test_windows_that_earn_are_counted_from_the_first_touch() -> None:
    """One window is [0, 10): the later touches would earn outside it, so they are dropped."""
    assert credits(one_person("last_touch", windows=1)) == [1111, 0]
    assert credits(one_person("last_touch", windows=2)) == [1 + 10 + 1000 + 10000 + 100000, 100]


def test_what_is_left_over_goes_to_the_last_touch() -> None:
    """Eight days by steps of two: one part of 17, which the unit does not hold, and the rest."""
    funnel = one_person("time_decay")
    first, last = funnel.touches[0], (*funnel.touches[2][:2], 1, 0)
    at = last[1]
    alone = replace(funnel, touches=[first, last], parts=[(first[0], 0, at, 1, -1, ())])
    assert credits(alone) == [Q // 17, Q - Q // 17] and Q % 17


def test_touches_that_decay_out_of_step_change_places() -> None:
    """Steps of two days: on day 3 the touch of day 0 has lost one step, on day 4 two, the touch of day 3 none yet."""
    funnel = one_person("time_decay")
    (who, at, *_), day = funnel.touches[0], 86_400_000_000
    touches = [(who, at, 0, 0), (who, at + 3 * day, 1, 0)]
    parts = [(who, 0, at + 4 * day, 1, -1, ())]
    assert credits(replace(funnel, touches=touches, parts=parts)) == [Q // 5, 4 * Q // 5]


def test_credit_decays_between_instants() -> None:
    """The same where touches can only be on days 0 and 3: outcomes are counted from day 4 on all the same."""
    funnel = one_person("time_decay")
    (who, at, *_), day = funnel.touches[0], 86_400_000_000
    exposed = replace(
        funnel.agreement.exposure, instants=tuple(funnel.agreement.time.start + timedelta(days=days) for days in (0, 3))
    )
    agreement = replace(funnel.agreement, exposure=exposed)
    touches = [(who, at, 0, 0), (who, at + 3 * day, 1, 0)]
    parts = [(who, 0, at + 4 * day, 1, -1, ())]
    assert credits(replace(funnel, agreement=agreement, touches=touches, parts=parts)) == [Q // 5, 4 * Q // 5]


def test_an_outcome_in_the_tick_of_an_instant_counts() -> None:
    funnel = one_person("linear")
    agreement = funnel.agreement
    instants = (agreement.time.start,)
    agreement = replace(agreement, exposure=replace(agreement.exposure, instants=instants))
    touches, parts = funnel.touches[:1], funnel.parts[:1]
    assert credits(replace(funnel, agreement=agreement, touches=touches, parts=parts)) == [Q, 0]


def test_old_touches_decay_exactly() -> None:
    """Ninety steps of age do not fit 64 bits: the old touch earns nothing, and takes one part of the unit along."""
    funnel = one_person("time_decay", ticks=200)
    exposed = replace(funnel.agreement.exposure, credit_step_ticks=1)
    (who, at, *_), day = funnel.touches[0], 86_400_000_000
    touches = [(who, at, 0, 0), (who, at + 89 * day, 1, 0), (who, at + 90 * day, 0, 0)]
    agreement = replace(funnel.agreement, exposure=exposed)
    parts = [(who, 0, at + 90 * day, 1, -1, ())]
    two_thirds = Q - (Q // 3 - 1)
    assert credits(replace(funnel, agreement=agreement, touches=touches, parts=parts)) == [two_thirds, Q // 3 - 1]


def test_the_first_and_the_latest_touches_are_kept() -> None:
    assert credits(one_person("first_touch", limit=1)) == [1111, 0]
    assert credits(one_person("first_touch", limit=2)) == [1 + 10 + 100 + 1000 + 10000 + 100000, 0]


def test_the_cap_slides() -> None:
    """No ten days hold more than 150: 1, 10 and 100 fit, then 39 of 1000, then what leaves the window: 1, 10."""
    assert sum(credits(one_person("last_touch", cap=150))) == 1 + 10 + 100 + 39 + 1 + 10
    assert sum(credits(one_person("last_touch", cap=150, ticks=3))) == 1 + 100 + 150


PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/attribution.md"
RULES = {
    "last touch": {"credit": "last_touch"},
    "last touch, clicks first": {"credit": "last_touch", "priority": (("click",),)},
    "first touch": {"credit": "first_touch"},
    "linear": {"credit": "linear"},
    "position": {"credit": "position"},
    "time decay, a step of 3 days": {"credit": "time_decay", "credit_step_ticks": 3},
}


@pytest.mark.parametrize("rule", RULES)
def test_the_example_of_the_page_is_computed_so(rule: str) -> None:
    """One person, three touches (day 0 by A, a click on day 3 by B, day 6 by C), orders of 100 and 50 on days 6, 8."""
    (row,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {rule} |")]
    stated = [float(cell) for cell in row.split("|")[2:6]]
    base = one_person("linear", ticks=7)
    agreement = replace(
        base.agreement,
        exposure=replace(base.agreement.exposure, groups=("A", "B", "C"), max_touches=None, **RULES[rule]),
    )
    start, day = us(agreement.time.start), 86_400_000_000
    touches = [(person(1), start + 3 * at * day, at, int(at == 1)) for at in range(3)]
    parts = [(person(1), 0, start + at * day, value, -1, ()) for at, value in ((6, 10_000), (8, 5_000))]
    figures = credits(replace(base, agreement=agreement, touches=touches, parts=parts))
    unit = agreement.exposure.credit_unit * 100
    assert [round(figure / unit, 2) for figure in [*figures, sum(figures)]] == stated


def test_what_earns_nothing_is_counted() -> None:
    """Of touches on days 0, 4 and 8 one window of ten days holds one, two hold all; one touch leaves one."""
    for funnel, dropped in (
        (one_person("first_touch", windows=1), (2, 0)),
        (one_person("first_touch", windows=2), (0, 0)),
        (one_person("first_touch", limit=1), (0, 2)),
        (one_person("linear", limit=2), (0, 1)),
        (one_person("linear", windows=1, limit=1), (2, 0)),
    ):
        _, summary = exposure.prepare_lookups(
            funnel.agreement, plan_of(funnel.agreement), touch_batches(funnel), group_cap_key=KEY
        )
        assert (summary.over_windows, summary.over_touches) == dropped


def test_credits_add_up_whatever_the_model() -> None:
    """Over groups to all that is credited, over kinds of touches to the credit of all kinds."""
    for seed in range(200):
        funnel = random_funnel(seed)
        exposed = replace(funnel.agreement.exposure, frequency=None, events=("click", "like", "read"))
        sums = {}
        for model in MODELS:
            whole = replace(metric(Measure.SUM, ticks=9, cap=500, name="all"), credit=True)
            kinds = tuple(replace(whole, name=kind, via=(kind,)) for kind in exposed.events)
            agreement = replace(
                funnel.agreement,
                exposure=replace(exposed, credit=model, max_touches=None, credit_step_ticks=2),
                metrics=(whole, *kinds),
            )
            plan = plan_of(agreement)
            parts = [(*part[:4], -1, ()) for part in funnel.parts]
            cells = joined(replace(funnel, agreement=agreement, parts=parts), plan)
            assert (cells[:, 1:4].sum(axis=1) == cells[:, 0]).all(), seed
            sums[model] = int(cells[:, 0].sum()) * (CREDIT_UNIT // agreement.exposure.credit_unit)
        assert len(set(sums.values())) == 1, (seed, sums)


MUTATIONS: list[tuple[ModuleType, str, str]] = [
    (credit, "np.full(len(names), len(classes)", "np.full(len(names), 0"),
    (credit, "return np.array([0, window], dtype=np.int64)", "return np.array([0, window - 1], dtype=np.int64)"),
    (credit, "np.append(np.arange(0, window, step, dtype=np.int64), window)", "np.array([0, window])"),
    (credit, "found[found < horizon]", "found[found < horizon - 1]"),
    (credit, "(windows.index(family.window_ticks or 0), _target", "(0, _target"),
    (credit, "family.via is None or event in family.via", "True"),
    (credit, "places[family.window_ticks, family.via],", "0,"),
    (credit, "agreement.outcome.events.index(str(family.event)),", "0,"),
    (credit, "family.span_ticks or 0,", "(family.span_ticks or 0) + 1,"),
    (credit, "family.span_ticks or 0,", "(family.span_ticks or 0) - 1,"),
    (credit, "exposure.credit_unit,", "exposure.credit_unit + 1,"),
    (credit, "exposure.credit_step_ticks or 0,", "(exposure.credit_step_ticks or 0) + 1,"),
    (credit, "agreement.release.max_windows,", "agreement.release.max_windows + 1,"),
    (credit, "exposure.max_touches,", "exposure.max_touches and exposure.max_touches + 1,"),
    (credit, "TickClock.of(agreement.time).horizon,", "TickClock.of(agreement.time).horizon - 1,"),
    (credit, "TickClock.of(agreement.time).horizon,", "TickClock.of(agreement.time).horizon + 1,"),
    (credit, "plan.families.index(family) * plan.groups", "plan.families.index(family) * (plan.groups + 1)"),
    (exposure, "domain, level, size", "domain, level, 1"),
    (exposure, "event_positions(agreement, family.via))", "None)"),
    (touched, "np.array(exposure.frequency, dtype=np.int64)", "np.array(exposure.frequency, dtype=np.int64) + 1"),
    (exposure, "(position * plan.groups, event", "(0 * plan.groups, event"),
    (functions, "min(touch_end + max(windows, default=0), clock.horizon)", "touch_end"),
    (functions, "self._cursors.place(source, window + 1)", "self._cursors.place(source, window)"),
    (functions, "(value.cap, window) if", "(value.cap, window + 1) if"),
    (functions, "(value.cap, window) if", "(value.cap, 0) if"),
    (functions, "cap, value.squared, touch_only", "cap, 0, touch_only"),
    (functions, "cap, value.squared, touch_only", "cap, value.squared, 1"),
    (functions, "minus = spans[1] if value.change else nothing", "minus = nothing"),
    (functions, "-self._frame.horizon", "1 - self._frame.end"),
    (functions, "labels[column].values.index(value.label[1])", "0"),
]


@pytest.mark.parametrize(("module", "right", "wrong"), MUTATIONS)
def test_a_slip_by_one_is_seen(module: ModuleType, right: str, wrong: str) -> None:
    faults = (AssertionError, CleanroomError, ValueError, IndexError, TypeError)
    with mutated(module, right, wrong), pytest.raises(faults):
        check_funnels(range(400))
        test_windows_that_earn_are_counted_from_the_first_touch()
        test_what_is_left_over_goes_to_the_last_touch()
        test_touches_that_decay_out_of_step_change_places()
        test_credit_decays_between_instants()
        test_an_outcome_in_the_tick_of_an_instant_counts()
        test_weights_stay_inside_the_bounds_of_the_join()
