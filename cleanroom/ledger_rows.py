"""Values of a ledger's rows as they are read back: what no ledger writes is damage, and is never taken for nothing.

A charge that cannot be read could otherwise count as none, and a negative one as room for more.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

__all__ = ["EPOCH", "DamagedRowError", "amount", "day", "file_name", "key", "moment", "name", "period", "rho"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEY_BYTES: Final = 32
_DIGITS: Final = 1200
"""Longer than the shortest decimal of any float, written out: no amount needs more."""
_FILE_NAME: Final = re.compile(r"[a-z]+\.[a-z]+")


class DamagedRowError(Exception):
    """A row holds what no ledger writes; the ledger that reads it says so."""


def amount(value: object) -> Decimal:
    """An epsilon or a delta: finite, not negative.

    Raises:
        DamagedRowError: anything else; so for every function here.
    """
    try:
        found = Decimal(value) if isinstance(value, str) and len(value) <= _DIGITS else None
    except InvalidOperation:
        found = None
    # `adjusted` is the power of ten of the first digit; past a float's range sums would overflow or take forever
    if found is None or not found.is_finite() or found < 0 or abs(found.adjusted()) > _DIGITS:
        raise DamagedRowError
    return found


def rho(value: object) -> float:
    """A zero-concentrated cost: finite, not negative."""
    if not isinstance(value, float) or not math.isfinite(value) or value < 0:
        raise DamagedRowError
    return value


def key(value: object) -> bytes:
    """A fingerprint or the id of a session: 32 bytes."""
    if not isinstance(value, bytes) or len(value) != _KEY_BYTES:
        raise DamagedRowError
    return value


def name(value: object) -> str:
    """A party's name: one line."""
    if not isinstance(value, str) or not value.isprintable():
        raise DamagedRowError
    return value


def file_name(value: object) -> str:
    """The name of a file of a run, which a repeat writes again: no path."""
    if not isinstance(value, str) or _FILE_NAME.fullmatch(value) is None:
        raise DamagedRowError
    return value


def period(value: object) -> timedelta:
    """A limit's period, from microseconds."""
    if not isinstance(value, int) or value <= 0:
        raise DamagedRowError
    return timedelta(microseconds=value)


def moment(value: object) -> datetime:
    """A moment, from microseconds since 1970."""
    if not isinstance(value, int):
        raise DamagedRowError
    try:
        return EPOCH + timedelta(microseconds=value)
    except OverflowError:
        raise DamagedRowError from None


def day(value: object) -> date | None:
    """A date, or that there is none."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise DamagedRowError
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise DamagedRowError from None
