"""The folders of the demonstration: two identities, one agreement signed by both, each side's data and binding.

DIR/agreement.toml, agreement.media.sig, agreement.shop.sig     what both hold
DIR/media.crt, DIR/shop.crt                                     the certificates that the agreement pins
DIR/media/, DIR/shop/                                           what each side would keep to itself
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from cleanroom.agreement import Agreement, load_agreement, sign_agreement
from cleanroom.demo.journey import Journey
from cleanroom.errors import UsageError
from cleanroom.identity import new_identity

__all__ = ["PARTIES", "Scene", "build_scene", "check_folder"]

PARTIES: Final = ("media", "shop")
"""The exposure side and the outcome side."""
_VALID: Final = timedelta(days=30)

_AGREEMENT: Final = """\
version = 1
name = "complete-journey-2017"
purpose = "Measure store purchases after direct-mail campaigns"
valid_until = {valid_until}

[parties.media]
role = "exposure"
certificate = "media.crt"

[parties.shop]
role = "outcome"
certificate = "shop.crt"

[match]
identifiers = ["id"]

[time]
start = 2017-01-01T00:00:00Z
end = 2018-01-01T00:00:00Z
resolution = "1d"
zone = "UTC"

[exposure]
events = ["mail"]
instants = [{instants}]
group_by = "campaign_id"
groups = [{groups}]
anchor = "first_touch"

[outcome]
events = ["order"]
value = "amount"
currency = "USD"
precision = "0.01"

[[metrics]]
name = "matched"
measure = "matched"

[[metrics]]
name = "buyers_7d"
event = "order"
measure = "people"
window = "7d"

[[metrics]]
name = "buyers_15d"
event = "order"
measure = "people"
window = "15d"

[[metrics]]
name = "buyers_30d"
event = "order"
measure = "people"
window = "30d"

[[metrics]]
name = "orders_15d"
event = "order"
measure = "events"
window = "15d"
cap = 15

[[metrics]]
name = "sales_15d"
event = "order"
measure = "sum"
window = "15d"
cap = "500.00"

[release]
noise = "gaussian"
epsilon = 2.0
delta = 1e-6
min_people = 50
max_groups_per_person = 4
recipients = ["media", "shop"]

[protocol]
profile = "kkrt"
max_rows = {{exposure = {rows_exposure}, outcome = {rows_outcome}}}
"""

ROWS_EXPOSURE: Final = 8192
ROWS_OUTCOME: Final = 32768
"""Powers of two over what 2,469 households can need: one row a household and sending date, and one as a member."""

_BINDINGS: Final = {
    "media": """\
[source]
path = "touches.parquet"

[columns]
id = "household_id"
time = "sent_at"
event = "'mail'"
campaign_id = "campaign_id"
time_zone = "UTC"
""",
    "shop": """\
[source]
path = "lines.parquet"

[columns]
id = "household_id"
time = "transaction_timestamp"
event = "'order'"
event_id = "basket_id"               # a basket is one order: its lines are added up
amount = "sales_value"
time_zone = "UTC"
""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where everything of a demonstration is."""

    folder: Path
    agreement: Agreement

    @property
    def agreement_path(self) -> Path:
        """The signed agreement."""
        return self.folder / "agreement.toml"

    def own(self, party: str) -> Path:
        """A party's private folder: its identity, ledger, data and binding."""
        return self.folder / party

    def binding(self, party: str) -> Path:
        """A party's binding."""
        return self.own(party) / "binding.toml"

    def run(self, party: str) -> Path:
        """Where a party's run puts its files."""
        return self.own(party) / "run"


def check_folder(folder: Path) -> None:
    """Checks that a demonstration may be put there.

    Raises:
        UsageError: it is a file, or a folder that holds something, or cannot be read.
    """
    try:
        if folder.is_symlink() or folder.exists():
            if not folder.is_dir():
                raise UsageError(f"--out {folder}: a folder expected, a file found")
            if any(folder.iterdir()):
                raise UsageError(f"--out {folder}: a new or empty folder expected, this one holds something")
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be read: {error.strerror}") from None


def build_scene(folder: Path, journey: Journey) -> Scene:
    """Sets the stage: makes identities, writes data and bindings, agrees and signs.

    Raises:
        UsageError: the folder holds something or cannot be written.
    """
    check_folder(folder)
    try:
        for party in PARTIES:
            (folder / party).mkdir(parents=True, mode=0o700)
        identities = [new_identity(party, folder / party) for party in PARTIES]
        for party in PARTIES:
            shutil.copyfile(folder / party / f"{party}.crt", folder / f"{party}.crt")
            (folder / party / "binding.toml").write_text(_BINDINGS[party], encoding="utf-8")
        journey.write(folder / "media", folder / "shop")
        path = folder / "agreement.toml"
        path.write_text(_agreement_text(journey, today=datetime.now(UTC).date()), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be written: {error.strerror}") from None
    agreement = load_agreement(path)
    for identity in identities:
        sign_agreement(path, agreement, identity)
    return Scene(folder=folder, agreement=agreement)


def _agreement_text(journey: Journey, *, today: date) -> str:
    return _AGREEMENT.format(
        valid_until=today + _VALID,
        instants=", ".join(f"{instant:%Y-%m-%dT%H:%M:%SZ}" for instant in journey.instants),
        groups=", ".join(f'"{campaign}"' for campaign in journey.campaigns),
        rows_exposure=ROWS_EXPOSURE,
        rows_outcome=ROWS_OUTCOME,
    )
