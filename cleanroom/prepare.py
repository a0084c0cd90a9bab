"""From an owner's files to what the join takes: read, check, attribute, commit. All of it before connecting."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field

from cleanroom.agreement.model import Agreement, Role
from cleanroom.attribution.exposure import prepare_lookups
from cleanroom.attribution.outcome import prepare_rows
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.data import Binding, read_exposure, read_outcome
from cleanroom.declared import Declared, OwnCheck, bound_root
from cleanroom.drive import ProgressSink
from cleanroom.identity import Identity
from cleanroom.plan import Plan
from cleanroom.protocols.commitment import lookups_root, rows_root

__all__ = ["PreparationKeys", "Prepared", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One side's input to the join, its commitment, and the counts that stay at home."""

    role: Role
    rows: Lookups | Rows = field(repr=False)
    input_root: bytes
    counts: Mapping[str, Mapping[str, int]] = field(repr=False)
    declared: Declared = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparationKeys:
    """The secrets of a preparation, 32 bytes each: a party derives them, an auditor is given them."""

    group_cap: bytes = field(repr=False)
    """Of the rule that decides which groups of a person over the cap are kept."""
    shared_identifier: bytes = field(repr=False)
    """Of the rule that decides which of the accounts that hold one identifier keeps it."""
    commitment: bytes = field(repr=False)
    """Blinds the commitment to this side's rows."""

    @staticmethod
    def of(identity: Identity, agreement: Agreement) -> PreparationKeys:
        """Derives a party's keys for one agreement: unchanged data gives an unchanged commitment."""
        return PreparationKeys(
            group_cap=identity.derive_key(purpose="group cap", agreement_hash=agreement.hash),
            shared_identifier=identity.derive_key(purpose="shared identifier", agreement_hash=agreement.hash),
            commitment=identity.derive_key(purpose="input commitment", agreement_hash=agreement.hash),
        )


def prepare(
    agreement: Agreement, plan: Plan, *, role: Role, binding: Binding, keys: PreparationKeys, progress: ProgressSink
) -> Prepared:
    """Prepares one side.

    Args:
        agreement: what both signed.
        plan: of that agreement.
        role: which side.
        binding: where this side's data are.
        keys: of the group cap and of the commitment.
        progress: told what the reading is doing.

    Raises:
        DataError: anything about the data that the agreement does not allow.
    """
    progress("data", 0, 0)

    own = OwnCheck(agreement, role, binding)

    def read(step: str, rows: int) -> None:
        progress(f"data.{step}", rows, 0)

    if role is Role.EXPOSURE:
        with closing(read_exposure(agreement, binding, progress=read, count=own.count)) as touches:
            lookups, attributed = prepare_lookups(agreement, plan, touches.batches(), group_cap_key=keys.group_cap)
            counts = {"source": asdict(touches.summary), "preparation": asdict(attributed)}
        declared = own.declared()
        root = lookups_root(
            key=keys.commitment,
            keys=lookups.keys,
            indptr=lookups.indptr,
            target=lookups.target,
            weight=lookups.weight,
            padded=agreement.protocol.rows_exposure,
        )
        root = bound_root(agreement, root, declared)
        return Prepared(role=role, rows=lookups, input_root=root, counts=counts | declared.counts, declared=declared)
    reading = read_outcome(agreement, binding, progress=read, count=own.count, choice_key=keys.shared_identifier)
    with closing(reading) as outcomes:
        rows, summed = prepare_rows(agreement, plan, outcomes.batches(), outcomes.members())
        counts = {"source": asdict(outcomes.summary), "preparation": asdict(summed)}
    declared = own.declared()
    padded = agreement.protocol.rows_outcome
    root = rows_root(key=keys.commitment, keys=rows.keys, values=rows.values, padded=padded)
    root = bound_root(agreement, root, declared)
    return Prepared(role=role, rows=rows, input_root=root, counts=counts | declared.counts, declared=declared)
