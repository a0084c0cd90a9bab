"""Checks of published answers: ristretto255, hashing to it, the oblivious PRF."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import oprf

__all__ = ["expand_message_xmd", "oprf_mode", "ristretto255"]


def _rows(*items: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), -1)


def _scalar(value: int) -> bytes:
    return value.to_bytes(32, "little")


def ristretto255(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9496, appendix A: multiples of the generator, encodings to refuse, elements from uniform bytes."""
    multiples = [bytes.fromhex(encoding) for encoding in content["multiples_of_generator"]]
    for factor, encoding in enumerate(multiples):
        if not factor:  # the identity is no answer of a kernel: a peer that sends it is refused
            yield "0 times the generator", _is_refused(encoding)
            continue
        found = _kernels.ristretto_multiply(_rows(_scalar(factor)), _rows(multiples[1])).tobytes()
        yield f"{factor} times the generator", found == encoding
    for group in content["invalid"]:
        for place, encoding in enumerate(group["encodings"]):
            yield f"invalid encoding, {group['fault']}, {place}", _is_refused(bytes.fromhex(encoding))
    derived = [(hashlib.sha512(case["label"].encode()).digest(), case) for case in content["derived_from_label"]]
    derived += [(bytes.fromhex(case["uniform_bytes"]), case) for case in content["derived_from_uniform"]]
    for place, (uniform, case) in enumerate(derived):
        found = _kernels.ristretto_from_uniform(_rows(uniform)).tobytes()
        yield f"element from uniform bytes, {place}", found == bytes.fromhex(case["element"])


def _is_refused(encoding: bytes) -> bool:
    """Whether an element that a peer could send is refused."""
    try:
        oprf.blind_evaluate(_rows(_scalar(1)), _rows(encoding))
    except PeerError:
        return True
    return False


def expand_message_xmd(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9380, appendix K.3: expand_message_xmd with SHA-512."""
    dst = content["dst"].encode()
    for place, vector in enumerate(content["vectors"]):
        message, length = vector["message"].encode(), vector["length"]
        found = _kernels.expand_message_xmd(message, dst, length)
        yield f"vector {place}, {length} bytes", found == bytes.fromhex(vector["uniform_bytes"])


def oprf_mode(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9497, appendix A.1.1: ristretto255-SHA512, mode OPRF."""
    yield "hash-to-group tag", (b"HashToGroup-" + oprf.CONTEXT).hex() == content["group_dst"]
    seed, info = bytes.fromhex(content["seed"]), bytes.fromhex(content["key_info"])
    pair = oprf.derive_key_pair(seed, info)
    yield "secret key", pair.secret_key.hex() == content["secret_key"]
    for number, vector in enumerate(content["vectors"], start=1):
        data, blind = bytes.fromhex(vector["input"]), bytes.fromhex(vector["blind"])
        inputs, blinds, keys = _rows(data), _rows(blind), _rows(pair.secret_key)
        blinded, evaluated = bytes.fromhex(vector["blinded_element"]), bytes.fromhex(vector["evaluated_element"])
        output = bytes.fromhex(vector["output"])
        found = oprf.blind(inputs, blinds).tobytes()
        yield f"vector {number}, blinded element", found == blinded
        found = oprf.blind_evaluate(keys, _rows(blinded)).tobytes()
        yield f"vector {number}, evaluated element", found == evaluated
        found = oprf.finalize(inputs, blinds, _rows(evaluated)).tobytes()
        yield f"vector {number}, output", found == output
        found = oprf.evaluate(inputs, keys).tobytes()
        yield f"vector {number}, output of evaluate", found == output
