"""release.json: the released table with what it takes to check it, and the bytes that the signatures cover.

Layout (version 1): `version`, `agreement`, `parameters`, `metrics` (`additive`: whether
its figures add up over groups), `rows` (declared metrics), `gates` (automatic gates), `support` (other automatic
columns, if there are any), `record` (what both sides know of the opening), `openings` (each side's commitments, and the
shares and salts of the opened cells), `files` (SHA-256 of the CSV and of the Parquet file), `signatures`.

Canonical bytes are JSON with sorted keys, no spaces, UTF-8. A "release" signature covers the whole document without
`signatures`; an "opening" signature covers `record` alone: that is what a side that is not a recipient can vouch for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Measure, Role
from cleanroom.declared import check_declarations
from cleanroom.errors import DataError
from cleanroom.handshake import Handshake
from cleanroom.lift import lift_terms, terms_document
from cleanroom.plan import Plan
from cleanroom.release.about import agreement_part, column_part
from cleanroom.release.accounting import privacy_cost
from cleanroom.release.commitments import COMMITMENT_BYTES, SALT_BYTES, commit_shares
from cleanroom.release.opening import Opening, SideOpening
from cleanroom.release.table import ReleaseRow, Status, csv_bytes, gate_rows, release_rows, support_rows
from cleanroom.release.terms import ReleaseTerms, terms_of

__all__ = [
    "DOCUMENT_VERSION",
    "canonical",
    "check_document",
    "first_difference",
    "opening_record",
    "release_document",
    "suppression_rows",
]

DOCUMENT_VERSION: Final = 1
Json = dict[str, Any]  # a parsed JSON object: its values are of any JSON type


def canonical(value: Mapping[str, Any]) -> bytes:
    """Returns the canonical bytes of a JSON object."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def opening_record(agreement: Agreement, terms: ReleaseTerms, opening: Opening, handshake: Handshake) -> Json:
    """What both sides know of a run, recipients or not: what they committed to and which cells were opened."""
    return {
        "agreement": agreement.hash.hex(),
        "session": handshake.session_id.hex(),
        "handshake": handshake.record(),
        "terms": terms.digest.hex(),
        "writer": terms.writer,
        "commitments": {
            "exposure": hashlib.sha256(opening.exposure.commitments.tobytes()).hexdigest(),
            "outcome": hashlib.sha256(opening.outcome.commitments.tobytes()).hexdigest(),
        },
        "passed": np.packbits(opening.passed.reshape(-1), bitorder="little").tobytes().hex(),
        **({} if handshake.declarations is None else {"declarations": handshake.declarations.record()}),
    }


def release_document(
    agreement: Agreement,
    plan: Plan,
    terms: ReleaseTerms,
    opening: Opening,
    *,
    handshake: Handshake,
    files: Mapping[str, str],
) -> Json:
    """Builds release.json, all but its signatures.

    Args:
        agreement: the signed agreement.
        plan: its plan.
        terms: its release terms.
        opening: a recipient's opening.
        handshake: the session and what both sides committed to.
        files: SHA-256 (hex) by name of the files that it vouches for.
    """
    rules = agreement.release
    cost = privacy_cost(agreement, plan)
    support = [_row(row) for row in support_rows(agreement, plan, terms, opening)]
    lift = lift_terms(agreement)
    return {
        "version": DOCUMENT_VERSION,
        "agreement": agreement_part(agreement),
        "parameters": {
            "noise": terms.noise.value,
            "epsilon": cost.epsilon,
            "delta": cost.delta,
            "min_people": terms.min_people,
            "max_groups_per_person": rules.max_groups_per_person,
            "max_windows": rules.max_windows,
            "multiplier": cost.multiplier,
            "recipients": list(rules.recipients),
            "resolution": agreement.time.resolution.value,
            "currency": agreement.outcome.currency,
            "precision": None if agreement.outcome.precision is None else str(agreement.outcome.precision),
            **({} if lift is None else {"lift": terms_document(lift)}),
        },
        "metrics": [
            {
                "name": column.name,
                "measure": column.measure.value,
                "event": column.event,
                "window_ticks": column.window_ticks,
                "cap": column.cap,
                "gate": plan.columns[column.gate].name,
                "automatic": not column.declared,
                "money": column.measure is Measure.SUM and not column.squared,
                "noise_scale": terms.scales[j],
                **column_part(agreement, column),
            }
            for j, column in enumerate(plan.columns)
        ],
        "rows": [_row(row) for row in release_rows(agreement, plan, terms, opening)],
        "gates": [_row(row) for row in gate_rows(agreement, plan, terms, opening)],
        **({"support": support} if support else {}),
        "record": opening_record(agreement, terms, opening, handshake),
        "openings": {"exposure": _side(opening.exposure), "outcome": _side(opening.outcome)},
        "files": dict(files),
    }


