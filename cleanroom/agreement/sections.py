"""The small tables of an agreement, each from TOML to its value: parties, match, time, exposure, outcome, protocol."""

from __future__ import annotations

import itertools
import re
import zoneinfo
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from cleanroom.agreement.model import (
    Exposure,
    Identifier,
    Match,
    Outcome,
    PartyEntry,
    Profile,
    ProtocolChoice,
    Resolution,
    Role,
    TimeRules,
)
from cleanroom.agreement.schema import DEFAULT_TREES, IDENTIFIER_RULES
from cleanroom.agreement.table import Table, table_of
from cleanroom.errors import AgreementError
from cleanroom.identity import MAX_PEM_BYTES, NAME_PATTERN, read_certificate

__all__ = [
    "read_exposure_rules",
    "read_match",
    "read_outcome_rules",
    "read_parties",
    "read_protocol",
    "read_time",
]

MAX_TICKS = 2**31  # of a horizon: 4,000 years of minutes; tick numbers stay far inside 64 bits
MAX_ROWS = 2**24  # a side; what one hint carries. More needs buckets
MAX_PEOPLE_THRESHOLD = 10**9
MAX_DECIMALS = 9  # of a money unit


def read_parties(tables: dict[str, object], folder: Path) -> tuple[PartyEntry, PartyEntry]:
    """Reads `[parties.*]`: one party of each role, each with a certificate of its own; the exposure side comes first.

    Args:
        tables: the content of `parties`.
        folder: where relative certificate paths start.
    """
    if len(tables) != 2:
        raise AgreementError(f"parties: expected two parties, found {len(tables)}")
    entries: list[PartyEntry] = []
    for name, value in tables.items():
        where = f"parties.{name}"
        if not NAME_PATTERN.fullmatch(name):
            raise AgreementError("parties: a party's name is a letter, then up to 62 letters, digits, '-' or '_'")
        table = Table(where, "parties.NAME", table_of(where, value))
        role = Role(table.text("role"))
        least = table.integer("min_people", least=1, most=MAX_PEOPLE_THRESHOLD) if table.has("min_people") else None
        where_certificate = table.key("certificate")
        certificate = read_certificate(_pem(where_certificate, table, folder), where=where_certificate)
        entries.append(
            PartyEntry(
                name=name,
                role=role,
                certificate_pem=certificate.pem,
                fingerprint=certificate.fingerprint,
                min_people=least,
            )
        )
    first, second = entries
    if first.role is second.role:
        raise AgreementError(f"parties: expected one exposure and one outcome side, found {first.role.value} twice")
    if first.fingerprint == second.fingerprint or _public_key(first) == _public_key(second):
        raise AgreementError("parties: both parties have the same certificate or key; each needs one of its own")
    return (first, second) if first.role is Role.EXPOSURE else (second, first)


def read_match(table: Table) -> Match:
    """Reads `[match]`."""
    identifiers: list[Identifier] = []
    for position, item in enumerate(table.items("identifiers"), start=1):
        where = f"{table.key('identifiers')}[{position}]"
        content: dict[str, object] = {"type": item} if isinstance(item, str) else table_of(where, item)
        identifiers.append(_identifier(Table(where, "match.identifiers", content)))
    for position, identifier in enumerate(identifiers):
        # The key of a person says the type and the form alone: two forms of one type would be two people.
        if identifier.type in {earlier.type for earlier in identifiers[:position]}:
            raise table.fault("identifiers", f"{identifier.type} is there twice")
    max_invalid = table.number("max_invalid") if table.has("max_invalid") else Decimal("0.01")
    if not 0 <= max_invalid <= 1:
        raise table.fault("max_invalid", "expected a share from 0 to 1")
    return Match(identifiers=tuple(identifiers), max_invalid=max_invalid)


def read_time(table: Table) -> TimeRules:
    """Reads `[time]`."""
    start, end = table.instant("start"), table.instant("end")
    if start >= end:
        raise table.fault("end", "expected a time after time.start")
    resolution = Resolution(table.text("resolution"))
    if (end - start) // tick_length(resolution) > MAX_TICKS:
        raise table.fault("end", f"expected at most {MAX_TICKS} ticks of {resolution.value} after time.start")
    zone = table.optional_text("zone") or "UTC"
    try:
        zoneinfo.ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise table.fault("zone", f"no time zone {zone!r} is known here; try 'UTC' or 'Asia/Shanghai'") from None
    tree = table.integers("tree", least=1, most=MAX_TICKS) if table.has("tree") else DEFAULT_TREES[resolution.value]
    if not tree or tree[0] != 1:
        raise table.fault("tree", "expected a chain that begins with 1, such as [1,6,24]")
    for below, above in itertools.pairwise(tree):
        if above <= below or above % below:
            raise table.fault("tree", f"expected a chain of divisors, found {above} after {below}")
    return TimeRules(start=start, end=end, resolution=resolution, zone=zone, tree=tree)


