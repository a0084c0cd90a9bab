"""What a run will cost follows from public parameters, and grows with them as runs do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cleanroom import forecast as module
from cleanroom.agreement.model import Agreement, Noise, Profile, Role
from cleanroom.execute import join_parameters
from cleanroom.forecast import Forecast, forecast, traffic
from cleanroom.plan import plan_of
from cleanroom.protocols import private_join
from cleanroom.protocols.private_join import JoinParameters, Oprf
from cleanroom.protocols.seeds import Streams
from tests.cleanroom.attribution.funnel import joined, prepared, random_funnel
from tests.cleanroom.release.worlds import make_agreement
from tests.harness import run_pair
from tests.protocols.test_traffic import sent


def agreement_of(rows_exposure: int, rows_outcome: int, groups: int = 3) -> Agreement:
    agreement = make_agreement(groups=groups)
    choice = replace(agreement.protocol, max_rows_exposure=rows_exposure, max_rows_outcome=rows_outcome)
    return replace(agreement, protocol=choice)


@pytest.fixture(autouse=True)
def reference_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_scale", lambda: 1.0)
    monkeypatch.setattr(module, "_points_scale", lambda: 1.0)


def cost(agreement: Agreement, role: Role = Role.EXPOSURE) -> Forecast:
    return forecast(agreement, plan_of(agreement), role=role)


def test_both_sides_see_one_run() -> None:
    agreement = agreement_of(4096, 8192)
    first, second = cost(agreement), cost(agreement, Role.OUTCOME)
    assert (first.sent, first.received) == (second.received, second.sent)
    assert (first.steps, first.seconds) == (second.steps, second.seconds)
    assert sum(first.steps.values()) == first.sent.bytes + first.received.bytes


def test_bounds_cost_what_they_are_padded_to() -> None:
    assert cost(agreement_of(4097, 5000)) == cost(agreement_of(8192, 8192))
    assert cost(agreement_of(4096, 5000)) != cost(agreement_of(4097, 5000))


@pytest.mark.parametrize(
    ("rows_exposure", "rows_outcome"), [(1 << 18, 1 << 14), (1 << 14, 1 << 18), (1 << 20, 1 << 20)]
)
def test_bytes_and_time_are_linear_in_large_bounds(rows_exposure: int, rows_outcome: int) -> None:
    once, twice = (cost(agreement_of(factor * rows_exposure, factor * rows_outcome)) for factor in (1, 2))
    whole = [each.sent.bytes + each.received.bytes for each in (once, twice)]
    assert whole[1] / whole[0] == pytest.approx(2, rel=0.05)
    assert twice.seconds / once.seconds == pytest.approx(2, rel=0.05)
    assert once.memory_bytes < twice.memory_bytes < 2 * once.memory_bytes


@pytest.mark.parametrize(
    ("rows_exposure", "rows_outcome", "measured"),
    [
        (1024, 2048, (242, 239)),
        (65536, 2048, (272, 266)),
        (65536, 65536, (273, 262)),
        (131072, 131072, (310, 287)),
        (524288, 262144, (459, 391)),
    ],
)
def test_memory_is_that_of_measured_runs(rows_exposure: int, rows_outcome: int, measured: tuple[int, int]) -> None:
    """Peak resident MiB of both sides of runs with four groups and five columns: no less, and at most a fifth more."""
    agreement = agreement_of(rows_exposure, rows_outcome, groups=4)
    assert len(plan_of(agreement).columns) == 6  # a column more than the runs had
    for role, peak in zip(Role, measured, strict=True):
        estimate = cost(agreement, role).memory_bytes / (1 << 20)
        assert 0.95 * peak <= estimate <= 1.25 * peak


@pytest.mark.parametrize(
    ("oprf", "power", "measured"),
    [
        (Oprf.ECDH, 18, (326, 317)),
        (Oprf.ECDH, 20, (692, 786)),
        (Oprf.KKRT, 18, (311, 334)),
        (Oprf.KKRT, 20, (692, 859)),
        (Oprf.KKRT, 22, (868, 1011)),
        (Oprf.KKRT, 24, (936, 1037)),
        (Oprf.VOLE, 18, (334, 327)),
        (Oprf.VOLE, 20, (734, 821)),
        (Oprf.VOLE, 22, (823, 940)),
        (Oprf.VOLE, 24, (973, 955)),
    ],
)
def test_memory_is_that_of_benchmarks(oprf: Oprf, power: int, measured: tuple[int, int]) -> None:
    """Peak resident MiB of docs/reference/benchmarks.md, the largest of its tables: 64 groups and four columns."""
    rows = 1 << power
    shape = JoinParameters(
        oprf=oprf,
        rows_exposure=rows,
        rows_outcome=rows,
        groups=64,
        class_positions=(0,) * 4,
        weight_bound=1,
        targets_per_row=1,
    )
    for role, peak in zip(Role, measured, strict=True):
        estimate = module._memory(shape, role) / (1 << 20)
        assert 0.91 * peak <= estimate <= 1.25 * peak


@pytest.mark.parametrize("role", Role)
def test_memory_follows_the_bucket_and_not_the_data(role: Role) -> None:
    """Beyond a bucket's rows it does not grow, and 2^24 rows a side stay far below 4 GiB."""
    two, sixteen = (cost(agreement_of(rows, rows, groups=64), role).memory_bytes for rows in (1 << 21, 1 << 24))
    assert two == sixteen < 2 << 30