def suppression_rows(agreement: Agreement, plan: Plan, terms: ReleaseTerms, passed: NDArray[np.bool_]) -> list[Json]:
    """The suppression bits in words, for a side that is not a recipient: group, metric, status; no value."""
    rows: list[Json] = []
    places = iter(range(terms.groups))
    for group, eligible in zip(agreement.exposure.released_groups, terms.chosen, strict=True):
        g = next(places) if eligible else None
        for j, column in enumerate(plan.columns):
            if column.declared:
                verdict = Status.NOT_ELIGIBLE if g is None else Status.RELEASED if passed[g, j] else Status.SUPPRESSED
                rows.append({"group": group, "metric": column.name, "status": verdict.value})
    return rows


def check_document(document: Json, agreement: Agreement, plan: Plan, files: Mapping[str, bytes]) -> Opening:
    """Checks everything in a release.json that can be checked without a key: for `audit verify`.

    Every opened share must be the committed one, every figure the sum of two opened shares, every suppression the
    verdict of its gate, every hash that of its file. Signatures are checked apart (`signatures.check_signatures`).

    Args:
        document: the parsed release.json.
        agreement: the agreement that it must belong to.
        plan: its plan.
        files: the bytes of the files beside it, by name.

    Returns:
        The opening that it records.

    Raises:
        DataError: the document is malformed, or something in it does not follow from the rest.
        AgreementError: a side's signature over its declaration does not hold.
    """
    try:
        writer = str(document["record"]["writer"])  # need not be this machine's
        handshake = Handshake.read(document["record"], agreement)
        terms = terms_of(agreement, plan, writer=writer).narrowed(agreement, handshake.eligible)
        opening = _read_opening(document, terms)
        hashes = {str(name): str(value) for name, value in document["files"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise DataError("release.json: a field is missing or not of the documented form") from error
    for role, side in ((Role.EXPOSURE, opening.exposure), (Role.OUTCOME, opening.outcome)):
        _check_side(role, side, handshake.session_id)
    _check_gates(terms, opening)
    expected = release_document(agreement, plan, terms, opening, handshake=handshake, files=hashes)
    found = {key: value for key, value in document.items() if key != "signatures"}
    where = first_difference(expected, found)
    if where is not None:
        raise DataError(f"release.json: {where} does not follow from the agreement and the opened shares")
    if handshake.session_id != handshake.derived_id(agreement, plan, terms.digest):
        raise DataError("release.json: record.session does not follow from record.handshake and the agreement")
    if handshake.declarations is not None:
        check_declarations(agreement, handshake.session_id, handshake.declarations)
    if set(hashes) != {"release.csv", "release.parquet"}:
        raise DataError("release.json: files must name release.csv and release.parquet")
    for name, value in hashes.items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != value:
            raise DataError(f"{name}: its SHA-256 is not the one that release.json states")
    if files["release.csv"] != csv_bytes(release_rows(agreement, plan, terms, opening)):
        raise DataError("release.csv: does not hold the rows of release.json")
    return opening


def first_difference(expected: object, found: object, where: str = "") -> str | None:
    """Names the first field in which two JSON values differ, as in `rows[3].value`; None if they are equal.

    Numbers are equal only if they are written alike: 1 is not 1.0.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        pairs = [(f"{where}.{key}".lstrip("."), key) for key in sorted(set(expected) | set(found))]
        missing = next((path for path, key in pairs if key not in expected or key not in found), None)
        inner = (first_difference(expected.get(key), found.get(key), path) for path, key in pairs)
        return missing or next((path for path in inner if path is not None), None)
    if isinstance(expected, list) and isinstance(found, list):
        paths = (
            first_difference(one, other, f"{where}[{position}]")
            for position, (one, other) in enumerate(zip(expected, found, strict=False))
        )
        path = next((path for path in paths if path is not None), None)
        return path or (where if len(expected) != len(found) else None)
    return None if type(expected) is type(found) and expected == found else where


def _check_side(role: Role, side: SideOpening, session_id: bytes) -> None:
    """Every opened share and salt must be those of the cell's commitment."""
    found = commit_shares(session_id=session_id, role=role, cells=side.cells, salts=side.salts, shares=side.shares)
    wrong = np.flatnonzero((found != side.commitments[side.cells]).any(axis=1))
    if len(wrong):
        where = f"openings.{role.value}.cells[{wrong[0]}]"
        raise DataError(f"release.json: {where}: the share and salt are not the committed ones")


def _check_gates(terms: ReleaseTerms, opening: Opening) -> None:
    """Every verdict must be that of its gate, as far as the gates are open."""
    gates = list(terms.gate_columns)
    opened, values, passed = opening.opened[:, gates], opening.values[:, gates], opening.passed[:, gates]
    if bool((opened & ((values >= terms.min_people) != passed)).any()):
        raise DataError("release.json: record.passed: a verdict is not that of its gate")
    if bool((opening.passed != opening.passed[:, list(terms.gates)]).any()):
        raise DataError("release.json: record.passed: a cell's verdict is not its gate's")
    for chain in terms.chains:
        if _small_difference(terms, opening, [column for level in chain for column in level]):
            raise DataError("release.json: record.passed: a difference of two released counts is under min_people")
    must = opening.passed & np.array(terms.declared)
    may = must.copy()
    if terms.scales[0] > 0:
        may[:, gates] = True
        must[:, gates] = True
    if bool((must & ~opening.opened).any()) or bool((opening.opened & ~may).any()):
        raise DataError("release.json: openings: the opened cells are not those that the verdicts allow")


def _small_difference(terms: ReleaseTerms, opening: Opening, chain: list[int]) -> bool:
    """Whether two opened counts of a chain, or matched people above it, are closer than the agreement allows.

    Columns of one window hold the same count and are passed over.
    """
    above = [column for column in terms.gate_columns if not any(column in level for c in terms.chains for level in c)]
    for g in range(terms.groups):
        counts = {int(opening.values[g, column]) for column in chain if opening.opened[g, column]}
        ladder = [0, *sorted(counts)]
        tops = [int(opening.values[g, column]) for column in above if opening.opened[g, column]]
        steps = [high - low for low, high in pairwise(ladder)] + [top - ladder[-1] for top in tops]
        if any(step < terms.min_people for step in steps):
            return True
    return False


def _row(row: ReleaseRow) -> Json:
    return {
        "group": row.group,
        "metric": row.metric,
        "value": None if row.value is None or row.units is None else _number(row.value),
        "units": row.units,
        "std_error": _number(row.std_error),
        "status": row.status.value,
    }


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _side(side: SideOpening) -> Json:
    return {
        "commitments": [row.tobytes().hex() for row in side.commitments],
        "cells": [
            {"cell": int(cell), "share": f"{int(share):016x}", "salt": salt.tobytes().hex()}
            for cell, share, salt in zip(side.cells, side.shares, side.salts, strict=True)
        ],
    }


def _read_opening(document: Json, terms: ReleaseTerms) -> Opening:
    cells = terms.groups * terms.columns
    shape = (terms.groups, terms.columns)
    packed = np.frombuffer(bytes.fromhex(document["record"]["passed"]), dtype=np.uint8)
    passed = np.unpackbits(packed, bitorder="little")[:cells].astype(np.bool_).reshape(shape)
    sides = {name: _read_side(document["openings"][name], cells) for name in ("exposure", "outcome")}
    if not np.array_equal(sides["exposure"].cells, sides["outcome"].cells):
        raise ValueError("both sides must open the same cells")
    opened = np.zeros(cells, dtype=np.bool_)
    values = np.zeros(cells, dtype=np.int64)
    both = sides["exposure"].cells
    opened[both] = True
    values[both] = (sides["exposure"].shares + sides["outcome"].shares).view(np.int64)
    return Opening(
        passed=passed,
        opened=opened.reshape(shape),
        values=values.reshape(shape),
        exposure=sides["exposure"],
        outcome=sides["outcome"],
    )


def _read_side(side: Json, cells: int) -> SideOpening:
    indices = np.array([int(entry["cell"]) for entry in side["cells"]], dtype=np.int64)
    if len(indices) and (indices.min() < 0 or indices.max() >= cells or bool((np.diff(indices) <= 0).any())):
        raise ValueError("cells must be ascending and inside the table")
    return SideOpening(
        commitments=_hex_rows(side["commitments"], cells, COMMITMENT_BYTES),
        cells=indices,
        salts=_hex_rows([entry["salt"] for entry in side["cells"]], len(indices), SALT_BYTES),
        shares=np.array([int(entry["share"], 16) for entry in side["cells"]], dtype=np.uint64),
    )


def _hex_rows(rows: list[str], count: int, width: int) -> NDArray[np.uint8]:
    data = b"".join(bytes.fromhex(row) for row in rows)
    return np.frombuffer(data, dtype=np.uint8).reshape(count, width)
