"""Base transfers over Python integers: endemic oblivious transfer (ePrint 2019/706)."""

from __future__ import annotations

import hashlib
from typing import Final

from tools.slow import ristretto
from tools.slow.streams import keystream

__all__ = ["hash_to_point", "receiver_keys", "receiver_message", "sender_keys", "sender_message"]

KEY_BYTES: Final = 16


def _scalar(wide: bytes) -> int:
    return int.from_bytes(wide, "little") % ristretto.ORDER


def _draws(key: bytes, count: int) -> list[tuple[int, ristretto.Point]]:
    """The receiver's scalar and its element of unknown logarithm for each transfer: 64 bytes of stream each."""
    stream = keystream(key, 128 * count)
    pieces = [stream[at : at + 128] for at in range(0, len(stream), 128)]
    return [(_scalar(piece[:64]), ristretto.from_uniform(piece[64:])) for piece in pieces]


def _scalars(key: bytes, count: int) -> list[int]:
    stream = keystream(key, 64 * count)
    return [_scalar(stream[at : at + 64]) for at in range(0, len(stream), 64)]


def hash_to_point(domain: bytes, index: int, slot: int, element: bytes) -> ristretto.Point:
    """H_slot of the other slot's element."""
    label = b"cleanroom/base-ot/point/v1"
    return ristretto.from_uniform(
        hashlib.sha512(label + domain + index.to_bytes(4, "little") + bytes([slot]) + element).digest()
    )


def _key(domain: bytes, index: int, slot: int, elements: bytes, shared: ristretto.Point) -> bytes:
    label = b"cleanroom/base-ot/key/v1"
    body = domain + index.to_bytes(4, "little") + bytes([slot]) + elements + ristretto.encode(shared)
    return hashlib.sha256(label + body).digest()[:KEY_BYTES]


def receiver_message(key: bytes, domain: bytes, choices: list[int]) -> bytes:
    """Returns the receiver's two elements for each transfer, 64 bytes each."""
    message = b""
    for index, ((scalar, other), choice) in enumerate(zip(_draws(key, len(choices)), choices, strict=True)):
        hashed = hash_to_point(domain, index, choice, ristretto.encode(other))
        # minus one times the hash, by the group's order
        known = ristretto.add(
            ristretto.multiply(scalar, ristretto.GENERATOR), ristretto.multiply(ristretto.ORDER - 1, hashed)
        )
        pair = [ristretto.encode(known), ristretto.encode(other)]
        message += pair[choice] + pair[1 - choice]
    return message


def sender_message(key: bytes, count: int) -> bytes:
    """Returns the sender's element for each transfer, 32 bytes each."""
    return b"".join(
        ristretto.encode(ristretto.multiply(scalar, ristretto.GENERATOR)) for scalar in _scalars(key, count)
    )


def sender_keys(key: bytes, domain: bytes, elements: bytes) -> bytes:
    """Returns both keys of each transfer, 32 bytes each."""
    keys = b""
    for index, scalar in enumerate(_scalars(key, len(elements) // 64)):
        pair = elements[64 * index : 64 * index + 64]
        for slot in range(2):
            element, other = pair[32 * slot : 32 * slot + 32], pair[32 - 32 * slot : 64 - 32 * slot]
            blinded = ristretto.add(ristretto.decode(element), hash_to_point(domain, index, slot, other))
            keys += _key(domain, index, slot, pair, ristretto.multiply(scalar, blinded))
    return keys


def receiver_keys(key: bytes, domain: bytes, choices: list[int], own: bytes, elements: bytes) -> bytes:
    """Returns the chosen key of each transfer, 16 bytes each."""
    keys = b""
    for index, ((scalar, _), choice) in enumerate(zip(_draws(key, len(choices)), choices, strict=True)):
        shared = ristretto.multiply(scalar, ristretto.decode(elements[32 * index : 32 * index + 32]))
        keys += _key(domain, index, choice, own[64 * index : 64 * index + 64], shared)
    return keys
