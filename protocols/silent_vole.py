"""Silent vector OLE: long random correlations from short ones, over GF(2^128) and over F16.

Functionality: the receiver gets u and v, the sender Δ and k with k = v + u·Δ, element by element. u is random, and Δ is
random too, one for all elements. Two flavours:

- GF(2^128), `receiver` and `sender`: u, v, k and Δ in GF(2)[x]/(x^128 + x^7 + x^2 + x + 1).
- F16, `extend_receiver` and `extend_sender`: u in F16; v, k and Δ are rows of 32 elements as `ot` has them, and Δ is
  that of the sender's `ot`. Such rows are random transfers of one in sixteen.

Security: semi-honest, under dual LPN with regular noise for the Expand-Convolute code (`lpn`), with AES-128 as an ideal
cipher (trees) and the assumptions of `ot`. What each learns: nothing beyond its output. What a malicious party could
do: the receiver's messages are corrections of `ot`, which it checks, so a receiver is held to some noise; noise of its
choice gives it a u that is not uniform, as its own coins would. A sender can send sums or words that fit no tree. The
receiver's v is then wrong where its noise lies in certain places, and nowhere if it does not: who sees whether a later
step fails learns bits about the noise, and noise that is known shows u. No check here refuses such sums.

Rounds: one for each batch, the receiver first; `receiver` and `sender` first set up `ot`. Bytes a batch of n outputs,
with t = 512 blocks and d = log2(2n/t) levels: receiver to sender 4·t·d and a check for the positions, 16·t (F16) or
512·t (GF(2^128)) and a check for the values; sender to receiver 32·t·d + 16·t. See docs/reference/wire/silent-vole.md.

Source: Boyle, Couteau, Gilboa, Ishai, "Compressing Vector OLE", ePrint 2019/273, with the puncturable PRF set up by
transfers as in Boyle et al., ePrint 2019/1159; the code is that of Raghuraman, Rindal, Tanguy, ePrint 2023/882.

For each batch the receiver draws noise e: 2n elements in t blocks, one of each block not zero. For each block the
sender grows a tree of leaves k'; the receiver gets the sums that lead away from its position, by one transfer a level,
and rebuilds all leaves but the one there. **Of each level it gets the sum of one side**: both would give it the tree. A
VOLE of the t values, q = w + e·Δ, comes from `ot`: over F16 one transfer a value, over GF(2^128) one transfer a bit,
combined as the bits are. The sender sends q + Σ k' for each block, and the receiver puts that, its w and its leaves
together to k' + e·Δ at its position. So k' = v' + e·Δ in 2n places, and the code G, being linear over GF(2), makes of
it n places with k = G·k', v = G·v', u = G·e.

Departures: the trees' nodes are x and π(x) + x under two public keys of AES a tree, and not a doubling PRG; the values'
VOLE is that of SoftSpokenOT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import base_ot, ot
from cleanroom.protocols.lpn import WEIGHT, Size, sizes
from cleanroom.protocols.ot import OtReceiver, OtSender
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.traffic import Traffic, messages, total
from cleanroom.protocols.wire import Message, Progress, Protocol, ProtocolId, Send, expect

__all__ = [
    "VoleReceiver",
    "VoleSender",
    "code_key",
    "extend_receiver",
    "extend_sender",
    "extension_traffic",
    "receiver",
    "sender",
    "traffic",
    "tree_keys",
]

NODE_BYTES: Final = 16
FIELD_BITS: Final = 128
F16_BITS: Final = 4
_STEP: Final = "silent_vole"
_POSITIONS: Final = Message(protocol=ProtocolId.SILENT_VOLE, type=1, step="silent_vole.positions")
_VALUES: Final = Message(protocol=ProtocolId.SILENT_VOLE, type=2, step="silent_vole.values")
_SUMS: Final = Message(protocol=ProtocolId.SILENT_VOLE, type=3, step="silent_vole.sums")

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoleReceiver:
    """The receiver's half: u and v, n × 2 words each."""

    u: Words = field(repr=False)
    v: Words = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoleSender:
    """The sender's half: Δ, 16 bytes, and k = v + u·Δ, n × 2 words."""

    delta: bytes = field(repr=False)
    k: Words = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """One batch: what both sides know of it."""

    size: Size
    label: str  # of this batch alone

    @property
    def transfers(self) -> int:
        """Transfers for the trees: one a level."""
        return WEIGHT * self.size.depth

    @property
    def sums_bytes(self) -> int:
        """Both sums of every level, and a word a tree."""
        return (2 * self.transfers + WEIGHT) * NODE_BYTES


