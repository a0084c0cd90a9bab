"""The grouped sum: the outcome side's shares under the exposure side's secret weights, by ring-LWE.

Functionality. The sender (outcome side) holds N × m words u, one row a bin. The receiver (exposure side) holds small
integer weights w[bin, target]; a target is class × groups + group, and every column belongs to one class. They get
additive shares mod 2^64 of S[g, j] = Σ over bins of w[bin, class(j)·groups + g] · u[bin, j], for every group and
column, those with zero weights too. The receiver adds what its own shares give (`local_sum`).

Security model. Semi-honest. The sender's u is hidden by ring-LWE (parameters in `rlwe`). The receiver's weights are
hidden by four things, each of which alone gives them away when it is missing:

- a fresh encryption of zero, with its own u, e1, e2 for every answer: without it c1 = Σ w(X)·a_b is linear in w (the
  switch rounds e1 and e2 away: what hides u on the wire is that rounding, which is larger, and both together in a
  proof);
- uniform noise in ±B·2^(40 + ⌈log2 outputs⌉): without it the sender, who knows its errors, solves for w;
- of c0 only the coefficient that is the answer, under a mask uniform mod 2^64: all others are combinations of w too;
- words and masks encoded as round(q·m/2^64): with floor(q/2^64)·m the carry of the sum appears in the noise.

What each party learns: nothing beyond its share. Lengths and order of messages depend on `Shape` and the number of
bins alone. So does the receiver's arithmetic: every bin is padded to the public number of weights, with some of zero
spread over the targets, and `element_sums` works on every padded weight or on every pair of block and target.

Rounds: one message stream each way. The sender streams a 32-byte seed, one public key a column, then the encryptions;
the receiver answers a target at a time.

Bytes: 172,032 a column for each 8192 bins (21 a word), 172,032 a column once; answers 114,688 a target and 14 a
column of its class.

Source: Brakerski (ePrint 2012/078) and Fan–Vercauteren (2012/144) for the scale-invariant encoding and the product
with a plain polynomial; Gentry's smudging (STOC 2009) for the flood; Peikert, Vaikuntanathan and Waters (CRYPTO 2008,
section 7.2) for one random half under many secrets.

Departures: columns share the random halves a_b under secrets of their own, so that one c1 answers all columns of a
target; the receiver sums only coefficient 0 of c0, as Σ w·c0[slot], and never forms the product; the answer is
switched to the first two primes.

Memory: the receiver keeps 197 kB a target (one accumulator over all buckets) and pads some blocks of bins at a time;
both sides hold 17 blocks of their stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import AgreementError, DataError, PeerError
from cleanroom.protocols.bin_weights import PaddedWeights, Weights, blocks_at_once
from cleanroom.protocols.element_sums import TILE_BLOCKS, ElementSums, Load
from cleanroom.protocols.rlwe import (
    ANSWER_MODULUS,
    ANSWER_PRIMES,
    DEGREE,
    MODULUS,
    PRIME_BYTES,
    PRIMES,
    decode,
    encode,
    flood_bound,
    from_residues,
    residues,
    slack_bits,
    switch,
)
from cleanroom.protocols.seeds import SEED_BYTES, Streams, keystream
from cleanroom.protocols.traffic import Traffic, in_chunks, messages, total
from cleanroom.protocols.wire import CHUNK_BYTES, Expect, Message, Progress, Protocol, ProtocolId, Send, chunks

__all__ = [
    "CIPHERTEXT_BYTES",
    "RING_BYTES",
    "Receiver",
    "Sender",
    "Shape",
    "Weights",
    "check_entries",
    "local_sum",
    "receiver",
    "sender",
    "slack_bits",
    "traffic",
]

CIPHERTEXT_BYTES: Final = len(PRIMES) * DEGREE * PRIME_BYTES
"""One encrypted column of one block: the half that no seed gives."""
RING_BYTES: Final = len(ANSWER_PRIMES) * DEGREE * PRIME_BYTES
"""The c1 of an answer."""
CONSTANT_BYTES: Final = len(ANSWER_PRIMES) * PRIME_BYTES
"""The one coefficient of c0 that an answer holds for a column."""

_STEP: Final = "grouped_sum"
_SEED: Final = Message(protocol=ProtocolId.GROUPED_SUM, type=1, step="grouped_sum.seed")
_PUBLIC_KEYS: Final = Message(protocol=ProtocolId.GROUPED_SUM, type=2, step="grouped_sum.public_keys")
_CIPHERTEXTS: Final = Message(protocol=ProtocolId.GROUPED_SUM, type=3, step="grouped_sum.ciphertexts")
_ANSWERS: Final = Message(protocol=ProtocolId.GROUPED_SUM, type=4, step="grouped_sum.answers")

_PAYLOAD_CIPHERTEXTS: Final = CHUNK_BYTES // CIPHERTEXT_BYTES
_FLOOD_BYTES: Final = 32
"""Bytes a flood is reduced from: its bias is under 2^-150."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The public parameters of a grouped sum, over all buckets unless said otherwise.

    Attributes:
        groups: declared groups.
        class_position: the class of every column; classes count from 0 and each has a column.
        rows: bound on rows of the exposure side that carry weights.
        weight_bound: bound on |weight| of one row in one target.
        entries_per_bin: bound on the number of weights in one bin, those of all classes together.
    """

    groups: int
    class_position: tuple[int, ...]
    rows: int
    weight_bound: int
    entries_per_bin: int

    def __post_init__(self) -> None:
        """Raises:
        ValueError: no group or column, a class without a column, or a bound that is not positive.
        AgreementError: sums of this size would decode wrongly.
        """
        if self.groups < 1 or not self.class_position or self.entries_per_bin < 0:
            raise ValueError("groups and columns are at least 1, entries a bin at least 0")
        if set(self.class_position) != set(range(self.classes)):
            raise ValueError("every class from 0 on has a column")
        if slack_bits(rows=self.rows, weight_bound=self.weight_bound, outputs=self.outputs) < 0:
            raise AgreementError("rows, weights and outputs together leave the grouped sum no room for its noise")

    @property
    def columns(self) -> int:
        """m."""
        return len(self.class_position)

    @property
    def classes(self) -> int:
        """Weight classes in use."""
        return max(self.class_position) + 1

    @property
    def targets(self) -> int:
        """classes × groups."""
        return self.classes * self.groups

    @property
    def outputs(self) -> int:
        """Coefficients that are revealed, masked: groups × columns."""
        return self.groups * self.columns

    @property
    def load(self) -> Load:
        """What the receiver's arithmetic depends on."""
        return Load(
            targets=self.targets,
            rows=self.rows,
            weight_bound=self.weight_bound,
            entries_per_bin=self.entries_per_bin,
        )

    def columns_of(self, position: int) -> NDArray[np.uint32]:
        """Returns the columns of a class, ascending."""
        return np.array([j for j, own in enumerate(self.class_position) if own == position], dtype=np.uint32)

    def answers(self) -> Iterator[tuple[int, int, int]]:
        """Cuts the answers into payloads.

        Yields:
            (class, first group, last group + 1), ascending.
        """
        for position in range(self.classes):
            width = RING_BYTES + CONSTANT_BYTES * len(self.columns_of(position))
            for start, stop in chunks(self.groups, max(1, CHUNK_BYTES // width)):
                yield position, start, stop


class Sender:
    """The outcome side. Run `setup` once, `add` once a bucket, `finish` once."""

    def __init__(self, *, streams: Streams, shape: Shape) -> None:
        self._shape = shape
        self._seed = streams.key(step=_STEP, direction="sender", purpose="public elements")
        self._error_key = streams.key(step=_STEP, direction="sender", purpose="errors")
        self._key_error_key = streams.key(step=_STEP, direction="sender", purpose="public key errors")
        secret_key = streams.key(step=_STEP, direction="sender", purpose="secrets")
        self._secret = _kernels.RlweSecret(secret_key, shape.columns)
        self._blocks = 0

    def setup(self) -> Protocol[None]:
        """Sends the seed of the public elements and one public key a column."""
        yield Send(_SEED, self._seed)
        keys = self._secret.public_key(self._seed, self._key_error_key)
        for start, stop in chunks(self._shape.columns, _PAYLOAD_CIPHERTEXTS):
            yield Send(_PUBLIC_KEYS, keys[start * CIPHERTEXT_BYTES : stop * CIPHERTEXT_BYTES])

    def add(self, shares: NDArray[np.uint64]) -> Protocol[None]:
        """Sends the encryptions of one bucket's shares, N × m words."""
        n_bins, columns = shares.shape
        if columns != self._shape.columns:
            raise ValueError("shares have one column for each of the shape's")
        for tile in _tiles(n_bins):
            for first, count in _payloads(tile, columns):
                messages = np.zeros((count, DEGREE), dtype=np.uint64)
                for index in range(count):
                    block, column = divmod(first + index, columns)
                    piece = shares[block * DEGREE : (block + 1) * DEGREE, column]
                    messages[index, : len(piece)] = piece
                number = self._blocks * columns + first
                yield Send(_CIPHERTEXTS, self._secret.encrypt(self._seed, self._error_key, number, messages))
            yield Progress(_STEP, min(tile[1] * DEGREE, n_bins), n_bins)
        self._blocks += _block_count(n_bins)

    def finish(self) -> Protocol[NDArray[np.uint64]]:
        """Receives the answers.

        Returns:
            This side's share, groups × columns.

        Raises:
            PeerError: a residue is not reduced.
        """
        shape = self._shape
        share = np.zeros((shape.groups, shape.columns), dtype=np.uint64)
        for position, start, stop in shape.answers():
            columns = shape.columns_of(position)
            ring_bytes = (stop - start) * RING_BYTES
            payload = yield Expect(_ANSWERS, ring_bytes + (stop - start) * len(columns) * CONSTANT_BYTES)
            assert payload is not None
            rings = _unpack(payload[:ring_bytes], len(ANSWER_PRIMES), DEGREE)
            constants = _unpack(payload[ring_bytes:], len(ANSWER_PRIMES), 1)
            products = self._secret.product_constants(rings.reshape(-1, len(ANSWER_PRIMES), DEGREE), columns)
            pairs = zip(constants.reshape(-1, 2).tolist(), products.reshape(-1, 2).tolist(), strict=True)
            words = [
                decode((from_residues(c0, ANSWER_PRIMES) + from_residues(c1, ANSWER_PRIMES)) % ANSWER_MODULUS)
                for c0, c1 in pairs
            ]
            share[start:stop, columns] = np.array(words, dtype=np.uint64).reshape(stop - start, len(columns))
        return share


class Receiver:
    """The exposure side. Run `setup` once, `add` once a bucket, `finish` once."""

    def __init__(self, *, streams: Streams, shape: Shape) -> None:
        self._shape = shape
        self._zero_key = streams.key(step=_STEP, direction="receiver", purpose="encryptions of zero")
        self._flood_key = streams.key(step=_STEP, direction="receiver", purpose="floods")
        self._mask_key = streams.key(step=_STEP, direction="receiver", purpose="masks")
        self._seed = b""
        self._public_keys: NDArray[np.uint64] = np.zeros((0, len(PRIMES), DEGREE), dtype=np.uint64)
        self._sums = ElementSums(shape.load)
        self._constants: NDArray[np.uint64] = np.zeros((shape.groups, shape.columns, len(PRIMES)), dtype=np.uint64)
        self._counts: NDArray[np.int64] = np.zeros(shape.targets, dtype=np.int64)
        self._blocks = 0

    def setup(self) -> Protocol[None]:
        """Receives the seed and the public keys.

        Raises:
            PeerError: a residue is not reduced.
        """
        seed = yield Expect(_SEED, SEED_BYTES)
        assert seed is not None
        self._seed = seed
        parts = []
        for start, stop in chunks(self._shape.columns, _PAYLOAD_CIPHERTEXTS):
            payload = yield Expect(_PUBLIC_KEYS, (stop - start) * CIPHERTEXT_BYTES)
            assert payload is not None
            parts.append(_unpack(payload, len(PRIMES), DEGREE).reshape(-1, len(PRIMES), DEGREE))
        self._public_keys = np.concatenate(parts)

    def add(self, *, n_bins: int, weights: Weights) -> Protocol[None]:
        """Receives one bucket's encryptions and adds their weighted sums.

        Args:
            n_bins: the bucket's bins, N; public.
            weights: the bucket's weights.

        Raises:
            ValueError: arrays of unequal length, or a bin or target out of range.
            DataError: more weights, more of them in one target, or larger ones than the public bounds.
            PeerError: a residue is not reduced.
        """
        shape = self._shape
        self._check(n_bins, weights)
        padded = _padded(weights, n_bins, shape)
        offset = self._blocks * DEGREE
        class_position = np.array(shape.class_position, dtype=np.uint32)
        blocks, weighed = _block_count(n_bins), 0
        way = shape.load.way(n_bins)
        for tile in _tiles(n_bins):
            for first, count in _payloads(tile, shape.columns):
                payload = yield Expect(_CIPHERTEXTS, count * CIPHERTEXT_BYTES)
                assert payload is not None
                ciphertexts = _unpack(payload, len(PRIMES), DEGREE).reshape(count, len(PRIMES), DEGREE)
                low, high = first // shape.columns, (first + count - 1) // shape.columns + 1
                entries = padded.of_blocks(low, high)
                _kernels.rlwe_weigh_ciphertexts(
                    self._constants,
                    ciphertexts,
                    self._blocks * shape.columns + first,
                    class_position,
                    entries.bins + offset,
                    entries.targets,
                    entries.weights,
                )
            if tile[1] == blocks or tile[1] - weighed >= way.blocks:
                parts = self._sums.add(
                    seed=self._seed, padded=padded, way=way, blocks=(weighed, tile[1]), offset=self._blocks
                )
                for part in parts:
                    yield Progress(_STEP, int((weighed + part * (tile[1] - weighed)) * n_bins) // blocks, n_bins)
                weighed = tile[1]
        self._blocks += blocks

    def finish(self) -> Protocol[NDArray[np.uint64]]:
        """Sends the answers.

        Returns:
            This side's share, groups × columns: the negated masks.
        """
        shape = self._shape
        masks = np.frombuffer(keystream(self._mask_key, 8 * shape.outputs), dtype="<u8").astype(np.uint64)
        masks = masks.reshape(shape.groups, shape.columns)
        floods = _floods(self._flood_key, shape)
        for position, start, stop in shape.answers():
            columns = shape.columns_of(position)
            first = position * shape.groups + start
            zero_rings, zero_constants = _encrypt_zeros(
                self._seed, self._zero_key, first, stop - start, self._public_keys[columns]
            )
            rings = _kernels.rlwe_switch(self._sums.rings[first : first + stop - start], zero_rings)
            payload = [_pack(rings)]
            for index, group in enumerate(range(start, stop)):
                for place, column in enumerate(columns.tolist()):
                    weighted = from_residues(self._constants[group, column].tolist(), PRIMES)
                    zero = from_residues(zero_constants[index, place].tolist(), PRIMES)
                    mask = encode(int(masks[group, column]))
                    answer = switch((weighted + zero + floods[group * shape.columns + column] + mask) % MODULUS)
                    payload.extend(part.to_bytes(PRIME_BYTES, "little") for part in residues(answer, ANSWER_PRIMES))
            yield Send(_ANSWERS, b"".join(payload))
            yield Progress(_STEP, first + stop - start, shape.targets)
        return np.negative(masks)

    def _check(self, n_bins: int, weights: Weights) -> None:
        if len(weights.indptr) != len(weights.bins) + 1:
            raise ValueError("indptr has one entry more than bins")
        check_entries(shape=self._shape, indptr=weights.indptr, targets=weights.targets, weights=weights.weights)
        if len(weights.bins) and (int(weights.bins.min()) < 0 or int(weights.bins.max()) >= n_bins):
            raise ValueError("a bin is out of range")
        if len(weights.bins) and int(np.bincount(weights.bins).max()) > 1:
            raise ValueError("two rows are in one bin")
        self._counts += np.bincount(weights.targets, minlength=self._shape.targets)
        _check_rows(self._counts, self._shape)


def check_entries(
    *, shape: Shape, indptr: NDArray[np.int64], targets: NDArray[np.int32], weights: NDArray[np.int64]
) -> None:
    """Checks one bucket's weights against the public bounds; call it before anything is sent.

    Args:
        shape: the public parameters.
        indptr: rows + 1, which weights are whose.
        targets: of every weight.
        weights: in the same order.

    Raises:
        ValueError: arrays of unequal length, or a target out of range.
        DataError: more weights in one row or target, or larger ones, than the public bounds.
    """
    per_row = np.diff(indptr)
    if len(targets) != len(weights) or indptr[0] != 0 or indptr[-1] != len(targets) or (per_row < 0).any():
        raise ValueError("targets and weights have one entry each, and indptr cuts all of them")
    if int(per_row.max(initial=0)) > shape.entries_per_bin:
        raise DataError(f"at most {shape.entries_per_bin} weights a row fit the agreement; there are more")
    if not len(weights):
        return
    if int(targets.min()) < 0 or int(targets.max()) >= shape.targets:
        raise ValueError("a target is out of range")
    if max(-int(weights.min()), int(weights.max())) > shape.weight_bound:
        raise DataError("a weight is larger than the agreement's bound")
    _check_rows(np.bincount(targets, minlength=shape.targets), shape)


def _check_rows(counts: NDArray[np.int64], shape: Shape) -> None:
    if int(counts.max()) > shape.rows:
        raise DataError("a group has weights in more rows than the agreement's bound")


def sender(*, streams: Streams, shape: Shape, shares: NDArray[np.uint64]) -> Protocol[NDArray[np.uint64]]:
    """The outcome side of a grouped sum over one bucket.

    Args:
        streams: this side's; opens the labels of step "grouped_sum".
        shape: the public parameters.
        shares: u, N × m words.

    Returns:
        Its share of S, groups × m words.

    Raises:
        PeerError: the peer's bytes are malformed.
    """
    party = Sender(streams=streams, shape=shape)
    yield from party.setup()
    yield from party.add(shares)
    return (yield from party.finish())


def receiver(*, streams: Streams, shape: Shape, n_bins: int, weights: Weights) -> Protocol[NDArray[np.uint64]]:
    """The exposure side of a grouped sum over one bucket.

    Args:
        streams: this side's; opens the labels of step "grouped_sum".
        shape: the public parameters.
        n_bins: N.
        weights: its weights.

    Returns:
        Its share of S, groups × m words, without `local_sum`.

    Raises:
        DataError: the weights pass the public bounds.
        PeerError: the peer's bytes are malformed.
    """
    party = Receiver(streams=streams, shape=shape)
    yield from party.setup()
    yield from party.add(n_bins=n_bins, weights=weights)
    return (yield from party.finish())


def traffic(*, shape: Shape, n_bins: int, buckets: int = 1) -> Traffic:
    """What sender and receiver send for so many buckets of `n_bins` bins each."""
    ciphertexts = total(
        messages(count * CIPHERTEXT_BYTES) for tile in _tiles(n_bins) for _, count in _payloads(tile, shape.columns)
    )
    answers = total(
        messages((stop - start) * (RING_BYTES + CONSTANT_BYTES * len(shape.columns_of(position))))
        for position, start, stop in shape.answers()
    )
    keys = in_chunks(shape.columns, _PAYLOAD_CIPHERTEXTS, CIPHERTEXT_BYTES)
    return messages(SEED_BYTES) + keys + buckets * ciphertexts, answers


def local_sum(*, shape: Shape, weights: Weights, shares: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The receiver's part of the sum, from its own shares.

    Args:
        shape: the public parameters.
        weights: one bucket's weights.
        shares: the receiver's shares of that bucket, N × m words.

    Returns:
        groups × m words: Σ weight · share mod 2^64.
    """
    padded = _padded(weights, len(shares), shape)  # the peer waits for this sum too
    total = np.zeros((shape.groups, shape.columns), dtype=np.uint64)
    for start, stop in chunks(_block_count(len(shares)), blocks_at_once(shape.entries_per_bin)):
        entries = padded.of_blocks(start, stop)
        order, edges = entries.by_target(shape.targets)
        bins, values = entries.bins[order], entries.weights[order].astype(np.uint64)
        for column, position in enumerate(shape.class_position):
            # Running sums wrap mod 2^64, and so do their differences.
            running = np.concatenate(([np.uint64(0)], np.cumsum(values * shares[bins, column], dtype=np.uint64)))
            own = edges[position * shape.groups : (position + 1) * shape.groups + 1]
            total[:, column] += running[own[1:]] - running[own[:-1]]
    return total


def _padded(weights: Weights, n_bins: int, shape: Shape) -> PaddedWeights:
    return PaddedWeights(weights, n_bins=n_bins, width=shape.entries_per_bin, targets=shape.targets)


def _encrypt_zeros(
    seed: bytes, key: bytes, first: int, count: int, public_keys: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    return _kernels.rlwe_encrypt_zeros(seed, key, first, count, np.ascontiguousarray(public_keys))


def _floods(key: bytes, shape: Shape) -> list[int]:
    bound = flood_bound(rows=shape.rows, weight_bound=shape.weight_bound, outputs=shape.outputs)
    data = keystream(key, _FLOOD_BYTES * shape.outputs)
    draws = (data[at : at + _FLOOD_BYTES] for at in range(0, len(data), _FLOOD_BYTES))
    return [int.from_bytes(draw, "little") % (2 * bound + 1) - bound for draw in draws]


def _block_count(n_bins: int) -> int:
    return -(-n_bins // DEGREE)


def _tiles(n_bins: int) -> Iterator[tuple[int, int]]:
    """Cuts a bucket's blocks into (first, last + 1)."""
    yield from chunks(_block_count(n_bins), TILE_BLOCKS)


def _payloads(tile: tuple[int, int], columns: int) -> Iterator[tuple[int, int]]:
    """Cuts a tile's ciphertexts, numbered block × columns + column, into (first, count)."""
    offset = tile[0] * columns
    for start, stop in chunks((tile[1] - tile[0]) * columns, _PAYLOAD_CIPHERTEXTS):
        yield offset + start, stop - start


def _unpack(payload: bytes, limbs: int, run: int) -> NDArray[np.uint64]:
    try:
        return _kernels.rlwe_unpack(payload, limbs, run)
    except ValueError:
        raise PeerError(f"{_STEP}: the peer sent a residue that is not under its prime") from None


def _pack(values: NDArray[np.uint64]) -> bytes:
    return values.astype("<u8").reshape(-1, 1).view(np.uint8)[:, :PRIME_BYTES].tobytes()
