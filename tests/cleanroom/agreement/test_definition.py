"""One definition in several agreements: what belongs to it, and how it is filled into a new text."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest

from cleanroom.agreement import (
    agreement_template,
    definition_differences,
    definition_hash,
    load_agreement,
    parse_agreement,
    read_definition,
)
from cleanroom.errors import AgreementError
from tests.cleanroom.agreement.samples import ON, SAMPLE, Desk

RICH = """\
[time]
resolution = "1h"
zone = "Asia/Shanghai"
[exposure]
events = ["read", "click"]
group_by = "note_id"
groups = ["笔记 \\"a\\"", "b\\\\c"]
anchor = "last_touch"
priority = [["click"], ["read"]]
credit = "linear"
[outcome]
events = ["search", "order"]
value = "amount"
currency = "CNY"
labels = [{column = "customer", values = ["新客", "老客"]}]
[[metrics]]
name = "buyers"
event = "order"
measure = "people"
window = "360h"
[[metrics]]
name = "gmv"
event = "order"
measure = "sum"
window = "15d"
cap = "2000.00"
[release]
max_groups_per_person = 2
max_windows = 3
"""


def changed(desk: Desk, *pairs: tuple[str, str]) -> bytes:
    text = SAMPLE
    for old, new in pairs:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    return text.encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"complete-journey-2017"', '"another"'),
        ('["id"]', '["email"]'),
        ('groups = ["1", "2", "3"]', 'groups = ["7", "8", "9"]'),
        ("2017-12-01", "2017-11-01"),
        ("end = 2018-01-01", "end = 2017-12-31"),
        ("min_people = 50", "min_people = 60"),
        ("epsilon = 2.0", "epsilon = 1.0"),
    ],
)
def test_partners_may_differ_in_what_is_no_part_of_the_definition(desk: Desk, old: str, new: str) -> None:
    one = parse_agreement(SAMPLE.encode(), folder=desk.path.parent)
    other = parse_agreement(changed(desk, (old, new)), folder=desk.path.parent)
    assert one.hash != other.hash
    assert definition_hash(one) == definition_hash(other)
    assert definition_differences(one, other) == ()


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('window = "30d"', 'window = "31d"', ("metrics[gmv_30d].window_ticks", "metrics[gmv_30d].window")),
        ("cap = 40", "cap = 41", ("metrics[orders_15d].cap",)),
        ('name = "buyers_15d"', 'name = "buyers"', ("metrics[buyers_15d]", "metrics[buyers]")),
        ('events = ["mail"]', 'events = ["letter"]', ("exposure.events",)),
        ('currency = "CNY"', 'currency = "JPY"', ("outcome.currency",)),
        ('resolution = "1d"', 'resolution = "1d"\nzone = "Asia/Shanghai"', ("time.zone",)),
        ('groups = ["1", "2", "3"]', 'groups = ["1", "2", "3"]\nanchor = "last_touch"', ("exposure.anchor",)),
    ],
)
def test_what_changes_a_figure_changes_the_definition(desk: Desk, old: str, new: str, names: tuple[str, ...]) -> None:
    one = parse_agreement(SAMPLE.encode(), folder=desk.path.parent)
    other = parse_agreement(changed(desk, (old, new)), folder=desk.path.parent)
    assert definition_hash(one) != definition_hash(other)
    assert set(definition_differences(one, other)) == set(names)


def test_a_definition_is_filled_in_value_by_value(tmp_path: Path) -> None:
    path = tmp_path / "metrics.toml"
    path.write_text(RICH, encoding="utf-8")
    text = agreement_template(today=date(2026, 5, 1), definition=read_definition(path))
    filled, wanted = tomllib.loads(text), tomllib.loads(RICH)
    assert filled["metrics"] == wanted["metrics"]
    assert filled["outcome"] == wanted["outcome"]
    for section, keys in (("exposure", wanted["exposure"]), ("time", wanted["time"]), ("release", wanted["release"])):
        assert {key: filled[section][key] for key in keys} == wanted[section]
    assert filled["release"]["noise"] == "gaussian"
    assert set(filled["parties"]) == {"media", "shop"}


def test_a_signed_agreement_serves_as_the_definition_of_the_next(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "first.toml"
    path.write_text(SAMPLE, encoding="utf-8")
    second = desk.path.with_name("second.toml")
    second.write_text(agreement_template(today=ON, definition=read_definition(path)), encoding="utf-8")
    one = parse_agreement(SAMPLE.encode(), folder=desk.path.parent)
    other = load_agreement(second, on=ON)
    second.unlink()
    assert definition_hash(one) == definition_hash(other)
    assert other.time.start.year == ON.year  # dates are its own
    assert other.metrics == one.metrics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[exposure", "is not valid TOML in UTF-8"),
        ("[exposure]\n", r"metrics: is missing: expected \[\[metrics\]\]"),
        (RICH.replace("[outcome]", "[outcomes]"), "outcomes: unknown key"),
        (RICH.replace("anchor", "ancor"), r"exposure.ancor: unknown key"),
        (RICH.replace("cap =", "cup ="), r"metrics\[2\].cup: unknown key"),
        (RICH.replace('[time]\nresolution = "1h"\nzone = "Asia/Shanghai"\n', ""), r"time: is missing"),
    ],
)
def test_a_file_that_is_no_definition_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "metrics.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AgreementError, match=f"metrics.toml: {message}"):
        read_definition(path)
