"""The project's known answers for transfers: the build gives them again, and the plain references give them too."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cleanroom.protocols import base_ot, equality, ot
from cleanroom.protocols.reference import ot as plain
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.wire import Message, encode_frame
from cleanroom.vectors import check_file
from tools.slow import base_ot as plain_base

ROOT = Path(__file__).parents[2]
VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/ot/v1/transcripts.json").read_text("utf-8"))
"""Any: JSON."""


def frames(run: str) -> list[dict[str, Any]]:
    (found,) = [entry["frames"] for entry in VECTORS["runs"] if entry["run"] == run]
    return list(found)


def streams(name: str) -> Streams:
    return Streams(seed=bytes.fromhex(VECTORS["seeds"][name]), session_id=bytes.fromhex(VECTORS["session_id"]))


def check(entry: dict[str, Any], message: Message, sequence: int, payload: bytes) -> None:
    frame = encode_frame(message, sequence, payload)
    assert (entry["step"], entry["length"]) == (message.step, len(frame))
    assert entry["sha256"] == sha256(frame).hexdigest()


def test_the_build_gives_the_same_frames_and_outputs() -> None:
    assert check_file("ot/v1/transcripts.json").vectors == 5


class Plain:
    """A set-up computed by the references: messages, Δ and leaves of both sides."""

    def __init__(self, sender: str, receiver: str, label: str) -> None:
        sending, receiving = streams(sender), streams(receiver)
        drawn = keystream(sending.key(step="ot", direction="sender", purpose=label), 16)
        bits = [byte >> bit & 1 for byte in drawn for bit in range(7, -1, -1)]
        sides = [1 - bit for bit in bits]
        self.deltas = [int("".join(map(str, bits[at : at + 4])), 2) for at in range(0, 128, 4)]
        domain = base_ot.domain(sending, label)
        key = sending.key(step="base_ot", direction="receiver", purpose=label)
        other = receiving.key(step="base_ot", direction="sender", purpose=label)
        self.elements = plain_base.receiver_message(key, domain, sides)
        self.answer = plain_base.sender_message(other, 128)
        pads = plain_base.sender_keys(other, domain, self.elements)
        roots = keystream(receiving.key(step="ot", direction="receiver", purpose=label), 512)
        trees = [plain.ggm_expand(roots[at : at + 16]) for at in range(0, 512, 16)]
        sums = b"".join(side for tree in trees for pair in tree[0] for side in pair)
        masked = bytes(left ^ right for left, right in zip(sums, pads, strict=True))
        digests, self.setup = plain.leaf_digests(domain, [tree[1] for tree in trees])
        self.tree_sums = masked + digests + self.setup
        self.leaves = np.frombuffer(b"".join(leaf for tree in trees for leaf in tree[1]), dtype=np.uint8)
        self.shifted = np.zeros((32, 16, 16), dtype=np.uint8)
        for tree, delta in enumerate(self.deltas):
            for y in range(1, 16):
                self.shifted[tree, y] = self.leaves.reshape(32, 16, 16)[tree, y ^ delta]
        self.check_mask = keystream(receiving.key(step="ot", direction="receiver-masks", purpose=label), 64)
        self.masks = sending.key(step="ot", direction="sender-masks", purpose=label)
        self.hash_key = ot.hash_key(sending, label)


@cache
def plain_set_up(sender: str, receiver: str, label: str) -> Plain:
    return Plain(sender, receiver, label)


@pytest.mark.parametrize(
    ("sender", "receiver", "label"),
    [
        ("exposure", "outcome", "exposure-sends"),
        pytest.param("outcome", "exposure", "outcome-sends", marks=pytest.mark.slow),
    ],
)
def test_set_ups_equal_the_references(sender: str, receiver: str, label: str) -> None:
    made = plain_set_up(sender, receiver, label)
    found = frames(f"setup {label}")
    assert [entry["from"] for entry in found] == [sender, receiver, receiver]
    check(found[0], base_ot.RECEIVER_ELEMENTS, 0, made.elements)
    check(found[1], base_ot.SENDER_ELEMENTS, 0, made.answer)
    check(found[2], ot.TREE_SUMS, 1, made.tree_sums)


def test_first_layer_of_the_equality_test_equals_the_references() -> None:
    made = plain_set_up("exposure", "outcome", "exposure-sends")
    a = [int.from_bytes(sha256(f"equality{number}".encode()).digest()[:8], "little") for number in range(60)]
    b = [value ^ (1 << number if number % 3 == 0 else 0) for number, value in enumerate(a)]
    own, choices = (
        np.array([value >> shift & 15 for value in values for shift in range(0, 64, 4)], dtype=np.uint8)
        for values in (a, b)
    )
    correction, _ = plain.extend_receiver(made.leaves, made.setup, 0, 4, choices, made.check_mask)
    check(frames("equality")[0], equality.MESSAGES.correction, 0, correction)
    delta = np.array(made.deltas, dtype=np.uint8)
    rows = plain.extend_sender(made.shifted, delta, made.setup, 0, 4, correction)
    stream = keystream(made.masks, 120)
    masks = [stream[number // 8] >> number % 8 & 1 for number in range(960)]
    tables = np.array(
        [[1 << chunk ^ 0xFFFF * mask] for chunk, mask in zip(own.tolist(), masks, strict=True)], dtype=np.uint16
    )
    masked = plain.mask_tables(rows, delta, made.hash_key, 0, tables)
    check(frames("equality")[1], equality.MESSAGES.tables, 0, masked.astype("<u2").tobytes())
