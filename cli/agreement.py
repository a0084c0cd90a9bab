"""`cleanroom agreement`: write, check, explain and sign."""

from __future__ import annotations

from pathlib import Path

import click

from cleanroom.agreement import (
    agreement_warnings,
    definition_differences,
    definition_hash,
    legal_lines,
    load_agreement,
    read_definition,
    sign_agreement,
    write_template,
)
from cleanroom.agreement.model import Agreement
from cleanroom.agreement.words import describe
from cleanroom.cli.identity_options import passphrase_of, passphrase_option
from cleanroom.cli.output import echo_result, json_option
from cleanroom.errors import AgreementError
from cleanroom.identity import load_identity
from cleanroom.plan import plan_of
from cleanroom.power import ASSUMED_PEOPLE, ASSUMED_RATE, POWER, detectable_lifts
from cleanroom.release.accounting import expected_errors

__all__ = ["command"]

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(name="agreement")
def command() -> None:
    """What both owners sign."""


@command.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new file.")
@click.option(
    "--metrics",
    type=click.Path(path_type=Path),
    help="A definition to fill in: metrics, outcome, exposure; an agreement serves too.",
)
@json_option
def new(out: Path, metrics: Path | None, as_json: bool) -> None:
    """Write a commented template."""
    write_template(out, definition=None if metrics is None else read_definition(metrics))
    echo_result(
        f"{out} is written; fill it in, then run `cleanroom agreement check {out}`", {"file": str(out)}, as_json=as_json
    )


@command.command()
@_FILE
@click.option(
    "--same-as",
    type=click.Path(path_type=Path),
    help="Another agreement: fail unless both define their metrics alike.",
)
@click.option("--people", type=click.IntRange(2), help="People of a test arm, for the least lift that can be seen.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=ASSUMED_RATE,
    show_default=True,
    help="Share of them who have an outcome anyway.",
)
@json_option
def check(file: Path, same_as: Path | None, people: int | None, rate: float, as_json: bool) -> None:
    """Validate an agreement, signed or not."""
    agreement = load_agreement(file)
    definition = definition_hash(agreement).hex()
    plan = plan_of(agreement)
    errors = expected_errors(agreement, plan)
    lifts = detectable_lifts(agreement, plan, people=ASSUMED_PEOPLE if people is None else (people,), rate=rate)
    warnings = agreement_warnings(agreement)
    lines = [f"{file} is valid; its hash is {agreement.hash.hex()}"]
    lines.append(f"the definition of its metrics is {definition}")
    if same_as is not None:
        _check_same(file, agreement, same_as)
        lines.append(f"{same_as} has the same definition")
    lines += [f"warning: {warning}" for warning in warnings]
    lines += [error.text for error in errors]
    lines += [lift.text for lift in lifts]
    lines += _legal(agreement)
    data: dict[str, object] = {
        "file": str(file),
        "hash": agreement.hash.hex(),
        "definition": definition,
        "warnings": list(warnings),
        "expected_errors": [
            {"metric": error.metric, "std_error": float(error.std_error), "within_95": float(error.within)}
            for error in errors
        ],
        "legal": _legal(agreement),
    }
    if agreement.lift is not None:
        data["detectable_lift"] = [
            {"metric": one.metric, "people": one.people, "rate": one.rate, "power": POWER, "relative": one.relative}
            for one in lifts
        ]
    echo_result("\n".join(lines), data, as_json=as_json)


@command.command()
@_FILE
@click.option("--party", help="Whose view to take; without it, a neutral one.")
@json_option
def show(file: Path, party: str | None, as_json: bool) -> None:
    """Explain in words what is computed and what each side will learn."""
    agreement = load_agreement(file)
    plan = plan_of(agreement)
    errors = [error.text for error in expected_errors(agreement, plan)]
    errors += [lift.text for lift in detectable_lifts(agreement, plan)]
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


def _check_same(file: Path, agreement: Agreement, other: Path) -> None:
    differences = definition_differences(agreement, load_agreement(other))
    if differences:
        raise AgreementError(f"{other}: does not define its metrics as {file} does: {', '.join(differences)}")


def _legal(agreement: Agreement) -> list[str]:
    return [] if agreement.legal is None else [f"legal: {line}" for line in legal_lines(agreement.legal)]
