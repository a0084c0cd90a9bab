"""From an owner's files to what the join takes: read, check, attribute, commit. All of it before connecting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from cleanroom.agreement.model import Agreement, Role
from cleanroom.attribution.exposure import ExposureSummary, keep_lookups, prepare_lookups
from cleanroom.attribution.outcome import OutcomeSummary, keep_rows, prepare_rows
from cleanroom.attribution.packing import Packing
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.data import Binding, ExposureData, OutcomeData, read_exposure, read_outcome
from cleanroom.declared import Declared, OwnCheck, bound_root
from cleanroom.drive import ProgressSink
from cleanroom.identity import Identity
from cleanroom.kept import Kept, KeptLookups, KeptRows
from cleanroom.plan import Plan
from cleanroom.protocols import buckets
from cleanroom.protocols.buckets import Division
from cleanroom.protocols.commitment import NODE_LEAVES, lookups_root, root_of_nodes, rows_root
from cleanroom.protocols.wire import chunks

__all__ = ["PreparationKeys", "Prepared", "prepare"]

T = TypeVar("T", Lookups, Rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One side's input to the join, its commitment, and the counts that stay at home."""

    role: Role
    rows: Lookups | Rows | KeptLookups | KeptRows = field(repr=False)
    """In memory if the join takes them in one bucket, else out of core."""
    input_root: bytes
    counts: Mapping[str, Mapping[str, int]] = field(repr=False)
    declared: Declared = field(repr=False)

    def close(self) -> None:
        """Forgets rows that are out of core."""
        if isinstance(self.rows, Kept):
            self.rows.close()


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

    rows: Lookups | Rows | KeptLookups | KeptRows
    if role is Role.EXPOSURE:
        with closing(read_exposure(agreement, binding, progress=read, count=own.count)) as touches:
            rows, root, attributed = _lookups(agreement, plan, touches, keys)
            counts = {"source": asdict(touches.summary), "preparation": asdict(attributed)}
    else:
        reading = read_outcome(agreement, binding, progress=read, count=own.count, choice_key=keys.shared_identifier)
        with closing(reading) as outcomes:
            rows, root, summed = _rows(agreement, plan, outcomes, keys)
            counts = {"source": asdict(outcomes.summary), "preparation": asdict(summed)}
    declared = own.declared()
    return Prepared(
        role=role,
        rows=rows,
        input_root=bound_root(agreement, root, declared),
        counts=counts | declared.counts,
        declared=declared,
    )


def _lookups(
    agreement: Agreement, plan: Plan, touches: ExposureData, keys: PreparationKeys
) -> tuple[Lookups | KeptLookups, bytes, ExposureSummary]:
    """The lookups, the commitment to them, and the counts."""
    padded = agreement.protocol.rows_exposure

    def root_of(part: Lookups, leaves: int, first: int) -> bytes:
        return lookups_root(
            key=keys.commitment,
            keys=part.keys,
            indptr=part.indptr,
            target=part.target,
            weight=part.weight,
            padded=leaves,
            origin=first,
        )

    if _buckets(agreement) == 1:
        lookups, summary = prepare_lookups(agreement, plan, touches.batches(), group_cap_key=keys.group_cap)
        return lookups, root_of(lookups, padded, 0), summary
    kept = KeptLookups(plan.targets_per_row(agreement.release.max_groups_per_person), weight_bound=plan.unit)
    try:
        summary = keep_lookups(
            agreement,
            plan,
            touches.batches(),
            group_cap_key=keys.group_cap,
            keep=kept.append,
            at_once=NODE_LEAVES,
        )
        return kept, _sealed(kept, padded, root_of), summary
    except BaseException:
        kept.close()
        raise


def _rows(
    agreement: Agreement, plan: Plan, outcomes: OutcomeData, keys: PreparationKeys
) -> tuple[Rows | KeptRows, bytes, OutcomeSummary]:
    """The rows, the commitment to them, and the counts."""
    padded = agreement.protocol.rows_outcome

    def root_of(part: Rows, leaves: int, first: int) -> bytes:
        return rows_root(key=keys.commitment, keys=part.keys, values=part.values, padded=leaves, origin=first)

    if _buckets(agreement) == 1:
        rows, summary = prepare_rows(agreement, plan, outcomes.batches(), outcomes.members())
        return rows, root_of(rows, padded, 0), summary
    kept = KeptRows(Packing.of(agreement, plan))
    try:
        summary = keep_rows(
            agreement,
            plan,
            outcomes.batches(),
            outcomes.members(),
            keep=kept.take,
            at_once=NODE_LEAVES,
        )
        return kept, _sealed(kept, padded, root_of), summary
    except BaseException:
        kept.close()
        raise


def _buckets(agreement: Agreement) -> int:
    """In how many buckets the join takes the rows."""
    bounds = agreement.protocol
    return Division.of(
        rows_exposure=bounds.rows_exposure, rows_outcome=bounds.rows_outcome, bucket_rows=buckets.BUCKET_ROWS
    ).count


def _sealed(kept: Kept[T], padded: int, root_of: Callable[[T, int, int], bytes]) -> bytes:
    """Commits to what is kept, and pads it to the public bound: what pads need not be read for the commitment."""
    rows = kept.ascending()
    nodes = [root_of(next(rows, kept.none()), stop - start, start) for start, stop in chunks(padded, NODE_LEAVES)]
    kept.pad(padded)
    return root_of_nodes(nodes)
