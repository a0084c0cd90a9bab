"""Writes the known answers of the transfers and of what is built on them: seeds and inputs in, SHA-256 of frames out.

python tools/ot_vectors.py tests/vectors/ot/v1/transcripts.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from cleanroom.protocols import comparison, equality, mux, ot
from cleanroom.protocols.party import Outgoing, Party, PartyState
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol

SESSION = bytes(range(32))
SEEDS = {"exposure": bytes([1]) * 32, "outcome": bytes([2]) * 32}
NAMES = ("exposure", "outcome")


def _exchange(exposure: Protocol[Any], outcome: Protocol[Any]) -> tuple[list[Any], list[dict[str, object]]]:
    """Runs a pair; returns both results and the frames, in the order in which an exposure side goes first."""
    parties = (Party(exposure), Party(outcome))
    queues: tuple[list[bytes], list[bytes]] = ([], [])
    frames: list[dict[str, object]] = []
    while any(party.state is not PartyState.DONE for party in parties):
        for index, party in enumerate(parties):
            if party.state is PartyState.WAITING and queues[index]:
                party.feed(queues[index].pop(0))
            while party.state is PartyState.RUNNING:
                event = party.advance()
                if isinstance(event, Outgoing):
                    queues[1 - index].append(event.frame)
                    digest = sha256(event.frame).hexdigest()
                    frames.append(
                        {
                            "from": NAMES[index],
                            "step": event.message.step,
                            "length": len(event.frame),
                            "sha256": digest,
                        }
                    )
    return [party.result for party in parties], frames


def _words(label: str, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Returns the inputs of a label: SHA-256(label ‖ number as text), the first 8 bytes little endian."""
    return np.array(
        [int.from_bytes(sha256(f"{label}{number}".encode()).digest()[:8], "little") for number in range(count)],
        dtype=np.uint64,
    )


def _digest(array: np.ndarray[Any, Any]) -> str:
    return sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _runs() -> Iterator[dict[str, object]]:
    streams = {name: Streams(seed=seed, session_id=SESSION) for name, seed in SEEDS.items()}
    (forth_sender, forth_receiver), frames = _exchange(
        ot.sender_setup(streams=streams["exposure"], label="exposure-sends"),
        ot.receiver_setup(streams=streams["outcome"], label="exposure-sends"),
    )
    yield {"run": "setup exposure-sends", "frames": frames}
    (back_receiver, back_sender), frames = _exchange(
        ot.receiver_setup(streams=streams["exposure"], label="outcome-sends"),
        ot.sender_setup(streams=streams["outcome"], label="outcome-sends"),
    )
    yield {"run": "setup outcome-sends", "frames": frames}

    a = _words("equality", 60)
    b = a.copy()
    b[::3] ^= np.uint64(1) << np.arange(0, 60, 3, dtype=np.uint64)
    bits, frames = _exchange(equality.sender(forth_sender, a), equality.receiver(forth_receiver, b))
    yield {"run": "equality", "outputs": [_digest(share) for share in bits], "frames": frames}

    z, r = _words("z", 120).reshape(60, 2), _words("r", 120).reshape(60, 2)
    shares, frames = _exchange(
        mux.exposure(forth_sender, back_receiver, bits[0], z), mux.outcome(back_sender, forth_receiver, bits[1], r)
    )
    yield {"run": "mux", "outputs": [_digest(share) for share in shares], "frames": frames}

    masks = _words("comparison", 40)
    counts = np.arange(30, 70, dtype=np.uint64)
    passed, frames = _exchange(
        comparison.sender(forth_sender, masks, 50), comparison.receiver(forth_receiver, counts - masks, 50)
    )
    yield {"run": "comparison", "outputs": [_digest(share) for share in passed], "frames": frames}


def vectors() -> dict[str, object]:
    """Computes the file's content."""
    return {
        "schema": "seeds and session: hex; runs follow each other over the same transfers; a frame's sha256 covers its "
        "header; outputs: SHA-256 of the exposure and the outcome side's arrays, little endian",
        "source": "this project, wire version 1",
        "provenance": "tools/ot_vectors.py; inputs are named there",
        "independent_check": "tests/protocols/test_ot_vectors.py computes every frame of both set-ups and the first "
        "frames of the equality test from cleanroom.protocols.reference",
        "session_id": SESSION.hex(),
        "seeds": {name: seed.hex() for name, seed in SEEDS.items()},
        "runs": list(_runs()),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(vectors(), indent=2) + "\n", encoding="utf-8")
