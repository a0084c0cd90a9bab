"""What one side can know before a run: whether its data fit the agreement, and what the run will cost it.

Reads, normalises, counts and prepares exactly as a run does, and stops at the same faults. Nothing leaves this process
and nothing is written.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from cleanroom.agreement.model import Agreement, Role
from cleanroom.attribution import (
    ExposureSummary,
    OutcomeSummary,
    keep_lookups,
    keep_rows,
    lookup_counts,
    row_counts,
)
from cleanroom.data import (
    Binding,
    FilterSummary,
    IdentifierQuality,
    identifier_quality,
    read_exposure,
    read_outcome,
)
from cleanroom.declared import Declared, OwnCheck, incomplete, stops
from cleanroom.drive import ProgressSink
from cleanroom.errors import DataError
from cleanroom.forecast import Forecast, forecast
from cleanroom.plan import plan_of
from cleanroom.protocols.commitment import NODE_LEAVES
from cleanroom.tree_proposals import TreeCost, compared_trees, counted_sizes

__all__ = ["CheckedData", "check_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedData:
    """What the check found; counts are the party's own.

    `trees` begins with the agreement's, and ends with it where the tree makes no difference; `tree_unused` says that
    instants make every row a single tick. `preparation` is None, and `problem` the line that a run would end with, if
    more rows than agreed were prepared.
    """

    role: Role
    source: FilterSummary
    quality: tuple[IdentifierQuality, ...]
    preparation: ExposureSummary | OutcomeSummary | None
    bound: int
    trees: tuple[TreeCost, ...]
    tree_unused: bool
    seconds: float  # of reading and preparing, once
    forecast: Forecast
    declared: Declared
    problem: DataError | None


def check_data(
    agreement: Agreement,
    *,
    role: Role,
    binding: Binding,
    progress: ProgressSink,
    trees: Sequence[tuple[int, ...]] = (),
) -> CheckedData:
    """Checks one side's data.

    The rule that drops groups over the cap is keyed by an identity in a run and by a throw-away key here: of people
    over the cap other groups may be kept, so that their rows can differ by a few.

    Args:
        agreement: signed or not.
        role: the side.
        binding: where its data are.
        progress: told what the reading is doing.
        trees: whose rows are counted too, beside those of the agreement's and of the proposed ones.

    Raises:
        DataError: the data do not fit the agreement, other than by the number of prepared rows.
        AgreementError: the run's cost cannot be worked out.
    """
    plan = plan_of(agreement)
    expected = forecast(agreement, plan, role=role)
    sizes = counted_sizes(agreement, plan, trees)
    progress("data", 0, 0)

    def read(step: str, rows: int) -> None:
        progress(f"data.{step}", rows, 0)

    own = OwnCheck(agreement, role, binding)
    quality = identifier_quality(agreement, binding, progress=read)
    preparation: ExposureSummary | OutcomeSummary | None = None
    problem: DataError | None = None
    started = time.perf_counter()
    if role is Role.EXPOSURE:
        bound, key = agreement.protocol.max_rows_exposure, secrets.token_bytes(32)
        with closing(read_exposure(agreement, binding, progress=read, count=own.count)) as touches:
            source = touches.summary
            try:
                preparation = keep_lookups(
                    agreement,
                    plan,
                    touches.batches(),
                    group_cap_key=key,
                    keep=lambda part: None,
                    at_once=NODE_LEAVES,
                )
            except DataError as error:
                problem = error
            seconds = time.perf_counter() - started
            counts = lookup_counts(agreement, plan, touches.batches(), group_cap_key=key, sizes=sizes)
    else:
        bound = agreement.protocol.max_rows_outcome
        reading = read_outcome(agreement, binding, progress=read, count=own.count, choice_key=secrets.token_bytes(32))
        with closing(reading) as outcomes:
            source = outcomes.summary
            try:
                preparation = keep_rows(
                    agreement,
                    plan,
                    outcomes.batches(),
                    outcomes.members(),
                    keep=lambda part: None,
                    at_once=NODE_LEAVES,
                )
            except DataError as error:
                problem = error
            seconds = time.perf_counter() - started
            counts = row_counts(agreement, plan, outcomes.batches(), outcomes.members(), sizes=sizes)
    declared = own.declared()
    if problem is None and stops(agreement, declared.verdict):
        problem = incomplete()
    return CheckedData(
        role=role,
        source=source,
        quality=quality,
        preparation=preparation,
        bound=bound,
        trees=compared_trees(agreement, plan, counts, asked=trees),
        tree_unused=agreement.exposure.instants is not None,
        seconds=seconds,
        forecast=expected,
        declared=declared,
        problem=problem,
    )
