"""Match keys: from an identifier as a company stores it to the 16 bytes that name a person in the join."""

from __future__ import annotations

from cleanroom.match_keys.people import MALFORMED, NULL, PERSON_BYTES, VALID, People, PersonKeys
from cleanroom.match_keys.rules import COUNTRIES, HASHES, RULES, FullRule, full_rule

__all__ = [
    "COUNTRIES",
    "HASHES",
    "MALFORMED",
    "NULL",
    "PERSON_BYTES",
    "RULES",
    "VALID",
    "FullRule",
    "People",
    "PersonKeys",
    "full_rule",
]
