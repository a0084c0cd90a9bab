"""The canonical bytes of an agreement: what is hashed and signed.

They hold the meaning, not the writing: defaults filled in, times in UTC, money in integer units, certificates as
fingerprints, row bounds padded. Comments, key order and the way a number or a time is written change nothing; every
other change gives other bytes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import Enum

from cleanroom.agreement.completeness import Completeness, completeness_document
from cleanroom.agreement.eligibility import EligibilityRule, eligibility_document
from cleanroom.agreement.exposure import default_max_touches
from cleanroom.agreement.legal import Legal, legal_document
from cleanroom.agreement.lift import Lift, lift_document
from cleanroom.agreement.model import (
    Exposure,
    Match,
    Metric,
    Outcome,
    PartyEntry,
    Period,
    ProtocolChoice,
    ReleaseRules,
    TimeRules,
)
from cleanroom.agreement.sampling import SampledPeriod, sampling_document

__all__ = ["canonical_bytes", "exposure_document", "metric_document", "outcome_document"]

_LABEL = b"cleanroom/agreement/v1\n"


def canonical_bytes(
    *,
    name: str,
    purpose: str,
    valid_until: str,
    parties: tuple[PartyEntry, PartyEntry],
    match: Match,
    time: TimeRules,
    exposure: Exposure,
    outcome: Outcome,
    metrics: tuple[Metric, ...],
    release: ReleaseRules,
    protocol: ProtocolChoice,
    legal: Legal | None = None,
    completeness: Completeness | None = None,
    sampling: tuple[SampledPeriod, ...] = (),
    eligibility: tuple[EligibilityRule, ...] = (),
    lift: Lift | None = None,
) -> bytes:
    """Encodes an agreement of version 1: a label, then JSON in ASCII with sorted keys and without spaces.

    Args:
        name: the agreement's name.
        purpose: its purpose.
        valid_until: the date in ISO 8601.
        parties: exposure side first.
        match: the identifiers.
        time: the horizon and its ticks.
        exposure: which touches count.
        outcome: which outcomes count.
        metrics: in the declared order.
        release: noise and thresholds.
        protocol: profile and padded bounds.
        legal: basis and retention; without them the document has no such key.
        completeness: how far rows may be from the manifests; likewise.
        sampling: periods of a sample; likewise.
        eligibility: what must hold of a group; likewise.
        lift: what is compared; likewise.

    Returns:
        The bytes whose SHA-256 names the agreement. Numbers other than integers are texts (the shortest decimal form
        that gives the same double).
    """
    document: dict[str, object] = {
        "version": 1,
        "name": name,
        "purpose": purpose,
        "valid_until": valid_until,
        "parties": [
            {
                "name": party.name,
                "role": party.role.value,
                "certificate_sha256": party.fingerprint.hex(),
                "min_people": party.min_people,
            }
            for party in parties
        ],
        "match": {
            "identifiers": [
                {"type": entry.type, "rule": entry.rule, "country": entry.country, "hash": entry.hash}
                | ({} if entry.version is None else {"version": entry.version})
                for entry in match.identifiers
            ],
            "max_invalid": repr(float(match.max_invalid)),
        },
        "time": {
            "start": _utc(time.start),
            "end": _utc(time.end),
            "resolution": time.resolution.value,
            "zone": time.zone,
            "tree": list(time.tree),
        },
        "exposure": exposure_document(exposure),
        "outcome": outcome_document(outcome),
        "metrics": [metric_document(metric) for metric in metrics],
        "release": {
            "noise": release.noise.value,
            "epsilon": repr(release.epsilon),
            "delta": repr(release.delta),
            "min_people": release.min_people,
            "max_groups_per_person": release.max_groups_per_person,
            "max_windows": release.max_windows,
            "recipients": list(release.recipients),
            **({"differences": "suppress"} if release.suppress_differences else {}),
        },
        "protocol": {
            "profile": protocol.profile.value,
            "max_rows_exposure": protocol.max_rows_exposure,
            "max_rows_outcome": protocol.max_rows_outcome,
        },
    }
    if legal is not None:
        document["legal"] = legal_document(legal)
    if completeness is not None:
        document["completeness"] = completeness_document(completeness)
    if sampling:
        document["sampling"] = sampling_document(sampling)
    if eligibility:
        document["eligibility"] = eligibility_document(eligibility)
    if lift is not None:
        document["lift"] = lift_document(lift)
    text = json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=_refuse)
    return _LABEL + text.encode("ascii")


def exposure_document(exposure: Exposure) -> dict[str, object]:
    """What the canonical bytes hold of `[exposure]`."""
    document: dict[str, object] = {
        "events": list(exposure.events),
        "start": _utc(exposure.start),
        "end": _utc(exposure.end),
        "instants": None if exposure.instants is None else [_utc(instant) for instant in exposure.instants],
        "group_by": exposure.group_by,
        "groups": list(exposure.groups),
        "anchor": exposure.anchor,
        "credit": exposure.credit,
    }
    # Keys that came later are there only where they change the meaning: older texts keep their bytes.
    if exposure.credit_step_ticks is not None:
        document["credit_step_ticks"] = exposure.credit_step_ticks
    if exposure.max_touches != default_max_touches(exposure.credit):
        document["max_touches"] = exposure.max_touches
    if exposure.priority is not None:
        document["priority"] = [list(events) for events in exposure.priority]
    if exposure.frequency is not None:
        document["frequency"] = list(exposure.frequency)
    return document


def outcome_document(outcome: Outcome) -> dict[str, object]:
    """What the canonical bytes hold of `[outcome]`."""
    return {
        "events": list(outcome.events),
        "value": outcome.value,
        "currency": outcome.currency,
        "precision": None if outcome.precision is None else f"{outcome.precision:f}",
        "labels": [{"column": label.column, "values": list(label.values)} for label in outcome.labels],
    }


def metric_document(metric: Metric) -> dict[str, object]:
    """What the canonical bytes hold of one of `[[metrics]]`."""
    document: dict[str, object] = {
        "name": metric.name,
        "measure": metric.measure.value,
        "event": metric.event,
        "window": metric.window,
        "window_ticks": metric.window_ticks,
        "cap": metric.cap,
        "credit": metric.credit,
    }
    if metric.by is not None:
        document["by"] = metric.by
    if metric.via is not None:
        document["via"] = list(metric.via)
    if metric.period is not Period.AFTER:
        document["period"] = metric.period.value
    return document


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def _refuse(value: object) -> object:
    kind = "enum" if isinstance(value, Enum) else type(value).__name__
    raise TypeError(f"canonical bytes hold plain values only, found {kind}")
