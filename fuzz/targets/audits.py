"""The folder of a finished run, which an auditor gets from somebody else, with one file of it changed.

JSON files are changed as trees and written again as a run writes them, since any other writing is refused at once; all
files can be changed as bytes. What its owner signs alone is signed again where the input says so.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from cleanroom.account import AUDIT_FILE, LOCAL_FILE, account_bytes, signed_account
from cleanroom.errors import CleanroomError, DataError, UsageError, reason_of
from cleanroom.identity import Identity, load_identity
from cleanroom.release.document import canonical
from cleanroom.report import RunFiles, render_report
from fuzz.reader import Reader
from fuzz.target import Target
from tests.cleanroom.audit.runs import PARTIES, AuditedRun, finish_run

__all__ = ["AUDIT", "REPLAY", "changed_tree"]

Json = Any  # a parsed JSON value of any type

_RELEASE: Final = "release.json"
_TRANSCRIPT: Final = "transcript.jsonl"
_TREES: Final = (_RELEASE, LOCAL_FILE, AUDIT_FILE)
_FILES: Final = (*_TREES, _TRANSCRIPT, "release.csv", "release.parquet", "report.html")
_REPLAYED: Final = (*_TREES, _TRANSCRIPT, "release.csv")
_VALUES: Final[tuple[Json, ...]] = (
    None,
    True,
    0,
    -1,
    1 << 63,
    1 << 64,
    10**400,
    0.0,
    1e308,
    "",
    "x",
    "0" * 64,
    "F" * 64,
    "ff" * 40_000,
    "a\x1b[2J\nb",
    "\ud800",
    "1e999999",
    "-0",
    [],
    {},
    [[]],
    {"a\x1b[2J\nb": 0},
)


@cache
def _run() -> tuple[AuditedRun, dict[str, bytes]]:
    """One finished run with two recipients, in a folder that goes when the process ends; and shop's files."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    atexit.register(folder.cleanup)
    made = finish_run(Path(folder.name) / "run", noise="gaussian", recipients='["media", "shop"]')
    return made, {name: (made.out("shop") / name).read_bytes() for name in _FILES}


