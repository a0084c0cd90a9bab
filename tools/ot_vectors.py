"""Writes the known answers of the transfers and of what is built on them: seeds and inputs in, SHA-256 of frames out.

python tools/ot_vectors.py tests/vectors/ot/v1/transcripts.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cleanroom.vectors import transfers

SESSION = bytes(range(32))
SEEDS = {"exposure": bytes([1]) * 32, "outcome": bytes([2]) * 32}


def vectors() -> dict[str, object]:
    """Computes the file's content."""
    return {
        "schema": "seeds and session: hex; runs follow each other over the same transfers; a frame's sha256 covers its "
        "header; outputs: SHA-256 of the exposure and the outcome side's arrays, little endian",
        "source": "this project, wire version 1",
        "provenance": "tools/ot_vectors.py; inputs are named in cleanroom.vectors.transfers",
        "independent_check": "tests/protocols/test_ot_vectors.py computes every frame of both set-ups and the first "
        "frames of the equality test from cleanroom.protocols.reference",
        "session_id": SESSION.hex(),
        "seeds": {name: seed.hex() for name, seed in SEEDS.items()},
        "runs": list(transfers.runs(SEEDS, SESSION)),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(vectors(), indent=2) + "\n", encoding="utf-8")
