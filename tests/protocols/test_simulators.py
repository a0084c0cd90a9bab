"""Simulated views of a join beside real ones: equal in form, and nothing tells them apart, but for leaky variants.

A simulator has one side's rows, its output share and the public parameters; no more is needed to make its view. So the
view holds nothing else, which is what LEAKAGE says of the join. Every distinguisher is shown to work by variants of the
real protocol that leak.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Role
from cleanroom.protocols import cuckoo, grouped_sum, hint, okvs, oprf, silent_vole
from cleanroom.protocols.ot import OtSender, ReceiverBatch, SenderBatch
from cleanroom.protocols.private_join import Oprf
from cleanroom.protocols.rlwe import DEGREE
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.silent_vole import VoleReceiver
from cleanroom.protocols.wire import Protocol
from tests.protocols.distinguishers import accuracy, accuracy_bound, faults, matched_bins
from tests.protocols.join_views import PARAMETERS, ROWS, VALUE, WEIGHT, View, Words, real_views
from tests.protocols.simulator_exposure import simulated_exposure_view
from tests.protocols.simulator_outcome import simulated_outcome_view
from tests.protocols.test_grouped_sum import _floor_encode, _FloorSecret
from tools.slow import okvs as slow_okvs

OVERLAPS = (0, ROWS // 2, ROWS)
VIEWS = 6
"""Of each kind, for the classifier; their overlaps go round."""


@cache
def real(oprf: Oprf, number: int) -> dict[Role, View]:
    return real_views(replace(PARAMETERS, oprf=oprf), common=OVERLAPS[number % 3], number=number)


@cache
def simulated(oprf: Oprf, role: Role, number: int) -> View:
    """Of the real view with that number the simulator gets the share, and the rows of that side."""
    view, parameters = real(oprf, number)[role], replace(PARAMETERS, oprf=oprf)
    if role is Role.EXPOSURE:
        return simulated_exposure_view(parameters, share=view.share, number=number, peer_seed=view.peer_seed)
    first = ROWS - OVERLAPS[number % 3]
    return simulated_outcome_view(parameters, first=first, share=view.share, number=number, peer_seed=view.peer_seed)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("oprf", Oprf)
@pytest.mark.parametrize("number", range(3), ids=["no overlap", "half", "full"])
def test_a_simulated_run_has_the_form_of_a_real_one_and_ends_with_the_given_output(
    number: int, oprf: Oprf, role: Role
) -> None:
    own, views = simulated(oprf, role, number), real(oprf, number)
    assert np.array_equal(own.share, views[role].share)
    assert own.lengths == views[role].lengths
    assert int((views[Role.EXPOSURE].share + views[Role.OUTCOME].share).sum()) == OVERLAPS[number] * WEIGHT * VALUE


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("oprf", Oprf)
@pytest.mark.parametrize("number", range(3), ids=["no overlap", "half", "full"])
def test_a_real_view_is_as_a_simulator_draws_it_also_to_one_who_knows_the_other_input(
    number: int, oprf: Oprf, role: Role
) -> None:
    for view in (real(oprf, number)[role], simulated(oprf, role, number)):
        matched = matched_bins(view, OVERLAPS[number])
        assert matched.sum() == OVERLAPS[number]
        assert faults(view, matched) == []


@pytest.mark.parametrize("oprf", Oprf)
def test_both_views_together_hold_the_matches(oprf: Oprf) -> None:
    """The advice that the distinguishers get is right: the two shares of a bit differ where the rows match."""
    views = real(oprf, 1)
    matched = matched_bins(views[Role.EXPOSURE], OVERLAPS[1])
    assert (views[Role.EXPOSURE].bits ^ views[Role.OUTCOME].bits).tolist() == matched.astype(int).tolist()
    equal = views[Role.EXPOSURE].words["t"] == views[Role.OUTCOME].words["T"]
    assert equal[:, 0].tolist() == matched.tolist()


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("oprf", Oprf)
def test_no_linear_classifier_tells_real_views_from_simulated_ones(oprf: Oprf, role: Role) -> None:
    views = [real(oprf, number)[role] for number in range(VIEWS)]
    others = [simulated(oprf, role, number) for number in range(VIEWS)]
    assert 1 - accuracy_bound(VIEWS) < accuracy(views, others) < accuracy_bound(VIEWS)


def _zero_targets(*arguments: Any) -> tuple[Words, Words]:
    targets, masks = _fresh_output(*arguments)
    return np.zeros_like(targets), masks


def _zero_masks(*arguments: Any) -> tuple[Words, Words]:
    targets, masks = _fresh_output(*arguments)
    return targets, np.zeros_like(masks)


def _one_mask_for_all_bins(*arguments: Any) -> tuple[Words, Words]:
    targets, masks = _fresh_output(*arguments)
    return targets, np.repeat(masks[:1], len(masks), axis=0)


def _zero_fill(keys: Any, values: Words, *, seed: bytes, fill_key: bytes, shape: okvs.Shape) -> Words | None:
    names = [key.tobytes() for key in keys]
    points = [int.from_bytes(value.astype("<u8").tobytes(), "little") for value in values]
    form = slow_okvs.Shape(starts=shape.starts, band=shape.band, words=shape.words)
    table = slow_okvs.solve(names, points, seed=seed, fill=[0] * shape.columns, shape=form)
    if table is None:
        return None
    return np.frombuffer(slow_okvs.table_bytes(table, form), dtype="<u8").reshape(-1, shape.words).astype(np.uint64)


def _dummies_left_out(inputs: NDArray[np.uint8], blinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sends one and the same element for every empty bin."""
    blinded = _blind(inputs, blinds)
    empty = inputs[:, cuckoo.KEY_BYTES + 1] == cuckoo.DUMMY_DOMAIN
    blinded[empty] = blinded[np.flatnonzero(empty)[0]]
    return blinded


