"""The oblivious PRF of RFC 9497: mode OPRF (0x00), suite ristretto255-SHA512, on batches.

Functionality: the sender holds a key k, the receiver an input x; the receiver learns F(k, x) and the sender nothing.

Security model: semi-honest; one-more gap static Diffie-Hellman over ristretto255, random oracles for the hashes. The
mode is not verifiable: a sender that answers under another key gives a wrong output, which the receiver cannot tell.

What each party learns: the receiver its outputs, nothing of the key; the sender nothing (a blinded element is uniform).

Rounds: one message each way. Bytes per item: 32 each way.

Source: RFC 9497 sections 3.2.1 (DeriveKeyPair), 3.3.1 (Blind, BlindEvaluate, Finalize, Evaluate) and 4.1; RFC 9496
(the group); RFC 9380 section 5.3.1 (expand_message_xmd).

Departures: none in what is computed. Functions take a batch of inputs of equal length, and a key or blind per item.
The blind is an argument, so that a run can be replayed. Where RFC 9497 returns InvalidInputError, InverseError or
DeriveKeyPairError, each of which has a chance below 2^-250, a ValueError is raised.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError

__all__ = [
    "CONTEXT",
    "ELEMENT_BYTES",
    "OUTPUT_BYTES",
    "SCALAR_BYTES",
    "KeyPair",
    "blind",
    "blind_evaluate",
    "derive_key_pair",
    "derive_keys",
    "evaluate",
    "finalize",
    "random_scalars",
]

ELEMENT_BYTES: Final = 32
SCALAR_BYTES: Final = 32
OUTPUT_BYTES: Final = 64
CONTEXT: Final = b"OPRFV1-\x00-ristretto255-SHA512"
"""contextString of RFC 9497, section 3.1: protocol version, mode, suite."""

_HASH_TO_GROUP: Final = b"HashToGroup-" + CONTEXT
_DERIVE_KEY_PAIR: Final = b"DeriveKeyPair" + CONTEXT
_GENERATOR: Final = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyPair:
    """A sender's key. Compare secrets with `hmac.compare_digest`; there is no `==`."""

    secret_key: bytes = field(repr=False)  # scalar, 32 bytes
    public_key: bytes  # element, 32 bytes


def random_scalars(key: bytes, *, first: int, count: int) -> NDArray[np.uint8]:
    """Draws uniform non-zero scalars: scalar i is block i of the ChaCha20 stream, 64 bytes, modulo the group order.

    Args:
        key: the stream's 32-byte key (`Streams.key`).
        first: number of the first scalar, so that a part of the sequence can be drawn again.
        count: how many.

    Returns:
        count × 32 bytes, in order.

    Raises:
        ValueError: the key has another length, or a scalar was zero (chance 2^-252).
    """
    return _kernels.ristretto_scalars(key, first, count)


def derive_key_pair(seed: bytes, info: bytes) -> KeyPair:
    """DeriveKeyPair.

    Args:
        seed: 32 secret bytes.
        info: public, at most 65,535 bytes.

    Raises:
        ValueError: an argument has a length that RFC 9497 does not allow.
    """
    secret = derive_keys(seed, np.frombuffer(info, np.uint8).reshape(1, len(info)))
    public = _kernels.ristretto_multiply(secret, np.frombuffer(_GENERATOR, np.uint8).reshape(1, ELEMENT_BYTES))
    return KeyPair(secret_key=secret.tobytes(), public_key=public.tobytes())


def derive_keys(seed: bytes, infos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The secret halves of DeriveKeyPair under one seed, without the public ones.

    Args:
        seed: 32 secret bytes.
        infos: n × L bytes.

    Returns:
        n × 32 bytes: a scalar per info.

    Raises:
        ValueError: an argument has a length that RFC 9497 does not allow.
    """
    return _kernels.oprf_derive_keys(seed, infos, _DERIVE_KEY_PAIR)


def blind(inputs: NDArray[np.uint8], blinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blind: the receiver's first step.

    Args:
        inputs: n × L bytes, private.
        blinds: n × 32 bytes, secret scalars from `random_scalars`, each for one input of one run.

    Returns:
        blinded_elements, n × 32 bytes, for the sender.

    Raises:
        ValueError: shapes do not fit, a blind is zero or not canonical, or an input hashes to the identity.
    """
    return _kernels.oprf_blind(inputs, blinds, _HASH_TO_GROUP)


def blind_evaluate(keys: NDArray[np.uint8], blinded_elements: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BlindEvaluate: the sender's step.

    Args:
        keys: n × 32 bytes, a secret key per element.
        blinded_elements: n × 32 bytes from the peer.

    Returns:
        evaluated_elements, n × 32 bytes, for the receiver.

    Raises:
        PeerError: an element is the identity or not a canonical encoding.
        ValueError: shapes do not fit, or a key is not a canonical non-zero scalar.
    """
    try:
        return _kernels.ristretto_multiply(keys, blinded_elements)
    except _kernels.ElementError as fault:
        raise PeerError(f"oprf: blinded_element: a canonical non-identity element expected, {fault}") from fault


def finalize(
    inputs: NDArray[np.uint8], blinds: NDArray[np.uint8], evaluated_elements: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Finalize: the receiver's last step.

    Args:
        inputs: n × L bytes, as given to `blind`.
        blinds: n × 32 bytes, as given to `blind`.
        evaluated_elements: n × 32 bytes from the peer.

    Returns:
        n × 64 bytes: the PRF's outputs, in the order of the inputs.

    Raises:
        PeerError: an element is the identity or not a canonical encoding.
        ValueError: shapes do not fit, or a blind is not a canonical non-zero scalar.
    """
    try:
        return _kernels.oprf_finalize(inputs, blinds, evaluated_elements)
    except _kernels.ElementError as fault:
        raise PeerError(f"oprf: evaluated_element: a canonical non-identity element expected, {fault}") from fault


def evaluate(inputs: NDArray[np.uint8], keys: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Evaluate: the PRF itself, by who holds the keys. One multiplication an item.

    Args:
        inputs: n × L bytes.
        keys: n × 32 bytes, a secret key per input.

    Returns:
        n × 64 bytes.

    Raises:
        ValueError: shapes do not fit, a key is not a canonical non-zero scalar, or an input hashes to the identity.
    """
    return _kernels.oprf_evaluate(inputs, keys, _HASH_TO_GROUP)
