"""Writes tests/vectors/oprf_kkrt/v1/run.json from the plain references alone: no kernel, no protocol code.

Usage: python tools/oprf_kkrt_vectors.py > tests/vectors/oprf_kkrt/v1/run.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from cleanroom.protocols.reference import base_ot, oprf_kkrt
from cleanroom.protocols.seeds import Streams, keystream

SESSION_ID = bytes(range(32))
RECEIVER_SEED = bytes([0xA0]) * 32
SENDER_SEED = bytes([0xB0]) * 32
OUTPUT_BYTES = 8 + 8 * 5  # five columns: the masks take two hashes
BUCKET = 3
BINS = 130  # the second group of 128 is filled up
SHOWN = (0, 1, 127, 128, 129)


def vectors() -> dict[str, Any]:
    """The vector file's content."""
    receiving, sending = (Streams(seed=seed, session_id=SESSION_ID) for seed in (RECEIVER_SEED, SENDER_SEED))
    label = f"oprf-kkrt {BUCKET}"
    domain = SESSION_ID + len(label).to_bytes(2, "little") + label.encode()
    drawn = keystream(sending.key(step="oprf", direction="sender", bucket=BUCKET, purpose="mask"), 56)
    bits = [drawn[column // 8] >> column % 8 & 1 for column in range(448)]
    elements = base_ot.receiver_message(sending.key(step="base_ot", direction="receiver", purpose=label), domain, bits)
    base_key = receiving.key(step="base_ot", direction="sender", purpose=label)
    answer = base_ot.sender_message(base_key, 448)
    flat = base_ot.sender_keys(base_key, domain, elements)
    pairs = [(flat[at : at + 16], flat[at + 16 : at + 32]) for at in range(0, 448 * 32, 32)]
    chosen = [pair[bit] for pair, bit in zip(pairs, bits, strict=True)]

    queries = [hashlib.sha256(b"query %d" % number).digest()[:26] for number in range(BINS)]
    message = oprf_kkrt.correction(pairs, oprf_kkrt.code_keys(SESSION_ID, BUCKET), queries)
    mask = int.from_bytes(drawn, "little")
    bins = []
    for index in SHOWN:
        own = oprf_kkrt.receiver_row(pairs, index)
        row = oprf_kkrt.sender_row(chosen, mask, message, index)
        output = oprf_kkrt.hash_row(SESSION_ID, BUCKET, index, own, OUTPUT_BYTES)
        elsewhere = oprf_kkrt.evaluate(
            row, mask, SESSION_ID, BUCKET, index=index, data=queries[index - 1], output_bytes=OUTPUT_BYTES
        )
        bins.append(
            {
                "bin": index,
                "query": queries[index].hex(),
                "row": row.to_bytes(56, "little").hex(),
                "output": output.hex(),
                "output_of_the_query_of_the_bin_before": elsewhere.hex(),
            }
        )
    return {
        "schema": "hex; query of bin i: SHA-256 of the ASCII text 'query i', cut to 26 bytes; row: the sender's; "
        "messages: SHA-256 of each payload in the order of the wire",
        "source": "the project's own: docs/reference/wire/oprf-kkrt.md",
        "generator": "tools/oprf_kkrt_vectors.py, from the plain references",
        "independent_check": "tests/protocols/test_oprf_kkrt.py runs the protocol on the kernels",
        "session_id": SESSION_ID.hex(),
        "receiver_seed": RECEIVER_SEED.hex(),
        "sender_seed": SENDER_SEED.hex(),
        "bucket": BUCKET,
        "n_bins": BINS,
        "output_bytes": OUTPUT_BYTES,
        "mask": drawn.hex(),
        "bins": bins,
        "messages": [
            {"step": "base_ot.receiver_elements", "sha256": hashlib.sha256(elements).hexdigest()},
            {"step": "base_ot.sender_elements", "sha256": hashlib.sha256(answer).hexdigest()},
            {"step": "oprf.correction", "sha256": hashlib.sha256(message).hexdigest()},
        ],
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=2)
    sys.stdout.write("\n")