def _no_zero(
    seed: bytes, key: bytes, first: int, count: int, keys: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    return np.zeros((count, 3, DEGREE), dtype=np.uint64), np.zeros((count, len(keys), 3), dtype=np.uint64)


def _own_tables(self: ReceiverBatch, masked: NDArray[np.uint16]) -> NDArray[np.uint8]:
    pads = _receiver_keys(self, 1) >> np.arange(masked.shape[1], dtype=np.uint64)
    return ((masked >> self.choices[:, None]).astype(np.uint8) ^ pads.astype(np.uint8)) & np.uint8(1)


def _unmasked(*, streams: Streams, label: str, length: int) -> Protocol[VoleReceiver]:
    halves = yield from _vole(streams=streams, label=label, length=length)
    return replace(halves, u=np.zeros_like(halves.u))


_vole = silent_vole.receiver
_fresh_output, _blind, _receiver_keys = hint._fresh_output, oprf.blind, ReceiverBatch.keys
_NO_KEYS = (
    (SenderBatch, "keys", lambda self, choice, words: np.zeros((self.count, words), np.uint64)),
    (ReceiverBatch, "keys", lambda self, words: np.zeros((self.choices.size, words), np.uint64)),
    (ReceiverBatch, "open_tables", _own_tables),  # so that only the multiplexer lacks its pads
)
_FLOOR = ((grouped_sum, "encode", _floor_encode), (_kernels, "RlweSecret", _FloorSecret))
LEAKS: dict[str, tuple[Oprf, Role, str, tuple[tuple[Any, str, object], ...]]] = {
    "targets of zero": (Oprf.KKRT, Role.EXPOSURE, "t, matched", ((hint, "_fresh_output", _zero_targets),)),
    "no masks": (Oprf.KKRT, Role.EXPOSURE, "z, matched", ((hint, "_fresh_output", _zero_masks),)),
    "a mask reused": (
        Oprf.ECDH,
        Role.EXPOSURE,
        "words repeat, matched",
        ((hint, "_fresh_output", _one_mask_for_all_bins),),
    ),
    "free positions of zero": (Oprf.KKRT, Role.EXPOSURE, "hint.table: not uniform", ((okvs, "encode", _zero_fill),)),
    "equality without masks": (
        Oprf.KKRT,
        Role.OUTCOME,
        "bit, matched",
        ((OtSender, "random_bits", lambda self, count: np.zeros(count, dtype=np.uint8)),),
    ),
    "tables without pads": (
        Oprf.KKRT,
        Role.OUTCOME,
        "equality.tables: not uniform",
        ((SenderBatch, "mask_tables", lambda self, tables: tables),),
    ),
    "multiplexer without pads": (Oprf.KKRT, Role.OUTCOME, "selected, matched", _NO_KEYS),
    "no dummy queries": (Oprf.ECDH, Role.OUTCOME, "oprf.blinded: repeats", ((oprf, "blind", _dummies_left_out),)),
    "queries without masks": (
        Oprf.VOLE,
        Role.OUTCOME,
        "oprf.masked: names queries",
        ((silent_vole, "receiver", _unmasked),),
    ),
    "no flood": (
        Oprf.KKRT,
        Role.OUTCOME,
        "noise is not the flood",
        ((grouped_sum, "_floods", lambda key, shape: [0] * shape.outputs),),
    ),
    "floor encoding": (Oprf.KKRT, Role.OUTCOME, "noise is not the flood", _FLOOR),
    "c1 not re-randomised": (
        Oprf.KKRT,
        Role.OUTCOME,
        "c1 confirms the weights",
        ((grouped_sum, "_encrypt_zeros", _no_zero),),
    ),
    "answers without masks": (
        Oprf.KKRT,
        Role.OUTCOME,
        "share repeats",
        ((grouped_sum, "keystream", lambda key, length: bytes(length)),),
    ),
}


def leaky_view(name: str, number: int, patch: pytest.MonkeyPatch) -> View:
    oprf, role, _, changes = LEAKS[name]
    for where, attribute, broken in changes:
        patch.setattr(where, attribute, broken)
    return real_views(replace(PARAMETERS, oprf=oprf), common=ROWS, number=number)[role]


@pytest.mark.parametrize("name", LEAKS)
def test_a_leaky_variant_is_told_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        view = leaky_view(name, 1, patch)
    assert LEAKS[name][2] in faults(view, matched_bins(view, ROWS))


@pytest.mark.parametrize("name", ["equality without masks", "tables without pads"])
def test_the_classifier_learns_leaky_variants(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oprf, role, *_ = LEAKS[name]
    with monkeypatch.context() as patch:
        views = [leaky_view(name, number, patch) for number in range(VIEWS)]
    others = [simulated(oprf, role, number) for number in range(VIEWS)]
    assert accuracy(views, others) > accuracy_bound(VIEWS)
