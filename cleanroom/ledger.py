"""The ledger: what this identity has spent, with whom, under which limit, and the releases it has stored.

One SQLite file, `ledger.sqlite`, beside the identity's key; write-ahead log, every commit flushed to the disk. A run
is charged before its first opening, in the same transaction that checks the limit, so that neither two runs at once
nor a crash after the opening can spend more than is written down. A charge is never taken back.

Charges compose in two ways, and a run is allowed if either stays within the limit: the epsilons and deltas of all runs
with one partner inside the limit's period, summed exactly as decimals; or their zero-concentrated costs (zCDP), summed
and converted to the epsilon at the limit's delta by OpenDP, which is tighter from the second or third run on. A run
without noise has no epsilon: it is recorded with its period, and a second one with the same partner over an overlapping
period is refused, unless it is the same agreement on the same inputs, which opens the same cells again and nothing new.
Matched people are counted whatever their times, so a run that counts them without noise has all time for its period.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from cleanroom.agreement.legal import delete_by
from cleanroom.agreement.model import Agreement, Measure, Noise, PartyEntry
from cleanroom.errors import BudgetError, CleanroomError, UsageError
from cleanroom.ledger_rows import EPOCH, DamagedRowError, amount, day, file_name, key, moment, name, period, rho
from cleanroom.plan import plan_of
from cleanroom.release.accounting import PrivacyCost, composed_epsilon

__all__ = ["LEDGER_FILE", "KeptRun", "Ledger", "Limit", "Run", "Spending", "StoredRelease", "parse_period"]

LEDGER_FILE: Final = "ledger.sqlite"
SCHEMA_VERSION: Final = 3
DEFAULT_PERIOD: Final = timedelta(days=365)
_PRIVATE_FILE: Final = "audit.private"
_BUSY_SECONDS: Final = 30.0
_REFUSALS: Final = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk is full or failed",
    "SQLITE_BUSY": f"another process held it for {_BUSY_SECONDS:g} s",
    "SQLITE_READONLY": "it cannot be written",
    "SQLITE_NOTADB": "it is no ledger",
    "SQLITE_CORRUPT": "it is damaged",
}
"""What SQLite's result codes mean to the owner of a ledger; those not here are named as they are."""
_ALL_TIME: Final = (-(2**63), 2**63 - 1)
"""The period of what does not depend on time, in microseconds since the epoch."""

_SCHEMA: Final = """
CREATE TABLE charges (
    id INTEGER PRIMARY KEY,
    partner BLOB NOT NULL,
    partner_name TEXT NOT NULL,
    agreement_hash BLOB NOT NULL,
    agreement_name TEXT NOT NULL,
    session BLOB NOT NULL UNIQUE,
    own_root BLOB NOT NULL,
    peer_root BLOB NOT NULL,
    noise TEXT NOT NULL,
    epsilon TEXT,
    delta TEXT,
    rho REAL,
    period_start INTEGER NOT NULL,
    period_end INTEGER NOT NULL,
    charged_at INTEGER NOT NULL
) STRICT;
CREATE TABLE limits (
    partner BLOB PRIMARY KEY,
    epsilon TEXT NOT NULL,
    delta TEXT NOT NULL,
    period_us INTEGER NOT NULL,
    exact INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE releases (
    id INTEGER PRIMARY KEY,
    partner BLOB NOT NULL,
    agreement_hash BLOB NOT NULL,
    own_root BLOB NOT NULL,
    peer_root BLOB NOT NULL,
    session BLOB NOT NULL,
    stored_at INTEGER NOT NULL,
    keep_until TEXT,
    UNIQUE (partner, agreement_hash, own_root, peer_root)
) STRICT;
CREATE TABLE release_files (
    release INTEGER NOT NULL REFERENCES releases (id),
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (release, name)
) STRICT;
"""


