"""Base oblivious transfer: `count` random 1-of-2 transfers of 16-byte keys.

Functionality: the sender gets two random keys for each transfer, the receiver the one that its choice bit names.
Security: malicious, in the random-oracle model under the Diffie-Hellman assumption; endemic: a party that deviates can
influence the keys that it gets itself, and nothing else. That suffices for `ot` (ePrint 2022/192 takes its base
transfers so). What each learns: the sender nothing of the choices, the receiver nothing of the other keys.
Rounds: one message each way, the receiver first. Bytes a transfer: 64 to the sender, 32 to the receiver.
Source: Masny and Rindal, "Endemic Oblivious Transfer", ePrint 2019/706 (from a Diffie-Hellman agreement), over
ristretto255 (RFC 9496).

For transfer i and choice b the receiver draws a scalar a and an element R of unknown logarithm and sends (r_0, r_1)
with r_{1-b} = R and r_b = a·G - H_b(R). The sender draws y, sends Y = y·G and computes, for both slots c, key_c =
H(y·(r_c + H_c(r_{1-c}))); the receiver computes key_b = H(a·Y). H_c hashes to the group by SHA-512 and the one-way map
of RFC 9496, section 4.3.4; H is SHA-256 cut to 16 bytes. Both take the domain (session, label), the number of the
transfer and the slot, and H also takes r_0 and r_1, so a key is bound to what was sent.

Departures: the sender draws a scalar for each transfer, where the paper allows one for all; a received element, or the
sum that the sender forms, is refused if it is the identity.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.traffic import Traffic, messages
from cleanroom.protocols.wire import Expect, Message, Protocol, ProtocolId, Send

__all__ = ["ELEMENT_BYTES", "KEY_BYTES", "RECEIVER_ELEMENTS", "SENDER_ELEMENTS", "receiver", "sender", "traffic"]

ELEMENT_BYTES: Final = 32
KEY_BYTES: Final = 16
RECEIVER_ELEMENTS: Final = Message(protocol=ProtocolId.BASE_OT, type=1, step="base_ot.receiver_elements")
SENDER_ELEMENTS: Final = Message(protocol=ProtocolId.BASE_OT, type=2, step="base_ot.sender_elements")


def domain(streams: Streams, label: str) -> bytes:
    """Returns what every hash of a run starts with: the session and the label, the label's length before it."""
    encoded = label.encode()
    return streams.session_id + len(encoded).to_bytes(2, "little") + encoded


def traffic(count: int) -> Traffic:
    """What sender and receiver of `count` transfers send."""
    return messages(count * ELEMENT_BYTES), messages(count * 2 * ELEMENT_BYTES)


def sender(*, streams: Streams, label: str, count: int) -> Protocol[NDArray[np.uint8]]:
    """Gets both keys of every transfer.

    Args:
        streams: this party's streams; opens (base_ot, sender, label).
        label: names the run in its session; equal on both sides.
        count: number of transfers.

    Returns:
        Keys, count × 2 × 16 bytes.

    Raises:
        PeerError: an element is not canonical, or is the identity.
    """
    key = streams.key(step="base_ot", direction="sender", purpose=label)
    elements = yield Expect(RECEIVER_ELEMENTS, count * 2 * ELEMENT_BYTES)
    assert elements is not None
    yield Send(SENDER_ELEMENTS, _kernels.base_ot_sender_message(key, count).tobytes())
    try:
        keys = _kernels.base_ot_sender_keys(key, domain(streams, label), elements)
    except ValueError as error:
        raise PeerError(f"{RECEIVER_ELEMENTS.step}: {error}") from error
    return keys.reshape(count, 2, KEY_BYTES)


def receiver(*, streams: Streams, label: str, choices: NDArray[np.uint8]) -> Protocol[NDArray[np.uint8]]:
    """Gets the chosen key of every transfer.

    Args:
        streams: this party's streams; opens (base_ot, receiver, label).
        label: names the run in its session; equal on both sides.
        choices: one bit (0 or 1) a transfer.

    Returns:
        Keys, count × 16 bytes.

    Raises:
        PeerError: an element is not canonical, or is the identity.
    """
    key = streams.key(step="base_ot", direction="receiver", purpose=label)
    binding = domain(streams, label)
    own = _kernels.base_ot_receiver_message(key, binding, choices).tobytes()
    yield Send(RECEIVER_ELEMENTS, own)
    elements = yield Expect(SENDER_ELEMENTS, choices.size * ELEMENT_BYTES)
    assert elements is not None
    try:
        keys = _kernels.base_ot_receiver_keys(key, binding, choices, own, elements)
    except ValueError as error:
        raise PeerError(f"{SENDER_ELEMENTS.step}: {error}") from error
    return keys.reshape(choices.size, KEY_BYTES)
