"""Finished runs for the tests of the report: written by the release's own writer, from made-up figures."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np

from cleanroom.agreement.model import Agreement, Measure, Metric, Noise
from cleanroom.plan import plan_of
from cleanroom.release.commitments import COMMITMENT_BYTES, SALT_BYTES
from cleanroom.release.document import canonical, release_document
from cleanroom.release.opening import Opening, SideOpening
from cleanroom.release.terms import terms_of
from tests.cleanroom.release.worlds import made_up_handshake, make_agreement


def _metric(name: str, measure: Measure, days: int | None, cap: int | None = None) -> Metric:
    event = None if days is None else "order"
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
    share = {None: 1.0, 7: 0.76, 15: 0.9, 30: 0.96}
    each = {Measure.EVENTS: 4.2, Measure.SUM: 12_000.0}
    values = np.stack(
        [people * share[column.window_ticks] * each.get(column.measure, 1.0) for column in plan.columns], axis=1
    )
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
