"""From a TOML file to a checked `Agreement`, or to one line that names the key at fault."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

from cleanroom.agreement.canonical import canonical_bytes
from cleanroom.agreement.checks import check_capacity
from cleanroom.agreement.completeness import read_completeness
from cleanroom.agreement.eligibility import read_eligibility
from cleanroom.agreement.exposure import read_exposure_rules
from cleanroom.agreement.legal import read_legal
from cleanroom.agreement.lift import read_lift
from cleanroom.agreement.metrics import read_metrics, read_release
from cleanroom.agreement.model import Agreement
from cleanroom.agreement.outcome import read_outcome_rules
from cleanroom.agreement.sampling import read_sampling
from cleanroom.agreement.sections import read_match, read_parties, read_protocol, read_time
from cleanroom.agreement.table import Table
from cleanroom.errors import AgreementError
from cleanroom.identity import read_certificate
from cleanroom.regular_file import read_regular

__all__ = ["load_agreement", "parse_agreement"]

MAX_BYTES = 16 * 2**20  # an agreement with 100,000 group labels is below 4 MB


def load_agreement(path: Path, *, on: date | None = None, any_age: bool = False) -> Agreement:
    """Reads and checks an agreement.

    Args:
        path: the TOML file; relative certificate paths start at its folder.
        on: the day on which it has to be valid; absent: today in the agreement's zone.
        any_age: accept one that is past `valid_until`, or whose certificates are (an auditor reads old agreements).

    Raises:
        AgreementError: with one line, `FILE: KEY: what is wrong`.
    """
    try:
        content = read_regular(path, at_most=MAX_BYTES)
    except OSError as error:
        raise AgreementError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise AgreementError(f"{path}: is larger than {MAX_BYTES // 2**20} MiB")
    try:
        agreement = parse_agreement(content, folder=path.parent)
        if not any_age:
            _check_valid(agreement, on)
    except AgreementError as error:
        raise AgreementError(f"{path}: {error}") from None
    return agreement


def parse_agreement(content: bytes, *, folder: Path) -> Agreement:
    """Reads and checks an agreement's bytes, whatever its age.

    Args:
        content: TOML in UTF-8.
        folder: where relative certificate paths start.

    Raises:
        AgreementError: with one line, `KEY: what is wrong`.
    """
    top = Table("", "", _toml(content))
    if top.integer("version", least=0, most=2**31) != 1:
        raise top.fault("version", "expected 1, the only version there is")
    name, purpose, valid_until = top.text("name"), top.text("purpose"), top.day("valid_until")
    parties = read_parties(top.table("parties"), folder)
    match = read_match(_section(top, "match"))
    time = read_time(_section(top, "time"))
    exposure = read_exposure_rules(_section(top, "exposure"), time)
    outcome = read_outcome_rules(_section(top, "outcome"))
    metrics = read_metrics(top, time, exposure, outcome)
    release = read_release(_section(top, "release"), parties, len(exposure.groups))
    protocol = read_protocol(_section(top, "protocol"))
    names = tuple(entry.name for entry in parties)
    legal = read_legal(_section(top, "legal"), names) if top.has("legal") else None
    completeness = read_completeness(_section(top, "completeness"), names) if top.has("completeness") else None
    sampling = read_sampling(_section(top, "sampling"), names) if top.has("sampling") else ()
    eligibility = read_eligibility(_section(top, "eligibility"), names) if top.has("eligibility") else ()
    lift = read_lift(_section(top, "lift"), exposure, metrics) if top.has("lift") else None
    canonical = canonical_bytes(
        name=name,
        purpose=purpose,
        valid_until=valid_until.isoformat(),
        parties=parties,
        match=match,
        time=time,
        exposure=exposure,
        outcome=outcome,
        metrics=metrics,
        release=release,
        protocol=protocol,
        legal=legal,
        completeness=completeness,
        sampling=sampling,
        eligibility=eligibility,
        lift=lift,
    )
    agreement = Agreement(
        version=1,
        name=name,
        purpose=purpose,
        valid_until=valid_until,
        parties=parties,
        match=match,
        time=time,
        exposure=exposure,
        outcome=outcome,
        metrics=metrics,
        release=release,
        protocol=protocol,
        legal=legal,
        completeness=completeness,
        sampling=sampling,
        eligibility=eligibility,
        lift=lift,
        canonical=canonical,
        hash=hashlib.sha256(canonical).digest(),
    )
    check_capacity(agreement)
    return agreement


def _section(top: Table, name: str) -> Table:
    return Table(name, name, top.table(name))


def _toml(content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except UnicodeDecodeError:
        raise AgreementError("expected a text in UTF-8") from None
    except (tomllib.TOMLDecodeError, InvalidOperation, RecursionError, ValueError) as error:
        raise AgreementError(f"is not valid TOML: {' '.join(str(error).split())[:200]}") from None


def _check_valid(agreement: Agreement, on: date | None) -> None:
    today = datetime.now(UTC).astimezone(ZoneInfo(agreement.time.zone)).date() if on is None else on
    if today > agreement.valid_until:
        raise AgreementError(f"valid_until: the agreement expired on {agreement.valid_until}")
    for party in agreement.parties:
        where = f"parties.{party.name}.certificate"
        not_after = read_certificate(party.certificate_pem, where=where).not_after.date()
        if today > not_after:
            raise AgreementError(f"{where}: the certificate expired on {not_after}")
