"""`python -m benchmarks.missed_matches`: what is lost because a person is looked up under one identifier alone.

A synthetic world of dirty identifiers; for each order of priority the accounts of the exposure side that have an
identifier in common with the outcome side, and the share of them whose first identifier is not among the common ones.
The table of docs/explanation/attribution.md is what it prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow.parquet as pq

from cleanroom.agreement.model import Identifier
from cleanroom.match_keys import VALID, PersonKeys
from cleanroom.simulate import Parameters, simulate

__all__ = ["ORDERS", "main", "missed"]

RULES: Final = {
    "phone": Identifier(type="phone", country="CN"),
    "caid": Identifier(type="caid", version="20230330"),
    **{name: Identifier(type=name) for name in ("email", "idfa", "oaid", "imei", "mac")},
}
ORDERS: Final = (
    ("phone",),
    ("phone", "email"),
    ("phone", "email", "oaid"),
    ("phone", "email", "oaid", "idfa", "caid", "imei", "mac"),
    ("email", "phone"),
    ("oaid", "email", "phone"),
)
Held = dict[int, dict[str, bytes]]
"""Account -> identifier -> key."""


def missed(media: Held, shop: Held, order: Sequence[str]) -> tuple[int, int]:
    """Counts accounts of the exposure side.

    Args:
        media: what each account of the exposure side holds.
        shop: the same of the outcome side.
        order: the agreed identifiers.

    Returns:
        Those that share an agreed identifier with the outcome side, and those of them that do not match.
    """
    answered = {name: {held[name] for held in shop.values() if name in held} for name in order}
    could = found = 0
    for held in media.values():
        agreed = [held[name] in answered[name] for name in order if name in held]
        could += any(agreed)
        found += bool(agreed) and agreed[0]
    return could, could - found


def held_by_accounts(path: Path, account: str) -> Held:
    """Of each account and identifier, the last valid one of its rows in order of time."""
    table = pq.read_table(path, columns=[account, "time", *RULES]).sort_by("time")
    accounts = table[account].to_pylist()
    held: Held = {number: {} for number in accounts}
    for name, rule in RULES.items():
        people = PersonKeys(rule)(table[name].combine_chunks())
        for number, key, status in zip(accounts, people.keys, people.status, strict=True):
            if status == VALID:
                held[number][name] = key.tobytes()
    return held


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.missed_matches", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=20_000, help="in the world")
    parser.add_argument("--seed", type=int, default=1, help="of the world")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        out = Path(folder) / "world"
        simulate(Parameters(people=options.people, seed=options.seed), out)
        media = held_by_accounts(out / "media" / "touches.parquet", "user_id")
        shop = held_by_accounts(out / "shop" / "outcomes.parquet", "buyer_id")
    print("| order of priority | accounts | missed |\n|---|---|---|")
    for order in ORDERS:
        could, lost = missed(media, shop, order)
        print(f"| {', '.join(order)} | {could:,} | {lost / max(could, 1):.1%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
