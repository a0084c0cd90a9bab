"""The optional table `[legal]`: on what basis the data is processed, and how long a run's private files may be kept.

The words follow China's Personal Information Protection Law (PIPL); docs/explanation/pipl.md says which article each
key serves. The toolkit acts on `retention_days` alone: it cannot know whether the rest is true, so both owners sign it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

from cleanroom.agreement.table import Table
from cleanroom.errors import AgreementError

__all__ = ["Basis", "Legal", "Relation", "delete_by", "legal_document", "legal_lines", "read_legal"]

MAX_RETENTION_DAYS: Final = 36_500


class Basis(Enum):
    """What makes the processing lawful: the items of PIPL article 13, in their order."""

    CONSENT = "consent"
    CONTRACT = "contract"
    DUTY = "duty"
    EMERGENCY = "emergency"
    PUBLIC_INTEREST = "public_interest"
    PUBLISHED = "published"
    OTHER_LAW = "other_law"


class Relation(Enum):
    """What the two owners are to each other."""

    JOINT = "joint"  # article 20
    ENTRUSTED = "entrusted"  # article 21
    PROVISION = "provision"  # article 23


_BASES: Final = {
    Basis.CONSENT: "consent of the people concerned",
    Basis.CONTRACT: "needed for a contract with them, or to manage staff",
    Basis.DUTY: "needed for a duty under law",
    Basis.EMERGENCY: "needed in an emergency, for health or life",
    Basis.PUBLIC_INTEREST: "reporting in the public interest",
    Basis.PUBLISHED: "information that is lawfully public already",
    Basis.OTHER_LAW: "another case that a law provides",
}
_RELATIONS: Final = {
    Relation.JOINT: "the owners decide together (article 20)",
    Relation.ENTRUSTED: "one owner works on behalf of the other (article 21)",
    Relation.PROVISION: "each owner decides for itself and provides to the other (article 23)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Legal:
    """What both owners state; None stands for a key that they left out."""

    basis: Basis
    relation: Relation | None
    impact_assessment: str | None
    separate_consent: str | None
    cross_border: str | None
    retention_days: int | None
    deletion: str | None
    contacts: tuple[tuple[str, str], ...]  # party, whom to ask; sorted by party


def read_legal(table: Table, parties: tuple[str, ...]) -> Legal:
    """Reads `[legal]`.

    Args:
        table: the table.
        parties: the names of the agreement's parties; nobody else may have a contact.

    Raises:
        AgreementError: naming the key.
    """
    relation = table.optional_text("relation")
    days = table.integer("retention_days", least=1, most=MAX_RETENTION_DAYS) if table.has("retention_days") else None
    return Legal(
        basis=Basis(table.text("basis")),
        relation=None if relation is None else Relation(relation),
        impact_assessment=table.optional_text("impact_assessment"),
        separate_consent=table.optional_text("separate_consent"),
        cross_border=table.optional_text("cross_border"),
        retention_days=days,
        deletion=table.optional_text("deletion"),
        contacts=_contacts(table, parties),
    )


def _contacts(table: Table, parties: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if not table.has("contacts"):
        return ()
    entries = table.named_texts("contacts")
    for party in entries:
        if party not in parties:
            raise AgreementError(f"{table.key('contacts')}: expected the names of parties: {', '.join(parties)}")
    return tuple(sorted(entries.items()))


def legal_document(legal: Legal) -> dict[str, object]:
    """What the canonical bytes hold of the table."""
    return {
        "basis": legal.basis.value,
        "relation": None if legal.relation is None else legal.relation.value,
        "impact_assessment": legal.impact_assessment,
        "separate_consent": legal.separate_consent,
        "cross_border": legal.cross_border,
        "retention_days": legal.retention_days,
        "deletion": legal.deletion,
        "contacts": dict(legal.contacts),
    }


def legal_lines(legal: Legal) -> tuple[str, ...]:
    """The table in words, one line a key; what is left out is said to be."""
    relation = "not stated" if legal.relation is None else _RELATIONS[legal.relation]
    days = "day" if legal.retention_days == 1 else "days"
    retention = "not stated" if legal.retention_days is None else f"{legal.retention_days} {days} after a run"
    contacts = ", ".join(f"{party}: {contact}" for party, contact in legal.contacts)
    return (
        f"basis: {_BASES[legal.basis]} (PIPL, article 13)",
        f"relation: {relation}",
        f"impact assessment: {legal.impact_assessment or 'not stated'}",
        f"separate consent: {legal.separate_consent or 'not stated'}",
        f"cross-border: {legal.cross_border or 'not stated'}",
        f"private files of a run are kept for: {retention}",
        f"deletion: {legal.deletion or 'not stated'}",
        f"contacts: {contacts or 'not stated'}",
    )


def delete_by(legal: Legal | None, *, ended: datetime, zone: str) -> date | None:
    """The last day on which the private files of a run may still be kept.

    Args:
        legal: the agreement's table, if it has one.
        ended: when the run ended, with an offset.
        zone: the agreement's, which defines dates.

    Returns:
        None if nothing was agreed.
    """
    if legal is None or legal.retention_days is None:
        return None
    return (ended + timedelta(days=legal.retention_days)).astimezone(ZoneInfo(zone)).date()
