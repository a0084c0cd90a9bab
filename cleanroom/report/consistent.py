"""Consistent estimates: the nearest figures, by weighted least squares, that keep an order which the truth must keep.

Functionality: noised figures in, estimates out: plain post-processing of what was released, so it costs no privacy. An
order is given as chains of positions along which values must not decrease. One chain is solved exactly by pooling
adjacent violators; several that share positions by Dykstra's alternating projections, which converge to the nearest
point of the intersection.

Sources: Barlow, Bartholomew, Bremner, Brunk, "Statistical Inference under Order Restrictions" (1972) for pooling;
Boyle and Dykstra (1986) for the projections; Hay, Rastogi, Miklau, Suciu (VLDB 2010) for the use on noised counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["in_order", "nearest_in_order", "pooled"]

_ROUNDS: Final = 1000
_CLOSE: Final = 1e-9
"""Relative change of a round under which the projections have converged."""


def pooled(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to `values` in weighted squares (pool adjacent violators).

    Args:
        values: n numbers.
        weights: n numbers above 0, one over the variance of each.

    Returns:
        n numbers.
    """
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        mean, total, length = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, heavier, longer = blocks.pop()
            mean = (before * heavier + mean * total) / (heavier + total)
            total += heavier
            length += longer
        blocks.append((mean, total, length))
    return [mean for mean, _, length in blocks for _ in range(length)]


def nearest_in_order(values: Sequence[float], weights: Sequence[float], chains: Sequence[Sequence[int]]) -> list[float]:
    """The point nearest to `values` that is non-decreasing along every chain and nowhere negative.

    Args:
        values: n numbers.
        weights: n numbers above 0, one over the variance of each.
        chains: positions in `values`; a chain names none twice.

    Returns:
        n numbers.
    """
    point = [float(value) for value in values]
    if not in_order(point, chains):
        moved = [[0.0] * len(chain) for chain in chains]
        scale = max(abs(value) for value in point)
        for _ in range(_ROUNDS):
            change = 0.0
            for chain, back in zip(chains, moved, strict=True):
                start = [point[at] + shift for at, shift in zip(chain, back, strict=True)]
                found = pooled(start, [weights[at] for at in chain])
                for place, at in enumerate(chain):
                    change = max(change, abs(found[place] - point[at]))
                    back[place] = start[place] - found[place]
                    point[at] = found[place]
            if change <= _CLOSE * scale:
                break
    return [max(0.0, value) for value in point]  # with bounds on all alike, the bounded solution is the cut one


def in_order(values: Sequence[float], chains: Sequence[Sequence[int]]) -> bool:
    """Whether values do not decrease along any chain."""
    return all(values[low] <= values[high] for chain in chains for low, high in pairwise(chain))
