"""What is built on transfers: equality, conjunction, multiplexer, comparison; both sides at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tools.slow.frames import Sent
from tools.slow.silent_transfers import SilentTransfers
from tools.slow.transfers import Batch, Transfers

__all__ = ["compare", "conjoin", "equal", "select"]

WORD: Final = 1 << 64
_HALF: Final = 1 << 63
_FULL: Final = 0xFFFF
Messages = list[tuple[int, Sent]]
"""(0 for the exposure side, 1 for the outcome side; message)."""


def _packed(bits: Sequence[int], size: int) -> list[int]:
    """Bits of one number at a time, `size` of them, in chunks of four; missing ones are zero."""
    rows = [bits[at : at + size] for at in range(0, len(bits), size)]
    return [sum(bit << place for place, bit in enumerate(row[at : at + 4])) for row in rows for at in range(0, size, 4)]


def equal(
    transfers: Transfers | SilentTransfers, a: Sequence[int], b: Sequence[int], *, width: int = 64
) -> tuple[list[int], list[int], Messages]:
    """XOR shares of [a = b] for numbers of `width` bits; the exposure side is the sender."""
    count = -(-width // 4)  # chunks a number
    own = [word >> shift & 15 for word in a for shift in range(0, 4 * count, 4)]
    choices = [word >> shift & 15 for word in b for shift in range(0, 4 * count, 4)]
    sent: Messages = []
    while True:
        masks = transfers.random_bits(len(own))
        batch = transfers.extend(choices)
        masked, opened = batch.tables([[1 << v ^ _FULL * bit] for v, bit in zip(own, masks, strict=True)])
        sent += [(0 if from_sender else 1, message) for from_sender, message in batch.preparation]
        sent += [(1, Sent("equality.correction", batch.correction)), (0, Sent("equality.tables", masked))]
        received = [bits[0] for bits in opened]
        if count == 1:
            return masks, received, sent
        own, choices = _packed(masks, count), _packed([bit ^ 1 for bit in received], count)
        count = -(-count // 4)


def conjoin(
    transfers: Transfers, first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]
) -> tuple[list[int], list[int], Messages]:
    """XOR shares of "all bits of the row are 1": the rows are equal when one side's are complemented."""
    sent: Messages = []
    while (width := len(first[0])) > 1:
        columns: list[list[list[int]]] = [[], []]
        for at in range(0, width, 64):
            a = [sum(bit << place for place, bit in enumerate(row[at : at + 64])) for row in first]
            b = [sum((bit ^ 1) << place for place, bit in enumerate(row[at : at + 64])) for row in second]
            one, other, messages = equal(transfers, a, b, width=min(64, width - at))
            columns[0].append(one)
            columns[1].append(other)
            sent += messages
        first, second = ([list(row) for row in zip(*held, strict=True)] for held in columns)
    return [row[0] for row in first], [row[0] for row in second], sent


def _correlate(batch: Batch, correlation: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[list[int]]]:
    words = len(correlation[0])
    zero, one = batch.sender_keys(0, words), batch.sender_keys(1, words)
    difference = [
        [(k0 - k1 + d) % WORD for k0, k1, d in zip(*rows, strict=True)]
        for rows in zip(zero, one, correlation, strict=True)
    ]
    return zero, difference


def _half(
    bits: Sequence[int],
    words: Sequence[Sequence[int]],
    own: Sequence[Sequence[int]],
    batch: Batch,
    d: Sequence[Sequence[int]],
) -> list[list[int]]:
    """bit·word - own + (chosen key + choice·difference)."""
    keys = batch.receiver_keys(len(words[0]))
    return [
        [(bit * w - s + k + c * x) % WORD for w, s, k, x in zip(*rows, strict=True)]
        for bit, c, *rows in zip(bits, batch.choices, words, own, keys, d, strict=True)
    ]


def _bytes(rows: Sequence[Sequence[int]]) -> bytes:
    return b"".join(word.to_bytes(8, "little") for row in rows for word in row)


def select(
    forth: Transfers,
    back: Transfers,
    bits: tuple[Sequence[int], Sequence[int]],
    z: Sequence[Sequence[int]],
    r: Sequence[Sequence[int]],
) -> tuple[list[list[int]], list[list[int]], Messages]:
    """Additive shares of (a XOR b)·(z + r); the exposure side sends in `forth` and receives in `back`."""
    a, b = bits
    asked, answered = back.extend(a, width=1), forth.extend(b, width=1)
    signed_z = [[(1 - 2 * bit) * word for word in row] for bit, row in zip(a, z, strict=True)]
    signed_r = [[(1 - 2 * bit) * word for word in row] for bit, row in zip(b, r, strict=True)]
    own_b, difference_b = _correlate(asked, signed_r)
    own_a, difference_a = _correlate(answered, signed_z)
    sent = [
        (0, Sent("mux.exposure_correction", asked.correction)),
        (1, Sent("mux.outcome_correction_and_difference", answered.correction + _bytes(difference_b))),
        (0, Sent("mux.exposure_difference", _bytes(difference_a))),
    ]
    return _half(a, z, own_a, asked, difference_b), _half(b, r, own_b, answered, difference_a), sent


def compare(
    transfers: Transfers, first: Sequence[int], second: Sequence[int], threshold: int
) -> tuple[list[int], list[int], Messages]:
    """XOR shares of [first + second >= threshold]; the exposure side is the sender."""
    shifted = [(word - threshold) % WORD for word in first]
    own = [_HALF - 1 - word % _HALF for word in shifted]
    pieces = [word >> shift & 15 for word in own for shift in range(60, -1, -4)]
    choices = [word % _HALF >> shift & 15 for word in second for shift in range(60, -1, -4)]
    masks = transfers.random_bits(2 * len(pieces))
    tables = [
        [(_FULL - 1) << v & _FULL ^ _FULL * masks[2 * place], 1 << v ^ _FULL * masks[2 * place + 1]]
        for place, v in enumerate(pieces)
    ]
    sent: Messages = []
    while True:
        batch = transfers.extend(choices)
        masked, opened = batch.tables(tables)
        sent += [(1, Sent("comparison.correction", batch.correction)), (0, Sent("comparison.tables", masked))]
        if len(opened) == len(first):
            break
        pairs = list(zip(opened[0::2], opened[1::2], strict=True))
        choices = [high[0] | high[1] << 1 | low[0] << 2 | low[1] << 3 for high, low in pairs]
        held = [masks[at : at + 4] for at in range(0, len(masks), 4)]
        masks = transfers.random_bits(2 * len(held))
        tables = [_node(shares, masks[2 * place : 2 * place + 2]) for place, shares in enumerate(held)]
    results = [(word >> 63) ^ masks[2 * place] ^ 1 for place, word in enumerate(shifted)]
    return results, [word >> 63 ^ bits[0] for word, bits in zip(second, opened, strict=True)], sent


def _node(shares: Sequence[int], masks: Sequence[int]) -> list[int]:
    """Tables of (less, equal) of two neighbours over the receiver's four shares."""
    less = equal_ = 0
    for choice in range(16):
        less_h, equal_h, less_l, equal_l = (choice >> place & 1 ^ shares[place] for place in range(4))
        less |= (less_h ^ equal_h & less_l) << choice
        equal_ |= (equal_h & equal_l) << choice
    return [less ^ _FULL * masks[0], equal_ ^ _FULL * masks[1]]
