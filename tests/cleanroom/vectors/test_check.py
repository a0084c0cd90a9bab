"""Known answers: every file has a check, every check holds, and every check notices another answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cleanroom.errors import CleanroomError
from cleanroom.vectors import CHECKS, check, check_file, check_vectors

FOLDER = Path(__file__).parents[2] / "vectors"
CHANGES = {
    "aes/fips-197/aes-128.json": [("cases", 3, "ciphertext")],
    "buckets/v1/kkrt.json": [
        ("exposure", 3, "bucket"),
        ("frames", -1, "sha256"),
        ("shares_outcome", 0, 1),
        ("outcome", 5, "values", 0),
        ("session_id",),
    ],
    "chacha20/rfc8439/keystream.json": [("cases", 1, "keystream"), ("cases", 2, "counter")],
    "ed25519/rfc8032/signatures.json": [("cases", 1, "signature"), ("cases", 2, "public_key")],
    "expand_message_xmd/rfc9380/sha512.json": [("vectors", 9, "uniform_bytes"), ("dst",)],
    "grouped_sum/v1/run.json": [
        ("frames", 3, "sha256"),
        ("shares_outcome", 0, 0),
        ("seeds", "exposure"),
    ],
    "hint/v1/run.json": [
        ("frames", 1, "sha256"),
        ("targets", 3),
        ("queries", 11),
        ("outcome", 0, "values", 0),
        ("decoded", 2, 0),
    ],
    "match_keys/v1/forms.json": [("cases", 0, "key"), ("cases", 0, "form"), ("cases", 1, "texts", 0)],
    "match_keys/v1/published.json": [("cases", 0, "digest_head"), ("cases", 0, "digest_tail")],
    "merkle/rfc9162/certificate-transparency.json": [("roots", 7)],
    "merkle/v1/blinded.json": [("roots", 3, "root"), ("rows", 0), ("key",)],
    "oprf/rfc9497/ristretto255-sha512-mode-oprf.json": [("vectors", 1, "output"), ("secret_key",), ("group_dst",)],
    "oprf_ecdh/v1/run.json": [("frames", 0, "sha256"), ("bins", 3, "output"), ("session_id",)],
    "oprf_kkrt/v1/run.json": [
        ("frames", 2, "sha256"),
        ("mask",),
        ("bins", 1, "row"),
        ("bins", 4, "output"),
        ("bins", 0, "output_of_the_query_of_the_bin_before"),
        ("session_id",),
    ],
    "oprf_vole/v1/run.json": [
        ("frames", -1, "sha256"),
        ("delta",),
        ("bins", 1, "row"),
        ("bins", 2, "point"),
        ("bins", 3, "output"),
        ("bins", 0, "output_of_the_query_of_the_bin_before"),
        ("session_id",),
    ],
    "ot/v1/run.json": [("frames", 30, "sha256"), ("outputs", "mux", 1), ("outputs", "conjunction", 0)],
    "private_join/v1/ecdh_gaussian.json": [
        ("frames", 30, "sha256"),
        ("values", 0, 0),
        ("exposure", 0, "key"),
        ("outcome", 20, "values", 0),
        ("sides", "exposure", "noise", 0, 0),
        ("sides", "outcome", "eligible", 1),
        ("sides", "outcome", "signing_key"),
        ("canonical",),
        ("terms", "scales", 1),
        ("record", "passed"),
        ("sealed",),
    ],
    "private_join/v1/kkrt_none.json": [
        ("frames", -1, "sha256"),
        ("passed", 0, 0),
        ("session_id",),
        ("sides", "outcome", "seed"),
    ],
    "private_join/v1/vole_none.json": [
        ("frames", 12, "sha256"),
        ("values", 0, 1),
        ("session_id",),
        ("sides", "exposure", "seed"),
    ],
    "release/v1/conjunction.json": [("frames", -1, "sha256"), ("passed", 0, 0)],
    "release/v1/differences.json": [("frames", -1, "sha256"), ("passed", 1, 0), ("terms", "min_people")],
    "release/v1/gaussian.json": [("frames", 5, "sha256"), ("values", 0, 0), ("terms", "min_people")],
    "release/v1/none.json": [("frames", 4, "sha256"), ("terms", "writer")],
    "release/v1/sole_recipient.json": [("frames", 4, "from"), ("noise", "exposure", 0, 0)],
    "ristretto255/rfc9496/encodings.json": [
        ("multiples_of_generator", 15),
        ("derived_from_uniform", 0, "element"),
        ("derived_from_label", 6, "element"),
    ],
    "row_keys/v1/keys.json": [("keys", 4, "key"), ("keys", 2, "node")],
    "row_keys/v1/trees.json": [("trees", 2, "covers", 4, "nodes", 0, 1), ("trees", 1, "lookups", 3, "nodes", 1, 1)],
    "session/v1/handshake.json": [
        ("hellos", "outcome"),
        ("session_id",),
        ("confirmed",),
        ("sealed",),
        ("chain", 3),
        ("frames", 7, "sha256"),
        ("signing_keys", "exposure"),
    ],
    "silent_ot/v1/run.json": [("frames", 5, "sha256"), ("frames", 9, "sha256"), ("shares", 1), ("seeds", "outcome")],
    "silent_vole/v1/run.json": [
        ("frames", 8, "sha256"),
        ("outputs", "elements", "u"),
        ("outputs", "elements", "delta"),
        ("outputs", "rows", "v"),
        ("outputs", "rows", "k"),
        ("session_id",),
    ],
    "streams/v1/labels.json": [("labels", 1, "key"), ("labels", 2, "stream"), ("labels", 0, "attempt")],
}
"""Places in each file at which another answer must be noticed."""


def test_every_file_has_a_check_and_says_where_it_comes_from() -> None:
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.json")}
    found = {path for path in found if "/refused/" not in path and not path.startswith("schemas/")}
    assert found == set(CHECKS) == set(CHANGES)
    assert [path for path in CHECKS] == sorted(CHECKS)
    for path in found:
        assert json.loads((FOLDER / path).read_text(encoding="utf-8"))["source"], path


@pytest.mark.parametrize("path", CHECKS)
def test_this_build_gives_every_answer(path: str) -> None:
    assert check_file(path).vectors > 1


def changed(value: Any) -> Any:
    """Another value of the same kind and length; Any: JSON."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if value[-1:].isalnum():
        return value[:-1] + ("1" if value[-1] != "1" else "2")
    return value + "1"


