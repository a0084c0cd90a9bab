"""Match keys: known answers, the kernel against plain Python, dirty identifiers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom import _kernels
from cleanroom.agreement.model import Identifier
from cleanroom.errors import AgreementError
from cleanroom.match_keys import MALFORMED, NULL, VALID, PersonKeys, full_rule
from cleanroom.match_keys.rules import COUNTRIES, HASHES, RULES
from cleanroom.texts import Texts
from cleanroom.vectors import check_file
from tests.cleanroom.match_keys.slow_forms import person_key, shared_form, text_key

VECTORS = Path(__file__).parents[2] / "vectors" / "match_keys" / "v1"


@pytest.mark.parametrize("name", ["forms.json", "published.json"])
def test_known_answers(name: str) -> None:
    assert check_file(f"match_keys/v1/{name}").vectors >= 4


def every_rule() -> list[Identifier]:
    found = []
    for kind, rules in RULES.items():
        for rule in rules or (None,):
            for country in (None, *COUNTRIES) if kind == "phone" else (None,):
                if rule != "national" or country is not None:
                    found.extend(
                        Identifier(type=kind, rule=rule, country=country, hash=form) for form in (None, *HASHES)
                    )
    found.extend(Identifier(type="caid", version="20220111", hash=form) for form in (None, *HASHES))
    return found


PIECES = st.sampled_from(
    [
        *"0123456789+-.() @aFgZ:\u3000\t\x1c\u2003\0é中",
        *("86", "+86", "0086", "138", "00138000", "13800138000", "１３８", "00000000", "-0000", "02:00:00"),
        *(":00:00:00", "gmail.com", "a.b@gmail.com", "@example.com", "null", "NaN", "deadbeef"),
        *("20220111_", "20230330_", ",", "_", "912EC803b2ce49e4a541068d495ab570", "0" * 32),
        *("d41d8cd98f00b204e9800998ecf8427e", "6D92078A", "-8246-4BA4-AE5B-76104861E7DC"),
    ]
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=5).map("".join), min_size=1, max_size=20))
def test_kernel_agrees_with_reference(texts: list[str]) -> None:
    array = pa.array(texts, pa.string())
    for identifier in every_rule():
        people = PersonKeys(identifier)(array)
        for text, key, status in zip(texts, people.keys, people.status, strict=True):
            form = shared_form(identifier, text)
            assert (form is not None) == (status == VALID)
            expected = bytes(16) if form is None else person_key(type=identifier.type, form=form)
            assert key.tobytes() == expected


def test_null_and_malformed_are_told_apart() -> None:
    people = PersonKeys(Identifier(type="email"))(pa.array([None, "", " ", "NULL", "nan", "a@b", "a b@c.d", "a@b.c"]))
    assert people.status.tolist() == [NULL] * 5 + [MALFORMED] * 2 + [VALID]


CAID = "912ec803b2ce49e4a541068d495ab570"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (CAID, f"20220111_{CAID}"),
        (f"20220111_{CAID.upper()}", f"20220111_{CAID}"),
        (f"20230330_{CAID[::-1]}, 20220111_{CAID}", f"20220111_{CAID}"),
        (f"20230330_{CAID}", None),
        (f"2022011_{CAID}", None),
        (f"{CAID}0", None),
        ("20220111_" + "0" * 32, None),
    ],
)
def test_a_caid_is_one_of_the_agreed_version(text: str, form: str | None) -> None:
    identifier = Identifier(type="caid", version="20220111")
    assert shared_form(identifier, text) == form
    assert PersonKeys(identifier)(pa.array([text])).status.tolist() == [VALID if form else people_status(text)]


def people_status(text: str) -> int:
    return NULL if text.endswith("_" + "0" * 32) else MALFORMED


def test_slices_of_arrow_arrays() -> None:
    array = pa.array(["1", None, "22", "333", "4"]).slice(2, 2)
    people = PersonKeys(Identifier(type="id"))(array)
    assert [key.tobytes() for key in people.keys] == [person_key(type="id", form=form) for form in ("22", "333")]


def test_text_keys_agree_with_reference() -> None:
    texts = Texts.of(pa.array(["account 1", " account 1\t", "", None, "é"]))
    keys, status = _kernels.text_keys(texts.offsets, texts.data, texts.valid, tag="person")
    assert status.tolist() == [0, 0, 1, 1, 0]
    for index, text in ((0, "account 1"), (1, "account 1"), (4, "é")):
        assert keys[index].astype(">u8").tobytes() == text_key(tag="person", text=text)


def test_texts_that_are_no_utf_8_stand_alone() -> None:
    """A bad entry is malformed and spoils no other, whole characters of neighbours included."""
    pieces = [b"ab", "\u4f1a".encode()[:1], "\u4f1a".encode()[1:], "\u4f1a".encode(), b"\xff", b""]
    for count in range(1, len(pieces) + 1):
        texts = Texts.of(pa.array(pieces[:count], pa.binary()).view(pa.string()))
        keys, status = _kernels.text_keys(texts.offsets, texts.data, texts.valid, tag="person")
        assert status.tolist() == [VALID, MALFORMED, MALFORMED, VALID, MALFORMED, NULL][:count]
        assert keys.any(axis=1).tolist() == [word == VALID for word in status.tolist()]
        assert _kernels.is_utf8(texts.offsets, texts.data, texts.valid) == (count == 1)
    whole = Texts.of(pa.array(["ab", "\u4f1a", None]).slice(1))
    assert _kernels.is_utf8(whole.offsets, whole.data, whole.valid)


@pytest.mark.parametrize("tag", ["person", "x" * 21, "x" * 22, "x" * 40, "x" * 255])
def test_text_keys_agree_with_reference_whatever_the_lengths(tag: str) -> None:
    given = ["7" * length for length in range(1, 70)]
    texts = Texts.of(pa.array(given))
    keys, _ = _kernels.text_keys(texts.offsets, texts.data, texts.valid, tag=tag)
    assert [key.tobytes() for key in keys.astype(">u8")] == [text_key(tag=tag, text=text) for text in given]
    with pytest.raises(ValueError, match="255 bytes"):
        _kernels.text_keys(texts.offsets, texts.data, texts.valid, tag="x" * 256)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (Identifier(type="name"), "expected one of phone"),
        (Identifier(type="phone", rule="lower"), "rule: expected one of e164"),
        (Identifier(type="id", rule="lower"), "expected no rule"),
        (Identifier(type="phone", country="XX"), "country: expected one of CN"),
        (Identifier(type="email", country="CN"), "expected no country"),
        (Identifier(type="phone", rule="national"), "expected one with the rule national"),
        (Identifier(type="id", hash="sha1"), "hash: expected one of md5"),
        (Identifier(type="id", version="20220111"), "version: expected eight digits"),
        (Identifier(type="caid", version="2022"), "version: expected eight digits"),
    ],
)
def test_rules_that_do_not_exist(identifier: Identifier, expected: str) -> None:
    with pytest.raises(AgreementError, match=expected):
        full_rule(identifier)


def test_malformed_columns_are_refused() -> None:
    texts = Texts.of(pa.array(["ab", "c"]))
    rule = {"kind": "id", "rule": "", "country": None, "form": ""}
    for offsets in ([0, 2], [0, 3, 2], [-1, 2, 3], [0, 2, 4], []):
        with pytest.raises(ValueError, match="offsets"):
            _kernels.person_keys(
                pa.array(offsets, pa.int32()).to_numpy(),
                texts.data,
                texts.valid,
                **rule,  # type: ignore[arg-type]
            )
