"""A side that departs from the protocol where no check notices: the run ends well, and a replay names the message."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cleanroom.errors import PeerError
from cleanroom.protocols import equality, grouped_sum, hint, mux, oprf_kkrt, oprf_vole
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol, Send
from tests.cleanroom.audit.runs import PARTIES, finish_run

Step = Callable[..., Protocol[Any]]
"""Any: what a step's generator takes and returns."""


def in_flight(step: str, change: Callable[[bytearray], None]) -> Callable[[Step], Step]:
    """Wraps a step of one side, so that it sends another first message of a kind than the protocol says."""

    def wrap(real: Step) -> Step:
        def deviating(*arguments: Any, **named: Any) -> Protocol[Any]:
            steps, answer, done = real(*arguments, **named), None, False
            while True:
                try:
                    event = steps.send(answer)
                except StopIteration as end:
                    return end.value
                if isinstance(event, Send) and event.message.step == step and not done:
                    payload, done = bytearray(event.payload), True
                    change(payload)
                    event = Send(event.message, bytes(payload))
                answer = yield event

        return deviating

    return wrap


def flip(place: int) -> Callable[[bytearray], None]:
    def change(payload: bytearray) -> None:
        payload[place] ^= 1

    return change


def another_target(real: Step) -> Step:
    """The outcome side wants that its first bin does not match: consistent transfers of another input."""
    return lambda ot, values: real(ot, values ^ np.eye(1, values.size, dtype=np.uint64)[0])


def heavier_weights(real: Step) -> Step:
    """The exposure side counts one row a thousand times: what a noise that is scaled to the caps does not hide."""

    class Deviating(grouped_sum.Receiver):
        def __init__(self, *, streams: Streams, shape: grouped_sum.Shape) -> None:
            super().__init__(streams=streams, shape=replace(shape, weight_bound=1000))  # or its own check refuses

        def add(self, *, n_bins: int, weights: grouped_sum.Weights) -> Protocol[None]:
            more = weights.weights.copy()
            more[0] *= 1000
            return super().add(n_bins=n_bins, weights=replace(weights, weights=more))

    return Deviating


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    module: Any  # a protocol module
    function: str
    wrap: Callable[[Step], Step]
    party: str
    step: str
    profile: str = "ecdh"


DEVIATIONS = {
    "a wrong difference in the mux": Deviation(
        module=mux,
        function="exposure",
        wrap=in_flight("mux.exposure_difference", flip(0)),
        party="media",
        step="mux.exposure_difference",
    ),
    "a table that makes bins match": Deviation(
        module=equality,
        function="sender",
        wrap=in_flight("equality.tables", flip(11)),
        party="media",
        step="equality.tables",
    ),
    "choices of another input": Deviation(
        module=equality, function="receiver", wrap=another_target, party="shop", step="equality.correction"
    ),
    "a hint of another table": Deviation(
        module=hint, function="sender", wrap=in_flight("hint.table", flip(100)), party="shop", step="hint.table"
    ),
    "weights beyond the caps": Deviation(
        module=grouped_sum, function="Receiver", wrap=heavier_weights, party="media", step="grouped_sum."
    ),
    "a point of another query": Deviation(
        module=oprf_vole,
        function="receiver",
        wrap=in_flight("oprf.masked", flip(5)),
        party="media",
        step="oprf.masked",
        profile="vole",
    ),
    "a string that is no codeword": Deviation(
        module=oprf_kkrt,
        function="receiver",
        wrap=in_flight("oprf.correction", flip(5)),
        party="media",
        step="oprf.correction",
        profile="kkrt",
    ),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_replay_names_the_message_with_which_a_side_deviated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deviation = DEVIATIONS[name]
    with monkeypatch.context() as patch:
        patch.setattr(
            deviation.module, deviation.function, deviation.wrap(getattr(deviation.module, deviation.function))
        )
        run = finish_run(tmp_path / "run", noise="gaussian", recipients='["media", "shop"]', profile=deviation.profile)
    assert run.verify().verified, "both sides signed the same messages"
    lines = [json.loads(line) for line in (run.out(deviation.party) / "transcript.jsonl").read_bytes().splitlines()]
    number, step = next(
        (number, entry["step"])
        for number, entry in enumerate(lines, start=1)
        if entry.get("step", "").startswith(deviation.step) and entry["direction"] == "sent"
    )
    (fault,) = map(str, run.replay().faults)
    place = f"{deviation.party}-out/transcript.jsonl: line {number}: sha256"
    assert fault.endswith(f"{place}: the replay's {step} (sent) has another one")


def test_a_deviation_that_is_checked_leaves_no_run_to_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equality, "receiver", in_flight("equality.correction", flip(0))(equality.receiver))
    with pytest.raises(PeerError, match="consistency check"):
        finish_run(tmp_path / "run", noise="gaussian", recipients='["media", "shop"]')
    assert not any((tmp_path / "run" / f"{party}-out").exists() for party in PARTIES)
