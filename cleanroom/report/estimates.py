"""Consistent estimates of a release's people: no stage of the funnel above the one before, no window below a shorter.

They rest on an assumption, that the agreement's events come in the order of the funnel and nobody skips one. Where the
released figures contradict it by more than their noise could, the group has no estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from cleanroom.agreement.model import Measure, Noise
from cleanroom.report.consistent import nearest_in_order
from cleanroom.report.run_files import ReportedMetric, RunFiles
from cleanroom.report.stages import by_window, events, matched

__all__ = ["consistent_people"]

BEYOND_NOISE: Final = 4.5
"""Standard errors of a difference beyond which noise is no explanation: fewer than 4 of a million are by chance."""


def consistent_people(run: RunFiles) -> Mapping[tuple[str, str], float]:
    """Estimates by (group, metric) of matched people and people by event and window.

    Exact figures have none. A suppressed figure has none, and the order goes over it.
    """
    if run.noise is Noise.NONE:
        return {}
    people = {event: by_window(run, event, Measure.PEOPLE) for event in events(run)}
    chains = _chains(matched(run), people)
    found: dict[tuple[str, str], float] = {}
    for group in run.groups:
        found |= _of_group(run, group, chains)
    return found


def _chains(
    first: ReportedMetric | None, people: Mapping[str, Mapping[int, ReportedMetric]]
) -> list[list[ReportedMetric]]:
    """Metrics from small to large: the stages of each window from the last on, the windows of each stage."""
    chains = [list(metrics.values()) for metrics in people.values()]
    for ticks in sorted({ticks for metrics in people.values() for ticks in metrics}):
        stages = [metrics[ticks] for metrics in people.values() if ticks in metrics]
        chains.append([*reversed(stages), *([] if first is None else [first])])
    return [chain for chain in chains if len(chain) > 1]


def _of_group(run: RunFiles, group: str, chains: Sequence[Sequence[ReportedMetric]]) -> dict[tuple[str, str], float]:
    positions: dict[str, int] = {}
    values: list[float] = []
    weights: list[float] = []
    kept: list[list[int]] = []
    for chain in chains:
        places = []
        for metric in chain:
            cell = run.cells[group, metric.name]
            if cell.value is None:
                continue
            if metric.name not in positions:
                positions[metric.name] = len(values)
                values.append(cell.value)
                weights.append(1 / cell.std_error**2)
            places.append(positions[metric.name])
        kept.append(places)
        for low, high in pairwise(places):
            if values[low] - values[high] > BEYOND_NOISE * math.sqrt(1 / weights[low] + 1 / weights[high]):
                return {}
    estimates = nearest_in_order(values, weights, kept)
    return {(group, name): estimates[place] for name, place in positions.items()}
