"""Checks of match keys: identifiers in, shared forms and keys out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from cleanroom.agreement.model import Identifier
from cleanroom.match_keys import VALID, PersonKeys

__all__ = ["forms", "published"]


def _identifier(case: Any) -> Identifier:
    return Identifier(type=case["type"], rule=case.get("rule"), country=case.get("country"), hash=case.get("hash"))


def published(content: Any) -> Iterator[tuple[str, bool]]:
    """Digests that platforms publish: the heads and tails that they print, and the keys of the whole digests."""
    for place, case in enumerate(content["cases"]):
        form = case["digest"]
        holds = form.startswith(case["digest_head"]) and form.endswith(case.get("digest_tail", ""))
        found = PersonKeys(_identifier(case))(pa.array([case["text"]], pa.string()))
        holds = holds and found.keys.tobytes() == _key(case["type"], form)
        yield f"case {place}, {case['type']} {case['hash']}", holds


def forms(content: Any) -> Iterator[tuple[str, bool]]:
    """The key that the kernel makes of every spelling is that of the written form."""
    for place, case in enumerate(content["cases"]):
        form = case["form"]
        found = PersonKeys(_identifier(case))(pa.array(case["texts"], pa.string()))
        if form is None:
            holds = bool((found.status != VALID).all()) and not found.keys.any()
        else:
            key = _key(case["type"], form)
            holds = key.hex() == case["key"] and bool((found.status == VALID).all())
            holds = holds and {row.tobytes() for row in found.keys} == {key}
        yield f"case {place}, {case['type']} {case.get('rule') or ''}".rstrip(), holds


def _key(kind: str, form: str) -> bytes:
    label = b"cleanroom/person/v1" + bytes([len(kind)]) + kind.encode()
    return hashlib.sha256(label + form.encode()).digest()[:16]
