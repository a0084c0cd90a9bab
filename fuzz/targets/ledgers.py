"""A ledger as it is read back: cells of its rows replaced, or bytes of its file.

It is this side's own, but disks fail and files are handed around: a damaged one is said to be damaged, and a charge
that cannot be read is never taken for none.
"""

from __future__ import annotations

import atexit
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

from cleanroom.agreement import Agreement
from cleanroom.agreement.model import Noise
from cleanroom.errors import BudgetError, CleanroomError, reason_of
from cleanroom.ledger import LEDGER_FILE, Ledger, Limit, Run
from cleanroom.plan import plan_of
from cleanroom.release.accounting import PrivacyCost, privacy_cost
from fuzz.reader import Reader
from fuzz.target import Target
from tests.cleanroom.release.worlds import BUYERS, make_agreement

__all__ = ["LEDGER"]

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_OWN, _PEER = b"o" * 32, b"p" * 32
_VALUES: Final[tuple[bytes | float | int | str | None, ...]] = (
    None,
    0,
    1,
    -1,
    (1 << 63) - 1,
    -(1 << 63),
    0.0,
    -1.5,
    1e308,
    float("inf"),
    "",
    "nan",
    "sNaN",
    "-0.5",
    "Infinity",
    "1e999999999",
    "0." + "0" * 5000 + "1",
    "x",
    "none",
    "2026-02-30",
    "2026-01-01",
    "a\x1b[2J\nb",
    b"",
    b"x" * 31,
    b"x" * 33,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """A folder for the ledger, its honest bytes, and what was charged in it."""

    folder: Path
    honest: bytes
    agreement: Agreement
    cost: PrivacyCost
    exact: tuple[Agreement, PrivacyCost]
    columns: tuple[tuple[str, str], ...]


@cache
def _desk() -> _Desk:
    """A ledger with charges with and without noise, a limit and a stored release."""
    made = tempfile.TemporaryDirectory(prefix="fuzz-")
    atexit.register(made.cleanup)
    folder = Path(made.name)
    agreement = make_agreement(metrics=(BUYERS,), noise=Noise.GAUSSIAN)
    without = replace(make_agreement(metrics=(BUYERS,), noise=Noise.NONE), hash=b"n" * 32)
    cost, none = (privacy_cost(one, plan_of(one)) for one in (agreement, without))
    partner = agreement.outcome_party
    with Ledger(folder) as ledger:
        limit = Limit(epsilon=Decimal("100"), delta=Decimal("0.01"), period=timedelta(days=365), exact=True)
        ledger.set_limit(partner.fingerprint, limit)
        for number, (one, price) in enumerate(((agreement, cost), (agreement, cost), (without, none))):
            run = Run(session_id=bytes([number]) * 32, own_root=_OWN, peer_root=_PEER)
            ledger.charge(one, price, partner, run=run, now=NOW)
            ledger.store(one, partner, run=run, files={"release.json": b"{}", "audit.private": b"{}"}, now=NOW)
    with sqlite3.connect(folder / LEDGER_FILE) as database:
        database.execute("PRAGMA journal_mode = DELETE")  # everything in one file, of one form
        columns = tuple(
            (table, column)
            for table in ("charges", "limits", "releases", "release_files")
            for (column,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))
        )
    database.close()
    return _Desk(
        folder=folder,
        honest=(folder / LEDGER_FILE).read_bytes(),
        agreement=agreement,
        cost=cost,
        exact=(without, none),
        columns=columns,
    )


def _rows_changed(path: Path, reader: Reader, columns: tuple[tuple[str, str], ...]) -> bool:
    """Replaces cells; True if any was."""
    changed = False
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    while reader.more:
        table, column = reader.choice(columns)
        value = reader.choice(_VALUES)
        try:
            cursor = database.execute(
                f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, 1 + reader.number() % 3)
            )
            changed = changed or cursor.rowcount > 0
        except (sqlite3.Error, OverflowError):
            continue  # the ledger's own rules let no such row in
    database.close()
    return changed


def check_ledger(data: bytes) -> None:
    """A changed ledger answers or refuses with CleanroomError; no run is allowed because a charge cannot be read."""
    desk = _desk()
    reader = Reader(data)
    path = desk.folder / LEDGER_FILE
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(LEDGER_FILE + suffix).unlink(missing_ok=True)
    path.write_bytes(desk.honest)
    if reader.number() % 3:
        _rows_changed(path, reader, desk.columns)
    else:
        changed = bytearray(desk.honest)
        while reader.more:
            at = reader.number(3) % len(changed)
            piece = reader.block()[: len(changed) - at]
            changed[at : at + len(piece)] = piece
        path.write_bytes(bytes(changed))
    try:
        _used(desk)
    except CleanroomError as error:
        assert reason_of(error).isprintable()


def _used(desk: _Desk) -> None:
    partner = desk.agreement.outcome_party
    with Ledger(desk.folder) as ledger:
        for spent in ledger.spending(now=NOW):
            assert spent.epsilon >= 0 and spent.delta >= 0 and spent.rho >= 0 and spent.composed >= 0
            assert spent.partner_name.isprintable() and len(spent.partner) == 32
        for kept in ledger.kept():
            assert len(kept.session_id) == 32
        for agreement, cost in ((desk.agreement, desk.cost), desk.exact):
            found = ledger.stored(agreement, partner, own_root=_OWN, peer_root=_PEER)
            assert found is None or len(found.session_id) == 32
            try:
                ledger.check(agreement, cost, partner, own_root=b"q" * 32, now=NOW)
            except BudgetError as error:
                assert reason_of(error).isprintable()
        ledger.prune([bytes(32)], releases=False)
        ledger.reserve(1)
        run = Run(session_id=b"s" * 32, own_root=_OWN, peer_root=_PEER)
        ledger.charge(desk.agreement, desk.cost, partner, run=run, now=NOW)
        ledger.store(desk.agreement, partner, run=run, files={"release.json": b"{}"}, now=NOW)


def _seeds() -> Iterator[bytes]:
    yield b"\1"
    for column in range(len(_desk().columns)):
        for value in range(column % 4, len(_VALUES), 4):
            yield bytes([1, column, value, column % 3])
    for word in (b"CREATE TABLE charges", b"CREATE TABLE limits", b"partner BLOB"):
        yield b"\0" + _desk().honest.index(word).to_bytes(3, "little") + b"\2\0\xff\xff"
    for at in (0, 16, 18, 24, 28, 40, 44, 56, 60, 100, 105, 4096, 8192, 12288, 12290):
        yield b"\0" + at.to_bytes(3, "little") + b"\2\0\xff\x7f"


LEDGER: Final = Target(
    name="ledger",
    promise="a changed ledger answers with sound figures or refuses with CleanroomError",
    check=check_ledger,
    seeds=_seeds,
    max_bytes=256,
)
