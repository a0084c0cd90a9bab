"""The table of identifiers: every count against plain Python, and no value in it."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest

from cleanroom.agreement.model import Identifier, Match
from cleanroom.data import Binding, IdentifierQuality, identifier_quality
from cleanroom.match_keys import RULES
from cleanroom.match_keys.placeholders import PLACEHOLDERS, placeholder_keys
from tests.cleanroom.data.worlds import agreement
from tests.cleanroom.match_keys.slow_forms import shared_form

PHONE = Identifier(type="phone", rule="e164", country="CN")
MAC = Identifier(type="mac")
PHONES = [
    None,
    "",
    "13800138000",
    "+86 138 0013 8000",
    "138",
    "13711112222",
    "13711113333",
    "137 1111 3333",
    "13711114444",
]
MACS = [
    None,
    "02:00:00:00:00:00",
    "ff-ff-ff-ff-ff-ff",
    "02:00",
    "aa:bb:cc:dd:ee:01",
    "AABBCCDDEE01",
    "aa:bb:cc:dd:ee:02",
]


def quality_of(phones: list[str | None], macs: list[str | None], people: list[str]) -> tuple[IdentifierQuality, ...]:
    table = pa.table({"p": pa.array(phones, pa.string()), "m": pa.array(macs, pa.string()), "who": people})
    binding = Binding.from_table(table, {"phone": "p", "mac": "m", "person": "who"})
    both = replace(agreement(), match=Match(identifiers=(PHONE, MAC), max_invalid=Decimal(1)))
    return identifier_quality(both, binding, memory_bytes=1 << 10)


@pytest.mark.parametrize("seed", range(5))
def test_every_count_is_that_of_the_rows(seed: int) -> None:
    chooser = random.Random(seed)
    rows = chooser.randrange(1, 400)
    phones, macs = [chooser.choice(PHONES) for _ in range(rows)], [chooser.choice(MACS) for _ in range(rows)]
    people = [str(chooser.randrange(1, 60)) for _ in range(rows)]
    for identifier, values, found in zip((PHONE, MAC), (phones, macs), quality_of(phones, macs, people), strict=True):
        forms = [None if value is None else shared_form(identifier, value) for value in values]
        fake = {shared_form(identifier, value) for value in PLACEHOLDERS[identifier.type]} - {None}
        count = Counter(form for form in forms if form is not None)
        holders = defaultdict(set)
        for form, person in zip(forms, people, strict=True):
            holders[form].add(person)
        null = sum(value in (None, "", "02:00:00:00:00:00") for value in values)
        assert found == IdentifierQuality(
            identifier=identifier.type,
            rows=rows,
            null=null,
            malformed=sum(form is None for form in forms) - null,
            placeholder=sum(form in fake for form in forms),
            distinct=len(count),
            repeated=sum(times > 1 for times in count.values()),
            shared=sum(len(holders[form]) > 1 for form in count),
            commonest=max(count.values(), default=0),
        )


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("form", [None, "md5"])
def test_every_type_has_placeholders_that_are_known_by_any_form(kind: str, form: str | None) -> None:
    identifier = Identifier(type=kind, hash=form, country="CN" if kind == "phone" else None)
    keys = placeholder_keys(identifier)
    assert len(keys) == len({shared_form(identifier, value) for value in PLACEHOLDERS[kind]} - {None})
    assert kind in ("idfa", "caid") or keys


def test_a_column_without_any_identifier() -> None:
    (found, _) = quality_of([None, None], [None, "x"], ["1", "2"])
    assert (found.null, found.distinct, found.commonest) == (2, 0, 0)
