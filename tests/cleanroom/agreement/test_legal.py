"""The table `[legal]`: read, bound into the signed bytes, printed, and acted upon where it says for how long."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from cleanroom.agreement.legal import Basis, Legal, Relation, delete_by, legal_lines
from cleanroom.agreement.schema import SCHEMA
from cleanroom.agreement.words import describe
from cleanroom.errors import AgreementError
from tests.cleanroom.agreement.samples import Desk

TABLE = """
[legal]
basis = "consent"
relation = "provision"
impact_assessment = "PIA-7"
separate_consent = "privacy notice, section 4"
cross_border = "none"
retention_days = 30
deletion = "by each owner"
contacts = {shop = "ask@shop.example", media = "ask@media.example"}

[protocol]"""


def with_table(*changes: tuple[str, str]) -> tuple[str, str]:
    text = TABLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return ("[protocol]", text)


def loaded(desk: Desk, *changes: tuple[str, str]) -> Legal:
    legal = desk.load(with_table(*changes)).legal
    assert legal is not None
    return legal


def test_every_key_is_read(desk: Desk) -> None:
    assert loaded(desk) == Legal(
        basis=Basis.CONSENT,
        relation=Relation.PROVISION,
        impact_assessment="PIA-7",
        separate_consent="privacy notice, section 4",
        cross_border="none",
        retention_days=30,
        deletion="by each owner",
        contacts=(("media", "ask@media.example"), ("shop", "ask@shop.example")),
    )


def test_without_the_table_nothing_is_stated(desk: Desk) -> None:
    agreement = desk.load()
    assert agreement.legal is None
    assert b"legal" not in agreement.canonical
    assert "basis" not in describe(agreement)


@pytest.mark.parametrize(
    "change",
    [
        ('"consent"', '"contract"'),
        ('"provision"', '"joint"'),
        ('relation = "provision"\n', ""),
        ("PIA-7", "PIA-8"),
        ("section 4", "section 5"),
        ('"none"', '"standard contract"'),
        ("= 30", "= 31"),
        ("by each owner", "by hand"),
        ("ask@shop", "tell@shop"),
    ],
)
def test_every_statement_is_signed(desk: Desk, change: tuple[str, str]) -> None:
    assert desk.load(with_table(change)).hash != desk.load(with_table()).hash


def test_the_order_of_contacts_does_not_matter(desk: Desk) -> None:
    swapped = ('{shop = "ask@shop.example", media = "ask@media.example"}', "CONTACTS")
    back = ("CONTACTS", '{media = "ask@media.example", shop = "ask@shop.example"}')
    assert desk.load(with_table(swapped, back)).hash == desk.load(with_table()).hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('basis = "consent"\n', ""), "legal.basis: is missing"),
        (('"consent"', '"because"'), "legal.basis: expected one of consent"),
        (('"provision"', '"friends"'), "legal.relation: expected one of joint"),
        (("= 30", "= 0"), "legal.retention_days: expected an integer from 1 to 36500"),
        (("= 30", "= true"), "legal.retention_days: expected an integer, found a boolean"),
        (("shop =", "third ="), "legal.contacts: expected the names of parties: media, shop"),
        (('"ask@shop.example"', "4"), r"legal.contacts\[1\]: expected a text"),
        (
            ('contacts = {shop = "ask@shop.example", media = "ask@media.example"}', "contacts = 1"),
            "legal.contacts: exp",
        ),
        (("deletion", "colour"), "legal.colour: unknown key"),
    ],
)
def test_faults_name_the_key(desk: Desk, change: tuple[str, str], message: str) -> None:
    with pytest.raises(AgreementError, match=message):
        desk.load(with_table(change))


def test_the_schema_names_the_words_that_are_understood() -> None:
    assert SCHEMA["legal"]["basis"].choices == tuple(basis.value for basis in Basis)
    assert SCHEMA["legal"]["relation"].choices == tuple(relation.value for relation in Relation)


def test_the_table_in_words(desk: Desk) -> None:
    text = " ".join(describe(desk.load(with_table())).split())
    for line in legal_lines(loaded(desk)):
        assert line in text
    assert "private files of a run are kept for: 30 days after a run" in text
    assert "contacts: media: ask@media.example, shop: ask@shop.example" in text
    bare = legal_lines(loaded(desk, ("retention_days = 30\n", ""), ('relation = "provision"\n', "")))
    assert "relation: not stated" in bare
    assert "private files of a run are kept for: not stated" in bare


def test_the_last_day_is_a_date_of_the_agreement(desk: Desk) -> None:
    ended = datetime(2027, 6, 1, 23, 30, tzinfo=UTC)
    legal = loaded(desk)
    assert delete_by(legal, ended=ended, zone="UTC") == date(2027, 7, 1)
    assert delete_by(legal, ended=ended, zone="Asia/Shanghai") == date(2027, 7, 2)
    assert delete_by(None, ended=ended, zone="UTC") is None
    assert delete_by(loaded(desk, ("retention_days = 30\n", "")), ended=ended, zone="UTC") is None
