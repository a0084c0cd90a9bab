"""What a figure means, apart from whose it is: two agreements with one definition count the same things the same way.

The definition of an agreement is what decides over the meaning of its metrics: `[[metrics]]`, `[outcome]`, `[exposure]`
without its groups and dates, resolution and zone of `[time]`, and the caps on a person's groups and windows. Parties,
identifiers, periods, groups, noise and thresholds are no part of it: partners differ in these, and a report says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from cleanroom.agreement.canonical import exposure_document, metric_document, outcome_document
from cleanroom.agreement.model import Agreement

__all__ = ["definition_differences", "definition_document", "definition_hash"]

_LABEL = b"cleanroom/definition/v1\n"
_NOT_MEANING = ("start", "end", "instants", "groups")


def definition_document(agreement: Agreement) -> dict[str, object]:
    """The definition as plain values."""
    exposure = exposure_document(agreement.exposure)
    return {
        "exposure": {key: value for key, value in exposure.items() if key not in _NOT_MEANING},
        "metrics": {metric.name: metric_document(metric) for metric in agreement.metrics},
        "outcome": outcome_document(agreement.outcome),
        "release": {
            "max_groups_per_person": agreement.release.max_groups_per_person,
            "max_windows": agreement.release.max_windows,
        },
        "time": {"resolution": agreement.time.resolution.value, "zone": agreement.time.zone},
    }


def definition_hash(agreement: Agreement) -> bytes:
    """SHA-256 (32 bytes) of a label and the definition as JSON in ASCII with sorted keys and without spaces.

    The order of the metrics does not count.
    """
    text = json.dumps(definition_document(agreement), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(_LABEL + text.encode("ascii")).digest()


def definition_differences(first: Agreement, second: Agreement) -> tuple[str, ...]:
    """The keys by which two definitions differ, such as `metrics[buyers_15d].window`; empty where there is one."""
    return tuple(_differences(definition_document(first), definition_document(second), ""))


def _differences(first: Mapping[str, object], second: Mapping[str, object], where: str) -> list[str]:
    found: list[str] = []
    for key in dict.fromkeys((*first, *second)):
        name = f"{where}[{key}]" if where == "metrics" else f"{where}.{key}" if where else key
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other, name)
        elif (key in first) is not (key in second) or one != other:
            found.append(name)
    return found
