"""Agreements for the tests of the release, built as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

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
from cleanroom.handshake import Handshake
from cleanroom.plan import plan_of
from cleanroom.protocols.session import Contribution
from cleanroom.release.terms import terms_of

MATCHED = Metric(name="matched", measure=Measure.MATCHED, event=None, window_ticks=None, window=None, cap=None)
BUYERS = Metric(name="buyers", measure=Measure.PEOPLE, event="order", window_ticks=15, window="15d", cap=None)
ORDERS = Metric(name="orders", measure=Measure.EVENTS, event="order", window_ticks=15, window="15d", cap=40)
SALES = Metric(name="sales", measure=Measure.SUM, event="order", window_ticks=15, window="15d", cap=200_000)
SALES_7 = Metric(name="sales_7", measure=Measure.SUM, event="order", window_ticks=7, window="7d", cap=90_000)


def make_agreement(
    *,
    metrics: tuple[Metric, ...] = (MATCHED, BUYERS, ORDERS, SALES, SALES_7),
    groups: int = 3,
    noise: Noise = Noise.GAUSSIAN,
    epsilon: float = 2.0,
    delta: float = 1e-6,
    min_people: int = 50,
    max_groups_per_person: int = 2,
    recipients: tuple[str, ...] = ("media", "shop"),
    start: datetime = datetime(2017, 1, 1, tzinfo=UTC),
    end: datetime = datetime(2018, 1, 1, tzinfo=UTC),
    agreement_hash: bytes = b"\x11" * 32,
    precision: Decimal = Decimal("0.01"),
) -> Agreement:
    """Builds an agreement between `media` and `shop` whose certificates are never opened."""
    return Agreement(
        version=1,
        name="letters, 2017",
        purpose="Measure purchases after letters",
        valid_until=date(2030, 1, 1),
        parties=(
            PartyEntry(name="media", role=Role.EXPOSURE, certificate_pem=b"", fingerprint=b"m" * 32),
            PartyEntry(name="shop", role=Role.OUTCOME, certificate_pem=b"", fingerprint=b"s" * 32),
        ),
        match=Match(identifiers=(Identifier(type="id"),), max_invalid=Decimal("0.01")),
        time=TimeRules(start=start, end=end, resolution=Resolution.DAY, zone="UTC", tree=(1,)),
        exposure=Exposure(
            events=("mail",),
            start=start,
            end=end,
            instants=None,
            group_by="campaign",
            groups=tuple(f"c{k}" for k in range(groups)),
            anchor="first_touch",
            credit=None,
        ),
        outcome=Outcome(events=("order",), value="amount", currency="CNY", precision=precision, labels=()),
        metrics=metrics,
        release=ReleaseRules(
            noise=noise,
            epsilon=epsilon,
            delta=delta,
            min_people=min_people,
            max_groups_per_person=max_groups_per_person,
            max_windows=4,
            recipients=recipients,
        ),
        protocol=ProtocolChoice(profile=Profile.ECDH, max_rows_exposure=1024, max_rows_outcome=1024),
        canonical=b"",
        hash=agreement_hash,
    )


def made_up_handshake(session_id: bytes) -> Handshake:
    """A handshake that no two sides had, with a session id of its own."""
    sides = [
        Contribution(
            input_root=bytes([mark]) * 32,
            seed_commitment=bytes([mark + 1]) * 32,
            build=bytes([mark + 2]) * 32,
            nonce=bytes([mark + 3]) * 32,
            claim=bytes(32),
        )
        for mark in (16, 32)
    ]
    return Handshake(session_id=session_id, exposure=sides[0], outcome=sides[1])


def handshake_of(agreement: Agreement) -> Handshake:
    """A handshake whose session id follows from the agreement, as that of a run does."""
    draft = made_up_handshake(bytes(32))
    plan = plan_of(agreement)
    return replace(draft, session_id=draft.derived_id(agreement, plan, terms_of(agreement, plan).digest))
