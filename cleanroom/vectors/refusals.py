"""Refusals: a frame with one fault, fed to the side that must refuse it, and the error that it must stop with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from cleanroom.errors import reason_of
from cleanroom.vectors import joins, openings, sessions, silent, transfers, whole
from cleanroom.vectors.pairs import Frame, Scene, refusal, run_scene

__all__ = ["SCENES", "refused"]

SCENES: Final[dict[str, Callable[[Any], Scene[Any, Any]]]] = {  # Any: a file's JSON, and parties of every kind
    "grouped_sum/v1/run.json": joins.grouped_sum_scene,
    "hint/v1/run.json": joins.hint_scene,
    "oprf_ecdh/v1/run.json": joins.oprf_ecdh_scene,
    "oprf_kkrt/v1/run.json": joins.oprf_kkrt_scene,
    "oprf_vole/v1/run.json": joins.oprf_vole_scene,
    "ot/v1/run.json": transfers.transfers_scene,
    "private_join/v1/ecdh_gaussian.json": whole.whole_scene,
    "private_join/v1/kkrt_none.json": whole.whole_scene,
    "release/v1/conjunction.json": openings.opening_scene,
    "release/v1/gaussian.json": openings.opening_scene,
    "release/v1/none.json": openings.opening_scene,
    "release/v1/sole_recipient.json": openings.opening_scene,
    "session/v1/handshake.json": sessions.session_scene,
    "silent_ot/v1/run.json": transfers.silent_transfers_scene,
    "silent_vole/v1/run.json": silent.silent_vole_scene,
}
"""The two parties of each valid file that refusals are made from."""

_SIDES: Final = ("exposure", "outcome")


@lru_cache(maxsize=1)  # refusals of one valid file come one after the other
def _frames(valid: str, text: str) -> tuple[Frame, ...]:
    return tuple(run_scene(SCENES[valid](json.loads(text))).frames)


def refused(content: Any, valid_text: str) -> Iterator[tuple[str, bool]]:
    """Checks one refusal.

    Args:
        content: the refusal's JSON.
        valid_text: the valid file that it names.

    Yields:
        Whether the frame that the fault is put in is this build's, whether the edits give the faulty frame, and whether
        the receiving side stops with exactly the expected error.
    """
    where, expect = content["frame"], content["expect"]
    sender = _SIDES.index(where["from"])
    incoming = [frame for number, _, frame in _frames(content["valid"], valid_text) if number == sender]
    valid = incoming[where["number"]]
    yield "the valid frame", hashlib.sha256(valid).hexdigest() == where["sha256"]
    faulty = valid
    for edit in sorted(content["edits"], key=lambda edit: int(edit["at"]), reverse=True):
        faulty = faulty[: edit["at"]] + bytes.fromhex(edit["insert"]) + faulty[edit["at"] + edit["remove"] :]
    yield "the faulty frame", hashlib.sha256(faulty).hexdigest() == content["faulty_sha256"]
    incoming[where["number"]] = faulty
    error = refusal(SCENES[content["valid"]](json.loads(valid_text))[1 - sender](), incoming)
    found = None if error is None else (type(error).__name__, error.exit_code)
    holds = found == (expect["error"], expect["exit_code"])
    yield "the error", holds and error is not None and expect["phrase"] in reason_of(error)
