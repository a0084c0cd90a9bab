"""The papers of two owners over a world: an agreement, and a binding for each side.

The exposure side's `assigned` events are the touches, so a group is an arm of a randomised campaign, and the difference
of two released figures is what the campaign added: the number that the truth holds.
"""

from __future__ import annotations

from typing import Final

from cleanroom.simulate.clauses import head_text, protocol_text, quoted, time_text
from cleanroom.simulate.exposures import ARMS, CONTROL, TEST
from cleanroom.simulate.identifiers import COVERAGE, MD5_COLUMN
from cleanroom.simulate.outcomes import STAGES
from cleanroom.simulate.parameters import Parameters

__all__ = ["BINDING_FILE", "agreement_text", "binding_text"]

BINDING_FILE: Final = "binding.toml"
_WINDOW: Final = 15

_AGREEMENT: Final = """\
{head}
[match]
identifiers = [{identifier}]
max_invalid = {max_invalid}

{time}
[exposure]
events = ["assigned"]
instants = [{instants}]
group_by = "campaign_arm"
groups = [{groups}]
anchor = "first_touch"

[outcome]
events = [{events}]
value = "amount"
currency = "CNY"
precision = "0.01"

[[metrics]]
name = "matched"
measure = "matched"
{metrics}
[release]
noise = "gaussian"
epsilon = 2.0
delta = 1e-6
min_people = 50
max_groups_per_person = {groups_per_person}
recipients = ["media", "shop"]

{protocol}"""
_METRIC: Final = """
[[metrics]]
name = "{name}"
event = "{event}"
measure = "{measure}"
window = "{window}d"
{cap}"""
_BINDING: Final = """\
[source]
path = "{path}"

[columns]
{identifier} = "{column}"
time = "time"
event = "event"
{others}"""
_OTHERS: Final = {
    "media": ("touches.parquet", 'campaign_arm = "campaign_arm"\n'),
    "shop": ("outcomes.parquet", 'event_id = "event_id"\namount = "amount"\n'),
}


def agreement_text(parameters: Parameters) -> str:
    """The agreement on a world, the certificates beside it.

    Its row bounds follow from the parameters, and hold the world with room to spare; above 2^24 rows they stay there,
    and a run refuses.
    """
    randomised = [campaign for campaign in parameters.plan() if not campaign.targeted]
    md5 = '{type = "phone", rule = "national", hash = "md5"}'
    identifier = md5 if parameters.match == MD5_COLUMN else f'"{parameters.match}"'
    instants = sorted({campaign.starts_at for campaign in randomised})
    rows = parameters.people * (len(instants) + 1)
    groups = [f"{campaign.name}/{ARMS[arm]}" for campaign in randomised for arm in (TEST, CONTROL)]
    return _AGREEMENT.format(
        head=head_text(
            name=f"synthetic-world-{parameters.seed}", purpose="Measure what campaigns add, on synthetic people"
        ),
        identifier=identifier,
        max_invalid=_max_invalid(parameters),
        time=time_text(parameters),
        instants=", ".join(instant.isoformat() for instant in instants),
        groups=quoted(groups),
        events=quoted(STAGES),
        metrics=_metrics(min(_WINDOW, parameters.flight_days)),
        groups_per_person=len(randomised),
        protocol=protocol_text(rows_exposure=rows, rows_outcome=rows),
    )


def binding_text(parameters: Parameters, party: str) -> str:
    """A side's binding, to stand beside its file."""
    path, others = _OTHERS[party]
    identifier, column = parameters.match, parameters.match
    if identifier == MD5_COLUMN:
        identifier, column = "phone", MD5_COLUMN if party == "shop" else "phone"
    return _BINDING.format(path=path, identifier=identifier, column=column, others=others)


def _metrics(window: int) -> str:
    names = {"search": "searchers", "visit": "visitors", "add_to_cart": "carts", "order": "buyers"}
    metrics = [(names[stage], stage, "people", "") for stage in STAGES]
    metrics += [("orders", "order", "events", "cap = 3\n"), ("gmv", "order", "sum", 'cap = "2000.00"\n')]
    return "".join(
        _METRIC.format(name=f"{name}_{window}d", event=event, measure=measure, window=window, cap=cap)
        for name, event, measure, cap in metrics
    )


def _max_invalid(parameters: Parameters) -> float:
    """What the less complete side must be allowed, with room for chance."""
    name = "phone" if parameters.match == MD5_COLUMN else parameters.match
    held = min(float(share) for share in COVERAGE[name])
    invalid = 1 - held * (1 - float(parameters.dirt.malformed + parameters.dirt.placeholder))
    return round(min(1.0, invalid + 0.1), 2)
