"""The ledger: durable charges, limits, runs without noise, stored releases."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from cleanroom.agreement.model import Agreement, Noise, PartyEntry
from cleanroom.errors import BudgetError, CleanroomError, UsageError
from cleanroom.ledger import Ledger, Limit, Run, parse_period
from cleanroom.plan import plan_of
from cleanroom.release.accounting import PrivacyCost, composed_epsilon, privacy_cost
from tests.cleanroom.release.worlds import BUYERS, make_agreement

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWN, PEER, OTHER = b"o" * 32, b"p" * 32, b"q" * 32


def session(number: int) -> bytes:
    return number.to_bytes(32, "little")


def run_of(number: int, own: bytes = OWN, peer: bytes = PEER) -> Run:
    return Run(session_id=session(number), own_root=own, peer_root=peer)


def world(noise: Noise = Noise.LAPLACE, epsilon: float = 0.1, **change: object) -> tuple[Agreement, PrivacyCost]:
    agreement = make_agreement(metrics=(BUYERS,), noise=noise, epsilon=epsilon, **change)  # type: ignore[arg-type]
    return agreement, privacy_cost(agreement, plan_of(agreement))


def partner_of(agreement: Agreement) -> PartyEntry:
    return agreement.outcome_party


def limit(epsilon: str, days: int = 365, delta: str = "0") -> Limit:
    return Limit(epsilon=Decimal(epsilon), delta=Decimal(delta), period=timedelta(days=days))


def test_charges_add_up_exactly_to_the_limit(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=0.1)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("0.3"))
        for number in range(3):  # 0.1 + 0.1 + 0.1 > 0.3 in floating point
            ledger.check(agreement, cost, partner, own_root=OWN, now=NOW)
            ledger.charge(agreement, cost, partner, run=run_of(number), now=NOW)
        with pytest.raises(BudgetError, match=r"release\.epsilon: 0\.3 of 0\.3 is spent with shop"):
            ledger.check(agreement, cost, partner, own_root=OWN, now=NOW)
        with pytest.raises(BudgetError):
            ledger.charge(agreement, cost, partner, run=run_of(9), now=NOW)
        spent = ledger.spent_with(partner.fingerprint, now=NOW)
    assert (spent.epsilon, spent.delta, spent.runs) == (Decimal("0.3"), Decimal(0), 3)


def test_a_delta_that_adds_up_past_the_limit_is_judged_by_composition(tmp_path: Path) -> None:
    agreement, cost = world(Noise.GAUSSIAN, epsilon=0.1)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("0.3", delta="1e-6"))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW)  # 2e-6 in sum, epsilon 0.2 at 1e-6 composed
        ledger.set_limit(partner.fingerprint, limit("0.3", delta="0"))
        with pytest.raises(BudgetError, match=r"release\.delta"):
            ledger.charge(agreement, cost, partner, run=run_of(3), now=NOW)


def test_without_a_limit_runs_are_charged_and_never_refused(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=9.0)
    with Ledger(tmp_path) as ledger:
        for number in range(5):
            ledger.charge(agreement, cost, partner_of(agreement), run=run_of(number), now=NOW)
        (spent,) = ledger.spending(now=NOW)
    assert (spent.epsilon, spent.partner_name, spent.limit) == (Decimal(45), "shop", None)


def test_many_runs_compose_tighter_than_they_add_up(tmp_path: Path) -> None:
    """Runs of epsilon 1 at delta 1e-6: a limit of epsilon 6 at delta 1e-6 holds more than six of them."""
    agreement, cost = world(Noise.GAUSSIAN, epsilon=1.0)
    partner = partner_of(agreement)
    assert cost.rho is not None
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("6", delta="1e-6"))
        made = 0
        with pytest.raises(BudgetError, match="zCDP"):
            for number in range(100):
                ledger.charge(agreement, cost, partner, run=run_of(number), now=NOW)
                made += 1
        spent = ledger.spent_with(partner.fingerprint, now=NOW)
    assert composed_epsilon(made * cost.rho, 1e-6) <= 6 < composed_epsilon((made + 1) * cost.rho, 1e-6)
    assert made > 6 and spent.composed <= 6 < spent.epsilon
    assert composed_epsilon(cost.rho, 1e-6) <= 1.0


def test_pure_epsilon_composes_with_a_delta(tmp_path: Path) -> None:
    agreement, cost = world(Noise.LAPLACE, epsilon=0.1)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner_of(agreement).fingerprint, limit("1", delta="0"))
        for number in range(10):  # delta 0: plain sums alone
            ledger.charge(agreement, cost, partner_of(agreement), run=run_of(number), now=NOW)
        with pytest.raises(BudgetError):
            ledger.charge(agreement, cost, partner_of(agreement), run=run_of(10), now=NOW)
        ledger.set_limit(partner_of(agreement).fingerprint, limit("2", delta="1e-6"))
        for number in range(11, 21):
            ledger.charge(agreement, cost, partner_of(agreement), run=run_of(number), now=NOW)


def test_what_leaves_the_period_is_free_again(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("1", days=30))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        with pytest.raises(BudgetError):
            ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW + timedelta(days=29))
        with pytest.raises(BudgetError):  # a clock that was set back
            ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW - timedelta(days=400))
        ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW + timedelta(days=30))


def test_a_clock_that_stood_in_the_past_makes_no_charge_old_before_its_time(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("2", days=30))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        ledger.charge(agreement, cost, partner, run=run_of(2), now=NOW - timedelta(days=365))  # a battery that died
        for days in (-365, 0, 29):
            assert ledger.spent_with(partner.fingerprint, now=NOW + timedelta(days=days)).epsilon == Decimal(2)
            with pytest.raises(BudgetError):
                ledger.charge(agreement, cost, partner, run=run_of(3), now=NOW + timedelta(days=days))
        ledger.charge(agreement, cost, partner, run=run_of(3), now=NOW + timedelta(days=30))
        # a clock that ran ahead: what was charged then counts until its date has passed
        ledger.charge(agreement, cost, partner, run=run_of(4), now=NOW + timedelta(days=300))
        assert ledger.spent_with(partner.fingerprint, now=NOW + timedelta(days=31)).epsilon == Decimal(2)


def test_partners_do_not_share_a_limit(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(agreement.outcome_party.fingerprint, limit("0.5"))
        with pytest.raises(BudgetError):
            ledger.charge(agreement, cost, agreement.outcome_party, run=run_of(1), now=NOW)
        ledger.charge(agreement, cost, agreement.exposure_party, run=run_of(2), now=NOW)
        assert [entry.epsilon for entry in ledger.spending(now=NOW)] == [Decimal(1), Decimal(0)]


def test_a_charge_survives_a_killed_process(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.cleanroom.test_ledger import *;"
        "agreement, cost = world(epsilon=1.0); ledger = Ledger(Path(sys.argv[1]));"
        "ledger.charge(agreement, cost, partner_of(agreement), run=run_of(1), now=NOW);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr
    with Ledger(tmp_path) as ledger:
        assert ledger.spending(now=NOW)[0].epsilon == Decimal(1)


def test_two_runs_at_once_cannot_both_take_the_last_of_a_budget(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("3"))

    def attempt(number: int) -> bool:
        with Ledger(tmp_path) as mine:
            try:
                mine.charge(agreement, cost, partner, run=run_of(number), now=NOW)
            except BudgetError:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 3


@pytest.mark.parametrize(
    ("start", "end", "refused"),
    [
        (datetime(2017, 6, 1, tzinfo=UTC), datetime(2017, 7, 1, tzinfo=UTC), True),
        (datetime(2016, 6, 1, tzinfo=UTC), datetime(2017, 1, 2, tzinfo=UTC), True),
        (datetime(2018, 1, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC), False),  # half-open
        (datetime(2016, 1, 1, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC), False),
    ],
)
def test_a_second_run_without_noise_over_an_overlapping_period_is_refused(
    tmp_path: Path, start: datetime, end: datetime, refused: bool
) -> None:
    first, cost = world(Noise.NONE)
    second, _ = world(Noise.NONE, start=start, end=end, agreement_hash=b"\x22" * 32)
    partner = partner_of(first)
    with Ledger(tmp_path) as ledger:
        ledger.charge(first, cost, partner, run=run_of(1), now=NOW - timedelta(days=4000))
        if refused:
            with pytest.raises(BudgetError, match=r"release\.noise"):
                ledger.check(second, cost, partner, own_root=OWN, now=NOW)
            with pytest.raises(BudgetError, match=r"release\.noise"):
                ledger.charge(second, cost, partner, run=run_of(2), now=NOW)
            assert ledger.spent_with(partner.fingerprint, now=NOW).runs_without_noise == 1
        else:
            ledger.check(second, cost, partner, own_root=OWN, now=NOW)
            ledger.charge(second, cost, partner, run=run_of(2), now=NOW)


def test_without_noise_the_same_agreement_needs_the_same_inputs(tmp_path: Path) -> None:
    agreement, cost = world(Noise.NONE)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        ledger.check(agreement, cost, partner, own_root=OWN, now=NOW)
        for changed in (run_of(2, own=OTHER), run_of(2, peer=OTHER)):
            with pytest.raises(BudgetError):
                ledger.charge(agreement, cost, partner, run=changed, now=NOW)
        with pytest.raises(BudgetError):
            ledger.check(agreement, cost, partner, own_root=OTHER, now=NOW)
        ledger.charge(agreement, cost, partner, run=run_of(3), now=NOW)  # a run that broke off is made again


def test_a_limit_refuses_runs_without_noise_unless_it_allows_them(tmp_path: Path) -> None:
    agreement, cost = world(Noise.NONE)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("5"))
        with pytest.raises(BudgetError, match="allows no run without noise"):
            ledger.check(agreement, cost, partner, own_root=OWN, now=NOW)
        with pytest.raises(BudgetError, match="allows no run without noise"):
            ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        assert ledger.spent_with(partner.fingerprint, now=NOW).runs_without_noise == 0
        ledger.set_limit(partner.fingerprint, replace(limit("5"), exact=True))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_ledger_is_taken_over_with_its_limits(tmp_path: Path, version: int) -> None:
    agreement, cost = world(Noise.NONE)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("5"))
        ledger._db.execute("ALTER TABLE limits DROP COLUMN exact")
        if version == 1:
            ledger._db.execute("ALTER TABLE releases DROP COLUMN keep_until")
        ledger._db.execute(f"PRAGMA user_version = {version}")
    with Ledger(tmp_path) as ledger:
        assert ledger.spent_with(partner.fingerprint, now=NOW).limit == limit("5")
        with pytest.raises(BudgetError, match="allows no run without noise"):
            ledger.check(agreement, cost, partner, own_root=OWN, now=NOW)


def test_other_partners_and_noised_runs_do_not_stand_in_the_way(tmp_path: Path) -> None:
    plain, plain_cost = world(Noise.NONE)
    noised, noised_cost = world(Noise.GAUSSIAN, agreement_hash=b"\x22" * 32)
    with Ledger(tmp_path) as ledger:
        ledger.charge(noised, noised_cost, noised.outcome_party, run=run_of(1), now=NOW)
        ledger.charge(plain, plain_cost, plain.outcome_party, run=run_of(2), now=NOW)
        ledger.charge(plain, plain_cost, plain.exposure_party, run=run_of(3, own=OTHER), now=NOW)
        ledger.charge(noised, noised_cost, noised.outcome_party, run=run_of(4), now=NOW)


def test_an_exact_repeat_gets_the_stored_files(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    files = {"release.csv": b"group\n", "release.json": b"{}"}
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("1"))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        ledger.store(agreement, partner, run=run_of(1), files=files, now=NOW)
        ledger.check(agreement, cost, partner, own_root=OWN, now=NOW)  # it may be a repeat
        with pytest.raises(BudgetError):
            ledger.check(agreement, cost, partner, own_root=OTHER, now=NOW)
    with Ledger(tmp_path) as ledger:
        stored = ledger.stored(agreement, partner, own_root=OWN, peer_root=PEER)
        assert stored is not None
        assert (dict(stored.files), stored.session_id, stored.stored_at) == (files, session(1), NOW)
        assert "group" not in repr(stored)
        assert ledger.stored(agreement, partner, own_root=OWN, peer_root=OTHER) is None
        assert ledger.stored(agreement, partner, own_root=OTHER, peer_root=PEER) is None
        assert ledger.stored(agreement, agreement.exposure_party, own_root=OWN, peer_root=PEER) is None
        other, _ = world(agreement_hash=b"\x22" * 32)
        assert ledger.stored(other, partner, own_root=OWN, peer_root=PEER) is None
        ledger.store(agreement, partner, run=run_of(2), files={"release.csv": b"else"}, now=NOW)
        again = ledger.stored(agreement, partner, own_root=OWN, peer_root=PEER)
        assert again is not None and again.session_id == session(2)
        assert dict(again.files) == {"release.csv": b"else"}


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        agreement, cost = world()
        ledger.charge(agreement, cost, partner_of(agreement), run=run_of(1), now=NOW)
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_settings_that_durability_rests_on(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        database = ledger._db
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"something else, long enough to be taken for a database" * 20)
    with pytest.raises(CleanroomError, match="the ledger refused"):
        Ledger(tmp_path)
    with pytest.raises(CleanroomError, match="cannot be opened"):
        Ledger(tmp_path / "missing")


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    database = sqlite3.connect(tmp_path / "ledger.sqlite")
    database.execute("PRAGMA user_version = 4")
    database.close()
    with pytest.raises(CleanroomError, match="version 3 expected, version 4 found"):
        Ledger(tmp_path)


@pytest.mark.parametrize("text", ["", "365", "0d", "-1d", "1.5d", "1w", "1d "])
def test_periods_are_days(text: str) -> None:
    assert parse_period("365d") == timedelta(days=365)
    with pytest.raises(UsageError, match="365d"):
        parse_period(text)


@pytest.mark.parametrize(
    "wrong",
    [limit("-1"), limit("NaN"), limit("1", delta="2"), limit("1", delta="-1e-9"), limit("1", days=0)],
)
def test_a_limit_must_make_sense(tmp_path: Path, wrong: Limit) -> None:
    with Ledger(tmp_path) as ledger, pytest.raises(UsageError, match="limit"):
        ledger.set_limit(b"s" * 32, wrong)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("charges", "epsilon", "-1"),  # room for more
        ("charges", "epsilon", "sNaN"),
        ("charges", "epsilon", None),
        ("charges", "delta", "1e999999999"),
        ("charges", "rho", -1.0),
        ("charges", "partner_name", "a\x1b[2J"),
        ("limits", "epsilon", "x"),
        ("limits", "period_us", 0),
        ("releases", "stored_at", (1 << 63) - 1),
        ("releases", "keep_until", "2026-02-30"),
        ("releases", "session", b"short"),
        ("release_files", "name", "../release.json"),
    ],
)
def test_a_damaged_row_is_said_to_be_damaged(tmp_path: Path, table: str, column: str, value: object) -> None:
    agreement, cost = world(Noise.GAUSSIAN)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("3", delta="0.1"))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        ledger.store(agreement, partner, run=run_of(1), files={"release.json": b"{}"}, now=NOW)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute(f"UPDATE {table} SET {column} = ?", (value,))
    database.close()
    with Ledger(tmp_path) as ledger, pytest.raises(CleanroomError, match=r"the ledger refused \(it is damaged\)$"):
        ledger.spent_with(partner.fingerprint, now=NOW)
        ledger.kept()
        ledger.stored(agreement, partner, own_root=OWN, peer_root=PEER)


def test_a_schema_that_is_not_utf_8_is_said_to_be_damaged(tmp_path: Path) -> None:
    with Ledger(tmp_path):
        pass
    path = tmp_path / "ledger.sqlite"
    data = path.read_bytes()
    assert data.count(b"CREATE TABLE charges") == 1
    path.write_bytes(data.replace(b"CREATE TABLE charges", b"CREATE TABL\xff charges"))
    with pytest.raises(CleanroomError, match="the ledger refused"):
        Ledger(tmp_path)


def test_a_limit_over_more_years_than_there_are(tmp_path: Path) -> None:
    agreement, cost = world(epsilon=1.0)
    partner = partner_of(agreement)
    with Ledger(tmp_path) as ledger:
        ledger.set_limit(partner.fingerprint, limit("3", days=999_999))
        ledger.charge(agreement, cost, partner, run=run_of(1), now=NOW)
        assert ledger.spent_with(partner.fingerprint, now=NOW).runs == 1
