"""RFC 9497, mode OPRF, ristretto255-SHA512, one item at a time; and the profile's expansion of the output."""

from __future__ import annotations

import hashlib
from typing import Final

from tools.slow import ristretto
from tools.slow.streams import keystream

__all__ = [
    "blind",
    "blind_evaluate",
    "derive_key",
    "evaluate",
    "expand_output",
    "finalize",
    "hash_to_group",
    "random_scalar",
]

CONTEXT: Final = b"OPRFV1-" + bytes([0]) + b"-ristretto255-SHA512"


def hash_to_group(data: bytes, dst: bytes = b"HashToGroup-" + CONTEXT) -> ristretto.Point:
    """HashToGroup (section 4.1)."""
    return ristretto.from_uniform(ristretto.expand_message_xmd(data, dst, 64))


def hash_to_scalar(data: bytes, dst: bytes) -> int:
    """HashToScalar (section 4.1)."""
    return int.from_bytes(ristretto.expand_message_xmd(data, dst, 64), "little") % ristretto.ORDER


def random_scalar(key: bytes, index: int) -> int:
    """Scalar `index` of a stream: that block of the ChaCha20 key stream, modulo the group order."""
    return int.from_bytes(keystream(key, 64, first=index), "little") % ristretto.ORDER


def derive_key(seed: bytes, info: bytes) -> int:
    """The secret half of DeriveKeyPair (section 3.2.1)."""
    derive_input = seed + len(info).to_bytes(2, "big") + info
    for counter in range(256):
        key = hash_to_scalar(derive_input + bytes([counter]), b"DeriveKeyPair" + CONTEXT)
        if key:
            return key
    raise ValueError("DeriveKeyPairError")


def blind(data: bytes, scalar: int) -> bytes:
    """Blind (section 3.3.1)."""
    return ristretto.encode(ristretto.multiply(scalar, hash_to_group(data)))


def blind_evaluate(key: int, blinded_element: bytes) -> bytes:
    """BlindEvaluate (section 3.3.1)."""
    return ristretto.encode(ristretto.multiply(key, ristretto.decode(blinded_element)))


def finalize(data: bytes, scalar: int, evaluated_element: bytes) -> bytes:
    """Finalize (section 3.3.1)."""
    inverse = pow(scalar, -1, ristretto.ORDER)
    return _hash(data, ristretto.encode(ristretto.multiply(inverse, ristretto.decode(evaluated_element))))


def evaluate(key: int, data: bytes) -> bytes:
    """Evaluate (section 3.3.1)."""
    return _hash(data, ristretto.encode(ristretto.multiply(key, hash_to_group(data))))


def _hash(data: bytes, element: bytes) -> bytes:
    framed = b"".join(len(part).to_bytes(2, "big") + part for part in (data, element))
    return hashlib.sha512(framed + b"Finalize").digest()


def expand_output(output: bytes, session_id: bytes, output_bytes: int) -> bytes:
    """The two parts of an output in profile `ecdh`: 8 bytes, and the others."""
    expanded = b""
    for part, length in ((0, 8), (1, output_bytes - 8)):
        prefix = b"cleanroom/oprf-ecdh/v1" + session_id + bytes([part])
        blocks = [
            hashlib.sha512(prefix + counter.to_bytes(4, "little") + output).digest()
            for counter in range(-(-length // 64))
        ]
        expanded += b"".join(blocks)[:length]
    return expanded
