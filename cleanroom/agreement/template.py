"""The commented agreement that `cleanroom agreement new` writes: valid as soon as the two certificates exist."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from cleanroom.agreement.definition_file import DefinitionText
from cleanroom.errors import UsageError

__all__ = ["agreement_template", "write_template"]

_TEMPLATE: Final = """\
# An agreement between two data owners. Both sign exactly this meaning:
#   cleanroom agreement check FILE ; cleanroom agreement show FILE ; cleanroom agreement sign FILE --identity DIR
# Every key is explained in docs/reference/agreement.md; unknown keys are an error.
version = 1
name = "spring-campaign"
purpose = "Measure shop orders after campaign notes were read"
valid_until = {valid_until}

[parties.media]                      # the exposure side: who saw, read or clicked what
role = "exposure"
certificate = "media.crt"            # of `cleanroom party new media`; relative to this file, or inline PEM

[parties.shop]                       # the outcome side: who ordered, and for how much
role = "outcome"
certificate = "shop.crt"
# min_people = 100                   # a party may ask for a higher threshold; the largest counts

[match]
identifiers = ["id"]                 # or [{{type = "phone", rule = "e164", country = "CN"}}], "email" …
max_invalid = 0.01                   # more null or malformed identifiers than this share stop a run

[time]
start = {year}-01-01T00:00:00+08:00      # half-open [start, end)
end = {next_year}-01-01T00:00:00+08:00
{ticks}
# tree = [1]                         # ticks per node at each level; `cleanroom data check` proposes a better one

[exposure]
end = {year}-12-01T00:00:00+08:00        # the touch period; start and end are those of [time] if absent
{exposure}

{outcome}
{metrics}
[release]
noise = "gaussian"                   # gaussian, laplace, or none (thresholds only)
epsilon = 2.0                        # for the whole release
delta = 1e-6
min_people = 50                      # a cell with fewer people, as noised, is suppressed
{caps}
recipients = ["media", "shop"]       # who sees the released table

[protocol]
profile = "kkrt"                     # the same result and leakage as ecdh, in a fraction of the time
max_rows = {{exposure = 16384, outcome = 1048576}}   # public bounds, padded up to powers of two

# [legal]                            # what the law asks for, signed with the rest; see docs/explanation/pipl.md
# basis = "consent"                  # the item of PIPL article 13
# relation = "provision"             # joint, entrusted, provision
# impact_assessment = "PIA-{year}-07"    # where it is filed
# separate_consent = "asked for in the privacy notice, section 4"
# cross_border = "none"
# retention_days = 180               # private files of a run must be gone after so many days
# deletion = "cleanroom budget prune, and the folder of the run"
# contacts = {{media = "privacy@media.example", shop = "privacy@shop.example"}}
"""


_TICKS: Final = """\
resolution = "1d"                    # 1d, 1h, 1m
zone = "Asia/Shanghai"               # defines dates: a tick of 1d is a calendar date in this zone"""
_EXPOSURE: Final = """\
events = ["read"]                    # touches that count
group_by = "campaign_id"
groups = ["1", "2", "3"]             # every label that may be released, in this order
anchor = "first_touch"               # windows begin at a person's first (or last_touch) touch in the group
# credit = "linear"                  # metrics with attribution = "credit": last_touch, first_touch, linear, position …
# frequency = [1, 2, 4, 10]          # each group by how often a person was touched: GROUP/1, GROUP/2-3 …"""
_OUTCOME: Final = """\
[outcome]
events = ["order"]
value = "amount"                     # the money column
currency = "CNY"
precision = "0.01"                   # one integer unit; more decimals in the data are a fault
# [[outcome.labels]]                 # what metrics may be broken down by, with by = "customer"
# column = "customer"
# values = ["new", "returning"]
"""
_METRICS: Final = """\
[[metrics]]
name = "buyers_15d"
event = "order"
measure = "people"                   # people (at least one), events, sum; "matched" needs no event and no window
window = "15d"

[[metrics]]
name = "orders_15d"
event = "order"
measure = "events"
window = "15d"
cap = 10                             # the most that one person adds to one group

[[metrics]]
name = "gmv_15d"
event = "order"
measure = "sum"
window = "15d"
cap = "2000.00"                      # low caps mean little noise, and cut off large buyers
"""
_CAPS: Final = "max_groups_per_person = 2            # further memberships are dropped by a keyed rule"


def agreement_template(*, today: date, definition: DefinitionText | None = None) -> str:
    """The template's text, with dates around a day: the running year, valid until the end of next year.

    Args:
        today: the day.
        definition: what is counted, instead of the template's own examples.
    """
    year = today.year
    chosen = definition or DefinitionText(
        ticks=_TICKS, exposure=_EXPOSURE, outcome=_OUTCOME, metrics=_METRICS, caps=_CAPS
    )
    return _TEMPLATE.format(
        valid_until=f"{year + 1}-12-31",
        year=year,
        next_year=year + 1,
        ticks=chosen.ticks,
        exposure=chosen.exposure,
        outcome=chosen.outcome,
        metrics=chosen.metrics,
        caps=chosen.caps,
    )


def write_template(path: Path, *, today: date | None = None, definition: DefinitionText | None = None) -> None:
    """Writes the template to a new file.

    Args:
        path: the new file.
        today: as `agreement_template`; absent: the day it is.
        definition: as `agreement_template`.

    Raises:
        UsageError: if the file exists or cannot be written.
    """
    text = agreement_template(today=datetime.now(UTC).date() if today is None else today, definition=definition)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists: a template never overwrites a file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
