"""The table `[lift]`: read, bound into the signed bytes, explained, and turned into columns."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cleanroom.agreement import Agreement
from cleanroom.agreement.lift import Comparison, Denominator, Design, Lift
from cleanroom.agreement.words import describe
from cleanroom.errors import AgreementError
from cleanroom.lift import lift_terms, read_terms, terms_document
from cleanroom.plan import Plan, Purpose, plan_of
from tests.cleanroom.agreement.samples import Desk

TABLE = """
[lift]
design = "randomised"
metrics = ["buyers_15d"]
[[lift.comparisons]]
name = "c1"
test = ["1", "2"]
control = ["3"]
test_share = 0.5

[protocol]"""

Change = tuple[str, str]
PRE_PERIOD: tuple[Change, Change] = (('"randomised"', '"pre_period"'), ("test_share = 0.5\n", ""))
AVERAGES: tuple[Change, Change] = (
    ('"randomised"', '"randomised"\ndenominator = "matched"'),
    ("test_share = 0.5\n", ""),
)
ALL: Change = ('["buyers_15d"]', '["buyers_15d", "orders_15d", "gmv_30d"]')
AGAIN = '[[lift.comparisons]]\nname = "c1"\ntest = ["1"]\ncontrol = ["3"]\ntest_share = 0.5\n'
NO_MATCHED: Change = ('[[metrics]]\nname = "known"\nmeasure = "matched"\n', "")


def with_table(*changes: Change) -> Change:
    text = TABLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return ("[protocol]", text)


def agreed(desk: Desk, *changes: Change, others: tuple[Change, ...] = ()) -> Agreement:
    return desk.load(with_table(*changes), *others)


def support(plan: Plan) -> dict[str, str]:
    """Columns that only the lift needs, and their gates."""
    return {column.name: plan.columns[column.gate].name for column in plan.columns if column.purpose is Purpose.SUPPORT}


def test_every_key_is_read(desk: Desk) -> None:
    assert agreed(desk, ('"randomised"', '"randomised"\nconfidence = 0.90')).lift == Lift(
        design=Design.RANDOMISED,
        denominator=Denominator.ASSIGNED,
        metrics=("buyers_15d",),
        confidence=Decimal("0.90"),
        comparisons=(Comparison(name="c1", test=("1", "2"), control=("3",), test_share=Decimal("0.5")),),
    )
    assert agreed(desk, *PRE_PERIOD).lift == Lift(
        design=Design.PRE_PERIOD,
        denominator=Denominator.MATCHED,
        metrics=("buyers_15d",),
        confidence=Decimal("0.95"),
        comparisons=(Comparison(name="c1", test=("1", "2"), control=("3",), test_share=None),),
    )


def test_without_the_table_nothing_changes(desk: Desk) -> None:
    agreement = desk.load()
    assert agreement.lift is None and lift_terms(agreement) is None
    assert b"lift" not in agreement.canonical
    assert support(plan_of(agreement)) == {}


@pytest.mark.parametrize(
    "change",
    [
        ('["buyers_15d"]', '["orders_15d"]'),
        ('"c1"', '"c2"'),
        ('["1", "2"]', '["1"]'),
        ('["1", "2"]', '["2", "1"]'),
        ("0.5", "0.4"),
        ('"randomised"', '"randomised"\nconfidence = 0.9'),
    ],
)
def test_every_choice_is_signed(desk: Desk, change: Change) -> None:
    assert agreed(desk, change).hash != agreed(desk).hash
    assert len({agreed(desk).hash, agreed(desk, *PRE_PERIOD).hash, agreed(desk, *AVERAGES).hash}) == 3


def test_what_is_the_default_may_be_written(desk: Desk) -> None:
    written = ('"randomised"', '"randomised"\ndenominator = "assigned"\nconfidence = 0.950')
    assert agreed(desk, written).hash == agreed(desk).hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('design = "randomised"\n', ""), "lift.design: is missing"),
        (('"randomised"', '"luck"'), "lift.design: expected one of randomised, pre_period"),
        (('"buyers_15d"', '"sellers"'), "lift.metrics: 'sellers' is not the name of one of the metrics"),
        (('"buyers_15d"', '"known"'), "lift.metrics: 'known' is not a window metric"),
        (('["buyers_15d"]', "[]"), "lift.metrics: expected at least one text"),
        (('["3"]', '["9"]'), r"lift.comparisons\[1\].control: '9' is not in exposure.groups"),
        (('["3"]', '["1"]'), r"lift.comparisons\[1\].control: '1' is in the test arm too"),
        (('["3"]', "[]"), r"lift.comparisons\[1\].control: expected at least one text"),
        (("test_share = 0.5\n", ""), r"lift.comparisons\[1\].test_share: is missing"),
        (("0.5", "1"), r"lift.comparisons\[1\].test_share: expected a share above 0 and below 1"),
        (("0.5", "0"), r"lift.comparisons\[1\].test_share: expected a share"),
        (('"randomised"', '"randomised"\nconfidence = 1'), "lift.confidence: expected a share from 0.5 to 0.999"),
        (('"randomised"', '"pre_period"\ndenominator = "assigned"'), "lift.denominator: pre_period compares matched"),
        (('"randomised"', '"pre_period"'), r"lift.comparisons\[1\].test_share: goes with denominator"),
        (("design", "colour"), "lift.colour: unknown key"),
        (
            ("[protocol]", f"{AGAIN}[protocol]"),
            r"lift.comparisons\[2\].name: 'c1' is there twice",
        ),
    ],
)  # fmt: skip
def test_faults_name_the_key(desk: Desk, change: Change, message: str) -> None:
    with pytest.raises(AgreementError, match=message):
        agreed(desk, change)


def test_bands_are_no_arms(desk: Desk) -> None:
    with pytest.raises(AgreementError, match=r"lift\.design: arms are whole groups"):
        agreed(desk, others=(('group_by = "campaign_id"', 'group_by = "campaign_id"\nfrequency = [1, 2]'),))


def test_credit_is_not_compared(desk: Desk) -> None:
    credited = ('"15d"\ncap = 40', '"15d"\ncap = 40\nattribution = "credit"')
    rule = ('group_by = "campaign_id"', 'group_by = "campaign_id"\ncredit = "last_touch"')
    with pytest.raises(AgreementError, match="'orders_15d' is not a window metric"):
        agreed(desk, ALL, others=(credited, rule))


def test_the_time_before_is_a_check_of_a_lot_and_part_of_the_other_design(desk: Desk) -> None:
    before = ('"15d"\ncap = 40', '"15d"\ncap = 40\nperiod = "before"')
    assert support(plan_of(agreed(desk, ALL, others=(before,))))
    with pytest.raises(AgreementError, match="'orders_15d' looks before the touch"):
        agreed(desk, ALL, *PRE_PERIOD, others=(before,))


def test_columns_of_each_design(desk: Desk) -> None:
    assert support(plan_of(agreed(desk))) == {}
    assert support(plan_of(agreed(desk, ALL))) == {
        "lift_orders_15d_squared": "buyers_15d",
        "lift_gmv_30d_squared": "gate_order_30d",
    }
    assert support(plan_of(agreed(desk, *AVERAGES, others=(NO_MATCHED,)))) == {"lift_matched": "lift_matched"}
    assert support(plan_of(agreed(desk, *AVERAGES))) == {}  # the agreement's own metric serves
    plan = plan_of(agreed(desk, ALL, *PRE_PERIOD))
    names = [
        f"lift_{name}_{what}" for name in ("buyers_15d", "orders_15d", "gmv_30d") for what in ("change", "squared")
    ]
    assert list(support(plan)) == names
    by_name = {column.name: column for column in plan.columns}
    change, squared = by_name["lift_gmv_30d_change"], by_name["lift_gmv_30d_squared"]
    assert (change.change, change.squared, change.bound) == (True, False, 200_000)
    assert (squared.change, squared.squared, squared.bound) == (True, True, 200_000**2)
    assert by_name["lift_orders_15d_squared"].unit == 1


def test_labels_are_compared_one_by_one(desk: Desk) -> None:
    label = ('"CNY"', '"CNY"\n[[outcome.labels]]\ncolumn = "tier"\nvalues = ["a", "b"]')
    by = ('"15d"\ncap = 40', '"15d"\ncap = 40\nby = "tier"')
    agreement = agreed(desk, ALL, others=(label, by))
    terms = lift_terms(agreement)
    assert terms is not None
    assert [one.metric for one in terms.columns] == [
        "buyers_15d",
        "orders_15d[tier=a]",
        "orders_15d[tier=b]",
        "gmv_30d",
    ]
    columns = {column.name: column for column in plan_of(agreement).columns}
    for one in terms.columns:
        assert columns[one.squares].label == columns[one.metric].label
        assert columns[one.squares].gate == columns[one.metric].gate


@pytest.mark.parametrize("changes", [(), PRE_PERIOD, AVERAGES])
def test_the_terms_survive_a_release(desk: Desk, changes: tuple[Change, ...]) -> None:
    terms = lift_terms(agreed(desk, ALL, *changes))
    assert terms is not None
    assert read_terms(terms_document(terms)) == terms


def test_the_table_in_words(desk: Desk) -> None:
    text = " ".join(describe(agreed(desk)).split())
    assert "lift of buyers_15d, with intervals of 95 %" in text
    assert "people were assigned to the arms by lot" in text
    assert "c1: 1 and 2 against 3, 50 % in test" in text
    text = " ".join(describe(agreed(desk, *PRE_PERIOD)).split())
    assert "both arms would have changed alike" in text
