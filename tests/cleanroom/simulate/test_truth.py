"""The truth is the truth: counted again from the files with SQL, and found by whoever estimates it from clear data."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cleanroom.simulate import Parameters, Simulated, World, simulate
from cleanroom.simulate.exposures import CONTROL, TEST
from cleanroom.simulate.outcomes import MEAN_FEN, STAGES, arrived_within
from cleanroom.simulate.parameters import DAY

PARAMETERS = Parameters(people=6000, seed=33, effect=Decimal("0.08"))

_EFFECTS = """
with happened as (  -- one row an event of the shop, with the person, the day and what caused it
    select p.person, o.event, o.event_id, date_diff('day', timestamptz '{start}', min(o.time)) as day
    from outcomes o join people p on o.buyer_id in (p.buyer_id, p.second_buyer_id)
    where o.event = '{event}' group by all
),
starts as (select unnest({names}) as campaign_id, unnest({days}) as start_day),
pairs as (
    select a.*, s.start_day, least(a.depth, {stage} + 1) > {stage} as adds,
        date_diff('day', timestamptz '{start}', a.search_at) - start_day as after
    from assignments a join starts s using (campaign_id) where known_to_shop
),
others as (
    select pairs.person, pairs.campaign_id, min(h.day - pairs.start_day) as first
    from pairs join happened h on h.person = pairs.person and h.day >= pairs.start_day
        and (pairs.event_id is null or h.event_id != pairs.event_id)
    group by all
)
select campaign_id, arm, window_days, count(*) as matched,
    count(*) filter (adds and after < window_days) as events,
    count(*) filter (adds and after < window_days and coalesce(first, 100000) >= window_days) as people,
    coalesce(sum(amount) filter (adds and after < window_days), 0) as "sum"
from pairs left join others using (person, campaign_id), (select unnest({windows}) as window_days)
group by all
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(PARAMETERS, tmp_path_factory.mktemp("world") / "w", block_people=1000)


@pytest.fixture(scope="module")
def sql(made: Simulated) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'Asia/Shanghai'")
    for name, file in (
        ("touches", "media/touches.parquet"),
        ("outcomes", "shop/outcomes.parquet"),
        ("people", "truth/people.parquet"),
        ("assignments", "truth/assignments.parquet"),
    ):
        connection.execute(f"create view {name} as select * from read_parquet('{made.folder / file}')")
    return connection


def test_effects_are_those_that_sql_counts(made: Simulated, sql: duckdb.DuckDBPyConnection) -> None:
    truth = pd.read_parquet(made.effects)
    compared = 0
    for stage, event in enumerate(STAGES):
        query = _EFFECTS.format(
            start="2025-03-01 00:00:00+08",
            event=event,
            stage=stage,
            names=[campaign.name for campaign in PARAMETERS.plan()],
            days=[campaign.start_day for campaign in PARAMETERS.plan()],
            windows=list(PARAMETERS.windows),
        )
        found = sql.execute(query).df().set_index(["campaign_id", "arm", "window_days"])
        for row in truth[truth.event == event].itertuples():
            counted = found.loc[(row.campaign_id, row.arm, row.window_days)]
            assert float(counted[row.measure]) == pytest.approx(row.incremental, abs=1e-6), row
            assert counted["matched"] == row.matched
            compared += 1
    assert compared == len(truth) == (4 * 2 + 1) * (4 * 2 + 1) * len(PARAMETERS.windows)
    assert (truth[truth.campaign_id == "c03"].incremental == 0).all()


def test_what_is_caused_is_in_the_shop_for_the_exposed_alone(sql: duckdb.DuckDBPyConnection) -> None:
    rows = sql.execute(
        "select arm, a.depth, count(distinct o.event) as stages, sum(o.amount) filter (o.event = 'order') as paid, "
        "any_value(a.amount) as amount, min(o.time) filter (o.event = 'order') as ordered, any_value(order_at) as at "
        "from assignments a left join outcomes o on o.event_id = a.event_id and o.event != 'refund' "
        "where a.depth > 0 group by arm, a.person, a.campaign_id, a.depth"
    ).df()
    control = rows[rows.arm == "control"]
    exposed = rows[rows.arm != "control"]
    assert len(control) > 300
    assert (control.stages == 0).all()
    assert (exposed.stages == exposed.depth).all()
    ordered = exposed[exposed.depth == 4]
    assert len(ordered) > 100
    assert (ordered.paid == ordered.amount).all()
    assert (ordered.ordered == ordered["at"]).all()


def test_people_are_counted(made: Simulated, sql: duckdb.DuckDBPyConnection) -> None:
    truth = made.truth
    both, media, shop = sql.execute("select sum(media and shop), sum(media), sum(shop) from people").fetchone() or ()
    assert truth["people"] == {"both": both, "media": media, "shop": shop, "world": 6000}
    query = (
        "select count(distinct p.person) from people p join touches t on t.user_id in (p.user_id, p.second_user_id) "
        "join outcomes o on o.buyer_id in (p.buyer_id, p.second_buyer_id) "
        "where trim(t.id) = trim(o.id) and trim(t.id) like 'W_________' and p.media_usable & 1 and p.shop_usable & 1"
    )
    (matched,) = sql.execute(query).fetchone() or ()
    matchable = truth["matchable"]
    assert isinstance(matchable, dict)
    assert matchable["id"] == matched
    assert matchable["any"] > matchable["id"] > matchable["email"] > 0


