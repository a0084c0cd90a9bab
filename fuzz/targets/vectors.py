"""A file of known answers with one place of it changed: another implementation's, say, that somebody sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Final

from cleanroom.errors import CleanroomError, reason_of
from cleanroom.vectors.check import CHECKS, VECTORS, check_content, refusal_paths
from fuzz.reader import Reader
from fuzz.target import Target
from fuzz.targets.audits import changed_tree

__all__ = ["VECTORS_TARGET"]

_SLOW: Final = ("private_join/",)
"""Whole joins: what they are made of is in the other files."""


@cache
def _texts() -> dict[str, str]:
    """The files of known answers, and of each kind of refusal the first."""
    first = {path.rpartition("/")[0]: path for path in reversed(list(refusal_paths()))}
    paths = [path for path in (*CHECKS, *sorted(first.values())) if not path.startswith(_SLOW)]
    return {path: VECTORS.joinpath(path).read_text(encoding="utf-8") for path in paths}


def check_vectors(data: bytes) -> None:
    """A changed file holds, or is refused with CleanroomError; no value of it is in the message."""
    reader = Reader(data)
    path = reader.choice(tuple(_texts()))
    text = _texts()[path]
    if reader.number() % 8 == 0:
        text = reader.rest().decode("utf-8", "replace")
    else:
        tree = json.loads(text)
        while reader.more:
            tree = changed_tree(tree, reader)
        text = json.dumps(tree)
    try:
        check_content(path, text)
    except CleanroomError as error:
        assert reason_of(error).isprintable()


def _seeds() -> Iterator[bytes]:
    for number in range(len(_texts())):
        yield bytes([number, 0]) + b"{}"
        for kind in (0, 1, 4):
            for place in range(0, 24, 5):
                yield bytes([number, 1, place, 0, kind, place, 0, 1, 0]) + b"x"


VECTORS_TARGET: Final = Target(
    name="vectors",
    promise="a changed file of known answers holds or is refused with CleanroomError",
    check=check_vectors,
    seeds=_seeds,
    max_bytes=256,
)
