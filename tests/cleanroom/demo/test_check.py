from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Noise
from cleanroom.demo.check import SelfCheck, compare
from cleanroom.errors import CleanroomError
from cleanroom.plan import plan_of
from cleanroom.release.accounting import privacy_cost
from cleanroom.report import RunFiles
from tests.cleanroom.report.samples import sample_agreement, sample_files

AGREEMENT = sample_agreement()
RUN = RunFiles.of(sample_files(AGREEMENT))
SUPPRESSED = 3  # the group whose people are too few
BUYERS_15D = 2  # a column, and a gate of the orders and sales within 15 days


def answers(agreement: Agreement, run: RunFiles) -> NDArray[np.int64]:
    """What the clear data would say if the release were exact; the suppressed group has 30 people."""
    names = [column.name for column in plan_of(agreement).columns]
    figures = [[run.cells[group, name].units for name in names] for group in agreement.exposure.groups]
    return np.array([[30 if units is None else units for units in row] for row in figures], dtype=np.int64)


def checked(capped: NDArray[np.int64], uncapped: NDArray[np.int64] | None = None) -> SelfCheck:
    """The check of `RUN` where all that is not `capped` was noise."""
    return compare(
        AGREEMENT,
        plan_of(AGREEMENT),
        RUN,
        capped=capped,
        uncapped=capped if uncapped is None else uncapped,
        noise=answers(AGREEMENT, RUN) - capped,
    )


def test_an_exact_release_is_right() -> None:
    check = checked(answers(AGREEMENT, RUN))
    check.require()
    assert check.worst.deviation == 0
    assert len(check.cells) == 30
    assert check.exact == 24


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_wrong_figure_is_caught_and_named(column: int, sign: int) -> None:
    errors = privacy_cost(AGREEMENT, plan_of(AGREEMENT)).std_errors
    name = plan_of(AGREEMENT).columns[column].name
    truth = answers(AGREEMENT, RUN)
    truth[1, column] += round(sign * 4.9 * errors[column])
    checked(truth).require()
    truth[1, column] += round(sign * 0.2 * errors[column])
    with pytest.raises(CleanroomError, match=rf"self-check: {name} of c1 is 5\.1 standard errors"):
        checked(truth).require()


def test_figures_of_another_campaign_are_caught() -> None:
    with pytest.raises(CleanroomError, match="self-check"):
        checked(np.roll(answers(AGREEMENT, RUN), 1, axis=0)).require()


def test_suppressing_many_people_is_caught() -> None:
    truth = answers(AGREEMENT, RUN)
    truth[SUPPRESSED, BUYERS_15D] = 400
    with pytest.raises(CleanroomError, match="buyers_15d of c3"):
        checked(truth).require()


def test_releasing_what_few_people_stand_behind_is_caught() -> None:
    truth = answers(AGREEMENT, RUN)
    truth[0, BUYERS_15D] = -40  # no count is negative: far enough below the threshold for any noise
    found = {cell.metric: cell.deviation for cell in checked(truth).cells if cell.group == "c0"}
    assert found["orders_15d"] < -5
    assert found["sales_15d"] < -5


def test_without_noise_one_off_is_caught() -> None:
    agreement = sample_agreement(noise=Noise.NONE)
    run, plan = RunFiles.of(sample_files(agreement)), plan_of(agreement)
    truth = answers(agreement, run)
    nothing = np.zeros_like(truth)
    compare(agreement, plan, run, capped=truth, uncapped=truth, noise=nothing).require()
    truth[4, 5] += 1
    with pytest.raises(CleanroomError, match="sales_15d of c4 is inf standard errors"):
        compare(agreement, plan, run, capped=truth, uncapped=truth, noise=nothing).require()


def test_a_figure_that_is_off_by_less_than_the_noise_is_caught() -> None:
    truth = answers(AGREEMENT, RUN)
    noise = np.zeros_like(truth)
    noise[2, 4] = 1
    check = compare(AGREEMENT, plan_of(AGREEMENT), RUN, capped=truth, uncapped=truth, noise=noise)
    assert check.exact == 23
    with pytest.raises(CleanroomError, match="orders_15d of c2 is not exactly the plain join and both sides' noise"):
        check.require()


def test_what_the_caps_cost_is_a_share_of_the_uncapped_answer() -> None:
    truth = answers(AGREEMENT, RUN)
    uncapped = truth.copy()
    uncapped[0, 4] = truth[0, 4] * 2
    cells = {(cell.group, cell.metric): cell for cell in checked(truth, uncapped).cells}
    assert cells["c0", "orders_15d"].caps_cost == pytest.approx(0.5)
    assert cells["c1", "orders_15d"].caps_cost == 0
