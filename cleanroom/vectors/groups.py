"""Checks of published answers: ristretto255, hashing to it, the oblivious PRF, Merkle trees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import oprf
from cleanroom.protocols.commitment import merkle_root
from cleanroom.protocols.reference import commitment as plain_commitment
from cleanroom.protocols.reference import oprf as plain_oprf
from cleanroom.protocols.reference import ristretto

__all__ = ["expand_message_xmd", "merkle", "oprf_mode", "ristretto255"]


def _rows(*items: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), -1)


def _scalar(value: int) -> bytes:
    return value.to_bytes(32, "little")


def ristretto255(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9496, appendix A: multiples of the generator, encodings to refuse, elements from uniform bytes."""
    multiples = [bytes.fromhex(encoding) for encoding in content["multiples_of_generator"]]
    for factor, encoding in enumerate(multiples):
        plain = ristretto.encode(ristretto.multiply(factor, ristretto.GENERATOR))
        # the kernel refuses the scalar zero, so the identity is asked of the reference alone
        found = _kernels.ristretto_multiply(_rows(_scalar(factor)), _rows(multiples[1])).tobytes() if factor else plain
        decoded = ristretto.encode(ristretto.decode(encoding))
        yield f"{factor} times the generator", found == plain == decoded == encoding
    for group in content["invalid"]:
        for place, encoding in enumerate(group["encodings"]):
            yield f"invalid encoding, {group['fault']}, {place}", _is_refused(bytes.fromhex(encoding))
    derived = [(hashlib.sha512(case["label"].encode()).digest(), case) for case in content["derived_from_label"]]
    derived += [(bytes.fromhex(case["uniform_bytes"]), case) for case in content["derived_from_uniform"]]
    for place, (uniform, case) in enumerate(derived):
        found = _kernels.ristretto_from_uniform(_rows(uniform)).tobytes()
        plain = ristretto.encode(ristretto.from_uniform(uniform))
        yield f"element from uniform bytes, {place}", found == plain == bytes.fromhex(case["element"])


def _is_refused(encoding: bytes) -> bool:
    """Whether kernel and reference both refuse an element that a peer could send."""
    try:
        oprf.blind_evaluate(_rows(_scalar(1)), _rows(encoding))
    except PeerError:
        try:
            ristretto.decode(encoding)
        except ValueError:
            return True
    return False


def expand_message_xmd(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9380, appendix K.3: expand_message_xmd with SHA-512."""
    dst = content["dst"].encode()
    for place, vector in enumerate(content["vectors"]):
        message, length = vector["message"].encode(), vector["length"]
        found = _kernels.expand_message_xmd(message, dst, length)
        plain = ristretto.expand_message_xmd(message, dst, length)
        yield f"vector {place}, {length} bytes", found == plain == bytes.fromhex(vector["uniform_bytes"])


def oprf_mode(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9497, appendix A.1.1: ristretto255-SHA512, mode OPRF."""
    yield "hash-to-group tag", (b"HashToGroup-" + oprf.CONTEXT).hex() == content["group_dst"]
    seed, info = bytes.fromhex(content["seed"]), bytes.fromhex(content["key_info"])
    pair = oprf.derive_key_pair(seed, info)
    key = plain_oprf.derive_key(seed, info)
    yield "secret key", pair.secret_key == _scalar(key) == bytes.fromhex(content["secret_key"])
    yield "public key", pair.public_key == ristretto.encode(ristretto.multiply(key, ristretto.GENERATOR))
    for number, vector in enumerate(content["vectors"], start=1):
        data, blind = bytes.fromhex(vector["input"]), bytes.fromhex(vector["blind"])
        factor = int.from_bytes(blind, "little")
        inputs, blinds, keys = _rows(data), _rows(blind), _rows(pair.secret_key)
        blinded, evaluated = bytes.fromhex(vector["blinded_element"]), bytes.fromhex(vector["evaluated_element"])
        output = bytes.fromhex(vector["output"])
        found = oprf.blind(inputs, blinds).tobytes()
        yield f"vector {number}, blinded element", found == plain_oprf.blind(data, factor) == blinded
        found = oprf.blind_evaluate(keys, _rows(blinded)).tobytes()
        yield f"vector {number}, evaluated element", found == plain_oprf.blind_evaluate(key, blinded) == evaluated
        found = oprf.finalize(inputs, blinds, _rows(evaluated)).tobytes()
        yield f"vector {number}, output", found == plain_oprf.finalize(data, factor, evaluated) == output
        found = oprf.evaluate(inputs, keys).tobytes()
        yield f"vector {number}, output of evaluate", found == plain_oprf.evaluate(key, data) == output


def merkle(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9162, section 2.1.1: roots without salts; and the kernel's blinded root against the reference's."""
    inputs = [bytes.fromhex(item) for item in content["inputs"]]
    leaves = [hashlib.sha256(b"\x00" + item).digest() for item in inputs]
    key = bytes(32)
    for count, expected in enumerate(content["roots"], start=1):
        yield f"root of {count} leaves", plain_commitment.tree_root(leaves[:count]).hex() == expected
        rows = inputs[:count]
        offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.uint64)
        found = merkle_root(key=key, data=b"".join(rows), offsets=offsets, padded=count)
        yield f"blinded root of {count} leaves", found == plain_commitment.merkle_root(key, rows, count)
