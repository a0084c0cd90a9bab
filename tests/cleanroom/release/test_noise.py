"""The statistics of the drawn noise, and its record."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cleanroom.agreement.model import Noise
from cleanroom.errors import DataError
from cleanroom.plan import plan_of
from cleanroom.release.noise import draw_noise, load_noise, record_noise
from cleanroom.release.terms import ReleaseTerms, terms_of
from tests.cleanroom.release.worlds import BUYERS, ORDERS, make_agreement


def make_terms(noise: Noise, groups: int, epsilon: float = 2.0) -> ReleaseTerms:
    agreement = make_agreement(metrics=(BUYERS, ORDERS), noise=noise, groups=groups, epsilon=epsilon)
    return terms_of(agreement, plan_of(agreement))


@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.LAPLACE])
@pytest.mark.parametrize("epsilon", [2.0, 8.0])
def test_drawn_noise_has_the_announced_spread(noise: Noise, epsilon: float) -> None:
    # 20,000 draws a column: the standard deviation is known to 0.5 % (1.2 % for Laplace), the bounds are six times that
    terms = make_terms(noise, 20_000, epsilon)
    drawn = draw_noise(terms).astype(float)
    for column in range(2):
        one_side = terms.std_errors[column] / math.sqrt(2)
        assert abs(drawn[:, column].mean()) < 6 * one_side / math.sqrt(20_000)
        assert drawn[:, column].std() == pytest.approx(one_side, rel=0.07)
    # cells are drawn one by one: neighbours and columns are not correlated
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.05
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.05


def test_the_two_mechanisms_have_their_own_shapes() -> None:
    """The mean distance from zero in standard deviations: known to 0.4 % at most, and unlike the kurtosis to one far
    draw, which comes once in 100,000 times, blind."""
    for noise, ratio in ((Noise.GAUSSIAN, math.sqrt(2 / math.pi)), (Noise.LAPLACE, math.sqrt(1 / 2))):
        drawn = draw_noise(make_terms(noise, 40_000)).astype(float)[:, 1]
        assert float(np.abs(drawn).mean() / drawn.std()) == pytest.approx(ratio, rel=0.04)


def test_no_noise_is_zero() -> None:
    assert not draw_noise(make_terms(Noise.NONE, 4)).any()


def test_two_draws_differ() -> None:
    terms = make_terms(Noise.GAUSSIAN, 50)
    assert draw_noise(terms).tolist() != draw_noise(terms).tolist()


def test_recorded_noise_is_read_back() -> None:
    terms = make_terms(Noise.GAUSSIAN, 5)
    drawn = draw_noise(terms)
    assert load_noise(record_noise(drawn), terms).tolist() == drawn.tolist()


@pytest.mark.parametrize("recorded", [[], [[1]], [[1, 2]] * 4, [[1, 2, 3]] * 5, [["x", 2]] * 5, [[2**70, 1]] * 5])
def test_a_record_of_another_shape_is_refused(recorded: list[list[int]]) -> None:
    with pytest.raises(DataError, match="recorded noise: 5 × 2 integers expected"):
        load_noise(recorded, make_terms(Noise.GAUSSIAN, 5))
