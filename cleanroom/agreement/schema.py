"""Every key that an agreement may have: its table, type, default and allowed words. The reference page is held to it.

A default never changes: an agreement that was signed without a key means the same for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["COUNTRIES", "DEFAULT_TREES", "IDENTIFIER_RULES", "SCHEMA", "Key", "Kind"]


class Kind(Enum):
    """The TOML type of a value."""

    TEXT = "text"
    TEXTS = "list of texts"
    TEXT_LISTS = "list of lists of texts"
    INTEGER = "integer"
    INTEGERS = "list of integers"
    NUMBER = "number"
    AMOUNT = "number or text"
    DATE = "date"
    INSTANT = "time with offset"
    INSTANTS = "list of times with offset"
    TABLE = "table"
    TABLES = "list of tables"
    IDENTIFIERS = "list of texts or tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What may stand at one key.

    Attributes:
        kind: the TOML type.
        required: whether the key must be there; `default` is then empty.
        default: as the reference page shows it, in words where the value depends on another key.
        choices: the words allowed, if they are few.
    """

    kind: Kind
    required: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()


def _required(kind: Kind, *choices: str) -> Key:
    return Key(kind=kind, required=True, choices=choices)


def _default(kind: Kind, default: str, *choices: str) -> Key:
    return Key(kind=kind, default=default, choices=choices)


# The first rule of a type is its default; a test holds both tables to `cleanroom.match_keys`, which applies them.
IDENTIFIER_RULES: dict[str, tuple[str, ...]] = {
    "phone": ("e164", "e164_digits", "national"),
    "email": ("lower", "gmail"),
    "idfa": ("upper", "lower"),
    "oaid": (),
    "caid": (),
    "imei": (),
    "mac": (),
    "id": (),
}
COUNTRIES = ("CN", "HK", "JP", "KR", "MO", "SG", "TW", "US")

