"""Checks of match keys: identifiers in, shared forms and keys out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from cleanroom.agreement.model import Identifier
from cleanroom.match_keys import VALID, PersonKeys, shared_form

__all__ = ["forms", "published"]


def _identifier(case: Any) -> Identifier:
    return Identifier(type=case["type"], rule=case.get("rule"), country=case.get("country"), hash=case.get("hash"))


def published(content: Any) -> Iterator[tuple[str, bool]]:
    """Digests that platforms publish, by the heads and tails that they print."""
    for place, case in enumerate(content["cases"]):
        form = shared_form(_identifier(case), case["text"]) or ""
        holds = form.startswith(case["digest_head"]) and form.endswith(case.get("digest_tail", ""))
        yield f"case {place}, {case['type']} {case['hash']}", holds


def forms(content: Any) -> Iterator[tuple[str, bool]]:
    """The project's own answers: the form of every spelling, and the key that the kernel makes of it."""
    for place, case in enumerate(content["cases"]):
        identifier, texts, form = _identifier(case), case["texts"], case["form"]
        found = PersonKeys(identifier)(pa.array(texts, pa.string()))
        holds = all(shared_form(identifier, text) == form for text in texts)
        if form is None:
            holds = holds and bool((found.status != VALID).all()) and not found.keys.any()
        else:
            label = b"cleanroom/person/v1" + bytes([len(case["type"])]) + case["type"].encode()
            key = hashlib.sha256(label + form.encode()).digest()[:16]
            holds = holds and key.hex() == case["key"] and bool((found.status == VALID).all())
            holds = holds and {row.tobytes() for row in found.keys} == {key}
        yield f"case {place}, {case['type']} {case.get('rule') or ''}".rstrip(), holds
