"""What a campaign added, from the released totals of two arms: estimates with both kinds of error.

An arm has a total S of what is compared (y of each person), the total Q of its squares, and perhaps its people N, each
with the noise that the release added. Two estimators; docs/explanation/lift.md derives them.

**Assigned**, share p of the people in test, k = p / (1 − p): I = S_T − k·S_C. Everybody assigned counts, and who is
matched may depend on the arm. Sampling variance Q_T + k²·Q_C: each person's arm is a lottery of its own (the
Horvitz–Thompson estimator under Bernoulli assignment, whose variance this bounds from above by I²/people).

**Matched**: I = N_T·(S_T/N_T − S_C/N_C), the difference of the averages over the test arm's matched people; sampling
variance N_T²·(s_T²/N_T + s_C²/N_C) with the sample variances s² from Q, as Welch's test has it.

Noise adds its own, known variance. Inside Q it only blurs the variance, whose own error becomes degrees of freedom
(Satterthwaite, "An approximate distribution of estimates of variance components", 1946): with a blurred variance
intervals are those of Student's t. Without noise the matched estimate and its interval are exactly Welch's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from cleanroom.lift.intervals import Interval, fieller, t_quantile

__all__ = ["Arm", "Estimate", "Noisy", "assigned_lift", "change_lift", "matched_lift", "per_person"]

LEAST_PEOPLE = 2
LEAST_DEVIATIONS = 5.0
"""An arm's people must be so many standard deviations of their noise: below, an average has no normal error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noisy:
    """A released total in integer units, and the variance of the noise in it."""

    value: int = field(repr=False)
    noise: float  # variance, of both sides' noise together

    def __add__(self, other: Noisy) -> Noisy:
        return Noisy(value=self.value + other.value, noise=self.noise + other.noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm's released totals."""

    total: Noisy
    squares: Noisy
    people: Noisy | None

    @property
    def counted(self) -> bool:
        """Whether its people are enough to divide by."""
        people = self.people
        if people is None:
            return False
        return people.value >= max(LEAST_PEOPLE, LEAST_DEVIATIONS * math.sqrt(people.noise))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its variance in two parts, and what its relative size is measured against.

    `freedom` are the degrees of freedom of the whole variance. The relative lift is numerator / denominator − 1.
    """

    value: float = field(repr=False)
    sampling: float  # variance
    noise: float  # variance
    freedom: float
    numerator: float = field(repr=False)
    denominator: float = field(repr=False)
    ratio_variances: tuple[float, float] = field(repr=False)
    ratio_covariance: float = 0.0

    @property
    def std_error(self) -> float:
        """Of sampling and noise together."""
        return math.sqrt(self.sampling + self.noise)

    def interval(self, confidence: float) -> Interval:
        """Around the value, to both sides alike."""
        reach = self._t(confidence) * self.std_error
        return Interval(low=self.value - reach, high=self.value + reach)

    @property
    def relative(self) -> float | None:
        """The relative lift, None where there is nothing to compare with."""
        return self.numerator / self.denominator - 1 if self.denominator > 0 else None

    def relative_interval(self, confidence: float, *, least: float | None) -> Interval:
        """Of the relative lift, by Fieller; without ends where the denominator may be zero.

        Args:
            confidence: of the interval.
            least: what a lift cannot be below (−1 where the figures compared are never negative).
        """
        found = fieller(
            self.numerator,
            self.denominator,
            variances=self.ratio_variances,
            covariance=self.ratio_covariance,
            t=self._t(confidence),
        )
        if found.low is None or found.high is None:
            return found
        floor = -math.inf if least is None else least
        return Interval(low=max(floor, found.low - 1), high=max(floor, found.high - 1))

    def _t(self, confidence: float) -> float:
        return t_quantile((1 + confidence) / 2, self.freedom)


def assigned_lift(test: Arm, control: Arm, *, share: float, cap: int) -> Estimate:
    """What the campaign added in the test arm, everybody assigned counted.

    Args:
        test, control: the arms; their people are not used.
        share: of the assigned, in the test arm; in (0, 1).
        cap: the most that one person can add to a total, integer units.
    """
    k = share / (1 - share)
    parts = [(1.0, test), (k, control)]
    # Whole numbers are at most their squares, so noise cannot make the squares less than the total.
    squares = [max(arm.squares.value, arm.total.value, 0) for _, arm in parts]
    sampling = sum(weight**2 * square for (weight, _), square in zip(parts, squares, strict=True))
    noise = sum(weight**2 * arm.total.noise for weight, arm in parts)
    blur = sum(
        weight**4 * (_fourth_powers(arm.total.value, square, cap) + arm.squares.noise)
        for (weight, arm), square in zip(parts, squares, strict=True)
    )
    numerator, denominator = float(test.total.value), k * control.total.value
    return Estimate(
        value=numerator - denominator,
        sampling=sampling,
        noise=noise,
        freedom=_freedom(sampling + noise, blur),
        numerator=numerator,
        denominator=denominator,
        ratio_variances=(squares[0] + test.total.noise, k**2 * (squares[1] + control.total.noise)),
    )


def matched_lift(test: Arm, control: Arm) -> Estimate:
    """What the campaign added in the test arm: the difference of the averages times its matched people.

    Args:
        test, control: the arms; both `counted`.
    """
    people, other = _counts(test), _counts(control)
    means = (test.total.value / people, control.total.value / other)
    variances = (_variance(test), _variance(control))
    sampling = people**2 * (variances[0] / people + variances[1] / other)
    noise = _total_noise(test, control, means[1])
    blur = people**4 * (_blur(test, variances[0]) + _blur(control, variances[1]))
    return Estimate(
        value=people * (means[0] - means[1]),
        sampling=sampling,
        noise=noise,
        freedom=_freedom(sampling + noise, blur),
        numerator=means[0],
        denominator=means[1],
        ratio_variances=(
            variances[0] / people + _mean_noise(test, means[0]),
            variances[1] / other + _mean_noise(control, means[1]),
        ),
    )


def change_lift(test: Arm, control: Arm, after: Noisy) -> Estimate:
    """Difference in differences: as `matched_lift` on changes, with a relative lift of the test arm's own figure.

    The relative lift is of these very people: their total after the touch (known up to its noise) against the same
    total without what the campaign added.

    Args:
        test, control: arms whose totals are of changes; both `counted`.
        after: the test arm's total after the touch.
    """
    found = matched_lift(test, control)
    return replace(
        found,
        numerator=float(after.value),
        denominator=after.value - found.value,
        ratio_variances=(after.noise, after.noise + found.sampling + found.noise),
        ratio_covariance=after.noise,
    )


def per_person(estimate: Estimate, test: Arm, control: Arm | None) -> Estimate:
    """The estimate divided by the test arm's matched people.

    Args:
        estimate: of the whole arm.
        test: `counted`.
        control: the other arm where averages are compared; None where totals are.
    """
    people = _counts(test)
    value = estimate.value / people
    if control is None:
        noise = (estimate.noise + value**2 * _noise_of_people(test)) / people**2
    else:
        noise = _mean_noise(test, test.total.value / people)
        noise += _mean_noise(control, control.total.value / _counts(control))
    return replace(estimate, value=value, sampling=estimate.sampling / people**2, noise=noise)


def _fourth_powers(total: int, squares: int, cap: int) -> float:
    """The total of y⁴, which nobody releases: how far Q may be from its expectation.

    S and Q bound it by Q·(Q/S)² from below (moments are log-convex) and Q·cap² from above; taken is the geometric
    middle of both, Q·cap·Q/S. For ones it is exact.
    """
    ratio = squares / total if total > 0 else float(cap)
    return cap * min(float(cap), max(1.0, ratio)) * squares


def _counts(arm: Arm) -> int:
    if arm.people is None or not arm.counted:
        raise ValueError("an arm with too few people has no average")
    return arm.people.value


def _noise_of_people(arm: Arm) -> float:
    return 0.0 if arm.people is None else arm.people.noise


def _variance(arm: Arm) -> float:
    """The sample variance, in whole numbers as far as they go; noise in S would make it too small on average."""
    people = _counts(arm)
    exact = people * arm.squares.value - arm.total.value**2
    return max(0.0, (exact + arm.total.noise) / (people * (people - 1)))


def _blur(arm: Arm, variance: float) -> float:
    """The variance of an average's estimated variance: normal theory, and the noise inside the squares."""
    people = _counts(arm)
    mean = arm.total.value / people
    noise = (arm.squares.noise + (2 * mean) ** 2 * arm.total.noise) / (people - 1) ** 2
    return (2 * variance**2 / (people - 1) + noise) / people**2


def _total_noise(test: Arm, control: Arm, mean: float) -> float:
    """Of N_T·(S_T/N_T − S_C/N_C) = S_T − (N_T/N_C)·S_C, `mean` being that of the control arm."""
    ratio = _counts(test) / _counts(control)
    totals = test.total.noise + ratio**2 * control.total.noise
    return totals + mean**2 * (_noise_of_people(test) + ratio**2 * _noise_of_people(control))


def _mean_noise(arm: Arm, mean: float) -> float:
    return (arm.total.noise + mean**2 * _noise_of_people(arm)) / _counts(arm) ** 2


def _freedom(variance: float, blur: float) -> float:
    """Degrees of freedom of a variance with an error of its own; at least one."""
    return max(1.0, 2 * variance**2 / blur) if blur > 0 else math.inf
