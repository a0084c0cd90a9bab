"""The agreements of whole runs: their text, and the canonical bytes that their hash is over."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Final

from tools.recipes.record import Json
from tools.recipes.records import CERTIFICATES

__all__ = ["MAX_ROWS", "MIN_PEOPLE", "PARTIES", "Agreed"]

MAX_ROWS: Final = 128
MIN_PEOPLE: Final = 10
PARTIES: Final = ("media", "shop")
_START, _TOUCHED, _END = "2027-01-01T00:00:00", "2027-12-01T00:00:00", "2028-01-01T00:00:00"
_PURPOSE: Final = "Known answers of a whole run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What the agreements differ in; without noise they suppress differences."""

    profile: str
    noise: str
    recipient: str
    groups: tuple[str, ...]
    eligibility: bool  # the shop's facts decide which groups are opened

    def text(self) -> str:
        """The agreement as its owners write it, TOML."""
        rules = '[eligibility]\nrules = [{party = "shop", fact = "kind", is = "brand"}]\n' if self.eligibility else ""
        differences = 'differences = "suppress"\n' if self.noise == "none" else ""
        return f"""\
version = 1
name = "vectors"
purpose = "{_PURPOSE}"
valid_until = 2035-12-31

[parties.media]
role = "exposure"
certificate = \"\"\"
{CERTIFICATES[0]}\"\"\"

[parties.shop]
role = "outcome"
certificate = \"\"\"
{CERTIFICATES[1]}\"\"\"

[match]
identifiers = ["id"]

[time]
start = {_START}Z
end = {_END}Z
resolution = "1d"

[exposure]
events = ["read"]
end = {_TOUCHED}Z
group_by = "note"
groups = {json.dumps(self.groups)}

[outcome]
events = ["order", "visit"]
value = "amount"
currency = "CNY"

[[metrics]]
name = "matched"
measure = "matched"

[[metrics]]
name = "buyers_15d"
event = "order"
measure = "people"
window = "15d"

[[metrics]]
name = "visitors_15d"
event = "visit"
measure = "people"
window = "15d"

[release]
noise = "{self.noise}"
epsilon = 2.0
delta = 1e-6
min_people = {MIN_PEOPLE}
max_groups_per_person = 2
recipients = ["{self.recipient}"]
{differences}
[protocol]
profile = "{self.profile}"
max_rows = {{exposure = {MAX_ROWS}, outcome = {MAX_ROWS}}}
{rules}"""

    def canonical(self) -> bytes:
        """A label, then JSON in ASCII with sorted keys and without spaces; defaults filled in."""
        noised = self.noise != "none"
        document: Json = {
            "version": 1,
            "name": "vectors",
            "purpose": _PURPOSE,
            "valid_until": "2035-12-31",
            "parties": [
                {"name": name, "role": role, "certificate_sha256": _fingerprint(certificate), "min_people": None}
                for name, role, certificate in zip(PARTIES, ("exposure", "outcome"), CERTIFICATES, strict=True)
            ],
            "match": {
                "identifiers": [{"type": "id", "rule": None, "country": None, "hash": None}],
                "max_invalid": "0.01",
            },
            "time": {"start": _utc(_START), "end": _utc(_END), "resolution": "1d", "zone": "UTC", "tree": [1]},
            "exposure": {
                "events": ["read"],
                "start": _utc(_START),
                "end": _utc(_TOUCHED),
                "instants": None,
                "group_by": "note",
                "groups": list(self.groups),
                "anchor": "first_touch",
                "credit": None,
            },
            "outcome": {
                "events": ["order", "visit"],
                "value": "amount",
                "currency": "CNY",
                "precision": "0.01",
                "labels": [],
            },
            "metrics": [
                _metric("matched", "matched", None, None),
                _metric("buyers_15d", "people", "order", 15),
                _metric("visitors_15d", "people", "visit", 15),
            ],
            "release": {
                "noise": self.noise,
                "epsilon": "2.0" if noised else "0.0",
                "delta": "1e-06" if noised else "0.0",
                "min_people": MIN_PEOPLE,
                "max_groups_per_person": 2,
                "max_windows": 1,
                "recipients": [self.recipient],
            },
            "protocol": {
                "profile": self.profile,
                "max_rows_exposure": MAX_ROWS,
                "max_rows_outcome": MAX_ROWS,
            },
        }
        if not noised:
            document["release"]["differences"] = "suppress"
        if self.eligibility:
            rule = {"party": "shop", "fact": "kind", "test": "is", "values": ["brand"], "bound": None}
            document["eligibility"] = {"rules": [rule]}
        return b"cleanroom/agreement/v1\n" + json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    def hash(self) -> bytes:
        """What names the agreement everywhere."""
        return hashlib.sha256(self.canonical()).digest()


def _metric(name: str, measure: str, event: str | None, days: int | None) -> Json:
    window = None if days is None else f"{days}d"
    found: Json = {"name": name, "measure": measure, "event": event, "window": window, "window_ticks": days}
    return found | {"cap": None, "credit": False}


def _utc(local: str) -> str:
    return f"{local}.000000+00:00"


def _fingerprint(pem: str) -> str:
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return hashlib.sha256(base64.b64decode(body)).hexdigest()