_FROM_VERSION_2: Final = "ALTER TABLE limits ADD COLUMN exact INTEGER NOT NULL DEFAULT 0"
_FROM_VERSION_1: Final = "ALTER TABLE releases ADD COLUMN keep_until TEXT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What identifies an executed run, for a charge or a stored release."""

    session_id: bytes  # 32 bytes
    own_root: bytes  # 32 bytes: this side's input commitment
    peer_root: bytes  # 32 bytes: the peer's


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What may be spent with one partner inside a sliding period."""

    epsilon: Decimal
    delta: Decimal
    period: timedelta
    exact: bool = False
    """Whether runs without noise are allowed: they have no epsilon, so the amounts say nothing of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What has been spent with one partner.

    `epsilon` and `delta` are plain sums. They, `rho` and `runs` count the limit's period that ends now, or 365 days
    where no limit is set;
    `runs_without_noise` counts them for ever, because their exact figures do not age.
    """

    partner: bytes  # fingerprint of the partner's certificate, 32 bytes
    partner_name: str
    epsilon: Decimal
    delta: Decimal
    rho: float  # the same runs in zero-concentrated privacy
    composed: float  # epsilon of `rho` at the limit's delta, or at `delta` where no limit is set
    runs: int
    runs_without_noise: int
    period: timedelta
    limit: Limit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRelease:
    """A finished run's files, returned instead of executing an exact repeat."""

    session_id: bytes
    own_root: bytes
    peer_root: bytes
    stored_at: datetime
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """A finished run of which files are stored."""

    session_id: bytes
    stored_at: datetime
    keep_until: date | None  # the last day that the agreement allows its private files; None where nothing was agreed
    private: bool  # whether its private file is still there


