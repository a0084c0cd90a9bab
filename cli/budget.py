"""`cleanroom budget`: what was spent with whom, and limits."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from cleanroom.agreement import load_agreement
from cleanroom.cli.identity_options import passphrase_of, passphrase_option
from cleanroom.cli.output import echo_result, json_option
from cleanroom.errors import AgreementError, UsageError
from cleanroom.identity import MAX_PEM_BYTES, load_identity, read_certificate
from cleanroom.ledger import KeptRun, Ledger, Limit, Spending, parse_period
from cleanroom.plan import plan_of
from cleanroom.regular_file import read_regular
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
@passphrase_option
@json_option
def show(identity: Path, agreement: Path | None, passphrase_file: Path | None, as_json: bool) -> None:
    """Say what has been spent with whom, and what a run would cost."""
    own = load_identity(identity, passphrase=passphrase_of(passphrase_file))
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
@click.option("--without-noise", is_flag=True, help="Also allow runs without noise, which have no epsilon.")
@passphrase_option
@json_option
def set_limit(
    identity: Path,
    partner: Path,
    epsilon: str,
    delta: str,
    period: str,
    without_noise: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Set a limit with a partner; a run over it is refused before anything is sent."""
    own = load_identity(identity, passphrase=passphrase_of(passphrase_file))
    limit = Limit(
        epsilon=_decimal("epsilon", epsilon),
        delta=_decimal("delta", delta),
        period=parse_period(period),
        exact=without_noise,
    )
    try:
        content = read_regular(partner, at_most=MAX_PEM_BYTES)
    except OSError as error:
        raise AgreementError(f"{partner}: cannot be read: {error.strerror}") from None
    certificate = read_certificate(content, where=str(partner))
    with Ledger(own.folder) as ledger:
        ledger.set_limit(certificate.fingerprint, limit)
    echo_result(
        f"with {certificate.name}: epsilon {limit.epsilon}, delta {limit.delta} in {limit.period.days} days; "
        f"runs without noise have no epsilon and are {'allowed' if limit.exact else 'refused'}",
        {
            "partner": certificate.fingerprint.hex(),
            "epsilon": str(limit.epsilon),
            "delta": str(limit.delta),
            "without_noise": limit.exact,
        },
        as_json=as_json,
    )


@command.command()
@_IDENTITY
@click.option("--before", metavar="DATE", help="Runs that ended before this day (UTC), such as 2027-01-31.")
@click.option("--run", "sessions", multiple=True, metavar="SESSION", help="This run, as its local.json names it.")
@click.option("--releases", is_flag=True, help="Remove all that is stored: a repeat is then a new run, and charged.")
@passphrase_option
@json_option
def prune(
    identity: Path,
    before: str | None,
    sessions: tuple[str, ...],
    releases: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Remove audit.private of finished runs from the ledger: those whose agreed retention is over, or those named.

    A charge is never removed. A repeat of a pruned run still returns the stored release, without audit.private;
    with --releases nothing is stored any more. Folders of runs (--out) are not touched.
    """
    own = load_identity(identity, passphrase=passphrase_of(passphrase_file))
    day = None if before is None else _day(before)
    wanted = {_session(text) for text in sessions}
    now = datetime.now(UTC)
    with Ledger(own.folder) as ledger:
        kept = ledger.kept()
        missing = wanted - {run.session_id for run in kept}
        if missing:
            raise UsageError(f"--run: the ledger stores no run {min(missing).hex()}")
        chosen = [run for run in kept if _chosen(run, day, wanted, now) and (run.private or releases)]
        ledger.prune([run.session_id for run in chosen], releases=releases)
    what = "stored release" if releases else "audit.private"
    noun = "run" if len(chosen) == 1 else "runs"
    lines = [f"{what} of {len(chosen)} {noun} removed from the ledger; charges stay"]
    if chosen and releases:
        lines.append("a repeat of such a run is a new run now, and charged")
    elif chosen:
        lines.append("such a run can be verified, and replayed only where its folder still has audit.private")
    echo_result(
        "\n".join(lines), {"pruned": [run.session_id.hex() for run in chosen], "releases": releases}, as_json=as_json
    )


def _chosen(run: KeptRun, before: date | None, wanted: set[bytes], now: datetime) -> bool:
    if before is None and not wanted:
        return run.keep_until is not None and run.keep_until < now.date()
    return run.session_id in wanted or (before is not None and run.stored_at.date() < before)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError("--before: a day such as 2027-01-31 expected") from None


def _session(text: str) -> bytes:
    try:
        session = bytes.fromhex(text)
    except ValueError:
        session = b""
    if len(session) != 32:
        raise UsageError("--run: the 64 hexadecimal digits of a session expected")
    return session


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
