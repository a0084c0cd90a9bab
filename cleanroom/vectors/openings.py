"""Openings of a release between two parties from fixed seeds, every frame of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from cleanroom.agreement.model import Noise, Role
from cleanroom.protocols import comparison, conjunction, ot
from cleanroom.protocols.wire import Protocol
from cleanroom.release import opening
from cleanroom.release.opening import Opening
from cleanroom.release.terms import ReleaseTerms
from cleanroom.vectors.joins import frames_hold, streams_of, words
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["opening_run", "opening_scene", "terms_entry"]

_LABEL: Final = "from exposure"
"""Of the transfers in which the exposure side sends, as in a join."""


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
        chains=tuple(tuple(tuple(level) for level in chain) for chain in entry["chains"]),
    )


def terms_entry(terms: ReleaseTerms) -> dict[str, object]:
    """Terms as a file lists them."""
    return {
        "groups": terms.groups,
        "gates": list(terms.gates),
        "declared": list(terms.declared),
        "noise": terms.noise.value,
        "scales": list(terms.scales),
        "min_people": terms.min_people,
        "recipients": [role.value for role in Role if role in terms.recipients],
        "writer": terms.writer,
        "chains": [[list(level) for level in chain] for chain in terms.chains],
    }


def opening_scene(content: Any) -> Scene[Opening, Opening]:
    """Both sides; without noise they set up transfers first."""
    terms = _terms(content["terms"])
    first = words(content["shares_exposure"])
    truth = np.array(content["truth"], dtype=np.int64)
    shares = {Role.EXPOSURE: first, Role.OUTCOME: truth.view(np.uint64) - first}

    def side(role: Role) -> Protocol[Opening]:
        name = role.value
        streams = streams_of(content, name)
        compare, conjoin = None, None
        if terms.noise is Noise.NONE and role is Role.EXPOSURE:
            sender = yield from ot.sender_setup(streams=streams, label=_LABEL)
            compare, conjoin = partial(comparison.sender, sender), partial(conjunction.sender, sender)
        elif terms.noise is Noise.NONE:
            receiver = yield from ot.receiver_setup(streams=streams, label=_LABEL)
            compare, conjoin = partial(comparison.receiver, receiver), partial(conjunction.receiver, receiver)
        open_release = opening.exposure if role is Role.EXPOSURE else opening.outcome
        noise = np.array(content["noise"][name], dtype=np.int64)
        opened = yield from open_release(
            terms=terms, shares=shares[role], noise=noise, streams=streams, compare=compare, conjoin=conjoin
        )
        return opened

    return lambda: Side(protocol=side(Role.EXPOSURE)), lambda: Side(protocol=side(Role.OUTCOME))


def opening_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Every frame, which cells pass, and the figures that a recipient holds."""
    run = run_scene(opening_scene(content))
    yield from frames_hold(content, run.frames)
    yield "cells that pass", run.first.passed.tolist() == run.second.passed.tolist() == content["passed"]
    for name, side in (("exposure", run.first), ("outcome", run.second)):
        if name in content["terms"]["recipients"]:
            yield f"figures of the {name} side", side.values.tolist() == content["values"]
