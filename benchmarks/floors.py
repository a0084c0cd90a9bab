"""`python -m benchmarks.floors`: what one core of this machine can do at most, by the fastest library at hand.

A join cannot be faster than its parts: a figure of the join means something only beside these.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CTR

from benchmarks import machine
from cleanroom.flight import Address, connect, listen
from cleanroom.identity import Identity, new_identity
from cleanroom.protocols import oprf
from cleanroom.protocols.wire import CHUNK_BYTES

__all__ = ["floors", "link_rate", "main"]

MIB = 1 << 20
SECONDS = 0.5


def floors() -> dict[str, tuple[float, str]]:
    """Measures each in CPU seconds of one thread, the link in wall seconds.

    Returns:
        What -> (how much a second, unit).
    """
    generator = np.random.default_rng(1)
    key = X25519PrivateKey.generate()
    peer = X25519PrivateKey.generate().public_key()
    block = generator.bytes(MIB)
    cipher, sink = Cipher(AES128(bytes(16)), CTR(bytes(16))).encryptor(), bytearray(MIB + 15)
    source, target = (np.zeros(8 * MIB, dtype=np.uint64) for _ in range(2))
    words = generator.integers(1 << 63, size=1 << 20, dtype=np.uint64)
    inputs = generator.integers(256, size=(1024, 26), dtype=np.uint8)
    scalars = oprf.random_scalars(bytes(range(32)), first=0, count=1024)
    elements = oprf.blind(inputs, scalars)
    small = block[:32]

    def hashes() -> None:
        for _ in range(1000):
            hashlib.sha256(small).digest()

    return {
        "X25519 (OpenSSL)": (_rate(lambda: key.exchange(peer), 1), "/s"),
        "ristretto255 multiplication": (_rate(lambda: oprf.blind_evaluate(scalars, elements), 1024), "/s"),
        "OPRF evaluation, with its hash to the group": (_rate(lambda: oprf.evaluate(inputs, scalars), 1024), "/s"),
        "SHA-256 of 32 bytes (hashlib)": (_rate(hashes, 1000) / 1e6, "M/s"),
        "AES-128-CTR (OpenSSL)": (_rate(lambda: cipher.update_into(block, sink), MIB) / 1e9, "GB/s"),
        "memcpy (NumPy)": (_rate(lambda: np.copyto(target, source), 64 * MIB) / 1e9, "GB/s"),
        "sort of uint64 (NumPy)": (_rate(lambda: np.sort(words), 1 << 20) / 1e6, "M/s"),
        "link, one way, mutual TLS, wall": (link_rate() / 1e9, "GB/s"),
    }


def _rate(work: Callable[[], object], items: int) -> float:
    """Items a CPU second, the best of a few spells."""
    work()
    best = 0.0
    for _ in range(3):
        start, count = time.process_time(), 0
        while time.process_time() - start < SECONDS / 3:
            work()
            count += items
        best = max(best, count / (time.process_time() - start))
    return best


def link_rate(frames: int = 200) -> float:
    """Bytes a second through this project's own link, both ends in this process."""
    with TemporaryDirectory(prefix="cleanroom-bench-") as folder:
        sides = [new_identity(name, Path(folder) / name) for name in ("one", "two")]
        return _link_rate(sides[0], sides[1], frames)


def _link_rate(one: Identity, two: Identity, frames: int) -> float:
    frame = bytes(CHUNK_BYTES)
    address = Address(f"127.0.0.1:{machine.free_port()}")

    def send() -> None:
        with connect(address, identity=one, peer=two.certificate, timeout=30.0) as link:
            for _ in range(frames):
                link.send(frame, timeout=60.0)
            link.finish()

    sender = threading.Thread(target=send)
    sender.start()
    with listen(address, identity=two, peer=one.certificate, timeout=30.0) as link:
        link.receive(timeout=60.0, waiting_for="floors")
        start = time.perf_counter()
        for _ in range(frames - 1):
            link.receive(timeout=60.0, waiting_for="floors")
        seconds = time.perf_counter() - start
        link.finish()
    sender.join()
    return len(frame) * (frames - 1) / seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floors", description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = floors()
    if options.json:
        print(json.dumps({"machine": machine.describe(), "floors": found}))
        return 0
    print(f"machine: {json.dumps(machine.describe())}")
    print(f"| {'one core':<43} |    a second |\n|{'-' * 45}|-------------|")
    for name, (rate, unit) in found.items():
        print(f"| {name:<43} | {f'{rate:,.0f}' if rate >= 100 else f'{rate:.2f}':>6} {unit:>4} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
