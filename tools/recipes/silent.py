"""Silent vector OLE over both fields: 300 outputs each."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from tools.recipes.record import EXPOSURE, OUTCOME, Json, head, listed, parties, streams
from tools.slow.silent_vole import ELEMENTS, ROWS, Vole, run
from tools.slow.transcript import Frame, numbered
from tools.slow.transfers import Transfers, row_of

__all__ = ["silent_vole_frames", "silent_vole_run"]

COUNT: Final = 300


def _digest(numbers: list[int], size: int) -> str:
    return hashlib.sha256(b"".join(number.to_bytes(size, "little") for number in numbers)).hexdigest()


@cache
def _run() -> tuple[list[Frame], Json]:
    """The exposure side is the receiver over GF(2^128), and the sender over F16."""
    exposure, outcome = streams()
    sent = []
    outputs: Json = {}
    element_label, row_label = "elements", "rows"
    elements = Transfers(sender=outcome, receiver=exposure, label=element_label)
    sent += [(OUTCOME if own else EXPOSURE, one) for own, one in elements.messages()]
    made = run(elements, flavour=ELEMENTS, sender=outcome, receiver=exposure, label=element_label, count=COUNT)
    sent += [(EXPOSURE if own else OUTCOME, one) for own, one in made.messages]
    outputs["elements"] = _outputs(made, 16, elements)
    rows = Transfers(sender=exposure, receiver=outcome, label=row_label)
    sent += [(EXPOSURE if own else OUTCOME, one) for own, one in rows.messages()]
    made = run(rows, flavour=ROWS, sender=exposure, receiver=outcome, label=f"{row_label} 0", count=COUNT)
    sent += [(OUTCOME if own else EXPOSURE, one) for own, one in made.messages]
    outputs["rows"] = _outputs(made, 1, rows)
    return numbered(sent), outputs


def _outputs(made: Vole, size: int, transfers: Transfers) -> Json:
    return {
        "delta": row_of(transfers.delta).to_bytes(16, "little").hex(),
        "u": _digest(made.u, size),
        "v": _digest(made.v, 16),
        "k": _digest(made.k, 16),
    }


def silent_vole_frames() -> list[Frame]:
    """The frames of silent_vole/v1/run.json."""
    return _run()[0]


def silent_vole_run() -> Json:
    """silent_vole/v1/run.json."""
    frames, outputs = _run()
    return {
        **head("silent_vole", "wire/silent-vole.md"),
        **parties(),
        "count": COUNT,
        "outputs": outputs,
        "frames": listed(frames),
    }
