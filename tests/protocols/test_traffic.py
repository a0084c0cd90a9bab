"""The stated traffic of every step is what a run sends, message by message and byte by byte."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cleanroom.protocols import comparison, equality, grouped_sum, mux, ot, private_join, silent_ot
from cleanroom.protocols.grouped_sum import Shape, Weights
from cleanroom.protocols.private_join import JoinParameters, Oprf
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import NOTHING, Traffic, Volume, in_chunks, messages, total
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from tests.harness import Run, run_pair
from tests.protocols.ot_pairs import ot_pair
from tests.protocols.silent_pairs import silent_pair, use_sizes
from tests.protocols.test_private_join import run_join


def sent(run: Run[Any, Any], step: str | None = None) -> Traffic:
    """What the first and the second party sent, in one step or in all.

    Base transfers and vector OLEs are counted with the step that uses them, which is the one that follows them.
    """
    volumes = [NOTHING, NOTHING]
    family = ""
    for sender, name, length in reversed(run.lengths()):
        own = name.partition(".")[0]
        if own not in ("base_ot", "silent_vole") and (own, family) != ("ot", "oprf"):
            family = own
        if step in (None, family):
            volumes[sender] += Volume(messages=1, bytes=length)
    return volumes[0], volumes[1]


@pytest.mark.parametrize("oprf", Oprf)
@pytest.mark.parametrize(
    "parameters",
    [
        JoinParameters(
            rows_exposure=64, rows_outcome=128, groups=3, class_positions=(0, 1, 1), weight_bound=4, targets_per_row=6
        ),
        JoinParameters(
            rows_exposure=2, rows_outcome=1, groups=1, class_positions=(0,), weight_bound=1, targets_per_row=1
        ),
        JoinParameters(
            rows_exposure=16, rows_outcome=2048, groups=11, class_positions=(0,) * 9, weight_bound=1, targets_per_row=11
        ),
    ],
)
def test_a_join_sends_what_its_parameters_say(parameters: JoinParameters, oprf: Oprf) -> None:
    parameters = replace(parameters, oprf=oprf)
    run, _ = run_join(parameters=parameters, own=1, other=1, common=1, seed=1)
    stated = private_join.traffic(parameters)
    assert {step: sent(run, step) for step in stated} == stated
    assert sent(run) == (total(first for first, _ in stated.values()), total(second for _, second in stated.values()))


@pytest.mark.parametrize(("count", "width"), [(0, 64), (1, 64), (5000, 64), (300, 61)])
def test_an_equality_test_past_one_batch(count: int, width: int) -> None:
    pair = ot_pair("traffic")
    numbers = np.arange(count, dtype=np.uint64)
    run = run_pair(
        equality.sender(pair.sender, numbers, width=width), equality.receiver(pair.receiver, numbers, width=width)
    )
    assert sent(run) == equality.traffic(count, width=width)


@pytest.mark.parametrize(("count", "stock", "batch"), [(0, 1000, 300), (1, 1000, 300), (900, 1000, 300), (60, 7, 3)])
def test_an_equality_test_on_silent_transfers(
    count: int, stock: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_sizes(monkeypatch, stock=stock, batch=batch)
    pair = silent_pair("traffic")
    numbers = np.arange(count, dtype=np.uint64)
    run = run_pair(equality.sender(pair.sender, numbers), equality.receiver(pair.receiver, numbers))
    assert sent(run) == equality.traffic(count, source=silent_ot.SILENT)


def test_slices_of_an_equality_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equality, "SLICE", 100)
    test_an_equality_test_past_one_batch(250, 64)


@pytest.mark.parametrize("count", [0, 1, 130, 3000])
def test_a_comparison(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "SLICE", 1 << 11)
    pair = ot_pair("traffic")
    shares = np.zeros(count, dtype=np.uint64)
    run = run_pair(comparison.sender(pair.sender, shares, 5), comparison.receiver(pair.receiver, shares, 5))
    assert sent(run) == comparison.traffic(count)


@pytest.mark.parametrize(("count", "words"), [(0, 1), (1, 1), (129, 3), (1000, 200)])
def test_a_multiplexer(count: int, words: int) -> None:
    forth, back = ot_pair("forth"), ot_pair("back")
    bits, values = np.zeros(count, dtype=np.uint8), np.zeros((count, words), dtype=np.uint64)
    run = run_pair(
        mux.exposure(forth.sender, back.receiver, bits, values), mux.outcome(back.sender, forth.receiver, bits, values)
    )
    assert sent(run) == mux.traffic(count=count, words=words)


def test_the_set_up_of_transfers() -> None:
    one, other = (Streams(seed=bytes([number]) * 32, session_id=bytes(32)) for number in (1, 2))
    run = run_pair(ot.sender_setup(streams=one, label="x"), ot.receiver_setup(streams=other, label="x"))
    assert sent(run) == ot.setup_traffic()


def test_a_grouped_sum_of_many_answers_and_classes() -> None:
    shape = Shape(groups=10, class_position=(0, 1, 1, 2), rows=1 << 14, weight_bound=1, entries_per_bin=0)
    one, other = (Streams(seed=bytes([number]) * 32, session_id=bytes(32)) for number in (1, 2))
    none = np.zeros(0, dtype=np.int64)
    run = run_pair(
        grouped_sum.sender(streams=one, shape=shape, shares=np.zeros((8193, 4), dtype=np.uint64)),
        grouped_sum.receiver(
            streams=other,
            shape=shape,
            n_bins=8193,
            weights=Weights.of_entries(none, none.astype(np.int32), none),
        ),
    )
    assert sent(run) == grouped_sum.traffic(shape=shape, n_bins=8193)


def test_volumes_add_up() -> None:
    assert messages(3, 5) == Volume(messages=2, bytes=8 + 2 * FRAME_HEADER_BYTES)
    assert in_chunks(7, 3, 10) == messages(30, 30, 10)
    assert in_chunks(0, 3, 10) == NOTHING == total([])
    assert total([messages(1), messages(2, 3)]) == messages(1, 2, 3)
