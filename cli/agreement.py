"""`cleanroom agreement`: write, check, explain and sign."""

from __future__ import annotations

from pathlib import Path

import click

from cleanroom.agreement import agreement_warnings, legal_lines, load_agreement, sign_agreement, write_template
from cleanroom.agreement.model import Agreement
from cleanroom.agreement.words import describe
from cleanroom.cli.identity_options import passphrase_of, passphrase_option
from cleanroom.cli.output import echo_result, json_option
from cleanroom.identity import load_identity
from cleanroom.plan import plan_of
from cleanroom.release.accounting import expected_errors

__all__ = ["command"]

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(name="agreement")
def command() -> None:
    """What both owners sign."""


@command.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new file.")
@json_option
def new(out: Path, as_json: bool) -> None:
    """Write a commented template."""
    write_template(out)
    echo_result(
        f"{out} is written; fill it in, then run `cleanroom agreement check {out}`", {"file": str(out)}, as_json=as_json
    )


@command.command()
@_FILE
@json_option
def check(file: Path, as_json: bool) -> None:
    """Validate an agreement, signed or not."""
    agreement = load_agreement(file)
    errors = expected_errors(agreement, plan_of(agreement))
    warnings = agreement_warnings(agreement)
    lines = [f"{file} is valid; its hash is {agreement.hash.hex()}"]
    lines += [f"warning: {warning}" for warning in warnings]
    lines += [error.text for error in errors]
    lines += _legal(agreement)
    data: dict[str, object] = {
        "file": str(file),
        "hash": agreement.hash.hex(),
        "warnings": list(warnings),
        "expected_errors": [
            {"metric": error.metric, "std_error": float(error.std_error), "within_95": float(error.within)}
            for error in errors
        ],
        "legal": _legal(agreement),
    }
    echo_result("\n".join(lines), data, as_json=as_json)


@command.command()
@_FILE
@click.option("--party", help="Whose view to take; without it, a neutral one.")
@json_option
def show(file: Path, party: str | None, as_json: bool) -> None:
    """Explain in words what is computed and what each side will learn."""
    agreement = load_agreement(file)
    errors = [error.text for error in expected_errors(agreement, plan_of(agreement))]
    text = describe(agreement, party, errors=errors).rstrip("\n")
    echo_result(text, {"file": str(file), "hash": agreement.hash.hex(), "text": text}, as_json=as_json)


@command.command()
@_FILE
@click.option("--identity", required=True, type=click.Path(path_type=Path), help="The folder of the signer's identity.")
@passphrase_option
@json_option
def sign(file: Path, identity: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Sign as the party whose certificate the identity holds."""
    agreement = load_agreement(file)
    written = sign_agreement(file, agreement, load_identity(identity, passphrase=passphrase_of(passphrase_file)))
    echo_result(
        "\n".join(
            [f"{written} is written; give it to the partner, who keeps it beside the agreement", *_legal(agreement)]
        ),
        {"signature": str(written), "hash": agreement.hash.hex(), "legal": _legal(agreement)},
        as_json=as_json,
    )


def _legal(agreement: Agreement) -> list[str]:
    return [] if agreement.legal is None else [f"legal: {line}" for line in legal_lines(agreement.legal)]
