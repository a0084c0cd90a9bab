"""Answers that others published, or that were written by hand: the slow implementation must give each."""

from __future__ import annotations

import hashlib

from tools.recipes.record import Answers, Json
from tools.slow import aes, ed25519, merkle, oprf, ristretto, streams
from tools.slow.match_keys import person_key, shared_form

__all__ = [
    "aes_128",
    "chacha20",
    "expand_message_xmd",
    "forms",
    "merkle_tree",
    "oprf_mode",
    "platforms",
    "ristretto255",
    "signatures",
]


def aes_128(content: Json) -> Answers:
    """FIPS 197 and the Advanced Encryption Standard Algorithm Validation Suite."""
    for place, case in enumerate(content["cases"]):
        found = aes.encrypt(bytes.fromhex(case["key"]), bytes.fromhex(case["plaintext"]))
        yield f"case {place}", found.hex() == case["ciphertext"]


def chacha20(content: Json) -> Answers:
    """RFC 8439, appendix A.1."""
    for place, case in enumerate(content["cases"]):
        found = streams.keystream(bytes.fromhex(case["key"]), 64, first=case["counter"])
        yield f"case {place}", found.hex() == case["keystream"]


def signatures(content: Json) -> Answers:
    """RFC 8032, section 7.1."""
    for place, case in enumerate(content["cases"]):
        seed, message = bytes.fromhex(case["seed"]), bytes.fromhex(case["message"])
        yield f"case {place}, public key", ed25519.public_key(seed).hex() == case["public_key"]
        yield f"case {place}, signature", ed25519.sign(seed, message).hex() == case["signature"]


def _decodes(encoding: bytes) -> bool:
    try:
        ristretto.decode(encoding)
    except ValueError:
        return False
    return True


def ristretto255(content: Json) -> Answers:
    """RFC 9496, appendix A."""
    point = ristretto.IDENTITY
    for factor, expected in enumerate(content["multiples_of_generator"]):
        yield f"{factor} · generator", ristretto.encode(point).hex() == expected
        point = ristretto.add(point, ristretto.GENERATOR)
    for kind in content["invalid"]:
        for place, encoding in enumerate(kind["encodings"]):
            yield f"invalid encoding, {kind['fault']}, {place}", not _decodes(bytes.fromhex(encoding))
    derived = [(hashlib.sha512(case["label"].encode()).digest(), case) for case in content["derived_from_label"]]
    derived += [(bytes.fromhex(case["uniform_bytes"]), case) for case in content["derived_from_uniform"]]
    for place, (uniform, case) in enumerate(derived):
        found = ristretto.encode(ristretto.from_uniform(uniform))
        yield f"element from uniform bytes, {place}", found.hex() == case["element"]


def expand_message_xmd(content: Json) -> Answers:
    """RFC 9380, appendix K.3."""
    dst = content["dst"].encode()
    for place, vector in enumerate(content["vectors"]):
        found = ristretto.expand_message_xmd(vector["message"].encode(), dst, vector["length"])
        yield f"vector {place}", found.hex() == vector["uniform_bytes"]


def oprf_mode(content: Json) -> Answers:
    """RFC 9497, appendix A.1.1."""
    key = oprf.derive_key(bytes.fromhex(content["seed"]), bytes.fromhex(content["key_info"]))
    yield "secret key", key.to_bytes(32, "little").hex() == content["secret_key"]
    for number, vector in enumerate(content["vectors"], start=1):
        data, blind = bytes.fromhex(vector["input"]), int.from_bytes(bytes.fromhex(vector["blind"]), "little")
        blinded = oprf.blind(data, blind)
        yield f"vector {number}, blinded element", blinded.hex() == vector["blinded_element"]
        evaluated = oprf.blind_evaluate(key, blinded)
        yield f"vector {number}, evaluated element", evaluated.hex() == vector["evaluated_element"]
        yield f"vector {number}, output", oprf.finalize(data, blind, evaluated).hex() == vector["output"]
        yield f"vector {number}, output of evaluate", oprf.evaluate(key, data).hex() == vector["output"]


def merkle_tree(content: Json) -> Answers:
    """RFC 9162, section 2.1.1."""
    leaves = [hashlib.sha256(b"\x00" + bytes.fromhex(item)).digest() for item in content["inputs"]]
    for count, expected in enumerate(content["roots"], start=1):
        yield f"root of {count} leaves", merkle.tree_root(leaves[:count]).hex() == expected


def _rule(case: Json) -> dict[str, str]:
    return {name: case[name] for name in ("type", "rule", "version", "country", "hash") if case.get(name) is not None}


def platforms(content: Json) -> Answers:
    """Digests that platforms publish, by the heads and tails that they print."""
    for place, case in enumerate(content["cases"]):
        form = shared_form(case["text"], **_rule(case)) or ""
        holds = form == case["digest"] and form.startswith(case["digest_head"])
        yield f"case {place}", holds and form.endswith(case.get("digest_tail", ""))


def forms(content: Json) -> Answers:
    """Forms that were written by hand from the rules, and the keys that follow from them."""
    for place, case in enumerate(content["cases"]):
        found = {shared_form(text, **_rule(case)) for text in case["texts"]}
        yield f"case {place}, form", found == {case["form"]}
        key = None if case["form"] is None else person_key(type=case["type"], form=case["form"]).hex()
        yield f"case {place}, key", key == case.get("key")
