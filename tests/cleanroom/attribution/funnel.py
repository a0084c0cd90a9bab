"""Worlds with everything an agreement can say of touches and outcomes: credit, bands, labels, kinds of touches."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.exposure import default_max_touches
from cleanroom.agreement.model import Agreement, Label, Measure, Metric, Period
from cleanroom.attribution import exposure, outcome
from cleanroom.attribution.plain import plain_join
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.plan import Plan, Purpose, Wanted
from tests.cleanroom.attribution.world import (
    KEY,
    OutcomeArrays,
    TouchArrays,
    metric,
    person,
    persons,
    random_world,
    us,
)

MODELS = ("last_touch", "first_touch", "linear", "position", "time_decay")
KINDS = ("click", "like", "read")
LABELS = (Label(column="customer", values=("new", "old")), Label(column="tier", values=("a", "b", "c")))

Touch = tuple[bytes, int, int, int]
"""(person, microseconds, group, event)"""
Part = tuple[bytes, int, int, int, int, tuple[int, ...]]
"""(person, event, microseconds, value, event key, labels)"""
Row = TypeVar("Row", Touch, Part)


@dataclass(frozen=True)
class Funnel:
    """An agreement, and what both sides know."""

    agreement: Agreement
    touches: list[Touch]
    parts: list[Part]
    known: list[bytes]


def random_funnel(seed: int) -> Funnel:
    rng = random.Random(seed)
    world = random_world(seed)
    base = world.agreement
    horizon = max(1, round((base.time.end - base.time.start).total_seconds() / _length(base)))
    credit = rng.choice(MODELS)
    kinds = KINDS[: rng.randint(1, 3)]
    priority = None
    if rng.random() < 0.4:
        named = rng.sample(kinds, rng.randint(1, len(kinds)))
        cut = rng.randint(0, len(named) - 1)
        priority = tuple(part for part in (tuple(named[:cut]), tuple(named[cut:])) if part)
    labels = LABELS[: rng.randint(0, 2)]
    shared = default_max_touches(credit)
    limit = rng.choice([shared, shared, 1, 2, 3])
    agreement = replace(
        base,
        exposure=replace(
            base.exposure,
            events=kinds,
            credit=credit,
            credit_step_ticks=rng.choice([1, 2, 7, 60]) if credit == "time_decay" else None,
            max_touches=limit,
            priority=priority,
            frequency=rng.choice([None, None, (1, 2, 4), (2,), (1,)]),
        ),
        outcome=replace(base.outcome, labels=labels),
        release=replace(base.release, max_windows=rng.choice([1, 2, 3, 50])),
        metrics=tuple(_metric(rng, base, horizon, kinds, labels, number) for number in range(rng.randint(1, 5))),
    )
    used = agreement.labels_in_use
    touches = [
        (who, at, group, rng.randrange(len(kinds)))
        for who, at, group in world.touches
        for _ in range(rng.randint(1, 2))
    ]
    both = sorted({touch[0] for touch in touches} & {event[0] for event in world.events})
    if rng.random() < 0.4 and both:  # many touches of one person
        who = rng.choice(both)
        low, high = us(agreement.exposure.start), us(agreement.exposure.end)
        groups = len(agreement.exposure.groups)
        touches += [
            (who, rng.randrange(low, high), rng.randrange(groups), rng.randrange(len(kinds)))
            for _ in range(rng.randint(5, 30))
        ]
    parts: list[Part] = []
    for number, (who, event, at, value) in enumerate(world.events):
        key = number if used and rng.random() < 0.6 else -1
        combinations = {
            tuple(rng.randint(-1, len(label.values) - 1) for label in used)
            for _ in range(rng.randint(1, 3) if key >= 0 else 1)
        }
        parts += [(who, event, at, value, key, labels) for labels in sorted(combinations)]
    return Funnel(agreement=agreement, touches=touches, parts=parts, known=world.known)


def _length(agreement: Agreement) -> int:
    return {"1d": 86400, "1h": 3600, "1m": 60}[agreement.time.resolution.value]


def _metric(
    rng: random.Random, base: Agreement, horizon: int, kinds: tuple[str, ...], labels: tuple[Label, ...], number: int
) -> Metric:
    measure = rng.choice([Measure.MATCHED, Measure.PEOPLE, Measure.EVENTS, Measure.SUM, Measure.EVENTS, Measure.SUM])
    name = f"m{number}"
    if measure is Measure.MATCHED:
        return metric(measure, event=None, ticks=None, name=name)
    cap = None if measure is Measure.PEOPLE else rng.choice([1, 2, 3, 20, 10**6])
    plain = metric(
        measure, event=rng.choice(base.outcome.events), ticks=rng.choice([1, 2, 3, 7, 15, horizon, horizon + 5]),
        cap=cap, name=name,
    )  # fmt: skip
    credit = measure is not Measure.PEOPLE and rng.random() < 0.6
    via = None
    if len(kinds) > 1 and rng.random() < 0.4:
        via = tuple(kind for kind in kinds if kind in rng.sample(kinds, rng.randint(1, len(kinds) - 1))) or None
    by = rng.choice(labels).column if labels and rng.random() < 0.5 else None
    period = Period.BEFORE if not credit and rng.random() < 0.3 else Period.AFTER
    return replace(plain, credit=credit, via=via, by=by, period=period)


def squares(agreement: Agreement) -> list[Wanted]:
    """Support columns such as a table of lift asks for: of every window metric its square and that of its change."""
    found = []
    for item in agreement.metrics:
        if item.measure is not Measure.MATCHED and not item.credit and item.by is None:
            square = Wanted(
                name=f"{item.name}_squared", measure=item.measure, event=item.event, window=item.window,
                window_ticks=item.window_ticks, cap=item.cap or 1, via=item.via, squared=True, purpose=Purpose.SUPPORT,
            )  # fmt: skip
            found += [square, replace(square, name=f"{item.name}_change", change=True)]
    return found


def touch_batches(funnel: Funnel, sizes: list[int] | None = None) -> list[TouchArrays]:
    exposed = funnel.agreement.exposure
    low, high = us(exposed.start), us(exposed.end)
    kept = sorted({touch for touch in funnel.touches if low <= touch[1] < high})
    return [
        TouchArrays(
            person=persons([row[0] for row in rows]),
            time_us=np.array([row[1] for row in rows], dtype=np.int64),
            group=np.array([row[2] for row in rows], dtype=np.int32),
            event=np.array([row[3] for row in rows], dtype=np.int32),
        )
        for rows in _batched(kept, sizes)
    ]


def outcome_batches(funnel: Funnel, sizes: list[int] | None = None) -> list[OutcomeArrays]:
    time = funnel.agreement.time
    kept = sorted(part for part in funnel.parts if us(time.start) <= part[2] < us(time.end))
    used = len(funnel.agreement.labels_in_use)
    return [
        OutcomeArrays(
            person=persons([row[0] for row in rows]),
            event=np.array([row[1] for row in rows], dtype=np.int32),
            time_us=np.array([row[2] for row in rows], dtype=np.int64),
            value=np.array([row[3] for row in rows], dtype=np.int64),
            event_key=np.array([row[4] for row in rows], dtype=np.int64),
            label=np.array([row[5] for row in rows], dtype=np.int16).reshape(len(rows), used),
        )
        for rows in _batched(kept, sizes)
    ]


def _batched(rows: list[Row], sizes: list[int] | None) -> list[list[Row]]:
    people = sorted({row[0] for row in rows})
    half = len(people) // 2
    parts = [people] if sizes is None else [people[:half], people[half:]]
    return [[row for row in rows if row[0] in part] for part in parts if part]


def prepared(funnel: Funnel, plan: Plan) -> tuple[Lookups, Rows]:
    agreement = funnel.agreement
    lookups, _ = exposure.prepare_lookups(agreement, plan, touch_batches(funnel, [2]), group_cap_key=KEY)
    found, _ = outcome.prepare_rows(agreement, plan, outcome_batches(funnel, [2]), [persons(funnel.known)])
    return lookups, found


def joined(funnel: Funnel, plan: Plan) -> NDArray[np.int64]:
    """The release's cells by the ideal functionality, from prepared data."""
    lookups, found = prepared(funnel, plan)
    at = {key.tobytes(): index for index, key in enumerate(found.keys)}
    cells = np.zeros((plan.groups, len(plan.row_values)), dtype=np.int64)
    positions = np.array(plan.class_positions)
    for index, key in enumerate(lookups.keys):
        row = at.get(key.tobytes())
        if row is None:
            continue
        for place in range(int(lookups.indptr[index]), int(lookups.indptr[index + 1])):
            family, group = divmod(int(lookups.target[place]), plan.groups)
            cells[group] += np.where(positions == family, lookups.weight[place] * found.values[row], 0)
    return plan.combined(cells.view(np.uint64)).view(np.int64)


def plain(funnel: Funnel, plan: Plan) -> NDArray[np.int64]:
    return plain_join(
        funnel.agreement, plan, touch_batches(funnel), outcome_batches(funnel), [persons(funnel.known)],
        group_cap_key=KEY,
    )  # fmt: skip


__all__ = [
    "Funnel", "joined", "outcome_batches", "person", "plain", "prepared", "random_funnel", "squares", "touch_batches",
]  # fmt: skip
