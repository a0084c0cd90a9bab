"""What every agreement on a world says alike: who, when, how large."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cleanroom.simulate.parameters import START, ZONE, Parameters

__all__ = ["head_text", "protocol_text", "quoted", "time_text"]

_MOST_ROWS: Final = 1 << 24


def head_text(*, name: str, purpose: str) -> str:
    """Name, purpose and parties, whose certificates lie beside the agreement."""
    return f"""\
version = 1
name = "{name}"
purpose = "{purpose}"
valid_until = 2035-12-31

[parties.media]
role = "exposure"
certificate = "media.crt"

[parties.shop]
role = "outcome"
certificate = "shop.crt"
"""


def time_text(parameters: Parameters) -> str:
    """The world's days."""
    return f"""\
[time]
start = {START.isoformat()}
end = {parameters.end.isoformat()}
resolution = "1d"
zone = "{ZONE}"
"""


def protocol_text(*, rows_exposure: int, rows_outcome: int) -> str:
    """The profile, and public bounds that hold so many rows; they stop at 2^24, where a run refuses."""
    return f"""\
[protocol]
profile = "kkrt"
max_rows = {{exposure = {_bound(rows_exposure)}, outcome = {_bound(rows_outcome)}}}
"""


def quoted(names: Iterable[str]) -> str:
    """A list of texts, without its brackets."""
    return ", ".join(f'"{name}"' for name in names)


def _bound(rows: int) -> int:
    return min(_MOST_ROWS, 1 << max(6, (rows - 1).bit_length()))
