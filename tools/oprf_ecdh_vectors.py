"""Writes tests/vectors/oprf_ecdh/v1/run.json from the plain references alone: no kernel, no protocol code.

Usage: python tools/oprf_ecdh_vectors.py > tests/vectors/oprf_ecdh/v1/run.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from cleanroom.protocols.reference import oprf
from cleanroom.protocols.seeds import Streams

SESSION_ID = bytes(range(32))
RECEIVER_SEED = bytes([0xA0]) * 32
SENDER_SEED = bytes([0xB0]) * 32
OUTPUT_BYTES = 8 + 8 * 9  # nine columns: the masks take two hashes


def vectors() -> dict[str, Any]:
    """The vector file's content."""
    blinds_key = Streams(seed=RECEIVER_SEED, session_id=SESSION_ID).key(
        step="oprf", direction="receiver", purpose="blinds"
    )
    bins_seed = Streams(seed=SENDER_SEED, session_id=SESSION_ID).key(
        step="oprf", direction="sender", purpose="bin keys"
    )
    bins = []
    sent = answered = b""
    for number in range(4):
        query = hashlib.sha256(b"query %d" % number).digest()[:26]
        key = oprf.derive_key(bins_seed, number.to_bytes(8, "little"))
        blinded = oprf.blind(query, oprf.random_scalar(blinds_key, number))
        evaluated = oprf.blind_evaluate(key, blinded)
        output = oprf.expand_output(oprf.evaluate(key, query), SESSION_ID, OUTPUT_BYTES)
        sent, answered = sent + blinded, answered + evaluated
        bins.append({"query": query.hex(), "key": key.to_bytes(32, "little").hex(), "output": output.hex()})
    return {
        "schema": "hex; bins in order; messages: SHA-256 of each payload in the order of the wire",
        "source": "the project's own: docs/reference/wire/oprf-ecdh.md",
        "generator": "tools/oprf_ecdh_vectors.py, from the plain references",
        "independent_check": "tests/protocols/test_oprf_ecdh.py runs the protocol on the kernels",
        "session_id": SESSION_ID.hex(),
        "receiver_seed": RECEIVER_SEED.hex(),
        "sender_seed": SENDER_SEED.hex(),
        "output_bytes": OUTPUT_BYTES,
        "bins": bins,
        "messages": [
            {"step": "oprf.blinded", "sha256": hashlib.sha256(sent).hexdigest()},
            {"step": "oprf.evaluated", "sha256": hashlib.sha256(answered).hexdigest()},
        ],
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=2)
    sys.stdout.write("\n")
