"""Real runs of a tiny world for the tests of the audit: both sides in threads, their folders written to disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cleanroom.agreement import load_agreement, sign_agreement
from cleanroom.audit import AuditReport, replay, verify
from cleanroom.data import load_binding
from cleanroom.identity import load_identity, new_identity
from cleanroom.link import memory_links
from cleanroom.node import run, side_of
from cleanroom.release.files import write_finished

PARTIES = ("media", "shop")

AGREEMENT = """\
version = 1
name = "audited"
purpose = "Tests"
valid_until = 2035-01-01
[parties.media]
role = "exposure"
certificate = "media/media.crt"
[parties.shop]
role = "outcome"
certificate = "shop/shop.crt"
[match]
identifiers = ["id"]
[time]
start = 2025-03-01T00:00:00Z
end = 2025-04-01T00:00:00Z
resolution = "1d"
[exposure]
events = ["mail"]
end = 2025-03-20T00:00:00Z
group_by = "campaign"
groups = ["spring", "tiny"]
[outcome]
events = ["order"]
value = "amount"
currency = "CNY"
[[metrics]]
name = "known"
measure = "matched"
[[metrics]]
name = "sales_5d"
event = "order"
measure = "sum"
window = "5d"
cap = "150.00"
[release]
noise = "{noise}"
epsilon = 8.0
delta = 1e-6
min_people = 25
max_groups_per_person = 1
recipients = {recipients}
[protocol]
profile = "{profile}"
max_rows = {{exposure = 512, outcome = 1024}}
"""
BINDINGS = {
    "media": "[source]\npath = 'touches.csv'\n[columns]\nid = 'user'\ntime = 'at'\nevent = \"'mail'\"\n"
    "campaign = 'campaign'\n",
    "shop": "[source]\npath = 'orders.csv'\n[columns]\nid = 'buyer'\ntime = 'at'\nevent = \"'order'\"\n"
    "amount = 'paid'\nevent_id = 'order_id'\n",
}
SOURCES = {"media": "touches.csv", "shop": "orders.csv"}


def sources() -> dict[str, str]:
    """150 people in `spring`, 5 of them in `tiny` as well, 120 of them with two orders each: over the caps, too."""
    touches = [f"u{person},2025-03-{1 + person % 19:02d}T10:00:00Z,spring" for person in range(150)]
    touches += [f"u{person},2025-03-{2 + person % 18:02d}T12:00:00Z,tiny" for person in range(5)]
    orders = [
        f"u{person},2025-03-{3 + person % 19 + later:02d}T09:30:00Z,{person + 20 * later}.50,{2 * person + later}"
        for person in range(30, 150)
        for later in (0, 2)
    ]
    return {
        "media": "\n".join(["user,at,campaign", *touches]) + "\n",
        "shop": "\n".join(["buyer,at,paid,order_id", *orders]) + "\n",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRun:
    """A finished run on disk: agreement, identities, data and both sides' folders, all below one folder."""

    root: Path

    @property
    def agreement(self) -> Path:
        return self.root / "agreement.toml"

    def out(self, party: str) -> Path:
        return self.root / f"{party}-out"

    def copy(self, to: Path) -> AuditedRun:
        """The same in another place, to be tampered with."""
        shutil.copytree(self.root, to)
        return AuditedRun(root=to)

    def verify(self, *parties: str) -> AuditReport:
        return verify([self.out(party) for party in parties or PARTIES], self.agreement)

    def replay(self) -> AuditReport:
        return replay(
            self.agreement,
            exposure=self.out("media"),
            exposure_data=load_binding(self.root / "media.toml"),
            outcome=self.out("shop"),
            outcome_data=load_binding(self.root / "shop.toml"),
            progress=lambda step, done, total: None,
        )


def finish_run(
    root: Path,
    noise: str,
    recipients: str,
    profile: str = "ecdh",
    changes: Sequence[tuple[str, str]] = (),
    *,
    tables: str = "",
    lists: Mapping[str, Mapping[str, str]] | None = None,
) -> AuditedRun:
    """Makes identities, signs an agreement, runs both sides against each other and writes their folders.

    `changes` are replacements in the agreement, `tables` further tables of it; `lists` are further tables of a party's
    binding: section -> CSV.
    """
    made = AuditedRun(root=root)
    root.mkdir()
    for party in PARTIES:
        new_identity(party, root / party)
        binding = BINDINGS[party]
        for section, text in (lists or {}).get(party, {}).items():
            (root / f"{party}-{section}.csv").write_text(text)
            binding += f"[{section}]\npath = '{party}-{section}.csv'\n"
        (root / f"{party}.toml").write_text(binding)
        (root / SOURCES[party]).write_text(sources()[party])
    text = AGREEMENT.format(noise=noise, recipients=recipients, profile=profile) + tables
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    made.agreement.write_text(text)
    for party in PARTIES:
        sign_agreement(made.agreement, load_agreement(made.agreement), load_identity(root / party))
    links = dict(zip(PARTIES, memory_links(10.0), strict=True))

    def side(party: str) -> None:
        finished = run(
            side_of(made.agreement, party=party, identity=root / party),
            load_binding(root / f"{party}.toml"),
            links[party],
            progress=lambda step, done, total: None,
        )
        write_finished(made.out(party), finished.files)

    with ThreadPoolExecutor(max_workers=2) as threads:
        list(threads.map(side, PARTIES))
    return made
