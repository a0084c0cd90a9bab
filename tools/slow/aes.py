"""AES-128 (FIPS 197), encryption only, on many blocks at once: byte i of every block lies in one string."""

from __future__ import annotations

from typing import Final

__all__ = ["encrypt", "xor"]


def _double(value: int) -> int:
    """Times x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    return value << 1 ^ (0x11B if value & 0x80 else 0)


def _sbox() -> bytes:
    """Inverse in GF(2^8), then the affine map: 3 generates the field, so its powers are walked both ways."""
    table = bytearray(256)
    power = inverse = 1
    while True:
        power ^= _double(power)
        for shift in (1, 2, 4):  # divides by 3
            inverse = (inverse ^ inverse << shift) & 0xFF
        inverse ^= 0x09 if inverse & 0x80 else 0
        turned = [inverse << turn | inverse >> 8 - turn for turn in range(5)]
        table[power] = (turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4]) & 0xFF ^ 0x63
        if power == 1:
            break
    table[0] = 0x63
    return bytes(table)


SBOX: Final = _sbox()
DOUBLE: Final = bytes(_double(value) for value in range(256))
PLUS: Final = [bytes(value ^ key for value in range(256)) for key in range(256)]
_ROUNDS: Final = 10


def xor(*parts: bytes) -> bytes:
    """The sum of byte strings of equal length."""
    total = 0
    for part in parts:
        total ^= int.from_bytes(part, "little")
    return total.to_bytes(len(parts[0]), "little")


def _round_keys(key: bytes) -> list[bytes]:
    words = [key[at : at + 4] for at in range(0, 16, 4)]
    constant = 1
    for number in range(4, 4 * (_ROUNDS + 1)):
        last = words[-1]
        if number % 4 == 0:
            last = (last[1:] + last[:1]).translate(SBOX)
            last = bytes([last[0] ^ constant]) + last[1:]
            constant = _double(constant)
        words.append(xor(words[number - 4], last))
    return [b"".join(words[at : at + 4]) for at in range(0, len(words), 4)]


def _mix(column: list[bytes]) -> list[bytes]:
    """MixColumns: 2, 3, 1, 1 turned."""
    plain = [int.from_bytes(part, "little") for part in column]
    twice = [int.from_bytes(part.translate(DOUBLE), "little") for part in column]
    total = plain[0] ^ plain[1] ^ plain[2] ^ plain[3]
    size = len(column[0])
    return [(total ^ plain[r] ^ twice[r] ^ twice[(r + 1) % 4]).to_bytes(size, "little") for r in range(4)]


def encrypt(key: bytes, blocks: bytes) -> bytes:
    """Encrypts blocks of 16 bytes, each on its own."""
    keys = _round_keys(key)
    state = [blocks[place::16].translate(PLUS[keys[0][place]]) for place in range(16)]
    for number in range(1, _ROUNDS + 1):
        state = [part.translate(SBOX) for part in state]
        state = [state[(place + 4 * (place % 4)) % 16] for place in range(16)]  # ShiftRows; columns lie together
        if number < _ROUNDS:
            state = [part for at in range(0, 16, 4) for part in _mix(state[at : at + 4])]
        state = [part.translate(PLUS[octet]) for part, octet in zip(state, keys[number], strict=True)]
    out = bytearray(len(blocks))
    for place, part in enumerate(state):
        out[place::16] = part
    return bytes(out)
