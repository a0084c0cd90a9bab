"""Whole runs over funnels, join and opening included: the opened figures are the plain ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from cleanroom.agreement.model import CREDIT_UNIT, Measure, Noise, Role
from cleanroom.execute import execute
from cleanroom.plan import plan_of
from cleanroom.release.table import release_rows
from cleanroom.release.terms import terms_of
from tests.cleanroom.attribution.funnel import MODELS, Funnel, plain, prepared, random_funnel
from tests.cleanroom.attribution.world import metric
from tests.cleanroom.whole_run import NONCES, SEEDS, Told, agreement_of, inputs
from tests.harness import run_pair


def funnel_of(model: str) -> Funnel:
    """The first small world in which both kinds of credit are earned by people who are counted."""
    return next(funnel for funnel in (_funnel(seed, model) for seed in range(1000)) if funnel and _earns(funnel))


def _earns(funnel: Funnel) -> bool:
    plan = plan_of(funnel.agreement)
    cells = plain(funnel, plan)
    return all((cells[:, index] * cells[:, column.gate]).any() for index, column in enumerate(plan.columns))


def _funnel(seed: int, model: str) -> Funnel | None:
    base = random_funnel(seed)
    if len(base.agreement.exposure.events) < 2 or len(base.touches) < 8 or base.agreement.exposure.frequency:
        return None
    event = base.agreement.outcome.events[0]
    gmv = replace(metric(Measure.SUM, event=event, ticks=3, cap=5000, name="gmv"), credit=True)
    metrics = (
        metric(Measure.MATCHED, event=None, ticks=None, name="known"),
        metric(Measure.EVENTS, event=event, ticks=2, cap=3, name="orders"),
        gmv,
        replace(gmv, name="click", via=(base.agreement.exposure.events[0],)),
    )
    parties = agreement_of(Noise.NONE).parties
    agreement = replace(
        base.agreement,
        parties=parties,
        metrics=metrics,
        outcome=replace(base.agreement.outcome, labels=()),
        exposure=replace(
            base.agreement.exposure,
            credit=model,
            credit_step_ticks=1 if model == "time_decay" else None,
            max_touches=None,
        ),
        release=replace(base.agreement.release, recipients=("media", "shop")),
        protocol=replace(base.agreement.protocol, max_rows_exposure=256, max_rows_outcome=256),
        hash=b"\x11" * 32,
    )
    return replace(base, agreement=agreement, parts=[(*part[:4], -1, ()) for part in base.parts])


@pytest.mark.parametrize("model", MODELS)
def test_a_run_without_noise_opens_the_plain_figures(model: str) -> None:
    funnel = funnel_of(model)
    plan = plan_of(funnel.agreement)
    found = prepared(funnel, plan)
    zero = np.zeros((plan.groups, len(plan.columns)), dtype=np.int64)
    told = Told()
    sides = [
        execute(inputs(role, funnel.agreement, data, told=told, noise=zero, seed=seed, nonce=nonce))
        for role, data, seed, nonce in zip(Role, found, SEEDS, NONCES, strict=True)
    ]
    run = run_pair(*sides)
    opening = run.first.opening
    assert opening is not None
    truth = plain(funnel, plan)
    gates = truth[:, [column.gate for column in plan.columns]]
    assert opening.passed.tolist() == (gates >= funnel.agreement.release.min_people).tolist()
    shown = opening.opened
    assert np.array_equal(opening.values[shown], truth[shown])
    credit = [index for index, column in enumerate(plan.columns) if column.credit and column.declared]
    assert shown[:, credit].any() and truth[:, credit].any()
    rows = release_rows(funnel.agreement, plan, terms_of(funnel.agreement, plan), opening)
    for row in rows:
        column = next(column for column in plan.columns if column.name == row.metric)
        if row.value is not None and column.credit:
            group = plan.group_labels.index(row.group)
            exact = Decimal(int(truth[group, plan.columns.index(column)])) / column.unit / 100
            assert abs(Decimal(row.value) - exact) <= Decimal("0.005")
            assert column.unit in (1, CREDIT_UNIT)
