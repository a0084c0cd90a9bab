"""`[completeness]`, `[sampling]`, `[eligibility]`: what is read, what is refused, what the hash holds."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cleanroom.agreement.completeness import Band, Completeness, OnFailure
from cleanroom.agreement.eligibility import EligibilityRule, RuleTest
from cleanroom.agreement.model import Agreement
from cleanroom.agreement.sampling import SampledPeriod
from cleanroom.agreement.words import describe
from cleanroom.errors import AgreementError
from tests.cleanroom.agreement.samples import Desk

COMPLETENESS = """
[completeness]
parties = ["shop"]
warning = {fraction = 0.01, rows = 10}
failure = {fraction = 0.05, rows = 100}
on_failure = "mark"
"""
SAMPLING = """
[sampling]
periods = [
    {party = "shop", start = 2017-02-01T00:00:00Z, end = 2017-03-01T00:00:00Z, fraction = 0.25},
    {party = "media", start = 2017-01-01T08:00:00+08:00, end = 2017-02-01T00:00:00Z, fraction = 0.5},
]
"""
OVERLAPPING = '{party = "media", start = 2017-01-31T00:00:00Z, end = 2017-03-01T00:00:00Z, fraction = 1}'
ELIGIBILITY = """
[eligibility]
rules = [
    {party = "media", fact = "verified", is = "true"},
    {party = "media", fact = "notes", at_least = 30},
    {party = "shop", fact = "score", at_most = "4.5"},
    {party = "shop", fact = "category", one_of = ["beauty", "sports"]},
]
"""


def load(desk: Desk, tables: str = "") -> Agreement:
    return desk.load(("[protocol]", tables + "\n[protocol]"))


def test_what_is_read(desk: Desk) -> None:
    agreement = load(desk, COMPLETENESS + SAMPLING + ELIGIBILITY)
    assert agreement.completeness == Completeness(
        parties=("shop",),
        warning=Band(fraction=Decimal("0.01"), rows=10),
        failure=Band(fraction=Decimal("0.05"), rows=100),
        on_failure=OnFailure.MARK,
    )
    first, second, third = (datetime(2017, month, 1, tzinfo=UTC) for month in (1, 2, 3))
    assert agreement.sampling == (
        SampledPeriod(party="media", start=first, end=second, fraction=Decimal("0.5")),
        SampledPeriod(party="shop", start=second, end=third, fraction=Decimal("0.25")),
    )
    assert agreement.eligibility == (
        EligibilityRule(party="media", fact="verified", test=RuleTest.IS, values=("true",)),
        EligibilityRule(party="media", fact="notes", test=RuleTest.AT_LEAST, bound=Decimal(30)),
        EligibilityRule(party="shop", fact="score", test=RuleTest.AT_MOST, bound=Decimal("4.5")),
        EligibilityRule(party="shop", fact="category", test=RuleTest.ONE_OF, values=("beauty", "sports")),
    )
    plain = load(desk)
    assert (plain.completeness, plain.sampling, plain.eligibility) == (None, (), ())
    words = describe(agreement)
    for text in ("more than 5 % and 100 rows off", "50 % of its people", "notes is at least 30, by media's list"):
        assert text in " ".join(words.split())


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        (COMPLETENESS, '["shop"]', '["media", "shop"]'),
        (COMPLETENESS, "0.01", "0.02"),
        (COMPLETENESS, "rows = 10}", "rows = 11}"),
        (COMPLETENESS, "0.05", "0.06"),
        (COMPLETENESS, "rows = 100", "rows = 101"),
        (COMPLETENESS, '"mark"', '"stop"'),
        (SAMPLING, '"shop"', '"media"'),
        (SAMPLING, "2017-02-01T00:00:00Z, end = 2017-03", "2017-02-02T00:00:00Z, end = 2017-03"),
        (SAMPLING, "2017-03-01", "2017-03-02"),
        (SAMPLING, "0.25", "0.26"),
        (ELIGIBILITY, '"true"', '"yes"'),
        (ELIGIBILITY, '"notes"', '"stars"'),
        (ELIGIBILITY, "at_least", "at_most"),
        (ELIGIBILITY, "30", "31"),
        (ELIGIBILITY, '"media", fact = "notes"', '"shop", fact = "notes"'),
        (ELIGIBILITY, ', "sports"', ""),
    ],
)
def test_every_key_changes_the_hash(desk: Desk, table: str, old: str, new: str) -> None:
    assert old in table
    before = load(desk, table)
    assert load(desk, table.replace(old, new, 1)).hash != before.hash
    assert load(desk).hash != before.hash


def test_ways_of_writing_change_nothing(desk: Desk) -> None:
    before = load(desk, COMPLETENESS + SAMPLING + ELIGIBILITY)
    other = COMPLETENESS.replace("0.01", "0.010") + ELIGIBILITY.replace('"4.5"', "4.50")
    other += SAMPLING.replace("2017-01-01T08:00:00+08:00", "2017-01-01T00:00:00Z").replace("0.25", "0.2500")
    assert load(desk, other).hash == before.hash


@pytest.mark.parametrize(
    ("table", "old", "new", "expected"),
    [
        (COMPLETENESS, '["shop"]', '["bank"]', "completeness.parties: 'bank' is not one of the parties media, shop"),
        (COMPLETENESS, '["shop"]', "[]", "completeness.parties: expected at least one text"),
        (COMPLETENESS, "0.01", "1.5", "completeness.warning.fraction: expected a share from 0 to 1"),
        (COMPLETENESS, "0.05", "0.005", "completeness.failure: expected bounds that are not below"),
        (COMPLETENESS, "rows = 100", "rows = 9", "completeness.failure: expected bounds that are not below"),
        (COMPLETENESS, ", rows = 100", "", "completeness.failure.rows: is missing"),
        (COMPLETENESS, '"mark"', '"wait"', "completeness.on_failure: expected one of stop, mark"),
        (SAMPLING, '"shop"', '"bank"', "sampling.periods[1].party: 'bank' is not one of the parties"),
        (SAMPLING, "0.25", "0", "sampling.periods[1].fraction: expected a share above 0"),
        (SAMPLING, "0.25", "1.01", "sampling.periods[1].fraction: expected a share above 0"),
        (SAMPLING, "2017-03-01", "2017-02-01", "sampling.periods[1].end: expected a time after start"),
        (SAMPLING, "periods = [", f"periods = [{OVERLAPPING},", "sampling.periods[3].start: overlaps another period"),
        (ELIGIBILITY, ", at_least = 30", "", "eligibility.rules[2].fact: expected one test"),
        (ELIGIBILITY, "at_least = 30", "at_least = 30, at_most = 40", "eligibility.rules[2].fact: expected one test"),
        (ELIGIBILITY, "at_least = 30", 'at_least = "many"', "eligibility.rules[2].at_least: expected a plain decimal"),
        (ELIGIBILITY, '"true"', "true", "eligibility.rules[1].is: expected a text"),
        (ELIGIBILITY, '"notes"', '"notes", colour = "red"', "eligibility.rules[2].colour: unknown key"),
    ],
)
def test_refusals(desk: Desk, table: str, old: str, new: str, expected: str) -> None:
    assert old in table
    with pytest.raises(AgreementError) as caught:
        load(desk, table.replace(old, new, 1))
    assert expected in str(caught.value)
