"""How well two samples can be told apart: lower bounds on epsilon, and on the rho of a Gaussian, that hold with
confidence.

An attacker sees one output and says which of two neighbouring inputs it came from. Every test that he may try, an
event E, gives a bound: a mechanism with (epsilon, delta) has P[E | first] <= e^epsilon · P[E | second] + delta. The
tests are thresholds of a few statistics; which test, threshold and direction is best is learned on one half of the
runs, and the bound comes from the other half alone, by exact (Clopper–Pearson) intervals. So a bound that lies above
the promise by chance has a probability of at most `MISTAKE`, whatever the statistics are.

Sources: Clopper and Pearson (Biometrika 26, 1934); Jagielski, Ullman, Oprea, "Auditing Differentially Private Machine
Learning" (NeurIPS 2020) for the bound; Nasr et al., "Tight Auditing of Differentially Private Machine Learning" (USENIX
Security 2023) for the second one: for a Gaussian, the normal quantiles of the two probabilities differ by at most mu,
and rho = mu²/2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MISTAKE", "Bounds", "Statistic", "bounds", "interval"]

MISTAKE: Final = 1e-6
"""Probability that a bound is wrong: two intervals of half of it each."""
_THRESHOLDS: Final = 200
_NORMAL: Final = NormalDist()
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A number for each run; large values speak for the first input."""

    name: str
    first: Floats
    second: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the runs prove, each with the statistic that proved it."""

    epsilon: float
    epsilon_by: str
    mu: float
    mu_by: str

    @property
    def rho(self) -> float:
        """The zero-concentrated cost of a Gaussian mechanism with this mu."""
        return self.mu * self.mu / 2.0


def interval(hits: int, runs: int) -> tuple[float, float]:
    """The exact interval of a probability, each end wrong with probability `MISTAKE` / 2 at most.

    Args:
        hits: runs in which the event happened.
        runs: all of them.
    """
    return _lower(hits, runs), 1.0 - _lower(runs - hits, runs)


def _lower(hits: int, runs: int) -> float:
    """The largest p under which `hits` or more of `runs` are seen with probability at most MISTAKE / 2."""
    if hits == 0:
        return 0.0
    k = np.arange(hits, runs + 1, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, runs + 1, dtype=np.float64)))])
    choose = logs[runs] - logs[hits:] - logs[runs - hits :: -1]
    low, high = 0.0, hits / runs
    for _ in range(60):
        middle = (low + high) / 2
        terms = choose + k * math.log(middle) + (runs - k) * math.log1p(-middle)
        top = float(terms.max())
        tail = top + math.log(float(np.exp(terms - top).sum()))
        low, high = (middle, high) if tail <= math.log(MISTAKE / 2) else (low, middle)
    return low


def bounds(statistics: list[Statistic], *, delta: float) -> Bounds:
    """Bounds epsilon and mu from below.

    Args:
        statistics: of the same runs, the same number of each input.
        delta: the promised one.
    """
    tests = [test for entry in statistics for test in _learn(entry, delta)]
    best = max(tests, key=lambda test: test.epsilon)
    p_low, q_high = best.check()
    epsilon = max(0.0, math.log((p_low - delta) / q_high)) if p_low > delta else 0.0
    normal = max(tests, key=lambda test: test.mu)
    p, q = normal.check()
    mu = max(0.0, _NORMAL.inv_cdf(p) - _NORMAL.inv_cdf(q)) if 0 < p < 1 and 0 < q < 1 else 0.0
    return Bounds(epsilon=epsilon, epsilon_by=best.statistic.name, mu=mu, mu_by=normal.statistic.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    """The event that a statistic is at least a threshold (or below it), and what it seems to prove."""

    statistic: Statistic
    threshold: float
    above: bool
    epsilon: float
    mu: float

    def check(self) -> tuple[float, float]:
        """The least probability of the event for the input it speaks for, the largest for the other: second half."""
        samples = (self.statistic.first, self.statistic.second)
        favoured, other = samples if self.above else samples[::-1]
        return interval(*self._hits(favoured))[0], interval(*self._hits(other))[1]

    def _hits(self, sample: Floats) -> tuple[int, int]:
        half = sample[len(sample) // 2 :]
        above = int((half >= self.threshold).sum())
        return (above if self.above else len(half) - above), len(half)


def _learn(statistic: Statistic, delta: float) -> list[_Test]:
    """The best tests of a statistic on the first half of the runs, judged by careful approximate intervals."""
    first, second = (np.sort(half[: len(half) // 2]) for half in (statistic.first, statistic.second))
    thresholds = np.unique(np.quantile(np.concatenate([first, second]), np.linspace(0, 1, _THRESHOLDS)))
    runs = len(first)
    p = 1 - np.searchsorted(first, thresholds) / runs
    q = 1 - np.searchsorted(second, thresholds) / runs
    found = []
    for above, favoured, other in ((True, p, q), (False, 1 - q, 1 - p)):
        low = _careful(favoured, runs, -1)
        high = _careful(other, runs, 1)
        with np.errstate(divide="ignore"):
            epsilon = np.where(low > delta, np.log(np.maximum(low - delta, 1e-300) / high), 0.0)
        mu = np.array([_NORMAL.inv_cdf(a) - _NORMAL.inv_cdf(b) for a, b in zip(low, high, strict=True)])
        for at in {int(epsilon.argmax()), int(mu.argmax())}:
            found.append(
                _Test(
                    statistic=statistic,
                    threshold=float(thresholds[at]),
                    above=above,
                    epsilon=float(epsilon[at]),
                    mu=float(mu[at]),
                )
            )
    return found


def _careful(rate: Floats, runs: int, sign: int) -> Floats:
    """About the end of the exact interval: Wilson's with five deviations."""
    z = 5.0
    centre = (rate + z * z / (2 * runs)) / (1 + z * z / runs)
    spread = z / (1 + z * z / runs) * np.sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    ends: Floats = np.clip(centre + sign * spread, 1e-12, 1 - 1e-12)
    return ends
