"""The folder of a finished run as an auditor reads it: every file once, each in exactly the form that a run writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cleanroom.account import AUDIT_FILE, LOCAL_FILE, account_bytes
from cleanroom.agreement.model import Agreement, Role
from cleanroom.audit.faults import AuditReport
from cleanroom.audit.lines import TranscriptFile, read_transcript
from cleanroom.errors import UsageError
from cleanroom.regular_file import read_regular
from cleanroom.release.document import canonical
from cleanroom.release.files import FAILURE_FILE

__all__ = ["RELEASE_FILES", "TRANSCRIPT_FILE", "RunFolder", "read_folder"]

RELEASE_FILES: Final = ("release.json", "release.csv", "release.parquet", "report.html")
TRANSCRIPT_FILE: Final = "transcript.jsonl"
_KNOWN: Final = (*RELEASE_FILES, TRANSCRIPT_FILE, LOCAL_FILE, AUDIT_FILE)
_MAX_BYTES: Final = 2**32
"""Of a file: far above what 2^24 rows and 1,024 columns leave."""
_UNPARSABLE: Final = (ValueError, RecursionError)

Json = dict[str, Any]  # a parsed JSON object: its values are of any JSON type


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunFolder:
    """One side's finished run. A file that is missing or not of its form is None; the report says so."""

    path: Path
    role: Role
    files: Mapping[str, bytes] = field(repr=False)
    local: Json = field(repr=False)
    release: Json | None = field(repr=False)
    audit: Json | None = field(repr=False)
    transcript: TranscriptFile | None = field(repr=False)

    def name(self, file: str) -> str:
        """How faults name a file of this folder."""
        return f"{self.path}/{file}"


def read_folder(path: Path, agreement: Agreement, report: AuditReport) -> RunFolder | None:
    """Reads one side's folder.

    Args:
        path: the folder.
        agreement: says who the parties and the recipients are.
        report: gets a fault for every file that is missing or not of its form.

    Returns:
        The folder; None if not even local.json can be read, which says whose it is.

    Raises:
        UsageError: there is no folder.
    """
    if not path.is_dir():
        raise UsageError(f"{path}: expected the folder of a finished run")
    if (path / FAILURE_FILE).exists():
        report.add(f"{path}/{FAILURE_FILE}", "", "the run failed: there is nothing to audit")
        return None
    files = _read_files(path, report)
    local = _parsed(path, LOCAL_FILE, files, account_bytes, report)
    if local is None:
        return None
    party = agreement.party(str(local.get("party")))
    if party is None:
        report.add(f"{path}/{LOCAL_FILE}", "party", "is not one of the agreement's parties")
        return None
    recipient = party.name in agreement.release.recipients
    wanted = (TRANSCRIPT_FILE, *RELEASE_FILES) if recipient else (TRANSCRIPT_FILE,)
    for name in wanted:
        if name not in files:
            report.add(f"{path}/{name}", "", "is missing")
    for name in RELEASE_FILES:
        if name in files and not recipient:
            report.add(f"{path}/{name}", "", f"{party.name} is not a recipient and has no such file")
    release = _parsed(path, RELEASE_FILES[0], files, _release_bytes, report)
    audit = _parsed(path, AUDIT_FILE, files, account_bytes, report)
    transcript = None
    if TRANSCRIPT_FILE in files:
        transcript = read_transcript(f"{path}/{TRANSCRIPT_FILE}", files[TRANSCRIPT_FILE], party.role, report)
    return RunFolder(
        path=path,
        role=party.role,
        files=files,
        local=local,
        release=release if recipient else None,
        audit=audit,
        transcript=transcript,
    )


def _read_files(path: Path, report: AuditReport) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for entry in sorted(path.iterdir()):
        if entry.name not in _KNOWN:
            report.note(f"{entry}: is not a file of a run and was not looked at")
            continue
        try:
            files[entry.name] = read_regular(entry, at_most=_MAX_BYTES)
        except OSError as error:
            report.add(str(entry), "", f"cannot be read: {error.strerror}")
    return files


def _release_bytes(document: Json) -> bytes:
    return canonical(document) + b"\n"


def _parsed(
    path: Path, name: str, files: Mapping[str, bytes], write: Callable[[Json], bytes], report: AuditReport
) -> Json | None:
    """Parses a JSON file that must hold exactly the bytes that its content is written as."""
    if name not in files:
        if name == LOCAL_FILE:
            report.add(f"{path}/{name}", "", "is missing: without it, nothing says whose run this is")
        return None
    data = files[name]
    try:
        document = json.loads(data)
        again = write(document) if isinstance(document, dict) else b""
    except json.JSONDecodeError as error:
        report.add(f"{path}/{name}", f"line {error.lineno}, column {error.colno}", "is not valid JSON")
        return None
    except UnicodeDecodeError as error:
        report.add(f"{path}/{name}", f"byte {error.start}", "is not UTF-8")
        return None
    except _UNPARSABLE:
        report.add(f"{path}/{name}", "", "holds a value that no run writes")
        return None
    if not isinstance(document, dict):
        report.add(f"{path}/{name}", "", "is not a JSON object")
        return None
    if again != data:
        place = next((at for at, (one, two) in enumerate(zip(again, data, strict=False)) if one != two), len(data))
        report.add(f"{path}/{name}", f"byte {place}", "is not written as a run writes it")
        return None
    return document
