"""Finished runs for the tests of the report: written by the release's own writer, from made-up figures."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Label, Measure, Metric, Noise
from cleanroom.plan import Column, plan_of
from cleanroom.release.commitments import COMMITMENT_BYTES, SALT_BYTES
from cleanroom.release.document import canonical, release_document
from cleanroom.release.opening import Opening, SideOpening
from cleanroom.release.terms import terms_of
from tests.cleanroom.release.worlds import made_up_handshake, make_agreement


def _metric(
    name: str, measure: Measure, days: int | None, cap: int | None = None, *, event: str | None = "order"
) -> Metric:
    event = None if days is None else event
    window = None if days is None else f"{days}d"
    return Metric(name=name, measure=measure, event=event, window_ticks=days, window=window, cap=cap)


METRICS = (
    _metric("matched", Measure.MATCHED, None),
    _metric("buyers_7d", Measure.PEOPLE, 7),
    _metric("buyers_15d", Measure.PEOPLE, 15),
    _metric("buyers_30d", Measure.PEOPLE, 30),
    _metric("orders_15d", Measure.EVENTS, 15, 15),
    _metric("sales_15d", Measure.SUM, 15, 50_000),
)
PEOPLE = (1076, 420, 260, 30, 1133)
"""People of each group; the fourth is below the threshold."""


WINDOWS = (1, 3, 7, 15, 30, 70)
STAGES = {"search": 0.62, "visit": 0.44, "add_to_cart": 0.27, "order": 0.18, "refund": 0.02}
"""The events of the whole funnel, and how many of the people reach each within the longest window."""


def full_agreement(
    *,
    noise: Noise = Noise.GAUSSIAN,
    groups: tuple[str, ...] = ("note-1", "note-2", "note-3", "note-4", "note-5"),
    windows: tuple[int, ...] = WINDOWS,
    frequency: tuple[int, ...] | None = None,
    name: str = "全链路",
    epsilon: float = 8.0,
) -> Agreement:
    """The whole funnel in six windows, with money, refunds, credit and labels."""
    labels = (Label(column="customer", values=("new", "returning")), Label(column="tier", values=("t1", "t2", "t3")))
    metrics = [_metric("matched", Measure.MATCHED, None)]
    for event in STAGES:
        metrics += [_metric(f"{event}_{days}d", Measure.PEOPLE, days, event=event) for days in windows]
    metrics += [_metric(f"gmv_{days}d", Measure.SUM, days, 50_000) for days in windows]
    metrics += [_metric(f"refunds_{days}d", Measure.SUM, days, 50_000, event="refund") for days in windows]
    metrics += [
        replace(_metric("orders_credit", Measure.EVENTS, 15, 3), credit=True),
        replace(_metric("gmv_credit", Measure.SUM, 15, 50_000), credit=True),
        replace(_metric("buyers", Measure.PEOPLE, 15), by="customer"),
        replace(_metric("gmv_tier", Measure.SUM, 15, 50_000), by="tier"),
    ]
    base = make_agreement(metrics=tuple(metrics), noise=noise, groups=len(groups), epsilon=epsilon)
    return replace(
        base,
        name=name,
        purpose="衡量种草笔记带来的成交",
        exposure=replace(base.exposure, groups=groups, credit="linear", frequency=frequency, group_by="note_id"),
        outcome=replace(base.outcome, events=tuple(STAGES), labels=labels),
    )


def full_files(agreement: Agreement | None = None, **rest: Any) -> dict[str, bytes]:  # Any: as sample_files
    """release.json and local.json of a run of the whole funnel, whose figures are made up."""
    return sample_files(full_agreement() if agreement is None else agreement, **rest)


def _expected(agreement: Agreement, column: Column, people: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a group of so many people would give."""
    if agreement.outcome.events == ("order",):
        share = {None: 1.0, 7: 0.76, 15: 0.9, 30: 0.96}[column.window_ticks]
        return people * share * {Measure.EVENTS: 4.2, Measure.SUM: 12_000.0}.get(column.measure, 1.0)
    days = 70 if column.window_ticks is None else column.window_ticks
    reach = STAGES.get(column.event or "", 1.0) * (days / 70) ** 0.4
    each = {Measure.EVENTS: 1.4, Measure.SUM: 18_000.0}.get(column.measure, 1.0) * (0.7 if column.credit else 1.0)
    parts = {"new": 0.6, "returning": 0.4, "t1": 0.5, "t2": 0.3, "t3": 0.2}
    part = 1.0 if column.label is None else parts[column.label[1]]
    return people * reach * each * part * (column.unit if column.credit else 1)


def sample_agreement(*, noise: Noise = Noise.GAUSSIAN, name: str = "letters, 2017", groups: int = 5) -> Agreement:
    """Five groups and the six metrics above."""
    return replace(make_agreement(metrics=METRICS, noise=noise, groups=groups), name=name)


def sample_files(
    agreement: Agreement | None = None, *, session: bytes = b"\x22" * 32, party: str = "media", seed: int = 1
) -> dict[str, bytes]:
    """release.json and local.json of a run whose figures are made up."""
    agreement = sample_agreement() if agreement is None else agreement
    plan, terms = plan_of(agreement), terms_of(agreement, plan_of(agreement))
    rng = np.random.default_rng(seed)
    people = np.resize(np.array(PEOPLE), terms.groups)
    values = np.stack([_expected(agreement, column, people) for column in plan.columns], axis=1)
    values = np.rint(values + rng.normal(size=values.shape) * np.array(terms.std_errors)).astype(np.int64)
    passed = (values >= terms.min_people)[:, list(terms.gates)]
    opened = passed.copy()
    cells = np.flatnonzero(opened.reshape(-1))
    side = SideOpening(
        commitments=np.zeros((terms.groups * terms.columns, COMMITMENT_BYTES), dtype=np.uint8),
        cells=cells,
        salts=np.zeros((len(cells), SALT_BYTES), dtype=np.uint8),
        shares=np.zeros(len(cells), dtype=np.uint64),
    )
    opening = Opening(passed=passed, opened=opened, values=values, exposure=side, outcome=side)
    document = release_document(agreement, plan, terms, opening, handshake=made_up_handshake(session), files={})
    document["signatures"] = [
        {"party": name, "covers": "release", "signature": "ab" * 64} for name in ("media", "shop")
    ]
    local = {
        "version": 1,
        "party": party,
        "role": "exposure" if party == "media" else "outcome",
        "profile": "ecdh",
        "backend": "rust",
        "counts": {
            "source": {"rows": 6589, "null_identifiers": 3, "out_of_scope": 12, "kept": 6574},
            "preparation": {"touches": 6574, "capped_people": 31, "lookups": 8021, "bound": 16384},
        },
        "warnings": ["exposure.end + the longest window passes time.end"],
    }
    return {"release.json": canonical(document) + b"\n", "local.json": json.dumps(local).encode()}


def units(cents: int) -> Decimal:
    """Money of a number of cents."""
    return Decimal(cents) * Decimal("0.01")
