"""Several identifiers and a side's own accounts, against a few obvious lines of Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.agreement.model import Agreement, Identifier, Match
from cleanroom.data import Binding, read_exposure, read_outcome
from cleanroom.data.accounts import holder_mark
from cleanroom.errors import DataError
from tests.cleanroom.data.worlds import agreement
from tests.cleanroom.match_keys.slow_forms import person_key, text_key

CHOICE_KEY = bytes(range(32))
EPOCH = datetime(2017, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    person: str | None
    phone: str | None
    email: str | None
    day: int
    event: str
    group: str = "1"
    amount: int = 0
    event_id: str | None = None


def three(max_invalid: str = "1") -> Agreement:
    identifiers = (Identifier(type="phone", country="CN"), Identifier(type="email"))
    base = agreement()
    return replace(base, match=Match(identifiers=identifiers, max_invalid=Decimal(max_invalid)))


def table(rows: Sequence[Row], *, person: bool, exposure: bool) -> Binding:
    columns = {
        "phone": pa.array([row.phone for row in rows], pa.string()),
        "email": pa.array([row.email for row in rows], pa.string()),
        "time": pa.array([EPOCH + timedelta(days=row.day) for row in rows], pa.timestamp("us", tz="UTC")),
        "event": pa.array([row.event for row in rows], pa.string()),
    }
    if exposure:
        columns["campaign_id"] = pa.array([row.group for row in rows], pa.string())
    else:
        columns["amount"] = pa.array([row.amount for row in rows], pa.int64())
        columns["event_id"] = pa.array([row.event_id for row in rows], pa.string())
    if person:
        columns["person"] = pa.array([row.person for row in rows], pa.string())
    return Binding.from_table(pa.table(columns), {name: name for name in columns})


def keys(row: Row) -> list[bytes | None]:
    """The row's key under phone and under email; the test's phones are 1 to 9, malformed as x."""
    phone = f"+8613800138{int(row.phone) % 1000:03d}" if row.phone not in (None, "x") else None
    email = row.email if row.email not in (None, "x") else None
    return [
        None if phone is None else person_key(type="phone", form=phone),
        None if email is None else person_key(type="email", form=email),
    ]


def account(row: Row, *, person: bool) -> bytes | None:
    if person and row.person is not None:
        return text_key(tag="person", text=row.person)
    return next((key for key in keys(row) if key is not None), None)


def held(rows: Sequence[Row], *, person: bool) -> dict[bytes, list[bytes | None]]:
    """Of each account and identifier: the one of the latest row, of equally late rows the largest."""
    found: dict[bytes, list[tuple[int, bytes] | None]] = {}
    for row in rows:
        owner = account(row, person=person)
        if owner is not None:
            mine = found.setdefault(owner, [None, None])
            for place, key in enumerate(keys(row)):
                candidate = None if key is None else (row.day, key)
                if candidate is not None and (mine[place] is None or candidate > mine[place]):  # type: ignore[operator]
                    mine[place] = candidate
    return {owner: [None if entry is None else entry[1] for entry in mine] for owner, mine in found.items()}


PHONES = ["1", "2", "3", "x", None]
EMAILS = ["a@example.com", "b@example.com", "x", None]
ROWS = st.lists(
    st.builds(
        Row,
        person=st.sampled_from(["p", "q", "r", None]),
        phone=st.sampled_from(PHONES),
        email=st.sampled_from(EMAILS),
        day=st.integers(-1, 3),
        event=st.sampled_from(["mail", "click", "other"]),
        group=st.sampled_from(["1", "2", "9"]),
        amount=st.integers(0, 3),
        event_id=st.sampled_from(["e", "f", None]),
    ),
    min_size=1,
    max_size=12,
)


def written(row: Row) -> Row:
    """The row with its phone as a number of the test range."""
    return row if row.phone in (None, "x") else replace(row, phone=f"13800138{int(row.phone):03d}")


@settings(derandomize=True, max_examples=400, deadline=None)
@given(ROWS, st.booleans())
def test_a_touch_is_looked_up_under_the_first_identifier_of_its_account(rows: list[Row], person: bool) -> None:
    rows = [written(row) for row in rows]
    data = read_exposure(three(), table(rows, person=person, exposure=True))
    mine = held(rows, person=person)
    expected = set()
    fates: Counter[str] = Counter()
    for row in rows:
        owner = account(row, person=person)
        key = None if owner is None else next((entry for entry in mine[owner] if entry is not None), None)
        if not person:
            key = next((entry for entry in keys(row) if entry is not None), None)
        if key is None:
            fates["malformed" if "x" in (row.phone, row.email) else "null"] += 1
        elif row.event == "other":
            fates["event"] += 1
        elif row.group == "9":
            fates["scope"] += 1
        elif row.day < 0:
            fates["period"] += 1
        else:
            fates["kept"] += 1
            expected.add((key, row.day, row.event, row.group))
    summary = data.summary
    assert (summary.null_identifiers, summary.malformed_identifiers) == (fates["null"], fates["malformed"])
    assert (summary.other_event, summary.out_of_scope, summary.out_of_period) == (
        fates["event"], fates["scope"], fates["period"],
    )  # fmt: skip
    assert (summary.kept, summary.duplicates) == (len(expected), fates["kept"] - len(expected))
    found = []
    for batch in data.batches():
        for at in range(len(batch)):
            day = (int(batch.time_us[at]) - int(EPOCH.timestamp()) * 10**6) // (86400 * 10**6)
            event, group = ("mail", "click")[batch.event[at]], str(batch.group[at] + 1)
            found.append((batch.person[at].tobytes(), day, event, group))
    assert sorted(found) == sorted(expected)
    assert [entry[0] for entry in found] == sorted(entry[0] for entry in found)


@settings(derandomize=True, max_examples=400, deadline=None)
@given(ROWS, st.booleans(), st.sampled_from([1 << 6, 64 << 20]))
def test_an_outcome_stands_under_every_identifier_of_its_account(rows: list[Row], person: bool, memory: int) -> None:
    rows = [written(replace(row, event={"mail": "order", "click": "search"}.get(row.event, "other"))) for row in rows]
    binding = table(rows, person=person, exposure=False)
    data = read_outcome(three(), binding, choice_key=CHOICE_KEY, memory_bytes=memory)
    mine = held(rows, person=person)
    holders: dict[bytes, list[bytes]] = {}
    for owner, entries in mine.items():
        for key in entries:
            if key is not None:
                holders.setdefault(key, []).append(owner)
    keeper = {key: min(owners, key=lambda one: holder_mark(CHOICE_KEY, key, one)) for key, owners in holders.items()}
    assert data.summary.shared_identifiers == sum(len(owners) - 1 for owners in holders.values())
    assert [key.tobytes() for part in data.members() for key in part] == sorted(keeper)

    events: dict[object, list[tuple[int, int]]] = {}
    for place, row in enumerate(rows):
        owner = account(row, person=person)
        if owner is not None and any(mine[owner]) and row.event != "other":
            one = place if row.event_id is None else None
            events.setdefault((owner, row.event, row.event_id, one), []).append((row.day, row.amount * 100))
    expected = []
    for (owner, event, event_id, _), lines in events.items():  # type: ignore[misc]
        day, total = min(line[0] for line in lines), sum(line[1] for line in lines)
        if day >= 0:
            for key in mine[owner]:
                if key is not None and keeper[key] == owner:
                    expected.append((key, event, day, total, event_id is not None))
    found = []
    for batch in data.batches():
        for at in range(len(batch)):
            day = (int(batch.time_us[at]) - int(EPOCH.timestamp()) * 10**6) // (86400 * 10**6)
            event = ("order", "search")[batch.event[at]]
            entry = (batch.person[at].tobytes(), event, day, int(batch.value[at]), bool(batch.event_key[at] >= 0))
            found.append(entry)
    assert sorted(found) == sorted(expected)
    assert [entry[:3] for entry in found] == sorted(entry[:3] for entry in found)
    kept = sum(min(line[0] for line in lines) >= 0 for lines in events.values())
    assert data.summary.kept == kept
    summary = data.summary
    assert summary.rows == (
        summary.null_identifiers + summary.malformed_identifiers + summary.other_event + summary.out_of_period
        + summary.duplicates + summary.kept
    )  # fmt: skip


def test_many_accounts_in_many_parts() -> None:
    """What fits into memory and what does not give the same outcomes."""
    chooser = random.Random(1)
    rows = [
        Row(
            person=str(chooser.randrange(400)),
            phone=chooser.choice([None, f"1380013{chooser.randrange(9999):04d}"]),
            email=chooser.choice([None, f"u{chooser.randrange(300)}@example.com"]),
            day=chooser.randrange(300),
            event=chooser.choice(["order", "search"]),
            amount=chooser.randrange(50),
            event_id=chooser.choice([None, str(chooser.randrange(9))]),
        )
        for _ in range(4000)
    ]
    binding = table(rows, person=True, exposure=False)
    found = []
    for memory in (1 << 10, 64 << 20):
        data = read_outcome(three(), binding, choice_key=CHOICE_KEY, memory_bytes=memory)
        batches = list(data.batches())
        found.append(
            [
                (key.tobytes(), int(event), int(time), int(value))
                for batch in batches
                for key, event, time, value in zip(batch.person, batch.event, batch.time_us, batch.value, strict=True)
            ]
        )
        assert data.summary.shared_identifiers > 50
    assert found[0] == found[1]
    assert len(found[0]) > 4000


def test_a_side_needs_one_of_the_identifiers() -> None:
    rows = [Row(person="p", phone=None, email="a@example.com", day=0, event="order")]
    full = table(rows, person=True, exposure=False)
    email_only = replace(full, columns={name: at for name, at in full.columns.items() if name != "phone"})
    assert sum(len(part) for part in read_outcome(three(), email_only, choice_key=CHOICE_KEY).members()) == 1
    neither = {name: at for name, at in full.columns.items() if name not in ("phone", "email")}
    with pytest.raises(DataError, match="columns: one of phone, email: expected the name of a column"):
        read_outcome(three(), replace(full, columns=neither), choice_key=CHOICE_KEY)
