"""Ports of the loopback interface on which nobody listens."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 20_000
_COUNT: Final = 12_000
"""Below 32,768, from where on systems take the ports of outgoing connections and of whoever binds to port 0."""

_places = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """Finds a port that nobody holds.

    A port that the system chooses may be given to somebody else between this answer and its use, or twice. These are
    outside of what it chooses from, and none is handed out again before all the others were.
    """
    for place in itertools.islice(_places, _COUNT):
        port = _FIRST + place % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("every port is taken")
