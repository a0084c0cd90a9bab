"""Writes tests/vectors/release/v1/opening.json with hashlib and integers alone: nothing of `cleanroom.release`.

Usage: python tools/release_vectors.py > tests/vectors/release/v1/opening.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np

from cleanroom.protocols.seeds import Streams, keystream

SESSION_ID = bytes(range(32))
SEEDS = {"exposure": b"e" * 32, "outcome": b"o" * 32}
ROLES = {"exposure": b"\x00", "outcome": b"\x01"}
# columns: matched, buyers in 15 days, orders in 15 days, sales in 7 days, the automatic gate of the sales
TRUTH = [[900, 700, 2100, 5_000_000, 500], [400, 49, 80, 90_000, 45], [300, 120, 260, 70_000, 10]]
GATE_OF = [0, 1, 1, 4, 4]
DECLARED = [True, True, True, True, False]
MIN_PEOPLE = 50
MASK = 1 << 64
LIFT = [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, -300, 0, 0]]
SINK = [[-3, 0, 9, -1, 0], [0, 0, 0, 0, 0], [0, -71, 0, 0, 0]]
ZERO = [[0] * 5] * 3


def case(
    noise: str,
    recipients: list[str],
    noises: dict[str, list[list[int]]],
    shares: dict[str, list[list[int]]],
    *,
    min_people: int = MIN_PEOPLE,
    chains: list[list[list[int]]] | None = None,
) -> dict[str, Any]:
    """One opening: who sends what, in the order of the wire. A chain is decided from its first column on."""
    sides = ("exposure", "outcome")
    receives = {"exposure": "media" in recipients, "outcome": "shop" in recipients}
    groups, columns = len(TRUTH), len(GATE_OF)
    cells = [(g, j) for g in range(groups) for j in range(columns)]
    words = {side: [(shares[side][g][j] + noises[side][g][j]) % MASK for g, j in cells] for side in sides}
    salts, streams = {}, {}
    for side in sides:
        streams[side] = Streams(seed=SEEDS[side], session_id=SESSION_ID)
        stream = keystream(streams[side].key(step="release", direction=side, purpose="salts"), 32 * len(cells))
        salts[side] = [stream[32 * k : 32 * k + 32] for k in range(len(cells))]
    messages: list[dict[str, Any]] = []

    def send(side: str, step: str, payload: bytes) -> None:
        digest = hashlib.sha256(payload).hexdigest()
        messages.append({"from": side, "step": f"release.{step}", "length": len(payload), "sha256": digest})

    def opened(side: str, which: list[int]) -> bytes:
        return b"".join(salts[side][k] + words[side][k].to_bytes(8, "little") for k in which)

    def packed(bits: list[bool]) -> bytes:
        number = sum(1 << k for k, bit in enumerate(bits) if bit)
        return number.to_bytes((len(bits) + 7) // 8, "little")

    for side in sides:
        commitments = [
            hashlib.sha256(
                b"cleanroom/release/cell/v1"
                + SESSION_ID
                + ROLES[side]
                + k.to_bytes(8, "little")
                + salts[side][k]
                + words[side][k].to_bytes(8, "little")
            ).digest()
            for k in range(len(cells))
        ]
        send(side, "commitments", b"".join(commitments))

    gate_cells = [k for k, (_, j) in enumerate(cells) if j in GATE_OF]
    total = [(words["exposure"][k] + words["outcome"][k]) % MASK for k in range(len(cells))]
    signed = [value - MASK if value >= MASK // 2 else value for value in total]
    verdict = {k: signed[k] >= min_people for k in gate_cells}
    rounds = [gate_cells]
    if chains is not None:
        (chain,) = chains
        order = [*(level[0] for level in chain), 0]  # matched people are above the chain
        rounds = [[g * columns + j for g in range(groups)] for j in order]
        for g in range(groups):
            last = 0
            for j in order:
                k = g * columns + j
                verdict[k] = signed[k] - last >= min_people
                last = signed[k] if verdict[k] else last
    bits = [verdict[k] for k in gate_cells]
    if noise == "none":
        for number, decided in enumerate(rounds):
            # the comparison's masks are all ones in the test: the exposure side's share is 1, the other side's bit ^ 1
            parts = {"exposure": packed([True] * len(decided)), "outcome": packed([not verdict[k] for k in decided])}
            bit_salts = {}
            for side in sides:
                key = streams[side].key(step="release", direction=side, purpose="bits salt", attempt=number)
                bit_salts[side] = keystream(key, 32)
            for side in sides:
                statement = b"cleanroom/release/bits/v1" + SESSION_ID + ROLES[side] + bit_salts[side] + parts[side]
                send(side, "bits_commitment", hashlib.sha256(statement).digest())
            for side in sides:
                send(side, "bits", bit_salts[side] + parts[side])
    else:
        for side, other in zip(sides, reversed(sides), strict=True):
            if receives[other]:
                send(side, "gates", opened(side, gate_cells))
        for side, other in zip(sides, reversed(sides), strict=True):
            if receives[side] and not receives[other]:
                send(side, "suppression", packed(bits))
    passed = [[verdict[g * columns + GATE_OF[j]] for j in range(columns)] for g in range(groups)]
    rest = [
        k for k, (g, j) in enumerate(cells) if passed[g][j] and DECLARED[j] and (noise == "none" or j not in GATE_OF)
    ]
    for side, other in zip(sides, reversed(sides), strict=True):
        if receives[other]:
            send(side, "cells", opened(side, rest))
    secret: dict[str, Any] = {"verdicts": [[int(verdict[k]) for k in decided] for decided in rounds]}
    if chains is not None:
        secret |= {"chains": chains, "min_people": min_people}
    return {
        **(secret if noise == "none" else {}),
        "noise": noise,
        "recipients": recipients,
        "noise_exposure": noises["exposure"],
        "noise_outcome": noises["outcome"],
        "messages": messages,
        "passed": passed,
    }


def vectors() -> dict[str, Any]:
    """The vector file's content."""
    mine = [[int(word) for word in row] for row in np.random.default_rng(5).integers(0, 2**64, (3, 5), dtype=np.uint64)]
    theirs = [
        [(value - share) % MASK for value, share in zip(row, held, strict=True)]
        for row, held in zip(TRUTH, mine, strict=True)
    ]
    shares = {"exposure": mine, "outcome": theirs}
    noises = {"exposure": LIFT, "outcome": SINK}
    return {
        "schema": "truth and noise: groups x columns; shares: hex words; messages: SHA-256 of payloads in order",
        "source": "the project's own: docs/reference/wire/release.md",
        "generator": "tools/release_vectors.py, with hashlib and integers; salts from cleanroom.protocols.seeds",
        "independent_check": "tests/cleanroom/release/test_opening.py runs the opening on the same inputs",
        "session_id": SESSION_ID.hex(),
        "seeds": {side: seed.hex() for side, seed in SEEDS.items()},
        "min_people": MIN_PEOPLE,
        "gates": GATE_OF,
        "declared": DECLARED,
        "truth": TRUTH,
        "shares_exposure": [[f"{word:016x}" for word in row] for row in mine],
        "cases": {
            "gaussian": case("gaussian", ["media", "shop"], noises, shares),
            "none": case("none", ["media", "shop"], {"exposure": ZERO, "outcome": ZERO}, shares),
            "differences": case(
                "none",
                ["media", "shop"],
                {"exposure": ZERO, "outcome": ZERO},
                shares,
                min_people=250,
                chains=[[[4], [1]]],
            ),
            "one_recipient": case("gaussian", ["media"], noises, shares),
        },
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=2)
    sys.stdout.write("\n")
