"""What release.json says of the agreement in readable form: whoever holds it alone can tell what it is about."""

from __future__ import annotations

from typing import Any, Final

from cleanroom.agreement.definition import definition_hash
from cleanroom.agreement.model import Agreement, Role
from cleanroom.plan import Column
from cleanroom.sampling import column_fraction

__all__ = ["agreement_part", "column_part"]

_DATES: Final = "seconds"

Json = dict[str, Any]  # a JSON object: its values are of any JSON type


def agreement_part(agreement: Agreement) -> Json:
    """Name, purpose and hash; the definition of its metrics; who the parties are; which touches and which time."""
    exposure, time = agreement.exposure, agreement.time
    return {
        "name": agreement.name,
        "purpose": agreement.purpose,
        "hash": agreement.hash.hex(),
        "definition": definition_hash(agreement).hex(),
        "parties": [
            {"name": entry.name, "role": entry.role.value, "certificate_sha256": entry.fingerprint.hex()}
            for entry in sorted(agreement.parties, key=lambda entry: entry.role is not Role.EXPOSURE)
        ],
        "scope": {
            "group_by": exposure.group_by,
            "bands": list(exposure.bands),
            "credit": exposure.credit,
            "events": {"exposure": list(exposure.events), "outcome": list(agreement.outcome.events)},
            "touches": [exposure.start.isoformat(timespec=_DATES), exposure.end.isoformat(timespec=_DATES)],
            "horizon": [time.start.isoformat(timespec=_DATES), time.end.isoformat(timespec=_DATES)],
            "zone": time.zone,
        },
    }


def column_part(agreement: Agreement, column: Column) -> Json:
    """How a column counts, beside its measure, event, window and cap.

    With `[sampling]`, `sampling` is the share of people whom its figures are about, or "mixed".
    """
    fraction = column_fraction(agreement, column)
    share = "mixed" if fraction is None else f"{fraction.normalize():f}"
    return {
        "purpose": column.purpose.value,
        "credit": column.credit,
        "unit": column.unit,
        "additive": column.additive,
        "label": None if column.label is None else list(column.label),
        "via": None if column.via is None else list(column.via),
        "period": column.period.value,
        "change": column.change,
        "squared": column.squared,
        **({"sampling": share} if agreement.sampling else {}),
    }
