"""Where to look for what must be nowhere: every file that a run leaves, and what it printed.

A planted number has twelve digits at least: a run writes 100,000 random ones in hexadecimal, which hold eight given
ones once in 40,000 runs.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping

from tests.cli.world import PARTIES, Ended, Scene


def forms(name: str, value: bytes) -> dict[str, bytes]:
    """A value raw, in both hexadecimal writings and in Base64."""
    return {
        f"{name}, raw": value,
        f"{name} in hex": value.hex().encode(),
        f"{name} in capital hex": value.hex().upper().encode(),
        f"{name} in Base64": base64.b64encode(value).rstrip(b"=")[:-1],
    }


def left_behind(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Every file in the scene but the owners' own inputs and keys; the names count as content."""
    own = {*scene.root.glob("*.csv"), *(scene.root / party / f"{party}.key" for party in PARTIES)}
    for folder, _, names in os.walk(scene.root):
        for name in names:
            path = scene.root / folder / name
            if path not in own:
                yield str(path), str(path).encode() + path.read_bytes()


def search(scene: Scene, ended: Mapping[str, Ended], canaries: Mapping[str, bytes]) -> None:
    """Looks for every canary in every trace."""
    traces = list(left_behind(scene))
    for party, end in ended.items():
        traces += [(f"{party}'s stdout", end.stdout.encode()), (f"{party}'s stderr", end.stderr.encode())]
    assert len(traces) > 8
    for what, canary in canaries.items():
        for where, content in traces:
            assert canary not in content, f"{what} is in {where}"
