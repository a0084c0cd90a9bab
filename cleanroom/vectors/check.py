"""Which check belongs to which file of known answers, and the run over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeAlias

from cleanroom.errors import CleanroomError
from cleanroom.vectors import buckets, groups, joins, openings, people, primitives, sessions, silent, transfers, whole
from cleanroom.vectors.refusals import refused

__all__ = ["CHECKS", "VECTORS", "Check", "CheckedFile", "check_content", "check_file", "check_vectors", "refusal_paths"]

Check: TypeAlias = Callable[[Any], Iterator[tuple[str, bool]]]  # Any: a file's JSON
"""Takes a file's content; yields each vector's name and whether this build gives its answer."""

VECTORS: Final[Traversable] = files("cleanroom.vectors") / "files"
"""The folder of the files."""

CHECKS: Final[dict[str, Check]] = {
    "aes/fips-197/aes-128.json": primitives.aes,
    "buckets/v1/kkrt.json": buckets.buckets_run,
    "chacha20/rfc8439/keystream.json": primitives.chacha20,
    "ed25519/rfc8032/signatures.json": primitives.ed25519,
    "expand_message_xmd/rfc9380/sha512.json": groups.expand_message_xmd,
    "grouped_sum/v1/run.json": joins.grouped_sum_run,
    "hint/v1/run.json": joins.hint_run,
    "match_keys/v1/forms.json": people.forms,
    "match_keys/v1/published.json": people.published,
    "merkle/rfc9162/certificate-transparency.json": primitives.merkle,
    "merkle/v1/blinded.json": primitives.blinded_roots,
    "oprf/rfc9497/ristretto255-sha512-mode-oprf.json": groups.oprf_mode,
    "oprf_ecdh/v1/run.json": joins.oprf_ecdh_run,
    "oprf_kkrt/v1/run.json": joins.oprf_kkrt_run,
    "oprf_vole/v1/run.json": joins.oprf_vole_run,
    "ot/v1/run.json": transfers.transfers_run,
    "private_join/v1/ecdh_gaussian.json": whole.whole_run,
    "private_join/v1/kkrt_none.json": whole.whole_run,
    "private_join/v1/vole_none.json": whole.whole_run,
    "release/v1/conjunction.json": openings.opening_run,
    "release/v1/differences.json": openings.opening_run,
    "release/v1/gaussian.json": openings.opening_run,
    "release/v1/none.json": openings.opening_run,
    "release/v1/sole_recipient.json": openings.opening_run,
    "ristretto255/rfc9496/encodings.json": groups.ristretto255,
    "row_keys/v1/keys.json": primitives.row_keys,
    "row_keys/v1/trees.json": primitives.time_trees,
    "session/v1/handshake.json": sessions.session_run,
    "silent_ot/v1/run.json": transfers.silent_transfers_run,
    "silent_vole/v1/run.json": silent.silent_vole_run,
    "streams/v1/labels.json": primitives.labels,
}
"""Every file of known answers, by its path, and its check."""

_REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One file whose answers this build gives, or whose fault it refuses."""

    path: str
    source: str
    vectors: int
    refusal: bool


def check_file(path: str) -> CheckedFile:
    """Checks one file.

    Args:
        path: a key of `CHECKS`, or one of `refusal_paths`.

    Raises:
        CleanroomError: this build gives another answer than the file; the message names the first such vector.
    """
    return check_content(path, _text(path))


def check_content(path: str, text: str) -> CheckedFile:
    """Checks a file by its text; see `check_file`."""
    held = 0
    last = "its first vector"
    other: str | None = None
    try:
        content = json.loads(text)
        source = str(content["source"])
        for name, holds in _answers(path, content):
            if not holds:
                other = name
                break
            held, last = held + 1, f"the vector after {name}"
    except Exception as error:
        raise CleanroomError(f"{path}: {last}: this build stops with {type(error).__name__}") from error
    if other is not None:
        raise CleanroomError(f"{path}: {other}: this build gives another answer")
    if not held:
        raise CleanroomError(f"{path}: the file holds no vector")
    return CheckedFile(path=path, source=source, vectors=held, refusal=path not in CHECKS)


def refusal_paths() -> Iterator[str]:
    """The files of refusals, in the order of their paths: PROTOCOL/VERSION/refused/STEP/FAULT.json."""
    yield from sorted(_below(VECTORS, ()))


def check_vectors() -> Iterator[CheckedFile]:
    """Checks every file: the known answers in the order of their paths, then the refusals.

    Yields:
        Each file that holds.

    Raises:
        CleanroomError: see `check_file`.
    """
    for path in (*CHECKS, *refusal_paths()):
        yield check_file(path)


def _text(path: str) -> str:
    return VECTORS.joinpath(path).read_text(encoding="utf-8")


def _answers(path: str, content: Any) -> Iterator[tuple[str, bool]]:  # Any: a file's JSON
    return CHECKS[path](content) if path in CHECKS else refused(content, _text(content["valid"]))


def _below(folder: Traversable, parts: tuple[str, ...]) -> Iterator[str]:
    for entry in folder.iterdir():
        here = (*parts, entry.name)
        if entry.is_dir():
            yield from _below(entry, here)
        elif _REFUSED in here:
            yield "/".join(here)
