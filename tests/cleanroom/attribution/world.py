"""Small worlds for the attribution tests: agreements made in code, random people, and the definitions in plain Python.

`brute` computes the release from raw records by the words of the conventions: it shares nothing with the product but
the agreement's values.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import (
    Agreement,
    Exposure,
    Identifier,
    Match,
    Measure,
    Metric,
    Noise,
    Outcome,
    PartyEntry,
    Profile,
    ProtocolChoice,
    ReleaseRules,
    Resolution,
    Role,
    TimeRules,
)

KEY = bytes(range(32))
SECONDS = {Resolution.DAY: 86400, Resolution.HOUR: 3600, Resolution.MINUTE: 60}


def metric(
    measure: Measure, *, event: str | None = "order", ticks: int | None = 7, cap: int | None = None, name: str = ""
) -> Metric:
    window = None if ticks is None else f"{ticks}t"
    return Metric(
        name=name or f"{measure.value}_{event}_{window}_{cap}",
        measure=measure,
        event=event,
        window_ticks=ticks,
        window=window,
        cap=cap,
    )


def make_agreement(
    *,
    metrics: tuple[Metric, ...],
    start: datetime = datetime(2017, 1, 1, tzinfo=UTC),
    end: datetime = datetime(2018, 1, 1, tzinfo=UTC),
    resolution: Resolution = Resolution.DAY,
    zone: str = "UTC",
    tree: tuple[int, ...] = (1,),
    touch_start: datetime | None = None,
    touch_end: datetime | None = None,
    instants: tuple[datetime, ...] | None = None,
    groups: tuple[str, ...] = ("1",),
    anchor: str = "first_touch",
    events: tuple[str, ...] = ("order",),
    max_groups: int = 100,
    rows_exposure: int = 1 << 30,
    rows_outcome: int = 1 << 30,
) -> Agreement:
    parties = tuple(
        PartyEntry(name=role.value, role=role, certificate_pem=b"", fingerprint=bytes(32))
        for role in (Role.EXPOSURE, Role.OUTCOME)
    )
    return Agreement(
        version=1,
        name="test",
        purpose="test",
        valid_until=date(2099, 1, 1),
        parties=(parties[0], parties[1]),
        match=Match(identifiers=(Identifier(type="id"),), max_invalid=Decimal("0.01")),
        time=TimeRules(start=start, end=end, resolution=resolution, zone=zone, tree=tree),
        exposure=Exposure(
            events=("mail",),
            start=touch_start or start,
            end=touch_end or end,
            instants=instants,
            group_by="campaign",
            groups=groups,
            anchor=anchor,
            credit=None,
        ),
        outcome=Outcome(events=events, value="amount", currency="CNY", precision=Decimal("0.01"), labels=()),
        metrics=metrics,
        release=ReleaseRules(
            noise=Noise.NONE,
            epsilon=1.0,
            delta=1e-6,
            min_people=1,
            max_groups_per_person=max_groups,
            max_windows=1,
            recipients=("exposure", "outcome"),
        ),
        protocol=ProtocolChoice(profile=Profile.ECDH, max_rows_exposure=rows_exposure, max_rows_outcome=rows_outcome),
        canonical=b"",
        hash=bytes(32),
    )


@dataclass(frozen=True)
class TouchArrays:
    person: NDArray[np.uint8]
    time_us: NDArray[np.int64]
    group: NDArray[np.int32]
    event: NDArray[np.int32]


@dataclass(frozen=True)
class OutcomeArrays:
    person: NDArray[np.uint8]
    time_us: NDArray[np.int64]
    event: NDArray[np.int32]
    value: NDArray[np.int64]
    label: NDArray[np.int16]
    event_key: NDArray[np.int64]


Touch = tuple[bytes, int, int]
"""(person, microseconds, group)"""
Event = tuple[bytes, int, int, int]
"""(person, event, microseconds, value)"""


def us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def person(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "little")).digest()[:16]


def persons(names: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(names), dtype=np.uint8).reshape(-1, 16)


def _whole_people(people: list[bytes], rng: random.Random | None) -> Iterator[list[bytes]]:
    at = 0
    while at < len(people):
        size = len(people) if rng is None else rng.randint(1, len(people))
        yield people[at : at + size]
        at += size


def touch_batches(agreement: Agreement, touches: list[Touch], rng: random.Random | None = None) -> list[TouchArrays]:
    """What the data side hands over: in period, sorted, each once, whole persons a batch."""
    low, high = us(agreement.exposure.start), us(agreement.exposure.end)
    kept = sorted({touch for touch in touches if low <= touch[1] < high})
    batches = []
    for people in _whole_people(sorted({touch[0] for touch in kept}), rng):
        rows = [touch for touch in kept if touch[0] in set(people)]
        batches.append(
            TouchArrays(
                person=persons([row[0] for row in rows]),
                time_us=np.array([row[1] for row in rows], dtype=np.int64),
                group=np.array([row[2] for row in rows], dtype=np.int32),
                event=np.zeros(len(rows), dtype=np.int32),
            )
        )
    return batches


def outcome_batches(agreement: Agreement, events: list[Event], rng: random.Random | None = None) -> list[OutcomeArrays]:
    low, high = us(agreement.time.start), us(agreement.time.end)
    kept = sorted(event for event in events if low <= event[2] < high)
    batches = []
    for people in _whole_people(sorted({event[0] for event in kept}), rng):
        rows = [event for event in kept if event[0] in set(people)]
        batches.append(
            OutcomeArrays(
                person=persons([row[0] for row in rows]),
                event=np.array([row[1] for row in rows], dtype=np.int32),
                time_us=np.array([row[2] for row in rows], dtype=np.int64),
                value=np.array([row[3] for row in rows], dtype=np.int64),
                label=np.zeros((len(rows), 0), dtype=np.int16),
                event_key=np.full(len(rows), -1, dtype=np.int64),
            )
        )
    return batches


def tick_of(agreement: Agreement) -> Callable[[int], int]:
    """The first convention, one time at a time."""
    time = agreement.time
    if time.resolution is Resolution.DAY:
        zone = ZoneInfo(time.zone)

        def calendar(at: int) -> int:
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(zone).date().toordinal()

        return calendar
    return lambda at: (at - us(time.start)) // (SECONDS[time.resolution] * 1_000_000)


def brute(
    agreement: Agreement, columns: list[Metric], touches: list[Touch], events: list[Event], known: set[bytes]
) -> list[list[int]]:
    """groups × columns, from the words of the conventions."""
    tick = tick_of(agreement)
    exposure, time, release = agreement.exposure, agreement.time, agreement.release
    instants = (
        None
        if exposure.instants is None
        else {tick(us(at)) for at in exposure.instants if exposure.start <= at < exposure.end}
    )
    seen: dict[bytes, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for who, at, group in touches:
        if us(exposure.start) <= at < us(exposure.end) and (instants is None or tick(at) in instants):
            seen[who][group].append((at, tick(at)))
    result = [[0] * len(columns) for _ in exposure.groups]
    for who, groups in seen.items():

        def mark(group: int, who: bytes = who) -> bytes:
            return hmac.new(KEY, who + exposure.groups[group].encode("utf-8"), hashlib.sha256).digest()

        for group in sorted(groups, key=mark)[: release.max_groups_per_person]:
            pick = min if exposure.anchor == "first_touch" else max
            anchor = pick(groups[group])[1]
            for index, column in enumerate(columns):
                if column.measure is Measure.MATCHED:
                    result[group][index] += who in known
                    continue
                assert column.window_ticks is not None
                values = [
                    value
                    for whom, event, at, value in events
                    if whom == who
                    and agreement.outcome.events[event] == column.event
                    and us(time.start) <= at < us(time.end)
                    and anchor <= tick(at) < anchor + column.window_ticks
                ]
                if column.measure is Measure.PEOPLE:
                    result[group][index] += bool(values)
                else:
                    figure = len(values) if column.measure is Measure.EVENTS else sum(values)
                    result[group][index] += figure if column.cap is None else min(figure, column.cap)
    return result


@dataclass(frozen=True)
class World:
    agreement: Agreement
    touches: list[Touch]
    events: list[Event]
    known: list[bytes]
    rng: random.Random


ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe"]


def random_world(seed: int) -> World:
    """A world in which touches and outcomes like to meet on the edges of everything."""
    rng = random.Random(seed)
    resolution = rng.choice(list(Resolution))
    length = SECONDS[resolution]
    zone = rng.choice(ZONES)
    horizon = rng.choice([1, 3, 10, 30, 100])
    # a start near both changes of the clocks in the zones above
    day = datetime(2017, rng.choice([2, 3, 4, 10, 11]), rng.choice([1, 12, 18]), tzinfo=ZoneInfo(zone))
    start = day.astimezone(UTC) if rng.random() < 0.8 else day.astimezone(UTC) + timedelta(seconds=rng.randrange(86400))
    end = start + timedelta(seconds=horizon * length + (rng.randrange(length) if rng.random() < 0.2 else 0))
    span = int((end - start).total_seconds())

    def edge() -> int:
        at = rng.randrange(horizon + 1) * length
        return at if rng.random() < 0.8 else at + rng.randrange(length)

    touch_start, touch_end = start, end
    if rng.random() < 0.6:
        low, high = sorted((min(edge(), span), min(edge(), span)))
        if low < high:
            touch_start, touch_end = start + timedelta(seconds=low), start + timedelta(seconds=high)
    tree = [1]
    for _ in range(rng.randrange(5)):
        tree.append(tree[-1] * rng.choice([2, 3, 4, 8, 24]))
    groups = tuple(rng.sample(["1", "2", "10", "花", "arm b"], rng.randint(1, 5)))
    instants = None
    if rng.random() < 0.3:
        listed = [start + timedelta(seconds=rng.randrange(span)) for _ in range(rng.randint(1, 6))]
        instants = tuple(rng.sample([*listed, touch_start, touch_end - timedelta(microseconds=1)], len(listed)))
    events = ("order", "visit")[: rng.randint(1, 2)]
    metrics = []
    for number in range(rng.randint(1, 6)):
        measure = rng.choice(list(Measure))
        if measure is Measure.MATCHED:
            metrics.append(metric(measure, event=None, ticks=None, name=f"m{number}"))
        else:
            cap = None if measure is Measure.PEOPLE else rng.choice([1, 3, 20, 10**6, 2**60])
            ticks = rng.choice([1, 2, 7, 15, horizon, horizon + 5])
            metrics.append(metric(measure, event=rng.choice(events), ticks=ticks, cap=cap, name=f"m{number}"))
    agreement = make_agreement(
        metrics=tuple(metrics), start=start, end=end, resolution=resolution, zone=zone, tree=tuple(tree),
        touch_start=touch_start, touch_end=touch_end, instants=instants, groups=groups, events=events,
        anchor=rng.choice(["first_touch", "last_touch"]), max_groups=rng.randint(1, 4),
    )  # fmt: skip
    hot = [us(start) + rng.randrange(span) * 1_000_000 for _ in range(3)]
    hot += [us(at) for at in instants or ()]
    fixed = [us(start), us(end) - 1, us(end), us(start) - 1, us(touch_start), us(touch_end) - 1, us(touch_end)]

    def moment() -> int:
        if rng.random() < 0.4:
            return rng.choice(hot)
        if rng.random() < 0.3:
            return rng.choice(fixed)
        return us(start) + rng.randrange(-length, span + length) * 1_000_000

    people = [person(rng.randrange(2**40)) for _ in range(rng.randint(1, 6))]
    touches = [
        (who, moment(), rng.randrange(len(groups)))
        for who in people[: len(people) - 1 or 1]
        for _ in range(rng.randrange(8))
    ]
    values = [0, 1, 5, 9999, 2**61] if rng.random() < 0.2 else [0, 1, 5, 9999]
    done = [
        (who, rng.randrange(len(events)), moment(), rng.choice(values))
        for who in people[1:] or people
        for _ in range(rng.randrange(9))
    ]
    known = sorted({who for who in people if rng.random() < 0.6} | {event[0] for event in done})
    return World(agreement=agreement, touches=touches, events=done, known=known, rng=rng)
