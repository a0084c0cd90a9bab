"""Both owners in one process: two pandas tables in, one released table out.

A real deployment has one of the two sides, and `cleanroom.listen` or `cleanroom.connect` instead of the memory link.
The agreement adds no noise, so that every released figure equals the join that pandas makes of both tables.

Run it: python examples/both_sides.py
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

import cleanroom

AGREEMENT = """
version = 1
name = "both-sides"
purpose = "Show the library"
valid_until = 2035-12-31
[parties.media]
role = "exposure"
certificate = "media.crt"
[parties.shop]
role = "outcome"
certificate = "shop.crt"
[match]
identifiers = ["email"]
[time]
start = 2025-03-01T00:00:00Z
end = 2025-04-01T00:00:00Z
resolution = "1d"
[exposure]
events = ["click"]
end = 2025-03-08T00:00:00Z
group_by = "campaign"
groups = ["spring", "summer", "tiny"]
[outcome]
events = ["order"]
value = "amount"
currency = "CNY"
[[metrics]]
name = "buyers_7d"
event = "order"
measure = "people"
window = "7d"
[[metrics]]
name = "gmv_7d"
event = "order"
measure = "sum"
window = "7d"
cap = "500.00"
[release]
noise = "none"
min_people = 20
recipients = ["media", "shop"]
[protocol]
max_rows = {exposure = 1024, outcome = 4096}
"""


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """What media knows and what the shop knows."""
    clicks = pd.DataFrame(
        {
            "email": [f"person{i}@example.com" for i in range(310)],
            "campaign": ["spring"] * 150 + ["summer"] * 150 + ["tiny"] * 10,
            "clicked_at": [pd.Timestamp("2025-03-01T12:00Z") + pd.Timedelta(days=i % 7) for i in range(310)],
        }
    )
    orders = pd.DataFrame(
        {
            "mail": [f" Person{i}@Example.com" for i in range(0, 620, 2)],  # written in another way than media's
            "ordered_at": [pd.Timestamp("2025-03-05T08:00Z") + pd.Timedelta(days=i % 6) for i in range(310)],
            "paid": [20 + i % 90 + 0.25 for i in range(310)],
        }
    )
    return clicks, orders


def plain_join(clicks: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    """The same figures from both tables in the clear, as no two owners could compute them."""
    both = clicks.merge(orders.assign(email=orders["mail"].str.strip().str.lower()), on="email")
    days = (both["ordered_at"].dt.normalize() - both["clicked_at"].dt.normalize()).dt.days
    inside = both[(days >= 0) & (days < 7)]
    return inside.groupby("campaign").agg(buyers_7d=("email", "nunique"), gmv_7d=("paid", "sum"))


def both_sides(folder: Path, clicks: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    """Makes identities and an agreement in a folder, runs both sides, and returns what both hold at the end."""
    identities = {name: cleanroom.new_identity(name, folder / name) for name in ("media", "shop")}
    for name, identity in identities.items():
        (folder / f"{name}.crt").write_bytes(identity.certificate_pem)
    path = folder / "agreement.toml"
    path.write_text(AGREEMENT, encoding="utf-8")
    agreement = cleanroom.load_agreement(path)
    for identity in identities.values():
        cleanroom.sign_agreement(path, agreement, identity)  # each owner on its own machine, in real life

    columns = {
        "media": {"email": "email", "time": "clicked_at", "event": "'click'", "campaign": "campaign"},
        "shop": {"email": "mail", "time": "ordered_at", "event": "'order'", "amount": "paid"},
    }
    data = {"media": clicks, "shop": orders}
    open_links = dict(zip(("media", "shop"), cleanroom.memory_links(), strict=True))

    def run_side(name: str) -> cleanroom.Finished:
        side = cleanroom.side_of(path, party=name, identity=identities[name])
        binding = cleanroom.Binding.from_table(data[name], columns[name])
        return cleanroom.run(side, binding, open_links[name])

    with ThreadPoolExecutor(max_workers=2) as threads:
        media, shop = threads.map(run_side, ("media", "shop"))
    assert media.files["release.json"] == shop.files["release.json"], "both sides hold the same signed release"
    release = media.release
    assert release is not None, "media is a recipient"
    return release


def main() -> None:
    """Prints the released table, and the plain join beside it."""
    clicks, orders = tables()
    with tempfile.TemporaryDirectory() as folder:
        release = both_sides(Path(folder), clicks, orders)
    print(release.to_string(index=False))
    print()
    print(plain_join(clicks, orders).to_string())


if __name__ == "__main__":
    main()
