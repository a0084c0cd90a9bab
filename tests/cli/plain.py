"""Every metric by a plain pandas join on both sides' clear data: an oracle that shares no code with the product."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainMetric:
    """A declared metric: `measure` is matched, people, events or sum; `window` is in ticks."""

    name: str
    measure: str
    window: int = 0
    cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainAgreement:
    """What the join needs of an agreement; moments are time-zone-aware."""

    groups: tuple[str, ...]
    metrics: tuple[PlainMetric, ...]
    start: pd.Timestamp
    end: pd.Timestamp
    touches_start: pd.Timestamp
    touches_end: pd.Timestamp
    tick: str = "1d"  # 1d: dates in the zone; else a pandas offset of elapsed time
    zone: str = "UTC"
    anchor: str = "first_touch"
    instants: tuple[pd.Timestamp, ...] | None = None
    min_people: int = 0


def plain_table(
    agreement: PlainAgreement, touches: pd.DataFrame, outcomes: pd.DataFrame, members: Iterable[object]
) -> dict[tuple[str, str], int | None]:
    """Computes what must be released.

    Args:
        agreement: the rules.
        touches: person, time (aware), group.
        outcomes: person, time (aware), units (integers): one row an event.
        members: everybody whom the outcome side knows.

    Returns:
        (group, metric) -> the figure in whole units, or None where fewer people than `min_people` contribute.
    """
    inside = touches[(touches.time >= agreement.touches_start) & (touches.time < agreement.touches_end)]
    if agreement.instants is not None:
        inside = inside[inside.time.isin(agreement.instants)]
    inside = inside[inside.group.isin(agreement.groups)].sort_values("time")
    by_person = inside.groupby(["person", "group"], sort=False).time
    anchors = (by_person.first() if agreement.anchor == "first_touch" else by_person.last()).reset_index()
    anchors["anchor"] = _ticks(agreement, anchors.time)
    events = outcomes[(outcomes.time >= agreement.start) & (outcomes.time < agreement.end)].copy()
    events["tick"] = _ticks(agreement, events.time)
    pairs = anchors.drop(columns="time").merge(events[["person", "tick", "units"]], on="person")
    pairs["after"] = pairs.tick - pairs.anchor
    known = anchors[anchors.person.isin(set(members))].groupby("group").size()
    table: dict[tuple[str, str], int | None] = {}
    for metric in agreement.metrics:
        window = pairs[(pairs.after >= 0) & (pairs.after < metric.window)].groupby(["group", "person"])
        figures = window.units.sum() if metric.measure == "sum" else window.size()
        if metric.cap is not None:
            figures = figures.clip(upper=metric.cap)
        for group in agreement.groups:
            mine = figures[figures.index.get_level_values("group") == group]
            people = int(known.get(group, 0)) if metric.measure == "matched" else len(mine)
            value = people if metric.measure in ("matched", "people") else int(mine.sum())
            table[group, metric.name] = value if people >= agreement.min_people else None
    return table


def released_table(release: pd.DataFrame, *, sums: Iterable[str]) -> dict[tuple[str, str], int | None]:
    """The same of a release.csv that was read as text; `sums` names the money metrics, of two decimals."""
    money = set(sums)
    table: dict[tuple[str, str], int | None] = {}
    for row in release.itertuples():
        group, metric, text = str(row.group), str(row.metric), str(row.value)
        assert row.status in ("released", "suppressed")
        assert (row.status == "suppressed") == (text == "")
        if row.status == "suppressed":
            table[group, metric] = None
        elif metric in money:
            whole, point, cents = text.partition(".")
            assert point == "." and len(cents) == 2, "money in the currency's units, two decimals"
            table[group, metric] = int(whole + cents)
        else:
            table[group, metric] = int(text)
    return table


def read_release(path: object) -> pd.DataFrame:
    """A release.csv as text, an empty value as ""."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)  # type: ignore[call-overload,no-any-return]


def _ticks(agreement: PlainAgreement, times: pd.Series) -> pd.Series:
    if agreement.tick == "1d":
        first = agreement.start.tz_convert(agreement.zone).tz_localize(None).normalize()
        return (times.dt.tz_convert(agreement.zone).dt.tz_localize(None).dt.normalize() - first).dt.days
    return (times - agreement.start) // pd.Timedelta(agreement.tick)
