"""A simulator of the outcome side's view, given that side's rows, its output share and the public parameters.

The real outcome side runs against a peer that has no rows and no weights. It sends: group elements drawn uniformly
(`ecdh`), base transfers and corrections drawn uniformly (`kkrt`), or its half of a vector OLE, which takes no rows, and
masked points drawn uniformly (`vole`); uniform tables in the equality; a correction of transfers whose choices are all
zero and uniform differences in the multiplexer. What ties the view to the output is the answers of the grouped sum:
each is a uniform ring element and the coefficient that makes it, under this side's secret (which follows from its
tape), an encryption of the given share, with noise that is the flood and the rounding of the switch alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

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
    silent_vole,
)
from cleanroom.protocols import private_join as join
from cleanroom.protocols.cuckoo import CHOICES
from cleanroom.protocols.ot import correction_bytes, receiver_setup, sender_setup
from cleanroom.protocols.private_join import JoinOutput, JoinParameters, Oprf
from cleanroom.protocols.profiles import steps_of
from cleanroom.protocols.rlwe import (
    ANSWER_PRIMES,
    DEGREE,
    MODULUS,
    PRIME_BYTES,
    PRIMES,
    encode,
    flood_bound,
    from_residues,
    residues,
    switch,
)
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.tables import TransferSender
from cleanroom.protocols.wire import Expect, Protocol, Send, chunks
from tests.harness import run_pair
from tests.protocols.join_views import SESSION, View, Words, hooked, outcome_party, view_of
from tests.protocols.simulator_parts import own_streams, packed, random_elements, random_ring
from tools.slow import ring

_LOW: Final = (1 << 28) - 1


def simulated_outcome_view(
    parameters: JoinParameters, *, first: int, share: Words, number: int, peer_seed: bytes
) -> View:
    """Simulates the view of the outcome side of `join_views` that holds people from `first` on.

    Args:
        parameters: public.
        first: names that side's rows.
        share: that side's output, groups × columns.
        number: of the simulation; another one draws anew.
        peer_seed: goes into the view as advice and is not used.
    """
    rng = np.random.default_rng([2, number])
    seed = hashlib.sha256(b"simulated outcome %d" % number).digest()
    with hooked() as inside:
        run = run_pair(_peer(parameters, rng, seed, share), outcome_party(parameters, seed, first))
    return view_of(run, Role.OUTCOME, inside, seed=seed, peer_seed=peer_seed)


def _peer(parameters: JoinParameters, rng: np.random.Generator, seed: bytes, share: Words) -> Protocol[JoinOutput]:
    """The simulated exposure side; its output is the transfers that an opening goes on with."""
    n_bins, columns, shape = parameters.n_bins, parameters.columns, parameters.sum_shape
    yield Send(join._ATTEMPT_MESSAGE, join._ATTEMPT.pack(0))
    if parameters.oprf is Oprf.ECDH:
        for start, stop in chunks(n_bins, oprf_ecdh.CHUNK_BINS):
            yield Send(oprf_ecdh._BLINDED, random_elements(rng, stop - start))
            yield Expect(oprf_ecdh._EVALUATED, (stop - start) * oprf.ELEMENT_BYTES)
    elif parameters.oprf is Oprf.VOLE:
        streams = own_streams(rng, SESSION)
        yield from silent_vole.receiver(streams=streams, label="oprf-vole 0", length=n_bins)
        for start, stop in chunks(n_bins, oprf_vole.CHUNK_BINS):
            yield Send(oprf_vole._MASKED, rng.bytes(oprf_vole.ELEMENT_BYTES * (stop - start)))
    else:
        yield Expect(base_ot.RECEIVER_ELEMENTS, 2 * oprf_kkrt.WIDTH * base_ot.ELEMENT_BYTES)
        yield Send(base_ot.SENDER_ELEMENTS, random_elements(rng, oprf_kkrt.WIDTH))
        for start, stop in chunks(n_bins, oprf_kkrt.CHUNK_BINS):
            yield Send(oprf_kkrt._CORRECTION, rng.bytes(oprf_kkrt.correction_bytes(stop - start)))
    table = okvs.shape_of(CHOICES * parameters.rows_outcome, 1 + columns)
    yield Expect(hint.SEED, hint.SEED_MESSAGE_BYTES)
    for start, stop in chunks(table.columns, hint._rows_per_chunk(table.words)):
        yield Expect(hint.TABLE, 8 * table.words * (stop - start))
    streams = own_streams(rng, SESSION)
    sender = yield from sender_setup(streams=streams, label="from exposure")
    receiver = yield from receiver_setup(streams=streams, label="from outcome")
    transfers = steps_of(parameters.oprf).sender(sender, streams=streams, label="from exposure")
    for start, stop in chunks(n_bins, equality.SLICE):
        for count in equality.layers(equality.WIDTH):
            yield from _random_tables(transfers, rng, (stop - start) * count)
    for start, stop in chunks(n_bins, mux.slice_bins(columns)):
        choice = receiver.extend(np.zeros(stop - start, dtype=np.uint8), choice_bits=1)
        yield Send(mux.CHOICE, choice.correction)
        yield Expect(mux.REPLY, correction_bytes(stop - start, 1) + 8 * columns * (stop - start))
        yield Send(mux.LAST, rng.bytes(8 * columns * (stop - start)))
    yield Expect(grouped_sum._SEED, 32)
    for start, stop in chunks(columns, grouped_sum._PAYLOAD_CIPHERTEXTS):
        yield Expect(grouped_sum._PUBLIC_KEYS, (stop - start) * grouped_sum.CIPHERTEXT_BYTES)
    for tile in grouped_sum._tiles(n_bins):
        for _, count in grouped_sum._payloads(tile, columns):
            yield Expect(grouped_sum._CIPHERTEXTS, count * grouped_sum.CIPHERTEXT_BYTES)
    secrets = secrets_of(seed, columns)
    for position, start, stop in shape.answers():
        own = shape.columns_of(position).tolist()
        switched = random_ring(rng, stop - start, ANSWER_PRIMES)
        constants = b"".join(
            _answer(rng, shape, switched[group - start], rest, [(secrets[j], int(share[group, j])) for j in own])
            for group, rest in zip(range(start, stop), _rests(rng, stop - start), strict=True)
        )
        yield Send(grouped_sum._ANSWERS, packed(switched) + constants)
    return JoinOutput(shares=share, ot_sender=sender, ot_receiver=receiver)


def secrets_of(seed: bytes, columns: int) -> list[list[int]]:
    """The outcome side's ring-LWE secrets, which follow from its tape: coefficients -1, 0 and 1, a column each."""
    key = Streams(seed=seed, session_id=SESSION).key(step="grouped_sum", direction="sender", purpose="secrets")
    return ring.secrets(key, columns)


