"""A synthetic side's events in a Parquet file, and an agreement that counts every one of them.

Each side has n events of n / 5 people, half of whom both sides know; an identifier is a text of ten characters. Touches
fall on 60 days, outcomes on these, the 30 before and the 30 after. Neither file is in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.agreement import Agreement, load_agreement
from cleanroom.agreement.model import Role
from cleanroom.data import Binding, ColumnName
from cleanroom.identity import new_identity

__all__ = ["CASES", "Case", "binding", "make_agreement", "write_events"]

_DAY: Final = 86_400
_START: Final = 1_767_225_600  # 2026-01-01T00:00:00Z
_PER_PERSON: Final = 5
_GROUPS: Final = 64
_COLUMNS: Final[Mapping[Role, dict[str, str]]] = {
    Role.EXPOSURE: {"id": "user", "time": "at", "event": "event", "note": "note"},
    Role.OUTCOME: {"id": "buyer", "time": "at", "event": "event", "event_id": "order_id", "amount": "amount"},
}

_AGREEMENT: Final = """\
version = 1
name = "preparation"
purpose = "Measure a preparation"
valid_until = 2035-12-31
[parties.media]
role = "exposure"
certificate = "media/media.crt"
[parties.shop]
role = "outcome"
certificate = "shop/shop.crt"
[match]
identifiers = ["id"]
[time]
start = 2026-01-01T00:00:00Z
end = 2026-05-01T00:00:00Z
resolution = "1d"
zone = "UTC"
tree = {tree}
[exposure]
events = ["read"]
start = 2026-01-31T00:00:00Z
end = 2026-04-01T00:00:00Z
group_by = "note"
groups = [{groups}]
anchor = "first_touch"
{credit}
[outcome]
events = ["order"]
value = "amount"
currency = "CNY"
precision = "0.01"
{metrics}
[release]
noise = "gaussian"
epsilon = 2.0
delta = 1e-6
min_people = 50
max_groups_per_person = 4
max_windows = 4
recipients = ["media", "shop"]
[protocol]
profile = "kkrt"
max_rows = {{exposure = {exposure}, outcome = {outcome}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What an agreement asks for, and what an event needs at most with tree [1]: lookups, or rows."""

    what: str
    metrics: tuple[tuple[str, str, str], ...]  # window, measure, cap
    credit: bool
    lookups: int
    rows: int


def _measures(windows: tuple[str, ...], measures: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str, str], ...]:
    return tuple((window, *measure) for window in windows for measure in measures)


_PEOPLE, _EVENTS, _SUM = ("people", ""), ("events", "cap = 40"), ("sum", 'cap = "2000.00"')
CASES: Final = {
    "four": Case(
        what="4 columns: people, events and two sums of 15 days",
        metrics=_measures(("15d",), (_PEOPLE, _EVENTS, _SUM, ("sum", 'cap = "500.00"'))),
        credit=False,
        lookups=1,
        rows=8,
    ),
    "nine": Case(
        what="9 columns: people, events and a sum of 7, 15 and 30 days",
        metrics=_measures(("7d", "15d", "30d"), (_PEOPLE, _EVENTS, _SUM)),
        credit=False,
        lookups=1,
        rows=16,
    ),
    "credit": Case(
        what="6 credited columns: events and a sum of 7, 15 and 30 days, last touch",
        metrics=_measures(("7d", "15d", "30d"), (_EVENTS, _SUM)),
        credit=True,
        lookups=2,
        rows=16,
    ),
}
"""The first is the one that the goal is for."""


def make_agreement(folder: Path, case: Case, *, events: int, tree: tuple[int, ...]) -> Agreement:
    """Writes an agreement between two new parties and reads it.

    Args:
        folder: an empty one.
        case: what is asked for.
        events: of each side; the bounds on rows follow from it, as powers of two where it is one.
        tree: sizes of the time tree.

    Raises:
        AgreementError: that many events may need more rows than a run can have.
    """
    for party in ("media", "shop"):
        new_identity(party, folder / party)
    way = 'attribution = "credit"' if case.credit else ""
    metrics = "".join(
        f'[[metrics]]\nname = "m{place}"\nevent = "order"\nwindow = "{window}"\nmeasure = "{measure}"\n{cap}\n{way}\n'
        for place, (window, measure, cap) in enumerate(case.metrics)
    )
    path = folder / "agreement.toml"
    text = _AGREEMENT.format(
        tree=list(tree),
        groups=", ".join(f'"{name}"' for name in _group_names()),
        credit='credit = "last_touch"' if case.credit else "",
        metrics=metrics,
        exposure=events * case.lookups * (1 << (len(tree) - 1).bit_length()),
        outcome=events * case.rows // (1 if len(tree) == 1 else 2),
    )
    path.write_text(text, encoding="utf-8")
    return load_agreement(path)


def write_events(folder: Path, *, events: int, seed: int = 7) -> None:
    """Writes both sides' files, with what Arrow compresses and encodes unless it is told otherwise."""
    generator = np.random.default_rng(seed)
    people = max(1, events // _PER_PERSON)
    names = np.char.add("W", np.char.zfill(generator.permutation(20 * people)[: 2 * people].astype(str), 9))

    def table(first: int, day: int, days: int) -> dict[str, pa.Array]:
        who = names[first : first + people][generator.integers(people, size=events)]
        seconds = _START + _DAY * day + generator.integers(_DAY * days, size=events)
        return {"who": pa.array(who), "at": pa.array(seconds * 1000, pa.timestamp("ms", "UTC"))}

    touches = table(0, 30, 60)
    note = pa.array(_group_names()).take(pa.array(generator.integers(_GROUPS, size=events)))
    _write(folder, Role.EXPOSURE, (touches["who"], touches["at"], pa.array(["read"] * events), note))
    outcomes = table(people // 2, 0, 120)
    cents = pa.array(generator.integers(100, 50_000, size=events)).cast(pa.decimal128(19, 0))
    amount = pa.Array.from_buffers(pa.decimal128(12, 2), events, cents.buffers())
    order = pa.array(generator.permutation(3 * events)[:events])
    event = pa.array(["order"] * events)
    _write(folder, Role.OUTCOME, (outcomes["who"], outcomes["at"], event, order, amount))


def binding(folder: Path, role: Role) -> Binding:
    """The binding of a side's file."""
    columns = {name: ColumnName(column) for name, column in _COLUMNS[role].items()}
    return Binding(name=role.value, pattern=f"{role.value}.parquet", folder=folder, columns=columns)


def _write(folder: Path, role: Role, columns: tuple[pa.Array, ...]) -> None:
    pq.write_table(pa.table(dict(zip(_COLUMNS[role].values(), columns, strict=True))), folder / f"{role.value}.parquet")


def _group_names() -> list[str]:
    return [f"note-{place:02d}" for place in range(_GROUPS)]
