"""The optional table `[eligibility]`: what must hold of a group before its figures may be shown."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

from cleanroom.agreement.table import Table, table_of

__all__ = ["EligibilityRule", "RuleTest", "eligibility_document", "eligibility_lines", "read_eligibility"]

MAX_RULES: Final = 64


class RuleTest(Enum):
    """How a fact is judged."""

    IS = "is"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    ONE_OF = "one_of"


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibilityRule:
    """What must hold of a group by the list of facts of one party."""

    party: str
    fact: str
    test: RuleTest
    values: tuple[str, ...] = ()  # is, one_of
    bound: Decimal | None = None  # at_least, at_most


def read_eligibility(table: Table, parties: tuple[str, ...]) -> tuple[EligibilityRule, ...]:
    """Reads `[eligibility]`: each rule is a fact of a party's own list of groups, and one test.

    Args:
        table: the table.
        parties: the names of the agreement's parties.

    Raises:
        AgreementError: naming the key.
    """
    rules: list[EligibilityRule] = []
    items = table.items("rules")
    if len(items) > MAX_RULES:
        raise table.fault("rules", f"expected at most {MAX_RULES}, found {len(items)}")
    for position, item in enumerate(items, start=1):
        where = f"{table.key('rules')}[{position}]"
        entry = Table(where, "eligibility.rules", table_of(where, item))
        party = entry.party("party", parties)
        tests = [test for test in RuleTest if entry.has(test.value)]
        if len(tests) != 1:
            names = ", ".join(test.value for test in RuleTest)
            raise entry.fault("fact", f"expected one test ({names}), found {len(tests)}")
        fact, test = entry.text("fact"), tests[0]
        if test in (RuleTest.AT_LEAST, RuleTest.AT_MOST):
            rules.append(EligibilityRule(party=party, fact=fact, test=test, bound=entry.amount(test.value)))
        else:
            values = entry.texts(test.value, at_least=1) if test is RuleTest.ONE_OF else (entry.text(test.value),)
            rules.append(EligibilityRule(party=party, fact=fact, test=test, values=values))
    return tuple(rules)


def eligibility_document(rules: tuple[EligibilityRule, ...]) -> dict[str, object]:
    """What the canonical bytes hold of the table."""
    return {
        "rules": [
            {
                "party": rule.party,
                "fact": rule.fact,
                "test": rule.test.value,
                "values": list(rule.values),
                "bound": None if rule.bound is None else f"{rule.bound.normalize():f}",
            }
            for rule in rules
        ]
    }


def eligibility_lines(rules: tuple[EligibilityRule, ...]) -> tuple[str, ...]:
    """The table in words."""
    words = {
        RuleTest.IS: "is",
        RuleTest.AT_LEAST: "is at least",
        RuleTest.AT_MOST: "is at most",
        RuleTest.ONE_OF: "is one of",
    }
    return (
        *(f"{rule.fact} {words[rule.test]} {_value(rule)}, by {rule.party}'s list" for rule in rules),
        "the other side learns which groups pass, and no fact; one that fails is not_eligible and shows no figure",
    )


def _value(rule: EligibilityRule) -> str:
    return ", ".join(rule.values) if rule.bound is None else f"{rule.bound:f}"
