"""Which check belongs to which file of known answers, and the run over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeAlias

from cleanroom.errors import CleanroomError
from cleanroom.vectors import groups, joins, people, primitives, releases, transfers, whole

__all__ = ["CHECKS", "VECTORS", "Check", "CheckedFile", "check_file", "check_vectors"]

Check: TypeAlias = Callable[[Any], Iterator[tuple[str, bool]]]  # Any: a file's JSON
"""Takes a file's content; yields each vector's name and whether this build gives its answer."""

VECTORS: Final[Traversable] = files("cleanroom.vectors") / "files"
"""The folder of the files."""

CHECKS: Final[dict[str, Check]] = {
    "aes/fips-197/aes-128.json": primitives.aes,
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
    "ot/v1/transcripts.json": transfers.transcripts,
    "private_join/v1/gaussian.json": whole.private_join_run,
    "private_join/v1/no_overlap.json": whole.private_join_run,
    "private_join/v1/none.json": whole.private_join_run,
    "private_join/v1/sole_recipient.json": whole.private_join_run,
    "release/v1/opening.json": releases.release_opening,
    "ristretto255/rfc9496/encodings.json": groups.ristretto255,
    "row_keys/v1/keys.json": primitives.row_keys,
    "row_keys/v1/trees.json": primitives.time_trees,
    "streams/v1/labels.json": primitives.labels,
}
"""Every file of known answers, by its path, and its check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One file whose answers this build gives."""

    path: str
    source: str
    vectors: int


def check_file(path: str) -> CheckedFile:
    """Checks one file.

    Args:
        path: a key of `CHECKS`.

    Raises:
        CleanroomError: this build gives another answer than the file; the message names the first such vector.
    """
    content = json.loads(VECTORS.joinpath(path).read_text(encoding="utf-8"))
    held = 0
    last = "its first vector"
    try:
        for name, holds in CHECKS[path](content):
            if not holds:
                raise CleanroomError(f"{path}: {name}: this build gives another answer")
            held, last = held + 1, f"the vector after {name}"
    except CleanroomError:
        raise
    except Exception as error:
        raise CleanroomError(f"{path}: {last}: this build stops with {type(error).__name__}") from error
    if not held:
        raise CleanroomError(f"{path}: the file holds no vector")
    return CheckedFile(path=path, source=str(content["source"]), vectors=held)


def check_vectors() -> Iterator[CheckedFile]:
    """Checks every file, in the order of their paths.

    Yields:
        Each file that holds.

    Raises:
        CleanroomError: see `check_file`.
    """
    for path in CHECKS:
        yield check_file(path)
