"""Consistent estimates against plain references: the best monotone fit by brute force, and what it must not do."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.agreement.model import Noise
from cleanroom.report.consistent import in_order, nearest_in_order, pooled
from cleanroom.report.estimates import consistent_people
from cleanroom.report.run_files import RunFiles
from cleanroom.report.stages import by_window, events, matched
from tests.cleanroom.report.samples import full_agreement, full_files

numbers = st.integers(-50, 200).map(float)
weighted = st.lists(st.tuples(numbers, st.sampled_from([0.25, 1.0, 3.0])), min_size=1, max_size=7)


def best_of_all_blocks(values: list[float], weights: list[float]) -> list[float]:
    """The best monotone fit, by trying every way to cut the sequence into blocks of one value each."""
    best: tuple[float, list[float]] | None = None
    for cuts in product((False, True), repeat=len(values) - 1):
        bounds = [0, *(place + 1 for place, cut in enumerate(cuts) if cut), len(values)]
        fit: list[float] = []
        for low, high in pairwise(bounds):
            fit += [float(np.average(values[low:high], weights=weights[low:high]))] * (high - low)
        if all(one <= other + 1e-12 for one, other in pairwise(fit)):
            loss = sum(w * (v - f) ** 2 for v, w, f in zip(values, weights, fit, strict=True))
            best = (loss, fit) if best is None or loss < best[0] else best
    assert best is not None
    return best[1]


@given(weighted)
def test_pooling_finds_the_best_monotone_fit(pairs: list[tuple[float, float]]) -> None:
    values, weights = [value for value, _ in pairs], [weight for _, weight in pairs]
    assert pooled(values, weights) == pytest.approx(best_of_all_blocks(values, weights))


@given(st.lists(numbers, min_size=6, max_size=6), st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=6, max_size=6))
@settings(max_examples=60)
def test_a_grid_gets_the_nearest_point_that_every_chain_allows(values: list[float], weights: list[float]) -> None:
    """Two stages by three windows, against gradient steps on the dual: an unrelated way to the same projection."""
    chains = [[0, 1, 2], [3, 4, 5], [3, 0], [4, 1], [5, 2]]
    found = nearest_in_order(values, weights, chains)
    edges = [pair for chain in chains for pair in pairwise(chain)]
    matrix = np.zeros((len(edges), 6))
    for row, (low, high) in enumerate(edges):
        matrix[row, low], matrix[row, high] = 1.0, -1.0
    inverse = 1 / np.array(weights)
    dual = np.zeros(len(edges))
    step = 0.9 / np.linalg.eigvalsh(matrix @ np.diag(inverse) @ matrix.T)[-1]
    for _ in range(6000):
        point = np.array(values) - inverse * (matrix.T @ dual)
        dual = np.maximum(0, dual + step * (matrix @ point))
    assert found == pytest.approx(np.maximum(0, np.array(values) - inverse * (matrix.T @ dual)).tolist(), abs=0.05)


def test_figures_in_order_stay_as_they_were_released() -> None:
    values = [90.0, 120.0, 130.0, 20.0, 60.0, 61.0]
    chains = [[0, 1, 2], [3, 4, 5], [3, 0], [4, 1], [5, 2]]
    assert nearest_in_order(values, [1.0] * 6, chains) == values


def test_estimates_of_a_release_keep_every_order() -> None:
    run = RunFiles.of(full_files(full_agreement(epsilon=2.0)))
    found = consistent_people(run)
    first = matched(run)
    assert first is not None
    moved = 0
    for group in run.groups:
        stages = {event: by_window(run, event, run.declared[1].measure) for event in events(run)}
        for metrics in stages.values():
            values = [found[group, metric.name] for metric in metrics.values() if (group, metric.name) in found]
            assert all(low <= high + 1e-3 for low, high in pairwise(values))
        for ticks in (1, 3, 7, 15, 30, 70):
            names = [first.name, *(metrics[ticks].name for metrics in stages.values())]
            values = [found[group, name] for name in names if (group, name) in found]
            assert all(high >= low - 1e-3 for high, low in pairwise(values))
        moved += sum(abs(found[key] - (run.cells[key].value or 0)) > 1 for key in found if key[0] == group)
    assert moved > 0


def test_exact_figures_have_no_estimate() -> None:
    assert consistent_people(RunFiles.of(full_files(full_agreement(noise=Noise.NONE)))) == {}


def test_where_noise_is_no_explanation_there_is_no_estimate() -> None:
    run = RunFiles.of(full_files())
    key = ("note-1", "order_70d")
    beyond = replace(run.cells[key], value=(run.cells["note-1", "matched"].value or 0) + 500)
    found = consistent_people(replace(run, cells={**run.cells, key: beyond}))
    assert not any(group == "note-1" for group, _ in found)
    assert any(group == "note-5" for group, _ in found)


def test_order_is_order() -> None:
    assert in_order([1.0, 1.0, 2.0], [[0, 1, 2]])
    assert not in_order([1.0, 0.9], [[0, 1]])
