"""`cleanroom party`: identities."""

from __future__ import annotations

from pathlib import Path

import click

from cleanroom.cli.identity_options import passphrase_of, passphrase_option
from cleanroom.cli.output import echo_result, json_option
from cleanroom.errors import UsageError
from cleanroom.identity import change_passphrase, load_identity, new_identity

__all__ = ["command"]


@click.group(name="party")
def command() -> None:
    """A party's identity."""


@command.command()
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The identity's folder.")
@passphrase_option
@json_option
def new(name: str, out: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Make an identity: NAME.key (0600, never leaves the folder) and NAME.crt (give it to the partner)."""
    identity = new_identity(name, out, passphrase=passphrase_of(passphrase_file))
    fingerprint = identity.fingerprint.hex()
    echo_result(
        f"{out / (name + '.crt')} is ready; its fingerprint is {fingerprint}\n"
        "Read the fingerprint to your partner over a channel that you trust before either of you signs.",
        {
            "name": name,
            "certificate": str(out / f"{name}.crt"),
            "fingerprint": fingerprint,
            "encrypted": identity.encrypted,
        },
        as_json=as_json,
    )


@command.command()
@click.option("--identity", required=True, type=click.Path(path_type=Path), help="The identity's folder.")
@passphrase_option
@click.option("--new-passphrase-file", type=click.Path(path_type=Path), help="Holds the new passphrase.")
@click.option("--remove", is_flag=True, help="Write the key without a passphrase.")
@json_option
def passphrase(
    identity: Path, passphrase_file: Path | None, new_passphrase_file: Path | None, remove: bool, as_json: bool
) -> None:
    """Put a passphrase on an identity's key, or change or remove it; the key file is replaced by one rename."""
    if (new_passphrase_file is None) != remove:
        raise UsageError("exactly one of --new-passphrase-file and --remove is needed")
    new = passphrase_of(new_passphrase_file)
    own = change_passphrase(load_identity(identity, passphrase=passphrase_of(passphrase_file)), new)
    state = "encrypted under the new passphrase" if own.encrypted else "not encrypted any more"
    echo_result(
        f"{own.key_file} is {state}; copies and backups of the old file are as they were",
        {"key": str(own.key_file), "encrypted": own.encrypted},
        as_json=as_json,
    )
