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
receiver's v is then wrong in the places that the noise of those blocks reaches: who sees where later steps fail learns
up to a bit about the noise for each place, and noise that is known shows u. No check here refuses such sums.

Rounds: one for every `AHEAD` batches, the receiver first; `receiver` and `sender` first set up `ot`. Bytes a batch of n
outputs, with t blocks and d = log2(2n/t) levels: receiver to sender 4·t·d for the positions, 16·t (F16) or 512·t
(GF(2^128)) for the values, and two checks; sender to receiver 32·t·d + 16·t. See docs/reference/wire/silent-vole.md.

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

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import base_ot, ot
from cleanroom.protocols.lpn import F16, GF128, Field, Size, sizes
from cleanroom.protocols.ot import OtReceiver, OtSender
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.traffic import Traffic, messages, total
from cleanroom.protocols.wire import Message, Progress, Protocol, ProtocolId, Send, expect

__all__ = [
    "AHEAD",
    "Extension",
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
AHEAD: Final = 4
"""Batches whose corrections the receiver sends before it awaits the sums of the first one; at most 3 MB."""
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
class _Flavour:
    """How the VOLE of the noise's values comes from transfers of `ot`."""

    field: Field
    choice_bits: int
    transfers: int  # a value
    value_bytes: int  # random bytes that make a value
    draw: Callable[[Bytes], Bytes]  # random bytes of all values -> choices of their transfers
    combine: Callable[[Bytes], Bytes]  # the rows of all values' transfers -> 16 bytes a value
    encode: Callable[[bytes, _Asked, Words], tuple[Bytes | Words, Words]]  # the code's key, noise, v' -> u and v


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """One batch: what both sides know of it."""

    flavour: _Flavour
    size: Size
    label: str  # of this batch alone
    start: int
    stop: int

    @property
    def turns(self) -> int:
        """Transfers for the trees: one a level."""
        return self.size.blocks * self.size.depth

    @property
    def values(self) -> int:
        """Transfers for the values."""
        return self.size.blocks * self.flavour.transfers

    @property
    def correction_bytes(self) -> tuple[int, int]:
        """The receiver's two messages: for the positions, and for the values."""
        return ot.correction_bytes(self.turns, 1), ot.correction_bytes(self.values, self.flavour.choice_bits)

    @property
    def sums_bytes(self) -> int:
        """The sender's message: both sums of every level, and a word a tree."""
        return (2 * self.turns + self.size.blocks) * NODE_BYTES

    def words_of(self, rows: Bytes) -> Bytes:
        """A word a tree from the rows of the values' transfers, whose last group is padding."""
        return self.flavour.combine(rows[: self.values * NODE_BYTES]).reshape(-1)


def _batches(flavour: _Flavour, count: int, label: str) -> list[_Batch]:
    batches: list[_Batch] = []
    start = 0
    for number, size in enumerate(sizes(flavour.field, count)):
        stop = min(start + size.outputs, count)
        batches.append(_Batch(flavour=flavour, size=size, label=f"{label} {number}", start=start, stop=stop))
        start = stop
    return batches


def tree_keys(streams: Streams, label: str) -> bytes:
    """Returns the two public AES keys of a batch's trees, 32 bytes; a tree adds its number to each."""
    return sha256(b"cleanroom/silent-vole/trees/v1" + base_ot.domain(streams, label)).digest()


def code_key(streams: Streams) -> bytes:
    """Returns the public key of the session's code, 16 bytes."""
    return sha256(b"cleanroom/silent-vole/code/v1" + streams.session_id).digest()[:NODE_BYTES]


def extension_traffic(count: int) -> Traffic:
    """What receiver and sender send for `count` outputs over F16."""
    return _traffic(_batches(_ROWS, count, ""))


def traffic(length: int) -> Traffic:
    """What receiver and sender send for `length` outputs over GF(2^128), the set-up of `ot` included."""
    ot_sender, ot_receiver = ot.setup_traffic()
    from_receiver, from_sender = _traffic(_batches(_ELEMENTS, length, ""))
    return ot_receiver + from_receiver, ot_sender + from_sender


def _traffic(batches: list[_Batch]) -> Traffic:
    return (
        total(messages(*batch.correction_bytes) for batch in batches),
        total(messages(batch.sums_bytes) for batch in batches),
    )


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
    u = np.empty((length, 2), dtype=np.uint64)
    growth = _Growth(transfers, _ELEMENTS, u, streams=streams, label=label)
    while growth.done < length:
        yield from growth.more()
    return VoleReceiver(u=u, v=growth.v)


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
    k = yield from _send(transfers, _ELEMENTS, streams=streams, label=label, count=length)
    delta = (transfers.delta[0::2] | transfers.delta[1::2] << np.uint8(4)).tobytes()
    return VoleSender(delta=delta, k=k)


class Extension:
    """The receiver's outputs over F16, asked for and then made in order: those before `done` are there."""

    def __init__(self, growth: _Growth) -> None:
        self._growth = growth

    @property
    def choices(self) -> Bytes:
        """u: `count` random elements of F16."""
        return self._growth.u

    @property
    def rows(self) -> Bytes:
        """The rows V, count × 16 bytes."""
        return _octets(self._growth.v)

    @property
    def done(self) -> int:
        """How many outputs are made."""
        return self._growth.done

    def until(self, count: int) -> Protocol[None]:
        """Makes outputs until there are `count`, and until all have been asked for: then others may be sent messages.

        Raises:
            PeerError: a message of the peer is malformed.
        """
        while self.done < count or not self._growth.all_asked:
            yield from self._growth.more()


def extend_receiver(
    ot_receiver: OtReceiver, *, streams: Streams, label: str, batch: int, count: int
) -> Protocol[Extension]:
    """The receiver's side over F16: asks, and waits for nothing.

    Args:
        ot_receiver: set-up transfers whose receiver this party is; `batch` after batch in the sender's order.
        streams: this party's streams; opens (silent_vole, receiver, label and numbers).
        label: names these outputs in the session; equal on both sides.
        batch: number of the call under this label.
        count: outputs.

    Returns:
        What makes the outputs. All of them are to be made before anything is received that the sender sends later.
    """
    choices = np.empty(count, dtype=np.uint8)
    growth = _Growth(ot_receiver, _ROWS, choices, streams=streams, label=f"{label} {batch}")
    yield from growth.ask()
    return Extension(growth)


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
    return _octets((yield from _send(ot_sender, _ROWS, streams=streams, label=f"{label} {batch}", count=count)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """A batch whose corrections were sent, with the receiver's secrets."""

    batch: _Batch
    positions: NDArray[np.uint32] = field(repr=False)  # of the noise, one a block
    bits: Bytes = field(repr=False)  # of the positions, most significant first, flat: the ways from the roots
    choices: Bytes = field(repr=False)  # of the values' transfers: over F16 the values, over GF(2^128) their bits
    pads: Bytes = field(repr=False)  # of the sums, flat
    words: Bytes = field(repr=False)  # w, the receiver's half of the values' VOLE, t × 16 bytes, flat

    def places(self) -> Bytes:
        """One at each block's position, zero elsewhere: t × block. Every element is computed alike."""
        places: Bytes = (np.arange(self.batch.size.block, dtype=np.uint32) == self.positions[:, None]).view(np.uint8)
        return places


class _Growth:
    """The receiver's u and v as they are made, batch by batch; some batches are asked for ahead.

    Args:
        transfers: of `ot`, set up.
        flavour: over which field.
        u: n outputs, to be filled.
        streams: this party's.
        label: of the outputs.
    """

    def __init__(
        self, transfers: OtReceiver, flavour: _Flavour, u: NDArray[Any], *, streams: Streams, label: str
    ) -> None:
        self._transfers, self._flavour, self._streams = transfers, flavour, streams
        self._code = code_key(streams)
        self._unasked = deque(_batches(flavour, len(u), label))
        self._waiting: deque[_Asked] = deque()
        self.u, self.v = u, np.empty((len(u), 2), dtype=np.uint64)
        self.done = 0

    @property
    def all_asked(self) -> bool:
        """Whether this side has nothing more to send."""
        return not self._unasked

    def ask(self) -> Protocol[None]:
        """Sends the corrections of as many batches as may be ahead."""
        while self._unasked and len(self._waiting) < AHEAD:
            self._waiting.append((yield from _ask(self._transfers, self._unasked.popleft(), self._streams)))

    def more(self) -> Protocol[None]:
        """Makes the next batch."""
        yield from self.ask()
        asked = self._waiting.popleft()
        leaves = yield from _rebuild(asked, self._streams)
        start, stop = asked.batch.start, asked.batch.stop
        elements, encoded = self._flavour.encode(self._code, asked, leaves)
        self.u[start:stop], self.v[start:stop] = elements[: stop - start], encoded[: stop - start]
        self.done = stop
        yield Progress(_STEP, stop, len(self.u))


def _ask(transfers: OtReceiver, batch: _Batch, streams: Streams) -> Protocol[_Asked]:
    """Draws a batch's noise and sends the corrections for it."""
    size, flavour = batch.size, batch.flavour
    key = streams.key(step=_STEP, direction="receiver", purpose=batch.label)
    drawn = np.frombuffer(keystream(key, size.blocks * (4 + flavour.value_bytes)), dtype=np.uint8)
    positions = drawn[: 4 * size.blocks].view("<u4") & np.uint32(size.block - 1)
    levels = np.arange(size.depth - 1, -1, -1, dtype=np.uint32)
    bits = (positions[:, None] >> levels & np.uint32(1)).astype(np.uint8).reshape(-1)
    choices = flavour.draw(drawn[4 * size.blocks :])
    turns = transfers.extend(bits ^ np.uint8(1), choice_bits=1)  # at each level the sum of the side that leads away
    values = transfers.extend(choices, choice_bits=flavour.choice_bits)
    yield Send(_POSITIONS, turns.correction)
    yield Send(_VALUES, values.correction)
    return _Asked(
        batch=batch,
        positions=positions,
        bits=bits,
        choices=choices,
        pads=_octets(turns.keys(2)),
        words=batch.words_of(values.rows),
    )


def _rebuild(asked: _Asked, streams: Streams) -> Protocol[Words]:
    """Gets the sums and makes the leaves v' of a batch of them, 2n × 2 words."""
    batch = asked.batch
    payload = yield from expect(_SUMS, batch.sums_bytes)
    received = np.frombuffer(payload, dtype=np.uint8)
    pairs = received[: 2 * batch.turns * NODE_BYTES].reshape(batch.turns, 2, NODE_BYTES)
    # both sides are read and one is kept by arithmetic: an index would be an access that depends on the position
    away = pairs[:, 1] ^ (pairs[:, 0] ^ pairs[:, 1]) * asked.bits[:, None]
    words = received[2 * batch.turns * NODE_BYTES :] ^ asked.words
    sums = (away ^ asked.pads).reshape(-1)
    return _kernels.pprf_reconstruct(asked.bits, tree_keys(streams, batch.label), sums, words)


def _send(transfers: OtSender, flavour: _Flavour, *, streams: Streams, label: str, count: int) -> Protocol[Words]:
    """Returns k."""
    k = np.empty((count, 2), dtype=np.uint64)
    code = code_key(streams)
    for batch in _batches(flavour, count, label):
        leaves = yield from _answer(transfers, batch, streams)
        k[batch.start : batch.stop] = _kernels.expand_convolute(code, leaves)[: batch.stop - batch.start]
        yield Progress(_STEP, batch.stop, count)
    return k


def _answer(transfers: OtSender, batch: _Batch, streams: Streams) -> Protocol[Words]:
    """Makes the leaves k' of a batch, 2n × 2 words, and sends the sums of their trees."""
    position_bytes, value_bytes = batch.correction_bytes
    positions = yield from expect(_POSITIONS, position_bytes)
    values = yield from expect(_VALUES, value_bytes)
    turns = transfers.extend(positions, batch.turns, choice_bits=1)
    rows = transfers.extend(values, batch.values, choice_bits=batch.flavour.choice_bits).rows
    key = streams.key(step=_STEP, direction="sender", purpose=batch.label)
    roots = np.frombuffer(keystream(key, batch.size.blocks * NODE_BYTES), dtype=np.uint8)
    sums, leaves = _kernels.pprf_expand(roots, tree_keys(streams, batch.label), batch.size.depth)
    levels = sums.reshape(batch.turns, 2, NODE_BYTES)
    pads = np.stack([_octets(turns.keys(side, 2)) for side in (0, 1)], axis=1)
    of_leaves = np.bitwise_xor.reduce(levels[batch.size.depth - 1 :: batch.size.depth], axis=1).reshape(-1)
    yield Send(_SUMS, (levels ^ pads).tobytes() + (of_leaves ^ batch.words_of(rows)).tobytes())
    return leaves


def _octets(words: Words) -> Bytes:
    return np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8).reshape(-1, NODE_BYTES)


def _non_zero(drawn: Bytes) -> Bytes:
    """Elements 1 to 15 of F16 from 8 random bytes each, biased by less than 2^-60."""
    values: Bytes = (drawn.view("<u8") % np.uint64(15) + np.uint64(1)).astype(np.uint8)
    return values


def _bits(drawn: Bytes) -> Bytes:
    """The bits of elements of GF(2^128); that one is zero has probability 2^-128."""
    return np.unpackbits(drawn, bitorder="little")


def _field_elements(rows: Bytes) -> Bytes:
    """The values' VOLE over GF(2^128), from a row a bit: Σ x^b·row b, by Horner's rule."""
    bits = rows.view("<u8").astype(np.uint64, copy=False).reshape(-1, GF128.bits, 2)
    sums = np.zeros((len(bits), 2), dtype=np.uint64)
    for bit in range(GF128.bits - 1, -1, -1):
        low, high = sums[:, 0], sums[:, 1]
        over = -(high >> np.uint64(63)) & np.uint64(0b1000_0111)
        sums = np.stack([low << np.uint64(1) ^ over, high << np.uint64(1) ^ low >> np.uint64(63)], axis=1)
        sums ^= bits[:, bit]
    return _octets(sums)


def _encode_rows(code: bytes, asked: _Asked, leaves: Words) -> tuple[Bytes, Words]:
    noise = (asked.places() * asked.choices[:, None]).reshape(-1)
    encoded, elements = _kernels.expand_convolute_with_bytes(code, leaves, noise)
    return elements, encoded


def _encode_elements(code: bytes, asked: _Asked, leaves: Words) -> tuple[Words, Words]:
    values = np.packbits(asked.choices, bitorder="little").view("<u8").astype(np.uint64, copy=False)
    noise = -asked.places().astype(np.uint64)[:, :, None] & values.reshape(-1, 1, 2)
    return _kernels.expand_convolute_pair(code, noise.reshape(-1, 2), leaves)


_ROWS: Final = _Flavour(
    field=F16,
    choice_bits=F16.bits,
    transfers=1,
    value_bytes=8,
    draw=_non_zero,
    combine=lambda rows: rows,
    encode=_encode_rows,
)
_ELEMENTS: Final = _Flavour(
    field=GF128,
    choice_bits=1,
    transfers=GF128.bits,
    value_bytes=NODE_BYTES,
    draw=_bits,
    combine=_field_elements,
    encode=_encode_elements,
)
