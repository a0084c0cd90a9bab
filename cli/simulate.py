"""`cleanroom simulate`: a synthetic world with its truth."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from cleanroom.cli.output import echo_result, json_option
from cleanroom.progress import ProgressReport
from cleanroom.simulate import Dirt, Parameters, simulate

__all__ = ["command"]


def share(text: str) -> Decimal:
    """A decimal, kept exactly."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise click.BadParameter("expected a number such as 0.03") from None


@click.command(name="simulate")
@click.option("--people", type=int, required=True, help="People in the world; some 13 rows each.")
@click.option("--seed", type=int, required=True, help="Decides every value: the same seed makes the same world.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option("--days", type=int, default=90, show_default=True, help="Days; the first third is before all campaigns.")
@click.option("--campaigns", type=int, default=5, show_default=True, help="Campaigns; the last of several is targeted.")
@click.option("--notes", type=int, default=1000, show_default=True, help="Notes; five a creator.")
@click.option("--tags", type=int, default=50, show_default=True, help="Interest tags, up to 200.")
@click.option(
    "--effect",
    type=share,
    default="0.03",
    show_default=True,
    help="Orders that a campaign adds per person of its test group; campaigns in turn have 1, 2, 0, 0.5, 1.5 times it.",
)
@click.option("--overlap", type=share, default="0.5", show_default=True, help="Share of people known to both sides.")
@click.option(
    "--dirt",
    type=share,
    help="Share of identifiers that are malformed, that are placeholders, and that are another person's, each."
    "  [default: 0.005, 0.005, 0.02]",
)
@click.option(
    "--sample",
    type=share,
    default="1",
    show_default=True,
    help="Share of people whose rows media keeps in the sampling period.",
)
@click.option(
    "--match",
    type=click.Choice(["id", "phone", "phone_md5", "email"]),
    default="id",
    show_default=True,
    help="The identifier that the agreement beside the world matches on.",
)
@json_option
def command(
    people: int,
    seed: int,
    out: Path,
    days: int,
    campaigns: int,
    notes: int,
    tags: int,
    effect: Decimal,
    overlap: Decimal,
    dirt: Decimal | None,
    sample: Decimal,
    match: str,
    as_json: bool,
) -> None:
    """Make a synthetic world: both sides' data with an agreement, and the truth beside it."""
    parameters = Parameters(
        people=people,
        seed=seed,
        days=days,
        campaigns=campaigns,
        notes=notes,
        tags=tags,
        effect=effect,
        overlap=overlap,
        sample=sample,
        match=match,
        dirt=Dirt() if dirt is None else replace(Dirt(), malformed=dirt, placeholder=dirt, shared=dirt),
    )
    with ProgressReport() as report:
        made = simulate(parameters, out, progress=lambda done, total: report("simulate", done, total))
    text = f"{made.folder}: {made.touches:,} rows of media, {made.outcomes:,} of shop; the truth is in truth.json"
    counts = {"out": str(made.folder), "touches": made.touches, "outcomes": made.outcomes}
    echo_result(text, {**counts, "parameters": parameters.as_json()}, as_json=as_json)
