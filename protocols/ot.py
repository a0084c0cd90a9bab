"""Oblivious transfer extension: any number of 1-of-16 or 1-of-2 random transfers from 128 base transfers.

Functionality: for each transfer the receiver chooses x in F16 (or in F2) and gets a key; the sender can compute the
key of every x. With 4-bit choices it is a source of transfers for `tables`.
Security: malicious, in the random-oracle and ideal-cipher models, from endemic base transfers; with a receiver that
cheats and passes with probability 2^-c, c bits of the sender's secret Δ are known to it. What each learns: the sender
nothing of the choices; the receiver nothing of the other keys. What is transferred is the sender's to choose.
Rounds: three messages to set up; then a correction from the receiver for each batch.
Bytes: 16 a transfer with 4-bit choices and 4 with 1-bit choices, receiver to sender, and 4,160 or 2,576 a batch for
its check; 12,288 + 5,152 to set up. Source: Roy, "SoftSpokenOT", ePrint 2022/192,
with k = 4; the hash is TMMO of Guo, Katz, Wang and Yu, ePrint 2019/074, section 7.4.

A VOLE over the subfield F16 = GF(2)[α]/(α⁴ + α + 1). The receiver holds 32 GGM trees of 16 leaves; the sender knows
all leaves but leaf Δ_j of tree j. With r_x the stream of leaf x, the receiver has u_j = Σ r_x and v_j = Σ x·r_x, and
the sender q_j = Σ (x + Δ_j)·r_x = v_j + Δ_j·u_j, in which the unknown stream is multiplied by zero. The receiver sends
c_j = u_j + x for its choices x; the sender adds Δ_j·c_j and holds Q = V + x·Δ, a row of 128 bits a transfer. The key
of choice x is H(Q - x·Δ), which the receiver computes as H(V). For 1-bit choices the streams are over F2 and Δ stays
in F16: that is SoftSpokenOT itself.

Two checks hold the receiver to one choice a transfer. Both come before the sender uses what they are about.

Trees: each leaf has a digest; the receiver sends the XOR of a tree's sixteen and the digest of all digests. The sender
works out the digest of the leaf that it lacks and compares. A receiver whose trees are consistent for some values of
Δ_j only passes for those only: it guesses.

Corrections: R is the hash of a column over the transfers of a batch that `_kernels` computes, linear, polynomial in a
key χ of 128 bits. **χ is a hash of the set-up and of the whole correction, so it is known to nobody before both are
fixed.** The receiver sends R·x and R·V; the sender demands R·Q_j = R·V_j + Δ_j·R·x for each j. Columns with unequal
choices hash to one R·x with probability below 2^-108; every other deviating column has to be outweighed in R·V_j, which
takes a guess of its Δ_j. **The last group of 128 transfers of a batch has fresh random choices and serves nothing
else**: its weight in R is one, so R·x is uniform, and R·V follows from it and from what the sender has.

H(row, tweak) = π(π(row) + tweak) + π(row), π being AES-128 under a public key that the session and the label
determine. **The tweak is (number of the transfer, choice, output block), and no number is used twice**: two keys under
one tweak could be compared, and equal rows would show equal secrets.

Departures: the challenge is not a message of the sender's but a hash (Fiat–Shamir), which saves two messages a batch;
because it can be tried out beforehand it has 128 bits and not 40. One digest covers all trees. The seed expansion of
trees and streams is AES-128 keyed by the node (blocks 0 and 1 for children, a block counter for streams), digests are
SHA-256; trees are rebuilt in positions y = x + Δ_j, so that memory access does not depend on Δ.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import base_ot
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.tables import TransferSource
from cleanroom.protocols.traffic import NOTHING, Traffic, messages
from cleanroom.protocols.wire import CHUNK_BYTES, Expect, Message, Protocol, ProtocolId, Send

__all__ = [
    "SOFT_SPOKEN",
    "TREE_SUMS",
    "OtReceiver",
    "OtSender",
    "ReceiverBatch",
    "SenderBatch",
    "correction_bytes",
    "receiver_setup",
    "sender_setup",
    "setup_traffic",
]

TREES: Final = 32
DEPTH: Final = 4
LEAVES: Final = 1 << DEPTH
ROW_BYTES: Final = 16
GROUP: Final = 128
"""Transfers that share a block of the streams; a batch is padded to whole groups."""
DIGEST_BYTES: Final = 32
SUM_BYTES: Final = TREES * DEPTH * 2 * ROW_BYTES
CHECK_BYTES: Final = (TREES + 1) * DIGEST_BYTES
"""What checks the trees: the XOR of each tree's leaf digests, and the digest of all."""

