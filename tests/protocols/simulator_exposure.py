"""A simulator of the exposure side's view, given that side's rows, its output share and the public parameters.

The real exposure side runs against a peer that has no rows. It sends: group elements drawn uniformly (`ecdh`), base
transfers of uniform elements (`kkrt`) or its half of a vector OLE, which takes no rows (`vole`); a uniform hint;
the corrections of an equality test on zeros; uniform differences; ring-LWE keys and ciphertexts drawn uniformly.
What ties the view to the output is this side's own tape: its share is the local sum less its masks, so the masks are
what the local sum and the given share leave.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cleanroom.agreement.model import Role
from cleanroom.protocols import (
    base_ot,
    equality,
    grouped_sum,
    hint,
    mux,
    okvs,
    oprf,
    oprf_ecdh,
    oprf_kkrt,
    oprf_vole,
    private_join,
)
from cleanroom.protocols.cuckoo import CHOICES
from cleanroom.protocols.ot import correction_bytes, receiver_setup, sender_setup
from cleanroom.protocols.private_join import JoinOutput, JoinParameters, Oprf
from cleanroom.protocols.profiles import steps_of
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.wire import Expect, Protocol, Send, chunks
from tests.harness import run_pair
from tests.protocols.join_views import SESSION, View, Words, exposure_party, hooked, view_of
from tests.protocols.simulator_parts import own_streams, packed, random_elements, random_ring


def simulated_exposure_view(parameters: JoinParameters, *, share: Words, number: int, peer_seed: bytes) -> View:
    """Simulates the view of the exposure side of `join_views`.

    Args:
        parameters: public.
        share: that side's output, groups × columns.
        number: of the simulation; another one draws anew.
        peer_seed: goes into the view as advice and is not used.
    """
    rng = np.random.default_rng([1, number])
    seed = hashlib.sha256(b"simulated exposure %d" % number).digest()
    with hooked() as inside, pytest.MonkeyPatch.context() as patch:
        real = grouped_sum.local_sum

        def with_masks(*, shape: grouped_sum.Shape, weights: grouped_sum.Weights, shares: Words) -> Words:
            local = real(shape=shape, weights=weights, shares=shares)
            masks = (local - share).astype("<u8").tobytes()
            key = Streams(seed=seed, session_id=SESSION).key(step="grouped_sum", direction="receiver", purpose="masks")
            patch.setattr(grouped_sum, "keystream", lambda own, length: masks if own == key else keystream(own, length))
            return local

        patch.setattr(grouped_sum, "local_sum", with_masks)
        run = run_pair(exposure_party(parameters, seed), _peer(parameters, rng))
    return view_of(run, Role.EXPOSURE, inside, seed=seed, peer_seed=peer_seed)


def _peer(parameters: JoinParameters, rng: np.random.Generator) -> Protocol[JoinOutput]:
    """The simulated outcome side; its output is the transfers that an opening goes on with."""
    n_bins, columns = parameters.n_bins, parameters.columns
    yield Expect(private_join._ATTEMPT_MESSAGE, private_join._ATTEMPT.size)
    if parameters.oprf is Oprf.ECDH:
        for start, stop in chunks(n_bins, oprf_ecdh.CHUNK_BINS):
            yield Expect(oprf_ecdh._BLINDED, (stop - start) * oprf.ELEMENT_BYTES)
            yield Send(oprf_ecdh._EVALUATED, random_elements(rng, stop - start))
    elif parameters.oprf is Oprf.VOLE:
        streams = own_streams(rng, SESSION)  # that side has no input before the hint, so it can be run as it is
        yield from oprf_vole.sender(n_bins=n_bins, output_bytes=parameters.prf_bytes, streams=streams)
    else:
        yield Send(base_ot.RECEIVER_ELEMENTS, random_elements(rng, 2 * oprf_kkrt.WIDTH))
        yield Expect(base_ot.SENDER_ELEMENTS, oprf_kkrt.WIDTH * base_ot.ELEMENT_BYTES)
        for start, stop in chunks(n_bins, oprf_kkrt.CHUNK_BINS):
            yield Expect(oprf_kkrt._CORRECTION, oprf_kkrt.correction_bytes(stop - start))
    table = okvs.shape_of(CHOICES * parameters.rows_outcome, 1 + columns)
    yield Send(hint.SEED, rng.bytes(hint.SEED_MESSAGE_BYTES))
    for start, stop in chunks(table.columns, hint._rows_per_chunk(table.words)):
        yield Send(hint.TABLE, rng.bytes(8 * table.words * (stop - start)))
    streams = own_streams(rng, SESSION)
    receiver = yield from receiver_setup(streams=streams, label="from exposure")
    sender = yield from sender_setup(streams=streams, label="from outcome")
    transfers = steps_of(parameters.oprf).receiver(receiver, streams=streams, label="from exposure")
    yield from equality.receiver(transfers, np.zeros(n_bins, dtype=np.uint64))
    for start, stop in chunks(n_bins, mux.slice_bins(columns)):
        half = correction_bytes(stop - start, 1)
        choice = receiver.extend(np.zeros(stop - start, dtype=np.uint8), choice_bits=1)
        yield Expect(mux.CHOICE, half)
        yield Send(mux.REPLY, choice.correction + rng.bytes(8 * columns * (stop - start)))
        yield Expect(mux.LAST, 8 * columns * (stop - start))
    yield Send(grouped_sum._SEED, rng.bytes(32))
    for start, stop in chunks(columns, grouped_sum._PAYLOAD_CIPHERTEXTS):
        yield Send(grouped_sum._PUBLIC_KEYS, packed(random_ring(rng, stop - start)))
    for tile in grouped_sum._tiles(n_bins):
        for _, count in grouped_sum._payloads(tile, columns):
            yield Send(grouped_sum._CIPHERTEXTS, packed(random_ring(rng, count)))
    for position, start, stop in parameters.sum_shape.answers():
        yield Expect(
            grouped_sum._ANSWERS,
            (stop - start)
            * (grouped_sum.RING_BYTES + grouped_sum.CONSTANT_BYTES * len(parameters.sum_shape.columns_of(position))),
        )
    return JoinOutput(shares=np.zeros(0, dtype=np.uint64), ot_sender=sender, ot_receiver=receiver)
