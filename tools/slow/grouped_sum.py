"""The whole grouped sum: both sides' inputs and seeds in, every message and both shares out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from tools.slow import ring
from tools.slow.frames import Sent, pieces
from tools.slow.hint import words_of
from tools.slow.ring import ANSWER_PRIMES, DEGREE, MODULUS, PRIMES, Draws
from tools.slow.streams import Streams, keystream

__all__ = ["Shape", "Sum", "local_sum", "run", "run_buckets"]

_WORD: Final = 1 << 64
_CHUNK_BYTES: Final = 1 << 20
_CIPHERTEXT_BYTES: Final = len(PRIMES) * DEGREE * 7
_TILE_BLOCKS: Final = 16  # no message goes on from one tile of blocks into the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What both sides know: see `docs/reference/wire/grouped-sum.md`."""

    groups: int
    class_position: Sequence[int]  # of every column
    rows: int
    weight_bound: int

    @property
    def outputs(self) -> int:
        """Coefficients that are revealed, masked."""
        return self.groups * len(self.class_position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Messages of both sides in their order, and both shares, groups × columns."""

    set_up: list[Sent]
    ciphertexts: list[list[Sent]]  # of each bucket
    from_receiver: list[Sent]
    sender: list[list[int]]
    receiver: list[list[int]]

    @property
    def from_sender(self) -> list[Sent]:
        """All of the sender's messages."""
        return self.set_up + [sent for bucket in self.ciphertexts for sent in bucket]


@cache
def _public(seed: bytes, number: int) -> list[int]:
    return ring.public_element(seed, number)


@cache
def _public_keys(seed: bytes, error_key: bytes, secret_key: bytes, columns: int) -> list[list[int]]:
    keys = []
    for column, secret in enumerate(ring.secrets(secret_key, columns)):
        draws = Draws(error_key, column)
        keys.append(ring.encrypt(_public(seed, 0), secret, draws.many(draws.error), [0] * DEGREE))
    return keys


def run(
    *,
    sender: Streams,
    receiver: Streams,
    shape: Shape,
    shares: Sequence[Sequence[int]],
    weights: Sequence[tuple[int, int, int]],
) -> Sum:
    """Runs both sides over one bucket.

    Args:
        sender: the outcome side's streams.
        receiver: the exposure side's streams.
        shape: public.
        shares: the sender's words, one row a bin.
        weights: the receiver's (bin, target, weight); a target is class position × groups + group.
    """
    return run_buckets(sender=sender, receiver=receiver, shape=shape, shares=[shares], weights=[weights])


def run_buckets(
    *,
    sender: Streams,
    receiver: Streams,
    shape: Shape,
    shares: Sequence[Sequence[Sequence[int]]],
    weights: Sequence[Sequence[tuple[int, int, int]]],
) -> Sum:
    """Runs both sides over several buckets; shares and weights are those of `run`, bucket by bucket."""
    columns = len(shape.class_position)
    blocks_of = [-(-len(bucket) // DEGREE) for bucket in shares]  # every bucket begins a block
    first = [sum(blocks_of[:number]) for number in range(len(shares))]
    placed = [
        (DEGREE * first[number] + at, target, weight)
        for number, bucket in enumerate(weights)
        for at, target, weight in bucket
    ]
    words_in = [
        row
        for bucket, own in zip(shares, blocks_of, strict=True)
        for row in [*bucket, *([0] * columns for _ in range(own * DEGREE - len(bucket)))]
    ]
    seed = sender.key("grouped_sum", "public elements", direction="sender")
    error_key = sender.key("grouped_sum", "errors", direction="sender")
    secret_key = sender.key("grouped_sum", "secrets", direction="sender")
    key_errors = sender.key("grouped_sum", "public key errors", direction="sender")
    own = ring.secrets(secret_key, columns)
    keys = _public_keys(seed, key_errors, secret_key, columns)

    blocks = sum(blocks_of)
    ciphertexts = []
    for number in range(blocks * columns):
        block, column = divmod(number, columns)
        words = [row[column] for row in words_in[block * DEGREE : (block + 1) * DEGREE]]
        draws = Draws(error_key, number)
        element = _public(seed, 1 + block)
        ciphertexts.append(ring.encrypt(element, own[column], draws.many(draws.error), words))

    answers = _answers(shape, seed, keys, ciphertexts, placed, receiver, blocks)
    per_message = _CHUNK_BYTES // _CIPHERTEXT_BYTES * _CIPHERTEXT_BYTES
    sent = [Sent("grouped_sum.seed", seed)]
    packed_keys = b"".join(ring.pack(key, PRIMES) for key in keys)
    sent += [Sent("grouped_sum.public_keys", part) for part in pieces(packed_keys, per_message)]
    by_bucket = []
    for start, size in zip(first, blocks_of, strict=True):
        packed = b"".join(ring.pack(c0, PRIMES) for c0 in ciphertexts[start * columns : (start + size) * columns])
        tiles = pieces(packed, _TILE_BLOCKS * columns * _CIPHERTEXT_BYTES)
        by_bucket.append(
            [Sent("grouped_sum.ciphertexts", part) for tile in tiles for part in pieces(tile, per_message)]
        )
    return Sum(
        set_up=sent,
        ciphertexts=by_bucket,
        from_receiver=[Sent("grouped_sum.answers", b"".join(part)) for part in answers],
        sender=_opened(shape, own, answers),
        receiver=[[-mask % _WORD for mask in row] for row in _masks(shape, receiver)],
    )


def _masks(shape: Shape, receiver: Streams) -> list[list[int]]:
    columns = len(shape.class_position)
    key = receiver.key("grouped_sum", "masks", direction="receiver")
    flat = words_of(keystream(key, 8 * shape.outputs))
    return [flat[columns * group : columns * (group + 1)] for group in range(shape.groups)]


def _floods(shape: Shape, receiver: Streams) -> list[int]:
    bound = ring.flood_bound(rows=shape.rows, weight_bound=shape.weight_bound, outputs=shape.outputs)
    key = receiver.key("grouped_sum", "floods", direction="receiver")
    draws = pieces(keystream(key, 32 * shape.outputs), 32)
    return [int.from_bytes(draw, "little") % (2 * bound + 1) - bound for draw in draws]


def _classes(shape: Shape) -> list[list[int]]:
    """The columns of each class."""
    numbers = range(max(shape.class_position) + 1)
    return [[column for column, own in enumerate(shape.class_position) if own == number] for number in numbers]


def _answers(
    shape: Shape,
    seed: bytes,
    keys: Sequence[Sequence[int]],
    ciphertexts: Sequence[Sequence[int]],
    weights: Sequence[tuple[int, int, int]],
    receiver: Streams,
    blocks: int,
) -> list[tuple[bytes, bytes]]:
    """The receiver's messages, each in two parts: the rings of its groups, then their constants."""
    columns = len(shape.class_position)
    zero_key = receiver.key("grouped_sum", "encryptions of zero", direction="receiver")
    masks, floods = _masks(shape, receiver), _floods(shape, receiver)
    found = []
    for position, owned in enumerate(_classes(shape)):
        width = 2 * DEGREE * 7 + 2 * 7 * len(owned)
        per_message = max(1, _CHUNK_BYTES // width)
        rings, constants = [], []
        for group in range(shape.groups):
            target = position * shape.groups + group
            total, zeros = ring.encrypt_zero(_public(seed, 0), [keys[j] for j in owned], Draws(zero_key, target))
            sums = dict(zip(owned, zeros, strict=True))
            for block in range(blocks):
                slots = [(b % DEGREE, w) for b, t, w in weights if t == target and b // DEGREE == block]
                if not slots:
                    continue
                polynomial = ring.weight_polynomial(slots)
                total = ring.add(total, ring.multiply(_public(seed, 1 + block), polynomial))
                for column in owned:
                    sums[column] += sum(w * ciphertexts[block * columns + column][slot] for slot, w in slots)
            rings.append(ring.pack([ring.switch(x) for x in total], ANSWER_PRIMES))
            noised = [sums[j] + floods[group * columns + j] + ring.encode(masks[group][j]) for j in owned]
            constants.append(b"".join(ring.pack([ring.switch(x % MODULUS)], ANSWER_PRIMES) for x in noised))
        for at in range(0, shape.groups, per_message):
            found.append((b"".join(rings[at : at + per_message]), b"".join(constants[at : at + per_message])))
    return found


def _opened(shape: Shape, own: Sequence[Sequence[int]], answers: Sequence[tuple[bytes, bytes]]) -> list[list[int]]:
    """The sender decrypts: c0 + coefficient 0 of c1 × secret."""
    share = [[0] * len(shape.class_position) for _ in range(shape.groups)]
    owners = [(group, owned) for owned in _classes(shape) for group in range(shape.groups)]
    size = len(ANSWER_PRIMES) * DEGREE * 7
    rings = [ring.unpack(part, ANSWER_PRIMES) for first, _ in answers for part in pieces(first, size)]
    constants = iter([part for _, second in answers for part in pieces(second, 7 * len(ANSWER_PRIMES))])
    for (group, owned), c1 in zip(owners, rings, strict=True):
        for column in owned:
            (c0,) = ring.unpack(next(constants), ANSWER_PRIMES)
            product = ring.constant(c1, own[column], ring.ANSWER_MODULUS)
            share[group][column] = ring.decode((c0 + product) % ring.ANSWER_MODULUS)
    return share


def local_sum(
    *, shape: Shape, weights: Sequence[tuple[int, int, int]], shares: Sequence[Sequence[int]]
) -> list[list[int]]:
    """What the receiver adds from its own shares, one row a bin."""
    total = [[0] * len(shape.class_position) for _ in range(shape.groups)]
    for at, target, weight in weights:
        position, group = divmod(target, shape.groups)
        for column, own in enumerate(shape.class_position):
            if own == position:
                total[group][column] = (total[group][column] + weight * shares[at][column]) % _WORD
    return total