TREE_SUMS: Final = Message(protocol=ProtocolId.OT, type=1, step="ot.tree_sums")

Bytes = NDArray[np.uint8]


def correction_bytes(count: int, choice_bits: int) -> int:
    """Returns the length of a correction, its check included, of `count` transfers with 1 or 4-bit choices."""
    groups = -(-count // GROUP) + 1
    return (groups * TREES * choice_bits + choice_bits + TREES * DEPTH) * ROW_BYTES


SOFT_SPOKEN: Final = TransferSource(
    stock=None,
    batch=CHUNK_BYTES // ROW_BYTES,  # 65,536: a correction is about `CHUNK_BYTES`
    ahead=4,  # an answer's way there and back takes longer than one batch's work
    correction_bytes=lambda count: correction_bytes(count, DEPTH),
    preparation=lambda count: (NOTHING, NOTHING),
)
"""These transfers, with 4-bit choices, as a source for `tables`."""


def setup_traffic() -> Traffic:
    """What the sender and the receiver of the later transfers send to set them up."""
    base_sender, base_receiver = base_ot.traffic(TREES * DEPTH)
    return base_receiver, base_sender + messages(SUM_BYTES + CHECK_BYTES)


def hash_key(streams: Streams, label: str) -> bytes:
    """Returns the public key of π for this session and label."""
    return sha256(b"cleanroom/ot/hash/v1" + base_ot.domain(streams, label)).digest()[:ROW_BYTES]


@dataclass(slots=True, kw_only=True, eq=False)
class _Position:
    """How far the streams and the numbering have come; both parties move alike."""

    block: int = 0
    transfer: int = 0

    def advance(self, count: int, choice_bits: int) -> tuple[int, int]:
        """Reserves a batch and the group that masks its check; returns its first stream block and transfer number."""
        start = self.block, self.transfer
        groups = -(-count // GROUP) + 1
        self.block += groups * choice_bits
        self.transfer += groups * GROUP
        return start


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReceiverBatch:
    """The receiver's half of a batch of transfers."""

    correction: bytes = field(repr=False)
    choices: Bytes = field(repr=False)
    rows: Bytes = field(repr=False)
    hash_key: bytes
    first: int

    def keys(self, words: int) -> NDArray[np.uint64]:
        """Returns the chosen keys, n × words."""
        keys = _kernels.ot_hash(self.rows, self.hash_key, self.first, self.choices, words)
        return keys.reshape(self.choices.size, words)

    def open_tables(self, masked: NDArray[np.uint16]) -> Bytes:
        """Reads the chosen message of each masked table.

        Args:
            masked: n × bits words; bit x of a word belongs to choice x.

        Returns:
            The messages' bits, n × bits, each 0 or 1.
        """
        pads = self.keys(1) >> np.arange(masked.shape[1], dtype=np.uint64)
        return ((masked >> self.choices[:, None]).astype(np.uint8) ^ pads.astype(np.uint8)) & np.uint8(1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SenderBatch:
    """The sender's half of a batch of transfers."""

    count: int
    rows: Bytes = field(repr=False)
    delta: Bytes = field(repr=False)
    hash_key: bytes
    first: int

    def keys(self, choice: int, words: int) -> NDArray[np.uint64]:
        """Returns the keys of one choice, n × words."""
        rows = self.rows.reshape(-1, ROW_BYTES) ^ _times_delta(self.delta, choice)
        choices = np.full(self.count, choice, dtype=np.uint8)
        keys = _kernels.ot_hash(rows.reshape(-1), self.hash_key, self.first, choices, words)
        return keys.reshape(self.count, words)

    def mask_tables(self, tables: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Masks tables of sixteen messages.

        Args:
            tables: n × bits words; bit x of a word is that bit of the message for choice x.

        Returns:
            The masked tables, n × bits.
        """
        bits = tables.shape[1]
        flat = np.ascontiguousarray(tables).reshape(-1)
        masked = _kernels.ot_mask_tables(self.rows, self.delta, self.hash_key, self.first, bits, flat)
        return masked.reshape(tables.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtReceiver:
    """Makes batches of transfers on the receiver's side; `extend` in the same order as the sender."""

    leaves: Bytes = field(repr=False)
    hash_key: bytes
    setup: bytes  # 32 bytes, the digest of all leaves; public
    _masks: CipherContext = field(repr=False)
    _position: _Position = field(default_factory=_Position)

    @property
    def source(self) -> TransferSource:
        """The shape of these transfers with 4-bit choices."""
        return SOFT_SPOKEN

    def prepare(self, count: int) -> Protocol[None]:
        """Does nothing: there is nothing to prepare."""
        yield from ()

    def supply(self, count: int) -> Protocol[None]:
        """Does nothing: a transfer lacks nothing."""
        yield from ()

    def extend(self, choices: Bytes, *, choice_bits: int = DEPTH) -> ReceiverBatch:
        """Makes one batch.

        Args:
            choices: n values below 2^choice_bits.
            choice_bits: 4 or 1.

        Returns:
            The batch; its correction goes to the sender.
        """
        block, first = self._position.advance(choices.size, choice_bits)
        choices = np.ascontiguousarray(choices)
        mask = self._masks.update(bytes(choice_bits * ROW_BYTES))
        correction, rows = _kernels.ot_extend_receiver(self.leaves, self.setup, block, choice_bits, choices, mask)
        return ReceiverBatch(
            correction=correction.tobytes(), choices=choices, rows=rows, hash_key=self.hash_key, first=first
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtSender:
    """Makes batches of transfers on the sender's side; `extend` in the same order as the receiver."""

    leaves: Bytes = field(repr=False)
    delta: Bytes = field(repr=False)
    hash_key: bytes
    setup: bytes  # 32 bytes, the digest of all leaves; public
    _masks: CipherContext = field(repr=False)
    _position: _Position = field(default_factory=_Position)

    @property
    def source(self) -> TransferSource:
        """The shape of these transfers with 4-bit choices."""
        return SOFT_SPOKEN

    def prepare(self, count: int) -> Protocol[None]:
        """Does nothing: there is nothing to prepare."""
        yield from ()

    def extend(self, correction: bytes, count: int, *, choice_bits: int = DEPTH) -> SenderBatch:
        """Makes one batch from the receiver's correction.

        Args:
            correction: `correction_bytes(count, choice_bits)` bytes.
            count: number of transfers.
            choice_bits: 4 or 1.

        Raises:
            PeerError: the correction does not pass its check.
            ValueError: the correction has another length.
        """
        if len(correction) != correction_bytes(count, choice_bits):
            raise ValueError("the correction is not of the length that the batch has")
        block, first = self._position.advance(count, choice_bits)
        try:
            rows = _kernels.ot_extend_sender(self.leaves, self.delta, self.setup, block, choice_bits, correction)
        except _kernels.CheckError as fault:
            raise PeerError(f"ot: batch from transfer {first} on: {fault}") from fault
        return SenderBatch(count=count, rows=rows, delta=self.delta, hash_key=self.hash_key, first=first)

    def random_bits(self, count: int) -> Bytes:
        """Draws `count` fresh bits from this side's stream, for the sender's shares of what it transfers."""
        drawn = np.frombuffer(self._masks.update(bytes(-(-count // 8))), dtype=np.uint8)
        return np.unpackbits(drawn, count=count, bitorder="little")


def _times_delta(delta: Bytes, choice: int) -> Bytes:
    """Returns choice·Δ as a row of 16 bytes: element j is the nibble 4j."""
    products = np.zeros(TREES, dtype=np.uint8)
    power = delta.copy()
    for bit in range(DEPTH):
        if choice >> bit & 1:
            products ^= power
        power = (power << np.uint8(1) & np.uint8(15)) ^ (power >> np.uint8(3)) * np.uint8(0b0011)
    return products[0::2] | products[1::2] << np.uint8(4)


def _leaf_digests(binding: bytes, leaves: Bytes) -> Bytes:
    """Returns SHA-256 of each leaf, bound to the set-up and the tree: 32 × 16 × 32 bytes."""
    digests = b"".join(
        sha256(b"cleanroom/ot/leaf/v1" + binding + bytes([tree]) + leaf.tobytes()).digest()
        for tree, row in enumerate(leaves.reshape(TREES, LEAVES, ROW_BYTES))
        for leaf in row
    )
    return np.frombuffer(digests, dtype=np.uint8).reshape(TREES, LEAVES, DIGEST_BYTES)


def _setup_digest(binding: bytes, digests: Bytes) -> bytes:
    return sha256(b"cleanroom/ot/leaves/v1" + binding + digests.tobytes()).digest()


def _recomputed_setup(binding: bytes, leaves: Bytes, delta: Bytes, sums: bytes) -> bytes:
    """Returns the digest of all leaves, by one who lacks leaf Δ of each tree.

    Args:
        binding: session and label.
        leaves: leaf y ⊕ Δ at position y, 32 × 16 × 16 bytes; position 0 is not read.
        delta: 32 elements.
        sums: the XOR of each tree's leaf digests, from the peer.
    """
    digests = _leaf_digests(binding, leaves).copy()
    digests[:, 0] = np.frombuffer(sums, dtype=np.uint8).reshape(TREES, DIGEST_BYTES)
    digests[:, 0] ^= np.bitwise_xor.reduce(digests[:, 1:], axis=1)
    positions = np.arange(LEAVES)
    for bit in range(DEPTH):
        # position y becomes leaf y ⊕ Δ by exchanging halves with a mask: an index would be an access that depends on Δ
        exchanged = digests[:, positions ^ 1 << bit]
        mask = -(delta >> np.uint8(bit) & np.uint8(1))
        digests ^= (digests ^ exchanged) & mask[:, None, None]
    return _setup_digest(binding, digests)


def _masks(streams: Streams, direction: str, label: str) -> CipherContext:
    key = streams.key(step="ot", direction=direction, purpose=label)
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()


def receiver_setup(*, streams: Streams, label: str) -> Protocol[OtReceiver]:
    """Sets up the receiver of later transfers: the sender of the base transfers and the owner of the trees.

    Args:
        streams: this party's streams; opens (ot, receiver, label), (ot, receiver-masks, label) and the base transfers'
            label.
        label: names this pair of objects in its session; equal on both sides.

    Raises:
        PeerError: the peer's base transfer message is malformed.
    """
    base = yield from base_ot.sender(streams=streams, label=label, count=TREES * DEPTH)
    roots = np.frombuffer(
        keystream(streams.key(step="ot", direction="receiver", purpose=label), TREES * ROW_BYTES), dtype=np.uint8
    )
    sums, leaves = _kernels.ggm_expand(roots)
    binding = base_ot.domain(streams, label)
    digests = _leaf_digests(binding, leaves)
    setup = _setup_digest(binding, digests)
    yield Send(
        TREE_SUMS, (sums ^ base.reshape(-1)).tobytes() + np.bitwise_xor.reduce(digests, axis=1).tobytes() + setup
    )
    return OtReceiver(
        leaves=leaves, hash_key=hash_key(streams, label), setup=setup, _masks=_masks(streams, "receiver-masks", label)
    )


def sender_setup(*, streams: Streams, label: str) -> Protocol[OtSender]:
    """Sets up the sender of later transfers: the receiver of the base transfers, who punctures the trees at Δ.

    Args:
        streams: this party's streams; opens (ot, sender, label), (ot, sender-masks, label) and the base transfers'
            label.
        label: names this pair of objects in its session; equal on both sides.

    Raises:
        PeerError: the peer's base transfer message is malformed, or its trees do not pass their check.
    """
    drawn = keystream(streams.key(step="ot", direction="sender", purpose=label), TREES * DEPTH // 8)
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8))
    sides = bits ^ np.uint8(1)  # at each level the sum of the side that leads away from Δ
    base = yield from base_ot.receiver(streams=streams, label=label, choices=sides)
    message = yield Expect(TREE_SUMS, SUM_BYTES + CHECK_BYTES)
    assert message is not None
    pairs = np.frombuffer(message, dtype=np.uint8, count=SUM_BYTES).reshape(TREES * DEPTH, 2, ROW_BYTES)
    # both sides are read and one is kept by arithmetic: an index would be an access that depends on Δ
    chosen = pairs[:, 0] ^ (pairs[:, 0] ^ pairs[:, 1]) * sides[:, None]
    leaves = _kernels.ggm_reconstruct(bits, (chosen ^ base).reshape(-1))
    delta = np.packbits(bits.reshape(TREES, DEPTH), axis=1).reshape(TREES) >> np.uint8(4)
    setup = message[-DIGEST_BYTES:]
    known = _recomputed_setup(base_ot.domain(streams, label), leaves, delta, message[SUM_BYTES:-DIGEST_BYTES])
    if not hmac.compare_digest(known, setup):
        raise PeerError(f"{TREE_SUMS.step}: the trees do not pass their consistency check")
    return OtSender(
        leaves=leaves,
        delta=delta,
        hash_key=hash_key(streams, label),
        setup=setup,
        _masks=_masks(streams, "sender-masks", label),
    )
