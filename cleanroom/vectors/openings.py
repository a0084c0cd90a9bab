"""One opening a file, between two parties from fixed seeds: what refusals are made from, and every frame of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise, Role
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol
from cleanroom.release import opening
from cleanroom.release.opening import Opening
from cleanroom.release.terms import ReleaseTerms
from cleanroom.vectors.joins import frames_hold, words
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["opening_run", "opening_scene"]


def _terms(entry: Any) -> ReleaseTerms:
    return ReleaseTerms(
        groups=entry["groups"],
        gates=tuple(entry["gates"]),
        declared=tuple(entry["declared"]),
        noise=Noise(entry["noise"]),
        scales=tuple(entry["scales"]),
        std_errors=tuple(entry["scales"]),  # on no message
        min_people=entry["min_people"],
        recipients=frozenset(Role(name) for name in entry["recipients"]),
        writer=entry["writer"],
    )


def opening_scene(content: Any) -> Scene[Opening, Opening]:
    """Both sides; without noise the comparison's bits are given, and no message of it is sent."""
    terms = _terms(content["terms"])
    first = words(content["shares_exposure"])
    truth = np.array(content["truth"], dtype=np.int64)
    shares = {"exposure": first, "outcome": truth.view(np.uint64) - first}
    gates = np.array(content["passed"])[:, list(terms.gate_columns)].reshape(-1).astype(np.uint8)
    bits = {"exposure": np.ones_like(gates), "outcome": gates ^ np.uint8(1)}

    def side(name: str) -> Side[Opening]:
        def compare(_shares: NDArray[np.uint64], _threshold: int) -> Protocol[NDArray[np.uint8]]:
            yield from ()
            return bits[name]

        return Side(
            protocol=(opening.exposure if name == "exposure" else opening.outcome)(
                terms=terms,
                shares=shares[name],
                noise=np.array(content["noise"][name], dtype=np.int64),
                streams=Streams(
                    seed=bytes.fromhex(content["seeds"][name]), session_id=bytes.fromhex(content["session_id"])
                ),
                compare=compare if terms.noise is Noise.NONE else None,
            )
        )

    return lambda: side("exposure"), lambda: side("outcome")


def opening_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Every frame, which cells pass, and the figures that a recipient holds."""
    run = run_scene(opening_scene(content))
    yield from frames_hold(content, run.frames)
    yield "cells that pass", run.first.passed.tolist() == run.second.passed.tolist() == content["passed"]
    for name, side in (("exposure", run.first), ("outcome", run.second)):
        if name in content["terms"]["recipients"]:
            yield f"figures of the {name} side", side.values.tolist() == content["values"]