def test_more_groups_cost_more_answers() -> None:
    few, many = cost(agreement_of(4096, 4096, groups=3)), cost(agreement_of(4096, 4096, groups=300))
    assert many.sent.bytes > few.sent.bytes
    assert many.seconds > few.seconds
    assert many.memory_bytes > few.memory_bytes
    assert {step: many.steps[step] for step in ("oprf", "hint", "equality")} == {
        step: few.steps[step] for step in ("oprf", "hint", "equality")
    }


def test_a_slower_machine_takes_longer() -> None:
    agreement = agreement_of(1 << 14, 1 << 14)
    parameters = join_parameters(agreement, plan_of(agreement))
    once, twice = (module._seconds(parameters, scale=scale, points=scale) for scale in (1, 2))
    assert 1.9 * once < twice < 2 * once


@pytest.mark.parametrize("profile", Profile)
def test_how_fast_points_are_multiplied_counts_where_there_are_points(profile: Profile) -> None:
    agreement = agreement_of(1 << 16, 1 << 16)
    agreement = replace(agreement, protocol=replace(agreement.protocol, profile=profile))
    parameters = join_parameters(agreement, plan_of(agreement))
    slow, quick = (module._seconds(parameters, scale=1.5, points=points) for points in (1.5, 0.3))
    if profile is Profile.ECDH:
        assert 0.2 * slow < quick < 0.4 * slow, "points are nearly all of the work"
    else:
        assert quick == slow


def test_suppressed_figures_save_their_openings() -> None:
    agreement = make_agreement(noise=Noise.NONE)
    plan = plan_of(agreement)
    most, none = traffic(agreement, plan)["release"], traffic(agreement, plan, opened=0)["release"]
    cells = plan.groups * len(agreement.metrics)
    for full, empty in zip(most, none, strict=True):
        assert full.bytes - empty.bytes == 40 * cells + 16  # the message's header goes as well


@pytest.mark.parametrize(("credit", "profile"), [("last_touch", Profile.KKRT), ("linear", Profile.VOLE)])
def test_bytes_are_those_of_a_join_with_credit_labels_and_bands(credit: str, profile: Profile) -> None:
    funnels = (random_funnel(seed) for seed in range(2000))
    funnel = next(
        each
        for each in funnels
        if each.agreement.labels_in_use
        and each.agreement.exposure.frequency is not None
        and each.agreement.exposure.credit == credit
        and any(metric.credit for metric in each.agreement.metrics)
        and {touch[0] for touch in each.touches} & {part[0] for part in each.parts}
    )
    choice = replace(funnel.agreement.protocol, max_rows_exposure=1024, max_rows_outcome=4096, profile=profile)
    funnel = replace(funnel, agreement=replace(funnel.agreement, protocol=choice))
    plan = plan_of(funnel.agreement)
    lookups, rows = prepared(funnel, plan)
    parameters = join_parameters(funnel.agreement, plan)
    assert len(lookups) and len(rows) and len(plan.families) > 2
    one, other = (Streams(seed=bytes([number]) * 32, session_id=bytes(32)) for number in (1, 2))
    run = run_pair(
        private_join.exposure(parameters=parameters, lookups=lookups, streams=one),
        private_join.outcome(parameters=parameters, rows=rows, streams=other),
    )
    stated = traffic(funnel.agreement, plan)
    for step in private_join.traffic(parameters):
        assert sent(run, step) == stated[step], step
    opened = plan.combined(run.first.shares + run.second.shares).view(np.int64)
    assert opened.tolist() == joined(funnel, plan).tolist()