def _rests(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """What the switch of a uniform ring element rounds off: count × 8192, uniform below half the third prime."""
    half = PRIMES[2] // 2
    return rng.integers(-half, half, (count, DEGREE), dtype=np.int64, endpoint=True)


def _answer(
    rng: np.random.Generator,
    shape: grouped_sum.Shape,
    switched: NDArray[np.uint64],
    rest: NDArray[np.int64],
    wanted: Iterable[tuple[Sequence[int], int]],
) -> bytes:
    """The coefficients that, with a ring element, encrypt words under secrets with nothing but the flood.

    The element before the switch is p·switched + rest, p the third prime: uniform, as its two parts are.
    """
    bound = flood_bound(rows=shape.rows, weight_bound=shape.weight_bound, outputs=shape.outputs)
    parts = []
    for secret, word in wanted:
        flood = int.from_bytes(rng.bytes(32), "little") % (2 * bound + 1) - bound
        product = PRIMES[2] * from_residues(map(constant_of, switched, repeat(secret)), ANSWER_PRIMES)
        product += constant_of(rest, secret)
        answer = switch((encode(word) + flood - product) % MODULUS)
        parts += [part.to_bytes(PRIME_BYTES, "little") for part in residues(answer, ANSWER_PRIMES)]
    return b"".join(parts)


def constant_of(element: NDArray[Any], secret: Sequence[int]) -> int:
    """Coefficient 0 of element · secret modulo X^8192 + 1, as an integer."""
    small = np.array(secret, dtype=np.int64)
    turned = np.concatenate((small[:1], -small[:0:-1]))  # X^n = -1
    whole = element.astype(np.int64)
    return int((whole & _LOW) @ turned) + (int((whole >> 28) @ turned) << 28)


def _random_tables(transfers: TransferSender, rng: np.random.Generator, count: int) -> Protocol[None]:
    """Makes the transfers and sends uniform tables under them."""
    for opened, closed in transfers.source.stocks(count):
        yield from transfers.prepare(closed - opened)
        for start, stop in transfers.source.batches(opened, closed):
            size = stop - start
            correction = yield Expect(equality.MESSAGES.correction, transfers.source.correction_bytes(size))
            assert correction is not None
            transfers.extend(correction, size)
            yield Send(equality.MESSAGES.tables, rng.bytes(2 * size))
