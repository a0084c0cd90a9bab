"""Weights of credit, tick by tick by their definition, against those that the kernel's walk finds."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import CREDIT_UNIT
from tests.cleanroom.attribution.funnel import MODELS

Touch = tuple[int, int, int, int]
"""(owner, tick, group, event), each person's in the order of time."""
Weight = tuple[int, int, int, int]
"""(owner, tick, target, weight)"""


@dataclass(frozen=True)
class Case:
    """What the kernel is asked for."""

    touches: list[Touch]
    model: str
    unit: int
    step: int
    most_windows: int
    most_touches: int | None
    horizon: int
    rank: list[int]
    windows: list[int]
    families: list[tuple[int, int]]  # position of the window, target of group 0
    via: list[list[bool]]
    gates: list[tuple[int, int, int, int]]  # position of the family, list, span, target of group 0

    def found(self) -> tuple[list[Weight], list[list[int]]]:
        """By the kernel: weights in order, and what the bounds drop."""
        columns = (np.array(column, dtype=np.int64) for column in zip(*self.touches, strict=True))
        owner, tick, group, event = columns if self.touches else [np.zeros(0, dtype=np.int64)] * 4
        weights, dropped = _kernels.credit_weights(
            owner, tick, group, event,
            (self.model, self.unit, self.step, self.most_windows, self.most_touches, self.horizon),
            table(self.rank), table(self.windows), table(self.families, 2),
            np.array(self.via, dtype=np.bool_).reshape(len(self.families), len(self.rank)), table(self.gates, 4),
        )  # fmt: skip
        assert (np.diff(weights[0]) >= 0).all()
        rows: list[Weight] = list(zip(*(column.tolist() for column in weights), strict=True))
        return sorted(rows), dropped.tolist()

    def expected(self) -> tuple[list[Weight], list[list[int]]]:
        """The same by the definition."""
        rows: list[Weight] = []
        dropped = [[0, 0] for _ in self.windows]
        for owner in sorted({touch[0] for touch in self.touches}):
            own = sorted((touch for touch in self.touches if touch[0] == owner), key=lambda touch: touch[1])
            for place, window in enumerate(self.windows):
                kept, over_windows, over_touches = self.kept(own, window)
                dropped[place][0] += over_windows
                dropped[place][1] += over_touches
                shares = [self.shares(kept, window, tick) for tick in range(self.horizon)]
                for family, (position, target) in enumerate(self.families):
                    if position == place:
                        rows += [(owner, *weight) for weight in self.weights(shares, family, target)]
        return sorted(rows), dropped

    def kept(self, own: list[Touch], window: int) -> tuple[list[Touch], int, int]:
        """The touches that may earn, and how many of them the bounds on windows and on touches drop."""
        used, end, inside = 0, -1, list[Touch]()
        for touch in own:
            if touch[1] + window > end:
                if used == self.most_windows:
                    break
                used, end = used + 1, max(touch[1], end) + window
            inside.append(touch)
        kept = inside
        if self.most_touches is not None and len(inside) > self.most_touches:
            kept = [inside[0], *inside[len(inside) - self.most_touches + 1 :]]
        return kept, len(own) - len(inside), len(inside) - len(kept)

    def shares(self, kept: list[Touch], window: int, tick: int) -> list[tuple[Touch, int]]:
        """What of the unit each touch gets for an outcome at a tick."""
        present = [touch for touch in kept if touch[1] <= tick < touch[1] + window]
        best = min((self.rank[touch[3]] for touch in present), default=0)
        present = [touch for touch in present if self.rank[touch[3]] == best]
        count = len(present)
        if not present:
            return []
        weights = {
            "last_touch": [0] * (count - 1) + [1],
            "first_touch": [1] + [0] * (count - 1),
            "linear": [1] * count,
            "position": [1] * count if count < 3 else [2 * count - 4] + [1] * (count - 2) + [2 * count - 4],
            "time_decay": [2 ** (window - (tick - touch[1]) // max(self.step, 1)) for touch in present],
        }[self.model]
        amounts = [self.unit * weight // sum(weights) for weight in weights]
        amounts[-1] = self.unit - sum(amounts[:-1])
        return list(zip(present, amounts, strict=True))

    def weights(self, shares: list[list[tuple[Touch, int]]], family: int, target: int) -> list[tuple[int, int, int]]:
        """Of a family, (tick, target, weight): what changes from tick to tick, and the gates."""
        rows = []
        before: dict[int, int] = {}
        earning: dict[int, list[int]] = defaultdict(list)
        for tick, split in enumerate(shares):
            now: dict[int, int] = defaultdict(int)
            for (_, _, group, event), amount in split:
                if amount and group >= 0 and self.via[family][event]:
                    now[group] += amount
            for group in now.keys() | before.keys():
                if now.get(group, 0) != before.get(group, 0):
                    rows.append((tick, target + group, now.get(group, 0) - before.get(group, 0)))
                if group in now:
                    earning[group].append(tick)
            before = now
        for group, ticks in earning.items():
            runs = [[ticks[0], 0]]
            for tick in ticks:
                if tick > sum(runs[-1]):
                    runs.append([tick, 0])
                runs[-1][1] += 1
            start, length = max(runs, key=lambda run: (run[1], -run[0]))
            for name in {gate[1] for gate in self.gates}:
                held = [gate[2:] for gate in self.gates if gate[:2] == (family, name) and gate[2] <= length]
                if held:
                    rows.append((start, max(held)[1] + group, 1))
        return rows


def table(rows: object, width: int = 0) -> NDArray[np.int64]:
    found = np.array(rows, dtype=np.int64)
    return found.reshape(-1, width) if width else found


def random_case(rng: random.Random, *, model: str, people: int, horizon: int, most: int) -> Case:
    events, groups = rng.randint(1, 3), rng.randint(1, 4)
    windows = sorted(rng.sample(range(1, horizon + 9), rng.randint(1, 3)))
    families = [(place, 100 * number) for number, place in enumerate(rng.choices(range(len(windows)), k=4))]
    gates = [
        (family, name, span)
        for family in range(len(families)) for name in range(2)
        for span in sorted(rng.sample(range(1, horizon + 3), rng.randint(0, 3)))
    ]  # fmt: skip
    touches = []
    for owner in range(people):
        ticks = sorted(rng.randrange(horizon + 3) for _ in range(rng.randint(1, most)))
        if rng.random() < 0.2:
            rng.shuffle(ticks)  # as where a zone's clocks go back
        owner *= 3  # not everybody has a touch
        touches += [(owner, tick, rng.randrange(-1, groups), rng.randrange(events)) for tick in ticks]
    return Case(
        touches=touches,
        model=model,
        unit=rng.choice([CREDIT_UNIT, CREDIT_UNIT, 1, 2, 7, 1 << 16, (1 << 31) - 1]),
        step=rng.choice([1, 1, 2, 7]),
        most_windows=rng.choice([1, 2, 3, 50, 50]),
        most_touches=rng.choice([None, None, 1, 2, 3, 16]),
        horizon=horizon,
        rank=[rng.randrange(events + 1) for _ in range(events)],
        windows=windows,
        families=families,
        via=[[rng.random() < 0.7 for _ in range(events)] for _ in families],
        gates=[(*gate, 1000 + 100 * number) for number, gate in enumerate(gates)],
    )


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_those_of_the_definition(model: str) -> None:
    rng = random.Random(model)
    weights = 0
    for _ in range(400):
        case = random_case(rng, model=model, people=3, horizon=rng.choice([1, 5, 30]), most=rng.choice([3, 9]))
        found = case.found()
        assert found == case.expected()
        weights += len(found[0])
    assert weights > 3000


@pytest.mark.parametrize("model", MODELS)
def test_people_are_more_than_a_task_holds_and_touches_of_one_too(model: str) -> None:
    rng = random.Random(model)
    many = random_case(rng, model=model, people=2500, horizon=12, most=7)
    assert len(many.touches) > 2 * 4096 and many.found() == many.expected()
    case = replace(random_case(rng, model=model, people=4, horizon=12, most=5), most_touches=16)
    moments = [(7, rng.randrange(12), rng.randrange(3), 0) for _ in range(5000)]
    crowd = replace(case, touches=sorted(case.touches + moments, key=lambda touch: touch[0]))
    assert crowd.found() == crowd.expected()


@pytest.mark.parametrize("model", MODELS)
def test_long_past_touches_share_exactly(model: str) -> None:
    """Ages of hundreds of steps, where no 64 bits hold a weight."""
    rng = random.Random(model)
    for _ in range(12):
        case = random_case(rng, model=model, people=1, horizon=300, most=30)
        case = replace(case, windows=[300], families=[(0, 0)], via=case.via[:1], gates=[], step=1, most_windows=9)
        assert case.found() == case.expected()


@pytest.mark.parametrize("width", [8, 12, 15])
def test_shares_that_are_whole_but_for_the_oldest_touches_are_exact(width: int) -> None:
    """Ages of 0, w, 2w … under the unit 2^2w: that of age w gets 2^w - 1 parts with not a hair to spare."""
    rng = random.Random(width)
    newest, parts = 16 * width, set()
    for more in range(60):
        ages = [width * step for step in range(17)]
        ages += rng.choices(ages[2:], k=more % 3)
        touches = [(0, newest - age, place, 0) for place, age in enumerate(sorted(ages, reverse=True))]
        case = Case(
            touches=touches, model="time_decay", unit=1 << 2 * width, step=1, most_windows=1 << 20, most_touches=None,
            horizon=newest + 2, rank=[0], windows=[newest + 9], families=[(0, 0)], via=[[True]], gates=[],
        )  # fmt: skip
        parts.add(case.shares(touches, newest + 9, newest)[-2][1])
        assert case.found() == case.expected()
    assert {(1 << width) - 1, (1 << width) - 2} <= parts


def test_ticks_may_be_as_late_as_the_kernel_takes() -> None:
    rng, late = random.Random(1), 1 << 59
    for model in MODELS:
        case = random_case(rng, model=model, people=3, horizon=20, most=6)
        touches = [(owner, tick + late, group, event) for owner, tick, group, event in case.touches]
        rows, dropped = case.expected()
        moved = [(owner, tick + late, target, weight) for owner, tick, target, weight in rows]
        assert replace(case, touches=touches, horizon=late + case.horizon).found() == (moved, dropped)


def test_a_person_of_very_many_touches_is_walked_once() -> None:
    """A touch at every tick, each of another group: with the last touch credit moves on at every one."""
    count = 200_000
    case = Case(
        touches=[(0, tick, tick, 0) for tick in range(count)], model="last_touch", unit=1, step=0, horizon=count,
        most_windows=1 << 40, most_touches=None, rank=[0], windows=[50_000], families=[(0, 0)], via=[[True]], gates=[],
    )  # fmt: skip
    moves = [(0, tick, group, weight) for tick in range(count) for group, weight in ((tick - 1, -1), (tick, 1))]
    assert case.found() == (moves[1:], [[0, 0]])
    leaves = [(0, tick, tick - 50_000 + side, 2 * side - 1) for tick in range(50_000, count) for side in (0, 1)]
    assert replace(case, model="first_touch").found()[0] == [(0, 0, 0, 1), *leaves]


ONE = Case(
    touches=[(0, 1, 0, 0), (0, 2, 0, 0)], model="time_decay", unit=9, step=1, most_windows=1, most_touches=1,
    horizon=5, rank=[0], windows=[3], families=[(0, 0)], via=[[True]], gates=[(0, 0, 1, 9), (0, 0, 2, 10)],
)  # fmt: skip
LATE = 1 << 61
REFUSED: dict[str, Callable[[], object]] = {
    "owners that descend": replace(ONE, touches=[(1, 1, 0, 0), (0, 2, 0, 0)]).found,
    "touches before time": replace(ONE, touches=[(0, -1, 0, 0)]).found,
    "touches after all time": replace(ONE, touches=[(0, LATE, 0, 0)]).found,
    "a group below none": replace(ONE, touches=[(0, 1, -2, 0)]).found,
    "a group beyond all": replace(ONE, touches=[(0, 1, LATE, 0)]).found,
    "an event that no rank has": replace(ONE, touches=[(0, 1, 0, 1)]).found,
    "an event below zero": replace(ONE, touches=[(0, 1, 0, -1)]).found,
    "a model that is none": replace(ONE, model="u_shaped").found,
    "no steps of decay": replace(ONE, step=0).found,
    "no unit": replace(ONE, unit=0).found,
    "a unit that no lookup holds": replace(ONE, unit=1 << 31).found,
    "no windows that earn": replace(ONE, most_windows=0).found,
    "no touches that earn": replace(ONE, most_touches=0).found,
    "a horizon before time": replace(ONE, horizon=-1).found,
    "a horizon after all time": replace(ONE, horizon=LATE).found,
    "a rank beyond the events": replace(ONE, rank=[2]).found,
    "a rank below zero": replace(ONE, rank=[-1]).found,
    "a window of no ticks": replace(ONE, windows=[0]).found,
    "a window beyond time": replace(ONE, windows=[LATE]).found,
    "a family of no window": replace(ONE, families=[(1, 0)]).found,
    "a family below all windows": replace(ONE, families=[(-1, 0)]).found,
    "a target below zero": replace(ONE, families=[(0, -1)]).found,
    "a gate of no family": replace(ONE, gates=[(1, 0, 1, 9)]).found,
    "a gate's target below zero": replace(ONE, gates=[(0, 0, 1, -9)]).found,
    "gates that descend": replace(ONE, gates=[(0, 0, 2, 10), (0, 0, 1, 9)]).found,
    "equal gates": replace(ONE, gates=[(0, 0, 1, 9), (0, 0, 1, 10)]).found,
}  # fmt: skip


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_malformed_arguments_are_refused(call: Callable[[], object]) -> None:
    assert ONE.found() == ONE.expected() == ([(0, 1, 0, 9), (0, 1, 10, 1), (0, 4, 0, -9)], [[1, 0]])
    with pytest.raises(ValueError):
        call()
