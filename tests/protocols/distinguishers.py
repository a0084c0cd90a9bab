"""What tells a real view of a join from a simulated one, if anything does.

`faults` looks at one view: whatever the simulator draws uniformly must be uniform, group elements must be canonical,
nothing may repeat, and the noise of the ring-LWE answers must be the flood. It is given the other side's input as
advice: which bins match, and the other side's weights. `accuracy` trains a linear classifier on statistics of pieces of
two sets of views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Role
from cleanroom.protocols import cuckoo, grouped_sum, oprf, oprf_vole
from cleanroom.protocols.rlwe import (
    ANSWER_MODULUS,
    ANSWER_PRIMES,
    DEGREE,
    MODULUS,
    PRIMES,
    encode,
    flood_bound,
    from_residues,
)
from cleanroom.protocols.seeds import Streams
from tests.protocols.join_views import PARAMETERS, ROWS, SESSION, View, Words, keys_of, lookups_of

BOUND = 5.5
"""Standard deviations. A view gives some 6,000 scores, nearly normal: a sound one exceeds it once in 4,000 times."""
KOLMOGOROV = 2.2
"""Times 1/sqrt(n): a sound flood exceeds it once in 8,000 times."""
PIECES = 32
"""Pieces of each step's bytes, each a sample of the classifier."""
_ELEMENTS = ("oprf.blinded", "oprf.evaluated", "base_ot.receiver_elements", "base_ot.sender_elements")
_BITS_OF_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64)
_BLOCK = 16  # bytes; two uniform ones agree with probability 2^-128


def deviation(bits: NDArray[np.uint8]) -> float:
    """How far the worst column of bits is from fair, in standard deviations."""
    return float(np.abs((2.0 * bits.sum(axis=0) - len(bits)) / np.sqrt(len(bits))).max())


def _byte_deviation(counts: NDArray[np.int64]) -> float:
    """The same for the eight bits of bytes, given how often each of the 256 values occurs."""
    ones, total = counts @ _BITS_OF_BYTES, counts.sum()
    return float(np.abs((2.0 * ones - total) / np.sqrt(total)).max())