def _batches(count: int, label: str) -> list[_Batch]:
    return [_Batch(size=size, label=f"{label} {number}") for number, size in enumerate(sizes(count))]


def tree_keys(streams: Streams, label: str) -> bytes:
    """Returns the two public AES keys of a batch's trees, 32 bytes; a tree adds its number to each."""
    return sha256(b"cleanroom/silent-vole/trees/v1" + base_ot.domain(streams, label)).digest()


def code_key(streams: Streams) -> bytes:
    """Returns the public key of the session's code, 16 bytes."""
    return sha256(b"cleanroom/silent-vole/code/v1" + streams.session_id).digest()[:NODE_BYTES]


def extension_traffic(count: int) -> Traffic:
    """What receiver and sender send for `count` outputs over F16."""
    return _traffic(count, F16_BITS)


def traffic(length: int) -> Traffic:
    """What receiver and sender send for `length` outputs over GF(2^128), the set-up of `ot` included."""
    ot_sender, ot_receiver = ot.setup_traffic()
    from_receiver, from_sender = _traffic(length, FIELD_BITS)
    return ot_receiver + from_receiver, ot_sender + from_sender


def _traffic(count: int, bits: int) -> Traffic:
    batches = _batches(count, "")
    values = _value_bytes(bits)
    return (
        total(messages(ot.correction_bytes(batch.transfers, 1), values) for batch in batches),
        total(messages(batch.sums_bytes) for batch in batches),
    )


def _value_bytes(bits: int) -> int:
    """Bytes of the correction for the values: F16 takes transfers of four bits, GF(2^128) a transfer a bit."""
    return ot.correction_bytes(WEIGHT, F16_BITS) if bits == F16_BITS else ot.correction_bytes(WEIGHT * bits, 1)


def receiver(*, streams: Streams, label: str, length: int) -> Protocol[VoleReceiver]:
    """The receiver's side over GF(2^128).

    Args:
        streams: this party's streams; opens (silent_vole, receiver, label and number) and those of `ot`'s receiver.
        label: names the run in its session; equal on both sides.
        length: outputs.

    Raises:
        PeerError: a message of the set-up is malformed or does not pass its check.
    """
    transfers = yield from ot.receiver_setup(streams=streams, label=label)
    u, v = np.empty((length, 2), dtype=np.uint64), np.empty((length, 2), dtype=np.uint64)
    done = 0
    for batch in _batches(length, label):
        noise = _draw(streams, batch, NODE_BYTES)
        values = noise.drawn.view("<u8").astype(np.uint64, copy=False)
        bits = np.unpackbits(noise.drawn, bitorder="little")
        leaves = yield from _receive(transfers, batch, streams, noise.positions, bits, 1, _field_elements)
        stop = min(done + batch.size.outputs, length)
        spread = -(noise.places(batch.size).astype(np.uint64))[:, :, None] & values.reshape(WEIGHT, 1, 2)
        u[done:stop] = _kernels.expand_convolute(code_key(streams), spread.reshape(-1, 2))[: stop - done]
        v[done:stop] = _kernels.expand_convolute(code_key(streams), leaves)[: stop - done]
        done = stop
        yield Progress(_STEP, done, length)
    return VoleReceiver(u=u, v=v)


