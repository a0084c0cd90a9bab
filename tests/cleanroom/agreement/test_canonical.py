"""Canonical bytes: the writing does not matter, every meaning does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cleanroom.agreement import load_agreement
from tests.cleanroom.agreement.samples import ON, SAMPLE, Desk, new_desk

KNOWN = "52278b00a817e3d2690f4dc7dee6152dea751a2a03fa0f4b8add2a1ed33215b0"

SAME: dict[str, list[tuple[str, str]]] = {
    "comments": [("version = 1", "# ours\nversion = 1  # the first")],
    "numbers": [("epsilon = 2.0", "epsilon = 2"), ("delta = 1e-6", "delta = 0.000001")],
    "money": [('"2000.00"', "2000")],
    "times": [("start = 2017-01-01T00:00:00Z", "start = 2017-01-01T08:00:00+08:00")],
    "a default written out": [("[protocol]", '[protocol]\nprofile = "ecdh"')],
    "the zone written out": [('"1d"', '"1d"\nzone = "UTC"')],
    "no labels written out": [('"CNY"', '"CNY"\nlabels = []')],
    "all touches named": [('cap = "2000.00"', 'cap = "2000.00"\nvia = ["mail"]')],
    "the period written out": [('cap = "2000.00"', 'cap = "2000.00"\nperiod = "after"')],
    "recipients in another order": [('["media", "shop"]', '["shop", "media"]')],
    "the identifier as a table": [('["id"]', '[{type = "id"}]')],
}

OTHER: dict[str, tuple[str, str]] = {
    "bounds of one power of two": ("1000000", "1048576"),
    "name": ("complete-journey-2017", "complete-journey-2018"),
    "purpose": ("store purchases", "shop purchases"),
    "valid_until": ("2027-12-31", "2027-12-30"),
    "party": ("[parties.shop]", "[parties.store]"),
    "party's threshold": ('certificate = "shop.crt"', 'certificate = "shop.crt"\nmin_people = 10'),
    "identifier": ('["id"]', '["email"]'),
    "identifier's form": ('["id"]', '[{type = "id", hash = "md5"}]'),
    "max_invalid": ('["id"]', '["id"]\nmax_invalid = 0.02'),
    "start": ("start = 2017-01-01T00:00:00Z", "start = 2017-01-01T00:00:01Z"),
    "end": ("end = 2018-01-01T00:00:00Z", "end = 2018-01-02T00:00:00Z"),
    "resolution": ('"1d"', '"1h"'),
    "zone": ('"1d"', '"1d"\nzone = "Asia/Shanghai"'),
    "tree": ('"1d"', '"1d"\ntree = [1,2]'),
    "touches": ('events = ["mail"]', 'events = ["mail", "note"]'),
    "touch period": ("2017-12-01", "2017-11-30"),
    "instants": ('["mail"]', '["mail"]\ninstants = [2017-05-08T00:00:00Z]'),
    "group column": ('"campaign_id"', '"note_id"'),
    "group": ('"3"]', '"4"]'),
    "order of groups": ('["1", "2", "3"]', '["1", "3", "2"]'),
    "anchor": ('["mail"]', '["mail"]\nanchor = "last_touch"'),
    "credit": ('["mail"]', '["mail"]\ncredit = "linear"'),
    "credit's step": ('["mail"]', '["mail"]\ncredit = "time_decay"\ncredit_step = "2d"'),
    "credit's touches": ('["mail"]', '["mail"]\ncredit = "linear"\nmax_touches = 15'),
    "credit's priority": ('["mail"]', '["mail"]\ncredit = "linear"\npriority = [["mail"]]'),
    "frequency": ('["mail"]', '["mail"]\nfrequency = [1, 3]'),
    "label": ('"CNY"', '"CNY"\n[[outcome.labels]]\ncolumn = "tier"\nvalues = ["a"]'),
    "outcomes": ('events = ["order"]', 'events = ["order", "visit"]'),
    "value": ('"amount"', '"net"'),
    "currency": ('"CNY"', '"EUR"'),
    "precision": ('"CNY"', '"CNY"\nprecision = "0.001"'),
    "metric": ('"known"', '"reach"'),
    "window": ('"30d"', '"31d"'),
    "period": ('cap = "2000.00"', 'cap = "2000.00"\nperiod = "before"'),
    "cap": ("cap = 40", "cap = 41"),
    "noise": ('"gaussian"', '"laplace"'),
    "epsilon": ("epsilon = 2.0", "epsilon = 2.1"),
    "delta": ("1e-6", "1e-7"),
    "threshold": ("min_people = 50", "min_people = 51"),
    "groups a person": ("max_groups_per_person = 2", "max_groups_per_person = 1"),
    "windows a person": ("max_groups_per_person = 2", "max_groups_per_person = 2\nmax_windows = 2"),
    "recipients": ('["media", "shop"]', '["media"]'),
    "rows": ("16384", "16385"),
    "profile": ("[protocol]", '[protocol]\nprofile = "kkrt"'),
}


@pytest.mark.parametrize("case", SAME)
def test_the_writing_does_not_matter(desk: Desk, case: str) -> None:
    assert desk.load(*SAME[case]).canonical == desk.load().canonical


@pytest.mark.parametrize("case", OTHER)
def test_every_meaning_matters(desk: Desk, case: str) -> None:
    changes = [OTHER[case]]
    if case == "party":
        changes.append(('["media", "shop"]', '["media", "store"]'))
    assert desk.load(*changes).hash != desk.load().hash


def test_differences_are_in_the_hash_and_an_agreement_without_them_keeps_its_own(desk: Desk) -> None:
    none = ('"gaussian"', '"none"')
    plain = desk.load(none)
    assert b"differences" not in plain.canonical
    assert desk.load(none, ("min_people = 50", 'min_people = 50\ndifferences = "release"')).hash == plain.hash
    suppress = desk.load(none, ("min_people = 50", 'min_people = 50\ndifferences = "suppress"'))
    assert suppress.hash != plain.hash and suppress.release.suppress_differences


def test_more_groups_a_person_than_there_are_is_no_cap(desk: Desk) -> None:
    three = desk.load(("max_groups_per_person = 2", "max_groups_per_person = 3"))
    assert desk.load(("max_groups_per_person = 2", "max_groups_per_person = 9")).hash == three.hash


def test_the_certificate_is_in_the_hash_but_not_its_path(desk: Desk, tmp_path: Path) -> None:
    ours = desk.load()
    (tmp_path / "agreement.toml").write_text(SAMPLE.replace("media.crt", "m.pem").replace("shop.crt", "certs/s.pem"))
    (tmp_path / "certs").mkdir()
    (tmp_path / "m.pem").write_bytes(desk.media.certificate_pem)
    (tmp_path / "certs" / "s.pem").write_bytes(desk.shop.certificate_pem)
    assert load_agreement(tmp_path / "agreement.toml", on=ON).hash == ours.hash
    assert new_desk(tmp_path / "other").load().hash != ours.hash


def test_canonical_bytes_are_a_label_and_sorted_ascii_json(desk: Desk) -> None:
    agreement = desk.load(("complete-journey-2017", "种草"))
    label, text = agreement.canonical.split(b"\n")
    assert label == b"cleanroom/agreement/v1"
    document = json.loads(text)
    assert document["name"] == "种草"
    assert document["parties"][0]["certificate_sha256"] == desk.media.fingerprint.hex()
    assert json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii") == text
    assert agreement.hash == hashlib.sha256(agreement.canonical).digest()


def test_the_encoding_is_fixed(desk: Desk) -> None:
    """A known answer: a change of the encoding would void every signature that was ever made."""
    agreement = desk.load()
    text = agreement.canonical.decode()
    for entry, digit in zip(agreement.parties, "ab", strict=True):
        text = text.replace(entry.fingerprint.hex(), digit * 64)
    assert hashlib.sha256(text.encode()).hexdigest() == KNOWN


CREDIT_KNOWN = {
    "last_touch": "44bc167a383e551121779c69874e88ba172cdf5a806b12659bf879f30cf7954a",
    "linear": "57b8bcb913f39cd73e281f8a9f675739b477ba9d66e800b24523be3016f5f887",
    "time_decay": "d0750b46a95341cd6f614c1f5d39da1bc638f06e51bd54615c72b6eb2b7586a7",
}


@pytest.mark.parametrize("credit", CREDIT_KNOWN)
def test_keys_that_came_later_leave_older_texts_their_bytes(desk: Desk, credit: str) -> None:
    agreement = desk.load(('["mail"]', f'["mail"]\ncredit = "{credit}"'), ('"CNY"', '"CNY"\nlabels = []'))
    text = agreement.canonical.decode()
    for entry, digit in zip(agreement.parties, "ab", strict=True):
        text = text.replace(entry.fingerprint.hex(), digit * 64)
    assert hashlib.sha256(text.encode()).hexdigest() == CREDIT_KNOWN[credit]


@pytest.mark.parametrize(("credit", "touches"), [("linear", 16), ("position", 16)])
def test_a_bound_on_touches_that_is_the_default_is_no_other_meaning(desk: Desk, credit: str, touches: int) -> None:
    alike = [f'["mail"]\ncredit = "{credit}"', f'["mail"]\ncredit = "{credit}"\nmax_touches = {touches}']
    assert desk.load(('["mail"]', alike[0])).hash == desk.load(('["mail"]', alike[1])).hash
