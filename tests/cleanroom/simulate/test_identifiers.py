"""Identifiers: fictitious, valid in form, and as dirty as asked, judged by the product's own reference rules."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal

import numpy as np
import pytest

from cleanroom.agreement.model import Identifier
from cleanroom.simulate import Dirt, Parameters, World
from cleanroom.simulate.identifiers import COVERAGE, IDENTIFIERS, MD5_COLUMN
from tests.cleanroom.match_keys.slow_forms import shared_form

PEOPLE = 12_000
NO_DIRT = Dirt(
    **dict.fromkeys(("malformed", "placeholder", "shared", "spelled", "two_accounts", "repeated"), Decimal(0))
)
FORMS = {
    "id": r"W[0-9]{9}",
    "phone": r"\+86154[0-9]{8}",
    "email": r"user[0-9]{9}@example\.com",
    "idfa": r"[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-8[0-9A-F]{3}-5EED[0-9A-F]{8}",
    "oaid": r"5eed[0-9a-f]{28}",
    "caid": r"20(230330|220111)_5eed[0-9a-f]{28}",
    "imei": r"00[0-9]{13}",
    "mac": r"0A[0-9A-F]{10}",
}


def form(name: str, text: str | None) -> str | None:
    return None if text is None else shared_form(Identifier(type=name, country="CN" if name == "phone" else None), text)


def block_of(dirt: Dirt, **more: object):  # type: ignore[no-untyped-def]
    return World(Parameters(people=PEOPLE, seed=21, dirt=dirt, **more)).block(0, PEOPLE)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clean():  # type: ignore[no-untyped-def]
    return block_of(NO_DIRT)


@pytest.mark.parametrize("party", ["media", "shop"])
@pytest.mark.parametrize("name", IDENTIFIERS)
def test_clean_identifiers_are_fictitious_valid_and_distinct(clean, party: str, name: str) -> None:  # type: ignore[no-untyped-def]
    held = clean.identifiers[party]
    texts = held.columns[name].to_pylist()
    forms = [form(name, text) for text in texts]
    found = [one for one in forms if one is not None]
    assert all(re.fullmatch(FORMS[name], one) for one in found)
    assert len(set(found)) == len(found) > 300
    known = clean.crowd.media if party == "media" else clean.crowd.shop
    device = {"idfa": 0.4, "caid": 0.4, "oaid": 0.6, "imei": 0.6, "mac": 0.6}.get(name, 1.0)
    expected = device * float(COVERAGE[name][party == "shop"])
    assert abs(len(found) / known.sum() - expected) < 0.02
    nulls = [text for text, one in zip(texts, forms, strict=True) if one is None]
    assert set(nulls) == {None, "", "null"}


def test_both_sides_hold_the_same_value_of_a_person(clean) -> None:  # type: ignore[no-untyped-def]
    media, shop = clean.identifiers["media"], clean.identifiers["shop"]
    for bit, name in enumerate(IDENTIFIERS):
        both = np.nonzero((media.usable & shop.usable) >> bit & 1)[0]
        left = [media.columns[name][int(at)].as_py() for at in media.record[0, both]]
        right = [shop.columns[name][int(at)].as_py() for at in shop.record[0, both]]
        assert left == right
        assert len(left) > 50


def test_imeis_have_their_check_digit(clean) -> None:  # type: ignore[no-untyped-def]
    for text in clean.identifiers["media"].columns["imei"].to_pylist():
        if text not in (None, "", "null"):
            doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(text)]
            assert sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def test_the_md5_partner_matches_the_clear_phone() -> None:
    block = block_of(Dirt())
    held = block.identifiers["shop"]
    rule = Identifier(type="phone", rule="national", country="CN", hash="md5")
    phones, hashes = held.columns["phone"].to_pylist(), held.columns[MD5_COLUMN].to_pylist()
    usable = 0
    for row in np.nonzero(held.usable >> 1 & 1)[0]:
        at = int(held.record[0, row])
        clear = None if phones[at] is None else shared_form(rule, phones[at])
        if clear is not None and hashes[at] is not None:
            assert shared_form(rule, hashes[at]) == clear
            usable += 1
    assert usable > 5000
    assert hashlib.md5(b"13800138000").hexdigest() in hashes


@pytest.mark.parametrize(
    ("share", "value"),
    [("malformed", "0.1"), ("placeholder", "0.05"), ("shared", "0.2"), ("spelled", "0.6"), ("two_accounts", "0.3")],
)
def test_dirt_has_the_rate_that_was_asked_for(share: str, value: str) -> None:
    dirt = Dirt(**{**{name: Decimal(0) for name in Dirt.__slots__}, share: Decimal(value)})
    block = block_of(dirt)
    clean_texts = block_of(NO_DIRT).identifiers["media"].columns["phone"].to_pylist()
    held = block.identifiers["media"]
    texts = held.columns["phone"].to_pylist()[: len(clean_texts)]
    pairs = [(dirty, clear) for dirty, clear in zip(texts, clean_texts, strict=True) if form("phone", clear)]
    changed = {
        "malformed": lambda dirty, clear: form("phone", dirty) is None,
        "placeholder": lambda dirty, clear: dirty == "13800138000",
        "shared": lambda dirty, clear: form("phone", dirty) != form("phone", clear),
        "spelled": lambda dirty, clear: dirty != clear and form("phone", dirty) == form("phone", clear),
    }
    if share == "two_accounts":
        crowd = block.crowd
        eligible = crowd.media & (crowd.notes > 1)
        assert abs(crowd.second["media"][eligible].mean() - 0.3) < 0.02
        assert not crowd.second["media"][~eligible].any()
        return
    rate = np.mean([changed[share](dirty, clear) for dirty, clear in pairs])
    assert abs(rate - float(value)) < 0.015
    if share == "spelled":
        assert len({re.sub("[0-9]", "#", dirty) for dirty, _ in pairs}) == 6
    usable = (held.usable >> 1 & 1).sum() / block.crowd.media.sum()
    lost = 0 if share == "spelled" else float(value)
    assert abs(usable - 0.9 * (1 - lost)) < 0.015


def test_the_usual_world_has_placeholders_of_every_kind() -> None:
    columns = block_of(Dirt(placeholder=Decimal("0.05"))).identifiers["media"].columns
    wanted = {"phone": "13800138000", "mac": "02:00:00:00:00:00", "email": "test@example.com", "imei": "0" * 15}
    for name, text in wanted.items():
        assert text in columns[name].to_pylist()
