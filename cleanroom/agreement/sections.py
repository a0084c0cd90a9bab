"""The small tables of an agreement, each from TOML to its value: parties, match, time, protocol."""

from __future__ import annotations

import re
import zoneinfo
from decimal import Decimal
from pathlib import Path

from cleanroom.agreement.durations import MAX_TICKS, tick_length, tree_fault
from cleanroom.agreement.model import (
    Identifier,
    Match,
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
from cleanroom.regular_file import read_regular

__all__ = [
    "read_match",
    "read_parties",
    "read_protocol",
    "read_time",
]

MAX_ROWS = 2**24  # a side; what the equality's 64 bits and the code of kkrt are sized for
MAX_PEOPLE_THRESHOLD = 10**9


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
    fault = tree_fault(tree)
    if fault is not None:
        raise table.fault("tree", fault)
    return TimeRules(start=start, end=end, resolution=resolution, zone=zone, tree=tree)


def read_protocol(table: Table) -> ProtocolChoice:
    """Reads `[protocol]`; row bounds stay as written."""
    profile = Profile(table.optional_text("profile") or "ecdh")
    rows = Table(table.key("max_rows"), "protocol.max_rows", table.table("max_rows"))
    return ProtocolChoice(
        profile=profile,
        max_rows_exposure=rows.integer("exposure", least=1, most=MAX_ROWS),
        max_rows_outcome=rows.integer("outcome", least=1, most=MAX_ROWS),
    )


def _pem(where: str, table: Table, folder: Path) -> bytes:
    raw = table.raw_text("certificate")
    if "-----BEGIN" in raw:
        return raw.encode()
    path = folder / raw
    try:
        return read_regular(path, at_most=MAX_PEM_BYTES)
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
