"""Whole runs from fixed seeds, as a node executes them: from an agreement's text to the seal, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from cleanroom.agreement.completeness import Verdict
from cleanroom.agreement.load import parse_agreement
from cleanroom.agreement.model import Agreement, Role
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.declared import DECLARATION_PURPOSE, Declared
from cleanroom.execute import Executed, RunInputs, execute
from cleanroom.identity import signed_bytes
from cleanroom.plan import plan_of
from cleanroom.prepare import Prepared
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.release.signatures import SIGNATURE_PURPOSE, Sign
from cleanroom.release.terms import terms_of
from cleanroom.transcripts import TRANSCRIPT_PURPOSE, verify_transcript
from cleanroom.vectors.joins import frames_hold
from cleanroom.vectors.openings import terms_entry
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["whole_run", "whole_scene"]


def whole_scene(content: Any) -> Scene[Executed, Executed]:
    """Both sides; nothing is stored, and the charge is nobody's."""
    return lambda: _side(content, Role.EXPOSURE), lambda: _side(content, Role.OUTCOME)


def _agreement(content: Any) -> Agreement:
    return parse_agreement(content["agreement"].encode(), folder=Path())


def _side(content: Any, role: Role) -> Side[Executed]:
    agreement, own = _agreement(content), content["sides"][role.value]
    exposure = role is Role.EXPOSURE
    plan = plan_of(agreement)
    transcript = Transcript(from_exposure=Direction.SENT if exposure else Direction.RECEIVED)
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(own["signing_key"]))
    peer = agreement.outcome_party if exposure else agreement.exposure_party
    declared = Declared(verdict=Verdict(own["verdict"]), eligible=tuple(own["eligible"]), completeness=None)
    inputs = RunInputs(
        agreement=agreement,
        plan=plan,
        terms=terms_of(agreement, plan, writer=content["terms"]["writer"]),
        prepared=Prepared(
            role=role,
            rows=_lookups(content["exposure"]) if exposure else _rows(content["outcome"]),
            input_root=bytes.fromhex(own["input_root"]),
            counts={},
            declared=declared,
        ),
        seed=bytes.fromhex(own["seed"]),
        nonce=bytes.fromhex(own["nonce"]),
        noise=np.array(own["noise"], dtype=np.int64),
        build=own["build"],
        stored=lambda root: None,
        transcript=transcript,
        sign=_signer(key, SIGNATURE_PURPOSE),
        sign_declaration=_signer(key, DECLARATION_PURPOSE),
        sign_transcript=_signer(key, TRANSCRIPT_PURPOSE),
        verify_transcript=lambda digest, signature: verify_transcript(peer, digest, signature),
        charge=lambda session: None,
    )
    return Side(protocol=execute(inputs), transcript=transcript)


def _signer(key: Ed25519PrivateKey, purpose: str) -> Sign:
    return lambda statement: key.sign(signed_bytes(purpose, statement))


def _keys(rows: Any) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(row["key"] for row in rows)), dtype=np.uint8).reshape(-1, 16)


def _lookups(rows: Any) -> Lookups:
    entries = [entry for row in rows for entry in row["weights"]]
    return Lookups(
        keys=_keys(rows),
        indptr=np.cumsum([0, *(len(row["weights"]) for row in rows)], dtype=np.int64),
        target=np.array([target for target, _ in entries], dtype=np.int32),
        weight=np.array([weight for _, weight in entries], dtype=np.int64),
    )


def _rows(rows: Any) -> Rows:
    return Rows(keys=_keys(rows), values=np.array([row["values"] for row in rows], dtype=np.int64))


def whole_run(content: Any) -> Iterator[tuple[str, bool]]:
    """The agreement's hash, the terms, every frame, the signed record, the seal, and the figures."""
    agreement = _agreement(content)
    yield "canonical bytes", agreement.canonical.decode() == content["canonical"]
    yield "hash of the agreement", agreement.hash.hex() == content["agreement_hash"]
    terms = terms_of(agreement, plan_of(agreement), writer=content["terms"]["writer"])
    yield "terms", terms_entry(terms) == content["terms"]
    run = run_scene(whole_scene(content))
    yield from frames_hold(content, run.frames)
    for role, side in ((Role.EXPOSURE, run.first), (Role.OUTCOME, run.second)):
        yield f"session of the {role.value} side", side.session.id.hex() == content["session_id"]
        if side.opening is None or side.signed is None or side.seal is None:
            raise AssertionError("a run without a stored release ends with an opening")
        record = {key: value for key, value in side.signed.record.items() if key != "signatures"}
        yield f"record of the {role.value} side", record == content["record"]
        yield f"seal of the {role.value} side", side.seal.digest.hex() == content["sealed"]
        yield f"cells that pass, {role.value} side", side.opening.passed.tolist() == content["passed"]
        if role in terms.recipients:
            yield f"figures of the {role.value} side", side.opening.values.tolist() == content["values"]
