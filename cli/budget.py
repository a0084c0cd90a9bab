"""`cleanroom budget`: what was spent with whom, and limits."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from cleanroom.agreement import load_agreement
from cleanroom.cli.output import echo_result, json_option
from cleanroom.errors import AgreementError, UsageError
from cleanroom.identity import load_identity, read_certificate
from cleanroom.ledger import Ledger, Limit, Spending, parse_period
from cleanroom.plan import plan_of
from cleanroom.release.accounting import privacy_cost

__all__ = ["command"]

_IDENTITY = click.option(
    "--identity", required=True, type=click.Path(path_type=Path), help="The folder of the identity."
)


@click.group(name="budget")
def command() -> None:
    """Privacy spent with each partner."""


@command.command()
@_IDENTITY
@click.option("--agreement", type=click.Path(path_type=Path), help="Also say what one more run of it would cost.")
@json_option
def show(identity: Path, agreement: Path | None, as_json: bool) -> None:
    """Say what has been spent with whom, and what a run would cost."""
    own = load_identity(identity)
    with Ledger(own.folder) as ledger:
        spent = ledger.spending(now=datetime.now(UTC))
    lines = [_sentence(entry) for entry in spent] or ["nothing has been spent"]
    data: dict[str, object] = {"partners": [_record(entry) for entry in spent]}
    if agreement is not None:
        loaded = load_agreement(agreement)
        cost = privacy_cost(loaded, plan_of(loaded))
        if cost.epsilon is None:
            lines.append("a run of this agreement adds no noise: it may be made once over its period")
        else:
            lines.append(f"a run of this agreement costs epsilon {cost.epsilon:g}, delta {cost.delta:g}")
        data["next_run"] = {"epsilon": cost.epsilon, "delta": cost.delta, "noise": cost.noise.value}
    echo_result("\n".join(lines), data, as_json=as_json)


@command.command(name="set")
@_IDENTITY
@click.option("--partner", required=True, type=click.Path(path_type=Path), help="The partner's certificate.")
@click.option("--epsilon", required=True, help="At most this much in a period.")
@click.option("--delta", required=True, help="At most this much in a period.")
@click.option("--period", default="365d", show_default=True, help="A sliding period in days.")
@json_option
def set_limit(identity: Path, partner: Path, epsilon: str, delta: str, period: str, as_json: bool) -> None:
    """Set a limit with a partner; a run over it is refused before anything is sent."""
    own = load_identity(identity)
    limit = Limit(epsilon=_decimal("epsilon", epsilon), delta=_decimal("delta", delta), period=parse_period(period))
    try:
        content = partner.read_bytes()
    except OSError as error:
        raise AgreementError(f"{partner}: cannot be read: {error.strerror}") from None
    certificate = read_certificate(content, where=str(partner))
    with Ledger(own.folder) as ledger:
        ledger.set_limit(certificate.fingerprint, limit)
    echo_result(
        f"with {certificate.name}: epsilon {limit.epsilon}, delta {limit.delta} in {limit.period.days} days; "
        "runs without noise have no epsilon, and this limit does not stop them",
        {"partner": certificate.fingerprint.hex(), "epsilon": str(limit.epsilon), "delta": str(limit.delta)},
        as_json=as_json,
    )


def _decimal(name: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise UsageError(f"--{name}: a decimal number expected") from None


def _sentence(entry: Spending) -> str:
    name = entry.partner_name or entry.partner.hex()[:16]
    text = f"{name}: epsilon {entry.epsilon}, delta {entry.delta}"
    runs = "1 run" if entry.runs == 1 else f"{entry.runs} runs"
    text += f" in {runs} of the last {entry.period.days} days"
    if entry.epsilon > entry.composed:
        text += f" (composed by zCDP: epsilon {entry.composed:.3f})"
    if entry.limit is not None:
        text += f"; left: epsilon {entry.limit.epsilon - entry.epsilon}, delta {entry.limit.delta - entry.delta}"
    if entry.runs_without_noise:
        text += f"; runs without noise, ever: {entry.runs_without_noise}"
    return text


def _record(entry: Spending) -> dict[str, object]:
    return {
        "partner": entry.partner.hex(),
        "name": entry.partner_name,
        "epsilon": str(entry.epsilon),
        "delta": str(entry.delta),
        "rho": entry.rho,
        "composed_epsilon": entry.composed if math.isfinite(entry.composed) else None,
        "runs": entry.runs,
        "runs_without_noise": entry.runs_without_noise,
        "period_days": entry.period.days,
        "limit": None
        if entry.limit is None
        else {"epsilon": str(entry.limit.epsilon), "delta": str(entry.limit.delta)},
    }