SCHEMA: dict[str, dict[str, Key]] = {
    "": {
        "version": _required(Kind.INTEGER),
        "name": _required(Kind.TEXT),
        "purpose": _required(Kind.TEXT),
        "valid_until": _required(Kind.DATE),
        "parties": _required(Kind.TABLE),
        "match": _required(Kind.TABLE),
        "time": _required(Kind.TABLE),
        "exposure": _required(Kind.TABLE),
        "outcome": _required(Kind.TABLE),
        "metrics": _required(Kind.TABLES),
        "release": _required(Kind.TABLE),
        "protocol": _required(Kind.TABLE),
        "legal": _default(Kind.TABLE, "none"),
        "completeness": _default(Kind.TABLE, "not checked"),
        "sampling": _default(Kind.TABLE, "everybody"),
        "eligibility": _default(Kind.TABLE, "every group"),
        "lift": _default(Kind.TABLE, "none"),
    },
    "parties.NAME": {
        "role": _required(Kind.TEXT, "exposure", "outcome"),
        "certificate": _required(Kind.TEXT),
        "min_people": _default(Kind.INTEGER, "release.min_people"),
    },
    "match": {
        "identifiers": _required(Kind.IDENTIFIERS),
        "max_invalid": _default(Kind.NUMBER, "0.01"),
    },
    "match.identifiers": {
        "type": _required(Kind.TEXT, *IDENTIFIER_RULES),
        "rule": _default(Kind.TEXT, "e164 (phone), lower (email), upper (idfa), none (others)"),
        "country": _default(Kind.TEXT, "CN (phone)", *COUNTRIES),
        "hash": _default(Kind.TEXT, "none", "md5", "sha256"),
        "version": _default(Kind.TEXT, "none (caid: any, as written)"),
    },
    "time": {
        "start": _required(Kind.INSTANT),
        "end": _required(Kind.INSTANT),
        "resolution": _required(Kind.TEXT, "1d", "1h", "1m"),
        "zone": _default(Kind.TEXT, "UTC"),
        "tree": _default(Kind.INTEGERS, "[1] at 1d, [1,6,24] at 1h, [1,10,60,360,1440] at 1m"),
    },
    "exposure": {
        "events": _required(Kind.TEXTS),
        "start": _default(Kind.INSTANT, "time.start"),
        "end": _default(Kind.INSTANT, "time.end"),
        "instants": _default(Kind.INSTANTS, "any time"),
        "group_by": _required(Kind.TEXT),
        "groups": _required(Kind.TEXTS),
        "anchor": _default(Kind.TEXT, "first_touch", "first_touch", "last_touch"),
        "credit": _default(Kind.TEXT, "none", "last_touch", "first_touch", "linear", "position", "time_decay"),
        "credit_step": _default(Kind.TEXT, "none (time_decay needs one)"),
        "max_touches": _default(Kind.INTEGER, "16 (linear, position, time_decay), no bound (others)"),
        "priority": _default(Kind.TEXT_LISTS, "all events alike"),
        "frequency": _default(Kind.INTEGERS, "no bands"),
    },
    "outcome": {
        "events": _required(Kind.TEXTS),
        "value": _default(Kind.TEXT, "none"),
        "currency": _default(Kind.TEXT, "none"),
        "precision": _default(Kind.AMOUNT, "0.01 (with value)"),
        "labels": _default(Kind.TABLES, "[]"),
    },
    "outcome.labels": {
        "column": _required(Kind.TEXT),
        "values": _required(Kind.TEXTS),
    },
    "metrics": {
        "name": _required(Kind.TEXT),
        "event": _default(Kind.TEXT, "none (matched only)"),
        "measure": _required(Kind.TEXT, "people", "events", "sum", "matched"),
        "window": _default(Kind.TEXT, "none (matched only)"),
        "attribution": _default(Kind.TEXT, "window", "window", "credit"),
        "cap": _default(Kind.AMOUNT, "none (people, matched)"),
        "by": _default(Kind.TEXT, "none"),
        "via": _default(Kind.TEXTS, "all of exposure.events"),
        "period": _default(Kind.TEXT, "after", "after", "before"),
    },
    "release": {
        "noise": _required(Kind.TEXT, "gaussian", "laplace", "none"),
        "epsilon": _default(Kind.NUMBER, "none (noise none)"),
        "delta": _default(Kind.NUMBER, "none (noise none, laplace)"),
        "min_people": _required(Kind.INTEGER),
        "max_groups_per_person": _default(Kind.INTEGER, "1"),
        "max_windows": _default(Kind.INTEGER, "1"),
        "recipients": _required(Kind.TEXTS),
        "differences": _default(Kind.TEXT, "release", "release", "suppress"),
    },
    "completeness": {
        "parties": _default(Kind.TEXTS, "both"),
        "warning": _required(Kind.TABLE),
        "failure": _required(Kind.TABLE),
        "on_failure": _default(Kind.TEXT, "stop", "stop", "mark"),
    },
    "completeness.BAND": {
        "fraction": _required(Kind.NUMBER),
        "rows": _required(Kind.INTEGER),
    },
    "sampling": {
        "periods": _required(Kind.TABLES),
    },
    "sampling.periods": {
        "party": _required(Kind.TEXT),
        "start": _required(Kind.INSTANT),
        "end": _required(Kind.INSTANT),
        "fraction": _required(Kind.NUMBER),
    },
    "eligibility": {
        "rules": _required(Kind.TABLES),
    },
    "eligibility.rules": {
        "party": _required(Kind.TEXT),
        "fact": _required(Kind.TEXT),
        "is": _default(Kind.TEXT, "none"),
        "at_least": _default(Kind.AMOUNT, "none"),
        "at_most": _default(Kind.AMOUNT, "none"),
        "one_of": _default(Kind.TEXTS, "none"),
    },
    "protocol": {
        "profile": _default(Kind.TEXT, "ecdh", "ecdh", "kkrt", "vole"),
        "max_rows": _required(Kind.TABLE),
    },
    "protocol.max_rows": {
        "exposure": _required(Kind.INTEGER),
        "outcome": _required(Kind.INTEGER),
    },
    "legal": {
        "basis": _required(
            Kind.TEXT, "consent", "contract", "duty", "emergency", "public_interest", "published", "other_law"
        ),
        "relation": _default(Kind.TEXT, "none", "joint", "entrusted", "provision"),
        "impact_assessment": _default(Kind.TEXT, "none"),
        "separate_consent": _default(Kind.TEXT, "none"),
        "cross_border": _default(Kind.TEXT, "none"),
        "retention_days": _default(Kind.INTEGER, "none"),
        "deletion": _default(Kind.TEXT, "none"),
        "contacts": _default(Kind.TABLE, "none"),
    },
    "lift": {
        "design": _required(Kind.TEXT, "randomised", "pre_period"),
        "denominator": _default(Kind.TEXT, "assigned (randomised), matched (pre_period)", "assigned", "matched"),
        "metrics": _required(Kind.TEXTS),
        "confidence": _default(Kind.NUMBER, "0.95"),
        "comparisons": _required(Kind.TABLES),
    },
    "lift.comparisons": {
        "name": _required(Kind.TEXT),
        "test": _required(Kind.TEXTS),
        "control": _required(Kind.TEXTS),
        "test_share": _default(Kind.NUMBER, "none (required with denominator assigned)"),
    },
}

DEFAULT_TREES: dict[str, tuple[int, ...]] = {"1d": (1,), "1h": (1, 6, 24), "1m": (1, 10, 60, 360, 1440)}
