"""A second agreement on a world, of all that an agreement can ask for, and the bindings that go with it.

Several identifiers with account numbers, credit with priority, labels, periods, completeness, eligibility and, where
the world has one, a sample. Everything that it names is in the world's folder.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cleanroom.simulate.clauses import head_text, protocol_text, quoted, time_text
from cleanroom.simulate.parameters import START, Parameters
from cleanroom.simulate.people import CATEGORIES

__all__ = ["FULL_AGREEMENT_FILE", "FULL_BINDING_FILE", "full_agreement_text", "full_binding_text"]

FULL_AGREEMENT_FILE: Final = "full.toml"
FULL_BINDING_FILE: Final = "full-binding.toml"
_IDENTIFIERS: Final = ("phone", "email", "oaid", "idfa", "imei", "mac")
_WINDOWS: Final = (3, 15)

_AGREEMENT: Final = """\
{head}
[match]
identifiers = [{identifiers}, {{type = "caid", version = "20230330"}}]
max_invalid = 0.5

{time}
[exposure]
events = ["click", "like", "save", "comment", "read", "exposure"]
group_by = "campaign_id"
groups = [{groups}]
anchor = "first_touch"
credit = "position"
priority = [["click"], ["like", "save", "comment"], ["read"]]

[outcome]
events = ["search", "visit", "add_to_cart", "order", "refund"]
value = "amount"
currency = "CNY"
precision = "0.01"

[[outcome.labels]]
column = "customer"
values = ["new", "returning"]

[[outcome.labels]]
column = "category"
values = [{categories}]

[[metrics]]
name = "matched"
measure = "matched"
{metrics}
[completeness]
warning = {{fraction = 0.01, rows = 5}}
failure = {{fraction = 0.1, rows = 20}}
on_failure = "mark"
{sampling}
[eligibility]
rules = [
    {{party = "media", fact = "verified", is = "true"}},
    {{party = "media", fact = "account_notes", at_least = 20}},
]

[release]
noise = "gaussian"
epsilon = 4.0
delta = 1e-6
min_people = 50
max_groups_per_person = {groups_per_person}
max_windows = 2
recipients = ["media", "shop"]

{protocol}"""
_SAMPLING: Final = """
[sampling]
periods = [{{party = "media", start = {start}, end = {end}, fraction = {fraction}}}]
"""
_METRICS: Final = """
[[metrics]]
name = "buyers_{long}d"
event = "order"
measure = "people"
window = "{long}d"

[[metrics]]
name = "buyers_before"
event = "order"
measure = "people"
window = "{long}d"
period = "before"

[[metrics]]
name = "visitors_{short}d"
event = "visit"
measure = "people"
window = "{short}d"
via = ["click"]

[[metrics]]
name = "gmv_{long}d"
event = "order"
measure = "sum"
window = "{long}d"
cap = "2000.00"
by = "customer"

[[metrics]]
name = "gmv_credit"
event = "order"
measure = "sum"
window = "{long}d"
attribution = "credit"
cap = "2000.00"

[[metrics]]
name = "orders_credit"
event = "order"
measure = "events"
window = "{long}d"
attribution = "credit"
cap = 3
by = "category"
"""
_BINDINGS: Final = {
    "media": """\
[source]
path = "touches.parquet"

[columns]
{identifiers}
person = "user_id"
time = "time"
event = "event"
campaign_id = "campaign_id"

[manifest]
path = "manifest.csv"

[facts]
path = "campaigns.csv"

[spend]
path = "spend.csv"
""",
    "shop": """\
[source]
path = "outcomes.parquet"

[columns]
{identifiers}
person = "buyer_id"
time = "time"
event = "event"
event_id = "event_id"
amount = "amount"
customer = "customer"
category = "category"

[manifest]
path = "manifest.csv"
""",
}


def full_agreement_text(parameters: Parameters) -> str:
    """The agreement, the certificates beside it. Its row bounds follow from the parameters and stop at 2^24."""
    plan = parameters.plan()
    first, last = (START + timedelta(days=day) for day in parameters.sampling_days)
    sampling = _SAMPLING.format(start=first.isoformat(), end=last.isoformat(), fraction=parameters.sample)
    short, long = (min(window, parameters.flight_days) for window in _WINDOWS)
    return _AGREEMENT.format(
        head=head_text(
            name=f"synthetic-world-{parameters.seed}-full",
            purpose="Measure the whole funnel of campaigns, on synthetic people",
        ),
        identifiers=quoted(_IDENTIFIERS),
        time=time_text(parameters),
        groups=quoted(campaign.name for campaign in plan),
        categories=quoted(CATEGORIES),
        metrics=_METRICS.format(short=short, long=long),
        sampling=sampling if parameters.sample not in (0, 1) else "",
        groups_per_person=len(plan),
        protocol=protocol_text(rows_exposure=parameters.people * 8, rows_outcome=parameters.people * parameters.days),
    )


def full_binding_text(party: str) -> str:
    """A side's binding, to stand beside its file."""
    names = (*_IDENTIFIERS, "caid")
    return _BINDINGS[party].format(identifiers="\n".join(f'{name} = "{name}"' for name in names))