def word_bits(words: Words) -> NDArray[np.uint8]:
    """The bits of each row of words."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1), axis=1)


def faults(view: View, matched: NDArray[np.bool_]) -> list[str]:
    """Names what in a view is not as a simulator draws it; empty for a join without leak.

    Args:
        view: either side's.
        matched: which bins match, that is the other side's input.
    """
    found = [fault for step in view.received for fault in message_faults(step, view.received[step])]
    for where, chosen in (("matched", matched), ("unmatched", ~matched)):
        if chosen.sum() >= 64:
            found += [f"{fault}, {where}" for fault in _word_faults(view, chosen)]
    if len(np.unique(view.share)) != view.share.size or not view.share.all():
        found.append("share repeats")
    return found + (_query_faults(view) + _answer_faults(view) if view.role is Role.OUTCOME else [])


def message_faults(step: str, payload: bytes) -> list[str]:
    """Names what in a step's bytes is not uniform, or no group element, or repeated."""
    data = np.frombuffer(payload, dtype=np.uint8)
    if step == "bins.attempt":
        return [] if not data.any() else ["bins.attempt: not 0"]
    found = []
    if step in _ELEMENTS:
        elements = data.reshape(-1, oprf.ELEMENT_BYTES)
        try:
            _kernels.ristretto_multiply(oprf.random_scalars(bytes(32), first=0, count=len(elements)), elements)
        except _kernels.ElementError:
            found.append(f"{step}: not an element")
        data = elements[:, 1:31].reshape(-1)  # the first bit and the last are those of a canonical encoding
    blocks = data[: data.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    if len(np.unique(np.ascontiguousarray(blocks).view("V16"))) != len(blocks):
        found.append(f"{step}: repeats")
    counts = np.bincount(data, minlength=256)
    scores = [_byte_deviation(counts)]
    scores += [_byte_deviation(np.bincount(data[lag:] ^ data[:-lag], minlength=256)) for lag in (1, 2, 7, 8, 16)]
    if data.size >= 8 * 256:
        expected = data.size / 256
        scores.append(abs(float(((counts - expected) ** 2).sum() / expected) - 255) / np.sqrt(510))
    if max(scores) > BOUND:
        found.append(f"{step}: not uniform")
    return found


def _word_faults(view: View, chosen: NDArray[np.bool_]) -> list[str]:
    """What in the words of some bins, and in what an attacker would compute from them, is not uniform."""
    bit = view.bits[chosen]
    found = ["bit"] if deviation(bit[:, None]) > BOUND else []
    first, mask, output = (words[chosen] for words in view.words.values())
    sign = np.uint64(1) - np.uint64(2) * bit[:, None].astype(np.uint64)
    trials = {name: words[chosen] for name, words in view.words.items()}
    trials |= {"output - input": output - mask, "output + input": output + mask, "signed": output - sign * mask}
    trials |= {"selected": output - bit[:, None] * mask, "crossed": mask ^ first}
    found += [name for name, words in trials.items() if deviation(word_bits(words)) > BOUND]
    if any(len(np.unique(words[chosen])) != words[chosen].size for words in view.words.values()):
        found.append("words repeat")
    return found


def _answer_faults(view: View) -> list[str]:
    """What the outcome side's secret, and the other side's weights, show in the answers of the grouped sum."""
    rings, noises = _opened_answers(view)
    found = []
    bound = float(np.abs(noises).max())
    ordered = np.sort((noises + 1) / 2)
    ranks = np.arange(len(ordered) + 1) / len(ordered)
    distance = max(float(np.abs(ordered - ranks[1:]).max()), float(np.abs(ordered - ranks[:-1]).max()))
    if bound > 1.01 or distance * np.sqrt(len(noises)) > KOLMOGOROV:
        found.append("noise is not the flood")
    guess = np.zeros((len(rings), len(PRIMES), DEGREE), dtype=np.uint64)
    lookups, bins = lookups_of(ROWS), bins_of_rows(view.peer_seed)
    order = np.lexsort((bins, lookups.target))
    indptr = np.searchsorted(lookups.target[order], np.arange(len(rings) + 1)).astype(np.int64)
    _kernels.rlwe_weigh_dense(guess, view.public_seed, 0, 1, indptr, bins[order], lookups.weight[order], 1 << 40)
    plain = _kernels.rlwe_switch(guess, np.zeros_like(guess))
    if any(np.array_equal(own, other) for own, other in zip(plain, rings, strict=True)):
        found.append("c1 confirms the weights")
    return found


def _opened_answers(view: View) -> tuple[Words, NDArray[np.float64]]:
    """The c1 of every target, and the noise of every output in units of the flood's bound."""
    shape = PARAMETERS.sum_shape
    key = Streams(seed=view.seed, session_id=SESSION).key(step="grouped_sum", direction="sender", purpose="secrets")
    secret = _kernels.RlweSecret(key, shape.columns)
    flood = flood_bound(rows=shape.rows, weight_bound=shape.weight_bound, outputs=shape.outputs)
    payload, rings, noises = view.received["grouped_sum.answers"], [], []
    for position, start, stop in shape.answers():
        columns = shape.columns_of(position)
        size = (stop - start) * grouped_sum.RING_BYTES
        whole = size + (stop - start) * len(columns) * grouped_sum.CONSTANT_BYTES
        part, payload = payload[:whole], payload[whole:]
        c1 = _kernels.rlwe_unpack(part[:size], 2, DEGREE).reshape(-1, 2, DEGREE)
        constants = _kernels.rlwe_unpack(part[size:], 2, 1).reshape(-1, 2).tolist()
        products = secret.product_constants(c1, columns).reshape(-1, 2).tolist()
        words = view.share[start:stop, columns].ravel().tolist()
        for own, product, word in zip(constants, products, words, strict=True):
            phase = (from_residues(own, ANSWER_PRIMES) + from_residues(product, ANSWER_PRIMES)) % ANSWER_MODULUS
            lifted = phase * PRIMES[2] - encode(word)
            noises.append(((lifted + MODULUS // 2) % MODULUS - MODULUS // 2) / flood)
        rings.append(c1)
    return np.concatenate(rings), np.array(noises)


@cache
def _placed(seed: bytes) -> cuckoo.Table:
    table, _ = cuckoo.place(
        keys_of(0, ROWS),
        rows=ROWS,
        padding_key=Streams(seed=seed, session_id=SESSION).key(step="bins", purpose="padding"),
        n_bins=PARAMETERS.n_bins,
        session_id=SESSION,
    )
    return table


def bins_of_rows(seed: bytes) -> NDArray[np.int64]:
    """Where the exposure side's rows lie under its tape."""
    row = _placed(seed).row
    occupied = np.flatnonzero(row >= 0)
    bins = np.empty(ROWS, dtype=np.int64)
    bins[row[occupied]] = occupied
    return bins


def _query_faults(view: View) -> list[str]:
    """Whether what profile `vole` sends are the bare points of the queries that the other side's rows ask."""
    table, sent = _placed(view.peer_seed), view.received.get("oprf.masked")
    if sent is None:
        return []
    queries = cuckoo.queries(table, keys_of(0, ROWS), bytes(32))
    points = _kernels.oprf_vole_points(oprf_vole.input_prefix(SESSION, 0), queries)
    named = (np.frombuffer(sent, dtype="<u8").reshape(-1, 2) == points).all(axis=1)
    return ["oprf.masked: names queries"] if named[table.row >= 0].any() else []


def matched_bins(view: View, common: int) -> NDArray[np.bool_]:
    """Which bins match: known to neither side, given to a distinguisher."""
    matched: NDArray[np.bool_] = _placed(view.seed if view.role is Role.EXPOSURE else view.peer_seed).row >= (
        ROWS - common
    )
    return matched


def accuracy(real: Sequence[View], simulated: Sequence[View]) -> float:
    """Trains a linear classifier on the first half of the views, and says how often it is right on the second half."""
    half = len(real) // 2
    train, test = (
        [np.concatenate([_statistics(view) for view in views[part]]) for views in (real, simulated)]
        for part in (slice(half), slice(half, None))
    )
    mean, spread = np.concatenate(train).mean(axis=0), np.concatenate(train).std(axis=0) + 1e-12

    def design(samples: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([(samples - mean) / spread, np.ones(len(samples))])

    labels = np.concatenate([np.full(len(samples), sign) for samples, sign in zip(train, (1.0, -1.0), strict=True)])
    weights, *_ = np.linalg.lstsq(design(np.concatenate(train)), labels, rcond=None)
    right = [(design(samples) @ weights) * sign > 0 for samples, sign in zip(test, (1.0, -1.0), strict=True)]
    return float(np.concatenate(right).mean())


def accuracy_bound(views: int) -> float:
    """What a coin does not exceed but once in 10,000 times, tested on half of that many views of each kind."""
    return 0.5 + 3.72 * 0.5 / float(np.sqrt(views // 2 * 2 * PIECES))


_STATISTICS: tuple[Callable[[NDArray[np.float64]], float], ...] = (
    lambda data: float(data.mean()),
    lambda data: float(data.std()),
    lambda data: float((data[1:] * data[:-1]).mean() - data.mean() ** 2),
    lambda data: float((data % 2).mean()),
    lambda data: float((data >= 128).mean()),
)


def _statistics(view: View) -> NDArray[np.float64]:
    """Statistics of pieces of a view: pieces × (steps and words, five each)."""
    sources = [data for step, data in view.received.items() if len(data) >= PIECES * 8]
    sources += [words.tobytes() for words in view.words.values()] + [view.bits.tobytes()]
    columns = [
        [statistic(piece) for piece in np.array_split(np.frombuffer(data, dtype=np.uint8).astype(np.float64), PIECES)]
        for data in sources
        for statistic in _STATISTICS
    ]
    return np.array(columns).T
