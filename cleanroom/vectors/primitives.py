"""Checks of what steps are made of: ciphers, signatures, Merkle trees, labelled streams, keys of rows, time trees."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cleanroom import _kernels
from cleanroom.attribution.rows import TREE_DOMAIN
from cleanroom.attribution.tree import cover
from cleanroom.protocols.commitment import merkle_root
from cleanroom.protocols.seeds import Streams, keystream

__all__ = ["aes", "blinded_roots", "chacha20", "ed25519", "labels", "merkle", "row_keys", "time_trees"]

_TREES = 32


def aes(content: Any) -> Iterator[tuple[str, bool]]:
    """AES-128: a node's left child in a tree of seeds is the encryption of zero, so the kernel shows those cases."""
    for place, case in enumerate(content["cases"]):
        if set(case["plaintext"]) == {"0"}:
            roots = np.frombuffer(bytes.fromhex(case["key"]) * _TREES, np.uint8)
            sums, _ = _kernels.ggm_expand(roots)
            yield f"case {place}", sums[:16].tobytes().hex() == case["ciphertext"]


def chacha20(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 8439, appendix A.1."""
    for place, case in enumerate(content["cases"]):
        found = keystream(bytes.fromhex(case["key"]), 64 * (case["counter"] + 1))[-64:]
        yield f"case {place}", found.hex() == case["keystream"]


def ed25519(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 8032, section 7.1."""
    for place, case in enumerate(content["cases"]):
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"]))
        yield f"case {place}, public key", key.public_key().public_bytes_raw().hex() == case["public_key"]
        yield f"case {place}, signature", key.sign(bytes.fromhex(case["message"])).hex() == case["signature"]


def merkle(content: Any) -> Iterator[tuple[str, bool]]:
    """RFC 9162, section 2.1.1: its tree gives the published roots, and over salted leaves the kernel's."""
    inputs = [bytes.fromhex(item) for item in content["inputs"]]
    key = bytes(32)
    salts = [hmac.digest(key, b"cleanroom/merkle/v1" + at.to_bytes(8, "little"), "sha256") for at in range(len(inputs))]
    plain = [hashlib.sha256(b"\x00" + item).digest() for item in inputs]
    blinded = [
        hashlib.sha256(b"\x00" + salt + b"\x01" + item).digest() for salt, item in zip(salts, inputs, strict=True)
    ]
    for count, expected in enumerate(content["roots"], start=1):
        yield f"root of {count} leaves", _tree_root(plain[:count]).hex() == expected
        yield f"blinded root of {count} leaves", _blinded(key, inputs[:count], count) == _tree_root(blinded[:count])


def _tree_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _tree_root(leaves[:left]) + _tree_root(leaves[left:])).digest()


def _blinded(key: bytes, rows: list[bytes], padded: int) -> bytes:
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.uint64)
    return merkle_root(key=key, data=b"".join(rows), offsets=offsets, padded=padded)


def blinded_roots(content: Any) -> Iterator[tuple[str, bool]]:
    """Commitments to rows under several bounds."""
    key, rows = bytes.fromhex(content["key"]), [bytes.fromhex(row) for row in content["rows"]]
    for case in content["roots"]:
        found = _blinded(key, rows[: case["rows"]], case["padded"])
        yield f"{case['rows']} rows of at most {case['padded']}", found.hex() == case["root"]


def labels(content: Any) -> Iterator[tuple[str, bool]]:
    """Keys of labels, and the first bytes of their streams."""
    own = Streams(seed=bytes.fromhex(content["seed"]), session_id=bytes.fromhex(content["session_id"]))
    for place, case in enumerate(content["labels"]):
        key = own.key(**{name: case[name] for name in ("step", "purpose", "direction", "bucket", "attempt")})
        yield f"label {place}, key", key.hex() == case["key"]
        yield f"label {place}, stream", keystream(key, len(case["stream"]) // 2).hex() == case["stream"]


def row_keys(content: Any) -> Iterator[tuple[str, bool]]:
    """The key of a person's row at a node of the time tree."""
    for place, case in enumerate(content["keys"]):
        person = np.frombuffer(bytes.fromhex(case["person"]), np.uint8).reshape(1, 16)
        level, node = np.array([case["level"]], np.uint8), np.array([int(case["node"])], np.int64)
        found = _kernels.row_keys(person, case["weight_class"], level, node)
        yield f"key {place}", found.tobytes().hex() == case["key"]


def time_trees(content: Any) -> Iterator[tuple[str, bool]]:
    """The nodes that cover pieces of time; a lookup of a tick is its ancestors, of which at most one is in a cover."""
    for case in content["trees"]:
        sizes = tuple(case["sizes"])
        first, last = (np.array([piece[end] for piece in case["covers"]], np.int64) for end in ("first", "last"))
        pieces, levels, nodes = cover(first, last, sizes)
        for place, piece in enumerate(case["covers"]):
            own = pieces == place
            found = sorted(zip(levels[own].tolist(), nodes[own].tolist(), strict=True))
            yield f"tree {sizes}, cover {place}", found == sorted(map(tuple, piece["nodes"]))
            yield f"tree {sizes}, keys of cover {place}", _keys_are_of(sizes, piece)
        for lookup in case["lookups"]:
            wanted = [[level, lookup["tick"] // size] for level, size in enumerate(sizes)]
            yield f"tree {sizes}, lookup of {lookup['tick']}", wanted == lookup["nodes"]


def _keys_are_of(sizes: tuple[int, ...], piece: Any) -> bool:
    """Whether the keys that the preparation makes of a piece are those of its nodes."""
    nodes = np.array(piece["nodes"], dtype=np.int64).reshape(-1, 2)
    first, last = (np.array([piece[end]], dtype=np.int64) for end in ("first", "last"))
    nobody, owner = np.zeros((1, 16), dtype=np.uint8), np.zeros(1, dtype=np.int64)
    one = np.ones((1, 1), dtype=np.uint64)
    rows = _kernels.rows_of_pieces(nobody, owner, TREE_DOMAIN, first, last, one, list(sizes), np.array([len(nodes)]))
    people = np.repeat(nobody, len(nodes), axis=0)
    expected = _kernels.row_keys(people, 1, nodes[:, 0].astype(np.uint8), np.ascontiguousarray(nodes[:, 1]))
    return sorted(row[:2].astype(">u8").tobytes() for row in rows) == sorted(key.tobytes() for key in expected)
