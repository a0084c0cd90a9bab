"""Check of whole runs: handshake, join and opening of both sides from fixed seeds, frame by frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise
from cleanroom.protocols import comparison, private_join
from cleanroom.protocols.private_join import JoinParameters, Oprf
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.session import Hello, build_digest, confirm, handshake, nonce_commitment, seed_commitment
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import Protocol
from cleanroom.release import opening
from cleanroom.release.opening import Opening
from cleanroom.vectors.pairs import exchange
from cleanroom.vectors.releases import release_terms

__all__ = ["private_join_run"]


def private_join_run(content: Any) -> Iterator[tuple[str, bool]]:
    """The project's own answers: every frame but the few that name a library's version or hold a signature."""
    transcripts = (Transcript(from_exposure=Direction.SENT), Transcript(from_exposure=Direction.RECEIVED))
    run = exchange(_side(content, 0, transcripts[0]), _side(content, 1, transcripts[1]), transcripts)
    (session_id, first), (other_id, second) = run.first, run.second
    yield "session id", session_id.hex() == other_id.hex() == content["session_id"]
    frames = [frame for frame in run.frames if frame[1] not in content["left_out"]]
    yield "number of frames", len(frames) == len(content["frames"])
    for place, ((sender, step, frame), recorded) in enumerate(zip(frames, content["frames"], strict=True)):
        found = (("exposure", "outcome")[sender], step, len(frame), hashlib.sha256(frame).hexdigest())
        expected = tuple(recorded[name] for name in ("from", "step", "bytes", "sha256"))
        yield f"frame {place}, {step}", found == expected
    yield "cells that pass", first.passed.tolist() == second.passed.tolist() == content["passed"]
    yield "figures", first.values.tolist() == content["values"]


def _side(content: Any, side: int, transcript: Transcript) -> Protocol[tuple[bytes, Opening]]:
    """One side of a run up to the opening, as `cleanroom.execute` puts it together."""
    public, exposure = content["parameters"], side == 0
    seed, nonce = bytes.fromhex(content["seeds"][side]), bytes.fromhex(content["nonces"][side])
    hello = Hello(
        exposure=exposure,
        profile=public["profile"],
        rows_exposure=public["rows_exposure"],
        rows_outcome=public["rows_outcome"],
        columns=len(public["class_positions"]),
        groups=public["groups"],
        agreement_hash=bytes.fromhex(content["agreement_hash"]),
        terms_digest=bytes.fromhex(content["terms_digest"]),
        seed_commitment=seed_commitment(seed),
        nonce_commitment=nonce_commitment(nonce),
        input_root=bytes.fromhex(content["input_roots"][side]),
        build=build_digest(content["build"]),
    )
    session = yield from handshake(own=hello, nonce=nonce, stored=lambda root: None)
    streams = Streams(seed=seed, session_id=session.id)
    parameters = JoinParameters(
        oprf=Oprf(public["oprf"]),
        rows_exposure=public["rows_exposure"],
        rows_outcome=public["rows_outcome"],
        groups=public["groups"],
        class_positions=tuple(public["class_positions"]),
        weight_bound=public["weight_bound"],
        targets_per_row=public["targets_per_row"],
    )
    if exposure:
        rows = content["exposure"]
        joined = yield from private_join.exposure(
            parameters=parameters,
            keys=_keys(rows["keys"]),
            indptr=np.array(rows["indptr"], dtype=np.int64),
            target=np.array(rows["target"], dtype=np.int32),
            weight=np.array(rows["weight"], dtype=np.int64),
            streams=streams,
        )
    else:
        rows = content["outcome"]
        values = np.array(rows["values"], dtype=np.int64).reshape(-1, parameters.columns)
        joined = yield from private_join.outcome(
            parameters=parameters, keys=_keys(rows["keys"]), values=values.view(np.uint64), streams=streams
        )
    yield from confirm(transcript=transcript, exposure=exposure)
    terms = release_terms(
        groups=public["groups"],
        gates=public["gates"],
        declared=public["declared"],
        min_people=public["min_people"],
        case=content,
    )
    compare = (
        partial(comparison.sender, joined.ot_sender) if exposure else partial(comparison.receiver, joined.ot_receiver)
    )
    opened = yield from (opening.exposure if exposure else opening.outcome)(
        terms=terms,
        shares=joined.shares,
        noise=np.array(content["noises"][side], dtype=np.int64),
        streams=streams,
        compare=compare if terms.noise is Noise.NONE else None,
    )
    return session.id, opened


def _keys(keys: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(keys)), dtype=np.uint8).reshape(-1, 16)