def changes() -> Iterator[Any]:
    for path, places in CHANGES.items():
        for place in places:
            yield pytest.param(path, place, id="/".join(map(str, (path, *place))))


@pytest.mark.parametrize(("path", "place"), list(changes()))
def test_another_answer_is_noticed_and_named(
    path: str, place: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads((FOLDER / path).read_text(encoding="utf-8"))
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = changed(inner[place[-1]])
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(check, "VECTORS", tmp_path)
    with pytest.raises(
        CleanroomError, match=r"this build (gives another answer|stops with (Value|Peer)Error)"
    ) as fault:
        check_file(path)
    assert str(fault.value).startswith(f"{path}: ")
    assert fault.value.exit_code == 1


def test_an_encoding_that_is_valid_is_no_invalid_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "ristretto255/rfc9496/encodings.json"
    content = json.loads((FOLDER / path).read_text(encoding="utf-8"))
    content["invalid"][0]["encodings"][0] = content["multiples_of_generator"][2]
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(check, "VECTORS", tmp_path)
    with pytest.raises(CleanroomError, match=r"invalid encoding, .*, 0: this build"):
        check_file(path)


def test_a_check_that_stops_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(content: Any) -> Iterator[tuple[str, bool]]:
        yield "one", True
        raise ZeroDivisionError

    monkeypatch.setitem(CHECKS, "aes/fips-197/aes-128.json", stops)
    with pytest.raises(CleanroomError, match="the vector after one: this build stops with ZeroDivisionError"):
        list(check_vectors())


def test_a_file_without_vectors_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, "aes/fips-197/aes-128.json", lambda content: iter(()))
    with pytest.raises(CleanroomError, match="holds no vector"):
        check_file("aes/fips-197/aes-128.json")