def _places(value: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _places(inner, (*path, position))


def changed_tree(tree: Json, reader: Reader) -> Json:
    """Changes one place of a tree, in place; returns the tree."""
    places = list(_places(tree))
    path = places[reader.number(2) % len(places)]
    kind, value = reader.number() % 6, json.loads(json.dumps(reader.choice(_VALUES)))
    holder: Json = {"": tree}
    path = ("", *path)
    root = holder
    for part in path[:-1]:
        holder = holder[part]
    last = path[-1]
    old = holder[last]
    if kind == 0:
        holder[last] = value
    elif kind == 1 and len(path) > 1:
        del holder[last]
    elif kind == 2 and isinstance(old, dict):
        old[reader.block().decode("utf-8", "replace")] = value
    elif kind == 2 and isinstance(old, list):
        old.insert(reader.number(), value)
    elif kind == 3:
        for _ in range(reader.number() * 4):
            old = [old] if reader.number() % 2 else {"a": old}
        holder[last] = old
    elif kind == 4 and isinstance(old, str):
        at = reader.number() % (len(old) + 1)
        holder[last] = old[:at] + reader.block().decode("utf-8", "replace") + old[at + reader.number() :]
    elif kind == 4 and isinstance(old, int | float):
        holder[last] = reader.number(8) - (1 << 63)
    else:
        holder[last] = list(old) * 2 if isinstance(old, list) else [old]
    return root[""]


def _written(name: str, tree: Json, owner: Identity | None) -> bytes:
    """A tree as a run writes the file, signed again where an owner is given."""
    if name == _RELEASE:
        return canonical(tree) + b"\n"
    if owner is not None and isinstance(tree, dict):
        identity = owner
        body = {key: value for key, value in tree.items() if key != "signature"}
        return signed_account(name, body, lambda purpose, message: identity.sign(purpose=purpose, message=message))
    return account_bytes(tree)


def _file(name: str, data: bytes, reader: Reader, owner: Identity) -> bytes:
    kind = reader.number() % 4
    try:
        if kind < 3 and name in _TREES:
            tree = json.loads(data)
            while reader.more:
                tree = changed_tree(tree, reader)
            return _written(name, tree, owner if kind == 2 else None)
        if kind < 3 and name == _TRANSCRIPT:
            lines = [json.loads(line) for line in data.splitlines()]
            while reader.more:
                lines = changed_tree(lines, reader)
            return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
    except (ValueError, TypeError, RecursionError):
        return data  # no such file can be written
    if kind == 3 and reader.number() % 2:
        return reader.rest()
    changed = bytearray(data)
    while reader.more:
        at = reader.number(3) % (len(changed) + 1)
        changed[at : at + reader.number(2)] = reader.block()
    return bytes(changed)


def check_audit(data: bytes) -> None:
    """An audit ends with a report of printable lines, or with UsageError; the report page with DataError at worst."""
    run, files = _run()
    reader = Reader(data)
    name = reader.choice(_FILES)
    both = reader.number() % 2
    changed = _file(name, files[name], reader, _owner(run, "shop"))
    path = run.out("shop") / name
    try:
        path.write_bytes(changed)
        report = run.verify(*(("media", "shop") if both else ("shop",)))
    except UsageError as error:
        assert reason_of(error).isprintable()
        return
    finally:
        path.write_bytes(files[name])
    for line in (*map(str, report.faults), *report.checked, *report.notes):
        assert line.isprintable(), "a line that a terminal would act on"
    assert report.verified or report.faults
    if changed == files[name]:
        assert report.verified
    elif not both and name not in ("report.html",) and not _own_key(name, files[name], changed):
        assert not report.verified
    try:
        render_report([RunFiles.of({**files, name: changed})])
    except DataError as error:
        assert reason_of(error).isprintable()


@cache
def _owner(run: AuditedRun, party: str) -> Identity:
    return load_identity(run.root / party)


@cache
def _replayed() -> tuple[AuditedRun, dict[tuple[str, str], bytes]]:
    """One finished run of the faster profile, and both sides' files."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    atexit.register(folder.cleanup)
    made = finish_run(Path(folder.name) / "run", noise="gaussian", recipients='["media", "shop"]', profile="kkrt")
    files = {(party, name): (made.out(party) / name).read_bytes() for party in PARTIES for name in _REPLAYED}
    return made, files


def check_replay(data: bytes) -> None:
    """A replay of a changed run ends with a report of printable lines, or with CleanroomError."""
    run, files = _replayed()
    reader = Reader(data)
    party, name = reader.choice(PARTIES), reader.choice(_REPLAYED)
    changed = _file(name, files[party, name], reader, _owner(run, party))
    path = run.out(party) / name
    try:
        path.write_bytes(changed)
        report = run.replay()
    except CleanroomError as error:
        assert reason_of(error).isprintable()
        return
    finally:
        path.write_bytes(files[party, name])
    for line in (*map(str, report.faults), *report.checked, *report.notes):
        assert line.isprintable(), "a line that a terminal would act on"
    if changed == files[party, name]:
        assert report.verified
    elif not _own_key(name, files[party, name], changed):
        assert not report.verified


def _own_key(name: str, before: bytes, after: bytes) -> bool:
    """Whether an owner signed another key of its own preparation, which shows only where it decided something."""
    if name != AUDIT_FILE:
        return False
    try:
        one, other = json.loads(before), json.loads(after)
        different = {key for key in {*one, *other} if one.get(key) != other.get(key)}
    except (AttributeError, TypeError, ValueError, RecursionError):
        return False
    return different <= {"group_cap_key", "shared_identifier_key", "commitment_key", "signature"}


def _replay_seeds() -> Iterator[bytes]:
    for party in range(len(PARTIES)):
        for file in range(len(_REPLAYED)):
            yield bytes([party, file, 3, 1]) + b"{}\n"
    for name in (AUDIT_FILE, LOCAL_FILE, _TRANSCRIPT):
        for place in range(0, 96, 16):
            for kind in (0, 1, 4):
                head = bytes([place & 1, _REPLAYED.index(name), 2, place, 0, kind])
                yield head + (bytes([place % len(_VALUES)]) if kind < 4 else b"\0\1\x01\0f\1")


def _seeds() -> Iterator[bytes]:
    for file in range(len(_FILES)):
        yield bytes([file, 1, 0])
        yield bytes([file, 0, 3, 1]) + b"{}\n"
        yield bytes([file, 0, 3, 0, 0, 0, 0, 1, 0, 1, 0]) + b"x"
    for file in range(4):
        for place in range(0, 80, 16):
            for kind in range(5):
                yield bytes([file, place & 1, 1 + (place & 1), place, 0, kind, place % len(_VALUES), 9, 0]) + b"x" * 9


AUDIT: Final = Target(
    name="audit",
    promise="an audit of a changed folder ends with a report of printable lines, and finds the change",
    check=check_audit,
    seeds=_seeds,
    max_bytes=512,
)
REPLAY: Final = Target(
    name="replay",
    promise="a replay of a changed run ends with a report of printable lines or with CleanroomError",
    check=check_replay,
    seeds=_replay_seeds,
    max_bytes=256,
)
