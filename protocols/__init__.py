"""The cryptographic protocols: sans-IO, one module a step, each reading like its paper."""

from __future__ import annotations

if __name__ != "cleanroom.protocols":
    raise ImportError("import cleanroom.protocols, not protocols: a second name would be a second copy of it")
