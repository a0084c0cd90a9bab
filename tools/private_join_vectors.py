"""Writes tests/vectors/private_join/v1/*.json: whole runs from fixed seeds, as the SHA-256 of every frame.

The inputs and the frames are those of this implementation at the time of writing; the steps have vectors of their own
from plain references, so this file pins how they are put together. Frames that name the version of a library or hold
signatures are left out: release.terms, release.signature, session.seal.

Usage: python tools/private_join_vectors.py tests/vectors/private_join/v1
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock, patch

import numpy as np

from cleanroom.agreement.model import Noise, Role
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.execute import join_parameters
from cleanroom.handshake import hello_of
from cleanroom.plan import plan_of
from cleanroom.release.terms import ReleaseTerms
from tests.cleanroom.whole_run import (
    BUILD,
    COLUMNS,
    GROUPS,
    NONCES,
    ROOTS,
    SEEDS,
    agreement_of,
    lookups,
    rows,
    whole_run,
)

HELLO_BYTES = ("terms_digest", "seed_commitment", "nonce", "input_root", "build")
TERMS_DIGEST = b"\x7e" * 32
LEFT_OUT = ("release.terms", "release.signature", "session.seal")
CASES: dict[str, tuple[str, list[str], tuple[range, range]]] = {
    "gaussian": ("gaussian", ["media", "shop"], (range(60), range(30, 90))),
    "none": ("none", ["media", "shop"], (range(60), range(30, 90))),
    "sole_recipient": ("laplace", ["media"], (range(40), range(40))),
    "no_overlap": ("gaussian", ["media", "shop"], (range(5), range(5, 9))),
}


def noises(name: str, noise: str) -> list[list[list[int]]]:
    """Recorded noise of both sides, small numbers from the case's name; zeros with noise "none"."""
    drawn = hashlib.shake_256(name.encode()).digest(2 * GROUPS * COLUMNS)
    cells = np.array([byte % 7 - 3 if noise != "none" else 0 for byte in drawn], dtype=np.int64)
    found: list[list[list[int]]] = cells.reshape(2, GROUPS, COLUMNS).tolist()
    return found


def replay(case: dict[str, Any]) -> dict[str, Any]:
    """Runs a case from its inputs alone; returns its frames and figures."""
    exposure, outcome = case["exposure"], case["outcome"]
    noise = case["noises"]
    with patch.object(ReleaseTerms, "digest", PropertyMock(return_value=bytes.fromhex(case["terms_digest"]))):
        run = whole_run(
            noise=Noise(case["noise"]),
            recipients=tuple(case["recipients"]),
            exposure=Lookups(
                keys=_keys(exposure["keys"]),
                indptr=np.array(exposure["indptr"], dtype=np.int64),
                target=np.array(exposure["target"], dtype=np.int32),
                weight=np.array(exposure["weight"], dtype=np.int64),
            ),
            outcome=Rows(
                keys=_keys(outcome["keys"]),
                values=np.array(outcome["values"], dtype=np.int64).reshape(-1, COLUMNS),
            ),
            noises=(np.array(noise[0], dtype=np.int64), np.array(noise[1], dtype=np.int64)),
        )
    assert run.first.opening is not None
    return {
        "session_id": run.first.session.id.hex(),
        "frames": [
            {
                "from": ("exposure", "outcome")[sender],
                "step": step,
                "bytes": len(frame),
                "sha256": hashlib.sha256(frame).hexdigest(),
            }
            for sender, step, frame in run.frames
            if step not in LEFT_OUT
        ],
        "passed": run.first.opening.passed.tolist(),
        "values": run.first.opening.values.tolist(),
    }


def vector(name: str) -> dict[str, Any]:
    """One file's content."""
    noise, recipients, (own, other) = CASES[name]
    agreement = agreement_of(Noise(noise), tuple(recipients))
    plan = plan_of(agreement)
    parameters = join_parameters(agreement, plan)
    hello = hello_of(agreement, plan, role=Role.EXPOSURE, **dict.fromkeys(HELLO_BYTES, bytes(32)))
    exposure, outcome = lookups(own), rows(other)
    case: dict[str, Any] = {
        "schema": "inputs in, SHA-256 of every frame (header and payload) out, in the order of the wire; bytes in hex",
        "source": "the project's own; the steps' pages are under docs/reference/wire",
        "generator": "tools/private_join_vectors.py",
        "left_out": list(LEFT_OUT),
        "parameters": {
            "profile": hello.profile,
            "oprf": parameters.oprf.value,
            "rows_exposure": parameters.rows_exposure,
            "rows_outcome": parameters.rows_outcome,
            "groups": parameters.groups,
            "class_positions": list(parameters.class_positions),
            "weight_bound": parameters.weight_bound,
            "targets_per_row": parameters.targets_per_row,
            "gates": [column.gate for column in plan.columns],
            "declared": [column.declared for column in plan.columns],
            "min_people": agreement.release.min_people,
        },
        "noise": noise,
        "recipients": recipients,
        "build": BUILD,
        "agreement_hash": (b"\x11" * 32).hex(),
        "terms_digest": TERMS_DIGEST.hex(),
        "seeds": [seed.hex() for seed in SEEDS],
        "nonces": [nonce.hex() for nonce in NONCES],
        "input_roots": [root.hex() for root in ROOTS.values()],
        "noises": noises(name, noise),
        "exposure": {
            "keys": [key.tobytes().hex() for key in exposure.keys],
            "indptr": exposure.indptr.tolist(),
            "target": exposure.target.tolist(),
            "weight": exposure.weight.tolist(),
        },
        "outcome": {"keys": [key.tobytes().hex() for key in outcome.keys], "values": outcome.values.tolist()},
    }
    return {**case, **replay(case)}


def _keys(keys: list[str]) -> Any:
    return np.frombuffer(bytes.fromhex("".join(keys)), dtype=np.uint8).reshape(-1, 16)


def main(folder: Path) -> None:
    """Writes every case."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CASES:
        text = json.dumps(vector(name), ensure_ascii=False, separators=(",", ":"))
        text = (
            text.replace(',"frames":[', ',\n"frames":[\n').replace("},{", "},\n{").replace('],"passed"', '],\n"passed"')
        )
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
