"""The self-check: only a demonstration owns both sides' data and can say what the private join should have said.

Every released figure is compared with the plain join of the clear data under the agreed caps: in units of the standard
error that the release states, and, less the noise that both sides recorded in `audit.private`, exactly. The uncapped
answer beside it says what the caps cost. A verdict of the threshold is compared with the plain count behind it.
"""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement import Agreement, Measure
from cleanroom.attribution.plain import plain_join
from cleanroom.data import load_binding, read_exposure, read_outcome
from cleanroom.errors import CleanroomError
from cleanroom.identity import load_identity
from cleanroom.plan import Plan, plan_of
from cleanroom.prepare import PreparationKeys
from cleanroom.release.accounting import privacy_cost
from cleanroom.release.noise import load_noise
from cleanroom.release.terms import ReleaseTerms, terms_of
from cleanroom.report import RunFiles

__all__ = ["MAX_DEVIATION", "CheckedCell", "SelfCheck", "compare", "self_check"]

MAX_DEVIATION: Final = 5.0
"""Standard errors beyond which a figure counts as wrong: of 50 honest figures one is, once in 30,000 runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCell:
    """One declared figure beside its truth, all in integer units.

    `deviation` is in standard errors; for a suppressed figure it is that of the gate's count from the threshold, and 0
    where suppressing was right.
    """

    group: str
    metric: str
    released: int | None = field(repr=False)
    capped: int = field(repr=False)
    uncapped: int = field(repr=False)
    std_error: float
    deviation: float = field(repr=False)
    off: int = field(repr=False)  # what is left of a released figure without noise and truth: 0

    @property
    def caps_cost(self) -> float:
        """The share of the uncapped figure that the agreed caps take away."""
        return 0.0 if self.uncapped == 0 else 1.0 - self.capped / self.uncapped


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """All declared figures, in the order of the release."""

    cells: tuple[CheckedCell, ...]

    @property
    def worst(self) -> CheckedCell:
        """The figure that is furthest from its truth."""
        return max(self.cells, key=lambda cell: abs(cell.deviation))

    @property
    def exact(self) -> int:
        """How many released figures are exactly the plain join plus both sides' recorded noise."""
        return sum(cell.released is not None and cell.off == 0 for cell in self.cells)

    def require(self) -> None:
        """Raises:
        CleanroomError: a figure is too far from the truth, or not exactly the truth and noise; it is named, without
            its value.
        """
        worst = self.worst
        if not abs(worst.deviation) <= MAX_DEVIATION:
            raise CleanroomError(
                f"self-check: {worst.metric} of {worst.group} is {abs(worst.deviation):.1f} standard errors from the "
                f"plain join, at most {MAX_DEVIATION:g} expected; please report this line as a bug"
            )
        for cell in self.cells:
            if cell.off != 0:
                raise CleanroomError(
                    f"self-check: {cell.metric} of {cell.group} is not exactly the plain join and both sides' noise; "
                    "please report this line as a bug"
                )


def self_check(agreement: Agreement, *, media: Path, shop: Path) -> SelfCheck:
    """Compares a finished demonstration with the plain join.

    Args:
        agreement: what both signed.
        media: the exposure side's folder: identity, binding.toml and `run`.
        shop: the outcome side's: binding.toml and `run`.

    Raises:
        CleanroomError: the two sides hold different releases.
    """
    plan = plan_of(agreement)
    terms = terms_of(agreement, plan)
    releases = [(folder / "run" / "release.json").read_bytes() for folder in (media, shop)]
    if releases[0] != releases[1]:
        raise CleanroomError("self-check: the two sides hold different releases; please report this line as a bug")
    key = PreparationKeys.of(load_identity(media), agreement).group_cap
    choice_key = PreparationKeys.of(load_identity(shop), agreement).shared_identifier
    with (
        closing(read_exposure(agreement, load_binding(media / "binding.toml"))) as touches,
        closing(read_outcome(agreement, load_binding(shop / "binding.toml"), choice_key=choice_key)) as outcomes,
    ):
        capped, uncapped = (
            plain_join(
                agreement,
                plan,
                touches.batches(),
                outcomes.batches(),
                outcomes.members(),
                group_cap_key=key,
                capped=with_caps,
            )
            for with_caps in (True, False)
        )
    noise = _recorded_noise(media, terms) + _recorded_noise(shop, terms)
    run = RunFiles.of({"release.json": releases[0]})
    return compare(agreement, plan, run, capped=capped, uncapped=uncapped, noise=noise)


def compare(
    agreement: Agreement,
    plan: Plan,
    run: RunFiles,
    *,
    capped: NDArray[np.int64],
    uncapped: NDArray[np.int64],
    noise: NDArray[np.int64],
) -> SelfCheck:
    """Compares a release with known answers.

    Args:
        agreement: what was agreed.
        plan: of the same agreement.
        run: its release.
        capped: groups × columns, the plain join under the agreed caps, integer units.
        uncapped: the same without caps.
        noise: the same shape, what both sides added together.
    """
    errors = privacy_cost(agreement, plan).std_errors
    cells = []
    for g, group in enumerate(agreement.exposure.released_groups):
        for j, column in enumerate(plan.columns):
            if not column.declared:
                continue
            released = run.cells[group, column.name].units
            gate = int(capped[g, column.gate]) - agreement.release.min_people
            over = _deviation(gate, errors[column.gate])  # of the true count over the threshold
            if released is None:
                deviation = max(0.0, over)
            else:
                own = _deviation(released - int(capped[g, j]), errors[j])
                deviation = max(own, min(0.0, over), key=abs)
            cells.append(
                CheckedCell(
                    group=group,
                    metric=column.name,
                    released=released,
                    capped=int(capped[g, j]),
                    uncapped=int(uncapped[g, j]),
                    std_error=errors[j],
                    deviation=deviation,
                    off=0 if released is None else released - int(noise[g, j]) - int(capped[g, j]),
                )
            )
    return SelfCheck(cells=tuple(cells))


def unit_of(agreement: Agreement, metric: str) -> Decimal:
    """What one integer unit of a metric is: 1, or the agreed precision of money."""
    found = next(entry for entry in plan_of(agreement).columns if entry.name == metric)
    money = (agreement.outcome.precision or Decimal(1)) if found.measure is Measure.SUM else Decimal(1)
    return money / found.unit


def _recorded_noise(folder: Path, terms: ReleaseTerms) -> NDArray[np.int64]:
    recorded = json.loads((folder / "run" / "audit.private").read_bytes())
    return load_noise(recorded["noise"], terms)


def _deviation(difference: int, std_error: float) -> float:
    if std_error > 0:
        return difference / std_error
    return math.copysign(math.inf, difference) if difference else 0.0
