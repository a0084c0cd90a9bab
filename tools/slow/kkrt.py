"""The oblivious PRF of profile `kkrt`, one bin and one bit at a time: rows are Python integers, bit j is column j."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Final

from tools.slow.aes import encrypt

__all__ = ["code_keys", "correction", "encode", "evaluate", "hash_row", "receiver_row", "sender_row", "two_parts"]

WIDTH: Final = 448
GROUP: Final = 128


def code_keys(session_id: bytes, bucket: int) -> list[bytes]:
    """The five keys of the code."""
    seed = b"cleanroom/oprf-kkrt/code/v1" + session_id + bucket.to_bytes(4, "little")
    return [hashlib.sha256(seed + bytes([number])).digest()[:16] for number in range(5)]


def encode(keys: list[bytes], data: bytes) -> int:
    """The codeword of 26 bytes."""
    padded = data + bytes(32 - len(data))
    chained = encrypt(keys[0], padded[:16])
    chained = encrypt(keys[0], bytes(a ^ b for a, b in zip(chained, padded[16:], strict=True)))
    codeword = b"".join(encrypt(key, chained) for key in keys[1:])
    return int.from_bytes(codeword[: WIDTH // 8], "little")


@cache
def _block(key: bytes, number: int) -> int:
    """A block of a key's stream: AES of its number, little endian, 128 bits."""
    return int.from_bytes(encrypt(key, number.to_bytes(16, "little")), "little")


def _stream_bit(key: bytes, index: int) -> int:
    return _block(key, index // GROUP) >> index % GROUP & 1


def receiver_row(keys: list[tuple[bytes, bytes]], index: int) -> int:
    """The receiver's row t of a bin."""
    return sum(_stream_bit(pair[0], index) << column for column, pair in enumerate(keys))


def correction(keys: list[tuple[bytes, bytes]], codes: list[bytes], queries: Sequence[bytes]) -> bytes:
    """The receiver's message for bins 0, 1, …; bins that fill up the last group have the codeword zero."""
    groups = -(-len(queries) // GROUP)
    codewords = [encode(codes, query) for query in queries] + [0] * (groups * GROUP - len(queries))
    message = b""
    for group in range(groups):
        for column, pair in enumerate(keys):
            left, right = (_block(key, group) for key in pair)
            chosen = sum((codewords[group * GROUP + bit] >> column & 1) << bit for bit in range(GROUP))
            message += (left ^ right ^ chosen).to_bytes(16, "little")
    return message


def sender_row(keys: list[bytes], mask: int, message: bytes, index: int) -> int:
    """The sender's row of a bin: its streams, with the correction added where the mask is one."""
    row = 0
    for column, key in enumerate(keys):
        at = (index // GROUP * WIDTH + column) * 16
        sent = int.from_bytes(message[at : at + 16], "little") >> index % GROUP & 1
        row |= (_stream_bit(key, index) ^ (sent & mask >> column)) << column
    return row


def two_parts(head: bytes, output_bytes: int) -> bytes:
    """The two parts of an output from what both are hashed from: 8 bytes, and the others."""
    output = b""
    for part, length in ((0, 8), (1, output_bytes - 8)):
        blocks = [
            hashlib.sha256(head + bytes([part]) + counter.to_bytes(4, "little")).digest()
            for counter in range(-(-length // 32))
        ]
        output += b"".join(blocks)[:length]
    return output


def hash_row(session_id: bytes, bucket: int, index: int, row: int, output_bytes: int) -> bytes:
    """H: a row to the two parts of an output."""
    prefix = b"cleanroom/oprf-kkrt/v1" + session_id + bucket.to_bytes(4, "little")
    message = prefix + bytes(64 - len(prefix)) + index.to_bytes(8, "little") + row.to_bytes(WIDTH // 8, "little")
    digest = hashlib.sha256(message).digest()
    return two_parts(digest, output_bytes)


def evaluate(
    row: int, mask: int, session_id: bytes, bucket: int, *, index: int, data: bytes, output_bytes: int
) -> bytes:
    """F at one (bin, input), by who holds the sender's row and mask."""
    codeword = encode(code_keys(session_id, bucket), data)
    return hash_row(session_id, bucket, index, row ^ (codeword & mask), output_bytes)
