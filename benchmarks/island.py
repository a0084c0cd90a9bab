"""A process in a network namespace of its own, whose only wire is one TUN device that the starter holds the end of.

`python -m benchmarks.island SOCKET ADDRESS PEER COMMAND…`, started by `unshare -n`, makes the device, hands its file
over a Unix socket, waits for one byte and becomes the command. The machine's own interfaces are not in the namespace.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.machine import no_namespaces, unshare
from benchmarks.relay import MTU

__all__ = ["Gate", "available", "main"]

_DEVICE: Final = "wire0"
_TUN: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA  # linux/if_tun.h
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_HANDOVER_SECONDS: Final = 30.0


def available() -> str | None:
    """Says why namespaces with a device cannot be made here; None where they can."""
    return no_namespaces() if _TUN.exists() else f"{_TUN} is not there"


class Gate:
    """The starter's half of one island."""

    def __init__(self, address: str, peer: str) -> None:
        """Prepares an island.

        Args:
            address: its IPv4 address.
            peer: the address at the other end of its wire.
        """
        self._own, self._theirs = socket.socketpair()
        self._address, self._peer = address, peer

    def command(self, command: Sequence[str]) -> list[str]:
        """What to start in place of a command; pass it `inherited` files."""
        island = [sys.executable, "-m", "benchmarks.island", str(self.inherited), self._address, self._peer]
        return [*unshare(), *island, *command]

    @property
    def inherited(self) -> int:
        """The file that the started process needs."""
        return self._theirs.fileno()

    def receive(self) -> int:
        """Waits until the island is there; returns its device's file, which the caller owns.

        Raises:
            RuntimeError: it did not come up; its words are in what it printed.
        """
        self._theirs.close()  # so that an island that ends is noticed
        self._own.settimeout(_HANDOVER_SECONDS)
        _, files, _, _ = socket.recv_fds(self._own, 1, 1)
        if len(files) != 1:
            raise RuntimeError("a network namespace with a device did not come up")
        return files[0]

    def go(self) -> None:
        """Lets the command begin."""
        self._own.sendall(b"g")

    def close(self) -> None:
        """Closes what is left; an island that waits ends."""
        self._own.close()
        self._theirs.close()


def main(arguments: Sequence[str]) -> None:
    """Makes the device, hands it over, waits, and becomes the command."""
    number, address, peer, *command = arguments
    gate = socket.socket(fileno=int(number))
    device = os.open(_TUN, os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    for words in (
        ["link", "set", "lo", "up"],
        ["address", "add", address, "peer", peer, "dev", _DEVICE],
        ["link", "set", _DEVICE, "mtu", str(MTU), "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    socket.send_fds(gate, [b"d"], [device])
    os.close(device)
    gate.settimeout(_HANDOVER_SECONDS)
    if gate.recv(1) != b"g":
        raise SystemExit("the starter of this namespace has ended")
    gate.close()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
