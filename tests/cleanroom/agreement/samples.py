"""An agreement to change: TOML text, two identities, and a loader for the text with parts replaced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cleanroom.agreement import Agreement, load_agreement
from cleanroom.identity import Identity, new_identity

ON = date(2027, 6, 1)

SAMPLE = """\
version = 1
name = "complete-journey-2017"
purpose = "Measure store purchases after direct-mail campaigns"
valid_until = 2027-12-31

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

[exposure]
events = ["mail"]
end = 2017-12-01T00:00:00Z
group_by = "campaign_id"
groups = ["1", "2", "3"]

[outcome]
events = ["order"]
value = "amount"
currency = "CNY"

[[metrics]]
name = "buyers_15d"
event = "order"
measure = "people"
window = "15d"
[[metrics]]
name = "orders_15d"
event = "order"
measure = "events"
window = "15d"
cap = 40
[[metrics]]
name = "gmv_30d"
event = "order"
measure = "sum"
window = "30d"
cap = "2000.00"
[[metrics]]
name = "known"
measure = "matched"

[release]
noise = "gaussian"
epsilon = 2.0
delta = 1e-6
min_people = 50
max_groups_per_person = 2
recipients = ["media", "shop"]

[protocol]
max_rows = {exposure = 16384, outcome = 1000000}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A folder with two certificates, where agreements are written and read."""

    folder: Path
    media: Identity
    shop: Identity

    @property
    def path(self) -> Path:
        return self.folder / "agreement.toml"

    def load(self, *changes: tuple[str, str]) -> Agreement:
        """Writes the sample with parts replaced, each of which must be there exactly once, and loads it."""
        text = SAMPLE
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
            text = text.replace(old, new)
        self.path.write_text(text, encoding="utf-8")
        return load_agreement(self.path, on=ON)


def new_desk(folder: Path) -> Desk:
    media = new_identity("media", folder / "identity-media")
    shop = new_identity("shop", folder / "identity-shop")
    (folder / "media.crt").write_bytes(media.certificate_pem)
    (folder / "shop.crt").write_bytes(shop.certificate_pem)
    return Desk(folder=folder, media=media, shop=shop)