def sender(*, streams: Streams, label: str, length: int) -> Protocol[VoleSender]:
    """The sender's side over GF(2^128).

    Args:
        streams: this party's streams; opens (silent_vole, sender, label and number) and those of `ot`'s sender.
        label: names the run in its session; equal on both sides.
        length: outputs.

    Raises:
        PeerError: a message of the peer is malformed, or does not pass the checks of `ot`.
    """
    transfers = yield from ot.sender_setup(streams=streams, label=label)
    k = np.empty((length, 2), dtype=np.uint64)
    done = 0
    for batch in _batches(length, label):
        leaves = yield from _send(transfers, batch, streams, WEIGHT * FIELD_BITS, 1, _field_elements)
        stop = min(done + batch.size.outputs, length)
        k[done:stop] = _kernels.expand_convolute(code_key(streams), leaves)[: stop - done]
        done = stop
        yield Progress(_STEP, done, length)
    delta = (transfers.delta[0::2] | transfers.delta[1::2] << np.uint8(4)).tobytes()
    return VoleSender(delta=delta, k=k)


def extend_receiver(
    ot_receiver: OtReceiver, *, streams: Streams, label: str, batch: int, count: int
) -> Protocol[tuple[Bytes, Bytes]]:
    """The receiver's side over F16.

    Args:
        ot_receiver: set-up transfers whose receiver this party is; `batch` after batch in the sender's order.
        streams: this party's streams; opens (silent_vole, receiver, label and numbers).
        label: names these outputs in the session; equal on both sides.
        batch: number of the call under this label.
        count: outputs.

    Returns:
        u, `count` random elements of F16, and the rows V, count × 16 bytes.
    """
    choices, rows = np.empty(count, dtype=np.uint8), np.empty((count, 2), dtype=np.uint64)
    done = 0
    for piece in _batches(count, f"{label} {batch}"):
        noise = _draw(streams, piece, 8)
        values = (noise.drawn.view("<u8").reshape(-1) % 15 + 1).astype(np.uint8)  # biased by less than 2^-60
        leaves = yield from _receive(ot_receiver, piece, streams, noise.positions, values, F16_BITS, _rows)
        stop = min(done + piece.size.outputs, count)
        spread = (noise.places(piece.size) * values[:, None]).reshape(-1)
        choices[done:stop] = _kernels.expand_convolute_bytes(code_key(streams), spread)[: stop - done]
        rows[done:stop] = _kernels.expand_convolute(code_key(streams), leaves)[: stop - done]
        done = stop
    return choices, _octets(rows)


