"""The agreement in words: every metric, both sides, and no promise that the terms do not keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cleanroom.agreement.model import Label, Period, Profile
from cleanroom.agreement.words import describe
from cleanroom.errors import AgreementError
from tests.cleanroom.agreement.samples import Desk

NONE = ('"gaussian"', '"none"')


def _sections(text: str) -> dict[str, str]:
    parts = (section.split("\n", 1) for section in text.strip().split("\n\n"))
    return {heading: " ".join(body.split()) for heading, body in parts}


def test_every_metric_is_explained(desk: Desk) -> None:
    counted = _sections(describe(desk.load()))["What is counted"]
    touch = "of a person's first touch in the group"
    assert f"buyers_15d: people with at least one order within 15d {touch}" in counted
    assert f"orders_15d: events of kind order within 15d {touch}, at most 40 a person and group" in counted
    money = "at most 2000.00 CNY a person and group"
    assert f"gmv_30d: the sum of amount over events of kind order within 30d {touch}, {money}" in counted
    assert "known: people of the group whom the outcome side knows at all" in counted
    assert "people are matched by id; a run stops if more than 1 % of a file's identifiers are unusable" in counted


@pytest.mark.parametrize("profile", Profile)
def test_the_profile_is_named(desk: Desk, profile: Profile) -> None:
    text = describe(desk.load(("[protocol]", f'[protocol]\nprofile = "{profile.value}"')))
    frame = _sections(text)["Agreement complete-journey-2017"]
    assert f"rows are joined with profile {profile.value}: an oblivious PRF" in frame
    assert not any(f"profile {other.value}" in text for other in Profile if other is not profile)


def test_an_agreement_without_a_profile_means_ecdh(desk: Desk) -> None:
    assert "profile ecdh: " in describe(desk.load())


def test_the_last_touch_is_called_so(desk: Desk) -> None:
    text = describe(desk.load(('["mail"]', '["mail"]\nanchor = "last_touch"')))
    assert "person's last touch" in _sections(text)["What is counted"]


def test_both_sides_get_a_paragraph_in_their_own_view(desk: Desk) -> None:
    agreement = desk.load()
    assert {"What media learns", "What shop learns"} <= _sections(describe(agreement)).keys()
    ours = _sections(describe(agreement, "shop"))
    assert {"What you, shop, learn", "What the other side, media, learns"} <= ours.keys()
    assert "fits 16384 rows" in ours["What you, shop, learn"]
    assert "fits 1048576 rows" in ours["What the other side, media, learns"]


def test_a_side_that_is_not_a_recipient(desk: Desk) -> None:
    text = _sections(describe(desk.load(('["media", "shop"]', '["media"]'))))
    assert "not the released table" in text["What shop learns"]
    assert "noised count" not in text["What shop learns"]
    assert "the released table, signed by both sides" in text["What media learns"]
    assert "noised count" in text["What media learns"]


def test_noise_and_cost(desk: Desk) -> None:
    error = "each buyers_15d figure will be within about ± 25 of the truth, 19 times of 20"
    released = _sections(describe(desk.load(), errors=[error]))["What is released"]
    assert "one figure for each of 3 groups and 4 metrics; no totals" in released
    assert "gaussian noise" in released
    assert "epsilon 2 and delta 1e-06" in released
    assert "1 more column of people counts is opened" in released
    assert released.endswith(error)
    laplace = _sections(describe(desk.load(('"gaussian"', '"laplace"'))))["What is released"]
    assert "laplace noise" in laplace
    assert "delta" not in laplace


def test_without_noise(desk: Desk) -> None:
    text = _sections(describe(desk.load(NONE)))
    assert "shown figures are exact" in text["What is released"]
    assert "compared in secret" in text["What is released"]
    assert "epsilon" not in text["What is released"]
    assert "noised" not in text["What media learns"]
    assert "subtracts exact figures" in text["What this cannot stop"]


def test_without_noise_and_small_differences(desk: Desk) -> None:
    text = _sections(describe(desk.load(NONE, ("min_people = 50", 'min_people = 50\ndifferences = "suppress"'))))
    assert "at least 50 people more stand behind it" in text["What is released"]
    assert "nested windows" not in text["What this cannot stop"]
    assert "groups that share people" in text["What this cannot stop"]
    assert "Warnings" not in text


def test_many_groups_are_counted_not_listed(desk: Desk) -> None:
    labels = ", ".join(f'"g{number}"' for number in range(40))
    counted = _sections(describe(desk.load(('"1", "2", "3"', labels))))["What is counted"]
    assert "40 groups (g0, g1," in counted
    assert "g11 and 28 more); other labels are ignored" in counted
    assert "g12" not in counted


def test_warnings_are_shown(desk: Desk) -> None:
    assert "Warnings" not in _sections(describe(desk.load()))
    text = _sections(describe(desk.load(("end = 2017-12-01T00:00:00Z\n", ""))))
    assert "pass time.end and are cut: buyers_15d, orders_15d, gmv_30d" in text["Warnings"]


def test_identifiers_and_instants(desk: Desk) -> None:
    agreement = desk.load(
        ('["id"]', '[{type = "phone", hash = "md5"}]'),
        ('["mail"]', '["mail", "note", "ad"]\ninstants = [2017-05-08T00:00:00Z]'),
    )
    counted = _sections(describe(agreement))["What is counted"]
    assert "people are matched by phone (rule e164, country CN, as md5)" in counted
    assert "touches of kind mail, note or ad from" in counted
    assert "at 1 agreed time only" in counted


def test_credit_bands_labels_and_kinds_are_explained(desk: Desk) -> None:
    agreement = desk.load()
    credit = replace(
        agreement.exposure,
        events=("click", "like", "read"),
        credit="time_decay",
        credit_step_ticks=2,
        max_touches=5,
        priority=(("click",), ("like",)),
        frequency=(1, 2, 4),
    )
    metrics = (
        replace(agreement.metrics[1], name="credited", credit=True, via=("click", "like"), by="customer"),
        replace(agreement.metrics[1], name="earlier", period=Period.BEFORE),
    )
    agreement = replace(
        agreement,
        exposure=credit,
        outcome=replace(agreement.outcome, labels=(Label(column="customer", values=("new", "old")),)),
        metrics=metrics,
        release=replace(agreement.release, max_windows=3),
    )
    counted = _sections(describe(agreement))["What is counted"]
    assert "each group is split by how often a person was touched in it: 1, 2-3 or 4+ times" in counted
    assert "a touch's weight halves for every 2 ticks that it is older" in counted
    assert "only those of the highest kind present share it: click, then like, then read" in counted
    assert "earn credit in at most 3 disjoint windows; later touches are dropped" in counted
    assert "a person's first and latest 4 touches may earn credit" in counted
    assert "outcomes carry the label customer: 2 values (new, old); other values belong to none" in counted
    assert "credited to the group's touches of kind click or like within 15d before them, for each customer" in counted
    assert "before, within 15d of a person's first touch in the group" in counted


def test_lines_are_short(desk: Desk) -> None:
    assert max(map(len, describe(desk.load(), "media").splitlines())) <= 100


def test_an_unknown_party(desk: Desk) -> None:
    with pytest.raises(AgreementError, match="there is no party 'brand'; the parties are media and shop"):
        describe(desk.load(), "brand")
