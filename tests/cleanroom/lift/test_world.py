"""Lift on the synthetic world, where both potential outcomes of everybody are known."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from cleanroom.agreement.model import Measure, Noise
from cleanroom.plan import plan_of
from cleanroom.release.terms import terms_of
from cleanroom.simulate import Parameters, World
from cleanroom.simulate.exposures import TEST
from cleanroom.simulate.parameters import DAY
from tests.cleanroom.lift.arms import ORDERS_CAP, Ints, agreement_of, coverage, rows_of, seeded_noise

RUNS, PEOPLE, WINDOW, ORDER = 1000, 1000, 15, 4


def figures(measure: Measure) -> tuple[Ints, Ints]:
    """Totals and squares by run and arm, and what the campaign added to the people of the test arm, by run.

    A run is a stretch of people of one world; everybody assigned counts, known to the shop or not.
    """
    parameters = Parameters(people=RUNS * PEOPLE, seed=11, campaigns=1, effect=Decimal("0.1"), overlap=Decimal(1))
    (campaign,) = parameters.plan()
    cells: Ints = np.zeros((RUNS, 2, 2), dtype=np.int64)
    added: Ints = np.zeros(RUNS, dtype=np.int64)
    for block in World(parameters).blocks(PEOPLE * 25):
        people = len(block.crowd)
        without: Ints = np.zeros(people, dtype=np.int64)
        caused: Ints = np.zeros(people, dtype=np.int64)
        for sessions, counts in ((block.own, without), (block.caused, caused)):
            after = sessions.at[ORDER - 1] // DAY - campaign.start_day
            ordered = (sessions.depth == ORDER) & (after >= 0) & (after < WINDOW)
            np.add.at(counts, sessions.row[ordered], 1)
        shop = block.crowd.shop
        cap = 1 if measure is Measure.PEOPLE else ORDERS_CAP
        untreated = np.minimum(without * shop, cap)
        treated = np.minimum((without + caused) * shop, cap)
        row, arm = block.assigned.row, block.assigned.arm
        run = block.crowd.person[row] // PEOPLE
        tested = arm == TEST
        seen = np.where(tested, treated[row], untreated[row])
        for place, value in enumerate((seen, seen**2)):
            np.add.at(cells, (run, np.where(tested, 0, 1), place), value)
        np.add.at(added, run[tested], (treated - untreated)[row[tested]])
    return cells, added


@pytest.mark.parametrize(
    ("measure", "noises"), [(Measure.PEOPLE, (Noise.NONE, Noise.GAUSSIAN)), (Measure.EVENTS, (Noise.NONE,))]
)
def test_intervals_hold_what_the_campaign_truly_added(measure: Measure, noises: tuple[Noise, ...]) -> None:
    """Some 25 to 60 orders an arm: squares under noise are then held to be at least their total, which is cautious."""
    cells, added = figures(measure)
    assert added.mean() > 5
    for noise in noises:
        agreement = agreement_of(measure, noise=noise, epsilon=20.0)
        plan, terms = plan_of(agreement), terms_of(agreement, plan_of(agreement))
        clear = np.zeros((2 * RUNS, len(plan.columns)), dtype=np.int64)
        for index, column in enumerate(plan.columns):
            clear[:, index] = cells[:, :, int(column.squared)].reshape(-1)
        values = clear + sum(seeded_noise(terms, np.random.default_rng(seed)) for seed in (1, 2))
        rows = rows_of(agreement, plan, np.asarray(values, dtype=np.int64))
        mean = float(np.mean([row.incremental or 0.0 for row in rows]))
        spread = float(np.std([row.incremental or 0.0 for row in rows]))
        assert abs(mean - added.mean()) < 4 * spread / np.sqrt(RUNS)  # right on average
        # the expected effect is what an interval is about; the added one of these people varies less
        assert 0.93 <= coverage(rows, lambda row, run: float(added.mean())) <= 0.97
        assert coverage(rows, lambda row, run: float(added[run])) >= 0.93
