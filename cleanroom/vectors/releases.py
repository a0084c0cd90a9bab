"""The opening of a release from fixed seeds: with noise, without, and with a sole recipient."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise, Role
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol
from cleanroom.release import opening
from cleanroom.release.terms import ReleaseTerms
from cleanroom.release.verdicts import Compare
from cleanroom.vectors.pairs import exchange

__all__ = ["release_opening", "release_terms"]


def release_opening(content: Any) -> Iterator[tuple[str, bool]]:
    """The opening of a release, with noise, without, and with a sole recipient."""
    truth = np.array(content["truth"], dtype=np.int64)
    first = np.array([[int(word, 16) for word in row] for row in content["shares_exposure"]], dtype=np.uint64)
    shares = {"exposure": first, "outcome": truth.view(np.uint64) - first}
    session_id = bytes.fromhex(content["session_id"])
    for name, case in content["cases"].items():
        terms = release_terms(
            groups=len(content["truth"]),
            gates=content["gates"],
            declared=content["declared"],
            min_people=case.get("min_people", content["min_people"]),
            case=case,
        )
        noises = {side: np.array(case[f"noise_{side}"], dtype=np.int64) for side in shares}
        compares = _agreed_bits(case["verdicts"]) if terms.noise is Noise.NONE else {}
        protocols = {
            side: open_side(
                terms=terms,
                shares=shares[side],
                noise=noises[side],
                streams=Streams(seed=bytes.fromhex(content["seeds"][side]), session_id=session_id),
                compare=compares.get(side),
            )
            for side, open_side in (("exposure", opening.exposure), ("outcome", opening.outcome))
        }
        run = exchange(protocols["exposure"], protocols["outcome"])
        found = [
            {
                "from": ("exposure", "outcome")[sender],
                "step": step,
                "length": len(payload),
                "sha256": hashlib.sha256(payload).hexdigest(),
            }
            for sender, step, payload in run.payloads()
            if step != "release.terms"  # names the version of the library that writes the files
        ]
        yield f"{name}, messages", found == case["messages"]
        yield f"{name}, cells that pass", run.first.passed.tolist() == run.second.passed.tolist() == case["passed"]


def release_terms(*, groups: int, gates: list[int], declared: list[bool], min_people: int, case: Any) -> ReleaseTerms:
    """The terms of a case: its noise and recipients, and the shape of its file. Scales and writer are in no answer."""
    return ReleaseTerms(
        groups=groups,
        gates=tuple(gates),
        declared=tuple(declared),
        noise=Noise(case["noise"]),
        scales=(0.0,) * len(gates),
        std_errors=(0.0,) * len(gates),
        min_people=min_people,
        writer="",
        recipients=frozenset(
            role for role, name in ((Role.EXPOSURE, "media"), (Role.OUTCOME, "shop")) if name in case["recipients"]
        ),
        chains=tuple(tuple(tuple(level) for level in chain) for chain in case.get("chains", ())),
    )


def _agreed_bits(rounds: list[list[int]]) -> dict[str, Compare]:
    """Stands in for the comparison, whose own answers are elsewhere: fixed shares of each round's bits, no message."""

    def share(invert: int) -> Compare:
        left = iter(rounds)

        def compare(_shares: NDArray[np.uint64], _threshold: int) -> Protocol[NDArray[np.uint8]]:
            yield from ()
            bits = np.array(next(left), dtype=np.uint8)
            return bits ^ np.uint8(1) if invert else np.ones_like(bits)

        return compare

    return {"exposure": share(0), "outcome": share(1)}
