"""The identifier types and normalisation rules that an agreement can name, with their defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cleanroom.agreement.model import Identifier
from cleanroom.errors import AgreementError

__all__ = ["COUNTRIES", "HASHES", "RULES", "FullRule", "full_rule"]

RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": ("e164", "e164_digits", "national"),
    "email": ("lower", "gmail"),
    "idfa": ("upper", "lower"),
    "oaid": (),
    "caid": (),
    "imei": (),
    "mac": (),
    "id": (),
}
"""Rules of each identifier type; the first is the default, an empty tuple means that there is only one way."""

COUNTRIES: Final = ("CN", "HK", "JP", "KR", "MO", "SG", "TW", "US")
"""Countries whose mobile numbers are known, ISO 3166."""

HASHES: Final = ("md5", "sha256")

VERSION_EXPECTED: Final = "expected eight digits of a caid, such as '20230330'"


@dataclass(frozen=True, slots=True, kw_only=True)
class FullRule:
    """A rule with every default filled in; an empty text stands for none."""

    type: str
    rule: str  # of a caid: its version
    country: str | None
    hash: str


def full_rule(identifier: Identifier) -> FullRule:
    """Fills in the defaults of an agreement's identifier.

    Raises:
        AgreementError: a type, rule, country or hash that does not exist, or a national phone rule without country.
    """
    rules = RULES.get(identifier.type)
    if rules is None:
        raise AgreementError(f"match.identifiers: expected one of {', '.join(RULES)}")
    rule = identifier.rule or (rules[0] if rules else "")
    if rule and rule not in rules:
        expected = f"one of {', '.join(rules)}" if rules else "no rule"
        raise AgreementError(f"match.identifiers: {identifier.type}: rule: expected {expected}")
    if identifier.version is not None:
        if identifier.type != "caid" or not re.fullmatch("[0-9]{8}", identifier.version, re.ASCII):
            raise AgreementError(f"match.identifiers: {identifier.type}: version: {VERSION_EXPECTED}")
        rule = identifier.version
    country = identifier.country
    if country is not None and (identifier.type != "phone" or country not in COUNTRIES):
        expected = f"one of {', '.join(COUNTRIES)}" if identifier.type == "phone" else "no country"
        raise AgreementError(f"match.identifiers: {identifier.type}: country: expected {expected}")
    if rule == "national" and country is None:
        raise AgreementError("match.identifiers: phone: country: expected one with the rule national")
    if identifier.hash is not None and identifier.hash not in HASHES:
        raise AgreementError(f"match.identifiers: {identifier.type}: hash: expected one of {', '.join(HASHES)}")
    return FullRule(type=identifier.type, rule=rule, country=country, hash=identifier.hash or "")
