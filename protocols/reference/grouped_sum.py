"""Plain Python of the whole grouped sum: both sides' inputs and seeds in, every payload and both shares out."""

from __future__ import annotations

from collections.abc import Sequence

from cleanroom.protocols.reference.rlwe import (
    Draws,
    add,
    encrypt,
    encrypt_zero,
    multiply,
    pack,
    public_element,
    secrets,
    weight_polynomial,
)
from cleanroom.protocols.rlwe import ANSWER_PRIMES, DEGREE, MODULUS, PRIMES, encode, flood_bound, switch
from cleanroom.protocols.seeds import Streams, keystream

__all__ = ["run"]

_WORD = 1 << 64


def run(
    *,
    sender: Streams,
    receiver: Streams,
    groups: int,
    class_position: Sequence[int],
    rows: int,
    weight_bound: int,
    shares: Sequence[Sequence[int]],
    weights: Sequence[tuple[int, int, int]],
) -> tuple[list[tuple[str, bytes]], list[list[int]], list[list[int]]]:
    """Runs both sides over one bucket.

    Args:
        sender: the outcome side's streams.
        receiver: the exposure side's streams.
        groups: as in `Shape`, like the next three.
        class_position: see there.
        rows: see there.
        weight_bound: see there.
        shares: the sender's words, one row a bin.
        weights: the receiver's (bin, target, weight).

    Returns:
        (step, all its payloads joined) in the order of the wire; the sender's share and the receiver's.
    """
    columns, bins = len(class_position), len(shares)
    seed = sender.key(step="grouped_sum", direction="sender", purpose="public elements")
    error_key = sender.key(step="grouped_sum", direction="sender", purpose="errors")
    key_error_key = sender.key(step="grouped_sum", direction="sender", purpose="public key errors")
    own = secrets(sender.key(step="grouped_sum", direction="sender", purpose="secrets"), columns)
    zero_key = receiver.key(step="grouped_sum", direction="receiver", purpose="encryptions of zero")
    flood_key = receiver.key(step="grouped_sum", direction="receiver", purpose="floods")
    mask_key = receiver.key(step="grouped_sum", direction="receiver", purpose="masks")

    first = public_element(seed, 0)
    keys = []
    for column in range(columns):
        draws = Draws(key_error_key, column)
        keys.append(encrypt(first, own[column], draws.many(draws.error), [0] * DEGREE))

    blocks = -(-bins // DEGREE)
    elements = [public_element(seed, 1 + block) for block in range(blocks)]
    ciphertexts = []
    for number in range(blocks * columns):
        block, column = divmod(number, columns)
        words = [row[column] for row in shares[block * DEGREE : (block + 1) * DEGREE]]
        draws = Draws(error_key, number)
        words += [0] * (DEGREE - len(words))
        ciphertexts.append(encrypt(elements[block], own[column], draws.many(draws.error), words))

    outputs = groups * columns
    bound = flood_bound(rows=rows, weight_bound=weight_bound, outputs=outputs)
    mask_bytes, flood_bytes = keystream(mask_key, 8 * outputs), keystream(flood_key, 32 * outputs)
    masks = [int.from_bytes(mask_bytes[8 * i : 8 * i + 8], "little") for i in range(outputs)]
    draws_of_floods = [int.from_bytes(flood_bytes[32 * i : 32 * i + 32], "little") for i in range(outputs)]
    floods = [draw % (2 * bound + 1) - bound for draw in draws_of_floods]
    answers = b""
    sums = [[0] * columns for _ in range(groups)]
    for position in range(max(class_position) + 1):
        owned = [column for column in range(columns) if class_position[column] == position]
        rings, constants = b"", b""
        for group in range(groups):
            target = position * groups + group
            draws = Draws(zero_key, target)
            ring, zeros = encrypt_zero(first, [keys[column] for column in owned], draws)
            totals = dict(zip(owned, zeros, strict=True))
            for block in range(blocks):
                slots = [(b % DEGREE, w) for b, t, w in weights if t == target and b // DEGREE == block]
                ring = add(ring, multiply(elements[block], weight_polynomial(slots)))
                for column in owned:
                    totals[column] += sum(w * ciphertexts[block * columns + column][slot] for slot, w in slots)
            rings += pack([switch(x) for x in ring], ANSWER_PRIMES)
            for column in owned:
                index = group * columns + column
                answer = switch((totals[column] + floods[index] + encode(masks[index])) % MODULUS)
                constants += pack([answer], ANSWER_PRIMES)
                clear = sum(w * shares[b][column] for b, t, w in weights if t == target)
                sums[group][column] = (clear + masks[index]) % _WORD
        answers += rings + constants
    messages = [
        ("grouped_sum.seed", seed),
        ("grouped_sum.public_keys", b"".join(pack(key, PRIMES) for key in keys)),
        ("grouped_sum.ciphertexts", b"".join(pack(c0, PRIMES) for c0 in ciphertexts)),
        ("grouped_sum.answers", answers),
    ]
    negated = [[-masks[group * columns + column] % _WORD for column in range(columns)] for group in range(groups)]
    return messages, sums, negated
