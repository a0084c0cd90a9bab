"""The stated traffic of an opening and of its signatures is what a run sends."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from cleanroom.agreement.model import Noise
from cleanroom.protocols import comparison
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import NOTHING, Volume
from cleanroom.release import opening
from tests.cleanroom.release.test_opening import PASSED, SESSION, TRUTH, make_terms
from tests.harness import run_pair
from tests.protocols.ot_pairs import ot_pair


@pytest.mark.parametrize("recipients", [("media", "shop"), ("shop",), ("media",)])
@pytest.mark.parametrize("noise", [Noise.NONE, Noise.GAUSSIAN])
def test_an_opening_sends_what_its_terms_say(noise: Noise, recipients: tuple[str, ...]) -> None:
    terms = make_terms(noise, recipients)
    transfers = ot_pair("release", session=SESSION)
    zeros = np.zeros(TRUTH.shape, dtype=np.int64)
    first = np.random.default_rng(6).integers(0, 2**64, TRUTH.shape, dtype=np.uint64)
    run = run_pair(
        opening.exposure(
            terms=terms,
            shares=first,
            noise=zeros,
            streams=Streams(seed=b"e" * 32, session_id=SESSION),
            compare=partial(comparison.sender, transfers.sender),
        ),
        opening.outcome(
            terms=terms,
            shares=TRUTH.view(np.uint64) - first,
            noise=zeros,
            streams=Streams(seed=b"o" * 32, session_id=SESSION),
            compare=partial(comparison.receiver, transfers.receiver),
        ),
    )
    sent = [NOTHING, NOTHING]
    for sender, _, length in run.lengths():
        sent[sender] += Volume(messages=1, bytes=length)
    after_gates = np.array(PASSED) & np.array(terms.declared)
    if noise is not Noise.NONE:
        after_gates[:, list(terms.gate_columns)] = False
    assert tuple(sent) == opening.traffic(terms, opened=int(after_gates.sum()))
    most = opening.traffic(terms)
    assert all(volume.bytes <= bound.bytes for volume, bound in zip(sent, most, strict=True))
    every = after_gates.copy()
    every[:] = np.array(terms.declared) & (noise is Noise.NONE or ~np.isin(np.arange(5), terms.gate_columns))
    assert most == opening.traffic(terms, opened=int(every.sum()))
