"""`cleanroom party`: identities."""

from __future__ import annotations

from pathlib import Path

import click

from cleanroom.cli.output import echo_result, json_option
from cleanroom.identity import new_identity

__all__ = ["command"]


@click.group(name="party")
def command() -> None:
    """A party's identity."""


@command.command()
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The identity's folder.")
@json_option
def new(name: str, out: Path, as_json: bool) -> None:
    """Make an identity: NAME.key (0600, never leaves the folder) and NAME.crt (give it to the partner)."""
    identity = new_identity(name, out)
    fingerprint = identity.fingerprint.hex()
    echo_result(
        f"{out / (name + '.crt')} is ready; its fingerprint is {fingerprint}\n"
        "Read the fingerprint to your partner over a channel that you trust before either of you signs.",
        {"name": name, "certificate": str(out / f"{name}.crt"), "fingerprint": fingerprint},
        as_json=as_json,
    )