def test_everybody_known_has_a_row_and_accounts_are_people(sql: duckdb.DuckDBPyConnection) -> None:
    for table, account, known in (("touches", "user_id", "media"), ("outcomes", "buyer_id", "shop")):
        query = (
            f"select sum({known}), sum({known} and {account} in (select {account} from {table})), "
            f"sum(second_{account} is not null), "
            f"sum(second_{account} is not null and second_{account} in (select {account} from {table})) from people"
        )
        people, with_row, second, with_second = sql.execute(query).fetchone() or ()
        assert people == with_row > 0
        assert second == with_second > 0
        (strangers,) = (
            sql.execute(
                f"select count(*) from {table} where {account} not in (select {account} from people "
                f"where {account} is not null "
                f"union all select second_{account} from people where second_{account} is not null)"
            ).fetchone()
            or ()
        )
        assert strangers == 0


def test_manifests_count_the_rows_of_each_day_and_event(made: Simulated, sql: duckdb.DuckDBPyConnection) -> None:
    for party, table in (("media", "touches"), ("shop", "outcomes")):
        manifest = pd.read_csv(made.own(party) / "manifest.csv")
        query = (
            "select strftime(time at time zone 'Asia/Shanghai', '%Y-%m-%d') as date, event, count(*) as counted "
            f"from {table} group by all"
        )
        merged = manifest.merge(sql.execute(query).df(), on=["date", "event"], how="outer")
        assert (merged.rows == merged.counted.fillna(0)).all()
        assert merged.rows.sum() == (made.touches if party == "media" else made.outcomes)
        assert manifest.date.nunique() == PARAMETERS.days


def test_spend_adds_up_to_the_budget(made: Simulated) -> None:
    spend = pd.read_csv(made.folder / "media" / "spend.csv", dtype=str)
    total = spend.assign(fen=[int(Decimal(text) * 100) for text in spend.spend]).groupby("campaign_id").fen.sum()
    campaigns = pd.read_csv(made.folder / "media" / "campaigns.csv", dtype=str).set_index("campaign_id")
    assert {name: int(Decimal(text) * 100) for name, text in campaigns.budget.items()} == dict(total)
    assert list(campaigns.index) == [campaign.name for campaign in PARAMETERS.plan()]


def test_notes_have_the_labels_that_rows_have(made: Simulated, sql: duckdb.DuckDBPyConnection) -> None:
    notes = pq.read_table(made.folder / "media" / "notes.parquet")
    sql.register("notes", notes)
    (wrong, rows) = (
        sql.execute(
            "select sum(n.creator_id != t.creator_id or n.tag != t.tag "
            "or n.campaign_id is distinct from t.campaign_id), count(*) from touches t join notes n using (note_id)"
        ).fetchone()
        or ()
    )
    assert wrong == 0
    (with_note,) = sql.execute("select count(note_id) from touches").fetchone() or ()
    assert rows == with_note > 10_000
    assert notes.num_rows == PARAMETERS.notes


def estimates(parameters: Parameters, window: int) -> list[tuple[float, float, float]]:
    """(estimate, standard error, truth) of each randomised campaign's added orders per matched person."""
    block = World(parameters).block(0, parameters.people)
    outcomes, assigned = block.outcomes, block.assigned
    order = outcomes.event == STAGES.index("order")
    _, one = np.unique(outcomes.slot[order], return_index=True)
    row, day = outcomes.row[order][one], outcomes.seconds[order][one] // DAY
    found = []
    for number, campaign in enumerate(parameters.plan()):
        if campaign.targeted:
            continue
        inside = (day >= campaign.start_day) & (day < campaign.start_day + window)
        orders = np.bincount(row[inside], minlength=len(block.crowd))
        arms = []
        for arm in (TEST, CONTROL):
            chosen = assigned.row[(assigned.campaign == number) & (assigned.arm == arm)]
            arms.append(orders[chosen[block.crowd.shop[chosen]]])
        error = math.sqrt(sum(arm.var(ddof=1) / len(arm) for arm in arms))
        truth = float(campaign.effect * Decimal(arrived_within(parameters, window).numerator)) / (
            arrived_within(parameters, window).denominator
        )
        found.append((arms[0].mean() - arms[1].mean(), error, truth))
    return found


def test_intervals_from_clear_data_cover_the_declared_effect() -> None:
    found = [
        one for seed in range(60) for one in estimates(Parameters(people=3000, seed=seed, effect=Decimal("0.05")), 15)
    ]
    scores = np.array([(estimate - truth) / error for estimate, error, truth in found])
    assert len(scores) == 240
    assert 0.91 <= (np.abs(scores) < 1.96).mean() <= 0.985
    assert abs(scores.mean()) < 4 / math.sqrt(len(scores))
    assert 0.85 < scores.std() < 1.15
    assert len({truth for _, _, truth in found}) == 4


def test_what_is_expected_is_what_happens_on_average() -> None:
    totals: dict[str, list[float]] = {"events": [0, 0], "sum": [0, 0]}
    for seed in range(6):
        block = World(Parameters(people=20_000, seed=seed, effect=Decimal("0.2"), campaigns=1)).block(0, 20_000)
        caused = block.caused
        ordered = caused.depth == 4
        totals["events"][0] += float(ordered.sum())
        totals["events"][1] += 0.2 * len(caused)
        totals["sum"][0] += float(caused.fen[ordered].sum())
        totals["sum"][1] += float(0.2 * len(caused) * float(MEAN_FEN))
    for found, expected in totals.values():
        assert found == pytest.approx(expected, rel=0.04)


def test_a_world_of_one_campaign_and_few_days_has_its_truth(tmp_path: Path) -> None:
    made = simulate(Parameters(people=50, seed=0, days=12, campaigns=1, notes=2, tags=1), tmp_path / "w")
    effects = made.truth["effects"]
    assert isinstance(effects, list)
    assert {row["window_days"] for row in effects} == {1, 3}
    assert {row["arm"] for row in effects} == {"test", "control"}
