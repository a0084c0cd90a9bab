"""An agreement to read data under, and small files to read."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

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
from cleanroom.data import Binding, load_binding

START = datetime(2017, 1, 1, tzinfo=UTC)
END = datetime(2018, 1, 1, tzinfo=UTC)


def agreement(
    *,
    identifier: Identifier | None = None,
    max_invalid: str = "0.01",
    zone: str = "UTC",
    groups: tuple[str, ...] = ("1", "2", "3"),
    precision: str = "0.01",
    events: tuple[str, ...] = ("order", "search"),
    sums: bool = True,
) -> Agreement:
    """Mails and orders of 2017; touches until December."""
    metric = Metric(name="orders", measure=Measure.EVENTS, event="order", window_ticks=15, window="15d", cap=40)
    total = replace(metric, name="sales", measure=Measure.SUM, cap=200000)
    parties = tuple(
        PartyEntry(name=role.value, role=role, certificate_pem=b"", fingerprint=bytes(32))
        for role in (Role.EXPOSURE, Role.OUTCOME)
    )
    return Agreement(
        version=1,
        name="test",
        purpose="test",
        valid_until=date(2030, 1, 1),
        parties=(parties[0], parties[1]),
        match=Match(identifiers=(identifier or Identifier(type="id"),), max_invalid=Decimal(max_invalid)),
        time=TimeRules(start=START, end=END, resolution=Resolution.DAY, zone=zone, tree=(1,)),
        exposure=Exposure(
            events=("mail", "click"),
            start=START,
            end=datetime(2017, 12, 1, tzinfo=UTC),
            instants=None,
            group_by="campaign_id",
            groups=groups,
            anchor="first_touch",
            credit=None,
        ),
        outcome=Outcome(events=events, value="amount", currency="CNY", precision=Decimal(precision), labels=()),
        metrics=(metric, total) if sums else (metric,),
        release=ReleaseRules(
            noise=Noise.NONE,
            epsilon=0.0,
            delta=0.0,
            min_people=1,
            max_groups_per_person=4,
            max_windows=4,
            recipients=("exposure", "outcome"),
        ),
        protocol=ProtocolChoice(profile=Profile.ECDH, max_rows_exposure=1024, max_rows_outcome=1024),
        canonical=b"",
        hash=bytes(32),
    )


def bind(folder: Path, path: str, columns: str) -> Binding:
    """Writes and loads a binding file in `folder`; `columns` holds the lines of its [columns]."""
    file = folder / "binding.toml"
    file.write_text(f'[source]\npath = "{path}"\n[columns]\n{columns}\n', encoding="utf-8")
    return load_binding(file)


TOUCH_COLUMNS = 'id = "person"\ntime = "sent_at"\nevent = "kind"\ncampaign_id = "campaign"'
OUTCOME_COLUMNS = 'id = "person"\ntime = "at"\nevent = "\'order\'"\namount = "paid"\nevent_id = "basket"'


def touches(folder: Path, body: str | bytes, *, columns: str = TOUCH_COLUMNS, packed: bool = False) -> Binding:
    """Binds a CSV of touches; `body` holds the rows below the header person,sent_at,kind,campaign."""
    data = body if isinstance(body, bytes) else body.encode()
    data = b"person,sent_at,kind,campaign\n" + data
    (folder / "touches.csv").write_bytes(gzip.compress(data) if packed else data)
    return bind(folder, "touches.csv", columns)


def outcomes(folder: Path, body: str | bytes, *, columns: str = OUTCOME_COLUMNS) -> Binding:
    """Binds a CSV of outcomes; `body` holds the rows below the header person,at,paid,basket."""
    data = body if isinstance(body, bytes) else body.encode()
    (folder / "outcomes.csv").write_bytes(b"person,at,paid,basket\n" + data)
    return bind(folder, "outcomes.csv", columns)