def read_exposure_rules(table: Table, time: TimeRules) -> Exposure:
    """Reads `[exposure]`; the touch period and the instants lie inside `[time]`."""
    start = table.instant("start") if table.has("start") else time.start
    end = table.instant("end") if table.has("end") else time.end
    if not time.start <= start < time.end:
        raise table.fault("start", "lies outside [time.start, time.end)")
    if not start < end <= time.end:
        raise table.fault("end", "expected a time after exposure.start and not after time.end")
    instants: tuple[datetime, ...] | None = None
    if table.has("instants"):
        instants = tuple(sorted(table.instants("instants")))
        if not instants:
            raise table.fault("instants", "expected at least one time, found an empty list")
        if len(set(instants)) < len(instants):
            raise table.fault("instants", "the same time is there twice")
        if not start <= instants[0] <= instants[-1] < end:
            raise table.fault("instants", "a time lies outside [exposure.start, exposure.end)")
    return Exposure(
        events=table.texts("events", at_least=1),
        start=start,
        end=end,
        instants=instants,
        group_by=table.text("group_by"),
        groups=table.texts("groups", at_least=1),
        anchor=table.optional_text("anchor") or "first_touch",
        credit=table.optional_text("credit"),
    )


def read_outcome_rules(table: Table) -> Outcome:
    """Reads `[outcome]`."""
    value = table.optional_text("value")
    currency = table.optional_text("currency")
    if currency is not None and not re.fullmatch("[A-Z]{3}", currency):
        raise table.fault("currency", "expected three capital letters, such as CNY")
    precision: Decimal | None = None
    if value is not None:
        precision = table.amount("precision") if table.has("precision") else Decimal("0.01")
        if precision not in {Decimal(10) ** -digits for digits in range(MAX_DECIMALS + 1)}:
            raise table.fault("precision", f"expected 1, 0.1, 0.01 … with at most {MAX_DECIMALS} decimals")
        precision = Decimal(1).scaleb(precision.normalize().as_tuple().exponent)  # type: ignore[arg-type]  # finite
    for name in ("currency", "precision"):
        if value is None and table.has(name):
            raise table.fault(name, "needs outcome.value, the money column that it speaks of")
    labels = table.texts("labels")
    if labels:
        raise table.fault("labels", "breakdowns of the outcome side are not built yet; leave it empty")
    return Outcome(
        events=table.texts("events", at_least=1), value=value, currency=currency, precision=precision, labels=labels
    )


def read_protocol(table: Table) -> ProtocolChoice:
    """Reads `[protocol]`; row bounds stay as written."""
    profile = Profile(table.optional_text("profile") or "ecdh")
    if profile is Profile.VOLE:
        raise table.fault("profile", "vole is not built yet; use kkrt or ecdh")
    rows = Table(table.key("max_rows"), "protocol.max_rows", table.table("max_rows"))
    return ProtocolChoice(
        profile=profile, max_rows_exposure=_rows(rows, "exposure"), max_rows_outcome=_rows(rows, "outcome")
    )


def tick_length(resolution: Resolution) -> timedelta:
    """The elapsed time of a tick; at 1d a tick is a calendar date and this is its usual length."""
    lengths = {
        Resolution.DAY: timedelta(days=1),
        Resolution.HOUR: timedelta(hours=1),
        Resolution.MINUTE: timedelta(minutes=1),
    }
    return lengths[resolution]


def _pem(where: str, table: Table, folder: Path) -> bytes:
    raw = table.raw_text("certificate")
    if "-----BEGIN" in raw:
        return raw.encode()
    path = folder / raw
    try:
        with path.open("rb") as file:
            return file.read(MAX_PEM_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise AgreementError(f"{where}: {path} cannot be read: {reason}") from None


def _public_key(entry: PartyEntry) -> bytes:
    return read_certificate(entry.certificate_pem, where=f"parties.{entry.name}.certificate").public_key


def _identifier(table: Table) -> Identifier:
    kind = table.text("type")
    rule = table.optional_text("rule")
    allowed = IDENTIFIER_RULES[kind]
    if rule is not None and rule not in allowed:
        expected = f"expected one of {', '.join(allowed)}" if allowed else f"{kind} has none"
        raise table.fault("rule", f"{expected}, found {rule!r}")
    country = table.optional_text("country")
    if country is not None and kind != "phone":
        raise table.fault("country", f"belongs to phone, not to {kind}")
    if rule is None and allowed:
        rule = allowed[0]
    if country is None and kind == "phone":
        country = "CN"
    version = table.optional_text("version")
    if version is not None and kind != "caid":
        raise table.fault("version", f"belongs to caid, not to {kind}")
    if version is not None and not re.fullmatch("[0-9]{8}", version, re.ASCII):
        raise table.fault("version", "expected eight digits, such as '20230330'")
    return Identifier(type=kind, rule=rule, country=country, hash=table.optional_text("hash"), version=version)


def _rows(table: Table, name: str) -> int:
    rows = table.integer(name, least=1, most=2**40)
    if rows > MAX_ROWS:
        raise table.fault(name, f"more than {MAX_ROWS} rows need buckets, which are not built yet")
    return rows
