"""Silent 1-of-16 transfers, both sides at once: stocks from the slow silent VOLE, corrected by half a byte each."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from tools.slow import silent_vole
from tools.slow.streams import Streams
from tools.slow.transfers import Batch, Transfers, row_of

__all__ = ["SilentTransfers"]


class SilentTransfers:
    """Silent transfers over a set-up; `extend` prepares a stock and takes all of it in one batch."""

    def __init__(self, base: Transfers, *, sender: Streams, receiver: Streams, label: str) -> None:
        self._base, self._sender, self._receiver, self._label = base, sender, receiver, label
        domain = sender.session_id + len(label).to_bytes(2, "little") + label.encode()
        self._hash_key = sha256(b"cleanroom/silent-ot/hash/v1" + domain).digest()[:16]
        self._stock = self._transfer = 0

    def random_bits(self, count: int) -> list[int]:
        """Fresh bits of the sender's."""
        return self._base.random_bits(count)

    def extend(self, choices: Sequence[int]) -> Batch:
        """Makes a stock for the choices and corrects it."""
        made = silent_vole.run(
            self._base,
            flavour=silent_vole.ROWS,
            sender=self._sender,
            receiver=self._receiver,
            label=f"{self._label} {self._stock}",
            count=len(choices),
        )
        change = [u ^ c for u, c in zip(made.u, choices, strict=True)]
        halves = [*change, 0]
        packed = bytes(halves[at] | halves[at + 1] << 4 for at in range(0, len(change), 2))
        shifts = [row_of(self._base.delta, d) for d in range(16)]
        first = self._transfer
        self._stock += 1
        self._transfer += len(choices)
        return Batch(
            correction=packed,
            choices=list(choices),
            received=made.v,
            sent=[row ^ shifts[d] for row, d in zip(made.k, change, strict=True)],
            delta=self._base.delta,
            hash_key=self._hash_key,
            first=first,
            preparation=tuple((not from_receiver, message) for from_receiver, message in made.messages),
        )
