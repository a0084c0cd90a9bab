"""Pruning: private files go, bytes and all; charges never do; an old ledger is brought up to date."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cleanroom.agreement.legal import Basis, Legal
from cleanroom.ledger import Ledger, Run
from cleanroom.plan import plan_of
from cleanroom.release.accounting import privacy_cost
from tests.cleanroom.release.worlds import BUYERS, make_agreement

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = b"seed-7731-of-this-run" * 400  # more than a page
RELEASE = b"released table"


def legal(days: int | None) -> Legal:
    return Legal(
        basis=Basis.CONSENT,
        relation=None,
        impact_assessment=None,
        separate_consent=None,
        cross_border=None,
        retention_days=days,
        deletion=None,
        contacts=(),
    )


def fill(ledger: Ledger, number: int, *, days: int | None = None) -> bytes:
    agreement = make_agreement(metrics=(BUYERS,), epsilon=0.5)
    object.__setattr__(agreement, "legal", None if days is None else legal(days))
    cost = privacy_cost(agreement, plan_of(agreement))
    run = Run(session_id=bytes([number]) * 32, own_root=bytes([number]) * 32, peer_root=b"p" * 32)
    partner, moment = agreement.outcome_party, NOW + timedelta(days=number)
    ledger.charge(agreement, cost, partner, run=run, now=moment)
    files = {"release.json": RELEASE, "audit.private": SECRET}
    ledger.store(agreement, partner, run=run, files=files, now=moment)
    return run.session_id


def test_the_private_file_goes_and_the_release_stays(tmp_path: Path) -> None:
    agreement = make_agreement(metrics=(BUYERS,), epsilon=0.5)
    partner = agreement.outcome_party
    with Ledger(tmp_path) as ledger:
        first, second = fill(ledger, 1), fill(ledger, 2)
        before = ledger.spent_with(partner.fingerprint, now=NOW + timedelta(days=3))
        ledger.prune([first], releases=False)
        stored = ledger.stored(agreement, partner, own_root=first, peer_root=b"p" * 32)
        assert stored is not None
        assert dict(stored.files) == {"release.json": RELEASE}
        assert [(run.session_id, run.private) for run in ledger.kept()] == [(first, False), (second, True)]
        ledger.prune([second], releases=True)
        assert ledger.stored(agreement, partner, own_root=second, peer_root=b"p" * 32) is None
        assert [run.session_id for run in ledger.kept()] == [first]
        assert ledger.spent_with(partner.fingerprint, now=NOW + timedelta(days=3)) == before


def test_the_bytes_are_gone_from_every_file(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        session = fill(ledger, 1)
        assert any(b"seed-7731" in path.read_bytes() for path in tmp_path.iterdir())
        ledger.prune([session], releases=False)
        assert not [path.name for path in tmp_path.iterdir() if b"seed-7731" in path.read_bytes()]


def test_the_agreed_retention_is_kept_beside_a_run(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        fill(ledger, 1, days=30)
        fill(ledger, 2)
        assert [run.keep_until for run in ledger.kept()] == [date(2026, 4, 1), None]


def test_a_ledger_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        session = fill(ledger, 1)
    database = sqlite3.connect(tmp_path / "ledger.sqlite")
    database.execute("ALTER TABLE releases DROP COLUMN keep_until")
    database.execute("ALTER TABLE limits DROP COLUMN exact")
    database.execute("PRAGMA user_version = 1")
    database.close()
    with Ledger(tmp_path) as ledger:
        (run,) = ledger.kept()
        assert (run.session_id, run.keep_until, run.private) == (session, None, True)
        fill(ledger, 2, days=1)
    with Ledger(tmp_path) as ledger:
        assert len(ledger.kept()) == 2
