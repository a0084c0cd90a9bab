"""The public terms of a release: which cells there are, what gates them, how they are noised, who receives them.

Both sides derive them from the agreement and compare their digest before anything is opened.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Noise, Role
from cleanroom.plan import Plan
from cleanroom.release.accounting import privacy_cost

__all__ = ["WRITER", "ReleaseTerms", "terms_of"]

WRITER: Final = f"pyarrow {pa.__version__}"
"""What writes the released Parquet file here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTerms:
    """What both sides must hold alike to open a release.

    A cell is (group, column); its index is group * columns + column.
    """

    groups: int  # that may be opened: the eligible ones
    gates: tuple[int, ...]  # by column: the column whose people count decides whether a cell may be opened
    declared: tuple[bool, ...]  # by column: False for an automatic gate, which is opened only to be compared
    noise: Noise
    scales: tuple[float, ...]  # by column: one side's noise scale, integer units
    std_errors: tuple[float, ...]  # by column: of a released figure, integer units
    min_people: int
    recipients: frozenset[Role]
    writer: str  # what writes the Parquet file, with its version
    chains: tuple[tuple[tuple[int, ...], ...], ...] = ()
    """Gate columns that count people who contain each other, where their differences are suppressed: a chain an event,
    in it a level a window from the shortest on, in it the columns of that window. Other gates contain all of them."""
    eligible: tuple[bool, ...] = ()  # of all groups the ones that may be opened; empty where that is all

    def narrowed(self, agreement: Agreement, eligible: tuple[bool, ...] | None) -> ReleaseTerms:
        """The terms when only the eligible ones of the declared groups are opened; the digest stays.

        Args:
            agreement: whose terms they are; each declared group stands for all its frequency bands.
            eligible: a verdict a declared group; None for all.
        """
        if eligible is None or all(eligible):
            return self
        bands = max(1, len(agreement.exposure.bands))
        whole = tuple(one for one in eligible for _ in range(bands))
        return replace(self, groups=sum(whole), eligible=whole)

    @property
    def whole(self) -> ReleaseTerms:
        """The terms of all groups."""
        return replace(self, groups=len(self.eligible), eligible=()) if self.eligible else self

    @property
    def chosen(self) -> NDArray[np.bool_]:
        """Which of all groups may be opened."""
        return np.array(self.eligible or (True,) * self.groups, dtype=np.bool_)

    @property
    def columns(self) -> int:
        """Number of columns, automatic gates included."""
        return len(self.gates)

    @property
    def gate_columns(self) -> tuple[int, ...]:
        """The columns that gate some column, ascending."""
        return tuple(sorted(set(self.gates)))

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of the terms and of the writer of the released files.

        The Parquet file's bytes depend on the library that writes it, and both sides sign its hash: two sides that
        would write different files must find out before the budget is spent, so the digest belongs in the handshake.
        """
        terms = {
            "label": "cleanroom/release/terms/v1",
            "groups": len(self.eligible) or self.groups,
            "gates": self.gates,
            "declared": self.declared,
            "noise": self.noise.value,
            "scales": [scale.hex() for scale in self.scales],
            "min_people": self.min_people,
            "recipients": sorted(role.value for role in self.recipients),
            "writer": self.writer,
            **({"chains": self.chains} if self.chains else {}),
        }
        return hashlib.sha256(json.dumps(terms, sort_keys=True, separators=(",", ":")).encode()).digest()


def terms_of(agreement: Agreement, plan: Plan, *, writer: str = WRITER) -> ReleaseTerms:
    """Derives the terms of an agreement's release.

    Args:
        agreement: the agreement.
        plan: its plan.
        writer: what wrote or will write the Parquet file; an auditor gives the recorded one.

    Raises:
        AgreementError: the agreed epsilon and delta cannot be met by any useful noise.
    """
    cost = privacy_cost(agreement, plan)
    names = set(agreement.release.recipients)
    return ReleaseTerms(
        groups=plan.groups,
        gates=tuple(column.gate for column in plan.columns),
        declared=tuple(column.opened for column in plan.columns),
        noise=cost.noise,
        scales=cost.scales,
        std_errors=cost.std_errors,
        min_people=agreement.release.min_people,
        recipients=frozenset(entry.role for entry in agreement.parties if entry.name in names),
        writer=writer,
        chains=_chains(plan) if agreement.release.suppress_differences else (),
    )


def _chains(plan: Plan) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """The people columns that gate something, by event and window; members contain them all and are in none."""
    levels: dict[str, dict[int, list[int]]] = {}
    for index in sorted({column.gate for column in plan.columns}):
        column = plan.columns[index]
        if column.event is None or column.window_ticks is None:
            continue
        levels.setdefault(column.event, {}).setdefault(column.window_ticks, []).append(index)
    return tuple(tuple(tuple(windows[ticks]) for ticks in sorted(windows)) for windows in levels.values())
