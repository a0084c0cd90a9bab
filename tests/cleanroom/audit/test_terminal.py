"""A folder that somebody else wrote, with texts on which a terminal would act: the report shows none of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cleanroom.account import LOCAL_FILE, signed_account
from cleanroom.identity import load_identity
from cleanroom.release.document import canonical
from tests.cleanroom.audit.runs import AuditedRun

ACTS = "a\x1b]0;owned\x07\nfault: none"


def local(document: dict[str, Any]) -> None:
    document[ACTS] = 0


def nested(document: dict[str, Any]) -> None:
    document["record"]["handshake"][ACTS] = {}


def writer(document: dict[str, Any]) -> None:
    document["record"]["writer"] = ACTS


@pytest.mark.parametrize(
    ("file", "change"), [(LOCAL_FILE, local), (LOCAL_FILE, nested), ("release.json", nested), ("release.json", writer)]
)
def test_no_line_of_a_report_holds_what_is_not_printable(
    runs: dict[str, AuditedRun], tmp_path: Path, file: str, change: Any
) -> None:
    copy = runs["gaussian"].copy(tmp_path / "run")
    path = copy.out("shop") / file
    document = json.loads(path.read_bytes())
    change(document)
    if file == LOCAL_FILE:
        identity = load_identity(copy.root / "shop")
        del document["signature"]
        data = signed_account(file, document, lambda purpose, message: identity.sign(purpose=purpose, message=message))
    else:
        data = canonical(document) + b"\n"
    path.write_bytes(data)
    report = copy.verify("shop")
    assert not report.verified
    lines = [*map(str, report.faults), *report.notes, *report.checked]
    assert all(line.isprintable() for line in lines)