def extend_sender(ot_sender: OtSender, *, streams: Streams, label: str, batch: int, count: int) -> Protocol[Bytes]:
    """The sender's side over F16.

    Args:
        ot_sender: set-up transfers whose sender this party is; `batch` after batch in the receiver's order.
        streams: this party's streams; opens (silent_vole, sender, label and numbers).
        label: names these outputs in the session; equal on both sides.
        batch: number of the call under this label.
        count: outputs.

    Returns:
        The rows Q = V + u·Δ, count × 16 bytes, Δ being that of `ot_sender`.

    Raises:
        PeerError: a correction does not pass the check of `ot`.
    """
    rows = np.empty((count, 2), dtype=np.uint64)
    done = 0
    for piece in _batches(count, f"{label} {batch}"):
        leaves = yield from _send(ot_sender, piece, streams, WEIGHT, F16_BITS, _rows)
        stop = min(done + piece.size.outputs, count)
        rows[done:stop] = _kernels.expand_convolute(code_key(streams), leaves)[: stop - done]
        done = stop
    return _octets(rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Noise:
    """Where the noise lies, and random bytes to make its values of."""

    positions: NDArray[np.uint32] = field(repr=False)  # one a block
    drawn: Bytes = field(repr=False)  # t × bytes

    def places(self, size: Size) -> Bytes:
        """One at each block's position, zero elsewhere: t × block. Every element is computed alike."""
        places: Bytes = (np.arange(size.block, dtype=np.uint32) == self.positions[:, None]).view(np.uint8)
        return places


def _draw(streams: Streams, batch: _Batch, value_bytes: int) -> _Noise:
    key = streams.key(step=_STEP, direction="receiver", purpose=batch.label)
    drawn = np.frombuffer(keystream(key, WEIGHT * (4 + value_bytes)), dtype=np.uint8)
    positions = drawn[: 4 * WEIGHT].view("<u4") & np.uint32(batch.size.block - 1)
    return _Noise(positions=positions, drawn=drawn[4 * WEIGHT :])


def _receive(
    transfers: OtReceiver,
    batch: _Batch,
    streams: Streams,
    positions: NDArray[np.uint32],
    choices: Bytes,
    choice_bits: int,
    elements: Callable[[Bytes], Bytes],
) -> Protocol[Words]:
    """Gets the leaves v': 2n × 2 words. `elements` makes the values' VOLE of the transfers' rows."""
    levels = np.arange(batch.size.depth - 1, -1, -1, dtype=np.uint32)
    bits = (positions[:, None] >> levels & np.uint32(1)).astype(np.uint8).reshape(-1)
    away = bits ^ np.uint8(1)
    turns = transfers.extend(away, choice_bits=1)
    values = transfers.extend(choices, choice_bits=choice_bits)
    yield Send(_POSITIONS, turns.correction)
    yield Send(_VALUES, values.correction)
    payload = yield from expect(_SUMS, batch.sums_bytes)
    received = np.frombuffer(payload, dtype=np.uint8)
    pairs = received[: 2 * batch.transfers * NODE_BYTES].reshape(batch.transfers, 2, NODE_BYTES)
    # both sides are read and one is kept by arithmetic: an index would be an access that depends on the position
    chosen = pairs[:, 0] ^ (pairs[:, 0] ^ pairs[:, 1]) * away[:, None]
    sums = chosen ^ _octets(turns.keys(2)).reshape(chosen.shape)
    words = received[2 * batch.transfers * NODE_BYTES :] ^ elements(values.rows)
    return _kernels.pprf_reconstruct(bits, tree_keys(streams, batch.label), sums.reshape(-1), words)


def _send(
    transfers: OtSender,
    batch: _Batch,
    streams: Streams,
    count: int,
    choice_bits: int,
    elements: Callable[[Bytes], Bytes],
) -> Protocol[Words]:
    """Makes the leaves k': 2n × 2 words. `count` transfers of `choice_bits` hold the values."""
    positions = yield from expect(_POSITIONS, ot.correction_bytes(batch.transfers, 1))
    values = yield from expect(_VALUES, ot.correction_bytes(count, choice_bits))
    turns = transfers.extend(positions, batch.transfers, choice_bits=1)
    rows = transfers.extend(values, count, choice_bits=choice_bits).rows
    key = streams.key(step=_STEP, direction="sender", purpose=batch.label)
    roots = np.frombuffer(keystream(key, WEIGHT * NODE_BYTES), dtype=np.uint8)
    sums, leaves = _kernels.pprf_expand(roots, tree_keys(streams, batch.label), batch.size.depth)
    levels = sums.reshape(batch.transfers, 2, NODE_BYTES)
    pads = np.stack([_octets(turns.keys(side, 2)) for side in (0, 1)], axis=1).reshape(levels.shape)
    leaf_sums = np.bitwise_xor.reduce(levels[batch.size.depth - 1 :: batch.size.depth], axis=1).reshape(-1)
    yield Send(_SUMS, (levels ^ pads).tobytes() + (leaf_sums ^ elements(rows)).tobytes())
    return leaves


def _octets(words: Words) -> Bytes:
    return np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8).reshape(-1, NODE_BYTES)


def _rows(rows: Bytes) -> Bytes:
    """The values' VOLE over F16: a row a value."""
    return rows[: WEIGHT * NODE_BYTES]


def _field_elements(rows: Bytes) -> Bytes:
    """The values' VOLE over GF(2^128), from a row a bit: Σ x^b·row b, by Horner's rule."""
    bits = rows[: WEIGHT * FIELD_BITS * NODE_BYTES].view("<u8").astype(np.uint64).reshape(WEIGHT, FIELD_BITS, 2)
    sums = np.zeros((WEIGHT, 2), dtype=np.uint64)
    for bit in range(FIELD_BITS - 1, -1, -1):
        low, high = sums[:, 0], sums[:, 1]
        over = -(high >> np.uint64(63)) & np.uint64(0b1000_0111)
        sums = np.stack([low << np.uint64(1) ^ over, high << np.uint64(1) ^ low >> np.uint64(63)], axis=1)
        sums ^= bits[:, bit]
    return _octets(sums).reshape(-1)
