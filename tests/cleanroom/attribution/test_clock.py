"""Ticks against Python's own calendar, in zones that change their clocks in every way that exists."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cleanroom.agreement.model import Resolution, TimeRules
from cleanroom.attribution import clock as clock_module
from cleanroom.attribution.clock import microseconds
from cleanroom.errors import AgreementError
from tests.cleanroom.attribution.mutants import mutated


def rules(start: datetime, end: datetime, resolution: Resolution, zone: str = "UTC") -> TimeRules:
    return TimeRules(start=start, end=end, resolution=resolution, zone=zone, tree=(1,))


def local(zone: str, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[arg-type, misc]


# new york: 23 and 25 hours; sao paulo: midnight does not exist, and 23:00 comes twice; havana: midnight comes twice;
# st john's: the date goes back at 00:01; apia: 2011-12-30 is no date; lord howe: half an hour; monrovia: odd seconds
ZONES = [
    ("UTC", 2017),
    ("Asia/Shanghai", 2017),
    ("America/New_York", 2017),
    ("America/Sao_Paulo", 2017),
    ("America/Havana", 2017),
    ("America/St_Johns", 2006),
    ("Pacific/Apia", 2011),
    ("Australia/Lord_Howe", 2017),
    ("Asia/Kathmandu", 2017),
    ("Africa/Monrovia", 1971),
]


@pytest.mark.parametrize(("zone", "year"), ZONES)
def test_a_day_is_the_date_in_the_zone(zone: str, year: int) -> None:
    start, end = local(zone, year, 1, 1), local(zone, year + 2, 1, 1)
    clock = clock_module.TickClock.of(rules(start, end, Resolution.DAY, zone))
    rng = random.Random(year)
    span = microseconds(end) - microseconds(start)
    moments = [microseconds(start) + rng.randrange(span) for _ in range(2000)]
    for at in clock.segment_start_us.tolist():  # every change of the clocks, to the microsecond
        for away in (0, 1, 59_000_000, 3_599_999_999, 3_600_000_000, 90_000_000_000):
            moments += [at - away, at + away]
    moments = [m for m in moments if microseconds(start) <= m < microseconds(end)]
    first = datetime(year, 1, 1).date()
    want = [
        ((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=m)).astimezone(ZoneInfo(zone)).date() - first).days
        for m in moments
    ]
    assert clock.ticks(np.array(moments, dtype=np.int64)).tolist() == want
    assert clock.horizon == (datetime(year + 2, 1, 1).date() - first).days


@pytest.mark.parametrize(("resolution", "length"), [(Resolution.HOUR, 3600), (Resolution.MINUTE, 60)])
def test_short_ticks_are_elapsed_time_from_the_start(resolution: Resolution, length: int) -> None:
    start = datetime(2017, 3, 11, 5, 30, 7, tzinfo=UTC)
    end = start + timedelta(days=3, seconds=1)
    clock = clock_module.TickClock.of(rules(start, end, resolution, "America/New_York"))
    assert clock.horizon == 3 * 86400 // length + 1  # the last one is cut short
    at = microseconds(start) + np.array([0, length * 10**6 - 1, length * 10**6, (3 * 86400 + 1) * 10**6 - 1])
    assert clock.ticks(at).tolist() == [0, 0, 1, clock.horizon - 1]


def test_a_start_inside_a_day_belongs_to_that_date() -> None:
    start, end = datetime(2017, 1, 1, 18, tzinfo=UTC), datetime(2017, 1, 4, 1, tzinfo=UTC)
    clock = clock_module.TickClock.of(rules(start, end, Resolution.DAY, "Asia/Shanghai"))
    # 18:00Z is 02:00 on the 2nd in Shanghai; 01:00Z on the 4th is 09:00 on the 4th
    assert clock.horizon == 3
    at = microseconds(datetime(2017, 1, 2, 15, 59, 59, tzinfo=UTC))
    assert clock.ticks(np.array([at, at + 1_000_000])).tolist() == [0, 1]


def test_the_span_of_a_period_is_half_open() -> None:
    year = rules(datetime(2017, 1, 1, tzinfo=UTC), datetime(2018, 1, 1, tzinfo=UTC), Resolution.DAY)
    clock = clock_module.TickClock.of(year)
    assert clock.horizon == 365
    assert clock.span(datetime(2017, 1, 2, tzinfo=UTC), datetime(2017, 1, 9, tzinfo=UTC)) == (1, 8)
    assert clock.span(datetime(2017, 1, 2, 5, tzinfo=UTC), datetime(2017, 1, 9, 5, tzinfo=UTC)) == (1, 9)


def test_the_span_holds_dates_that_come_back() -> None:
    # St John's, 2006-10-29: at 00:01 the clocks go back to 23:01 of the 28th
    zone = "America/St_Johns"
    clock = clock_module.TickClock.of(rules(local(zone, 2006, 10, 1), local(zone, 2006, 11, 1), Resolution.DAY, zone))
    midnight = local(zone, 2006, 10, 29)
    assert clock.span(midnight - timedelta(hours=1), midnight + timedelta(minutes=30)) == (27, 29)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('side="right") - 1, 0)', 'side="left") - 1, 0)'),
        ("starts.append(high)", "starts.append(high + 1)"),
        ("starts.append(high)", "starts.append(low)"),
        ("microseconds(end) - 1", "microseconds(end)"),
        ("at - 1 + offset", "at + offset"),
        ("- min(firsts) + 1", "- min(firsts)"),
        ("- self.origin * self.length_us", "- self.origin * self.length_us + self.length_us"),
        ("_SCAN_US: Final = 6 *", "_SCAN_US: Final = 24 * 365 *"),
    ],
)
def test_a_slip_of_the_clock_is_seen(right: str, wrong: str) -> None:
    with mutated(clock_module, right, wrong), pytest.raises(AssertionError):
        for zone, year in ZONES:
            test_a_day_is_the_date_in_the_zone(zone, year)
        test_the_span_of_a_period_is_half_open()


def test_an_unknown_zone_is_an_agreement_error() -> None:
    start, end = datetime(2017, 1, 1, tzinfo=UTC), datetime(2018, 1, 1, tzinfo=UTC)
    with pytest.raises(AgreementError, match=r"time\.zone"):
        clock_module.TickClock.of(rules(start, end, Resolution.DAY, "Mars/X"))