def parse_period(text: str) -> timedelta:
    """Reads a period such as `365d`.

    Raises:
        UsageError: anything else than a positive number of days.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})d", text)
    if match is None:
        raise UsageError(f"--period: a number of days such as 365d expected, {text!r} found")
    return timedelta(days=int(match.group(1)))


class Ledger:
    """The ledger of one identity. Use it as a context manager, or close it.

    `now` is always passed in: a ledger has no clock of its own.
    """

    def __init__(self, identity: Path) -> None:
        """Opens the ledger of an identity, and creates it if there is none.

        Args:
            identity: the folder of the identity.

        Raises:
            CleanroomError: the file is no ledger, is from a newer version, or the disk refuses.
        """
        self._path = identity / LEDGER_FILE
        try:
            # the owner alone may read it, from the moment it exists; SQLite gives its log files the same mode
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise CleanroomError(f"{self._path}: the ledger cannot be opened or created") from error
        try:
            with self._faults():
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA fullfsync = ON")
                self._db.execute("PRAGMA foreign_keys = ON")
                self._db.execute("PRAGMA temp_store = MEMORY")  # nothing of a ledger beside the ledger
                self._db.execute("PRAGMA secure_delete = ON")  # what is pruned is overwritten, not only forgotten
            with self._transaction():
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                elif version in (1, 2):
                    if version == 1:
                        self._db.execute(_FROM_VERSION_1)
                    self._db.execute(_FROM_VERSION_2)
                    self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                elif version != SCHEMA_VERSION:
                    raise CleanroomError(
                        f"{self._path}: ledger version {SCHEMA_VERSION} expected, version {version} found"
                    )
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def check(
        self, agreement: Agreement, cost: PrivacyCost, partner: PartyEntry, *, own_root: bytes, now: datetime
    ) -> None:
        """Refuses, before connecting, a run that could only be refused later.

        A run whose input is that of a stored release of the same agreement passes: it may turn out to be an exact
        repeat, which costs nothing. If it does not, `charge` refuses it.

        Raises:
            BudgetError: the limit or the release policy does not allow the run.
        """
        with self._transaction():
            known = self._db.execute(
                "SELECT 1 FROM releases WHERE partner = ? AND agreement_hash = ? AND own_root = ?",
                (partner.fingerprint, agreement.hash, own_root),
            ).fetchone()
            if known is None:
                self._allow(agreement, cost, partner, own_root, None, now)

    def reserve(self, room: int) -> None:
        """Makes sure that the disk has room for a charge and a stored release, before anything is spent on them.

        The bytes are written once, to the file and to its log, and given back to the ledger's own use: no other
        process can take them while this ledger is open.

        Args:
            room: bytes.

        Raises:
            CleanroomError: the disk is full.
        """
        with self._faults():
            self._db.execute("DROP TABLE IF EXISTS reserve")  # of a process that was killed right here
        with self._transaction():
            self._db.execute("CREATE TABLE reserve (data BLOB NOT NULL) STRICT")
            self._db.execute("INSERT INTO reserve VALUES (zeroblob(?))", (room,))
        with self._faults():
            # Before the drop, so that the file has grown; after it, because freed pages may be logged as zeros.
            self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            self._db.execute("DROP TABLE reserve")
            self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def charge(self, agreement: Agreement, cost: PrivacyCost, partner: PartyEntry, *, run: Run, now: datetime) -> None:
        """Charges a run durably: when this returns, the charge is on the disk. Call it before the first opening.

        A charge is never dated before an earlier one: a clock that stood in the past for a while makes none old before
        its time.

        Raises:
            BudgetError: the limit or the release policy does not allow the run; nothing was charged.
        """
        with self._transaction():
            self._allow(agreement, cost, partner, run.own_root, run.peer_root, now)
            (latest,) = self._db.execute("SELECT max(charged_at) FROM charges").fetchone()
            self._db.execute(
                "INSERT INTO charges (partner, partner_name, agreement_hash, agreement_name, session, own_root,"
                " peer_root, noise, epsilon, delta, rho, period_start, period_end, charged_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    partner.fingerprint,
                    partner.name,
                    agreement.hash,
                    agreement.name,
                    run.session_id,
                    run.own_root,
                    run.peer_root,
                    cost.noise.value,
                    None if cost.epsilon is None else str(_decimal(cost.epsilon)),
                    None if cost.delta is None else str(_decimal(cost.delta)),
                    cost.rho,
                    *_period(agreement),
                    max(_microseconds(now), latest or 0),
                ),
            )

    def store(
        self,
        agreement: Agreement,
        partner: PartyEntry,
        *,
        run: Run,
        files: Mapping[str, bytes],
        now: datetime,
    ) -> None:
        """Stores a finished run's files, for an exact repeat.

        They replace those of an earlier run of the same agreement on the same inputs: a side that was killed before it
        stored has none, or older ones, and the two sides then run again; from then on both hold that run's.

        The agreement's retention, if it has one, is kept beside them: see `kept`.

        Raises:
            CleanroomError: the disk refuses.
        """
        key = (partner.fingerprint, agreement.hash, run.own_root, run.peer_root)
        keep_until = delete_by(agreement.legal, ended=now, zone=agreement.time.zone)
        with self._transaction():
            same = "SELECT id FROM releases WHERE partner = ? AND agreement_hash = ? AND own_root = ? AND peer_root = ?"
            self._db.execute(f"DELETE FROM release_files WHERE release IN ({same})", key)
            self._db.execute(f"DELETE FROM releases WHERE id IN ({same})", key)
            cursor = self._db.execute(
                "INSERT INTO releases (partner, agreement_hash, own_root, peer_root, session, stored_at, keep_until)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, run.session_id, _microseconds(now), None if keep_until is None else keep_until.isoformat()),
            )
            self._db.executemany(
                "INSERT INTO release_files (release, name, data) VALUES (?, ?, ?)",
                [(cursor.lastrowid, name, data) for name, data in files.items()],
            )

    def stored(
        self, agreement: Agreement, partner: PartyEntry, *, own_root: bytes, peer_root: bytes
    ) -> StoredRelease | None:
        """Returns the stored release of this agreement on these inputs, or None."""
        with self._transaction():
            row = self._db.execute(
                "SELECT id, session, stored_at FROM releases"
                " WHERE partner = ? AND agreement_hash = ? AND own_root = ? AND peer_root = ?",
                (partner.fingerprint, agreement.hash, own_root, peer_root),
            ).fetchone()
            if row is None:
                return None
            files = self._db.execute(
                "SELECT name, data FROM release_files WHERE release = ? ORDER BY rowid", (row[0],)
            ).fetchall()
            return StoredRelease(
                session_id=key(row[1]),
                own_root=own_root,
                peer_root=peer_root,
                stored_at=moment(row[2]),
                files={file_name(file): data for file, data in files},
            )

    def kept(self) -> tuple[KeptRun, ...]:
        """Returns the stored runs, oldest first."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT session, stored_at, keep_until, EXISTS (SELECT 1 FROM release_files"
                " WHERE release = releases.id AND name = ?) FROM releases ORDER BY stored_at, id",
                (_PRIVATE_FILE,),
            ).fetchall()
            return tuple(
                KeptRun(
                    session_id=key(session),
                    stored_at=moment(stored_at),
                    keep_until=day(keep_until),
                    private=bool(private),
                )
                for session, stored_at, keep_until, private in rows
            )

    def prune(self, sessions: Iterable[bytes], *, releases: bool) -> None:
        """Removes the private file of stored runs, or all that is stored of them; charges are never removed.

        The bytes are overwritten in the file and in its log. Without the private file a repeat still returns the
        release; without the release, a repeat is a new run, and charged.

        Args:
            sessions: of the runs, 32 bytes each.
            releases: remove the other files too.

        Raises:
            CleanroomError: the disk refuses; or another process reads the ledger, so that its log still holds them.
        """
        with self._transaction():
            for session in sessions:
                found = self._db.execute("SELECT id FROM releases WHERE session = ?", (session,)).fetchone()
                if found is None:
                    continue
                if releases:
                    self._db.execute("DELETE FROM release_files WHERE release = ?", found)
                    self._db.execute("DELETE FROM releases WHERE id = ?", found)
                else:
                    self._db.execute(
                        "DELETE FROM release_files WHERE release = ? AND name = ?", (*found, _PRIVATE_FILE)
                    )
        with self._faults():
            (busy, _, _) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise CleanroomError(f"{self._path}: another process reads the ledger; prune again when it has ended")

    def set_limit(self, partner: bytes, limit: Limit) -> None:
        """Sets the limit with a partner.

        Args:
            partner: fingerprint of its certificate, 32 bytes.
            limit: replaces the one before; what was spent stays spent.

        Raises:
            UsageError: a negative amount, a delta above 1, or no period.
        """
        if len(partner) != 32:
            raise UsageError("partner: the 32-byte fingerprint of a certificate expected")
        amounts = limit.epsilon.is_finite() and limit.delta.is_finite()
        if not amounts or limit.epsilon < 0 or not 0 <= limit.delta <= 1 or limit.period <= timedelta(0):
            raise UsageError("limit: epsilon >= 0, delta between 0 and 1 and a period of at least a day expected")
        with self._transaction():
            self._db.execute(
                "INSERT INTO limits (partner, epsilon, delta, period_us, exact) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (partner) DO UPDATE SET epsilon = excluded.epsilon, delta = excluded.delta,"
                " period_us = excluded.period_us, exact = excluded.exact",
                (
                    partner,
                    str(limit.epsilon),
                    str(limit.delta),
                    limit.period // timedelta(microseconds=1),
                    int(limit.exact),
                ),
            )

    def spending(self, *, now: datetime) -> tuple[Spending, ...]:
        """Returns what has been spent with every partner that was charged or has a limit, by fingerprint."""
        with self._transaction():
            known = "SELECT partner FROM charges UNION SELECT partner FROM limits ORDER BY 1"
            return tuple(self._spent(partner, now) for (partner,) in self._db.execute(known).fetchall())

    def spent_with(self, partner: bytes, *, now: datetime) -> Spending:
        """Returns what has been spent with one partner.

        Args:
            partner: fingerprint of its certificate, 32 bytes.
            now: the end of the period.
        """
        with self._transaction():
            return self._spent(partner, now)

    def _allow(
        self,
        agreement: Agreement,
        cost: PrivacyCost,
        partner: PartyEntry,
        own_root: bytes,
        peer_root: bytes | None,
        now: datetime,
    ) -> None:
        if cost.noise is Noise.NONE:
            agreed = self._spent(partner.fingerprint, now).limit
            if agreed is not None and not agreed.exact:
                raise BudgetError(
                    f"release.noise: the limit with {partner.name} allows no run without noise, which has no epsilon;"
                    " budget set --without-noise allows it"
                )
            start, end = _period(agreement)
            overlapping = self._db.execute(
                "SELECT agreement_hash, agreement_name, own_root, peer_root, period_start FROM charges"
                " WHERE partner = ? AND noise = 'none' AND period_start < ? AND period_end > ?",
                (partner.fingerprint, end, start),
            ).fetchall()
            for agreement_hash, earlier, earlier_own, earlier_peer, earlier_start in overlapping:
                same = agreement_hash == agreement.hash and earlier_own == own_root
                if not same or (peer_root is not None and earlier_peer != peer_root):
                    timeless = _ALL_TIME[0] in (start, earlier_start)
                    raise BudgetError(
                        f"release.noise: a run without noise ({earlier!r}) over an overlapping period was made with"
                        f" {partner.name}; exact figures of two such runs could be subtracted"
                        + ("; matched people are counted over all time" if timeless else "")
                    )
            return
        spent = self._spent(partner.fingerprint, now)
        if spent.limit is None or cost.epsilon is None or cost.delta is None or cost.rho is None:
            return
        epsilon, delta = _decimal(cost.epsilon), _decimal(cost.delta)
        if spent.epsilon + epsilon <= spent.limit.epsilon and spent.delta + delta <= spent.limit.delta:
            return
        if spent.limit.delta == 0 or _composed(spent.rho + cost.rho, spent.limit.delta) > spent.limit.epsilon:
            what = "epsilon" if spent.epsilon + epsilon > spent.limit.epsilon else "delta"
            used, wanted, limit = (
                (spent.epsilon, epsilon, spent.limit.epsilon)
                if what == "epsilon"
                else (spent.delta, delta, spent.limit.delta)
            )
            raise BudgetError(
                f"release.{what}: {used} of {limit} is spent with {partner.name} within"
                f" {spent.limit.period.days} days, and this run would cost {wanted}; composed by zCDP"
                " it is too much as well"
            )

    def _spent(self, partner: bytes, now: datetime) -> Spending:
        row = self._db.execute(
            "SELECT epsilon, delta, period_us, exact FROM limits WHERE partner = ?", (partner,)
        ).fetchone()
        limit = None
        if row is not None:
            limit = Limit(epsilon=amount(row[0]), delta=amount(row[1]), period=period(row[2]), exact=row[3] == 1)
        within = DEFAULT_PERIOD if limit is None else limit.period
        charges = self._db.execute(
            "SELECT partner_name, noise, epsilon, delta, charged_at, rho FROM charges WHERE partner = ? ORDER BY id",
            (partner,),
        ).fetchall()
        # a charge dated after now (a clock that was set back) counts: it must not become free
        since = _microseconds(now) - within // timedelta(microseconds=1)  # may lie before the year 1
        recent = [charge for charge in charges if charge[4] > since]
        noised = [charge for charge in recent if charge[1] != Noise.NONE.value]
        delta = sum((amount(charge[3]) for charge in noised), Decimal(0))
        concentrated = math.fsum(rho(charge[5]) for charge in noised)
        return Spending(
            partner=key(partner),
            partner_name=name(charges[-1][0]) if charges else "",
            epsilon=sum((amount(charge[2]) for charge in noised), Decimal(0)),
            delta=delta,
            rho=concentrated,
            composed=_composed(concentrated, delta if limit is None else limit.delta),
            runs=len(recent),
            runs_without_noise=sum(charge[1] == Noise.NONE.value for charge in charges),
            period=within,
            limit=limit,
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One writer at a time: what is checked inside stays true until it is committed."""
        with self._faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled back already
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (DamagedRowError, UnicodeDecodeError) as error:  # the latter where SQLite quotes what it cannot read
            raise CleanroomError(f"{self._path}: the ledger refused (it is damaged)") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", type(error).__name__)
            reason = next((words for start, words in _REFUSALS.items() if code.startswith(start)), code)
            raise CleanroomError(f"{self._path}: the ledger refused ({reason})") from error


def _period(agreement: Agreement) -> tuple[int, int]:
    """What time a run's figures are about, in microseconds since the epoch; that of the outcomes, half-open."""
    exact = agreement.release.noise is Noise.NONE
    if exact and any(column.measure is Measure.MATCHED for column in plan_of(agreement).columns):  # lift adds such
        return _ALL_TIME
    return _microseconds(agreement.time.start), _microseconds(agreement.time.end)


def _composed(rho: float, delta: Decimal) -> float:
    """Epsilon of summed zero-concentrated costs at a delta; infinite at delta 0, where the sum says nothing."""
    if rho == 0.0:
        return 0.0
    return math.inf if delta == 0 else composed_epsilon(rho, float(delta))


def _decimal(amount: float) -> Decimal:
    """The decimal that the agreement's text stands for: the shortest one that reads back as this float."""
    return Decimal(repr(amount))


def _microseconds(of: datetime) -> int:
    return (of - EPOCH) // timedelta(microseconds=1)
